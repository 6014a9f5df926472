"""The playground's page as a text: what it holds, what it refuses, and how it is written."""

import base64
import dataclasses
import hashlib
import json
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinyvae import VAE, Autoencoder, Dense, ReLU, Sequential, load_dataset, playground
from tinyvae.cli import main as command_line
from tinyvae.cli import playground as command
from tinyvae.data.dataset import Dataset
from tinyvae.data.scaling import Scaling
from tinyvae.playground import page

EVIL = """</script><script>window.hacked = 1</script>"'><img src=x onerror="window.hacked = 1">"""


def images(side=6, n=60, **changes):
    """Grey images in [0, 1] with three labels."""
    x = np.random.default_rng(0).random((n, side * side), dtype=np.float32)
    y = np.arange(n) % 3
    dataset = Dataset("images", x[10:], x[:10], y[10:], y[:10], (side, side), ("a", "b", "c"))
    return dataclasses.replace(dataset, **changes)


def embedded(html, name):
    """The text of the script element with this id."""
    return re.search(f'<script type="[^"]*" id="{name}">([^<]*)</script>', html)[1]


def described(html):
    return json.loads(embedded(html, "description"))


def test_page_of_the_digits_and_the_shapes_is_at_most_1_3_megabytes_and_credits_mnist():
    html = playground.build([load_dataset("digits"), load_dataset("shapes")])
    assert len(html.encode()) <= 1_300_000
    assert "MNIST" in html and "CC BY-SA 3.0" in html


def test_page_holds_all_rows_in_16_greys():
    dataset = images()
    html = playground.build(dataset)
    (about,) = described(html)["datasets"]
    raw = zlib.decompress(base64.b64decode(embedded(html, "data-0")))
    x = np.frombuffer(raw, np.uint8).reshape(-1, 36) / about["levels"]
    expected = np.concatenate([dataset.x_train, dataset.x_test])
    assert (about["n_train"], about["n_test"]) == (50, 10)
    np.testing.assert_allclose(x, expected, atol=0.5 / 15 + 1e-6)
    assert about["labels"] == [*dataset.y_train, *dataset.y_test]


def test_rows_of_a_table_are_kept_as_floats():
    x = np.random.default_rng(0).standard_normal((30, 4)).astype(np.float32)
    table = Dataset("table", x[:20], x[20:], scaling=Scaling("none", low=-3.0, high=3.0))
    html = playground.build(table)
    raw = zlib.decompress(base64.b64decode(embedded(html, "data-0")))
    np.testing.assert_array_equal(np.frombuffer(raw, "<f4").reshape(30, 4), x)
    assert described(html)["datasets"][0]["labels"] is None


def test_only_the_pages_own_scripts_may_run():
    html = playground.build(images())
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)[1]
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert len(scripts) == 2
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'") and "script-src 'unsafe" not in policy


def test_page_names_no_other_address():
    html = playground.build(images())
    assert not re.search(r"https?:|//[a-z]+\.|url\(|@import|\bsrc=|fetch\(", html)


def test_names_and_title_cannot_leave_their_place():
    dataset = images(label_names=(EVIL, "b", "c"), name=EVIL)
    clean = playground.build(images())
    html = playground.build(dataset, title=EVIL)
    assert html.count("<script") == clean.count("<script")
    assert "<img" not in html
    assert described(html)["datasets"][0]["label_names"][0] == EVIL


def test_a_large_data_set_is_sampled_evenly_and_the_page_says_so():
    x = np.zeros((9000, 1024), np.float32)
    x[:, 0] = np.linspace(0, 1, 9000)
    html = playground.build(Dataset("large", x, x[:900], image_shape=(32, 32)))
    (about,) = described(html)["datasets"]
    assert (about["n_train"] + about["n_test"]) * 1024 <= page.MOST_VALUES
    raw = zlib.decompress(base64.b64decode(embedded(html, "data-0")))
    first = np.frombuffer(raw, np.uint8).reshape(-1, 1024)[: about["n_train"], 0]
    assert first[0] == 0 and first[-1] == 15 and (np.diff(first.astype(int)) >= 0).all()
    assert "of 9,000 training rows" in html


def test_images_too_large_for_a_page_are_refused_with_the_remedy():
    x = np.zeros((3, 3 * 512 * 512), np.float32)
    with pytest.raises(
        ValueError, match=r"786,432 values are too large .* resize the images with image_size=32"
    ):
        playground.build(Dataset("photos", x, x, image_shape=(512, 512, 3)))


