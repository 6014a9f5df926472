"""Pass over a data set, as evaluation does: checks, q(z|x) of all rows, and draws of z with their
−log p(x|z), in blocks of bounded size whatever the number of rows and draws.

An example's noise is keyed by (seed, the bytes of its row): its result depends neither on its place
nor on its batch (but for the rounding of matrix products), and more draws extend fewer.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterator

import numpy as np

from tinyvae import checks
from tinyvae.core.arrays import Array
from tinyvae.core.latent import reparameterize
from tinyvae.core.likelihood import Bernoulli
from tinyvae.data.blocks import blocks
from tinyvae.data.rows import BinarizedRows, LazyRows, draw, value_range
from tinyvae.models import Autoencoder

BLOCK = 2**19  # numbers in the widest array of a block: large for a matrix product, small in memory


def checked(model: Autoencoder, x: Array, labels: Array | None) -> tuple[Array, Array | None]:
    """Return x and labels on the host, or raise ValueError in one line."""
    checks.instance("model", model, Autoencoder, "a VAE or an Autoencoder")
    if not isinstance(x, LazyRows | BinarizedRows):
        x = model.backend.to_numpy(x) if model.backend.holds(x) else checks.host_array(x)
    model.check_x("x", x)
    if isinstance(model.likelihood, Bernoulli) and not model.missing:
        checks.unit_interval("x", *value_range(x))
    if not model.n_classes:
        return x, None
    labels = checks.labels(labels, len(x), model.n_classes)
    return x, model.backend.to_numpy(labels)


def lacking(model: Autoencoder, x: Array) -> np.ndarray:
    """Return which rows of checked data (N, D) lack cells (N,)."""
    if not model.missing:
        return np.zeros(len(x), bool)
    parts = blocks(len(x), BLOCK // x.shape[1])
    return np.concatenate([np.isnan(x[rows]).any(axis=1) for rows in parts])


def by_blocks(
    model: Autoencoder, function: Callable, x: Array, labels: Array | None = None,
    rows: np.ndarray | None = None,
) -> tuple[np.ndarray, ...]:  # fmt: skip
    """Return function(x, labels=labels), one array or several, on the host: of the whole data, or
    of some `rows`, a block at a time."""
    rows = np.arange(len(x)) if rows is None else rows
    if not len(rows):
        raise ValueError("there are no rows to work on")
    done = []
    for block in blocks(len(rows), BLOCK // width(model)):
        some = rows[block]
        found = function(x[some], labels=None if labels is None else labels[some])
        found = found if isinstance(found, tuple) else (found,)
        done.append([model.backend.to_numpy(part) for part in found])
    return tuple(np.concatenate(parts) for parts in zip(*done, strict=True))


def posterior(
    model: Autoencoder, x: Array, labels: Array | None, rows: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return mu and logvar (N, L) of the whole data, or of some `rows`, in float64; an
    Autoencoder's code, and None."""
    mu, *rest = by_blocks(model, model.encode, x, labels, rows)
    return mu.astype(float), rest[0].astype(float) if rest else None


def posterior_draws(
    model: Autoencoder, x: Array, labels: Array | None, samples: int, seed: int
) -> Iterator[tuple[slice, Array, Array | None, Array, Array]]:
    """Yield (rows, mu, logvar, eps, nll): mu and logvar (R, L), eps (R, s, L), nll (R, s).

    A block is R whole examples with all of their draws, or s of the many draws of one example.
    """
    for rows, *codes, eps, y, target in decoded_draws(model, x, labels, samples, seed):
        yield rows, *codes, eps, _nll(model, y, target).reshape(-1, eps.shape[1])


