"""`fit` trains, is reproducible, resumes bit for bit, and refuses what it can't train on."""

import csv
import io
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from tinyvae import SGD, VAE, Autoencoder, fit, load, load_dataset
from tinyvae.data.rows import LazyRows
from tinyvae.data.scaling import Scaling
from tinyvae.train.runs import COLUMNS, Run, next_free, open_run


@pytest.fixture
def x(rng):
    factor = rng.standard_normal((60, 2))
    x = factor @ rng.standard_normal((2, 5)) + 0.1 * rng.standard_normal((60, 5))
    return x.astype("float32")


def small_vae(**options):
    return VAE(5, 2, hidden=(4,), **{"backend": "numpy", "seed": 1, **options})


def without_seconds(history):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in history]


def test_the_loss_on_real_digits_falls_to_a_stated_value():
    digits = load_dataset("digits")
    vae = VAE(784, 2, hidden=(128,), sigma=math.sqrt(0.5), output="sigmoid", backend="numpy")
    history = fit(vae, digits.x_train, epochs=5, validation=digits.x_test, progress=False)
    constant = 784 / 2 * math.log(math.pi)  # of the Gaussian with σ² = ½
    assert history[0]["loss"] - constant > 80
    assert history[-1]["val_loss"] - constant < 51.5


def test_rows_read_batch_by_batch_of_one_column_are_refused_in_the_singular():
    rows = LazyRows(np.zeros((9, 1)), np.arange(9), Scaling())
    with pytest.raises(ValueError, match="x_train has 1 column, the model takes 5"):
        fit(small_vae(), rows, epochs=1, progress=False)


def test_history_has_one_row_an_epoch_with_the_columns_of_metrics_csv(x):
    history = fit(small_vae(), x, epochs=3, validation=x[:10], progress=False)
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert all(tuple(row) == COLUMNS for row in history)


def test_losses_are_weighted_by_the_size_of_the_batch(x):
    vae = small_vae(sigma=1.0)
    seen = []
    vae_forward = vae.forward

    def noted(*args, **kwargs):
        terms = vae_forward(*args, **kwargs)
        seen.append((len(args[0]), float(terms.loss)))
        return terms

    vae.forward = noted
    (row,) = fit(vae, x[:50], epochs=1, batch_size=40, progress=False)
    assert [size for size, _ in seen] == [40, 10]
    assert row["loss"] == pytest.approx(sum(size * loss for size, loss in seen) / 50, rel=1e-6)


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(x):
    def theta(seed):
        vae = small_vae(seed=seed)
        fit(vae, x, epochs=2, progress=False)
        return vae.parameters.theta

    assert np.array_equal(theta(1), theta(1))
    assert not np.array_equal(theta(1), theta(2))


def test_the_global_random_state_is_neither_read_nor_changed(x):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    fit(small_vae(), x, epochs=1, progress=False)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_sigma_auto_keeps_the_root_of_the_last_epochs_mean_variance(x):
    vae = small_vae(sigma="auto")
    variances = []
    step = vae.backward

    def noted():
        variances.append(float(vae.likelihood.variance))
        step()

    vae.backward = noted
    fit(vae, x, epochs=2, batch_size=20, progress=False)
    assert vae.sigma == pytest.approx(math.sqrt(np.mean(variances[-3:])), rel=1e-6)


def test_sigma_is_a_mean_over_rows_so_a_short_batch_counts_as_little_as_it_is():
    x = np.vstack([np.full((128, 4), 0.1), np.full((1, 4), 10.0)])
    vae = VAE(4, 1, hidden=(), dtype="float64", backend="numpy")
    vae.parameters.theta[:] = 0  # so that x_hat is 0
    fit(vae, x, epochs=1, batch_size=128, lr=1e-12, progress=False)
    assert vae.sigma**2 == pytest.approx((x**2).mean(), rel=1e-6)


