"""The latent space: is z a draw from N(mu, σ²), and is the KL what a simulation finds?

Differences prove that a backward pass belongs to its forward pass, not that the forward pass is
right. So the draw is judged by its statistics, and the KL by a Monte Carlo estimate.
"""

import math

import numpy as np
import pytest
from witness import assert_gradients, relative_error

from tinyvae.core.latent import kl, kl_backward, reparameterize, reparameterize_backward
from tinyvae.core.layers import Dense, Sequential
from tinyvae.models import VAE

SHAPES = [(1, 1), (1, 3), (6, 1), (5, 4)]
MU = np.array([0.0, -1.5, 2.0, 0.5])
LOGVAR = np.array([-3.0, -0.5, 0.0, 1.5])  # standard deviations 0.22, 0.78, 1 and 2.1


@pytest.mark.parametrize("shape", SHAPES)
def test_reparameterization_gradient_matches_differences(shape, rng):
    mu, logvar, eps, dz = rng.standard_normal((4, *shape))
    dmu, dlogvar = reparameterize_backward(dz, logvar, eps)

    def f():
        return (dz * reparameterize(mu, logvar, eps)).sum()

    assert_gradients(f, {"mu": (mu, dmu), "logvar": (logvar, dlogvar)})


@pytest.mark.parametrize("shape", SHAPES)
def test_kl_gradient_matches_differences(shape, rng):
    mu, logvar, dkl = rng.standard_normal((3, *shape))
    for upstream in (dkl, 0.25):  # one number for each entry, or one for all
        dmu, dlogvar = kl_backward(upstream, mu, logvar)

        def f(upstream=upstream):
            return (upstream * kl(mu, logvar)).sum()

        assert_gradients(f, {"mu": (mu, dmu), "logvar": (logvar, dlogvar)})


def test_float32_stays_float32_and_agrees_with_float64(rng):
    arrays = rng.standard_normal((4, 5, 3))
    found = []
    for dtype in ("float32", "float64"):
        mu, logvar, eps, dz = arrays.astype(dtype)
        z, divergence = reparameterize(mu, logvar, eps), kl(mu, logvar)
        back = reparameterize_backward(dz, logvar, eps) + kl_backward(0.2, mu, logvar)
        found.append([z, divergence, *back])
        assert {array.dtype for array in found[-1]} == {np.dtype(dtype)}
    for single, double in zip(*found, strict=True):
        assert relative_error(single, double) < 1e-6


def test_near_collapse_float32_keeps_the_digits_of_the_kl_and_its_gradient():
    """Against power series: σ² − 1 = s + s²/2 + …, and 2 KL = s²/2 + s³/6 + …."""
    logvar = np.concatenate([-np.geomspace(1e-4, 1e-2, 500), np.geomspace(1e-4, 1e-2, 500)])
    logvar, mu = logvar.astype("float32"), np.zeros(1000, "float32")
    value, gradient = kl(mu, logvar), kl_backward(1.0, mu, logvar)[1]
    assert value.dtype == gradient.dtype == "float32" and (value > 0).all()
    s = logvar.astype("float64")
    assert np.abs(value / (s**2 / 4 + s**3 / 12 + s**4 / 48) - 1).max() < 2e-3
    assert np.abs(gradient / (s / 2 + s**2 / 4 + s**3 / 12 + s**4 / 48) - 1).max() < 1e-6


def test_z_has_the_mean_mu_and_the_standard_deviation_exp_half_logvar(rng):
    n = 100_000
    z = reparameterize(MU, LOGVAR, rng.standard_normal((n, 4)))
    sigma = np.array([math.exp(value / 2) for value in LOGVAR])
    # Over n draws the mean is off by about σ / √n, the standard deviation by about σ / √2n.
    assert (np.abs(z.mean(axis=0) - MU) < 4 * sigma / math.sqrt(n)).all()
    assert (np.abs(z.std(axis=0) - sigma) < 4 * sigma / math.sqrt(2 * n)).all()


class Recorder:
    """A layer that remembers its input: what stands first in a decoder sees z."""

    def forward(self, x):
        self.x = x
        return x

    def backward(self, dy):
        return dy


def drawn_by_a_model(n: int, **options) -> np.ndarray:
    """Return z (n, 4), as a VAE draws it, where q(z|x) = N(MU, exp(LOGVAR)) for every x."""
    recorder = Recorder()
    vae = VAE(
        encoder=Sequential(Dense(2, 8)),
        decoder=Sequential(recorder, Dense(4, 2)),
        latent_dim=4,
        backend="numpy",
        **options,
    )
    vae.parameters["encoder.0.W"][...] = 0
    vae.parameters["encoder.0.b"][...] = np.concatenate([MU, LOGVAR])
    vae.forward(np.zeros((n, 2)))
    return recorder.x


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_model_draws_z_from_q_independently_for_each_row_and_dimension(dtype):
    n = 100_000
    z = drawn_by_a_model(n, dtype=dtype).astype("float64")
    sigma = np.exp(LOGVAR / 2)
    assert (np.abs(z.mean(axis=0) - MU) < 4 * sigma / math.sqrt(n)).all()
    assert (np.abs(z.std(axis=0) - sigma) < 4 * sigma / math.sqrt(2 * n)).all()

    # The correlation of independent draws is about 1 / √n off 0.
    between_dimensions = np.corrcoef(z.T) - np.eye(4)
    standardized = (z - MU) / sigma
    between_rows = (standardized[1:] * standardized[:-1]).mean(axis=0)
    assert np.abs(between_dimensions).max() < 4.5 / math.sqrt(n)
    assert np.abs(between_rows).max() < 4.5 / math.sqrt(n)


def test_a_model_draws_fresh_noise_in_every_pass_and_the_same_from_the_same_seed():
    np.testing.assert_array_equal(drawn_by_a_model(5, seed=1), drawn_by_a_model(5, seed=1))
    assert (drawn_by_a_model(5, seed=1) != drawn_by_a_model(5, seed=2)).all()
    vae = VAE(n_features=3, latent_dim=2, hidden=(4,), backend="numpy")
    x = np.ones((4, 3))
    vae.forward(x)
    first = vae.eps
    vae.forward(x)
    assert (vae.eps != first).all()


@pytest.mark.parametrize("seed", range(3))
def test_kl_agrees_with_monte_carlo(seed):
    """E_q[log q(z) − log p(z)] by simulation, from the normal densities alone."""
    rng = np.random.default_rng(seed)
    mu, logvar = rng.normal(0, 1, 4), rng.normal(-0.5, 1, 4)
    sigma, n = np.sqrt(np.exp(logvar)), 50_000
    z = rng.normal(mu, sigma, size=(n, 4))
    q = np.exp(-(((z - mu) / sigma) ** 2) / 2) / (sigma * math.sqrt(2 * math.pi))
    p = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    draws = np.log(q / p)
    standard_error = draws.std(axis=0) / math.sqrt(n)
    assert (np.abs(draws.mean(axis=0) - kl(mu, logvar)) < 4 * standard_error).all()


def test_kl_is_0_at_the_prior_and_positive_elsewhere(rng):
    assert kl(np.zeros((1, 1)), np.zeros((1, 1))) == 0.0
    assert (kl(rng.normal(size=(50, 2)), rng.normal(size=(50, 2))) > 0).all()
