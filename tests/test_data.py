"""Data sets by name: the bundled digits, MNIST's files and their download, binarized pixels, and
the batches of an epoch."""

import dataclasses
import functools
import gzip
import hashlib
import json
import struct
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from tinyvae.data import batches, load_dataset, mnist, read_labelled, read_matrix
from tinyvae.data.rows import BinarizedRows, value_range

MNIST = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "mnist"
needs_mnist = pytest.mark.skipif(not MNIST.is_dir(), reason=f"MNIST's files are not in {MNIST}")


def idx(array: np.ndarray) -> bytes:
    """A uint8 array as the bytes of an IDX file."""
    header = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


@pytest.fixture
def tiny():
    """The content of four IDX files: 6 training and 3 test images of 4 × 5 pixels."""
    pixels = np.arange(9 * 20, dtype=np.uint8).reshape(9, 4, 5)
    labels = np.arange(9, dtype=np.uint8)
    contents = idx(pixels[:6]), idx(labels[:6]), idx(pixels[6:]), idx(labels[6:])
    return dict(zip(mnist.FILES, contents, strict=True))


@pytest.fixture
def folder(tiny, tmp_path):
    """A folder of `tiny`, half of it compressed."""
    for place, (name, content) in enumerate(tiny.items()):
        if place % 2:
            (tmp_path / name).write_bytes(content)
        else:
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    return tmp_path


# The bundled digits


def test_digits_are_the_bundled_bytes_over_255():
    digits = load_dataset("digits")
    with (resources.files("tinyvae.data") / "bundled" / "digits.npz").open("rb") as file:
        raw = np.load(file)["x_train"]
    assert digits.x_train.shape == (4500, 784) and digits.x_test.shape == (500, 784)
    assert digits.x_train.dtype == np.float32
    assert np.array_equal(np.rint(digits.x_train * 255), raw)
    assert value_range(digits.x_train) == (0.0, 1.0)


def test_digits_have_images_labels_and_a_line_about_them():
    digits = load_dataset("digits")
    assert digits.image_shape == (28, 28)
    assert digits.label_names == tuple("0123456789")
    assert digits.y_train.shape == (4500,) and set(digits.y_test.tolist()) == set(range(10))
    line = digits.describe()
    assert "\n" not in line
    for word in ("digits", "4,500", "500", "28 × 28", "255"):
        assert word in line


def test_options_reload_the_same_data_and_pass_through_json():
    digits = load_dataset("digits", binarize="dynamic", seed=3)
    config = json.loads(json.dumps(digits.to_config()))
    again = load_dataset(**config["options"])
    assert np.array_equal(again.x_train[:10], digits.x_train[:10])


@pytest.mark.parametrize(
    "options", [{"scale": "standardize"}, {"labels": "y"}, {"validation": 0.2}, {"image_size": 8}]
)
def test_options_for_own_files_are_refused_with_a_named_set(options):
    with pytest.raises(ValueError, match="digits comes ready"):
        load_dataset("digits", **options)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(FileNotFoundError, match=r"'mnits' does not exist.*digits, mnist, fashion"):
        load_dataset("mnits")


def test_heavy_libraries_stay_unloaded():
    code = (
        "import sys; from tinyvae.data import load_dataset; load_dataset('digits');"
        "assert not {'PIL', 'pooch', 'matplotlib', 'sklearn', 'requests'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# MNIST from a folder


@needs_mnist
def test_mnist_is_mnist():
    data = load_dataset("mnist", MNIST)
    assert data.x_train.shape == (60000, 784) and data.x_test.shape == (10000, 784)
    assert data.y_train[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.y_test[:5].tolist() == [7, 2, 1, 0, 4]
    # Mean and standard deviation of the training pixels as they are quoted everywhere.
    assert float(data.x_train.mean(dtype=float)) == pytest.approx(0.1307, abs=5e-5)
    assert float(data.x_train.std(dtype=float)) == pytest.approx(0.3081, abs=5e-5)


@needs_mnist
@pytest.mark.parametrize("place", range(4))
def test_mnist_has_the_sums_that_a_download_is_checked_by(place):
    content = gzip.decompress((MNIST / f"{mnist.FILES[place]}.gz").read_bytes())
    assert hashlib.sha256(content).hexdigest() == mnist.SOURCES["mnist"].sha256[place]


def test_idx_files_are_read_compressed_or_not(folder):
    data = load_dataset("fashion-mnist", folder)
    assert data.image_shape == (4, 5)
    assert np.array_equal(np.rint(data.x_train[1] * 255), np.arange(20, 40))
    assert data.y_test.tolist() == [6, 7, 8]
    assert data.label_names[9] == "Ankle boot"


def test_a_folder_of_the_sets_name_may_hold_the_files(folder, tmp_path_factory):
    above = tmp_path_factory.mktemp("data")
    folder.rename(above / "mnist")
    assert len(load_dataset("mnist", above).x_train) == 6


def test_a_missing_folder_and_a_missing_file_are_named(folder):
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        load_dataset("mnist", "nowhere")
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no t10k-labels-idx1-ubyte .*mnist needs"):
        load_dataset("mnist", folder)


IMAGES = "train-images-idx3-ubyte"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: b"<html>" + content, "is not an IDX file"),
        (lambda content: b"", "is not an IDX file"),
        (lambda content: content[:2] + b"\x0d" + content[3:], "is not an IDX file of bytes"),
        (lambda content: content[:-1], "damaged: .* 119 bytes of values found"),
        (lambda content: content + b"\0", "damaged: .* 121 bytes"),
        (lambda content: content[:7], "is not an IDX file"),
        (lambda content: gzip.compress(content)[:-10], "is damaged"),
        (lambda content: gzip.compress(content)[:60] + b"\xff" * 40, "is damaged"),
        (lambda content: idx(np.zeros((0, 4, 5), np.uint8)), "is empty"),
        (lambda content: idx(np.zeros((5, 4, 5), np.uint8)), "its neighbour"),
        (lambda content: idx(np.zeros((6, 5, 5), np.uint8)), "different data sets"),
    ],
)
def test_damaged_idx_files_get_one_line(folder, tiny, change, message):
    (folder / f"{IMAGES}.gz").unlink()
    (folder / IMAGES).write_bytes(change(tiny[IMAGES]))
    with pytest.raises(ValueError, match=message) as error:
        load_dataset("mnist", folder)
    assert "\n" not in str(error.value)


