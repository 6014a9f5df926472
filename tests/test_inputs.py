"""Rows as people have them: every memory layout, float type and container gives the same numbers,
and what is no table of numbers is refused in a line that names it."""

import numpy as np
import pytest

from tinyvae import VAE, Autoencoder, evaluate, fit

pd = pytest.importorskip("pandas")
N, D = 24, 4
BASE = np.round(np.random.default_rng(0).normal(size=(N, D)), 1).astype(np.float16).astype(float)


def _read_only(x):
    x = x.copy()
    x.setflags(write=False)
    return x


LAYOUTS = {
    "F": np.asfortranarray,
    "transposed": lambda x: np.array(x.T).T,
    "strided": lambda x: np.repeat(np.repeat(x, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": _read_only,
    "frame": lambda x: pd.DataFrame(x, columns=list("abcd")),
    "nullable": lambda x: pd.DataFrame(x).astype("Float64"),
    "list": lambda x: x.tolist(),
    "float16": lambda x: x.astype(np.float16),
    "float32 F": lambda x: np.asfortranarray(x, np.float32),
    "big-endian": lambda x: x.astype(">f8"),
    "longdouble": lambda x: x.astype(np.longdouble),
    "nothing masked": np.ma.array,
}


def _vae(kind=VAE, **options):
    return kind(D, 2, hidden=(8,), seed=1, backend="numpy", **options)


def _fitted(x):
    vae = _vae()
    history = fit(vae, x, epochs=2, batch_size=10, validation=x, progress=False)
    return [[row["loss"], row["val_loss"]] for row in history], vae.parameters.theta


def _scored(x):
    from tinyvae.estimator import VAEEstimator

    est = VAEEstimator(hidden=(8,), epochs=2, dtype="float32", random_state=0).fit(x)
    return est.score(x), est.score_samples(x), est.transform(x).astype(np.float32)


USES = {
    "forward": lambda x: _vae().forward(x).loss,
    "encode": lambda x: _vae().encode(x),
    "reconstruct": lambda x: _vae().reconstruct(x),
    "autoencoder": lambda x: _vae(Autoencoder).encode(x),
    "elbo": lambda x: evaluate.elbo(_vae(), x),
    "elbo_per_example": lambda x: evaluate.elbo_per_example(_vae(), x).elbo,
    "log_likelihood": lambda x: evaluate.log_likelihood(_vae(), x, samples=5).log_likelihood,
    "kl_per_dimension": lambda x: evaluate.kl_per_dimension(_vae(), x),
    "active_units": lambda x: evaluate.active_units(_vae(), x),
    "evaluate": lambda x: list(evaluate.evaluate(_vae(), x, samples=5, progress=False).values()),
    "fit": _fitted,
    "estimator": _scored,
}


def _numbers(result):
    return [float(v) for part in _flat(result) for v in np.ravel(part)]


def _flat(result):
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, tuple | list):
        return [leaf for part in result for leaf in _flat(part)]
    return [] if isinstance(result, str | bool) or result is None else [np.asarray(result, float)]


@pytest.fixture(scope="module")
def wanted():
    return {name: _numbers(use(BASE.copy())) for name, use in USES.items()}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_numbers(layout, use, wanted):
    got = _numbers(USES[use](LAYOUTS[layout](BASE)))
    loose = use == "estimator" and layout.startswith("float")  # it keeps the precision of its data
    np.testing.assert_allclose(got, wanted[use], rtol=1e-5 if loose else 1e-12)


def test_a_grid_search_on_a_frame_finds_a_score_for_each_candidate():
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from tinyvae.estimator import VAEEstimator

    frame = pd.DataFrame(BASE, columns=list("abcd"))
    pipeline = make_pipeline(StandardScaler(), VAEEstimator(hidden=(8,), epochs=1, random_state=0))
    search = GridSearchCV(pipeline, {"vaeestimator__latent_dim": [1, 2]}, cv=2).fit(frame)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert np.isfinite(pipeline.fit(frame).score(frame))


MASKED = np.ma.masked_greater(np.where(np.arange(N * D).reshape(N, D) == 6, 999.0, BASE), 100)
ODD = {
    "masked": (MASKED, "nan in row 1, column 2"),
    "missing": (pd.DataFrame({c: [1, None, 3] for c in "abcd"}).astype("Int64"), "nan in row 1"),
    "text": (np.array([["1", "a", "2", "3"]], object), "'1' in row 0, column 0"),
}


@pytest.mark.parametrize("use", [name for name in USES if name != "estimator"])
@pytest.mark.parametrize("odd", ODD)
def test_masked_and_missing_cells_and_text_are_refused_with_their_place(odd, use):
    value, message = ODD[odd]
    with pytest.raises((ValueError, TypeError), match=message) as error:
        USES[use](value)
    assert "\n" not in str(error.value)


def test_masked_cells_are_missing_ones_to_the_estimator():
    from tinyvae.estimator import VAEEstimator

    first, second = (
        VAEEstimator(hidden=(8,), epochs=2, early_stopping=False, random_state=0).fit(x)
        for x in (MASKED, MASKED.filled(np.nan))
    )
    np.testing.assert_array_equal(first.model_.parameters.theta, second.model_.parameters.theta)
    assert first.score(MASKED) == second.score(MASKED.filled(np.nan))


def test_a_training_whose_sigma_grows_without_end_says_that_it_diverged():
    x = np.random.default_rng(0).gamma(0.5, 7.5, (3000, 10))
    vae = VAE(10, 2, hidden=(256, 128), sigma="auto", seed=0, backend="numpy")
    with pytest.raises(FloatingPointError, match=r"since epoch 1, step .*data scaled to around 1"):
        fit(vae, x, epochs=3, batch_size=100, progress=False)
