"""Missing cells are filled with what a linear Gaussian model knows exactly; shares add up."""

import copy
import math

import capture
import numpy as np
import pytest

from tinyvae import IWAE, VAE, Autoencoder, evaluate, fit

D, L, N = 6, 2, 25
PSI = np.array([0.3, 0.5, 1.0, 0.2, 0.6, 0.4])
COLUMNS = [("gaussian", 2), ("categorical", 3), ("bernoulli", 1)]


@pytest.fixture(scope="module")
def linear() -> VAE:
    """x ~ N(b, WᵀW + Ψ), with the encoder that is right for whole rows, but for its diagonal."""
    rng = np.random.default_rng(0)
    W, b = rng.standard_normal((L, D)), rng.standard_normal(D)
    vae = VAE(D, L, hidden=(), sigma="per-feature", missing=True, dtype="float64", backend="numpy")
    precision = np.eye(L) + (W / PSI) @ W.T
    to_mu = (W / PSI).T @ np.linalg.inv(precision)  # (D, L)
    vae.parameters["decoder.0.W"], vae.parameters["decoder.0.b"] = W, b
    vae.parameters["encoder.0.W"] = np.hstack([to_mu, np.zeros((D, L))])
    # A missing cell enters as 0, so q is off there: it is broad enough to reach the right z.
    vae.parameters["encoder.0.b"] = np.concatenate([-b @ to_mu, np.full(L, -0.3)])
    vae.likelihood.sigma = np.sqrt(PSI)
    return vae


@pytest.fixture(scope="module")
def rows(linear) -> np.ndarray:
    """Rows from the model, of which a third of the cells are missing: one at least, never all."""
    rng = np.random.default_rng(1)
    x = linear.sample(N, seed=3, noise=True)
    gone = rng.random(x.shape) < 1 / 3
    gone[:, 0] &= ~gone.all(axis=1)
    gone[~gone.any(axis=1), 1] = True
    gone[:, 2] &= ~gone.all(axis=1)
    x[gone] = math.nan
    x[7] = np.where(np.arange(D) == 3, math.nan, x[0].clip(-1, 1))
    x[7, :3] = linear.parameters["decoder.0.b"][:3]
    return np.where(np.isnan(x), math.nan, x)


