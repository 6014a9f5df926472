"""VAEEstimator in scikit-learn: its own checks in full, and the tools that people put it into."""

import copy
import math

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: sklearn)")

from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from tinyvae import evaluate
from tinyvae.estimator import VAEEstimator

X = load_digits().data[:300] / 16  # (300, 64) in [0, 1]


def small(**parameters):
    return VAEEstimator(**{"hidden": (16,), "epochs": 3, "random_state": 0} | parameters)


@parametrize_with_checks([VAEEstimator(hidden=(8,), epochs=2)])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_transform_gives_posterior_means_and_inverse_transform_decodes_them():
    vae = small().fit(X)
    Z = vae.transform(X)
    np.testing.assert_array_equal(Z, vae.model_.encode(X)[0])
    np.testing.assert_array_equal(vae.inverse_transform(Z), vae.model_.reconstruct(X))
    np.testing.assert_allclose(small().fit_transform(X), Z)


def test_training_lowers_the_error_of_the_reconstruction():
    vae = small(epochs=60, lr=5e-3).fit(X)
    error = ((vae.inverse_transform(vae.transform(X)) - X) ** 2).mean()
    assert error < 0.8 * X.var(axis=0).mean()
    assert len(vae.history_) == 60


def test_score_is_the_elbo_or_log_p_x_as_asked_for():
    vae = small(epochs=20).fit(X)
    elbo = vae.score_samples(X)
    assert elbo.shape == (300,)
    assert vae.score(X) == pytest.approx(elbo.mean())
    assert vae.score(X) == pytest.approx(evaluate.elbo(vae.model_, X, samples=20).elbo, abs=0.5)
    vae.set_params(importance_samples=50)
    expected = evaluate.log_likelihood(vae.model_, X, samples=50, seed=vae.model_.seed)
    np.testing.assert_array_equal(vae.score_samples(X), expected.log_likelihood)
    assert vae.score(X) > elbo.mean()


def test_the_same_random_state_gives_the_same_model_and_samples():
    one, two, other = small().fit(X), small().fit(X), small(random_state=1).fit(X)
    np.testing.assert_array_equal(one.transform(X), two.transform(X))
    assert not np.allclose(one.transform(X), other.transform(X))
    np.testing.assert_array_equal(one.sample(4, random_state=5), two.sample(4, random_state=5))
    assert one.sample(7).shape == (7, 64)


def test_sample_with_noise_has_the_spread_of_the_likelihood():
    vae = small(sigma=0.5).fit(X)
    noise = vae.sample(200, random_state=3, noise=True) - vae.sample(200, random_state=3)
    assert noise.std() == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_model_takes_the_precision_of_the_data_unless_told(dtype):
    vae = small().fit(X.astype(dtype))
    assert vae.model_.dtype == dtype
    assert vae.transform(X.astype("float32")).dtype == np.float32
    assert small(dtype="float32").fit(X.astype(dtype)).model_.dtype == "float32"


def test_in_a_pipeline_with_pandas_output():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    pipeline = make_pipeline(StandardScaler(), small()).set_output(transform="pandas")
    Z = pipeline.fit_transform(X)
    assert isinstance(Z, pandas.DataFrame)
    assert list(Z.columns) == ["vaeestimator0", "vaeestimator1"]
    assert list(pipeline.get_feature_names_out()) == list(Z.columns)
    assert pipeline.inverse_transform(Z).shape == X.shape
    assert math.isfinite(pipeline.score(X))


def test_in_a_grid_search_over_beta():
    search = GridSearchCV(small(epochs=10), {"beta": [0.5, 50.0]}, cv=2, error_score="raise")
    search.fit(X)
    assert search.best_params_ == {"beta": 0.5}  # so high a beta leaves nothing in the latent space
    assert search.best_estimator_.n_features_in_ == 64


def test_cross_val_score():
    scores = cross_val_score(small(), X, cv=3, error_score="raise")
    assert scores.shape == (3,)
    assert np.isfinite(scores).all()


def test_clone_has_the_parameters_and_no_fit():
    vae = small(beta=2.0).fit(X)
    cloned = clone(vae)
    assert cloned.get_params() == vae.get_params()
    assert not hasattr(cloned, "model_")
    assert cloned.set_params(latent_dim=3).fit(X).transform(X).shape == (300, 3)


def test_a_deep_copy_gives_the_same():
    vae = small().fit(X)
    other = copy.deepcopy(vae)
    np.testing.assert_array_equal(other.transform(X), vae.transform(X))
    np.testing.assert_array_equal(other.score_samples(X), vae.score_samples(X))
    np.testing.assert_array_equal(other.sample(3, random_state=0), vae.sample(3, random_state=0))
    other.model_.parameters.theta[:] = 0
    assert np.abs(vae.transform(X)).max() > 0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"beta": -1}, "beta must be a finite number"),
        ({"optimizer": "rmsprop"}, "optimizer must be one of adam, sgd"),
        ({"dtype": "float16"}, "dtype must be one of auto, float32, float64"),
        ({"importance_samples": -1}, "importance_samples must be a whole number"),
        ({"likelihood": "bernoulli"}, r"spans \[0, 16\]"),
    ],
)
def test_unfit_parameters_get_one_clear_line(parameters, message):
    with pytest.raises(ValueError, match=message) as caught:
        small(**parameters).fit(16 * X)
    assert "\n" not in str(caught.value)


def test_codes_of_another_width_are_refused():
    with pytest.raises(ValueError, match="X has 3 columns, but codes of this VAE have 2"):
        small().fit(X).inverse_transform(np.zeros((4, 3)))