def test_labels_beyond_nine_are_refused(folder):
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(np.full(6, 77, np.uint8)))
    with pytest.raises(ValueError, match="label 77"):
        load_dataset("mnist", folder)


# The download, from a server on this machine


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


class Cut(Quiet):
    """Announces ten bytes more than it sends."""

    def send_header(self, name, value):
        super().send_header(name, str(int(value) + 10) if name == "Content-Length" else value)


@pytest.fixture
def serve(tiny, tmp_path, monkeypatch):
    """Serves a folder as the mirror of an MNIST that is `tiny`; the cache is `tmp_path/cache`."""
    sums = tuple(hashlib.sha256(content).hexdigest() for content in tiny.values())
    source = dataclasses.replace(mnist.SOURCES["mnist"], sha256=sums)
    monkeypatch.setitem(mnist.SOURCES, "mnist", source)
    monkeypatch.setenv("TINYVAE_DATA_DIR", str(tmp_path / "cache"))
    servers = []

    def start(handler=Quiet, change=lambda content: content):
        (tmp_path / "mirror").mkdir()
        for name, content in tiny.items():
            (tmp_path / "mirror" / f"{name}.gz").write_bytes(gzip.compress(change(content), 1))
        at = functools.partial(handler, directory=tmp_path / "mirror")
        server = ThreadingHTTPServer(("127.0.0.1", 0), at)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        monkeypatch.setenv("TINYVAE_MNIST_URL", f"http://127.0.0.1:{server.server_port}")
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_download_is_silent_and_kept(serve, tmp_path, capfd):
    serve()
    first = load_dataset("mnist")
    for archive in (tmp_path / "mirror").iterdir():
        archive.unlink()
    again = load_dataset("mnist")
    assert np.array_equal(first.x_test, again.x_test) and len(again.x_test) == 3
    assert capfd.readouterr() == ("", "")


def test_other_content_is_refused_and_not_kept(serve, tmp_path):
    serve(change=lambda content: content[:-1] + b"!")
    with pytest.raises(ValueError, match="another SHA-256 than expected") as error:
        load_dataset("mnist")
    assert "\n" not in str(error.value)
    assert list((tmp_path / "cache").rglob("*ubyte*")) == []


def test_a_damaged_copy_in_the_cache_is_fetched_anew(serve, tmp_path):
    serve()
    load_dataset("mnist")
    (tmp_path / "cache" / "mnist" / IMAGES).write_bytes(b"half of it")
    assert len(load_dataset("mnist").x_train) == 6


def test_a_download_cut_short_leaves_nothing(serve, tmp_path):
    serve(handler=Cut)
    with pytest.raises((ValueError, FileNotFoundError), match="cannot fetch mnist") as error:
        load_dataset("mnist")
    assert "\n" not in str(error.value)
    assert list((tmp_path / "cache").rglob("*ubyte*")) == []


def test_a_mirror_without_the_file_is_named(serve, tmp_path):
    serve()
    (tmp_path / "mirror" / f"{IMAGES}.gz").unlink()
    with pytest.raises(FileNotFoundError, match=rf"127.0.0.1.*{IMAGES}.gz \(HTTP status 404\)"):
        load_dataset("mnist")


def test_offline_the_error_says_what_to_fetch_and_where_to_put_it(serve, tiny, tmp_path):
    server = serve()
    server.shutdown()
    server.server_close()
    with pytest.raises(FileNotFoundError, match="no connection") as error:
        load_dataset("mnist")
    place = tmp_path / "cache" / "mnist"
    assert str(place) in str(error.value)
    for name in mnist.FILES:
        assert f"{name}.gz" in str(error.value)
    # Doing so helps.
    place.mkdir(exist_ok=True)
    for name, content in tiny.items():
        (place / f"{name}.gz").write_bytes(gzip.compress(content, 9))
    assert len(load_dataset("mnist").x_train) == 6


