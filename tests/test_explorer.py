"""The explorer's page as a text: what it holds, what it refuses, and how it is written."""

import base64
import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from tinyvae import VAE, Autoencoder, Dense, ReLU, Sequential, save
from tinyvae import explore as explorer
from tinyvae.cli import explore as explore_command
from tinyvae.cli import train as train_command
from tinyvae.data.dataset import Dataset
from tinyvae.data.scaling import Scaling
from tinyvae.explore import page

EVIL = """</script><script>window.hacked = 1</script>"'><img src=x onerror="window.hacked = 1">"""


def rows(n_features=5, n=40, **changes):
    """A data set of rows with two labels."""
    x = np.random.default_rng(0).standard_normal((n, n_features)).astype(np.float32)
    y = np.arange(n) % 2
    names = tuple(f"feature {d}" for d in range(n_features))
    scaling = Scaling("none", low=float(x.min()), high=float(x.max()))
    dataset = Dataset("rows", x, x, y, y, None, ("a", "b"), names, scaling)
    return dataclasses.replace(dataset, **changes)


def embedded(html, name):
    """The text of the script element with this id."""
    return re.search(f'<script type="[^"]*" id="{name}">([^<]*)</script>', html)[1]


def test_page_carries_all_weights_in_the_order_of_theta():
    model = VAE(5, 2, hidden=(4,))
    theta = base64.b64decode(embedded(explorer.build(model, rows()), "theta"))
    np.testing.assert_array_equal(np.frombuffer(theta, "<f4"), model.parameters.theta)


def test_page_carries_test_rows_spread_over_all_of_them_with_their_codes():
    dataset, model = rows(n=40), VAE(5, 2, hidden=(4,))
    html = explorer.build(model, dataset, n_points=14)
    about = json.loads(embedded(html, "description"))["examples"]
    assert about["rows"] == list(range(0, 40, 3))
    assert about["labels"] == [row % 2 for row in range(0, 40, 3)]
    codes = np.frombuffer(base64.b64decode(embedded(html, "codes")), "<f4").reshape(14, 4)
    mu, logvar = model.encode(dataset.x_test[::3])
    np.testing.assert_array_equal(codes, np.hstack([mu, logvar]))


def test_page_of_the_default_model_is_at_most_3_megabytes():
    images = np.random.default_rng(0).integers(0, 256, (500, 784)) / np.float32(255)
    labels = np.arange(500) % 10
    dataset = Dataset("digits", images, images, labels, labels, (28, 28), tuple("0123456789"))
    model = VAE(784, 2, hidden=(256, 128), output="sigmoid")
    assert len(explorer.build(model, dataset).encode()) <= 3_000_000


def test_float16_halves_the_weights():
    model = VAE(5, 2, hidden=(300,))
    full, half = (
        len(embedded(explorer.build(model, rows(), precision=precision), "theta"))
        for precision in ("float32", "float16")
    )
    assert half == pytest.approx(full / 2, rel=1e-3)


def test_page_names_no_other_address():
    html = explorer.build(VAE(5, 2, hidden=(4,)), rows())
    assert not re.search(r"https?:|//[a-z]+\.|url\(|@import|\bsrc=|fetch\(", html)
    assert "default-src 'none'" in html


def test_names_and_title_cannot_leave_their_place():
    dataset = rows(label_names=(EVIL, "b"), feature_names=(EVIL,) * 5, name=EVIL)
    clean = explorer.build(VAE(5, 2, hidden=(4,)), rows())
    html = explorer.build(VAE(5, 2, hidden=(4,)), dataset, title=EVIL)
    assert html.count("<script") == clean.count("<script")
    assert "<img" not in html
    description = json.loads(embedded(html, "description"))["dataset"]
    assert description["label_names"][0] == description["feature_names"][4] == EVIL


def test_modules_are_joined_without_imports_and_exports():
    script = page._script()
    assert not re.search(r"^(import|export)\b", script, re.MULTILINE)
    assert set(page.MODULES) == {
        path.name.removesuffix(".js") for path in Path(page.__file__).parent.glob("*.js")
    }


def test_too_large_a_page_is_refused_with_its_size_and_the_remedy():
    model = VAE(5, 2, hidden=(29_000,))  # 319,009 weights of 4 bytes, a third more in base64
    with pytest.raises(
        ValueError, match=r"have 2\.\d MB, more than the 1\.0 MB .*precision='float16' makes"
    ):
        explorer.build(model, rows(), max_bytes=1_000_000)


def test_too_large_a_page_in_float16_is_refused_with_another_remedy():
    model = VAE(5, 2, hidden=(60_000,))
    with pytest.raises(ValueError, match="fewer hidden units"):
        explorer.build(model, rows(), max_bytes=1_000_000, precision="float16")


def test_weights_beyond_float16_are_refused():
    model = VAE(5, 2, hidden=(4,))
    model.parameters["decoder.0.W"][0, 0] = 1e5
    with pytest.raises(ValueError, match="weight of 100000 does not fit into float16"):
        explorer.build(model, rows(), precision="float16")


