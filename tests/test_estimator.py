"""VAEEstimator in scikit-learn: its own checks in full, and the tools that people put it into."""

import copy
import math
import re

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: sklearn)")

from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from tinyvae import evaluate
from tinyvae.estimator import VAEEstimator

X = load_digits().data[:300] / 16  # (300, 64) in [0, 1]


def small(**parameters):
    return VAEEstimator(**{"hidden": (16,), "epochs": 3, "random_state": 0} | parameters)


@parametrize_with_checks([VAEEstimator(), VAEEstimator(hidden=(8,), epochs=2, sigma="auto")])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_transform_gives_posterior_means_and_inverse_transform_decodes_them():
    vae = small().fit(X)
    Z, u = vae.transform(X), (X - vae.mean_) / vae.scale_  # as the model sees X
    np.testing.assert_array_equal(Z, vae.model_.encode(u)[0])
    decoded = vae.model_.reconstruct(u) * vae.scale_ + vae.mean_
    np.testing.assert_array_equal(vae.inverse_transform(Z), decoded)
    np.testing.assert_allclose(small().fit_transform(X), Z)


def test_all_features_count_alike_and_scores_are_those_of_their_units():
    table = load_diabetes().data
    factors = np.geomspace(1e-6, 1e6, table.shape[1])
    moved = table * factors + 100 * factors
    here, there = small(epochs=30).fit(table), small(epochs=30).fit(moved)
    np.testing.assert_allclose(there.transform(moved), here.transform(table), atol=1e-6)
    scores = here.score_samples(table) - np.log(factors).sum()
    np.testing.assert_allclose(there.score_samples(moved), scores, rtol=1e-6)
    new = (there.sample(5, random_state=0) - 100 * factors) / factors
    np.testing.assert_allclose(new, here.sample(5, random_state=0), atol=1e-6)


@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer, load_diabetes])
def test_with_default_arguments_raw_tables_are_better_known_than_to_pca(load):
    rows = np.random.default_rng(0).permutation(load().data)
    train, test = np.split(rows, [len(rows) * 3 // 4])
    vae = VAEEstimator(random_state=0, importance_samples=100).fit(train)
    scaler = StandardScaler().fit(train)
    pca = PCA(2).fit(scaler.transform(train)).score(scaler.transform(test))
    assert vae.score(test) > pca - np.log(scaler.scale_).sum()


def test_training_stops_early_and_keeps_its_best_epoch():
    table = load_wine().data
    vae = VAEEstimator(random_state=0).fit(table)
    elbos = [-row["val_reconstruction"] - row["val_kl"] for row in vae.history_]
    assert vae.n_iter_ == np.argmax(elbos) + 1
    assert len(elbos) == vae.n_iter_ + 20 < 600
    whole = VAEEstimator(random_state=0, early_stopping=False, epochs=7).fit(table)
    assert whole.n_iter_ == len(whole.history_) == 7
    assert VAEEstimator(random_state=0).fit(table[:9]).n_iter_ == 600  # too few to hold some out


def test_a_fixed_sigma_or_an_output_in_0_1_leaves_the_units_as_they_are():
    for parameters in ({"sigma": 0.5}, {"output": "sigmoid"}, {"likelihood": "bernoulli"}):
        vae = small(**parameters).fit(X)
        assert not vae.mean_.any() and (vae.scale_ == 1).all()
    assert small(sigma=0.5, standardize=True).fit(X).mean_.any()


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
    u, units = (X - vae.mean_) / vae.scale_, np.log(vae.scale_).sum()
    other = evaluate.elbo(vae.model_, u, samples=20).elbo - units
    assert vae.score(X) == pytest.approx(other, abs=0.5)
    vae.set_params(importance_samples=50)
    expected = evaluate.log_likelihood(vae.model_, u, samples=50, seed=vae.model_.seed)
    np.testing.assert_array_equal(vae.score_samples(X), expected.log_likelihood - units)
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
    search = GridSearchCV(
        small(epochs=10, sigma=0.3), {"beta": [0.5, 50.0]}, cv=2, error_score="raise"
    )
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
        ({"epochs": 0}, "epochs must be a whole number"),
        ({"epochs": "many"}, "epochs must be a whole number"),
        ({"early_stopping": 1}, "early_stopping must be True or False"),
        ({"validation_fraction": 1.0}, r"validation_fraction must lie in \[0, 1\)"),
        ({"n_iter_no_change": 0}, "n_iter_no_change must be a whole number"),
        ({"standardize": "yes"}, "standardize must be one of auto, True, False"),
        ({"standardize": True, "output": "sigmoid"}, r"takes rows out of \[0, 1\]: leave it out"),
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


def test_verbose_prints_a_line_an_epoch_outside_a_terminal(capsys):
    small(epochs=2, verbose=True).fit(X)
    assert re.findall("epoch ./2: loss", capsys.readouterr().err) == [
        *("epoch 1/2: loss", "epoch 2/2: loss"),
    ]
    small(epochs=2).fit(X)
    assert capsys.readouterr() == ("", "")
