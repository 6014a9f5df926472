"""The command line: what a person types, what they get, and one clear line for every mistake."""

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tinyvae import VAE, CalibratedGaussian, Dense, Sigmoid, figures, fit, load
from tinyvae.cli import evaluate
from tinyvae.cli import main as cli
from tinyvae.cli.train_options import default_epochs, defaults
from tinyvae.data import load_dataset, read_labelled
from tinyvae.data.preparation import hold_out
from tinyvae.evaluate import elbo, elbo_per_example, log_likelihood
from tinyvae.train import open_run

FAST = ["--hidden", "8", "--batch-size", "500", "--no-figures"]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Runs that commands only read."""
    folder = tmp_path_factory.mktemp("runs")
    for name, options in {
        "vae": [],
        "conditional": ["--conditional"],
        "autoencoder": ["--model", "autoencoder"],
    }.items():
        run = [*FAST, "--epochs", "1", "--quiet", "--out", str(folder / name), *options]
        assert cli.main(["train", *run]) == 0
    return folder


def one_line(capsys):
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "Traceback" not in err
    return err


def test_train_leaves_a_run_folder_and_says_what_came_of_it(capsys):
    assert cli.main(["train", *FAST, "--epochs", "2"]) == 0
    out = capsys.readouterr().out
    assert "4,500 rows to train on" in out and "run folder: runs/digits" in out
    assert "2 epochs" in out and "mean squared error" in out
    assert sorted(os.listdir("runs/digits")) == [
        *("checkpoint.npz", "config.json", "kl_per_dimension.csv", "metrics.csv"),
    ]


def test_a_second_run_gets_a_number(capsys):
    for _ in range(2):
        assert cli.main(["train", *FAST, "--epochs", "1", "--quiet"]) == 0
    assert sorted(os.listdir("runs")) == ["digits", "digits-2"]


def test_a_folder_that_is_never_made_is_not_announced(capsys):
    np.save("x.npy", np.full((20, 2), 3.0) * np.arange(20)[:, None])
    assert cli.main(["train", "--dataset", "x.npy", "--likelihood", "bernoulli"]) == 2
    assert "run folder" not in capsys.readouterr().out and not os.path.exists("runs")


def test_the_folder_announced_is_the_run_s_where_another_took_its_number(capsys, monkeypatch):
    assert cli.main(["train", *FAST, "--epochs", "1", "--quiet"]) == 0
    monkeypatch.setattr("tinyvae.cli.train.next_free", lambda folder, name: f"{folder}/{name}")
    assert cli.main(["train", *FAST, "--epochs", "1"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "run folder" in line]
    assert lines == [f"run folder: {os.path.join('runs', 'digits-2')}"]


def test_a_run_that_diverged_at_once_has_no_trained_epoch(capsys):
    np.save("far.npy", np.random.default_rng(0).random((50, 3)) * 1e30)
    command = ["train", "--dataset", "far.npy", "--scale", "none", *FAST, "--out", "r"]
    assert cli.main([*command, "--epochs", "1", "--quiet"]) == 1
    error = capsys.readouterr().err
    assert "(own data: --scale standardize)" in error and "r has no trained epoch" in error
    assert cli.main(["sample", "r", "--out", "s.npy"]) == 0
    assert capsys.readouterr().err == "note: r has no trained epoch\n"


def test_binarized_data_without_a_bernoulli_likelihood_are_noted(capsys):
    for likelihood, noted in (("gaussian", True), ("bernoulli", False)):
        options = ["--binarize", "static", "--likelihood", likelihood, "--epochs", "1"]
        assert cli.main(["train", *FAST, *options]) == 0
        assert ("note: --binarize is for" in capsys.readouterr().err) == noted


def test_quiet_prints_nothing(capsys):
    noted = ["--kl-warmup", "9", "--data-dir", ".", "--binarize", "static"]
    cli.main(["train", *FAST, "--epochs", "1", *noted, "--quiet"])
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_every_option_reaches_the_model():
    options = "--latent-dim 3 --hidden none --activation tanh --likelihood bernoulli --beta 2"
    options += " --reconstruction-weight 0.5 --free-bits 0.1 --dtype float64 --seed 7"
    assert cli.main(["train", *options.split(), "--epochs", "1", "--quiet", "--no-figures"]) == 0
    config = json.loads(open("runs/digits/config.json").read())["model"]
    assert config == {
        **{"class": "VAE", "n_features": 784, "latent_dim": 3, "hidden": [], "activation": "tanh"},
        **{"likelihood": "bernoulli", "beta": 2.0, "reconstruction_weight": 0.5, "free_bits": 0.1},
        **{"dtype": "float64", "seed": 7},
    }
    assert load("runs/digits").beta == 2.0


def test_images_default_to_a_sigmoid_output_and_half_variance():
    cli.main(["train", *FAST, "--epochs", "1", "--quiet"])
    model = load("runs/digits")
    assert model.sigma == pytest.approx(0.5**0.5) and isinstance(model.decoder.layers[-1], Sigmoid)


def test_other_data_default_to_an_identity_output_and_a_learned_sigma(rng):
    np.save("own.npy", rng.standard_normal((50, 4)))
    assert cli.main(["train", "--dataset", "own.npy", *FAST, "--epochs", "1", "--quiet"]) == 0
    model = load("runs/own")
    assert isinstance(model.likelihood, CalibratedGaussian)
    assert isinstance(model.decoder.layers[-1], Dense)


def test_a_finished_run_says_so_and_can_be_extended(trained, capsys):
    run = ["train", *FAST, "--epochs", "1", "--quiet", "--out", "r"]
    cli.main(run)
    assert cli.main(["train", "--resume", "r", "--no-figures"]) == 0
    assert "already" in capsys.readouterr().out
    assert cli.main(["train", "--resume", "r", "--epochs", "3", "--no-figures", "--quiet"]) == 0
    assert len(open("r/metrics.csv").readlines()) == 4
    assert cli.main(["train", "--resume", "r", "--epochs", "2", "--quiet"]) == 2
    assert "r has 3 epochs already" in one_line(capsys)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--epochs 0", "--epochs: the value must be a whole number of at least 1, not 0"),
        ("--epochs 1.5", "--epochs: the value must be a whole number of at least 1, not '1.5'"),
        ("--lr -1", "--lr: the value must be a finite number above 0, not -1"),
        ("--lr inf", "--lr: the value must be a finite number above 0, not inf"),
        ("--latent-dim 0", "--latent-dim: the value must be a whole number of at least 1"),
        ("--hidden a,b", "--hidden: the value must be widths such as 256,128"),
        ("--hidden 5,0", "--hidden: the value must be widths such as 256,128"),
        ("--sigma 0", "--sigma: the value must be a finite number above 0"),
        ("--sigma abc", "--sigma: the value must be a finite number above 0, not 'abc'"),
        ("--beta nan", "--beta: the value must be a finite number of at least 0, not nan"),
        ("--seed -1", "--seed: the value must be a whole number of at least 0, not -1"),
        ("--model gan", "--model: invalid choice: 'gan'"),
        ("--dataset nothing", "'nothing' does not exist; data sets by name: digits"),
        ("--backend cupy", "backend 'cupy' does not work here"),
        ("--image-size 14x12", "error: --image-size 14x12 is for own files"),
        ("--scale none", "error: --scale none is for own files"),
        ("--labels foo", "error: --labels foo is for own files"),
        ("--epoch 3", "unrecognized arguments: --epoch 3"),
        ("--resume nothing", "nothing is no run folder"),
        ("--out a-file", "a-file is a file"),
        ("--out a-file/r", "cannot make the folder a-file/r"),
        ("--out full", "full exists and is not empty"),
    ],
)
def test_bad_usage_gets_one_line_and_leaves_no_trace(options, message, capsys, tmp_path):
    (tmp_path / "a-file").write_text("kept")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").touch()
    try:
        status = cli.main(["train", *options.split()])
    except SystemExit as stop:
        status = stop.code
    if "cupy" in message and status == 0:
        pytest.skip("a GPU is here")
    assert status == 2
    assert message in one_line(capsys)
    assert sorted(os.listdir()) == ["a-file", "full"]


def test_an_option_that_the_run_has_fixed_does_not_go_with_resume(trained, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", "--resume", str(trained / "vae"), "--lr", "1"])
    assert stop.value.code == 2 and "--lr does not go with --resume" in one_line(capsys)


def test_a_loss_that_explodes_ends_with_status_1_and_keeps_the_last_checkpoint(capsys):
    assert cli.main(["train", *FAST, "--optimizer", "sgd", "--lr", "1e9", "--quiet"]) == 1
    assert "the learning rate 1e+09 is too high" in one_line(capsys)
    assert np.isfinite(load("runs/digits").parameters.theta).all()


def test_an_interrupt_says_how_to_go_on_and_ends_with_130(capsys, monkeypatch):
    from tinyvae.train.runs import Run

    save = Run.save

    def interrupted(run, model, optimizer, history, *more):
        save(run, model, optimizer, history, *more)
        if len(history) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Run, "save", interrupted)
    assert cli.main(["train", *FAST, "--epochs", "4", "--quiet"]) == 130
    assert "continue with: python -m tinyvae train --resume runs/digits" in one_line(capsys)
    monkeypatch.undo()
    os.chdir(os.getcwd())


def test_a_full_disk_during_training_ends_with_status_1(capsys, monkeypatch, tmp_path):
    from tinyvae.train.runs import Run

    save = Run.save

    def full(run, model, optimizer, history, *more):
        if history:
            raise OSError(f"cannot write {run.path}/checkpoint.npz: No space left on device")
        save(run, model, optimizer, history, *more)

    monkeypatch.setattr(Run, "save", full)
    assert cli.main(["train", *FAST, "--epochs", "2", "--quiet"]) == 1
    err = one_line(capsys)
    assert "No space left on device" in err and "--resume runs/digits" in err


def test_python_m_tinyvae_train_runs_without_a_warning():
    command = [sys.executable, "-W", "error", "-m", "tinyvae.train", *FAST, "--epochs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert re.fullmatch(r"epoch 1/1: loss [\d.]+, kl [\d.]+, val_loss [\d.]+\n", done.stderr)
    assert "run folder: runs/digits" in done.stdout


def test_help_and_version_and_an_unknown_command(capsys):
    assert cli.main(["--help"]) == 0
    assert all(command in capsys.readouterr().out for command in ("train",))
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("tinyvae ")
    assert cli.main(["trian"]) == 2
    assert "no command 'trian'; there are train, evaluate" in one_line(capsys)


def test_sample_writes_an_array_or_a_picture_and_a_seed_fixes_it(trained, capsys):
    for seed in ("1", "1", "2"):
        out = f"s{seed}.npy"
        command = ["sample", str(trained / "vae"), "-n", "5", "--seed", seed, "--out", out]
        assert cli.main(command) == 0
    assert np.load("s1.npy").shape == (5, 784)
    assert not np.array_equal(np.load("s1.npy"), np.load("s2.npy"))
    assert cli.main(["sample", str(trained / "vae"), "--out", "s.png"]) == 0
    assert open("s.png", "rb").read(4) == b"\x89PNG"
    assert "s.png: 64 samples" in capsys.readouterr().out


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A run on a CSV file with names that need quotes and labels that are words, and the file."""
    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 1)) * [1, 20, 300] + [5, 0, -1e4] + rng.standard_normal((60, 3))
    x[7, 1] = 500  # far from what the other columns of its row say
    with open(folder / "t.csv", "w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["width, cm", "b", 'so-called "c"', "kind"])
        lines.writerows([*row, "ab"[i % 2]] for i, row in enumerate(x.tolist()))
    data = ["--dataset", str(folder / "t.csv"), "--labels", "kind", "--conditional"]
    run = [*FAST, "--epochs", "30", "--quiet", "--out", str(folder / "run")]
    assert cli.main(["train", *data, *run]) == 0
    return folder, x


def read_csv(path):
    with open(path, newline="") as file:
        names, *rows = csv.reader(file)
    return names, rows


def test_a_table_comes_out_with_the_names_of_its_columns_in_its_own_units(table):
    folder, x = table
    run, data = str(folder / "run"), str(folder / "t.csv")
    for kind in ("csv", "npy"):
        assert cli.main(["reconstruct", run, data, "--out", f"r.{kind}"]) == 0
        assert cli.main(["sample", run, "--label", "a", "-n", "4", "--out", f"s.{kind}"]) == 0
    for name, n in (("r", len(x)), ("s", 4)):
        names, rows = read_csv(f"{name}.csv")
        assert names == ["width, cm", "b", 'so-called "c"'] and len(rows) == n
        found = np.load(f"{name}.npy")
        assert np.all(abs(np.array(rows, float) - found) <= 1e-6 * x.std(axis=0))
    assert abs(np.load("r.npy").mean(axis=0) - x.mean(axis=0)).max() < 100


def test_codes_come_out_as_a_table_with_labels_in_words(table):
    run, data = str(table[0] / "run"), str(table[0] / "t.csv")
    for kind in ("csv", "npz"):
        assert cli.main(["encode", run, data, "--out", f"z.{kind}"]) == 0
    names, rows = read_csv("z.csv")
    assert names == ["mu1", "mu2", "logvar1", "logvar2", "label"]
    with np.load("z.npz") as z:
        codes = np.hstack([z["mu"], z["logvar"]])
        assert np.array_equal(np.array([row[:4] for row in rows], codes.dtype), codes)
    assert [row[4] for row in rows] == list("ab" * 30)


@pytest.mark.parametrize("of", ["log_p", "elbo"])
def test_score_ranks_rows_and_its_shares_add_up_to_their_values(table, of, capsys):
    run, data = table[0] / "run", table[0] / "t.csv"
    command = ["score", str(run), str(data), "--samples", "100", "--out", "scores.csv"]
    assert cli.main(command + ["--elbo"] * (of == "elbo")) == 0
    names, rows = read_csv("scores.csv")
    shares = ["share_width, cm", "share_b", 'share_so-called "c"', "share_kl"]
    assert names == ["row", of, "rank", *shares]
    row, value, rank, *parts = np.array(rows, float).T
    assert row.tolist() == list(range(60)) and sorted(rank) == list(range(1, 61))
    assert np.all(np.diff(value[np.argsort(rank)]) >= 0)
    assert np.allclose(value, np.sum(parts, axis=0), atol=1e-9)
    assert np.argmin(rank) == 7 and np.argmin([part[7] for part in parts]) == 1
    assert "the least likely, counted from 0: 7, " in capsys.readouterr().out
    model, (x, labels) = load(run), read_labelled(str(data), open_run(run).config["data"])
    of_one_kind = {"log_p": log_likelihood, "elbo": elbo_per_example}[of]
    found = of_one_kind(model, x[:], samples=100, labels=labels)[0]
    assert np.allclose(value, found, rtol=1e-5)


def test_sigma_of_each_column_is_trained_stored_and_shown(table, capsys):
    data = str(table[0] / "t.csv")
    options = ["--labels", "kind", "--sigma", "per-feature", "--hidden", "none"]
    command = ["train", "--dataset", data, *options, "--epochs", "20", "--out", "r"]
    assert cli.main([*command, "--validation", "0"]) == 0  # sigma is then that of all rows
    sigma = load("r").likelihood.sigma  # (3,)
    x = open_run("r").dataset.x_train
    errors = np.sqrt(np.mean((load("r").reconstruct(x) - x) ** 2, axis=0))
    assert len(set(sigma)) == 3 and np.all(sigma > errors)  # z's spread is in it too
    assert cli.main(["explore", "r"]) == 0 and cli.main(["evaluate", "r"]) == 0
    assert cli.main(["train", "--resume", "r", "--epochs", "21"]) == 0
    assert not np.array_equal(load("r").likelihood.sigma, sigma)


def test_with_patience_rows_of_the_training_part_choose_the_epoch(table, capsys):
    data = ["--dataset", str(table[0] / "t.csv"), "--labels", "kind", "--no-figures"]
    options = ["--patience", "3", "--lr", "0.03", "--batch-size", "10", "--hidden", "8"]
    assert cli.main(["train", *data, *options, "--out", "r"]) == 0
    out = capsys.readouterr().out
    assert "54 rows to train on, 6 to test on" in out
    assert "of the rows to train on, 46 to fit, 8 to choose the epoch by (--patience 3)" in out
    run = open_run("r")
    whole, parts = run.dataset, hold_out(run.dataset)
    together = np.vstack([parts.x_train, parts.x_test])
    assert np.array_equal(np.unique(together, axis=0), np.unique(whole.x_train, axis=0))
    # The run's own numbers are those of the rows held out; the summary has those of the test rows.
    history, model = run.histories[0], load("r")
    best = history[history.best_epoch - 1]
    assert len(history) < 600 and best["val_loss"] == min(row["val_loss"] for row in history)
    assert f"ELBO {elbo(model, whole.x_test).elbo:.2f}" in out
    assert cli.main(["train", "--resume", "r", "--no-figures"]) == 0
    assert f"all of its {len(history)} epochs (the patience ran out" in capsys.readouterr().out
    assert cli.main(["train", "--resume", "r", "--epochs", "900", "--no-figures"]) == 0
    assert "continuing after epoch" in capsys.readouterr().out
    assert len(open_run("r").histories[0]) > len(history)


@pytest.mark.parametrize(("row", "told"), [(0, "the test rows"), (1, "the rows to train on")])
def test_with_patience_all_rows_are_looked_at_before_the_training(row, told, rng, capsys):
    x = rng.random((2, 40, 4))
    x[row, :] *= 3
    np.savez("x.npz", x_test=x[0], x_train=x[1])
    command = ["train", "--dataset", "x.npz", "--likelihood", "bernoulli", "--patience", "2"]
    assert cli.main([*command, *FAST, "--out", "r"]) == 2
    assert f"error: {told} span" in capsys.readouterr().err and not os.path.exists("r")


@pytest.mark.parametrize(
    "options", [[], ["--binarize", "dynamic", "--likelihood", "bernoulli"], ["--conditional"]]
)
def test_a_training_with_patience_that_goes_on_is_the_uninterrupted_one(options):
    command = ["train", *FAST, "--patience", "2", "--quiet", *options]
    for epochs, out in (("3", "whole"), ("2", "parts")):
        assert cli.main([*command, "--epochs", epochs, "--out", out]) == 0
    assert cli.main(["train", "--resume", "parts", "--epochs", "3", "--no-figures"]) == 0
    whole, parts = load("whole").parameters.theta, load("parts").parameters.theta
    assert np.array_equal(whole, parts)


def test_temperature_0_samples_the_centre_of_the_prior(trained):
    run = str(trained / "vae")
    cli.main(["sample", run, "-n", "2", "--temperature", "0", "--out", "s.npy"])
    centre = load(trained / "vae").decode(np.zeros((1, 2)))
    assert np.allclose(np.load("s.npy"), centre, atol=1e-6)


def test_encode_then_decode_is_reconstruct(trained):
    run = str(trained / "vae")
    assert cli.main(["encode", run, "digits", "--out", "z.npz"]) == 0
    assert cli.main(["decode", run, "z.npz", "--out", "x.npy"]) == 0
    assert cli.main(["reconstruct", run, "digits", "--out", "r.npy"]) == 0
    with np.load("z.npz") as z:
        assert z["mu"].shape == z["logvar"].shape == (500, 2)
    assert np.allclose(np.load("x.npy"), np.load("r.npy"), atol=1e-6)


def test_interpolate_starts_and_ends_at_the_reconstructions(trained):
    run = str(trained / "vae")
    cli.main(["interpolate", run, "digits", "3", "8", "--steps", "4", "--out", "w.npy"])
    cli.main(["reconstruct", run, "digits", "--out", "r.npy"])
    walk, reconstructions = np.load("w.npy"), np.load("r.npy")
    assert np.allclose(walk[[0, -1]], reconstructions[[3, 8]], atol=1e-5)


def drawn(monkeypatch, name):
    """The list of what the figure `name` is called with from now on."""
    calls, figure = [], getattr(figures, name)
    monkeypatch.setattr(figures, name, lambda *given: calls.append(given) or figure(*given))
    return calls


def test_a_picture_of_reconstructions_shows_the_originals(trained, monkeypatch):
    calls = drawn(monkeypatch, "reconstructions")
    assert cli.main(["reconstruct", str(trained / "vae"), "digits", "--out", "r.png"]) == 0
    assert np.array_equal(calls[0][0], load_dataset("digits").x_test)


@pytest.mark.parametrize(("steps", "figure"), [("4", "interpolations"), ("40", "image_grid")])
def test_a_picture_of_a_walk_has_the_originals_at_its_ends(trained, steps, figure, monkeypatch):
    calls = drawn(monkeypatch, figure)
    command = ["interpolate", str(trained / "vae"), "digits", "3", "8", "--steps", steps]
    assert cli.main([*command, "--out", "w.png"]) == 0
    first, last = calls[0][0][0], (calls[0][2] if steps == "4" else calls[0][0])[-1]
    assert np.array_equal([first, last], load_dataset("digits").x_test[[3, 8]])


def test_a_walk_of_a_conditional_model_changes_its_label_halfway(trained, monkeypatch):
    labels = load_dataset("digits").y_test
    i, j = 0, int(np.flatnonzero(labels != labels[0])[0])
    given = []
    decode = VAE.decode
    monkeypatch.setattr(
        VAE,
        "decode",
        lambda self, z, labels: given.append(labels) or decode(self, z, labels=labels),
    )
    command = ["interpolate", str(trained / "conditional"), "digits", str(i), str(j)]
    assert cli.main([*command, "--steps", "4", "--out", "w.npy"]) == 0
    assert given[0].tolist() == [labels[i]] * 2 + [labels[j]] * 2


def test_an_autoencoder_encodes_to_z(trained):
    assert cli.main(["encode", str(trained / "autoencoder"), "digits", "--out", "z.npz"]) == 0
    with np.load("z.npz") as z:
        assert z.files == ["z"]


def test_a_conditional_model_samples_the_label_asked_for(trained):
    run = str(trained / "conditional")
    for label in "17":
        command = ["sample", run, "--label", label, "-n", "3", "--out", f"s{label}.npy"]
        assert cli.main(command) == 0
    assert not np.allclose(np.load("s1.npy"), np.load("s7.npy"))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("sample nothing --out s.png", "nothing is no run folder"),
        ("sample {vae} --out s.gif", "the name must end in .npy or .csv or .png"),
        ("score {autoencoder} digits --out s.csv", "holds an autoencoder, which gives data no"),
        ("score {vae} digits --out s.npy", "the name must end in .csv, not 's.npy'"),
        ("sample {vae} -n 0 --out s.png", "-n: the value must be a whole number of at least 1"),
        ("sample {vae} --label 3 --out s.npy", "is not conditional"),
        (
            "sample {autoencoder} --out s.npy",
            "holds an autoencoder, which has no prior to sample from",
        ),
        ("sample {conditional} --out s.npy", "--label is needed"),
        ("sample {conditional} --label 11 --out s.npy", "--label 11 is unknown: it is one of 0, 1"),
        ("sample {vae} --out no/such/folder/s.npy", "cannot write no/such/folder/s.npy"),
        ("sample {vae} --out no/such/s.npy", "s.npy: there is no folder no/such: make it, or name"),
        ("trian", "(did you mean train?)"),
        ("evaluate beta=5", "error: beta=5 is no run folder"),
        (
            "train --dataset commas.csv",
            "commas.csv has numbers with decimal commas: write them with",
        ),
        (
            "train --dataset gap.csv",
            "gap.csv, line 4, column b: 'x' is not a finite number: leave the cell empty",
        ),
        (
            "train --dataset far.npy --scale none --likelihood bernoulli",
            "error: the rows to train on span [-4, 4], but likelihood 'bernoulli'",
        ),
        ("encode {vae} nothing.npy --out z.npz", "nothing.npy"),
        ("encode {vae} narrow.npy --out z.npz", "narrow.npy has 3 columns"),
        ("encode {conditional} wide.npy --out z.npz", "wide.npy has no labels"),
        ("encode {vae} thin.npy --out z.npz", "thin.npy has 1 column, the model"),
        ("decode {vae} narrow.npy --out x.npy", "z must have the shape (examples, 2), not (4, 3)"),
        ("decode {vae} nothing.npy --out x.npy", "nothing.npy does not exist"),
        (
            "decode {vae} text.npy --out x.npy",
            "text.npy cannot be read: it holds Python objects, or is no array file",
        ),
        ("interpolate {vae} digits 1 500 --out w.npy", "digits has the rows 0 … 499, not 500"),
        ("decode {vae} codes.csv --out x.npy", "codes.csv has neither the columns z1, z2 nor mu1,"),
        ("sample {vae} -n 99999999999999 --out s.npy", "take less at once: smaller -n"),
        ("sample {vae} -n 9999999999999999999 --out s.npy", "take less at once: smaller -n"),
        ("figures {vae} --dpi 1000000000", "--dpi: the value must be at most 2400"),
        ("figures {vae} --out text.npy", "--out text.npy is a file: name a folder"),
        ("explore {vae} --out q.txt", "--out q.txt: the name must end in .html"),
        ("explore {vae} --max-mb 0.01", "allowed: --float16 makes it"),
        ("explore {vae} --max-mb 0.01 --float16", "points (--points), --max-mb allows more"),
        ("train --dataset wide.npy --validation 1", "--validation 1.0: expected a part of the"),
        ("train --out=", "--out: the name is empty"),
        ("evaluate {vae} --samples 0", "--samples: the value must be a whole number"),
    ],
)
def test_what_commands_cannot_do_gets_one_line(trained, command, message, capsys):
    np.save("narrow.npy", np.zeros((4, 3), "float32"))
    np.save("thin.npy", np.zeros((4, 1), "float32"))
    np.save("wide.npy", np.zeros((4, 784), "float32"))
    np.save("far.npy", np.tile([[-4.0, 4.0]], (9, 1)))
    open("text.npy", "w").write("text")
    open("commas.csv", "w").write("a;b\n0,5;1,5\n1,5;2,5\n")
    open("gap.csv", "w").write("a,b\n1,2\n3,\n4,x\n5,6\n")
    open("codes.csv", "w").write("a,b\n1,2\n3,4\n")
    runs = {name: str(trained / name) for name in os.listdir(trained)}
    try:
        status = cli.main(command.format(**runs).split())
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    assert message in one_line(capsys)


