"""Laplace's method: exact where the posterior is Gaussian, close to a sum over a grid elsewhere."""

import math

import numpy as np
import pytest

from tinyvae import VAE, Autoencoder, evaluate, fit
from tinyvae.evaluate.laplace import laplace, log_evidence

D, L, N = 6, 2, 30
COLUMNS = [("gaussian", 2), ("categorical", 3), ("bernoulli", 1)]
SIDE = np.linspace(-6, 6, 241)
GRID = np.stack(np.meshgrid(SIDE, SIDE, indexing="ij"), axis=-1).reshape(-1, L)  # (G, L)


def with_gaps(x: np.ndarray) -> np.ndarray:
    """Return x with a third of its cells missing, in no row all; a category's three together."""
    gone = np.random.default_rng(1).random(x.shape) < 1 / 3
    gone[:, 3:5] = gone[:, 2:3]
    gone[:, 0] &= ~gone.all(axis=1)
    return np.where(gone, math.nan, x)


def mixed_rows(rng: np.random.Generator) -> np.ndarray:
    z = rng.standard_normal((200, L))
    numbers = z @ np.array([[1.0, 0.5], [-0.5, 1.0]]) + 0.5 * rng.standard_normal((200, 2))
    categories = np.eye(3)[(z[:, 0] > 0.5).astype(int) + (z[:, 0] > -0.5)]
    return np.hstack([numbers, categories, (z[:, 1:] > 0).astype(float)])