def test_the_validation_loss_counts_free_bits_as_the_training_loss_does(x):
    vae = small_vae(free_bits=1.5, beta=2.0, sigma=1.0)
    (row,) = fit(vae, x, epochs=1, validation=x, progress=False)
    mu, logvar = vae.encode(x)
    kl = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).mean(axis=0)  # (L,)
    expected = row["val_reconstruction"] + 2.0 * np.maximum(kl, 1.5).sum()
    assert kl.min() < 1.5  # it matters
    assert row["val_loss"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("options", "note"),
    [
        (
            {"kl_warmup": 8, "epochs": 2},
            "a warm-up of 8 epochs in 2: the factor of the KL rises to 0.25 of",
        ),
        ({"kl_warmup": 2, "epochs": 4, "kl_cycles": 4}, "a warm-up of 2 epochs in 1: "),
        ({"kl_warmup": 2, "epochs": 4, "kl_cycles": 2}, ""),
    ],
)
def test_a_warm_up_that_does_not_end_is_told(x, capsys, options, note):
    fit(small_vae(), x, progress=False, **options)
    found = capsys.readouterr().err
    assert note in found if note else not found


@pytest.mark.parametrize(
    ("kl_cycles", "expected"),
    [(1, [0, 0.25, 0.5, 0.75, 1, 1, 1, 1]), (2, [0, 0.25, 0.5, 0.75] * 2)],
)
def test_kl_warmup_raises_beta_step_by_step_and_gives_it_back(x, kl_cycles, expected):
    vae = small_vae(beta=2.0)
    betas = []
    step = vae.backward

    def noted():
        betas.append(vae.beta / 2.0)
        step()

    vae.backward = noted
    fit(vae, x, epochs=4, batch_size=30, kl_warmup=2, kl_cycles=kl_cycles, progress=False)
    assert betas == pytest.approx(expected)
    assert vae.beta == 2.0


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("constant", [1, 1, 1]), ("step", [1, 1, 0.2]), ("cosine", [1, 0.75, 0.25])],
)
def test_lr_schedules(x, schedule, expected):
    rates = []
    optimizer = SGD((vae := small_vae()).parameters, lr=1e-4)
    step = optimizer.step
    optimizer.step = lambda: (rates.append(optimizer.lr / 1e-4), step())
    fit(vae, x, epochs=3, batch_size=60, lr_schedule=schedule, optimizer=optimizer, progress=False)
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize("yes", [True, np.True_])
def test_a_callback_that_returns_true_ends_the_training(yes, x):
    answers = {2: yes}
    history = fit(small_vae(), x, 9, callback=lambda row: answers.get(row["epoch"]), progress=False)
    assert len(history) == 2


@pytest.mark.parametrize("answer", [1, 0.5, np.float64(3), "no", [0], np.ones(2), {"loss": 1}])
def test_a_callback_that_returns_anything_else_does_not(answer, x):
    history = fit(small_vae(), x, epochs=3, callback=lambda row: answer, progress=False)
    assert len(history) == 3


def test_outside_a_terminal_each_epoch_is_a_line_on_stderr(x, capsys, monkeypatch):
    history = fit(small_vae(), x, epochs=2)
    lines = [
        f"epoch {row['epoch']}/2: loss {row['loss']:.2f}, kl {row['kl']:.2f}" for row in history
    ]
    printed = capsys.readouterr()
    assert (printed.out, printed.err.splitlines()) == ("", lines)
    fit(small_vae(), x, epochs=1, validation=x)
    assert ", val_loss " in capsys.readouterr().err
    fit(small_vae(), x, epochs=2, progress=False)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("sys.stderr", None)  # as of a program for windows
    fit(small_vae(), x, epochs=1)
    assert capsys.readouterr() == ("", "")