def untrained(*options):
    """Train one epoch of a small model into the folder r, quietly."""
    assert cli.main(["train", *FAST, "--epochs", "1", "--quiet", "--out", "r", *options]) == 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("far", [1e300, 1e308])
def test_what_decodes_to_no_finite_number_is_refused(trained, far, capsys):
    np.save("z.npy", np.full((2, 2), far))
    assert cli.main(["decode", str(trained / "vae"), "z.npy", "--out", "x.npy"]) == 2
    assert one_line(capsys)
    assert not os.path.exists("x.npy")


def test_a_lost_checkpoint_does_not_start_the_training_anew(capsys):
    untrained()
    os.remove("r/checkpoint.npz")
    assert cli.main(["train", "--resume", "r", "--quiet"]) == 2
    assert "r/checkpoint.npz is gone, and with it the training" in one_line(capsys)


def test_a_run_killed_before_its_first_checkpoint_can_be_resumed():
    untrained()
    os.remove("r/checkpoint.npz")
    os.remove("r/metrics.csv")
    assert cli.main(["train", "--resume", "r", "--quiet", "--no-figures"]) == 0
    assert len(open("r/metrics.csv").readlines()) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:40], "45 rows to train on and 5 to test on then, 36 rows to train on and 4"),
        (lambda x: x + 1, "as many rows as then, but other values"),
    ],
)
def test_data_that_changed_since_the_run_began_are_refused(change, message, rng, capsys):
    x = rng.standard_normal((50, 4))
    np.save("x.npy", x)
    untrained("--dataset", "x.npy")
    np.save("x.npy", change(x))
    for command in (["evaluate", "r"], ["train", "--resume", "r", "--epochs", "2", "--quiet"]):
        assert cli.main(command) == 2
        assert message in one_line(capsys)