def decoded_draws(
    model: Autoencoder, x: Array, labels: Array | None, samples: int, seed: int
) -> Iterator[tuple[slice, Array, Array | None, Array, Array, Array]]:
    """Yield (rows, mu, logvar, eps, y, target): the same, with the decoder's output y (R s, D) of
    each draw, and its row of x (R s, D)."""
    xp, D, L = model.backend.xp, model.n_features, model.latent_dim
    seed = checks.integer("seed", seed, 0)
    size = max(1, BLOCK // width(model))
    with model.backend.session():
        for rows in blocks(len(x), size // samples):
            on_host = np.asarray(x[rows])
            batch, label = model.as_batch(on_host), None if labels is None else labels[rows]
            mu, logvar = model.codes(batch, label)
            keys = keys_of(on_host, seed)
            for draws in blocks(samples, size):
                s = draws.stop - draws.start
                eps = model.backend.asarray(noise(keys, draws, L), model.dtype)  # (R, s, L)
                if logvar is None:
                    z = xp.broadcast_to(mu[:, None], eps.shape)
                else:
                    z = reparameterize(mu[:, None], logvar[:, None], eps)
                repeated = None if label is None else np.repeat(label, s)
                y = model.decoder_output(z.reshape(-1, L), labels=repeated)  # (R s, D)
                target = xp.broadcast_to(batch[:, None], (len(batch), s, D)).reshape(y.shape)
                yield rows, mu, logvar, eps, y, target


def log_weights(
    mu: Array, logvar: Array, eps: Array, nll: Array, beta: float = 1.0, weight: float = 1.0
) -> Array:
    """Return log p(x|z) + log p(z) − log q(z|x), (R, s), from mu, logvar (R, L) and eps (R, s, L).

    With z = mu + σ eps, log q(z|x) = −½ Σ (eps² + logvar) and log p(z) = −½ Σ z²; both lack the
    same constant. Both weights are 1 for log p(x); an IWAE may be trained with others.
    """
    z = reparameterize(mu[:, None], logvar[:, None], eps)  # (R, s, L)
    log_ratio = 0.5 * (eps * eps - z * z + logvar[:, None]).sum(axis=2)  # log p(z) − log q(z|x)
    return beta * log_ratio - weight * nll


class Weights:
    """Sums up the importance weights of N examples, as their draws come in blocks.

    The largest weight of an example so far, at the height `peak`, counts as 1: nothing overflows.
    """

    def __init__(self, N: int) -> None:
        self.peak, self.total, self.squares = np.full(N, -np.inf), np.zeros(N), np.zeros(N)

    def add(self, rows: slice, log_w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return w (R, s) of more draws, and the factor (R,) that what was summed up before from
        such weights has to be multiplied by."""
        highest = np.maximum(self.peak[rows], log_w.max(axis=1))  # (R,)
        rescale = np.exp(self.peak[rows] - highest)
        w = np.exp(log_w - highest[:, None])  # (R, s)
        self.total[rows] = self.total[rows] * rescale + w.sum(axis=1)
        self.squares[rows] = self.squares[rows] * rescale**2 + (w * w).sum(axis=1)
        self.peak[rows] = highest
        return w, rescale

    def log_mean(self, S: int) -> np.ndarray:
        """Return the logarithm of each example's mean weight over S draws (N,)."""
        return self.peak + np.log(self.total / S)

    @property
    def effective_samples(self) -> np.ndarray:
        """How many draws carry each example's sums: (Σw)² / Σw² (N,)."""
        return self.total**2 / self.squares


def mean_squares(
    model: Autoencoder, x: Array, labels: Array | None, samples: int, seed: int
) -> np.ndarray:
    """Return the means (2D,) over rows and draws of what `DiagonalGaussian.squares` returns: of the
    decoder's answers to draws from q(z|x), or, without `samples`, of the answer 0."""
    x, labels = checked(model, x, labels)
    total = np.zeros(2 * model.n_features)
    if samples:
        answers = ((y, row) for *_, y, row in decoded_draws(model, x, labels, samples, seed))
    else:
        batches = (model.as_batch(x[rows]) for rows in blocks(len(x), BLOCK // model.n_features))
        answers = ((0.0 * batch, batch) for batch in batches)
    for y, target in answers:
        total += model.backend.to_numpy(model.likelihood.squares(y, target).sum(axis=0))
    return total / (len(x) * max(1, samples))


def _nll(model: Autoencoder, y: Array, target: Array) -> Array:
    """Return −log p(x|z) (R s,) of each row; on a CPU several threads have some rows each."""
    if not isinstance(y, np.ndarray):
        return model.likelihood.nll(y, target)
    nll = np.empty(len(y), y.dtype)

    def some_rows(start: int, stop: int) -> None:
        nll[start:stop] = model.likelihood.nll(y[start:stop], target[start:stop])

    model.backend.ops.over(some_rows, *y.shape)
    return nll


def keys_of(x: np.ndarray, seed: int) -> list[np.ndarray]:
    """Return the key (2,) of each row's noise: a hash of the seed and the row's bytes."""
    x = np.ascontiguousarray(x, np.float32) + np.float32(0)  # −0 becomes 0
    digests = (hashlib.blake2b(row, digest_size=16, key=b"%d" % seed).digest() for row in x)
    return [np.frombuffer(digest, "<u8") for digest in digests]


def same_noise(x: Array) -> np.ndarray:
    """Return a number for each row (N,), the same for rows whose draws are the same: equal ones."""
    parts = blocks(len(x), BLOCK // x.shape[1])
    keys = [key for rows in parts for key in keys_of(np.asarray(x[rows]), seed=0)]
    return np.unique(keys, axis=0, return_inverse=True)[1].ravel()


def noise(keys: list[np.ndarray], draws: slice, L: int) -> np.ndarray:
    """Return eps (R, s, L), float32 draws from N(0, 1), the same for every backend and dtype."""
    eps = np.empty((len(keys), draws.stop - draws.start, L), np.float32)
    draw("standard_normal", eps, keys, itertools.repeat(draws.start, len(keys)))
    return eps


def width(model: Autoencoder) -> int:
    """Return the width of the model's widest layer."""
    return max(model.n_features, *(max(view.shape) for view in model.parameters.values()))
