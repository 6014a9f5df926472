"""Likelihoods: values from the density, gradients from differences, σ by calibration."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from witness import assert_gradients, relative_error

from tinyvae import VAE
from tinyvae.core.layers import Sigmoid
from tinyvae.core.likelihood import Bernoulli, CalibratedGaussian, Gaussian


class AfterSigmoid:
    """A likelihood behind a Sigmoid, as a model with output="sigmoid" has it."""

    def __init__(self, likelihood):
        self.layer, self.likelihood = Sigmoid(), likelihood
        self.sigma = likelihood.sigma

    def forward(self, y, x):
        return self.likelihood.forward(self.layer.forward(y), x)

    def backward(self, dnll):
        return self.layer.backward(self.likelihood.backward(dnll))

    def nll(self, y, x):
        return self.likelihood.nll(self.layer(y), x)

    def mean(self, y):
        return self.likelihood.mean(self.layer(y))

    def sample(self, y, rng):
        return self.likelihood.sample(self.layer(y), rng)


LIKELIHOODS = {
    "fixed": lambda: Gaussian(0.7),
    "auto": CalibratedGaussian,
    "sigmoid": lambda: AfterSigmoid(Gaussian(0.3)),
    "sigmoid auto": lambda: AfterSigmoid(CalibratedGaussian()),
    "bernoulli": Bernoulli,
}


def logits_and_data(rng, B, D) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal((B, D)), rng.random((B, D))


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (6, 1), (5, 3)])
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_gradient_of_the_batch_mean_matches_differences(name, shape, rng):
    y, x = logits_and_data(rng, *shape)
    likelihood = LIKELIHOODS[name]()
    likelihood.forward(y, x)
    dy = likelihood.backward(1 / len(x))
    assert_gradients(lambda: likelihood.forward(y, x).mean(), {"y": (y, dy)})


@pytest.mark.parametrize("name", ["fixed", "sigmoid", "bernoulli"])
def test_gradient_takes_a_factor_for_each_example(name, rng):
    y, x = logits_and_data(rng, 4, 3)
    dnll = rng.random((4, 1))
    likelihood = LIKELIHOODS[name]()
    likelihood.forward(y, x)
    dy = likelihood.backward(dnll)
    assert_gradients(lambda: (dnll[:, 0] * likelihood.forward(y, x)).sum(), {"y": (y, dy)})


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_float32_stays_float32_and_agrees_with_float64(name, rng):
    y, x = logits_and_data(rng, 6, 5)
    found = []
    for dtype in ("float32", "float64"):
        likelihood = LIKELIHOODS[name]()
        nll = likelihood.forward(y.astype(dtype), x.astype(dtype))
        found.append([nll, likelihood.backward(1 / 6), likelihood.mean(y.astype(dtype))])
        assert {array.dtype for array in found[-1]} == {np.dtype(dtype)}
    for single, double in zip(*found, strict=True):
        assert relative_error(single, double) < 2e-6


@pytest.mark.parametrize("sigma", [1, np.float32(0.5), 2.0])
def test_any_number_may_be_assigned_to_sigma(sigma, rng):
    y, x = rng.standard_normal((2, 4, 3))
    gaussian = Gaussian(0.3)
    gaussian.sigma = sigma
    np.testing.assert_allclose(gaussian.nll(y, x), Gaussian(float(sigma)).nll(y, x), rtol=1e-12)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan, "auto"])
def test_what_is_no_standard_deviation_is_not_taken(sigma):
    gaussian = Gaussian(0.3)
    with pytest.raises(ValueError, match="sigma"):
        gaussian.sigma = sigma
    assert gaussian.sigma == 0.3


@pytest.mark.parametrize("output", ["identity", "sigmoid"])
def test_gaussian_nll_is_minus_the_log_of_the_normal_density(output, rng):
    y, x = logits_and_data(rng, 3, 4)
    likelihood = Gaussian(0.7) if output == "identity" else AfterSigmoid(Gaussian(0.7))
    mean = y if output == "identity" else 1 / (1 + np.exp(-y))
    expected = [
        -sum(math.log(NormalDist(m, 0.7).pdf(value)) for m, value in zip(*row, strict=True))
        for row in zip(mean, x, strict=True)
    ]
    np.testing.assert_allclose(likelihood.forward(y, x), expected, rtol=1e-12)
    np.testing.assert_allclose(likelihood.nll(y, x), expected, rtol=1e-12)
    np.testing.assert_allclose(likelihood.mean(y), mean, rtol=1e-12)


def test_gaussian_with_variance_half_is_the_plain_sum_of_squares(rng):
    y, x = logits_and_data(rng, 3, 4)
    nll = Gaussian(math.sqrt(0.5)).forward(y, x)
    squares = [float(np.linalg.norm(row) ** 2) for row in x - y]
    np.testing.assert_allclose(nll - 4 * 0.5 * math.log(math.pi), squares, rtol=1e-12)


def test_bernoulli_nll_is_minus_the_log_of_the_probability(rng):
    y = rng.uniform(-5, 5, (4, 6))
    x = rng.integers(0, 2, (4, 6)).astype("float64")
    p = 1 / (1 + np.exp(-y))
    expected = -np.log(np.where(x == 1, p, 1 - p).prod(axis=1))
    np.testing.assert_allclose(Bernoulli().forward(y, x), expected, rtol=1e-12)
    np.testing.assert_allclose(Bernoulli().nll(y, x), expected, rtol=1e-12)
    np.testing.assert_allclose(Bernoulli().mean(y), p, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bernoulli_is_stable_for_any_logit(dtype):
    y = np.array([[1e4, -1e4, 1e4, -1e4]], dtype)
    x = np.array([[1, 0, 0, 1]], dtype)  # right, right, wrong, wrong
    likelihood = Bernoulli()
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_array_equal(likelihood.forward(y, x), [2e4])
        np.testing.assert_array_equal(likelihood.backward(1.0), [[0, 0, 1, -1]])


@pytest.mark.parametrize("name", ["fixed", "sigmoid", "bernoulli"])
def test_nll_sums_over_features_and_not_over_examples(name, rng):
    likelihood = LIKELIHOODS[name]()
    y, x = logits_and_data(rng, 4, 5)
    y2, x2 = logits_and_data(rng, 4, 3)
    apart = likelihood.forward(y, x) + likelihood.forward(y2, x2)
    together = likelihood.forward(np.hstack([y, y2]), np.hstack([x, x2]))
    np.testing.assert_allclose(together, apart, rtol=1e-12)  # (4,): one for each example


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e-4])
def test_auto_sigma_is_the_root_mean_squared_error_for_data_of_any_scale(scale, rng):
    y, x = rng.standard_normal((2, 8, 5)) * scale
    likelihood = CalibratedGaussian()
    nll = likelihood.forward(y, x)
    variance = np.mean([error**2 for error in (x - y).ravel()])
    assert likelihood.variance == pytest.approx(variance, rel=1e-12)
    # The entropy of a Gaussian of that variance: ½ log 2πeσ² for each feature.
    assert nll.mean() == pytest.approx(5 * 0.5 * math.log(2 * math.pi * math.e * variance))
    dy = likelihood.backward(1 / 8)
    step = 1e-5 * scale
    assert_gradients(lambda: likelihood.forward(y, x).mean(), {"y": (y, dy)}, step=step)


@pytest.mark.parametrize("scale", [1e3, 1e-4])
def test_auto_sigma_works_in_float32_at_any_scale(scale, rng):
    y, x = (rng.standard_normal((2, 8, 5)) * scale).astype("float32")
    likelihood = CalibratedGaussian()
    assert likelihood.forward(y, x).dtype == np.float32
    assert relative_error(likelihood.variance, ((x - y).astype("float64") ** 2).mean()) < 1e-6
    dy = likelihood.backward(1 / 8)
    assert dy.dtype == np.float32 and np.isfinite(dy).all()


def test_no_other_sigma_makes_the_batch_more_likely(rng):
    y, x = rng.standard_normal((2, 8, 5))
    auto = CalibratedGaussian()
    best = auto.forward(y, x).mean()
    for factor in (0.9, 0.99, 1.01, 1.1):
        other = Gaussian(math.sqrt(auto.variance) * factor)
        assert other.forward(y, x).mean() > best


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_auto_sigma_has_a_floor_where_the_reconstruction_is_perfect(dtype, rng):
    x = rng.standard_normal((4, 3)).astype(dtype)
    likelihood = CalibratedGaussian()
    assert np.isfinite(likelihood.forward(x, x)).all()
    assert likelihood.variance == pytest.approx(1e-12)
    np.testing.assert_array_equal(likelihood.backward(0.25), 0.0)


def test_below_the_floor_sigma_is_a_constant(rng):
    x = rng.standard_normal((4, 3))
    y = x + 1e-8 * rng.standard_normal((4, 3))
    likelihood = CalibratedGaussian()
    likelihood.forward(y, x)
    dy = likelihood.backward(0.25)
    assert likelihood.variance == 1e-12
    # The loss is quadratic in y here, so that differences of any step are exact.
    assert_gradients(lambda: likelihood.forward(y, x).mean(), {"y": (y, dy)}, 1e-6, step=1e-7)


def test_evaluation_uses_the_stored_sigma_and_not_the_batch(rng):
    y, x = rng.standard_normal((2, 8, 5))
    likelihood = CalibratedGaussian()
    likelihood.sigma = 0.5
    likelihood.forward(y, x)
    np.testing.assert_allclose(likelihood.nll(y, x), Gaussian(0.5).nll(y, x))
    np.testing.assert_allclose(likelihood.nll(y[:1], x[:1]), likelihood.nll(y, x)[:1])


@pytest.mark.parametrize("name", ["fixed", "sigmoid", "bernoulli"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_draws_have_the_mean_and_the_spread_of_the_likelihood(name, dtype, rng):
    likelihood, n = LIKELIHOODS[name](), 40_000
    y = np.tile(np.array([-1.0, 0.2, 2.0], dtype), (n, 1))
    x = likelihood.sample(y, rng)
    assert x.dtype == dtype and x.shape == (n, 3)
    mean = likelihood.mean(y)[0]
    spread = np.sqrt(mean * (1 - mean)) if name == "bernoulli" else likelihood.sigma
    if name == "bernoulli":
        assert set(np.unique(x)) == {0.0, 1.0}
    assert (np.abs(x.mean(axis=0) - mean) < 4 * spread / math.sqrt(n)).all()
    assert (np.abs(x.std(axis=0) / spread - 1) < 0.03).all()


@pytest.mark.parametrize("sigma", [0, -1.0, math.nan, math.inf, "automatic", None, True])
def test_a_wrong_sigma_is_named(sigma):
    with pytest.raises(ValueError, match=r"sigma \(or 'auto'\) must be a finite number above 0"):
        Gaussian(sigma)


def test_a_wrong_output_is_named():
    with pytest.raises(ValueError, match="output must be one of identity, sigmoid, not 'relu'"):
        VAE(3, 2, sigma=1.0, output="relu")


def test_under_auto_a_loop_of_ones_own_leaves_the_sigma_of_its_last_batch(rng):
    y, x = rng.standard_normal((2, 8, 5))
    likelihood = CalibratedGaussian()
    assert likelihood.sigma == 1.0
    likelihood.forward(y, x)
    assert likelihood.sigma == pytest.approx(math.sqrt(((y - x) ** 2).mean()))
