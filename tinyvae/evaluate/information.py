"""Measure how much a latent code tells of the data: the mutual information I(x; z), and the rest of
the KL, KL(q(z) ‖ p(z)), both in nats.
"""

import math
from typing import NamedTuple

import numpy as np

from tinyvae import checks
from tinyvae.checks import by_keyword
from tinyvae.core.arrays import Array
from tinyvae.core.latent import reparameterize
from tinyvae.data.blocks import blocks
from tinyvae.evaluate.passes import BLOCK, checked, posterior
from tinyvae.models import VAE


class MutualInformation(NamedTuple):
    """The two parts of the KL, their standard errors, and log N, which the first cannot exceed.

    Parameters
    ----------
    mutual_information, mutual_information_standard_error : float
    aggregate_kl, aggregate_kl_standard_error : float
    information_limit : float
        log N. All are in nats.
    """

    mutual_information: float
    mutual_information_standard_error: float | None
    aggregate_kl: float
    aggregate_kl_standard_error: float | None
    information_limit: float


@by_keyword
def mutual_information(
    model: VAE, x: Array, *, draws: int = 2000, seed: int = 0, labels: Array | None = None
) -> MutualInformation:
    """Split the KL in two (Hoffman & Johnson 2016): mean KL(q(z|x) ‖ p) = I(x; z) + KL(q(z) ‖ p).

    q(z) = 1/N Σ_n q(z|x_n), the aggregate posterior, is a mixture that is known exactly: only z is
    sampled, one draw each from `draws` of the examples (all, where there are fewer).

    I(x; z) is the information about *which of these N examples* it was, so at most log N nats. Of
    the distribution that the data come from it is, in expectation, a lower bound: near log N it
    tells little, and KL(q(z) ‖ p) then holds what is missing. Work grows with draws · N.

    Parameters
    ----------
    model : VAE
    x : as of `elbo`
    draws : int
        How many examples z is drawn for.
    seed, labels : as of `elbo`

    Returns
    -------
    MutualInformation

    Raises
    ------
    ValueError
        For an Autoencoder, fewer than 2 draws, and unfit x or labels.
    """
    if not isinstance(model, VAE):
        raise ValueError("an Autoencoder has no distribution over z, so no information: take a VAE")
    draws = checks.integer("draws", draws, 2)
    mu, logvar = posterior(model, *checked(model, x, labels))
    assert logvar is not None  # of a VAE
    N = len(mu)
    rng = np.random.default_rng(checks.integer("seed", seed, 0))
    chosen = rng.permutation(N)[:draws]
    eps = rng.standard_normal((len(chosen), mu.shape[1]))
    z = reparameterize(mu[chosen], logvar[chosen], eps)  # (M, L)
    # All logarithms of densities lack the same −½ L log 2π, which cancels.
    own = -0.5 * (eps**2 + logvar[chosen]).sum(axis=1)  # (M,) log q(z|x) of the z's own x
    prior = -0.5 * (z**2).sum(axis=1)
    aggregate = _log_mixture(z, mu, logvar)
    information, mismatch = own - aggregate, aggregate - prior
    return MutualInformation(
        float(information.mean()),
        standard_error(information),
        float(mismatch.mean()),
        standard_error(mismatch),
        math.log(N),
    )


def _log_mixture(z: np.ndarray, mu: np.ndarray, logvar: np.ndarray) -> np.ndarray:
    """Return log 1/N Σ_n N(z; mu_n, σ_n²), (M,), up to the constant; z (M, L), mu (N, L)."""
    precision = np.exp(-logvar)  # (N, L)
    constant = -0.5 * (mu * mu * precision + logvar).sum(axis=1)  # (N,)
    result = np.empty(len(z))
    for rows in blocks(len(z), BLOCK // len(mu)):
        # −½ (z − mu)² / σ², multiplied out, so that two matrix products do the work
        log_q = z[rows] @ (mu * precision).T - 0.5 * z[rows] ** 2 @ precision.T + constant
        highest = log_q.max(axis=1)  # (m,)
        log_q -= highest[:, None]
        result[rows] = highest + np.log(np.exp(log_q, out=log_q).mean(axis=1))
    return result


def standard_error(values: np.ndarray) -> float | None:
    """Return the standard error of the mean, or None for a single value.

    Parameters
    ----------
    values : array (N,)
    """
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None