def test_an_evaluation_says_of_which_data_it_is(rng, capsys):
    np.save("x.npy", rng.standard_normal((50, 4)))
    untrained("--dataset", "x.npy")
    own = ([], "evaluation.json", "the run's own test rows")
    for data, file, said in (own, (["x.npy"], "evaluation-x.json", "x.npy")):
        capsys.readouterr()
        assert cli.main(["evaluate", "r", *data, "--samples", "2"]) == 0
        assert capsys.readouterr().out.startswith(f"{said}:\n")
        saved = json.loads(open(f"r/{file}").read())
        assert (saved["data"], saved["epochs_trained"]) == (said, 1)
    assert json.loads(open("r/evaluation.json").read())["data"] == own[2]  # still


def test_an_evaluation_that_cannot_be_saved_is_printed_all_the_same(rng, capsys, monkeypatch):
    np.save("x.npy", rng.standard_normal((50, 4)))
    untrained("--dataset", "x.npy")

    def full(*_):
        raise OSError("cannot write r/evaluation.json: Read-only file system")

    monkeypatch.setattr(evaluate, "write_text", full)
    assert cli.main(["evaluate", "r", "--samples", "2"]) == 2
    found = capsys.readouterr()
    assert "ELBO" in found.out and "cannot write" in found.err


