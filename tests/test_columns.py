"""Likelihoods for tables: values from densities, gradients from differences, σ² from the errors,
and cells that are missing."""

import copy
import math
from statistics import NormalDist

import numpy as np
import pytest
from witness import assert_gradients, assert_model_gradient, relative_error

from tinyvae import IWAE, VAE, Autoencoder, fit
from tinyvae.core.columns import (
    MIN_VARIANCE,
    RATE,
    Categorical,
    Columns,
    DiagonalGaussian,
    Fill,
    IndependentBernoulli,
    Mixed,
    log_softmax,
)

D = 5
SIGMA = np.array([0.3, 1.0, 2.5, 0.7, 0.1])
COLUMNS = [("gaussian", 1), ("categorical", 2), ("bernoulli", 1), ("gaussian", 1)]
LIKELIHOODS = {
    "per feature": lambda: DiagonalGaussian(SIGMA**2),
    "shared": lambda: DiagonalGaussian(np.array([0.49])),
    "bernoulli": IndependentBernoulli,
    "categorical": Categorical,
    "mixed": lambda: Mixed(SIGMA**2, COLUMNS),
}


def table(rng, B: int, D: int = D, missing: bool = False, name: str = "mixed") -> tuple:
    """Return the decoder's output y and the data x (B, D), of numbers or of categories."""
    y, x = rng.standard_normal((2, B, D))
    if name == "bernoulli":
        x = (x > 0) * 1.0
    if name == "categorical":
        x = np.eye(D)[rng.integers(D, size=B)]
    if name == "mixed":
        x[:, 1:3] = np.eye(2)[rng.integers(2, size=B)]
        x[:, 3] = x[:, 3] > 0
    if missing:
        gone = rng.random((B, D)) < 0.4
        if name == "categorical":
            gone[:] = gone[:, :1]
        if name == "mixed":
            gone[:, 2] = gone[:, 1]
        x[gone] = math.nan
    return y, x