def test_in_a_terminal_a_bar_shows_the_epochs(x, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", terminal)
    fit(small_vae(), x, epochs=2)
    assert "epoch 2/2: " in terminal.getvalue() and "epoch 2/2: loss" not in terminal.getvalue()


@pytest.mark.notebooks
@pytest.mark.parametrize("widgets", [True, False])
def test_a_notebook_shows_a_bar_or_without_ipywidgets_lines(widgets):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    if widgets:
        pytest.importorskip(
            "ipywidgets", reason="ipywidgets, which draws the bar, is not installed"
        )
    hidden = "" if widgets else "import sys; sys.modules['ipywidgets'] = None\n"
    code = "import numpy as np; from tinyvae import VAE, fit; vae = VAE(3, 1, backend='numpy')\n"
    cell = nbformat.v4.new_code_cell(f"{hidden}{code}fit(vae, np.ones((9, 3), 'float32'), 2);")
    notebook = nbformat.v4.new_notebook(cells=[cell])
    nbclient.NotebookClient(notebook, kernel_name="python3").execute()
    if widgets:
        (output,) = cell.outputs
        assert "widget-view" in str([*output.data]) and "0/2" in output.data["text/plain"]
    else:
        lines = "".join(output.text for output in cell.outputs).splitlines()
        assert [line.split(":")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]


def test_a_run_folder_holds_config_metrics_and_checkpoint(x, tmp_path):
    vae = small_vae()
    history = fit(vae, x, epochs=2, validation=x[:10], progress=False, run=tmp_path / "r")
    assert json.loads((tmp_path / "r/config.json").read_text())["model"]["latent_dim"] == 2
    with open(tmp_path / "r/metrics.csv") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val_kl"]) for row in rows] == [row["val_kl"] for row in history]
    assert np.array_equal(load(tmp_path / "r").parameters.theta, vae.parameters.theta)


OPTIMIZERS = ["adam", "sgd"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_resumed_training_ends_bit_for_bit_as_an_uninterrupted_one(x, tmp_path, optimizer):
    options = {"batch_size": 16, "lr": 1e-3, "optimizer": optimizer, "validation": x[:10]}
    options |= {"progress": False, "kl_warmup": 3, "lr_schedule": "cosine"}
    whole = small_vae()
    history = fit(whole, x, epochs=5, run=tmp_path / "whole", **options)

    class Killed(BaseException):
        pass

    def kill(row):
        if row["epoch"] == 2:
            raise Killed

    with pytest.raises(Killed):
        fit(small_vae(), x, epochs=5, run=tmp_path / "cut", callback=kill, **options)
    resumed = small_vae()
    again = fit(resumed, x, epochs=5, run=tmp_path / "cut", resume=True, **options)

    assert np.array_equal(resumed.parameters.theta, whole.parameters.theta)
    assert without_seconds(again) == without_seconds(history)
    assert same_checkpoints(tmp_path / "whole", tmp_path / "cut")


def same_checkpoints(*runs):
    first, second = (np.load(run / "checkpoint.npz") for run in runs)
    with first, second:
        assert first.files == second.files
        names = [name for name in first.files if "second" not in name and "config" not in name]
        return all(np.array_equal(first[name], second[name]) for name in names)


@pytest.mark.parametrize("call", range(1, 12))
def test_a_kill_at_any_write_leaves_a_run_that_resumes(x, tmp_path, monkeypatch, call):
    options = {"epochs": 2, "batch_size": 20, "validation": x[:10], "progress": False}
    fit(small_vae(), x, run=tmp_path / "whole", **options)

    calls, replace = 0, os.replace

    class Killed(BaseException):
        pass

    def killed_before(source, target):
        nonlocal calls
        calls += 1
        if calls == call:
            raise Killed
        replace(source, target)

    monkeypatch.setattr(os, "replace", killed_before)
    run = Run(tmp_path / "cut", {"model": {}, "training": {}})
    try:
        fit(small_vae(), x, run=run, **options)
    except Killed:
        monkeypatch.undo()
    else:  # no such write: the run has fewer
        assert call > 9
        monkeypatch.undo()
    assert not list(run.path.glob("*.partial"))
    if (run.path / "config.json").exists():
        fit(small_vae(), x, run=run, resume=True, **options)
        assert same_checkpoints(tmp_path / "whole", tmp_path / "cut")
    else:
        assert call == 1


def test_a_loss_that_is_not_finite_says_since_when_why_and_what_to_change(x, tmp_path):
    vae = small_vae(sigma=1.0)
    with pytest.raises(FloatingPointError) as caught:
        fit(vae, x, epochs=200, optimizer="sgd", lr=50.0, run=tmp_path / "r", progress=False)
    message = str(caught.value)
    assert "not finite since in epoch" not in message
    for part in ("not finite since epoch", "the learning rate 50 is too high", "try"):
        assert part in message
    assert np.isfinite(load(tmp_path / "r").parameters.theta).all()


def spoil_a_row(model, x):
    x[23, 3] = 1e30


def widen_the_posterior(model, x):
    model.parameters["encoder.1.b"][model.latent_dim :] = 100


def enlarge(model, x):
    x *= 1e25


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (
            spoil_a_row,
            r"row 23 of the training rows \(counted from 0\), which reaches 1e\+30, where",
        ),
        (widen_the_posterior, "logvar is so large that e\\^logvar overflows: try"),
        (enlarge, "the data, or a weight such as beta, are too large"),
    ],
)
@pytest.mark.parametrize("likelihood", [{"sigma": "auto"}, {"sigma": 1.0}])
def test_the_cause_of_a_loss_that_is_not_finite_is_named(spoil, cause, likelihood):
    x, vae = np.random.default_rng(0).random((40, 5), dtype="float32"), small_vae(**likelihood)
    spoil(vae, x)
    with pytest.raises(FloatingPointError, match=cause):
        fit(vae, x, epochs=2, batch_size=8, progress=False)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((0, 5)), r"x_train must have the shape \(examples, 5\), not \(0, 5\)"),
        (np.zeros((4, 3)), r"x_train must have the shape \(examples, 5\), not \(4, 3\)"),
        (np.zeros((4, 5), "uint8"), "x_train has the dtype uint8"),
        (np.full((4, 5), np.nan), "x_train holds nan in row 0, column 0"),
    ],
)
def test_data_that_cannot_be_trained_on_are_refused_before_a_folder_is_made(
    data, message, tmp_path
):
    with pytest.raises(ValueError, match=message):
        fit(small_vae(), data, run=tmp_path / "r", progress=False)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1, not 0"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"lr": -1}, "lr must be a finite number above 0, not -1"),
        ({"lr": math.nan}, "lr must be"),
        ({"lr_schedule": "magic"}, "lr_schedule must be one of constant, step, cosine"),
        ({"optimizer": "lion"}, "optimizer must be one of adam, sgd, not 'lion'"),
        ({"kl_warmup": -1}, "kl_warmup must be"),
    ],
)
def test_options_out_of_range_are_refused(x, options, message):
    with pytest.raises(ValueError, match=message):
        fit(small_vae(), x, progress=False, **options)