def test_nothing_that_a_command_reads_is_overwritten(rng, capsys):
    np.save("x.npy", rng.standard_normal((50, 4)))
    np.savez("z.npz", x=rng.standard_normal((50, 4)))
    untrained("--dataset", "x.npy")
    refused = {
        ("encode", "r", "z.npz", "--out", "./z.npz"): "--out z.npz would overwrite DATA",
        ("reconstruct", "r", "x.npy", "--out", "x.npy"): "--out x.npy would overwrite DATA",
        ("encode", "r", "z.npz:x", "--out", "z.npz"): "--out z.npz would overwrite DATA",
        ("encode", "r", "x.npy", "--out", "r/checkpoint.npz"): "would overwrite RUN's checkpoint",
    }
    for command, message in refused.items():
        assert cli.main(list(command)) == 2
        assert message in one_line(capsys)
    assert np.load("z.npz")["x"].shape == (50, 4)
    for _ in range(2):  # what a command wrote itself may be written again, also beside the run
        assert cli.main(["reconstruct", "r", "x.npy", "--out", "r/x_hat.npy"]) == 0


@pytest.mark.parametrize("options", [[], ["--conditional"]])
def test_what_to_try_next_can_be_pasted(options, rng, capsys):
    np.savez("my data.npz", x=rng.standard_normal((50, 4)), y=["a b", "c"] * 25)
    run = [*FAST, "--epochs", "1", "--dataset", "my data.npz", *options]
    assert cli.main(["train", *run]) == 0
    lines = capsys.readouterr().out.split("try next:\n")[1].splitlines()
    for line in lines:
        assert cli.main(shlex.split(line, comments=True)[3:]) == 0
    assert os.path.exists("samples.csv") and len(lines) == 3


