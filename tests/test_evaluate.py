"""Evaluation against probabilistic PCA, whose log p(x) is exact; against quadrature; and how it
behaves: independent of place and batch, bounded in memory, one clear line for unfit input."""

import json
import math
import tracemalloc

import numpy as np
import pytest
import strict

from tinyvae import VAE, Autoencoder, evaluate
from tinyvae.device import Backend
from tinyvae.evaluate import passes

D, L, SIGMA = 5, 2, 0.7
SCALES = np.array([1.6, 0.8])  # of the two orthogonal columns of the loadings


def ppca(encoder_error=0.0):
    """A linear Gaussian VAE whose encoder is the exact posterior, moved off by `encoder_error`.

    x = W z + b + σ noise, z ~ N(0, I). With orthogonal columns of W the posterior is diagonal:
    N(M⁻¹ Wᵀ (x − b), σ² M⁻¹), M = Wᵀ W + σ² I (Tipping & Bishop 1999).
    """
    rng = np.random.default_rng(1)
    W = np.linalg.qr(rng.standard_normal((D, L)))[0] * SCALES  # (D, L)
    b = rng.standard_normal(D)
    M = SCALES**2 + SIGMA**2  # (L,)
    vae = VAE(D, L, hidden=(), sigma=SIGMA, dtype="float64", backend="numpy")
    vae.parameters["decoder.0.W"][:] = W.T
    vae.parameters["decoder.0.b"][:] = b
    vae.parameters["encoder.0.W"][:] = 0
    vae.parameters["encoder.0.W"][:, :L] = W / M
    vae.parameters["encoder.0.b"][:L] = -b @ W / M + encoder_error
    vae.parameters["encoder.0.b"][L:] = np.log(SIGMA**2 / M) + encoder_error
    return vae, W, b