def test_weights_that_are_not_finite_are_refused():
    model = VAE(5, 2, hidden=(4,))
    model.parameters["encoder.0.b"][0] = np.nan
    with pytest.raises(ValueError, match="weights are not finite: train it again"):
        explorer.build(model, rows())


class Swish:
    """A layer that only its author knows."""

    def forward(self, x):
        return x / (1 + np.exp(-x))


def test_a_layer_of_ones_own_is_refused_by_name():
    model = VAE(
        encoder=Sequential(Dense(5, 4), Swish(), Dense(4, 4)),
        decoder=Sequential(Dense(2, 4), ReLU(), Dense(4, 5)),
    )
    with pytest.raises(ValueError, match="encoder has a layer Swish, which the page can't"):
        explorer.build(model, rows())


def test_a_data_set_of_another_width_is_refused():
    with pytest.raises(ValueError, match="takes 7 features, but rows has 5"):
        explorer.build(VAE(7, 2), rows())


@pytest.mark.parametrize(
    ("argument", "value"), [("precision", "float8"), ("n_points", 0), ("max_bytes", 0)]
)
def test_bad_arguments_are_named(argument, value):
    with pytest.raises(ValueError, match=f"{argument} must be .*{value}"):
        explorer.build(VAE(5, 2, hidden=(4,)), rows(), **{argument: value})


class FakeRun:
    """What `open_run` gives, without a folder."""

    def __init__(self, model, dataset):
        self.model, self.dataset = model, dataset


@pytest.fixture
def run(monkeypatch):
    """Let the command open `run.model` and `run.dataset` whatever folder it is given."""
    run = FakeRun(VAE(5, 2, hidden=(4,)), rows())
    monkeypatch.setattr("tinyvae.train.runs.open_run", lambda path: run)
    return run


def test_command_writes_into_the_run_folder(run, tmp_path, capsys):
    assert explore_command.main([str(tmp_path)]) == 0
    text = (tmp_path / "explorer.html").read_text("utf-8")
    assert text.startswith("<!doctype html>")
    assert f"wrote {tmp_path / 'explorer.html'}" in capsys.readouterr().out


def test_command_takes_title_points_precision_and_out(run, tmp_path):
    out = tmp_path / "page.html"
    options = ["--out", str(out), "--title", "Mine", "--points", "7", "--float16"]
    assert explore_command.main([str(tmp_path), *options]) == 0
    html = out.read_text("utf-8")
    description = json.loads(embedded(html, "description"))
    assert "<h1>Mine</h1>" in html
    assert len(description["examples"]["rows"]) == 7
    assert description["model"]["precision"] == "float16"


def test_command_opens_the_page_if_asked_to(run, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    assert explore_command.main([str(tmp_path), "--open"]) == 0
    assert opened == [(tmp_path / "explorer.html").as_uri()]


def test_training_announces_the_page_for_tables_and_for_any_latent_width(tmp_path, capsys):
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).random((40, 5)))
    run = tmp_path / "run"
    options = ["--hidden", "4", "--latent-dim", "3", "--epochs", "1", "--out", str(run)]
    assert train_command.main(["--dataset", str(tmp_path / "rows.npy"), *options]) == 0
    assert f"tinyvae explore {run} --open" in capsys.readouterr().out


def test_command_opens_a_file_of_weights_on_the_data_that_one_names(tmp_path, capsys):
    weights = save(VAE(784, 2, hidden=(4,)), tmp_path / "weights.npz")
    assert "name their data with --dataset" in one_line_error(capsys, weights)
    assert explore_command.main([str(weights), "--dataset", "digits"]) == 0
    assert (tmp_path / "weights.html").read_text("utf-8").startswith("<!doctype html>")


def test_command_says_what_an_autoencoder_lacks(run, tmp_path, capsys):
    run.model = Autoencoder(5, 2, hidden=(4,))
    assert explore_command.main([str(tmp_path)]) == 0
    assert "plain autoencoder: the page has no prior" in capsys.readouterr().err


def one_line_error(capsys, *argv):
    assert explore_command.main([str(part) for part in argv]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_command_refuses_a_folder_that_is_no_run(tmp_path, capsys):
    assert "is no run folder" in one_line_error(capsys, tmp_path)


def test_command_refuses_an_out_that_cannot_be_written(run, tmp_path, capsys):
    assert "it is a folder" in one_line_error(capsys, tmp_path, "--out", tmp_path)
    nowhere = tmp_path / "nowhere" / "page.html"
    assert "there is no folder" in one_line_error(capsys, tmp_path, "--out", nowhere)


def test_command_refuses_too_large_a_page_and_leaves_the_old_one(run, tmp_path, capsys):
    (tmp_path / "explorer.html").write_text("old")
    error = one_line_error(capsys, tmp_path, "--max-mb", "0.01")
    assert ": --float16 makes it" in error
    assert (tmp_path / "explorer.html").read_text() == "old"