@pytest.mark.parametrize(
    ("name", "rows", "expected"),
    [("digits", 4500, (4e-3, 20)), ("shapes", 4876, (4e-3, 20)), ("mnist", 60_000, (1e-3, 20)),
     ("fashion-mnist", 60_000, (1e-3, 20))],
)  # fmt: skip
def test_the_data_that_come_with_tinyvae_have_settings_of_their_own(name, rows, expected):
    class Known:
        x_train, options, image_shape = np.zeros((rows, 1)), {"name": name}, (28, 28)
        missing = False

    found = defaults(Known, {})
    assert (found["lr"], found["epochs"]) == expected and found["batch_size"] == 100


@pytest.mark.parametrize(
    ("rows", "shape", "given", "expected"),
    [
        (99, None, {}, {"hidden": (), "lr": 3e-2, "epochs": 600, "patience": 30}),
        (100, None, {}, {"hidden": (64, 64), "lr": 3e-3, "epochs": 600, "patience": 30}),
        (100, None, {"hidden": ()}, {"hidden": (), "lr": 3e-2}),
        (20_000, None, {}, {"hidden": (64, 64), "epochs": 60, "patience": 10}),
        (2_000, None, {"batch_size": 200}, {"epochs": 600, "patience": 30}),
        (2_000, (8, 8), {}, {"hidden": (256, 128), "lr": 1e-3, "patience": 30}),
        (9, None, {}, {"patience": None}),  # too few to hold some out
        (100, None, {"validation": 0}, {"patience": None}),
        (99, None, {"gaps": True}, {"hidden": (), "lr": 3e-2, "epochs": 1200, "patience": 90}),
        (100, None, {"gaps": True}, {"lr": 1.5e-3, "epochs": 1200, "patience": 90}),
        (2_000, (8, 8), {"gaps": True}, {"lr": 1e-3, "patience": 30}),
    ],
)
def test_data_of_ones_own_have_settings_by_their_kind_and_size(rows, shape, given, expected):
    asked = {"name": "x.csv", "validation": given.get("validation")}

    class Own:
        x_train, image_shape, options = np.zeros((rows, 1)), shape, asked
        n_features, missing = 1, "gaps" in given

    found = {"patience": None} | defaults(Own, given)
    assert {name: found[name] for name in expected} == expected