def conditional(vae: VAE, row: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean and the variance of the missing cells given the others, exactly, and the
    variance of their means given z."""
    W, b = vae.parameters["decoder.0.W"], vae.parameters["decoder.0.b"]
    C, o = W.T @ W + np.diag(PSI), ~np.isnan(row)
    gain = np.linalg.solve(C[np.ix_(o, o)], C[np.ix_(o, ~o)])  # (observed, missing)
    mean = b[~o] + (row[o] - b[o]) @ gain
    variance = np.diag(C[np.ix_(~o, ~o)] - C[np.ix_(~o, o)] @ gain)
    return mean, variance, variance - PSI[~o]


def test_imputed_means_are_the_exact_conditional_ones(linear, rows):
    found = evaluate.impute(linear, rows, samples=10_000)
    assert found.effective_samples.min() > 100
    np.testing.assert_array_equal(found.x[~np.isnan(rows)], rows[~np.isnan(rows)])
    for n, row in enumerate(rows):
        mean, _, of_means = conditional(linear, row)
        error = np.sqrt(of_means / found.effective_samples[n])
        assert (abs(found.x[n, np.isnan(row)] - mean) < 4 * error + 1e-9).all(), n


def test_an_encoder_that_is_too_sure_of_itself_does_not_narrow_the_draws(linear, rows):
    """q(z|x) has an eighth of the posterior's spread or less: alone it would never leave mu."""
    sure = copy.deepcopy(linear)
    sure.parameters["encoder.0.b"][L:] = -6
    found = evaluate.impute(sure, rows[:6], samples=10_000, draws=400)
    for n, row in enumerate(rows[:6]):
        mean, variance, _ = conditional(linear, row)
        drawn = found.draws[:, n, np.isnan(row)]
        assert (abs(drawn.mean(axis=0) - mean) < 4.5 * np.sqrt(variance / 400)).all()
        assert (abs(drawn.var(axis=0) / variance - 1) < 0.35).all()


def test_draws_have_the_exact_conditional_mean_and_spread(linear, rows):
    M = 400
    found = evaluate.impute(linear, rows[:6], samples=10_000, draws=M)
    assert found.draws.shape == (M, 6, D)
    for n, row in enumerate(rows[:6]):
        gaps = np.isnan(row)
        np.testing.assert_array_equal(found.draws[:, n, ~gaps], np.tile(row[~gaps], (M, 1)))
        mean, variance, _ = conditional(linear, row)
        drawn = found.draws[:, n, gaps]
        assert (abs(drawn.mean(axis=0) - mean) < 4.5 * np.sqrt(variance / M)).all()
        assert (abs(drawn.var(axis=0) / variance - 1) < 0.35).all()


def test_the_draws_of_a_row_keep_its_correlations(linear):
    """Two missing cells of a row come from the same z."""
    W = linear.parameters["decoder.0.W"]
    x = np.full((1, D), math.nan)
    drawn = evaluate.impute(linear, x, samples=10_000, draws=3000).draws[:, 0]
    C = W.T @ W + np.diag(PSI)
    found = np.cov(drawn.T)
    assert abs(found - C).max() < 0.15 * C.max()


def test_more_draws_than_a_block_holds_are_summed_up_right(linear, rows, monkeypatch):
    monkeypatch.setattr(evaluate.passes, "BLOCK", 100 * D)
    found = evaluate.impute(linear, rows[:1], samples=4000, draws=500)
    mean, variance, of_means = conditional(linear, rows[0])
    gaps = np.isnan(rows[0])
    error = np.sqrt(of_means / found.effective_samples[0])
    assert (abs(found.x[0, gaps] - mean) < 4 * error).all()
    drawn = found.draws[:, 0, gaps]
    assert (abs(drawn.mean(axis=0) - mean) < 4.5 * np.sqrt(variance / 500)).all()


def test_log_p_of_what_was_observed_is_exact_too(linear, rows):
    found = evaluate.log_likelihood(linear, rows, samples=10_000)
    W, b = linear.parameters["decoder.0.W"], linear.parameters["decoder.0.b"]
    C = W.T @ W + np.diag(PSI)
    for n, row in enumerate(rows):
        o = ~np.isnan(row)
        centred, K = row[o] - b[o], C[np.ix_(o, o)]
        distance = centred @ np.linalg.solve(K, centred)
        exact = -0.5 * (o.sum() * math.log(2 * math.pi) + np.linalg.slogdet(K)[1] + distance)
        assert abs(found.log_likelihood[n] - exact) < 4 * found.standard_error[n] + 1e-9


def test_few_draws_are_enough_for_log_p_of_rows_with_missing_cells(linear, rows):
    """Whichever rows stand beside them, whole or not, and in `shares` as in `log_likelihood`."""
    narrow = copy.deepcopy(linear)
    narrow.parameters["encoder.0.b"][L:] = -6.0  # a q(z|x) that is far too sure of itself
    whole = np.where(np.isnan(rows[:5]), 0.5, rows[:5])
    beside = np.concatenate([whole[:3], rows, whole[3:]])
    found = evaluate.log_likelihood(narrow, beside, samples=300)
    expected = evaluate.log_likelihood(linear, rows, samples=10_000).log_likelihood
    np.testing.assert_allclose(found.log_likelihood[3:-2], expected, atol=0.15)
    assert found.effective_samples[3:-2].min() > 100 > found.effective_samples[:3].max()
    shares = evaluate.shares(narrow, beside, samples=300)
    np.testing.assert_allclose(shares.value, found.log_likelihood, rtol=1e-10)


def test_a_row_does_not_depend_on_its_batch(linear, rows):
    alone = evaluate.impute(linear, rows[4:5], samples=300)
    np.testing.assert_allclose(
        alone.x[0], evaluate.impute(linear, rows, samples=300).x[4], rtol=1e-10
    )


def test_rows_without_a_gap_stay_as_they_are(linear, rows):
    x = np.nan_to_num(rows)
    found = evaluate.impute(linear, x, draws=2)
    np.testing.assert_array_equal(found.x, x)
    np.testing.assert_array_equal(found.draws, [x, x])
    assert np.isnan(found.effective_samples).all()
    with_gap = x.copy()
    with_gap[3, 1] = math.nan
    masked = np.ma.masked_array(np.where(np.isnan(with_gap), 99.0, with_gap), np.isnan(with_gap))
    np.testing.assert_array_equal(
        evaluate.impute(linear, masked).x, evaluate.impute(linear, with_gap).x
    )


@pytest.mark.parametrize("kind", [VAE, IWAE])
def test_mixed_tables_are_filled_with_probabilities_and_drawn_as_categories(kind, rng):
    x = np.hstack(
        [rng.standard_normal((40, 2)), np.eye(3)[rng.integers(3, size=40)],
         rng.integers(2, size=(40, 1))]
    )  # fmt: skip
    x[:10, 2:5] = x[5:15, 0] = x[8:20, 5] = math.nan
    model = kind(likelihood="mixed", columns=COLUMNS, missing="mask", hidden=(8,), backend="numpy")
    fit(model, x, 3, batch_size=20, progress=False)
    found = evaluate.impute(model, x, samples=200, draws=3)
    np.testing.assert_allclose(found.x[:, 2:5].sum(axis=1), 1, atol=1e-5)
    assert set(np.unique(found.draws[:, :, 2:])) <= {0.0, 1.0}
    np.testing.assert_array_equal(found.draws[:, :, 2:5].sum(axis=2), 1)
    assert np.isfinite(found.draws).all() and found.x.dtype == x.dtype


def test_a_model_trained_on_whole_rows_can_fill_in_others(linear):
    vae = VAE(D, L, hidden=(8,), sigma=0.5, backend="numpy")
    x = linear.sample(30, seed=0, noise=True)
    fit(vae, x, 2, progress=False)
    x[2, 3] = math.nan
    assert np.isfinite(evaluate.impute(vae, x, samples=50).x).all()
    assert vae.missing is False and len(vae.encoder.layers) == 3


# Shares


MODELS = {
    "fixed": {"sigma": 0.5},
    "auto": {},
    "per feature": {"sigma": "per-feature", "missing": True},
    "bernoulli": {"likelihood": "bernoulli"},
    "mixed": {"likelihood": "mixed", "columns": COLUMNS, "missing": "mask"},
    "conditional": {"n_classes": 3},
}


@pytest.mark.parametrize("name", MODELS)
def test_shares_add_up_to_the_elbo_and_to_log_p(name, rng):
    model = VAE(D, L, hidden=(5,), dtype="float64", backend="numpy", **MODELS[name])
    x = rng.random((8, D))
    if name == "mixed":
        x[:, 2:5], x[:, 5] = np.eye(3)[[0, 1, 2, 0, 1, 2, 0, 1]], 1.0
        x[1, 2:5] = math.nan
    if "missing" in MODELS[name]:
        x[0, 0] = x[2, 1] = math.nan
    labels = {"labels": np.arange(8) % 3} if name == "conditional" else {}
    found = evaluate.shares(model, x, of="elbo", samples=20, **labels)
    elbo = evaluate.elbo_per_example(model, x, samples=20, **labels)
    np.testing.assert_allclose(found.value, elbo.elbo, rtol=1e-10)
    np.testing.assert_allclose(found.kl, -elbo.kl, rtol=1e-10)
    found = evaluate.shares(model, x, samples=20, **labels)
    log_p = evaluate.log_likelihood(model, x, samples=20, **labels)
    np.testing.assert_allclose(found.value, log_p.log_likelihood, rtol=1e-10)
    np.testing.assert_allclose(found.columns.sum(axis=1) + found.kl, found.value, rtol=1e-10)
    assert (found.columns[np.isnan(x)] == 0).all()


def test_shares_of_log_p_are_the_exact_means_under_the_posterior(linear, rows):
    W, b = linear.parameters["decoder.0.W"], linear.parameters["decoder.0.b"]
    found = evaluate.shares(linear, rows[:8], samples=10_000)
    for n, row in enumerate(rows[:8]):
        o = ~np.isnan(row)
        covariance = np.linalg.inv(np.eye(L) + (W[:, o] / PSI[o]) @ W[:, o].T)
        mean = covariance @ (W[:, o] / PSI[o]) @ (row[o] - b[o])
        error = (row - b - mean @ W) ** 2 + np.diag(W.T @ covariance @ W)
        exact = -0.5 * (error / PSI + np.log(2 * math.pi * PSI))
        assert abs(found.columns[n, o] - exact[o]).max() < 0.25
        kl = 0.5 * (mean @ mean + np.trace(covariance) - L - np.linalg.slogdet(covariance)[1])
        assert found.kl[n] == pytest.approx(-kl, abs=0.25)


def test_the_share_of_a_wrong_cell_stands_out(linear):
    x = linear.sample(5, seed=1, noise=True)
    before = evaluate.shares(linear, x)
    x[2, 4] += 12
    after = evaluate.shares(linear, x)
    assert after.value.argmin() == 2 and after.value[2] < before.value[2] - 10
    assert after.columns[2].argmin() == 4


class Laplace:
    def forward(self, y, x):
        return np.abs(y - x).sum(axis=1)

    def backward(self, dnll):
        return dnll

    nll = forward


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: evaluate.impute(Autoencoder(D, L, backend="numpy"), x), "no distribution"),
        (lambda x: evaluate.shares(Autoencoder(D, L, backend="numpy"), x), "no log p"),
        (lambda x: evaluate.shares(VAE(D, L, backend="numpy"), x, of="p"), "of must be one of"),
        (lambda x: evaluate.impute(VAE(D, L, backend="numpy"), x, samples=0), "samples"),
        (
            lambda x: evaluate.shares(VAE(D, L, likelihood=Laplace(), backend="numpy"), x),
            "the cells of your own likelihood Laplace are not known",
        ),
    ],
)
def test_what_cannot_be_filled_or_shared_is_told_in_one_line(call, message, rng):
    with pytest.raises(ValueError, match=message) as caught:
        call(rng.standard_normal((3, D)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{"sigma": "per-feature"}, MODELS["mixed"]])
def test_a_device_gives_what_the_host_gives(options, rng):
    x = rng.random((5, D))
    x[:, 2:5], x[:, 5] = np.eye(3)[[0, 1, 2, 0, 1]], 1.0
    x[1, 2:5] = x[0, 0] = x[3, 1] = math.nan
    found = []
    for backend in (capture.Device(), "numpy"):
        options = {**options, "missing": "mask", "dtype": "float64"}
        model = VAE(D, L, hidden=(5,), backend=backend, **options)
        shares = [evaluate.shares(model, x, of=of, samples=20) for of in ("elbo", "log_likelihood")]
        draws = 0 if "columns" in options else 2  # the stand-in draws normal numbers alone
        imputed = evaluate.impute(model, x, samples=50, draws=draws)
        assert imputed.draws.shape == (draws, 5, D) and np.isfinite(imputed.draws).all()
        found.append([*shares[0], *shares[1], imputed.x, imputed.effective_samples])
    for device, host in zip(*found, strict=True):
        np.testing.assert_allclose(device, host, rtol=1e-9)