def density(name: str, y: float, x: float, d: int) -> float:
    """Return p(x_d|z) of one column that is no category, by the standard library."""
    if name == "bernoulli" or (name == "mixed" and d == 3):
        p = 1 / (1 + math.exp(-y))
        return p if x else 1 - p
    return NormalDist(y, 0.7 if name == "shared" else SIGMA[d]).pdf(x)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_nll_is_minus_the_log_of_the_density_of_what_was_observed(name, missing, rng):
    y, x = table(rng, 6, missing=missing, name=name)
    p = np.exp(y[:, 1:3]) / np.exp(y[:, 1:3]).sum(axis=1, keepdims=True)
    expected = []
    for n in range(6):
        if name == "categorical":
            whole = np.exp(y[n]) / np.exp(y[n]).sum()
            total = 0.0 if np.isnan(x[n, 0]) else math.log(whole[x[n].argmax()])
        else:
            columns = [0, 3, 4] if name == "mixed" else range(D)
            total = sum(
                math.log(density(name, y[n, d], x[n, d], d))
                for d in columns
                if not np.isnan(x[n, d])
            )
            if name == "mixed" and not np.isnan(x[n, 1]):
                total += math.log(p[n, int(x[n, 2])])
        expected.append(-total)
    likelihood = LIKELIHOODS[name]()
    np.testing.assert_allclose(likelihood.forward(y, x), expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(likelihood.nll(y, x), expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(
        likelihood.observed_cells(y, x).sum(axis=1), expected, rtol=1e-12, atol=1e-15
    )


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("B", [1, 5])
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_gradient_matches_differences_for_a_factor_of_each_row(name, B, missing, rng):
    y, x = table(rng, B, missing=missing, name=name)
    dnll = rng.random((B, 1))
    likelihood = LIKELIHOODS[name]()
    likelihood.forward(y, x)
    dy = likelihood.backward(dnll)
    assert_gradients(lambda: (dnll[:, 0] * likelihood.forward(y, x)).sum(), {"y": (y, dy)})
    if name != "categorical":
        assert (dy[np.isnan(x)] == 0).all()


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_float32_stays_float32_and_agrees_with_float64(name, rng):
    y, x = table(rng, 6, missing=True, name=name)
    found = []
    for dtype in ("float32", "float64"):
        likelihood = LIKELIHOODS[name]()
        if hasattr(likelihood, "variance"):
            likelihood.variance = likelihood.variance.astype(dtype)
        if name == "mixed":
            likelihood.others = likelihood.others.astype(dtype)
        nll = likelihood.forward(y.astype(dtype), x.astype(dtype))
        found.append([nll, likelihood.backward(1 / 6), likelihood.mean(y.astype(dtype))])
        likelihood.move()
        found[-1].append(likelihood.sample(y.astype(dtype), np.random.default_rng(1)))
        if likelihood.moves:
            found[-1].append(likelihood.variance)
        assert {array.dtype for array in found[-1]} == {np.dtype(dtype)}
    for single, double in zip(found[0][:3], found[1][:3], strict=True):
        assert relative_error(single, double) < 2e-6


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_categories_are_stable_for_any_logit(dtype):
    y = np.array([[1e4, -1e4, 0], [1e4, -1e4, 0]], dtype)
    x = np.array([[1, 0, 0], [0, 1, 0]], dtype)  # right, wrong
    likelihood = Categorical()
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_array_equal(likelihood.forward(y, x), [0, 2e4])
        np.testing.assert_array_equal(likelihood.backward(1.0), [[0, 0, 0], [1, -1, 0]])


def test_two_categories_are_a_bernoulli_on_the_difference_of_the_logits(rng):
    y, k = rng.standard_normal((7, 2)), rng.integers(2, size=7)
    two = Categorical().nll(y, np.eye(2)[k])
    one = IndependentBernoulli().nll(y[:, 1:] - y[:, :1], k[:, None] * 1.0)
    np.testing.assert_allclose(two, one, rtol=1e-12)
    np.testing.assert_allclose(np.exp(log_softmax(y)).sum(axis=1), 1, rtol=1e-12)


def test_a_missing_cell_is_one_that_is_integrated_over(rng):
    """∫ p(x|z) dx_d = p(the others|z), by the trapezoidal rule over a fine grid."""
    y, x = rng.standard_normal((2, 1, D))
    likelihood = DiagonalGaussian(SIGMA**2)
    grid = np.repeat(x, 20_001, axis=0)
    grid[:, 2] = np.linspace(y[0, 2] - 25, y[0, 2] + 25, len(grid))
    p = np.exp(-likelihood.nll(np.broadcast_to(y, grid.shape), grid))
    x[0, 2] = math.nan
    integral = np.sum((p[1:] + p[:-1]) / 2) * (grid[1, 2] - grid[0, 2])
    assert likelihood.nll(y, x)[0] == pytest.approx(-math.log(integral), rel=1e-9)


@pytest.mark.parametrize("name", ["per feature", "bernoulli", "categorical", "mixed"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_draws_have_the_mean_and_the_spread_of_the_likelihood(name, dtype, rng):
    n, likelihood = 40_000, LIKELIHOODS[name]()
    y = np.tile(rng.standard_normal(D).astype(dtype), (n, 1))
    if hasattr(likelihood, "variance"):
        likelihood.variance = likelihood.variance.astype(dtype)
    x = likelihood.sample(y, rng)
    assert x.dtype == dtype and x.shape == (n, D)
    mean = likelihood.mean(y)[0]
    gaussian = [True] * D if name == "per feature" else [False] * D
    if name == "mixed":
        gaussian = [True, False, False, False, True]
        np.testing.assert_array_equal(x[:, 1:3].sum(axis=1), 1)
    spread = np.where(gaussian, SIGMA, np.sqrt(abs(mean * (1 - mean))))
    assert (np.abs(x.mean(axis=0) - mean) < 4 * spread / math.sqrt(n)).all()
    assert (np.abs(x.std(axis=0) / spread - 1) < 0.04).all()
    if name == "categorical":
        assert set(np.unique(x)) == {0.0, 1.0} and (x.sum(axis=1) == 1).all()


# σ² of each feature


def test_sigma_moves_towards_the_mean_squared_errors_of_what_was_observed(rng):
    y, x = table(rng, 8, missing=True, name="per feature")
    likelihood = DiagonalGaussian(SIGMA**2)
    likelihood.forward(y, x)
    likelihood.backward(1 / 8)
    likelihood.move()
    expected = SIGMA**2 + RATE * (np.nanmean((x - y) ** 2, axis=0) - SIGMA**2)
    np.testing.assert_allclose(likelihood.variance, expected, rtol=1e-12)
    np.testing.assert_allclose(likelihood.sigma**2, expected, rtol=1e-12)


def test_one_sigma_for_all_features_moves_towards_the_mean_over_all_cells(rng):
    y, x = table(rng, 8, missing=True, name="per feature")
    likelihood = DiagonalGaussian(np.array([0.49]))
    likelihood.forward(y, x)
    likelihood.backward(1 / 8)
    likelihood.move()
    expected = 0.49 + RATE * (np.nanmean((x - y) ** 2) - 0.49)
    assert likelihood.sigma**2 == pytest.approx(expected)


def test_the_mean_squared_errors_make_the_loss_smallest(rng):
    y, x = table(rng, 8, missing=True, name="per feature")
    likelihood = DiagonalGaussian(SIGMA**2)
    likelihood.move_to(likelihood.squares(y, x).mean(axis=0))
    best, variance = likelihood.nll(y, x).sum(), likelihood.variance
    for d in range(D):
        for factor in (0.98, 1.02):
            other = DiagonalGaussian(variance * np.where(np.arange(D) == d, factor, 1.0))
            assert other.nll(y, x).sum() > best


def test_an_iwaes_sigma_moves_to_where_its_own_bound_is_best(rng):
    """At a fixed point of `move`, the derivative of the bound by σ² is 0."""
    model = IWAE(D, 2, hidden=(4,), sigma="per-feature", importance_samples=3, dtype="float64",
                 backend="numpy")  # fmt: skip
    x, eps = rng.standard_normal((8, D)), rng.standard_normal((8, 3, 2))
    likelihood = model.likelihood
    for _ in range(400):
        model.forward(x, eps=eps)
        model.backward()
        likelihood.move()

    def loss() -> float:
        return float(model.forward(x, eps=eps).loss)

    before = likelihood.variance.copy()
    for d in range(D):
        slopes = []
        for step in (-1e-4, 1e-4):
            likelihood.variance = before + step * (np.arange(D) == d)
            slopes.append(loss())
        assert abs(slopes[1] - slopes[0]) / 2e-4 < 1e-5


def test_sigma_is_a_constant_of_the_step_and_stays_without_move(rng):
    model = VAE(D, 2, hidden=(4,), sigma="per-feature", dtype="float64", backend="numpy")
    x, eps = rng.standard_normal((6, D)), rng.standard_normal((6, 2))
    first = model.forward(x, eps=eps)
    model.backward()
    assert model.forward(x, eps=eps).loss == first.loss
    np.testing.assert_array_equal(model.sigma, 1.0)


def test_sigma_has_a_floor_and_stays_where_nothing_was_observed(rng):
    x = rng.standard_normal((4, 3))
    y, x[:, 2] = x.copy(), math.nan
    likelihood = DiagonalGaussian(np.ones(3))
    likelihood.move_to(likelihood.squares(y, x).mean(axis=0))
    np.testing.assert_array_equal(likelihood.variance, [MIN_VARIANCE, MIN_VARIANCE, 1.0])


def test_only_gaussian_columns_of_a_mixed_table_have_a_sigma_that_moves(rng):
    y, x = table(rng, 9)
    likelihood = Mixed(np.ones(D), COLUMNS)
    likelihood.forward(y, x)
    likelihood.backward(1 / 9)
    likelihood.move()
    np.testing.assert_array_equal(likelihood.variance[1:4], 1.0)
    assert (likelihood.variance[[0, 4]] != 1.0).all()


def test_sigma_can_be_set_and_read_bit_for_bit():
    likelihood = DiagonalGaussian(np.ones(D, "float32"))
    likelihood.sigma = SIGMA
    again = DiagonalGaussian(np.ones(D, "float32"))
    again.sigma = likelihood.sigma
    np.testing.assert_array_equal(again.variance, likelihood.variance)
    assert again.variance.dtype == "float32"
    with pytest.raises(ValueError, match="sigma has 2 values for 5 features"):
        likelihood.sigma = [1.0, 2.0]
    with pytest.raises(ValueError, match="sigma"):
        likelihood.sigma = -1.0


# Missing cells, and models


def test_fill_puts_zeros_and_the_mask_where_they_belong(rng):
    x = rng.standard_normal((4, 3))
    x[1, 2] = x[3, 0] = math.nan
    with_labels = np.hstack([x, np.eye(2)[[0, 1, 1, 0]]])
    y = Fill(mask=3).forward(with_labels)
    np.testing.assert_array_equal(y[:, :3], np.nan_to_num(x))
    np.testing.assert_array_equal(y[:, 3:5], with_labels[:, 3:])
    np.testing.assert_array_equal(y[:, 5:], ~np.isnan(x))
    layer = Fill(mask=3)
    layer.forward(with_labels)
    dx = layer.backward(np.ones((4, 8)))
    np.testing.assert_array_equal(dx[:, :3], ~np.isnan(x))


MODELS = {
    "per feature": {"sigma": "per-feature"},
    "fixed": {"sigma": 0.5},
    "auto": {},
    "sigmoid": {"sigma": 0.5, "output": "sigmoid"},
    "bernoulli": {"likelihood": "bernoulli"},
    "categorical": {"likelihood": "categorical"},
    "mixed": {"likelihood": "mixed", "columns": COLUMNS},
}


@pytest.mark.parametrize("missing", [True, "mask"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", [VAE, IWAE, Autoencoder])
def test_gradient_of_a_model_with_missing_cells_matches_differences(kind, name, missing, rng):
    of_table = name if name in LIKELIHOODS else "fixed"
    x = table(rng, 4, missing=True, name=of_table)[1]
    model = kind(D, 2, hidden=(4,), activation="tanh", missing=missing, **MODELS[name],
                 dtype="float64", backend="numpy")  # fmt: skip
    noise = {} if kind is Autoencoder else {"eps": rng.standard_normal(model.eps_shape(4))}
    assert isinstance(model.likelihood, Columns)
    assert_model_gradient(model, lambda: model.forward(x, **noise).loss)


@pytest.mark.parametrize("name", MODELS)
def test_where_nothing_is_missing_the_loss_is_that_of_the_model_without(name, rng):
    if name == "auto":
        pytest.skip("its σ² is the batch's own without, and moves from step to step with")
    x = table(rng, 4, name=name if name in LIKELIHOODS else "fixed")[1]
    eps = rng.standard_normal((4, 2))
    losses = [
        VAE(D, 2, hidden=(4,), missing=missing, **MODELS[name], dtype="float64", backend="numpy")
        .forward(x, eps=eps)
        .loss
        for missing in (False, True)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)


def test_a_row_with_nothing_observed_has_no_reconstruction():
    model = VAE(3, 2, hidden=(4,), sigma="per-feature", missing=True, backend="numpy")
    terms = model.forward(np.full((2, 3), math.nan, "float32"))
    assert terms.reconstruction == 0 and np.isfinite(terms.loss)


def test_columns_tell_the_number_of_features():
    vae = VAE(likelihood="mixed", columns=[("gaussian", 3), ("bernoulli", 1), ("categorical", 5)],
              backend="numpy")  # fmt: skip
    assert vae.n_features == 9 and isinstance(vae.likelihood, Mixed)
    assert vae.sample(4, seed=0, noise=True).shape == (4, 9)


def test_a_copy_of_a_mixed_model_is_its_own(rng):
    model = VAE(likelihood="mixed", columns=COLUMNS, backend="numpy")
    twin = copy.deepcopy(model)
    x = table(rng, 6)[1]
    twin.forward(x)
    twin.backward()
    twin.likelihood.move()
    np.testing.assert_array_equal(model.sigma, 1.0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"likelihood": "mixed"}, "likelihood='mixed' and columns=… go together"),
        ({"columns": [("gaussian", 5)]}, "go together: give both, or neither"),
        ({"likelihood": "mixed", "columns": "gaussian"}, "columns must be a list of pairs"),
        ({"likelihood": "mixed", "columns": []}, "columns must be a list of pairs"),
        ({"likelihood": "mixed", "columns": [("gaussian",)]}, "columns must be a list of pairs"),
        ({"likelihood": "mixed", "columns": [("poisson", 5)]}, "one of gaussian, bernoulli, cat"),
        ({"likelihood": "mixed", "columns": [("categorical", 1)]}, "at least 2, not 1"),
        ({"likelihood": "mixed", "columns": [("gaussian", 4)]}, "add up to 4, but n_features is 5"),
        ({"missing": "maybe"}, "missing must be True, False or 'mask', not 'maybe'"),
        ({"sigma": "per feature"}, "sigma"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(options, words):
    with pytest.raises(ValueError) as caught:
        VAE(D, 2, **options, backend="numpy")
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        (3, 0.5, ""),  # a grey value is a fine loss
        (3, 2.0, "x holds 2 in row 1, column 3, a bernoulli one, which takes [0, 1]"),
        (1, 0.0, "x holds no category in row 1, columns 1 to 2: a 1 in one of them, 0"),
        (1, math.nan, "x holds no category in row 1, columns 1 to 2"),
        (0, math.inf, "x holds inf in row 1, column 0"),
    ],
)
def test_cells_that_their_columns_cannot_take_are_named(column, value, words, rng):
    model = VAE(D, 2, likelihood="mixed", columns=COLUMNS, missing=True, backend="numpy")
    x = table(rng, 3)[1]
    x[1, 1:3] = 1, 0
    x[1, column] = value
    if not words:
        model.forward(x)
        return
    with pytest.raises(ValueError) as caught:
        model.forward(x)
    assert words in str(caught.value)


def test_without_missing_nan_stays_an_error_that_names_the_place(rng):
    x = rng.standard_normal((6, D))
    x[2, 3] = math.nan
    for call in (lambda m: m.forward(x), lambda m: fit(m, x, epochs=1)):
        with pytest.raises(ValueError, match=r"holds nan in row 2, column 3.*missing=True"):
            call(VAE(D, 2, backend="numpy"))
    masked = np.ma.masked_array(np.nan_to_num(x, nan=999.0), np.isnan(x))
    with pytest.raises(ValueError, match=r"holds nan in row 2, column 3.*missing=True"):
        fit(VAE(D, 2, backend="numpy"), masked, epochs=1)


class Laplace:
    def forward(self, y, x):
        self.sign = np.sign(y - x)
        return np.abs(y - x).sum(axis=1)

    def backward(self, dnll):
        return self.sign * dnll


def test_missing_cells_are_refused_for_a_likelihood_of_ones_own():
    with pytest.raises(ValueError, match="cells of your own likelihood Laplace"):
        VAE(D, 2, likelihood=Laplace(), missing=True, backend="numpy")