def test_a_table_is_cut_in_three_by_default_and_not_at_all_with_validation_0(table, capsys):
    data = ["--dataset", str(table[0] / "t.csv"), "--labels", "kind", "--no-figures"]
    assert cli.main(["train", *data, "--epochs", "3", "--out", "r"]) == 0
    told = capsys.readouterr()
    assert (
        "of the rows to train on, 46 to fit, 8 to choose the epoch by (--patience 30)" in told.out
    )
    assert "note: best at epoch" in told.err and len(load("r").sigma) == 3
    whole = [*data, "--epochs", "3", "--validation", "0", "--patience", "2"]
    assert cli.main(["train", *whole, "--out", "s"]) == 0
    told = capsys.readouterr()
    assert "no row is held out to choose an epoch by: the last is kept" in told.out
    assert "note: --patience has no effect with --validation 0: no rows choose" in told.err
    run = open_run("s")
    assert len(run.dataset.x_train) == 60 and run.histories[0].best_epoch is None


@pytest.mark.parametrize(("rows", "epochs"), [(5000, 60), (1000, 300), (200, 600)])
def test_small_data_get_more_epochs_by_default(rows, epochs):
    class Rows:
        x_train, options = np.zeros((rows * 9 // 10, 1)), {"name": "x.npy"}

    assert default_epochs(Rows) == epochs


def test_the_folder_of_mnist_can_be_named_where_data_are(trained, capsys):
    run = str(trained / "vae")
    command = ["encode", run, "mnist", "--data-dir", "nowhere", "--out", "z.npz"]
    assert cli.main(command) == 2
    assert "the data folder nowhere does not exist" in one_line(capsys)


def edit(**parts):
    """Change parts of r/config.json; a function changes what is there."""
    config = json.loads(open("r/config.json").read())
    for name, change in parts.items():
        config[name] = change(config[name]) if callable(change) else change
    open("r/config.json", "w").write(json.dumps(config))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": lambda m: m | {"class": "GAN"}}, "GAN"),
        ({"model": lambda m: m | {"depth": 3}}, "depth"),
        ({"model": lambda m: m | {"latent_dim": 3}}, "latent_dim"),
        ({"model": []}, "must be objects"),
        ({"training": lambda t: t | {"epochs": "x"}}, "epochs must be a whole number"),
        ({"training": lambda t: t | {"pace": 1}}, "pace"),
        ({"data": None}, "is damaged"),
        ({"data": lambda d: d | {"options": {"name": "digits", "pace": 1}}}, "pace"),
        ({"data": lambda d: {k: v for k, v in d.items() if k != "options"}}, "options"),
    ],
)
def test_an_edited_configuration_gets_one_line(change, message, capsys):
    untrained()
    edit(**change)
    for command in (["train", "--resume", "r", "--epochs", "2", "--quiet"], ["figures", "r"]):
        assert cli.main(command) == 2
        err = one_line(capsys)
        assert "damaged" in err or "another model" in err
        assert message in err