def on_grid(vae: VAE, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return log p(x) (N,) and the weights p(z|x) (N, G), by a sum over a grid of z."""
    y = vae.decoder_output(GRID)
    log_prior = -0.5 * (GRID**2).sum(axis=1) + L * math.log(SIDE[1] - SIDE[0])
    log_prior -= 0.5 * L * math.log(2 * math.pi)
    log_joint = np.array(
        [log_prior - vae.likelihood.nll(y, np.repeat(row[None], len(y), axis=0)) for row in x]
    )
    log_p = np.logaddexp.reduce(log_joint, axis=1)
    return log_p, np.exp(log_joint - log_p[:, None])


@pytest.fixture(scope="module")
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_of_factor_analysis_all_is_exact(rng, dtype):
    W, b, psi = rng.standard_normal((L, D)), rng.standard_normal(D), rng.uniform(0.2, 1, D)
    vae = VAE(D, L, hidden=(), sigma="per-feature", missing=True, dtype=dtype, backend="numpy")
    vae.parameters["decoder.0.W"], vae.parameters["decoder.0.b"] = W, b
    vae.likelihood.sigma = np.sqrt(psi)
    x = with_gaps(rng.standard_normal((N, L)) @ W + b + rng.standard_normal((N, D)) * np.sqrt(psi))
    found = laplace(vae, vae.as_batch(x))
    close = {"rtol": 2e-3, "atol": 2e-3} if dtype == "float32" else {"rtol": 1e-7, "atol": 1e-7}
    C = W.T @ W + np.diag(psi)
    for n, row in enumerate(x):
        o = ~np.isnan(row)
        precision = np.eye(L) + (W[:, o] / psi[o]) @ W[:, o].T
        mean = np.linalg.solve(precision, (W[:, o] / psi[o]) @ (row[o] - b[o]))
        K, centred = C[np.ix_(o, o)], row[o] - b[o]
        log_p = -0.5 * (o.sum() * math.log(2 * math.pi) + np.linalg.slogdet(K)[1])
        log_p -= 0.5 * centred @ np.linalg.solve(K, centred)
        V = found.eigenvectors[n]
        np.testing.assert_allclose(found.mode[n], mean, **close)
        np.testing.assert_allclose(V * found.eigenvalues[n] @ V.T, precision, **close)
        np.testing.assert_allclose(found.log_p[n], log_p, **close)


def test_draws_have_the_density_that_is_told():
    vae = VAE(D, L, hidden=(8,), sigma=0.3, missing=True, dtype="float64", backend="numpy")
    found = laplace(vae, vae.sample(3, seed=0, noise=True))
    eps = np.random.default_rng(0).standard_normal((3, 50_000, L))
    z = found.draw(eps)
    for n in range(3):
        V = found.eigenvectors[n]
        covariance = V / found.eigenvalues[n] @ V.T
        np.testing.assert_allclose(np.cov(z[n].T), covariance, atol=0.02)
        np.testing.assert_allclose(z[n].mean(axis=0), found.mode[n], atol=0.02)
        half = 0.5 * np.linalg.slogdet(covariance)[1]
        np.testing.assert_allclose(
            found.log_density(z)[n], -0.5 * (eps[n] ** 2).sum(axis=1) - half, rtol=1e-9
        )


@pytest.mark.parametrize("kind", ["mixed", "bernoulli", "gaussian", "one sigma"])
def test_of_other_models_it_is_close_to_a_sum_over_a_grid(rng, kind):
    x = mixed_rows(rng)
    settings = {
        "mixed": {"likelihood": "mixed", "columns": COLUMNS},
        "bernoulli": {"likelihood": "bernoulli"},
        "gaussian": {"sigma": "per-feature"},
        "one sigma": {},
    }[kind]
    x = (x > 0).astype(float) if kind == "bernoulli" else x
    vae = VAE(D, L, hidden=(16,), activation="tanh", missing="mask", **settings, dtype="float64",
              backend="numpy")  # fmt: skip
    fit(vae, with_gaps(x), 60, batch_size=20, lr=5e-3, progress=False)
    few = with_gaps(x)[:40]
    found, (log_p, p) = laplace(vae, vae.as_batch(few)), on_grid(vae, few)
    q_only = evaluate.elbo_per_example(vae, few, samples=50).elbo
    assert np.abs(found.log_p - log_p).mean() < min(0.4, np.abs(q_only - log_p).mean())
    # z* is where p(z|x) is largest: no place on the grid is better than it by more than rounding.
    best = GRID[p.argmax(axis=1)]
    f = -vae.likelihood.nll(vae.decoder_output(found.mode), vae.as_batch(few))
    f_grid = -vae.likelihood.nll(vae.decoder_output(best), vae.as_batch(few))
    lost = f_grid - 0.5 * (best**2).sum(axis=1) - (f - 0.5 * (found.mode**2).sum(axis=1))
    assert np.quantile(lost, 0.9) < 0.01  # a few rows may have two peaks


def test_rows_are_judged_by_themselves_and_in_blocks(monkeypatch, rng):
    x = with_gaps(rng.standard_normal((N, D)))
    vae = VAE(D, L, hidden=(8,), sigma=0.3, missing=True, dtype="float64", backend="numpy")
    whole = log_evidence(vae, x)
    np.testing.assert_allclose(log_evidence(vae, x[4:5]), whole[4:5], rtol=1e-12)
    monkeypatch.setattr("tinyvae.evaluate.laplace.BLOCK", 200)
    np.testing.assert_allclose(log_evidence(vae, x), whole, rtol=1e-12)


def test_labels_and_a_model_in_use_elsewhere_are_heeded(rng):
    x, labels = rng.standard_normal((N, D)), rng.integers(3, size=N)
    vae = VAE(D, L, hidden=(8,), sigma=0.3, n_classes=3, missing=True, backend="numpy")
    vae.forward(x, labels=labels)
    found = laplace(vae, vae.as_batch(x[:5]), labels[:5])
    other = laplace(vae, vae.as_batch(x[:5]), (labels[:5] + 1) % 3)
    assert np.abs(found.mode - other.mode).max() > 1e-3
    vae.backward()  # still of the 30 rows
    assert len(vae.likelihood.x) == N


def test_an_autoencoder_has_no_such_posterior(rng):
    x = with_gaps(rng.standard_normal((40, D)))
    model = Autoencoder(D, L, hidden=(8,), missing=True, backend="numpy")
    history = fit(model, x, 3, validation=x, patience=2, progress=False)
    assert "val_log_p" not in history[0]
