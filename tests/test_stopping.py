"""When a training stops, and what it leaves: the best epoch on rows that are held out."""

import json
import math
import shutil

import numpy as np
import pytest

from tinyvae import IWAE, VAE, Adam, Autoencoder, evaluate, fit, load
from tinyvae.core.columns import MIN_VARIANCE
from tinyvae.train import loop
from tinyvae.train.runs import open_run
from tinyvae.train.stopping import is_warm, waited

D = 5
TRAINING = {"batch_size": 16, "lr": 2e-2, "progress": False}


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray]:
    """Few rows to train on, and others to validate on: a model over-fits soon."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((70, 2)) @ rng.standard_normal((2, D))
    x += 0.5 * rng.standard_normal((70, D))
    return x[:30], x[30:]


def model(**options):
    options = {"sigma": "per-feature", "hidden": (24,), "activation": "tanh"} | options
    return VAE(D, 2, **options, dtype="float64", backend="numpy")


def elbos(history) -> list[float]:
    return [-(row["val_reconstruction"] + row["val_kl"]) for row in history]


@pytest.mark.parametrize(
    ("values", "cold", "patience", "expected"),
    [
        ([], 0, 2, (0, 0, False)),
        ([1, 2, 3], 0, 2, (3, 0, False)),
        ([1, 3, 2], 0, 2, (2, 0, False)),
        ([1, 3, 2, 2], 0, 2, (2, 1, True)),
        ([1, 3, 2, 2, 2], 0, 2, (2, 1, False)),
        ([1, 3, 2, 2, 2, 3], 0, 2, (2, 2, True)),
        ([1, 3, 2, 2, 2, 4], 0, 2, (6, 1, False)),
        ([9, 8, 1, 2], 2, 1, (4, 0, False)),  # the first two epochs do not count
        ([9, 8], 3, 1, (0, 0, False)),
        ([math.nan, 1, 2, math.nan], 0, 3, (3, 0, False)),
        ([math.nan, math.nan], 0, 2, (0, 1, True)),
    ],
)
def test_the_patience_runs_out_where_no_epoch_is_better(values, cold, patience, expected):
    warm = [epoch > cold for epoch in range(1, len(values) + 1)]
    assert waited(values, warm, patience) == expected


def test_epochs_count_once_the_warm_up_is_over():
    assert [is_warm(epoch, 2, 10) for epoch in (1, 2, 3, 10)] == [False, False, True, True]
    assert [is_warm(epoch, 1.5, 10) for epoch in (2, 3)] == [False, True]
    assert [is_warm(epoch, 1, 4) for epoch in (4, 5, 6)] == [True, False, True]  # two cycles
    assert is_warm(1, 0, 10)


def test_a_training_stops_and_leaves_the_model_of_its_best_epoch(rows, tmp_path):
    kept = {}
    vae = model()

    def keep(row):
        kept[row["epoch"]] = vae.parameters.theta.copy()

    x, held_out = rows
    history = fit(vae, x, 500, validation=held_out, patience=15, callback=keep,
                  run=tmp_path / "run", **TRAINING)  # fmt: skip
    best = history.best_epoch
    assert best == 1 + int(np.argmax(elbos(history))) and len(history) == best + 15 < 500
    np.testing.assert_array_equal(vae.parameters.theta, kept[best])
    loaded = load(tmp_path / "run", backend="numpy")
    np.testing.assert_array_equal(loaded.parameters.theta, kept[best])
    np.testing.assert_array_equal(loaded.sigma, vae.sigma)
    stored = np.load(tmp_path / "run" / "checkpoint.npz")
    last = np.concatenate([stored[name].ravel() for name in vae.parameters])
    np.testing.assert_array_equal(last, kept[len(history)])
    assert int(stored["best_epoch"]) == best
    run = open_run(tmp_path / "run")
    assert run.histories[0].best_epoch == best
    assert run.config["training"]["patience"] == 15


def test_sigma_is_set_from_the_rows_that_chose_the_epoch_too(rows):
    x, held_out = rows
    vae = model()
    fit(vae, x, 60, validation=held_out, patience=60, **TRAINING)
    whole = np.vstack([x, held_out])
    mu, logvar = vae.encode(whole)
    eps = np.random.default_rng(0).standard_normal((400, *mu.shape))
    y = vae.decode((mu + np.exp(0.5 * logvar) * eps).reshape(-1, 2)).reshape(400, *whole.shape)
    np.testing.assert_allclose(vae.sigma, np.sqrt(((y - whole) ** 2).mean(axis=(0, 1))), rtol=0.02)


@pytest.mark.parametrize("options", [{}, {"sigma": "auto"}, {"likelihood": "mixed",
                         "columns": [("gaussian", D)]}])  # fmt: skip
def test_a_resumed_training_ends_bit_for_bit_as_an_uninterrupted_one(options, rows, tmp_path):
    x, held_out = rows
    arguments = {"validation": held_out, "patience": 6, **TRAINING}
    whole, first, second = model(**options), model(**options), model(**options)
    fit(whole, x, 9, run=tmp_path / "whole", **arguments)
    fit(first, x, 4, run=tmp_path / "cut", **arguments)
    fit(second, x, 9, run=tmp_path / "cut", resume=True, **arguments)
    np.testing.assert_array_equal(second.parameters.theta, whole.parameters.theta)
    np.testing.assert_array_equal(second.sigma, whole.sigma)
    stored = [np.load(tmp_path / name / "checkpoint.npz") for name in ("whole", "cut")]
    assert stored[0].files == stored[1].files
    for name in stored[0].files:
        if "second" not in name:
            np.testing.assert_array_equal(stored[0][name], stored[1][name])


def test_a_stopped_run_is_over_until_it_is_asked_for_other_epochs(rows, tmp_path):
    x, held_out = rows
    arguments = {"validation": held_out, "patience": 5, "run": tmp_path / "run", **TRAINING}
    first = fit(model(), x, 300, **arguments)
    before = np.load(tmp_path / "run" / "checkpoint.npz")
    again = model()
    history = fit(again, x, 300, resume=True, **arguments)
    assert len(history) == len(first) and history.best_epoch == first.best_epoch
    after = np.load(tmp_path / "run" / "checkpoint.npz")
    for name in before.files:
        np.testing.assert_array_equal(before[name], after[name])
    np.testing.assert_array_equal(again.parameters.theta, load(tmp_path / "run").parameters.theta)
    longer = fit(model(), x, 301, resume=True, **arguments)
    assert len(first) + 5 <= len(longer) < 301


def test_without_patience_a_resumed_run_leaves_its_last_epoch(rows, tmp_path):
    x, held_out = rows
    arguments = {"validation": held_out, "run": tmp_path / "run", **TRAINING}
    fit(model(), x, 20, patience=30, **arguments)
    vae = model()
    history = fit(vae, x, 40, resume=True, **arguments)
    assert history.best_epoch is None and len(history) == 40
    stored = np.load(tmp_path / "run" / "checkpoint.npz")
    assert not any(name.startswith("best") for name in stored.files)
    np.testing.assert_array_equal(load(tmp_path / "run").parameters.theta, vae.parameters.theta)


def test_a_resumed_training_knows_that_its_rate_has_stepped_down(rows, tmp_path):
    x, held_out = rows
    arguments = {"validation": held_out, "patience": 8, "lr_schedule": "step", **TRAINING}
    whole = model()
    history = fit(whole, x, 500, run=tmp_path / "whole", **arguments)
    cut = len(history) - 3  # in the second wait
    first, second = model(), model()
    fit(first, x, 500, run=tmp_path / "cut", callback=lambda row: row["epoch"] == cut, **arguments)
    again = fit(second, x, 500, run=tmp_path / "cut", resume=True, **arguments)
    np.testing.assert_array_equal(second.parameters.theta, whole.parameters.theta)
    assert (len(again), again.best_epoch) == (len(history), history.best_epoch)
    stored = [np.load(tmp_path / name / "checkpoint.npz") for name in ("whole", "cut")]
    np.testing.assert_array_equal(*(file["decoder.0.W"] for file in stored))


def test_a_killed_training_leaves_the_best_and_the_last(rows, tmp_path):
    x, held_out = rows
    seen = {}

    def kill(row):
        shutil.copytree(tmp_path / "run", tmp_path / f"at-{row['epoch']}")
        seen[row["epoch"]] = vae.parameters.theta.copy()

    vae = model()
    history = fit(vae, x, 12, validation=held_out, patience=20, run=tmp_path / "run",
                  callback=kill, **TRAINING)  # fmt: skip
    for epoch in (3, 12):
        best = 1 + int(np.argmax(elbos(history)[:epoch]))
        loaded = load(tmp_path / f"at-{epoch}", backend="numpy")
        np.testing.assert_array_equal(loaded.parameters.theta, seen[best])


def test_the_step_schedule_takes_its_step_when_the_patience_runs_out(rows):
    x, held_out = rows
    vae, rates = model(), []
    adam = Adam(vae.parameters, lr=2e-2)
    history = fit(vae, x, 500, batch_size=16, optimizer=adam, lr_schedule="step", patience=8,
                  validation=held_out, progress=False,
                  callback=lambda row: rates.append(adam.lr))  # fmt: skip
    now = [waited(elbos(history[:n]), [True] * n, 8) for n in range(1, len(history) + 1)]
    outs = [n for n, state in enumerate(now, 1) if state.just_now]
    assert len(outs) == 2 and outs[1] == len(history)
    np.testing.assert_allclose(rates[: outs[0]], 2e-2)
    np.testing.assert_allclose(rates[outs[0] :], 4e-3)
    assert adam.lr == 2e-2


def test_the_best_epoch_of_an_iwae_is_that_of_its_own_bound(rows):
    x, held_out = rows
    iwae = IWAE(D, 2, hidden=(24,), sigma=0.5, importance_samples=20, backend="numpy")
    history = fit(iwae, x, 40, validation=held_out, patience=40, **TRAINING)
    losses = [row["val_loss"] for row in history]
    assert history.best_epoch == 1 + int(np.argmin(losses)) != 1 + int(np.argmax(elbos(history)))


def test_no_epoch_of_the_warm_up_is_the_best(rows):
    x, held_out = rows
    history = fit(model(), x, 12, validation=held_out, patience=50, kl_warmup=7, **TRAINING)
    best = 8 + int(np.argmax(elbos(history)[7:]))
    assert history.best_epoch == best
    history = fit(model(), x, 3, validation=held_out, patience=50, kl_warmup=7, **TRAINING)
    assert history.best_epoch is None and len(history) == 3


def test_without_patience_the_last_epoch_stays(rows, tmp_path):
    x, held_out = rows
    vae = model(sigma=0.5)
    history = fit(vae, x, 5, validation=held_out, run=tmp_path / "run", **TRAINING)
    stored = np.load(tmp_path / "run" / "checkpoint.npz")
    assert history.best_epoch is None and history == list(history)
    assert not any(name.startswith(("best", "stopped", "variance")) for name in stored.files)
    assert "patience" not in json.loads((tmp_path / "run" / "config.json").read_text())["training"]


def test_an_autoencoder_has_a_best_epoch_too(rows):
    x, held_out = rows
    vae = Autoencoder(D, 2, hidden=(24,), sigma=0.5, backend="numpy")
    history = fit(vae, x, 300, validation=held_out, patience=10, **TRAINING)
    assert history.best_epoch == 1 + int(np.argmax(elbos(history)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patience": 5}, r"patience=5 waits for rows that are held out: give validation=…"),
        ({"patience": 0, "validation": np.zeros((2, D))}, "patience must be a whole number"),
        ({"missing": "yes"}, "missing must be True or False, not 'yes'"),
    ],
)
def test_what_cannot_be_waited_for_is_named(options, message, rows):
    with pytest.raises(ValueError, match=message):
        fit(model(), rows[0], 2, **TRAINING, **options)


def test_notes_tell_the_best_epoch_and_the_floor(rows, capsys):
    x, held_out = rows
    flat = np.hstack([x, np.zeros((len(x), 1))])
    vae = VAE(D + 1, 2, hidden=(), sigma="per-feature", dtype="float64", backend="numpy")
    fit(vae, flat, 60, validation=np.hstack([held_out, np.zeros((len(held_out), 1))]),
        patience=100, batch_size=10, lr=3e-2)  # fmt: skip
    told = capsys.readouterr().err
    assert "note: best at epoch" in told
    assert f"σ² is at its floor, 0.001, in column {D} (counted from 0)" in told
    assert vae.sigma[D] ** 2 == pytest.approx(MIN_VARIANCE)


# Missing cells in a training


@pytest.mark.parametrize("mask", [True, "mask"])
def test_a_model_learns_from_rows_that_lack_cells(mask, rows, tmp_path):
    x = rows[0].copy()
    x[np.random.default_rng(1).random(x.shape) < 0.3] = np.nan
    vae = VAE(D, 2, hidden=(8,), sigma="per-feature", backend="numpy",
              missing=False if mask is True else mask)  # fmt: skip
    history = fit(vae, x, 30, missing=True, run=tmp_path / "run", **TRAINING)
    assert history[-1]["loss"] < history[0]["loss"] - 0.5
    loaded = load(tmp_path / "run", backend="numpy")
    assert loaded.missing == mask
    np.testing.assert_array_equal(loaded.reconstruct(x), vae.reconstruct(x))
    again = model(hidden=(8,))
    masked = np.ma.masked_array(np.nan_to_num(x, nan=999.0), np.isnan(x))
    for given in (x, masked):
        again = VAE(D, 2, hidden=(8,), sigma="per-feature", backend="numpy")
        same = fit(again, given, 3, missing=True, **TRAINING)
        assert np.isfinite(same[-1]["loss"])


def test_a_column_without_an_observed_cell_is_named_before_anything_changes(rows):
    x = rows[0].copy()
    x[:, 3] = np.nan
    vae = model()
    with pytest.raises(ValueError, match="x_train has no observed cell in column 3: leave the"):
        fit(vae, x, 2, missing=True, **TRAINING)
    assert vae.missing is False and len(vae.encoder.layers) == 3


def test_where_cells_are_missing_log_p_chooses_the_epoch_and_a_resumed_run_goes_on(rows, tmp_path):
    train, held_out = (np.where(np.random.default_rng(2).random(x.shape) < 0.2, math.nan, x)
                       for x in rows)  # fmt: skip
    options = {**TRAINING, "validation": held_out, "patience": 8, "missing": True}
    whole = model(missing="mask")
    history = fit(whole, train, 40, run=tmp_path / "a", **options)
    log_p = [row["val_log_p"] for row in history]
    assert history.best_epoch == 1 + np.argmax(log_p)
    exact = np.mean([evaluate.log_likelihood(whole, held_out, samples=5000).log_likelihood])
    assert abs(exact - max(log_p)) < 0.5  # σ² was set anew since
    # The same in two parts, bit for bit.
    parts = model(missing="mask")
    fit(parts, train, history.best_epoch + 3, run=tmp_path / "b", **options)
    again = model(missing="mask")
    went_on = fit(again, train, 40, run=tmp_path / "b", resume=True, **options)
    assert [row["val_log_p"] for row in went_on] == log_p
    assert went_on.best_epoch == history.best_epoch
    np.testing.assert_array_equal(again.parameters.theta, whole.parameters.theta)
    header = (tmp_path / "b/metrics.csv").read_text().splitlines()[0]
    assert header.endswith("val_kl,val_log_p")


def test_a_run_of_an_earlier_version_goes_on_by_its_elbo(rows, tmp_path, monkeypatch):
    train, held_out = rows
    options = {**TRAINING, "validation": held_out, "patience": 30, "run": tmp_path / "r"}
    with monkeypatch.context() as before:
        before.setattr(loop, "_by_log_p", lambda t: False)
        fit(model(missing="mask"), train, 3, **options)
    again = model(missing="mask")
    history = fit(again, train, 6, resume=True, **options)
    assert len(history) == 6 and "val_log_p" not in history[-1]
    assert history.best_epoch == 1 + np.argmax(elbos(history))


def test_a_run_goes_on_without_its_patience(rows, tmp_path):
    options = {**TRAINING, "validation": rows[1], "missing": True, "run": tmp_path / "r"}
    fit(model(missing="mask"), rows[0], 3, patience=2, **options)
    history = fit(model(missing="mask"), rows[0], 5, resume=True, **options)
    assert len(history) == 5 and history.best_epoch is None
    assert not any("val_log_p" in row for row in history)
    assert len((tmp_path / "r/metrics.csv").read_text().splitlines()) == 6