def test_a_checkpoint_of_another_run_is_refused(trained, capsys):
    untrained("--latent-dim", "3")
    shutil.copy(trained / "vae" / "checkpoint.npz", "r")
    for command in (["evaluate", "r"], ["train", "--resume", "r", "--epochs", "2", "--quiet"]):
        assert cli.main(command) == 2
        message = "holds another model (latent_dim is 3 in config.json, 2 in it)"
        assert message in one_line(capsys)


def test_a_run_made_from_python_takes_floats_in_its_own_units(rng, capsys):
    x = rng.standard_normal((50, 4))
    fit(VAE(4, 2, hidden=(8,)), x, 1, run="p", progress=False)
    np.save("x.npy", x)
    np.save("bytes.npy", np.zeros((5, 4), np.uint8))
    assert cli.main(["evaluate", "p", "x.npy", "--samples", "2", "--quiet"]) == 0
    assert json.loads(open("p/evaluation-x.json").read())["examples"] == 50
    assert cli.main(["evaluate", "p", "bytes.npy"]) == 2
    assert "save them as floats in the units it was trained in" in one_line(capsys)
    assert cli.main(["evaluate", "p"]) == 2
    assert "evaluate RUN DATA takes a file of them" in one_line(capsys)


@pytest.mark.parametrize("labels", [("x", "new"), (0.5, 1.5)])
@pytest.mark.parametrize("command", ["encode", "reconstruct", "evaluate"])
def test_labels_that_a_model_does_not_take_are_not_looked_at(command, labels):
    np.savez("old.npz", x=np.eye(4), kind=np.array(["x", "y"] * 2))
    np.savez("new.npz", x=np.eye(4), kind=np.array(labels * 2))
    options = ["--dataset", "old.npz:x", "--labels", "kind", "--epochs", "1", "--out", "run"]
    assert cli.main(["train", *FAST, *options, "--quiet"]) == 0
    out = {"encode": "z.npz", "reconstruct": "x.npy"}.get(command)
    options = ["--out", out] if out else ["--samples", "2", "--quiet"]
    assert cli.main([command, "run", "new.npz:x", *options]) == 0


def test_a_wrong_width_is_told_before_the_labels_of_a_conditional_run(capsys):
    np.savez("old.npz", x=np.eye(4), kind=np.array(["x", "y"] * 2))
    np.savez("new.npz", x=np.ones((4, 3)), kind=np.array(["x", "new"] * 2))
    options = ["--dataset", "old.npz:x", "--labels", "kind", "--conditional", "--out", "run"]
    assert cli.main(["train", *FAST, *options, "--epochs", "1", "--quiet"]) == 0
    assert cli.main(["encode", "run", "new.npz:x", "--out", "z.npz"]) == 2
    assert "new.npz:x has 3 columns, the model was trained on 4" in one_line(capsys)


def test_codes_of_a_conditional_model_are_decoded_with_their_labels(trained):
    run = str(trained / "conditional")
    assert cli.main(["encode", run, "digits", "--out", "z.npz"]) == 0
    assert cli.main(["decode", run, "z.npz", "--out", "x.npy"]) == 0
    assert cli.main(["reconstruct", run, "digits", "--out", "r.npy"]) == 0
    assert np.allclose(np.load("x.npy"), np.load("r.npy"), atol=1e-6)
    assert cli.main(["decode", run, "z.npz", "--label", "3", "--out", "threes.npy"]) == 0
    assert not np.allclose(np.load("threes.npy"), np.load("r.npy"), atol=1e-2)


def test_latent_points_may_be_whole_numbers(trained):
    for kind in ("int64", "float32"):
        np.save("z.npy", np.eye(2).astype(kind))
        assert cli.main(["decode", str(trained / "vae"), "z.npy", "--out", f"{kind}.npy"]) == 0
    assert np.array_equal(np.load("int64.npy"), np.load("float32.npy"))


@pytest.mark.parametrize(
    ("options", "note"),
    [
        (["--data-dir", "x"], "note: --data-dir has no effect with --dataset digits"),
        (["--kl-cycles", "3"], "note: --kl-cycles has no effect with no --kl-warmup"),
    ],
)
def test_options_without_effect_are_said_to_be(options, note, capsys):
    for quiet in ([], ["--quiet"]):
        run = [*FAST, "--epochs", "1", *options, *quiet]
        assert cli.main(["train", *run]) == 0
        assert (note in capsys.readouterr().err) != bool(quiet)


def test_counts_of_one_are_singular(trained, capsys):
    assert cli.main(["sample", str(trained / "vae"), "-n", "1", "--out", "s.npy"]) == 0
    assert "s.npy: 1 sample," in capsys.readouterr().out
    assert cli.main(["train", *FAST, "--epochs", "1"]) == 0
    assert "1 epoch in" in capsys.readouterr().out


def python(*arguments, **options):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, **options)


def test_an_interrupt_while_it_starts_is_one_line():
    code = "import sys; sys.modules['numpy'] = type('Stop', (), {'__getattr__': stop})()"
    stop = "def stop(self, name):\n    raise KeyboardInterrupt\n"
    end = "\nfrom tinyvae.cli.main import main\nsys.exit(main(['train']))"
    done = python("-c", stop + code + end)
    assert (done.returncode, done.stderr) == (130, "tinyvae: error: stopped\n")


def test_a_closed_pipe_ends_quietly():
    command = f"{shlex.quote(sys.executable)} -m tinyvae --help | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stderr == "" and done.stdout.strip() in ("0", "141")


def test_a_terminal_of_ascii_gets_question_marks_not_an_error(trained):
    ascii = os.environ | {"PYTHONIOENCODING": "ascii"}
    command = ["-m", "tinyvae", "evaluate", str(trained / "vae"), "--samples", "1"]
    done = python(*command, env=ascii)
    assert done.returncode == 0 and "? standard error" in done.stdout


def test_an_autoencoder_claims_no_bound(capsys):
    assert cli.main(["train", *FAST, "--epochs", "1", "--model", "autoencoder"]) == 0
    assert cli.main(["evaluate", "runs/digits", "--samples", "1"]) == 0
    out = capsys.readouterr().out
    assert "reconstruction" in out and "ELBO  " not in out and ", ELBO" not in out


