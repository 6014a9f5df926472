"""VAEEstimator in scikit-learn: its own checks in full, and the tools that people put it into."""

import copy
import math
import re

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: sklearn)")

from sklearn.base import clone, is_outlier_detector
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from tinyvae import evaluate
from tinyvae.estimator import VAEEstimator
from tinyvae.evaluate import passes

X = load_digits().data[:300] / 16  # (300, 64) in [0, 1]


def small(**parameters):
    few = {"hidden": (16,), "activation": "relu", "epochs": 3, "early_stopping": False}
    return VAEEstimator(**{**few, "lr": 1e-3, "batch_size": 128, "random_state": 0} | parameters)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
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
    vae = VAEEstimator(random_state=0, lr_schedule="constant", n_iter_no_change=12).fit(table)
    elbos = [-row["val_reconstruction"] - row["val_kl"] for row in vae.history_]
    assert vae.best_epoch_ == np.argmax(elbos) + 1
    assert vae.n_iter_ == len(elbos) == vae.best_epoch_ + 12 < 600
    whole = VAEEstimator(random_state=0, early_stopping=False, epochs=7).fit(table)
    assert whole.n_iter_ == whole.best_epoch_ == len(whole.history_) == 7
    assert VAEEstimator(random_state=0).fit(table[:9]).n_iter_ == 600  # too few to hold some out


def test_a_training_that_might_go_on_is_said_to():
    with pytest.warns(ConvergenceWarning, match="5 epochs are over, and epoch 5 was the best"):
        VAEEstimator(random_state=0, epochs=5).fit(load_wine().data)


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
    np.testing.assert_allclose(vae.score_samples(X), expected.log_likelihood - units, rtol=1e-9)
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
        ({"contamination": 0}, r"contamination must lie in \(0, 0\.5\], not 0"),
        ({"contamination": 0.6}, r"contamination must lie in \(0, 0\.5\], not 0\.6"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1"),
        ({"lr": "fast"}, "lr must be a finite number above 0"),
        ({"hidden": "wide"}, "hidden must be a sequence of layer widths"),
        ({"conditional": True}, "requires y to be passed"),
        ({"threads": 0}, "threads .* must be a whole number"),
        ({"early_stopping": 1}, "early_stopping must be True or False"),
        ({"validation_fraction": 1.0}, r"validation_fraction must lie in \[0, 1\)"),
        (
            {"n_iter_no_change": 0, "early_stopping": True},
            "n_iter_no_change must be a whole number",
        ),
        ({"standardize": "yes"}, "standardize must be one of auto, True, False"),
        ({"standardize": True, "output": "sigmoid"}, r"takes rows out of \[0, 1\]: leave it out"),
        ({"likelihood": "bernoulli"}, r"^X spans \[0, 16\]"),
        ({"likelihood": "mixed"}, "likelihood must be one of gaussian, bernoulli, not 'mixed'"),
    ],
)
def test_unfit_parameters_get_one_clear_line(parameters, message):
    with pytest.raises(ValueError, match=message) as caught:
        small(**parameters).fit(16 * X)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("words", [["a", "b"], np.array(["2020-01-01", "2021"], "M8[s]")])
def test_a_column_of_words_or_dates_in_a_frame_is_named(words):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2.0], "n": pandas.array([1, None], "Int64"), "c": words})
    with pytest.raises(ValueError, match="column 'c' of X does not hold numbers: encode it"):
        small().fit(frame)
    assert small().fit(frame[["a", "n"]].astype({"a": object})).n_features_in_ == 2


def test_a_feature_whose_variance_is_no_float_is_refused():
    with pytest.raises(ValueError, match=r"X has differences in column 1 .* too small"):
        small().fit(X[:, 20:22] * [1, 1e-300])


def test_without_a_validation_fraction_no_row_is_held_out():
    vae = small(early_stopping=True, validation_fraction=0.0).fit(X)
    np.testing.assert_array_equal(vae.transform(X), small().fit_transform(X))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_rate_of_a_linear_model_is_lower_for_many_features(rng):
    """At 0.03 a step moves logvar by up to 9, and exp(logvar) takes long to come back."""
    A, sigma = rng.standard_normal((3, 300)), rng.uniform(0.2, 1, 300)
    table, new = (
        rng.standard_normal((n, 3)) @ A + sigma * rng.standard_normal((n, 300)) for n in (60, 200)
    )
    how = {"latent_dim": 3, "random_state": 0, "importance_samples": 20, "threads": 1}
    given, by_default = (VAEEstimator(**how, **lr).fit(table) for lr in ({"lr": 0.03}, {}))
    assert by_default.score(new) > max(PCA(3).fit(table).score(new), given.score(new) + 5)


def test_codes_of_another_width_are_refused():
    with pytest.raises(ValueError, match="X has 3 columns, but codes of this VAE have 2"):
        small().fit(X).inverse_transform(np.zeros((4, 3)))


def test_outliers_are_the_least_likely_training_rows():
    table = load_wine().data
    vae = VAEEstimator(random_state=0, contamination=0.05).fit(table)
    scores = vae.score_samples(table)
    assert vae.offset_ == np.quantile(scores, 0.05)
    np.testing.assert_array_equal(vae.predict(table) == -1, scores < vae.offset_)
    np.testing.assert_array_equal(vae.decision_function(table), scores - vae.offset_)
    assert (vae.predict(table) == -1).sum() == 9
    far = table[:1] + 8 * table.std(axis=0) * [[1, -1] * 6 + [1]]
    assert vae.predict(far).tolist() == [-1]
    assert is_outlier_detector(vae)


# Missing cells