def test_bernoulli_refuses_data_outside_0_to_1(x):
    with pytest.raises(ValueError, match="takes \\[0, 1\\]: scale the data"):
        fit(small_vae(likelihood="bernoulli"), x, progress=False)


def test_an_existing_run_is_never_overwritten(x, tmp_path):
    fit(small_vae(), x, epochs=1, run=tmp_path / "r", progress=False)
    before = (tmp_path / "r/checkpoint.npz").read_bytes()
    with pytest.raises(FileExistsError, match="exists and is not empty"):
        fit(small_vae(), x, epochs=1, run=tmp_path / "r", progress=False)
    assert (tmp_path / "r/checkpoint.npz").read_bytes() == before


def test_runs_are_numbered(tmp_path):
    assert next_free(tmp_path, "digits").name == "digits"
    (tmp_path / "digits").mkdir()
    assert next_free(tmp_path, "digits").name == "digits"  # still empty
    (tmp_path / "digits/config.json").touch()
    assert next_free(tmp_path, "digits").name == "digits-2"


def test_what_is_no_run_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        open_run(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match=r"holds no config.json"):
        open_run(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config.json is damaged"):
        open_run(tmp_path)


def test_an_autoencoder_trains_with_a_kl_of_0(x):
    history = fit(Autoencoder(5, 2, hidden=(4,), backend="numpy"), x, epochs=2, progress=False)
    assert history[-1]["kl"] == 0.0
    assert history[-1]["loss"] < history[0]["loss"]


def test_a_conditional_model_trains_on_labels(x, rng):
    vae = small_vae(n_classes=3)
    labels = rng.integers(0, 3, len(x))
    history = fit(vae, x, epochs=2, labels=labels, progress=False)
    assert math.isfinite(history[-1]["loss"])
    with pytest.raises(ValueError, match="give labels"):
        fit(vae, x, epochs=1, progress=False)


def test_a_checkpoint_in_the_middle_of_a_warm_up_holds_the_models_own_beta(x, tmp_path):
    vae = small_vae(beta=2.0)
    options = {"epochs": 4, "kl_warmup": 4, "progress": False}
    fit(vae, x, run=tmp_path / "run", callback=lambda row: row["epoch"] == 1, **options)
    assert open_run(tmp_path / "run").model.beta == 2.0


def test_a_run_opens_whatever_a_callback_weighed(x, tmp_path):
    vae = small_vae()

    def weigh(row):
        vae.beta, vae.reconstruction_weight, vae.free_bits = 3.0, 0.5, 0.2

    fit(vae, x, epochs=2, run=tmp_path / "run", callback=weigh, progress=False)
    assert open_run(tmp_path / "run").model.beta == 3.0


def test_a_run_that_another_process_trains_is_left_alone(tmp_path):
    run = Run(tmp_path / "run", {"model": {}, "training": {}})
    run.create()
    code = (
        "import sys; from tinyvae.train.runs import Run\n"
        "run = Run(sys.argv[1])\n"
        "try: run.lock(patience=0)\n"
        "except BlockingIOError as error: print(error)"
    )
    ask = [sys.executable, "-c", code, str(run.path)]
    message = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
    assert message.startswith(f"{run.path} is being trained by another process: wait for it")
    run.unlock()
    assert subprocess.run(ask, capture_output=True, text=True, check=True).stdout == ""
    assert sorted(os.listdir(run.path)) == ["config.json"]


def test_runs_that_start_at_the_same_moment_get_folders_of_their_own(tmp_path):
    first, second, third = (Run(tmp_path / "digits", numbered="digits") for _ in range(3))
    for run in (first, second, third):  # each was given the same name
        run.create()
    assert [run.path.name for run in (first, second, third)] == ["digits", "digits-2", "digits-3"]


@pytest.mark.parametrize(("run", "what"), [(None, "without run"), ("nowhere", "run='nowhere'")])
def test_a_training_that_never_began_cannot_go_on(run, what, x):
    vae = small_vae()
    before = vae.parameters.theta.copy()
    with pytest.raises(ValueError, match=f"resume=True .*{what}: there is nothing to go on from"):
        fit(vae, x, epochs=1, run=run, resume=True, progress=False)
    assert np.array_equal(vae.parameters.theta, before)


def test_a_callback_that_is_no_function_is_refused_before_training(x):
    vae = small_vae()
    before = vae.parameters.theta.copy()
    with pytest.raises(TypeError, match=r"^callback must be a function of .*, not 3$"):
        fit(vae, x, epochs=1, callback=3, progress=False)
    assert np.array_equal(vae.parameters.theta, before)