def test_a_run_that_goes_on_says_where(rng, capsys):
    np.save("x.npy", rng.standard_normal((50, 4)))
    untrained("--dataset", "x.npy")
    assert cli.main(["train", "--resume", "r", "--epochs", "3", "--no-figures"]) == 0
    assert "continuing after epoch 1 of 3" in capsys.readouterr().out


def test_ctrl_c_while_figures_are_drawn_says_what_is_saved(rng, capsys, monkeypatch):
    np.save("x.npy", rng.standard_normal((50, 4)))

    def pressed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("tinyvae.figures.gallery.draw", pressed)
    assert cli.main(["train", "--dataset", "x.npy", "--epochs", "1", "--out", "q"]) == 130
    err = capsys.readouterr().err
    assert "the trained model is saved; draw its figures with: python -m tinyvae figures q" in err


def test_a_long_walk_is_drawn_in_rows(trained, capsys):
    command = ["interpolate", str(trained / "vae"), "digits", "0", "1"]
    assert cli.main([*command, "--steps", "50", "--out", "walk.png"]) == 0
    height, width = plt.imread("walk.png").shape[:2]
    assert height > width / 10  # 50 in one row would be 1 : 50


# Own data


def own_table(name="x.csv", scale=1.0):
    x = np.round(np.random.default_rng(0).normal(size=(40, 3)), 3) * scale
    np.savetxt(name, x, delimiter=",", header="a,b,c", comments="")


def train(*options, dataset="x.csv", out="r"):
    command = ["train", "--dataset", dataset, *FAST, "--epochs", "1", "--quiet", "--out", out]
    return cli.main([*command, *options])


def test_a_run_without_a_trained_epoch_gives_way_to_a_new_one(capsys):
    own_table(scale=1e30)
    assert train("--scale", "none") == 1
    assert "(own data: --scale standardize)" in one_line(capsys)
    assert train() == 0 and train() == 2
    assert "r exists and is not empty" in one_line(capsys)
    assert train("--scale", "none", out="runs/x") == 1
    assert cli.main(["train", "--dataset", "x.csv", *FAST, "--epochs", "1", "--quiet"]) == 0
    assert os.listdir("runs") == ["x"]


def test_a_folder_with_another_config_json_or_more_in_it_does_not_give_way(capsys):
    own_table(scale=1e30)
    os.mkdir("mine")
    open("mine/config.json", "w").write("{}")
    assert train(out="mine") == 2
    assert train("--scale", "none") == 1
    open("r/notes.txt", "w").write("mine")
    assert train() == 2


def test_a_run_that_is_being_trained_does_not_give_way(capsys):
    own_table(scale=1e30)
    assert train("--scale", "none") == 1
    other = open_run("r")
    other.lock()
    assert train() == 2
    other.unlock()
    assert train() == 0


def test_bytes_as_floats_are_asked_to_be_divided_by_255_where_they_diverge(capsys):
    np.save("x.npy", np.random.default_rng(0).uniform(0, 255, (50, 70)))
    assert train("--lr", "1e30", dataset="x.npy") == 1
    assert "(own data: --scale 255)" in one_line(capsys)


def test_pixels_divided_by_255_have_the_defaults_of_grey_values():
    np.save("x.npy", np.random.default_rng(0).integers(0, 256, (40, 9)))
    assert train("--scale", "255", dataset="x.npy") == 0
    model = open_run("r").config["model"]
    assert model["output"] == "sigmoid" and model["sigma"] == pytest.approx(2**-0.5)


def test_a_table_is_not_standardised_for_a_bernoulli(capsys):
    open("x.csv", "w").write("a,b\n" + "0,1\n1,1\n1,0\n0,0\n" * 9)
    assert train("--likelihood", "bernoulli") == 0
    assert open_run("r").config["data"]["scaling"]["kind"] == "none"


def test_what_is_written_in_the_units_of_wide_data_is_float64():
    times = 1.7e9 + np.arange(60) * 30.0
    np.savetxt("x.csv", np.c_[times, times % 7], delimiter=",", header="t,b", comments="")
    assert train() == 0
    assert cli.main(["reconstruct", "r", "x.csv", "--out", "x.npy"]) == 0
    x = np.load("x.npy")
    assert x.dtype == np.float64 and len(np.unique(x[:, 0])) == 60


def test_a_run_finds_its_data_where_both_were_moved_to_or_where_it_is_told(capsys):
    os.mkdir("project")
    os.chdir("project")
    own_table()
    assert train(out="runs/x") == 0
    os.chdir("..")
    os.rename("project", "moved")
    assert cli.main(["evaluate", "moved/runs/x", "--quiet"]) == 0
    os.rename("moved/x.csv", "new.csv")
    assert cli.main(["evaluate", "moved/runs/x", "--quiet"]) == 2
    assert "put it back, or name its new place with --dataset" in one_line(capsys)
    for command in ("evaluate", "explore", "figures"):
        more = ["--only", "curves"] if command == "figures" else []
        assert cli.main([command, "moved/runs/x", "--dataset", "new.csv", *more]) == 0
    resume = ["train", "--resume", "moved/runs/x", "--epochs", "2", "--quiet", "--no-figures"]
    assert cli.main([*resume, "--dataset", "new.csv"]) == 0
    assert cli.main(["evaluate", "moved/runs/x", "--quiet"]) == 0  # told once
    own_table("other.csv", 2)
    capsys.readouterr()
    assert cli.main(["evaluate", "moved/runs/x", "--dataset", "other.csv"]) == 2
    assert "other.csv has changed since the run began" in one_line(capsys)


def test_a_run_of_an_earlier_version_keeps_the_scale_of_its_table():
    own_table(scale=3)
    assert train("--scale", "none") == 0
    config = json.loads(open("r/config.json").read())
    config["data"]["options"] = {**config["data"]["options"], "scale": "infer"}
    for name in ("header", "columns", "drop", "skip_damaged"):
        del config["data"]["options"][name]
    del config["data"]["relative"], config["data"]["stored_as"]
    open("r/config.json", "w").write(json.dumps(config))
    assert cli.main(["train", "--resume", "r", "--epochs", "2", "--quiet", "--no-figures"]) == 0
    assert cli.main(["encode", "r", "x.csv", "--out", "z.npz"]) == 0