@pytest.fixture(scope="module")
def gaps():
    """The iris with a fifth of its cells missing, and a VAE of it."""
    table = load_iris().data
    holes = np.where(np.random.default_rng(0).random(table.shape) < 0.2, np.nan, table)
    return table, holes, VAEEstimator(random_state=0, importance_samples=200).fit(holes)


def test_missing_cells_are_filled_in_better_than_by_means(gaps):
    table, holes, vae = gaps
    filled, missing = vae.impute(holes), np.isnan(holes)
    np.testing.assert_array_equal(filled[~missing], table[~missing])
    means = SimpleImputer().fit_transform(holes)

    def error(found):  # in standard deviations of each column
        return np.sqrt((((found - table) / table.std(axis=0))[missing] ** 2).mean())

    assert error(filled) < 0.7 * error(means)


def test_the_score_of_a_row_is_that_of_its_observed_cells(gaps):
    _, _, vae = gaps
    sigma, scale = vae.model_.sigma, vae.scale_
    row = np.array([[5.8, np.nan, np.nan, np.nan]])
    # log p(x_1) by a sum over a grid of the decoded plane instead of importance sampling.
    side = np.linspace(-5, 5, 300)
    z = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    prior = np.exp(-0.5 * (z**2).sum(axis=1)) / (2 * math.pi) * (side[1] - side[0]) ** 2
    y = vae.inverse_transform(z)[:, 0]
    spread = sigma[0] * scale[0]
    density = np.exp(-0.5 * ((5.8 - y) / spread) ** 2) / (math.sqrt(2 * math.pi) * spread)
    vae = copy.deepcopy(vae).set_params(importance_samples=20_000)
    assert vae.score_samples(row)[0] == pytest.approx(np.log(prior @ density), abs=0.02)


def test_rows_lack_cells_where_none_did_in_training_and_masks_are_missing_cells():
    table = load_iris().data
    vae = VAEEstimator(random_state=0).fit(table)
    holes = table.copy()
    holes[3, 1] = holes[7, 2] = np.nan
    assert np.isfinite(vae.transform(holes)).all() and np.isfinite(vae.score_samples(holes)).all()
    masked = np.ma.masked_array(np.nan_to_num(holes, nan=999.0), np.isnan(holes))
    np.testing.assert_array_equal(vae.transform(masked), vae.transform(holes))
    assert vae.impute(masked)[3, 1] == pytest.approx(table[3, 1], abs=1)
    np.testing.assert_array_equal(copy.deepcopy(vae).transform(holes), vae.transform(holes))


def test_no_column_is_left_without_an_observed_cell_by_what_is_held_out():
    table = load_iris().data[:40].copy()
    table[1:, 2] = np.nan
    for seed in range(5):
        vae = VAEEstimator(hidden=(4,), random_state=seed, validation_fraction=0.5).fit(table)
        assert np.isfinite(vae.score(table))
    table[0, 2] = np.nan
    with pytest.raises(
        ValueError, match="X has no observed cell in column 2: leave the column out"
    ):
        VAEEstimator().fit(table)


# A conditional model


def test_a_conditional_model_knows_each_class():
    table, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    vae = VAEEstimator(conditional=True, random_state=0).fit(table, names)
    assert list(vae.classes_) == ["setosa", "versicolor", "virginica"]
    right, wrong = vae.score(table, names), vae.score(table, np.roll(names, 50))
    assert right > wrong + 1
    drawn = vae.sample(300, random_state=0, noise=True, y=["virginica"] * 300)
    np.testing.assert_allclose(drawn.mean(axis=0), table[y == 2].mean(axis=0), atol=0.3)
    Z = vae.transform(table, names)
    assert vae.inverse_transform(Z, names).shape == table.shape
    np.testing.assert_array_equal(vae.predict(table, names), vae.fit_predict(table, names))
    assert (vae.predict(table, names) == -1).sum() == 15
    with pytest.raises(ValueError, match="conditional: give y, a class of each of 150 rows"):
        vae.transform(table)
    with pytest.raises(ValueError, match="y has the class 'rose': it takes a class of each row"):
        vae.transform(table[:1], ["rose"])
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        VAEEstimator(conditional=True).fit(table, table[:, 0])
    with pytest.raises(ValueError, match="y has 1 rows for 2"):
        vae.transform(table[:2], ["setosa"])


def test_labels_are_ignored_by_a_model_that_is_not_conditional():
    table, y = load_iris(return_X_y=True)
    one, two = small().fit(table, y), small().fit(table)
    np.testing.assert_array_equal(one.transform(table), two.transform(table))
    assert one.fit_transform(table, y).shape == (150, 2)


def test_many_rows_pass_in_blocks(monkeypatch):
    vae, seen = small().fit(X), []
    encode, decode = vae.model_.encode, vae.model_.decode
    monkeypatch.setattr(passes, "BLOCK", 64 * passes.width(vae.model_))
    vae.model_.encode = lambda u, labels=None: (seen.append(len(u)), encode(u))[1]
    vae.model_.decode = lambda z, labels=None: (seen.append(len(z)), decode(z))[1]
    assert vae.inverse_transform(vae.transform(X)).shape == X.shape
    assert max(seen) == 64 and sum(seen) == 600


def test_verbose_prints_a_line_an_epoch_outside_a_terminal(capsys):
    small(epochs=2, verbose=True).fit(X)
    assert re.findall("epoch ./2: loss", capsys.readouterr().err) == [
        *("epoch 1/2: loss", "epoch 2/2: loss"),
    ]
    small(epochs=2).fit(X)
    assert capsys.readouterr() == ("", "")
