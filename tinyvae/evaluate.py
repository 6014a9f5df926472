"""How good is a trained model, and what is in its latent space? The ELBO and its terms, log p(x) by
importance sampling, KL per latent dimension, active units, mutual information. Everything is in
nats per example; functions take NumPy, or rows that are read lazily, and return NumPy.

An example's noise is keyed by (seed, the bytes of its row): its result depends neither on its place
nor on its batch (but for the rounding of matrix products), and more samples extend fewer.
"""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tinyvae import checks
from tinyvae.backend import Array
from tinyvae.latent import kl, reparameterize
from tinyvae.model import VAE, Autoencoder

BLOCK = 2**19  # numbers in the widest array of a block: large for a matrix product, small in memory


class Elbo(NamedTuple):
    """The evidence lower bound and its terms: elbo = −(reconstruction + kl)."""

    elbo: float
    reconstruction: float
    kl: float


def elbo(
    model: Autoencoder, x: Array, labels: Array | None = None, samples: int = 1, seed: int = 0
) -> Elbo:
    """Return the evidence lower bound and its two terms, means over the data x (N, D).

    The reconstruction −log p(x|z) is a mean over `samples` draws of z ~ q(z|x), at the model's
    stored sigma; the KL is the closed form. For an Autoencoder, z is the code and the kl is 0.
    """
    samples = checks.integer("samples", samples, 1)
    if not isinstance(model, VAE):
        samples = 1
    x, labels = _checked(model, x, labels)
    reconstruction = divergence = 0.0
    for _, mu, logvar, eps, nll in _draws(model, x, labels, samples, seed):
        reconstruction += float(nll.sum())
        if logvar is not None:  # a block's KL counts once for each draw, as its nll does
            divergence += float(kl(mu, logvar).sum()) * eps.shape[1]
    reconstruction, divergence = (
        total / (len(x) * samples) for total in (reconstruction, divergence)
    )
    return Elbo(-(reconstruction + divergence), reconstruction, divergence)


def kl_per_dimension(model: Autoencoder, x: Array, labels: Array | None = None) -> np.ndarray:
    """Return the mean over the data of each latent dimension's KL(q(z|x) ‖ N(0, 1)), (L,)."""
    mu, logvar = _posterior(model, *_checked(model, x, labels))
    return kl(mu, logvar).mean(axis=0) if logvar is not None else np.zeros(model.latent_dim)


def _checked(model: Autoencoder, x: Array, labels: Array | None) -> tuple[Array, Array | None]:
    """Return x and labels on the host, or raise ValueError in one line."""
    x = model.backend.to_numpy(x) if not hasattr(x, "shape") or hasattr(x, "get") else x
    checks.batch("x", x, model.n_features)
    if not model.n_classes:
        return x, None
    return x, np.asarray(checks.labels(labels, len(x), model.n_classes))


def _posterior(
    model: Autoencoder, x: Array, labels: Array | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return mu and logvar (N, L) of the whole data in float64; an Autoencoder's code, and None."""
    blocks = []
    for rows in _slices(len(x), BLOCK // _width(model)):
        h = model.encode(x[rows], None if labels is None else labels[rows])
        blocks.append(h if isinstance(model, VAE) else (h,))
    parts = [
        np.concatenate([model.backend.to_numpy(part) for part in parts]).astype(float)
        for parts in zip(*blocks, strict=True)
    ]
    return parts[0], parts[1] if isinstance(model, VAE) else None


def _draws(
    model: Autoencoder, x: Array, labels: Array | None, samples: int, seed: int
) -> Iterator[tuple[slice, Array, Array | None, Array, Array]]:
    """Yield (rows, mu, logvar, eps, nll), mu and logvar (R, L), eps (R, s, L), nll (R, s).

    A block is R whole examples with all of their draws, or s of the many draws of one example.
    """
    size = max(1, BLOCK // _width(model))
    for rows in _slices(len(x), size // samples):
        batch = model.as_batch(x[rows])  # (R, D)
        label = None if labels is None else labels[rows]
        code = model.encode(batch, label)
        mu, logvar = code if isinstance(model, VAE) else (code, None)
        keys = _keys(x[rows], seed)
        for draws in _slices(samples, size):
            eps = _noise(keys, draws, model.latent_dim)
            eps = model.backend.asarray(eps, model.dtype)  # (R, s, L)
            z = mu[:, None] if logvar is None else reparameterize(mu[:, None], logvar[:, None], eps)
            z = z.reshape(-1, model.latent_dim)  # (R s, L)
            s = len(z) // len(batch)
            y = model.decoder.forward(
                model.with_labels(z, None if label is None else np.repeat(label, s))
            )
            xp = model.backend.xp
            repeated = xp.broadcast_to(batch[:, None], (len(batch), s, model.n_features))
            nll = model.likelihood.nll(y, repeated.reshape(y.shape))
            yield rows, mu, logvar, eps, nll.reshape(len(batch), s)


def _keys(x: np.ndarray, seed: int) -> list[np.ndarray]:
    """Return the key (2,) of each row's noise: a hash of the seed and the row's bytes."""
    x = np.asarray(x, np.float32) + np.float32(0)  # −0 becomes 0
    digests = (hashlib.blake2b(row, digest_size=16, key=b"%d" % seed).digest() for row in x)
    return [np.frombuffer(digest, np.uint64) for digest in digests]


def _noise(keys: list[np.ndarray], draws: slice, L: int) -> np.ndarray:
    """Return eps (R, s, L), float32 draws from N(0, 1), the same on every backend.

    Philox turns (key, counter) into random numbers without a history; its counter's upper half
    says at which of a row's draws a block starts.
    """
    philox = np.random.Philox(key=0)
    generator, state = np.random.Generator(philox), philox.state
    eps = np.empty((len(keys), draws.stop - draws.start, L), np.float32)
    for key, out in zip(keys, eps, strict=True):
        state["state"]["key"][:] = key
        state["state"]["counter"][:] = (0, 0, draws.start, 0)
        philox.state = state
        generator.standard_normal(dtype=np.float32, out=out)
    return eps


def _slices(n: int, size: int) -> Iterator[slice]:
    """Cut 0 … n into slices of at most `size`."""
    size = max(1, size)
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def _width(model: Autoencoder) -> int:
    """Return the width of the model's widest layer."""
    return max(model.n_features, *(max(view.shape) for view in model.parameters.values()))
