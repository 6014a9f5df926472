"""What p(x|z) says cell by cell: the cells that are missing, and each column's share of log p(x).

Both are means over draws z_s ~ q(z|x), with the weights of `log_likelihood`,

    w_s = p(x|z_s) p(z_s) / q(z_s|x),      ŵ_s = w_s / Σ_t w_t

where x stands for its observed cells. For any function f, Σ_s ŵ_s f(z_s) goes to the mean of f over
the true posterior p(z|x) as the number of draws grows, however poor q is (self-normalised
importance sampling; for missing cells Mattei & Frellsen 2019).

Where a row lacks much, or is unlike those that were trained on, q(z|x) may be far from p(z|x), and
too narrow; no weight brings back what is never drawn. So `impute` draws every second z_s from the
prior and the others from the Gaussian that Laplace's method fits to each row
(`tinyvae.evaluate.laplace`), r(z), with ½ r(z) + ½ p(z) in place of q: no weight is above
2 p(x|z_s), and where r is good no more than half of the draws are lost.
"""

import copy
from collections.abc import Iterator
from typing import NamedTuple, cast

import numpy as np

from tinyvae import checks
from tinyvae.checks import by_keyword
from tinyvae.core.arrays import Array
from tinyvae.core.latent import kl
from tinyvae.device import seed_sequence
from tinyvae.evaluate.laplace import near_posterior
from tinyvae.evaluate.passes import Weights, checked, decoded_draws, lacking, log_weights
from tinyvae.models import VAE, Autoencoder, of_observed_cells


class Imputed(NamedTuple):
    """What `impute` returns.

    Parameters
    ----------
    x : array (N, D)
        The data; the missing cells hold their means given the observed cells of the row.
    draws : array (M, N, D)
        The data M times, the missing cells drawn together from p(x_missing|x_observed).
    effective_samples : array (N,)
        How many of the draws carry a row's means (NaN where no cell of it is missing).
    """

    x: np.ndarray
    draws: np.ndarray
    effective_samples: np.ndarray


class Shares(NamedTuple):
    """What `shares` returns: columns.sum(axis=1) + kl = value, in nats.

    Parameters
    ----------
    value : array (N,)
        log p(x), or the ELBO, of each example.
    columns : array (N, D)
        The mean of log p(x_d|z) of each column; 0 where it is missing.
    kl : array (N,)
        What is left: minus the KL of the posterior from the prior.
    """

    value: np.ndarray
    columns: np.ndarray
    kl: np.ndarray


@by_keyword
def impute(
    model: VAE, x: Array, *, samples: int = 1000, draws: int = 0, seed: int = 0,
    labels: Array | None = None,
) -> Imputed:  # fmt: skip
    """Fill in the missing cells of x, and leave the others as they are.

    A missing cell's mean is E[x_d|x_observed] ≈ Σ_s ŵ_s E[x_d|z_s] (of a category: its columns'
    probabilities). For multiple imputation, each of the `draws` takes one z_s with the probability
    ŵ_s, and all missing cells of the row from p(x|z_s): their spread is that of the model's
    uncertainty. It is assumed that cells are missing at random.

    Parameters
    ----------
    model : VAE
        One that was not made or trained with `missing` sees 0 in missing cells.
    x : array (N, D) of floats
        NaN, or a masked cell of a masked array, is a missing one.
    samples : int
        Draws z_s of each row.
    draws : int
        M, how many times to draw the missing cells.
    seed : int
    labels : array (N,) of int, for a conditional model

    Returns
    -------
    Imputed

    Raises
    ------
    ValueError
        For an Autoencoder, a likelihood of one's own, and for unfit x, labels or samples.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyvae import VAE
    >>> from tinyvae.evaluate import impute
    >>> vae = VAE(3, 1, hidden=(), sigma="per-feature", missing=True, backend="numpy")
    >>> x = np.array([[0.5, np.nan, -1.0]])
    >>> found = impute(vae, x, samples=100, draws=2)
    >>> bool(np.isfinite(found.x).all()), found.draws.shape
    (True, (2, 1, 3))
    """
    S, M = checks.integer("samples", samples, 1), checks.integer("draws", draws, 0)
    if not isinstance(model, VAE):
        raise ValueError("an Autoencoder has no distribution over z to impute from: train a VAE")
    if not model.missing:
        model = copy.deepcopy(model)
        model.accept_missing()
    x, labels = checked(model, x, labels)
    filled, missing = np.array(x), np.isnan(x)
    effective = np.full(len(x), np.nan)
    drawn = np.repeat(filled[None], M, axis=0)
    gaps = np.flatnonzero(missing.any(axis=1))  # the rows with missing cells
    if not len(gaps):
        return Imputed(filled, drawn, effective)
    some = x[gaps], None if labels is None else labels[gaps]
    means, weights = np.zeros(some[0].shape), Weights(len(gaps))
    choices = np.random.default_rng(seed_sequence(seed, "sample"))
    rng = model.backend.generator(seed_sequence(seed, "sample", 1))
    candidates = np.zeros((M, *some[0].shape))
    for rows, w, rescale, y, _ in near_posterior(model, *some, S, seed, weights):
        mean = model.backend.to_numpy(model.likelihood.mean(y)).reshape(*w.shape, -1)
        means[rows] = means[rows] * rescale[:, None] + np.einsum("rs,rsd->rd", w, mean)
        if M:
            # A draw of this block takes the place of an earlier one as often as the block weighs.
            R, block = len(w), w.sum(axis=1)
            replaced = choices.random((M, R)) < block / weights.total[rows]
            u = choices.random((M, R, 1)) * block[:, None]
            chosen = (w.cumsum(axis=1)[:, :-1] < u).sum(axis=2)  # (M, R), which of the s draws
            places = (np.arange(R) * w.shape[1] + chosen).ravel()
            new = model.likelihood.sample(y[model.backend.asarray(places)], rng)
            new = model.backend.to_numpy(new).reshape(M, R, -1)
            candidates[:, rows] = np.where(replaced[:, :, None], new, candidates[:, rows])
    means /= weights.total[:, None]
    filled[missing] = means[missing[gaps]]
    drawn[:, missing] = candidates[:, missing[gaps]]
    effective[gaps] = weights.effective_samples
    return Imputed(filled, drawn, effective)