def test_a_wrong_file_put_into_the_cache_is_refused(serve, tmp_path):
    place = tmp_path / "cache" / "mnist"
    place.mkdir(parents=True)
    (place / f"{IMAGES}.gz").write_bytes(gzip.compress(idx(np.ones((6, 4, 5), np.uint8))))
    with pytest.raises(ValueError, match="is not mnist's"):
        load_dataset("mnist")


# Batches


def test_batches_cover_each_row_once_and_keep_the_short_one():
    cut = list(batches(10, 4, np.random.default_rng(0)))
    assert [len(rows) for rows in cut] == [4, 4, 2]
    assert sorted(np.concatenate(cut).tolist()) == list(range(10))


def test_batches_follow_the_generator():
    draw = [next(batches(1000, 8, np.random.default_rng(seed))).tolist() for seed in (1, 1, 2)]
    assert draw[0] == draw[1] != draw[2]


@pytest.mark.parametrize("sizes", [(0, 4), (10, 0)])
def test_batches_need_rows_and_a_size(sizes):
    with pytest.raises(ValueError, match="batches need rows"):
        next(batches(*sizes, np.random.default_rng(0)))


# Binarized pixels


def test_static_pixels_are_one_draw_of_the_grey_values_whatever_the_seed():
    grey, drawn = load_dataset("digits"), load_dataset("digits", binarize="static", seed=1)
    assert set(np.unique(drawn.x_train)) == {0, 1} and drawn.x_train.dtype == np.float32
    assert np.array_equal(drawn.x_train, load_dataset("digits", binarize="static", seed=2).x_train)
    assert (drawn.x_train[grey.x_train == 0] == 0).all()
    assert (drawn.x_train[grey.x_train == 1] == 1).all()
    error = float((drawn.x_train - grey.x_train).mean(dtype=float))
    variance = float((grey.x_train * (1 - grey.x_train)).mean(dtype=float))
    assert abs(error) < 4 * np.sqrt(variance / grey.x_train.size)


def test_dynamic_pixels_depend_on_seed_epoch_and_row_but_not_on_the_batch():
    x = load_dataset("digits", binarize="dynamic", seed=5).x_train
    rows = np.array([7, 4000, 12])
    first = x[rows]
    assert np.array_equal(first[::-1], x[rows[::-1]])
    assert np.array_equal(first[1], x[4000])
    x.set_epoch(1)
    assert not np.array_equal(first, x[rows])
    x.set_epoch(0)
    assert np.array_equal(first, x[rows])
    other = load_dataset("digits", binarize="dynamic", seed=6).x_train
    assert not np.array_equal(first, other[rows])


def test_dynamic_pixels_average_to_the_grey_values():
    grey = np.full((50, 40), 0.3, np.float32)
    x = BinarizedRows(grey, seed=0, dynamic=True)
    total = np.zeros_like(grey)
    for epoch in range(200):
        x.set_epoch(epoch)
        total += x[:]
    # Across epochs, rows and columns: each mean within 4.5 standard errors of 0.3.
    for axes, count in ((None, 400_000), (0, 10_000), (1, 8_000)):
        error = np.abs(total.mean(axis=axes) / 200 - 0.3).max()
        assert error < 4.5 * np.sqrt(0.3 * 0.7 / count)


def test_the_test_rows_are_drawn_once():
    a, b = (load_dataset("digits", binarize="dynamic", seed=seed).x_test for seed in (1, 2))
    assert isinstance(a, np.ndarray) and np.array_equal(a, b)


def test_only_grey_values_can_be_binarized(tmp_path):
    np.save(tmp_path / "x.npy", np.full((10, 4), 1.5))
    with pytest.raises(ValueError, match=r"from 1\.5 to 1\.5: only grey values"):
        load_dataset(tmp_path / "x.npy", binarize="static")
    with pytest.raises(ValueError, match="binarize 'often': expected none, static or dynamic"):
        load_dataset("digits", binarize="often")


# Data for a trained run


def test_a_known_set_gives_its_test_rows():
    config = load_dataset("digits").to_config()
    x, y = read_labelled("digits", config)
    assert np.array_equal(x, read_matrix("digits", config))
    assert len(x) == len(y) == 500


def test_data_of_another_width_are_refused():
    config = load_dataset("digits").to_config() | {"n_features": 64}
    with pytest.raises(ValueError, match="digits has 784 columns, the model was trained on 64"):
        read_matrix("digits", config)


@pytest.mark.parametrize("name", [None, 3])
def test_what_is_no_name_of_data_is_refused(name):
    with pytest.raises(
        TypeError, match=f"^name must be a path or one of digits, .*, not [A-Za-z]+ {name}$"
    ):
        load_dataset(name)