def test_modules_are_all_there_in_the_order_of_their_needs():
    names = [*page.SHARED, *page.OWN]
    assert set(page.OWN) == {path.stem for path in Path(page.__file__).parent.glob("*.js")}
    for place, name in enumerate(names):
        source = page.read(f"{name}.js", "explore" if name in page.SHARED else "playground")
        needed = re.findall(r'^import [^;]*? from "\./(\w+)\.js";', source, re.MULTILINE)
        assert set(needed) <= set(names[:place]), name


def test_a_runs_weights_are_carried_in_the_order_of_theta():
    model = VAE(36, 2, hidden=(5,), output="sigmoid", sigma=0.5, beta=2.0)
    html = playground.build(images(), model=model)
    theta = np.frombuffer(zlib.decompress(base64.b64decode(embedded(html, "theta"))), "<f4")
    np.testing.assert_array_equal(theta, model.parameters.theta)
    knobs = described(html)["run"]["knobs"]
    assert knobs == {"latent": 2, "hidden": 5, "beta": 2.0, "sigma": 0.5}


class Swish:
    """A layer that only its author knows."""

    def forward(self, x):
        return x / (1 + np.exp(-x))


def test_runs_that_the_page_cannot_train_are_refused_in_a_line():
    own = VAE(
        encoder=Sequential(Dense(36, 4), Swish(), Dense(4, 4)),
        decoder=Sequential(Dense(2, 4), ReLU(), Dense(4, 36)),
    )
    for model, problem in (
        (own, "encoder has a layer Swish"),
        (Autoencoder(36, 2), "an autoencoder has no KL"),
        (VAE(36, 2, n_classes=3), "not conditional"),
        (VAE(36, 2, sigma="per-feature"), "one sigma for all features, and the run one for each"),
        (VAE(30, 2), "takes 30 features, but images has 36"),
    ):
        with pytest.raises(ValueError, match=problem):
            playground.build(images(), model=model)


# ---- the command ----


@pytest.fixture
def data(tmp_path):
    """A small file of images."""
    x = np.random.default_rng(0).integers(256, size=(50, 6, 6), dtype=np.uint8)
    np.save(tmp_path / "own.npy", x)
    return str(tmp_path / "own.npy")


def test_command_writes_the_page(tmp_path, data, capsys):
    out = tmp_path / "page.html"
    argv = ["playground", "--dataset", data, "--out", str(out), "--title", "Mine"]
    assert command_line.main(argv) == 0
    assert "<h1>Mine</h1>" in out.read_text("utf-8")
    assert f"wrote {out} (0." in capsys.readouterr().out


def test_command_opens_the_page_if_asked_to(tmp_path, data, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    out = tmp_path / "page.html"
    assert command.main(["--dataset", data, "--out", str(out), "--open"]) == 0
    assert opened == [out.as_uri()]


def test_command_starts_from_a_run(tmp_path, data, capsys):
    run = tmp_path / "run"
    train = ["train", "--dataset", data, "--epochs", "1", "--hidden", "4", "--out", str(run)]
    assert command_line.main([*train, "--quiet"]) == 0
    assert command.main(["--run", str(run)]) == 0
    assert '"run":{' in embedded((run / "playground.html").read_text("utf-8"), "description")
    assert command.main(["--run", str(run), "--dataset", "digits"]) == 2
    assert "--run and --dataset exclude each other" in capsys.readouterr().err


def test_command_resizes_images_and_names_the_option_that_does(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    for k in range(12):
        Image.new("RGB", (80, 80), (20 * k, 100, 30)).save(tmp_path / "photos" / f"{k}.png")
    argv = ["--dataset", str(tmp_path / "photos"), "--out", str(tmp_path / "page.html")]
    assert command.main(argv) == 2
    assert "resize the images with --image-size 32" in capsys.readouterr().err
    assert command.main([*argv, "--image-size", "16"]) == 0
    (about,) = described((tmp_path / "page.html").read_text("utf-8"))["datasets"]
    assert about["image_shape"] == [16, 16, 3]


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["--out", "{}"], "it is a folder"),
        (["--out", "{}/no/page.html"], "there is no folder"),
        (["--out", "{}/page.txt"], "must end in .html"),
        (["--run", "{}"], "is no run folder"),
    ],
)
def test_command_refuses_in_a_line(tmp_path, data, capsys, argv, problem):
    argv = [part.format(tmp_path) for part in argv]
    given = argv if argv[0] == "--run" else ["--dataset", data, *argv]
    assert command.main(given) == 2
    error = capsys.readouterr().err
    assert problem in error and error.count("\n") == 1