@by_keyword
def shares(
    model: Autoencoder, x: Array, *, of: str = "log_likelihood", samples: int = 500, seed: int = 0,
    labels: Array | None = None,
) -> Shares:  # fmt: skip
    """Return what each column adds to log p(x), or to the ELBO, of each example.

    With E_q the mean over q(z|x), and E_p that over p(z|x), here with the weights ŵ,

        ELBO     = Σ_d E_q[log p(x_d|z)] − KL(q(z|x) ‖ p(z))
        log p(x) = Σ_d E_p[log p(x_d|z)] − KL(p(z|x) ‖ p(z))

    The second holds as log p(x) = log p(x|z) + log p(z) − log p(z|x) for every z (Bayes' rule). An
    example with a low value is an unusual one, and a column with a low share says why.

    Parameters
    ----------
    model : VAE; or Autoencoder, with of="elbo" and a kl of 0
    x : array (N, D) of floats
    of : {"log_likelihood", "elbo"}
    samples : int
        Draws from q(z|x).
    seed : int
    labels : array (N,) of int, for a conditional model

    Returns
    -------
    Shares
        `value` is what `log_likelihood` and `elbo_per_example` return for the same samples.

    Raises
    ------
    ValueError
        For log p(x) of an Autoencoder, a likelihood of one's own, and for unfit arguments.
    """
    checks.choice("of", of, ["log_likelihood", "elbo"])
    S = checks.integer("samples", samples, 1)
    if of == "log_likelihood" and not isinstance(model, VAE):
        raise ValueError("an Autoencoder has no log p(x): take of='elbo', or train a VAE")
    x, labels = checked(model, x, labels)
    likelihood = of_observed_cells(model.likelihood, model.backend.xp.ones(1, model.dtype))
    columns, divergence, value = np.zeros(x.shape), np.zeros(len(x)), np.zeros(len(x))

    def cells(y: Array, target: Array, R: int) -> np.ndarray:  # (R, s, D)
        found = model.backend.to_numpy(likelihood.observed_cells(y, target))
        return found.reshape(R, -1, x.shape[1]).astype(float)

    if of == "elbo":
        for rows, mu, logvar, eps, y, target in decoded_draws(model, x, labels, S, seed):
            columns[rows] -= cells(y, target, len(mu)).sum(axis=1) / S
            if logvar is not None:  # counted once for each draw, as the cells are
                of_rows = model.backend.to_numpy(kl(mu, logvar).sum(axis=1))
                divergence[rows] -= of_rows * (eps.shape[1] / S)
        return Shares(columns.sum(axis=1) + divergence, columns, divergence)
    gaps = lacking(model, x)
    for some, draws in ((~gaps, _weighted), (gaps, near_posterior)):  # as `log_likelihood` does
        weights, of_some = Weights(int(some.sum())), None if labels is None else labels[some]
        found = np.zeros((len(weights.total), x.shape[1]))
        parts = draws(cast(VAE, model), x[some], of_some, S, seed, weights)
        for rows, w, rescale, y, target in parts if some.any() else ():
            sums = np.einsum("rs,rsd->rd", w, cells(y, target, len(w)))
            found[rows] = found[rows] * rescale[:, None] - sums
        columns[some] = found / weights.total[:, None]
        value[some] = weights.log_mean(S)
    return Shares(value, columns, value - columns.sum(axis=1))


def _weighted(
    model: VAE, x: Array, labels: Array | None, S: int, seed: int, weights: Weights
) -> Iterator[tuple[slice, np.ndarray, np.ndarray, Array, Array]]:
    """Yield (rows, w, rescale, y, target): the weights w (R, s) of draws, added to `weights`, the
    factor (R,) of sums over earlier draws, the decoder's answers y (R s, D) and the rows of x."""
    for rows, mu, logvar, eps, y, target in decoded_draws(model, x, labels, S, seed):
        nll = model.likelihood.nll(y, target).reshape(len(mu), -1)
        log_w = model.backend.to_numpy(log_weights(mu, logvar, eps, nll)).astype(float)
        yield rows, *weights.add(rows, log_w), y, target