def ppca_data(W, b, n=200):
    """Rows x (n, D) drawn from the model, with their exact log N(x; b, W Wᵀ + σ² I)."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((n, L)) @ W.T + b + SIGMA * rng.standard_normal((n, D))
    C = W @ W.T + SIGMA**2 * np.eye(D)
    mahalanobis = np.einsum("nd,de,ne->n", x - b, np.linalg.inv(C), x - b)
    return x, -0.5 * (mahalanobis + np.linalg.slogdet(C)[1] + D * math.log(2 * math.pi))


def test_with_the_exact_posterior_every_importance_weight_is_log_p_x():
    vae, W, b = ppca()
    x, exact = ppca_data(W, b)
    one = evaluate.log_likelihood(vae, x, samples=1)
    many = evaluate.log_likelihood(vae, x, samples=50)
    np.testing.assert_allclose(one.log_likelihood, exact, atol=1e-9)
    np.testing.assert_allclose(many.log_likelihood, exact, atol=1e-9)
    np.testing.assert_allclose(many.standard_error, 0, atol=1e-6)
    np.testing.assert_allclose(many.effective_samples, 50, atol=1e-6)
    assert np.isnan(one.standard_error).all()


def test_with_the_exact_posterior_the_elbo_is_log_p_x():
    vae, W, b = ppca()
    x, exact = ppca_data(W, b)
    gap = evaluate.elbo_per_example(vae, x, samples=200).elbo - exact
    assert abs(gap.mean()) < 4 * gap.std() / math.sqrt(len(gap))
    assert gap.std() < 0.15  # 200 draws leave little noise, so the line above means something


def test_with_a_poor_encoder_importance_sampling_still_finds_log_p_x():
    vae, W, b = ppca(encoder_error=0.3)
    x, exact = ppca_data(W, b)
    estimate = evaluate.log_likelihood(vae, x, samples=2000)
    z_scores = (estimate.log_likelihood - exact) / estimate.standard_error
    assert abs(z_scores.mean()) < 3 / math.sqrt(len(x))
    assert 0.8 < z_scores.std() < 1.2  # the stated standard errors are the actual ones
    assert np.abs(z_scores).max() < 5
    assert evaluate.elbo(vae, x, samples=50).elbo < exact.mean() - 0.1
    assert (estimate.effective_samples < 1900).all()


def test_the_bound_rises_with_the_number_of_samples():
    vae, W, b = ppca(encoder_error=0.5)
    x, exact = ppca_data(W, b, 400)
    bounds = [
        evaluate.log_likelihood(vae, x, samples=S).log_likelihood.mean()
        for S in (1, 4, 16, 64, 256)
    ]
    assert (np.diff(bounds) > 0).all()
    assert bounds[-1] < exact.mean() + 0.01


def test_elbo_is_minus_its_terms_and_agrees_with_the_training_pass():
    vae, W, b = ppca(encoder_error=0.3)
    x, _ = ppca_data(W, b, 2000)
    found, terms = evaluate.elbo(vae, x), vae.forward(x)
    assert all(type(value) is float for value in found)
    assert found.elbo == pytest.approx(-(found.reconstruction + found.kl), rel=1e-12)
    assert found.kl == pytest.approx(float(terms.kl), rel=1e-9)
    assert found.reconstruction == pytest.approx(nll_at_stored_sigma(vae, x), rel=0.02)
    assert found == evaluate.elbo(vae, x)
    assert found != evaluate.elbo(vae, x, seed=1)


def nll_at_stored_sigma(vae, x):
    """Mean over many draws, written out."""
    mu, logvar = vae.encode(x)
    z = mu + np.exp(0.5 * logvar) * np.random.default_rng(3).standard_normal(mu.shape)
    squared = ((vae.decode(z) - x) ** 2).sum(axis=1)
    return (0.5 * squared / SIGMA**2 + D * math.log(SIGMA * math.sqrt(2 * math.pi))).mean()


def test_an_example_depends_neither_on_its_row_nor_on_its_batch():
    vae = VAE(30, 3, hidden=(8,), backend="numpy")
    x = np.random.default_rng(0).random((40, 30), dtype=np.float32)
    order = np.random.default_rng(1).permutation(40)
    for measure in (
        lambda rows: evaluate.log_likelihood(vae, rows, samples=20).log_likelihood,
        lambda rows: evaluate.elbo_per_example(vae, rows).elbo,
    ):
        together = measure(x)
        np.testing.assert_allclose(measure(x[order]), together[order], rtol=1e-5)
        np.testing.assert_allclose(measure(x[7:8]), together[7:8], rtol=1e-5)
        np.testing.assert_allclose(measure(x.astype(np.float64)), together, rtol=1e-5)
        zeros = np.zeros((1, 30), np.float32)
        np.testing.assert_allclose(measure(-zeros), measure(zeros), rtol=1e-5)


def test_noise_differs_between_examples():
    vae, W, b = ppca(encoder_error=0.3)
    x, exact = ppca_data(W, b)
    error = evaluate.log_likelihood(vae, x, samples=1).log_likelihood - exact
    assert abs(np.corrcoef(error[:-1], error[1:])[0, 1]) < 4 / math.sqrt(len(x))


def test_blocks_of_whole_examples_do_not_change_the_result(monkeypatch):
    vae, W, b = ppca(encoder_error=0.3)
    x, _ = ppca_data(W, b, 20)
    whole = evaluate.log_likelihood(vae, x, samples=70)
    monkeypatch.setattr(passes, "BLOCK", 140 * D)  # two examples with all their draws
    two = evaluate.log_likelihood(vae, x, samples=70)
    np.testing.assert_allclose(two.log_likelihood, whole.log_likelihood, rtol=1e-9)


def test_streaming_over_blocks_of_draws_gives_the_plain_formulas(monkeypatch):
    vae, W, b = ppca(encoder_error=1.0)
    x, _ = ppca_data(W, b, 4)
    S = 60
    monkeypatch.setattr(passes, "BLOCK", 7 * D)  # seven of an example's draws a block
    blocks = list(passes.posterior_draws(vae, x, None, S, seed=0))
    eps = np.concatenate([eps[0] for *_, eps, _ in blocks]).reshape(4, S, L)
    assert len(np.unique(eps)) == eps.size  # no two blocks see the same noise

    mu, logvar = (a[:, None] for a in vae.encode(x))
    z = mu + np.exp(0.5 * logvar) * eps
    x_hat = (z.reshape(-1, L) @ W.T + b).reshape(4, S, D)
    w = (
        density(x[:, None], x_hat, SIGMA) * density(z, 0, 1) / density(z, mu, np.exp(0.5 * logvar))
    )  # (4, S)
    found = evaluate.log_likelihood(vae, x, samples=S)
    np.testing.assert_allclose(found.log_likelihood, np.log(w.mean(axis=1)), rtol=1e-9)
    np.testing.assert_allclose(found.effective_samples, w.sum(axis=1) ** 2 / (w * w).sum(axis=1))
    relative = w.std(axis=1, ddof=1) / math.sqrt(S) / w.mean(axis=1)
    np.testing.assert_allclose(found.standard_error, relative, rtol=1e-9)
    bound = evaluate.elbo_per_example(vae, x, samples=S)
    np.testing.assert_allclose(bound.kl.mean(), evaluate.kl_per_dimension(vae, x).sum())
    nll = -np.log(density(x[:, None], x_hat, SIGMA)).mean(axis=1)
    np.testing.assert_allclose(bound.reconstruction, nll)


def density(x, mean, sigma):
    """Product over the last axis of N(x; mean, sigma²)."""
    factors = np.exp(-0.5 * ((x - mean) / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))
    return factors.prod(axis=-1)


def test_memory_does_not_grow_with_the_number_of_samples():
    vae = VAE(100, 2, hidden=(50,), backend="numpy")
    x = np.random.default_rng(0).random((3, 100), dtype=np.float32)

    def peak(samples):
        tracemalloc.start()
        evaluate.log_likelihood(vae, x, samples=samples)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(100_000) < 1.2 * peak(10_000)


def test_kl_per_dimension_adds_up_to_the_kl():
    vae, W, b = ppca(encoder_error=0.3)
    x, _ = ppca_data(W, b)
    parts = evaluate.kl_per_dimension(vae, x)
    assert parts.shape == (L,)
    assert parts.sum() == pytest.approx(evaluate.elbo(vae, x).kl, rel=1e-9)
    mu, logvar = vae.encode(x)
    by_hand = [
        np.mean((mu[:, j] ** 2 + np.exp(logvar[:, j]) - 1 - logvar[:, j]) / 2) for j in range(L)
    ]
    np.testing.assert_allclose(parts, by_hand, rtol=1e-9)


def test_active_units_are_those_whose_mu_varies_with_x():
    vae = VAE(3, 3, hidden=(), backend="numpy", dtype="float64")
    vae.parameters["encoder.0.W"][:] = 0
    vae.parameters["encoder.0.W"][0, 0] = 1.0  # mu_0 = x_0, of variance 1
    vae.parameters["encoder.0.W"][1, 1] = 0.05  # variance 0.0025
    vae.parameters["encoder.0.b"][2] = 4.0  # mu_2 is large but the same for every x
    x = np.random.default_rng(0).standard_normal((500, 3))
    assert evaluate.active_units(vae, x).tolist() == [True, False, False]
    assert evaluate.active_units(vae, x, threshold=1e-3).tolist() == [True, True, False]


def one_dimensional_vae(spread, sigma):
    """q(z|x) = N(spread · x, sigma²) with one feature and one latent dimension."""
    vae = VAE(1, 1, hidden=(), backend="numpy", dtype="float64")
    vae.parameters["encoder.0.W"][:] = [[spread, 0.0]]
    vae.parameters["encoder.0.b"][:] = [0.0, 2 * math.log(sigma)]
    return vae


def test_mutual_information_and_aggregate_kl_agree_with_quadrature():
    mu, sigma = np.array([-1.5, -0.2, 0.4, 2.0]), 0.6
    grid = np.linspace(-8, 8, 20_001)
    densities = np.exp(-0.5 * ((grid - mu[:, None]) / sigma) ** 2) / (sigma * (2 * np.pi) ** 0.5)
    q = densities.mean(axis=0)
    p = np.exp(-0.5 * grid**2) / (2 * np.pi) ** 0.5
    step = grid[1] - grid[0]
    aggregate_kl = (q * np.log(q / p)).sum() * step
    entropy_of_each = 0.5 * math.log(2 * math.pi * math.e * sigma**2)
    information = -(q * np.log(q)).sum() * step - entropy_of_each

    x = np.tile(mu[:, None], (1000, 1))  # repeated rows: the same mixture, with more draws of it
    vae = one_dimensional_vae(1.0, sigma)
    found = evaluate.mutual_information(vae, x, draws=4000)
    assert abs(found.mutual_information - information) < 4 * found.mutual_information_standard_error
    assert abs(found.aggregate_kl - aggregate_kl) < 4 * found.aggregate_kl_standard_error
    assert found.mutual_information_standard_error < 0.02
    kl = evaluate.elbo(vae, x).kl
    assert found.mutual_information + found.aggregate_kl == pytest.approx(kl, abs=0.05)


def test_mutual_information_is_at_most_log_n():
    x = np.arange(50.0)[:, None]
    found = evaluate.mutual_information(one_dimensional_vae(10.0, 0.01), x)
    assert found.mutual_information == pytest.approx(math.log(50), abs=1e-6)
    assert found.information_limit == pytest.approx(math.log(50))


def test_an_autoencoder_has_a_reconstruction_and_no_kl():
    model = Autoencoder(6, 2, hidden=(4,), sigma=1.0, backend="numpy", dtype="float64")
    x = np.random.default_rng(0).random((10, 6))
    found = evaluate.elbo(model, x)
    assert found.kl == 0
    assert found.reconstruction == pytest.approx(float(model.forward(x).reconstruction))
    assert evaluate.kl_per_dimension(model, x).tolist() == [0, 0]
    for measure in (evaluate.log_likelihood, evaluate.mutual_information):
        with pytest.raises(ValueError, match="Autoencoder has no distribution"):
            measure(model, x)
    assert "no distribution" in evaluate.table(evaluate.evaluate(model, x))


def test_a_conditional_model_is_evaluated_with_its_labels():
    vae = VAE(6, 2, hidden=(4,), n_classes=3, backend="numpy")
    x = np.random.default_rng(0).random((12, 6))
    labels = np.arange(12) % 3
    for measure in (evaluate.elbo_per_example, evaluate.log_likelihood):
        right = measure(vae, x, labels=labels)[0]
        wrong = measure(vae, x, labels=(labels + 1) % 3)[0]
        alone = [measure(vae, x[i : i + 1], labels=labels[i : i + 1])[0][0] for i in range(12)]
        assert np.abs(right - wrong).min() > 1e-3
        np.testing.assert_allclose(right, alone, rtol=1e-5)
    with pytest.raises(ValueError, match="give labels"):
        evaluate.elbo(vae, x)
    assert evaluate.evaluate(vae, x, labels=labels, samples=3)["examples"] == 12


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
@pytest.mark.parametrize("options", [{}, {"n_classes": 3}])
def test_a_model_on_another_backend_gets_the_same_noise_and_results(likelihood, options):
    x = (np.random.default_rng(0).random((5, 6)) < 0.5).astype(np.float32)
    labels = np.arange(5) % 3
    host, device = (
        VAE(6, 2, hidden=(4,), likelihood=likelihood, backend=backend, **options)
        for backend in ("numpy", Backend("strict", strict))
    )
    expected = evaluate.evaluate(host, x, labels=labels, samples=5)
    for where in (x, strict.asarray(x)):
        found = evaluate.evaluate(device, where, labels=labels, samples=5)
        assert found["warnings"] == expected["warnings"]
        assert found["kl_per_dimension"] == pytest.approx(expected["kl_per_dimension"], rel=1e-5)
        for name in ("elbo", "log_likelihood", "mutual_information"):
            assert found[name] == pytest.approx(expected[name], rel=1e-5)


@pytest.mark.parametrize("copies", [1, 8])
def test_the_monte_carlo_error_is_the_spread_over_seeds_also_where_rows_repeat(copies):
    vae, W, b = ppca(encoder_error=0.3)
    x = np.repeat(ppca_data(W, b, n=16)[0], copies, axis=0)
    found = [evaluate.evaluate(vae, x, samples=100, seed=seed) for seed in range(120)]
    actual = np.std([one["log_likelihood"] for one in found], ddof=1)
    reported = np.sqrt(np.mean([one["monte_carlo_error"] ** 2 for one in found]))
    assert reported == pytest.approx(actual, rel=0.25)  # 4 standard errors of `actual`


def test_one_example_is_told_in_the_singular():
    result = evaluate.evaluate(VAE(4, 2, hidden=(3,), backend="numpy"), np.zeros((1, 4)), samples=3)
    text = evaluate.table(result)
    assert text.startswith("1 example, nats per example") and "1 examples" not in text


def test_evaluate_gives_what_json_holds_and_a_table():
    vae, W, b = ppca(encoder_error=0.3)
    x, _ = ppca_data(W, b, 50)
    result = evaluate.evaluate(vae, x, samples=20)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["elbo"] < result["log_likelihood"]
    assert result["active_units"] == 2
    text = evaluate.table(result)
    assert f"{result['log_likelihood']:.2f}" in text
    assert "2 of 2" in text
    json.dumps(evaluate.evaluate(vae, x[:1], samples=1), allow_nan=False)


def test_evaluate_warns_of_few_effective_samples_and_of_grey_values():
    vae, W, b = ppca(encoder_error=3.0)
    warned = evaluate.evaluate(vae, ppca_data(W, b, 20)[0], samples=50)
    assert warned["examples_with_few_effective_samples"] > 0
    assert any("effective samples" in warning for warning in warned["warnings"])
    bernoulli = VAE(4, 1, hidden=(), likelihood="bernoulli", backend="numpy")
    grey = np.random.default_rng(0).random((9, 4))
    for x, expected in ((grey, True), ((grey > 0.5).astype(float), False)):
        warnings = evaluate.evaluate(bernoulli, x, samples=50)["warnings"]
        assert any("grey" in warning for warning in warnings) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": 0}, "samples must be a whole number of at least 1, not 0"),
        ({"seed": -1}, "seed must be"),
        ({"x": np.zeros((3, 4))}, r"x must have the shape \(examples, 5\)"),
        ({"x": np.zeros((0, 5))}, r"x must have the shape \(examples, 5\)"),
        ({"x": np.full((3, 5), np.nan)}, "x holds nan in row 0"),
        ({"x": np.zeros((3, 5), int)}, "takes floats"),
    ],
)
@pytest.mark.parametrize("measure", [evaluate.elbo, evaluate.log_likelihood, evaluate.evaluate])
def test_unfit_input_gets_one_clear_line(measure, change, message):
    arguments = {"model": ppca()[0], "x": np.zeros((3, 5))} | change
    with pytest.raises(ValueError, match=message) as caught:
        measure(**arguments)
    assert "\n" not in str(caught.value)
