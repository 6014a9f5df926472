"""Probabilistic PCA: the VAE whose best ELBO is known exactly.

With a linear decoder and a Gaussian likelihood, p(x) = N(b, WᵀW + σ² I) is a Gaussian, and the
weights that maximise its likelihood follow from an eigendecomposition (Tipping & Bishop 1999). The
true posterior is a Gaussian that a linear encoder can reach, so that the trained ELBO must close
the whole gap to log p(x) (Lucas et al. 2019). Nothing here shares a formula with the package.
"""

import math
from functools import cache

import numpy as np
import pytest

from tinyvae.core.optim import Adam
from tinyvae.models import VAE

D, N = 8, 500


@cache
def data(L: int) -> np.ndarray:
    """Return N draws (N, D) from L factors of different strength plus noise, not centred."""
    rng = np.random.default_rng(L)
    directions = np.linalg.qr(rng.standard_normal((D, L)))[0].T
    strengths = np.linspace(3.0, 1.5, L)[:, None]
    factors = rng.standard_normal((N, L))
    return factors @ (strengths * directions) + 0.5 * rng.standard_normal((N, D)) + 2.0


def exact_log_likelihood(x: np.ndarray, L: int) -> tuple[float, float]:
    """Return the largest mean log likelihood of probabilistic PCA, and its σ²."""
    eigenvalues = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1]
    variance = eigenvalues[L:].mean()  # what the L directions leave over
    log_det = np.log(eigenvalues[:L]).sum() + (D - L) * math.log(variance)
    return -0.5 * (D * math.log(2 * math.pi) + log_det + D), variance


def expected_elbo(vae: VAE, x: np.ndarray) -> tuple[float, float]:
    """Return the ELBO without sampling noise, at its best σ², and that σ².

    For a linear decoder E‖x − x_hat‖² = ‖x − mu W − b‖² + Σ_j σ_j² ‖W_j‖² under q(z|x).
    """
    W, b = vae.parameters["decoder.0.W"], vae.parameters["decoder.0.b"]
    mu, logvar = vae.encode(x)
    error = ((x - mu @ W - b) ** 2).sum(axis=1) + np.exp(logvar) @ (W**2).sum(axis=1)
    variance = error.mean() / D
    reconstruction = 0.5 * D * (1 + math.log(2 * math.pi * variance))
    kl = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1).mean()
    return -(reconstruction + kl), variance


@cache
def trained(L: int, sigma: float | str) -> VAE:
    vae = VAE(D, L, hidden=(), sigma=sigma, dtype="float64", backend="numpy", seed=L)
    optimizer = Adam(vae.parameters, beta2=0.99)
    for optimizer.lr in np.geomspace(0.1, 1e-4, 4000).tolist():
        vae.forward(data(L))
        vae.backward()
        optimizer.step()
    return vae


def test_a_linear_vae_reaches_the_exact_log_likelihood():
    exact, variance = exact_log_likelihood(data(2), 2)
    elbo, _ = expected_elbo(trained(2, math.sqrt(variance)), data(2))
    assert exact - 0.01 < elbo <= exact + 1e-9


def test_a_linear_vae_with_auto_sigma_reaches_it_and_finds_the_variance():
    exact, variance = exact_log_likelihood(data(3), 3)
    elbo, found = expected_elbo(trained(3, "auto"), data(3))
    assert exact - 0.01 < elbo <= exact + 1e-9
    assert found == pytest.approx(variance, rel=0.01)


def test_its_decoder_spans_the_principal_directions_and_its_mean_is_the_datas():
    x = data(3)
    vae = trained(3, "auto")
    principal = np.linalg.eigh(np.cov(x.T))[1][:, -3:]
    spanned = np.linalg.qr(vae.parameters["decoder.0.W"].T)[0]
    angles = np.arccos(np.clip(np.linalg.svd(principal.T @ spanned)[1], -1, 1))
    assert np.degrees(angles.max()) < 1
    aggregate = vae.encode(x)[0].mean(axis=0)
    assert np.abs(vae.decode(aggregate[None])[0] - x.mean(axis=0)).max() < 0.05


def test_its_sampled_elbo_is_a_lower_bound_close_to_the_exact_value():
    """The package's own loss, one draw of z for each example, against the same exact value."""
    exact, variance = exact_log_likelihood(data(2), 2)
    vae = trained(2, math.sqrt(variance))
    elbos = [float(vae.forward(data(2)).elbo) for _ in range(100)]
    standard_error = np.std(elbos) / 10
    assert exact - 0.01 - 4 * standard_error < np.mean(elbos) < exact + 4 * standard_error


def test_importance_sampling_finds_the_exact_likelihood_of_each_example():
    evaluate = pytest.importorskip("tinyvae.evaluate")
    x = data(2)[:40]
    variance = exact_log_likelihood(data(2), 2)[1]
    vae = trained(2, math.sqrt(variance))
    W, b = vae.parameters["decoder.0.W"], vae.parameters["decoder.0.b"]
    covariance = W.T @ W + vae.sigma**2 * np.eye(D)
    centred = x - b
    distance = (centred @ np.linalg.inv(covariance) * centred).sum(axis=1)
    log_det = np.linalg.slogdet(covariance)[1]
    exact = -0.5 * (D * math.log(2 * math.pi) + log_det + distance)
    found = evaluate.log_likelihood(vae, x, samples=200)
    assert np.abs(found.log_likelihood - exact).max() < 0.05
    assert found.log_likelihood.mean() == pytest.approx(exact.mean(), abs=0.005)
