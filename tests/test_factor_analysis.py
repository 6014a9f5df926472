"""Factor analysis: the VAE with a σ of each feature whose best ELBO is known exactly.

With a linear decoder, p(x) = N(b, WᵀW + Ψ) with the diagonal Ψ of the features' σ². scikit-learn
finds the most likely W and Ψ by its EM algorithm; the trained ELBO must come close to its exact log
likelihood. (Where one feature's ψ goes to 0, a Heywood case, there is no best model: here all of
them are 0.05 or more.)
"""

import math
from functools import cache

import numpy as np
import pytest

from tinyvae import VAE, evaluate, fit

decomposition = pytest.importorskip(
    "sklearn.decomposition", reason="scikit-learn, the witness of these tests, is not installed"
)
D, L, N = 8, 2, 600


@cache
def data() -> np.ndarray:
    """Return N draws (N, D) from L factors plus a noise of each feature's own, standardised."""
    rng = np.random.default_rng(5)
    psi = rng.uniform(0.3, 1.2, D)
    x = rng.standard_normal((N, L)) @ rng.standard_normal((L, D))
    x += np.sqrt(psi) * rng.standard_normal((N, D))
    return (x - x.mean(axis=0)) / x.std(axis=0)


@cache
def exact():
    """Return scikit-learn's factor analysis of the data."""
    return decomposition.FactorAnalysis(L, tol=1e-9, svd_method="lapack", max_iter=10_000).fit(
        data()
    )


@cache
def trained() -> VAE:
    vae = VAE(D, L, hidden=(), sigma="per-feature", dtype="float64", backend="numpy")
    fit(vae, data(), 200, batch_size=100, lr=3e-2, lr_schedule="cosine", progress=False)
    return vae


def expected_elbo(vae: VAE, x: np.ndarray) -> float:
    """Return the ELBO without sampling noise: E(x_d − x_hat_d)² = error² + Σ_j σ_j² W_jd²."""
    W, b = vae.parameters["decoder.0.W"], vae.parameters["decoder.0.b"]
    mu, logvar = vae.encode(x)
    error = (x - mu @ W - b) ** 2 + np.exp(logvar) @ W**2
    nll = 0.5 * (error / vae.sigma**2 + np.log(2 * math.pi * vae.sigma**2)).sum(axis=1)
    kl = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)
    return -float((nll + kl).mean())


def test_a_linear_vae_with_a_sigma_of_each_feature_reaches_factor_analysis():
    assert exact().noise_variance_.min() >= 0.05
    assert exact().score(data()) - 0.1 < expected_elbo(trained(), data()) <= exact().score(data())
    sampled = evaluate.elbo(trained(), data(), samples=20).elbo
    assert exact().score(data()) - 0.1 < sampled < exact().score(data()) + 0.03


def test_it_finds_the_noise_of_each_feature():
    np.testing.assert_allclose(trained().sigma ** 2, exact().noise_variance_, rtol=0.15, atol=0.02)


def test_sigma_ends_as_the_exact_mean_squared_error_of_all_rows():
    W, b = trained().parameters["decoder.0.W"], trained().parameters["decoder.0.b"]
    mu, logvar = trained().encode(data())
    error = ((data() - mu @ W - b) ** 2 + np.exp(logvar) @ W**2).mean(axis=0)
    np.testing.assert_allclose(trained().sigma ** 2, error, rtol=0.03)  # of 34 draws a row


def test_one_sigma_for_all_features_cannot_reach_it():
    vae = VAE(D, L, hidden=(), sigma="auto", dtype="float64", backend="numpy")
    fit(vae, data(), 100, batch_size=100, lr=3e-2, lr_schedule="cosine", progress=False)
    assert evaluate.elbo(vae, data(), samples=20).elbo < exact().score(data()) - 0.1


@pytest.mark.parametrize("scale", [0.2, 3.0])
def test_data_of_other_scales_find_their_sigma(scale):
    """The first σ² is set from the data, so that a training begins at their own scale."""
    vae = VAE(D, L, hidden=(16,), sigma="per-feature", backend="numpy")
    fit(vae, scale * data(), 3, batch_size=100, progress=False)
    assert (abs(np.log(vae.sigma / scale)) < 1).all()


def test_data_too_large_to_compute_with_are_told_so():
    vae = VAE(D, L, hidden=(16,), sigma="per-feature", backend="numpy")
    with pytest.raises(FloatingPointError, match="data scaled to around 1"):
        fit(vae, 1e6 * data(), 3, batch_size=100, progress=False)
