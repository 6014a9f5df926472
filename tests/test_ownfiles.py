"""People's own files: .npy, .npz, .csv and folders of images; their scaling, split and labels; what
is read batch by batch; and one clear line for whatever cannot be trained on."""

import json
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinyvae.data import csv_reader, image_reader, load_dataset, read_labelled, read_matrix, readers
from tinyvae.data.preparation import hold_out
from tinyvae.data.rows import LazyRows, value_range
from tinyvae.data.scaling import Scaling


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Each test works in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def lazy(monkeypatch):
    """Files of any size are read batch by batch."""
    monkeypatch.setattr(readers, "IN_MEMORY_BYTES", 0)


def config_of(dataset):
    """A run's configuration as it comes back from its JSON file."""
    return json.loads(json.dumps(dataset.to_config()))


def whole(data):
    """Training and test rows together, in no particular order."""
    return np.concatenate([data.x_train[:], data.x_test[:]])


def by_row(x):
    return x[np.lexsort(x.T)]


# Scaling


def test_bytes_are_divided_by_255_and_square_ones_taken_for_images(rng):
    raw = rng.integers(0, 256, (30, 64), dtype=np.uint8)
    np.save("x.npy", raw)
    data = load_dataset("x.npy")
    assert data.image_shape == (8, 8) and data.x_train.dtype == np.float32
    assert np.array_equal(by_row(np.rint(whole(data) * 255)), by_row(raw.astype(float)))
    assert "bytes divided by 255" in data.describe()


def test_floats_stay_as_they_are_and_their_range_is_said(rng):
    raw = rng.normal(size=(30, 3)).astype(np.float32)
    raw[3, 1], raw[4, 2] = -7, 9
    np.save("x.npy", raw)
    data = load_dataset("x.npy", validation=0.01)
    assert np.array_equal(by_row(whole(data)), by_row(raw))
    assert "values as they are (from -7 to 9)" in data.describe()


def test_standardised_columns_have_mean_0_and_deviation_1_in_the_training_rows(rng):
    raw = rng.normal([1e6, -3, 0], [1, 50, 1e-3], size=(400, 3))  # a large mean must not cancel
    np.save("x.npy", raw)
    data = load_dataset("x.npy", scale="standardize")
    assert np.allclose(data.x_train.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(data.x_train.std(axis=0), 1, atol=1e-5)
    undone = data.scaling.undo(whole(data).astype(float))
    assert np.allclose(np.sort(undone, axis=0), np.sort(raw, axis=0), rtol=1e-6, atol=1e-8)


def test_statistics_of_many_blocks_are_those_of_the_whole(rng, monkeypatch):
    monkeypatch.setattr("tinyvae.data.scaling.BLOCK_BYTES", 8 * 3 * 7)  # seven rows a block
    raw = rng.normal([100, 0, -5], [1, 2, 3], size=(50, 3))
    np.save("x.npy", raw)
    data = load_dataset("x.npy", scale="standardize", validation=0.5)
    assert np.allclose(data.x_train.mean(axis=0), 0, atol=1e-6)
    assert np.allclose(data.x_train.std(axis=0), 1, atol=1e-6)


def test_constant_columns_become_0_and_are_mentioned(rng):
    raw = rng.normal(size=(30, 4))
    raw[:, 2] = 0.1
    np.save("x.npy", raw)
    data = load_dataset("x.npy", scale="standardize")
    assert (data.x_train[:, 2] == 0).all()
    assert "1 constant column becomes 0 (column 3)" in data.describe()


def test_other_integers_need_a_choice(rng):
    raw = rng.integers(0, 17, (30, 64))
    raw[0, 0], raw[1, 0] = 0, 16
    np.save("x.npy", raw)
    with pytest.raises(ValueError, match=r"int64 values from .* choose a scale"):
        load_dataset("x.npy")
    data = load_dataset("x.npy", scale=16)
    assert value_range(whole(data)) == (0, 1)
    assert np.array_equal(by_row(data.scaling.undo(whole(data))), by_row(raw.astype(float)))
    assert value_range(whole(load_dataset("x.npy", scale="none"))) == (0, 16)


@pytest.mark.parametrize("scale", ["often", 0, -1, "nan", float("inf")])
def test_a_scale_that_is_none_is_refused(scale):
    np.save("x.npy", np.zeros((4, 2)))
    with pytest.raises(ValueError, match="expected infer, none, standardize, or a number"):
        load_dataset("x.npy", scale=scale)


def test_scaling_survives_its_configuration_and_a_damaged_one_is_refused(rng):
    np.save("x.npy", rng.normal(3, 2, (30, 4)))
    scaling = load_dataset("x.npy", scale="standardize").scaling
    again = Scaling.from_config(json.loads(json.dumps(scaling.to_config())))
    x = rng.normal(size=(5, 4))
    assert np.array_equal(scaling.apply(x), again.apply(x))
    for change in ({"kind": "other"}, {"mean": "x"}, {"colour": 1}):
        with pytest.raises(ValueError, match="stored scaling is damaged"):
            Scaling.from_config(scaling.to_config() | change)


@pytest.mark.parametrize("largest", [1, 15, 127, 128, 255])
@pytest.mark.parametrize("kind", ["x.npy", "im"])
def test_bytes_far_below_255_are_as_they_are_or_asked_about(kind, largest, rng):
    raw = rng.integers(0, largest + 1, (20, 8, 8)).astype(np.uint8)
    raw[:, 0, 0] = largest
    np.save("x.npy", raw)
    for i, image in enumerate(raw):
        os.makedirs("im", exist_ok=True)
        Image.fromarray(image).save(f"im/{i}.png")
    if largest in (15, 127):
        with pytest.raises(ValueError, match=f"bytes from 0 to {largest}: choose a scale"):
            load_dataset(kind)
    data = load_dataset(kind, **{"scale": largest} if largest in (15, 127) else {})
    divisor = 255 if largest >= 128 else largest
    assert data.scaling.unit
    assert np.allclose(by_row(whole(data) * divisor), by_row(raw.reshape(20, -1).astype(float)))
    again = read_matrix(kind, config_of(data))
    assert np.allclose(by_row(again), by_row(whole(data)))
    if largest == 1:
        np.save("y.npy", raw * 255)
        with pytest.raises(ValueError, match="was trained on values 0 to 1"):
            read_matrix("y.npy", config_of(data))
    if largest == 255:
        np.save("y.npy", raw // 255)
        with pytest.raises(ValueError, match=r"bytes of 0 and 1, the model .*multiply them by 255"):
            read_matrix("y.npy", config_of(data))


def test_binary_bytes_fit_a_run_on_binary_floats(rng):
    x = rng.random((20, 9)) > 0.5
    np.save("floats.npy", x.astype(np.float32))
    np.save("bytes.npy", x.astype(np.uint8))
    config = config_of(load_dataset("floats.npy"))
    assert np.array_equal(read_matrix("bytes.npy", config), x)


@pytest.mark.parametrize("shape", [(9, 8, 8), (9, 64)])
def test_floats_that_look_like_bytes_are_asked_about(shape, rng):
    x = rng.integers(0, 256, shape).astype(np.float32)
    x[:, 1] = 255
    np.save("x.npy", x)
    with pytest.raises(ValueError, match=r"choose a scale .*255 for grey values"):
        load_dataset("x.npy")
    assert load_dataset("x.npy", scale=255).scaling.unit


# The held-out part


def test_a_tenth_is_held_out_and_the_seed_says_which(rng):
    np.save("x.npy", np.arange(200.0).reshape(100, 2))
    a, b, c = (load_dataset("x.npy", seed=seed) for seed in (0, 0, 1))
    assert len(a.x_train) == 90 and len(a.x_test) == 10
    assert len(np.unique(whole(a)[:, 0])) == 100
    assert np.array_equal(a.x_test, b.x_test) and not np.array_equal(a.x_test, c.x_test)


@pytest.mark.parametrize(("part", "n_test"), [(0.5, 2), (0.01, 1), (0.99, 3)])
def test_neither_part_is_ever_empty(part, n_test):
    np.save("x.npy", np.random.default_rng(0).normal(size=(4, 2)))
    assert len(load_dataset("x.npy", validation=part).x_test) == n_test


@pytest.mark.parametrize("part", [1, -0.5, float("nan")])
def test_a_part_out_of_range_is_refused(part):
    np.save("x.npy", np.zeros((4, 2)))
    with pytest.raises(ValueError, match="between 0 and 1"):
        load_dataset("x.npy", validation=part)


def test_one_row_cannot_be_split():
    np.save("x.npy", np.zeros((1, 2)))
    with pytest.raises(ValueError, match="has 1 row: at least 2"):
        load_dataset("x.npy")


# Arrays


@pytest.mark.parametrize(
    ("shape", "image_size", "image_shape"),
    [
        ((9, 4, 6), None, (4, 6)),
        ((9, 4, 6, 1), None, (4, 6)),
        ((9, 4, 6, 3), None, (4, 6, 3)),
        ((9, 24), (4, 6), (4, 6)),
        ((9, 75), 5, (5, 5, 3)),
        ((9, 64), None, None),
        ((9, 1, 4, 6), None, (4, 6)),
    ],
)
def test_the_shape_of_images_follows_the_array_or_is_given(shape, image_size, image_shape):
    np.save("x.npy", np.zeros(shape))
    data = load_dataset("x.npy", image_size=image_size)
    assert data.image_shape == image_shape
    assert data.n_features == np.prod(shape[1:])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 4)), r"is empty: .*\(0, 4\)"),
        (np.zeros((4, 0)), r"is empty: .*\(4, 0\)"),
        (np.zeros(4), r"has shape \(4,\): expected"),
        (np.float64(3), r"has shape \(\): expected"),
        (np.zeros((2, 2, 2, 2, 2)), "expected"),
        (np.zeros((4, 3, 8, 8)), "colours come last"),
        (np.zeros((4, 8, 8, 4)), "drop the alpha"),
        (np.zeros((4, 2), complex), "complex128: expected real numbers"),
        (np.array([["a", "b"]]), "expected real numbers"),
        (np.array([[0, 1], [np.nan, 0]]), "has nan in row 2, column 1"),
        (np.array([[0, np.inf], [0, 0]]), "has inf in row 1, column 2"),
        (np.array([[0, 1e300], [0, 0]]), r"has 1e\+300 in row 1, column 2"),
    ],
)
def test_arrays_that_are_no_data_get_one_line(array, message):
    np.save("x.npy", array)
    with pytest.raises(ValueError, match=message) as error:
        load_dataset("x.npy")
    assert str(error.value).startswith("x.npy") and "\n" not in str(error.value)


def test_a_nan_is_found_in_the_held_out_rows_too():
    for row in range(10):
        x = np.zeros((10, 2))
        x[row, 1] = np.nan
        np.save("x.npy", x)
        with pytest.raises(ValueError, match=f"nan in row {row + 1}, column 2"):
            load_dataset("x.npy", validation=0.5)


def test_an_array_is_no_image_of_another_size():
    np.save("x.npy", np.zeros((9, 24)))
    with pytest.raises(ValueError, match="24 columns: not an image of 5 × 5"):
        load_dataset("x.npy", image_size=5)
    np.save("x.npy", np.zeros((9, 4, 6)))
    with pytest.raises(ValueError, match="only folders are resized"):
        load_dataset("x.npy", image_size=5)


def test_pickles_are_never_loaded():
    class Trap:
        def __reduce__(self):
            return os.mkdir, ("sprung",)

    np.save("x.npy", np.array([[Trap()]], dtype=object), allow_pickle=True)
    np.savez("x.npz", x=np.array([[Trap()]], dtype=object))
    for name in ("x.npy", "x.npz"):
        with pytest.raises(ValueError, match="pickles are never loaded"):
            load_dataset(name)
    assert not os.path.exists("sprung")


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_damaged_array_files_get_one_line(name, rng):
    np.save("x.npy", rng.normal(size=(50, 4)))
    np.savez("x.npz", rng.normal(size=(50, 4)))
    with open(name, "rb") as file:
        content = file.read()
    for damaged in (b"", b"hello", content[:20], content[:-300]):
        with open(name, "wb") as file:
            file.write(damaged)
        with pytest.raises(ValueError, match=f"{name} cannot be read") as error:
            load_dataset(name)
        assert "\n" not in str(error.value)


def test_an_archive_gives_its_only_array_its_x_or_the_named_one(rng):
    x = rng.random((20, 3)).astype(np.float32)
    np.savez("one.npz", data=x)
    np.savez("x.npz", x=x, other=np.zeros(3))
    np.savez("two.npz", p=x, q=x + 1)
    assert np.array_equal(by_row(whole(load_dataset("one.npz"))), by_row(x))
    assert np.array_equal(by_row(whole(load_dataset("x.npz"))), by_row(x))
    assert np.array_equal(by_row(whole(load_dataset("two.npz:q"))), by_row(x + 1))
    assert load_dataset("two.npz:q").name == "two"
    with pytest.raises(ValueError, match=r"no array x .*p, q.*two.npz:NAME"):
        load_dataset("two.npz")
    with pytest.raises(ValueError, match="no array 'r'"):
        load_dataset("two.npz:r")


def test_an_archives_own_split_is_kept(rng):
    arrays = {"x_train": rng.random((6, 2)), "x_test": rng.random((3, 2))}
    np.savez("x.npz", **arrays, y_train=[3, 5, 5, 3, 3, 3], y_test=[7, 3, 3])
    data = load_dataset("x.npz")
    assert np.allclose(data.x_train, arrays["x_train"]) and np.allclose(
        data.x_test, arrays["x_test"]
    )
    assert data.label_names == ("3", "5", "7")
    assert data.y_train.tolist() == [0, 1, 1, 0, 0, 0] and data.y_test.tolist() == [2, 0, 0]
    again = load_dataset("x.npz", validation=0.4)  # a part of the training rows, see `hold_out`
    assert np.array_equal(again.x_test, data.x_test) and len(again.x_train) == 6
    assert len(hold_out(again).x_test) == 2 and len(hold_out(data).x_test) == 1
    with pytest.raises(ValueError, match=r"validation=1\.5: expected a part"):
        load_dataset("x.npz", validation=1.5)


def test_labels_stay_with_their_rows():
    x = np.arange(40.0).reshape(20, 2)
    np.savez("x.npz", x=x, y=[f"kind {i % 3}" for i in range(20)])
    data = load_dataset("x.npz")
    assert data.label_names == ("kind 0", "kind 1", "kind 2")
    assert np.array_equal(data.y_train, (data.x_train[:, 0] / 2) % 3)
    assert np.array_equal(data.y_test, (data.x_test[:, 0] / 2) % 3)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(19), r"20 rows whose labels are of shape \(19,\)"),
        (np.zeros((20, 10)), r"of shape \(20, 10\)"),
        (np.linspace(0, 1, 20), "labels of type float64"),
    ],
)
def test_labels_that_are_none_are_refused(y, message):
    np.savez("x.npz", x=np.zeros((20, 2)), y=y)
    with pytest.raises(ValueError, match=message):
        load_dataset("x.npz", labels="y")


def test_a_column_of_labels_is_taken_as_they_are_and_a_sparse_matrix_refused(rng):
    np.savez("x.npz", x=rng.random((20, 2)), y=np.arange(20)[:, None] % 2)
    assert load_dataset("x.npz").label_names == ("0", "1")
    assert load_dataset("x.npz", labels="y").label_names == ("0", "1")
    names = ("indices", "indptr", "format", "shape", "data")
    np.savez("x.npz", **{name: np.arange(3) for name in names})
    with pytest.raises(ValueError, match=r"holds a sparse matrix: .*x\.toarray"):
        load_dataset("x.npz")


def test_a_y_of_fractions_that_nobody_asked_for_is_passed_over_and_said():
    np.savez("x.npz", x=np.zeros((20, 2)), y=np.linspace(0, 1, 20))
    data = load_dataset("x.npz")
    assert data.y_train is None
    assert "y has fractions and is passed over" in data.describe()


@pytest.mark.parametrize(
    ("y", "why"),
    [
        (np.eye(4)[np.arange(20) % 4], "y has the shape (20, 4), not (20,), and is passed over"),
        (np.array(["a"] * 20, dtype=object), "y holds Python objects, which are never loaded"),
        (np.zeros(19), "y has the shape (19,)"),
    ],
)
@pytest.mark.parametrize("key", ["", ":x"])
def test_a_y_that_is_no_labels_does_not_refuse_x(y, why, key):
    np.savez("x.npz", x=np.random.default_rng(0).random((20, 2)), y=y)
    data = load_dataset(f"x.npz{key}")
    assert data.y_train is None and why in data.describe()


@pytest.mark.parametrize("y_test", [np.eye(3), np.linspace(0, 1, 3), None])
def test_a_y_test_that_is_no_labels_leaves_x_test(y_test):
    arrays = {} if y_test is None else {"y_test": y_test}
    np.savez("x.npz", x_train=np.zeros((4, 2)), x_test=np.ones((3, 2)), y_train=np.arange(4) % 2)
    with np.load("x.npz") as stored:
        np.savez("x.npz", **stored, **arrays)
    data = load_dataset("x.npz")
    assert len(data.x_test) == 3 and data.y_train is None and "y_test " in data.describe()


def test_an_npy_file_may_have_its_labels_in_another():
    np.save("x.npy", np.arange(20.0).reshape(10, 2))
    np.save("y.npy", np.arange(10) % 2)
    data = load_dataset("x.npy", labels="y.npy")
    assert np.array_equal(data.y_train, (data.x_train[:, 0] / 2) % 2)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(7), "y.npy holds 7 labels, but x.npy 10 rows: save one label for each row"),
        (np.zeros((10, 2)), r"y.npy holds labels of shape \(10, 2\), but x.npy 10 rows"),
        (np.linspace(0, 1, 10), "y.npy holds fractions or NaN: save whole numbers or text"),
        (np.zeros(10, complex), "y.npy holds labels of type complex128: save whole numbers"),
    ],
)
def test_labels_in_another_file_that_are_none_are_refused_by_its_name(y, message):
    np.save("x.npy", np.zeros((10, 2)))
    np.save("y.npy", y)
    with pytest.raises(ValueError, match=message) as error:
        load_dataset("x.npy", labels="y.npy")
    assert "data sets by name" not in str(error.value)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ("z.npy", FileNotFoundError, r"^z\.npy does not exist, or is no file$"),
        ("kind", ValueError, "^labels='kind' is no .npy file: name an .npy file with a label for"),
    ],
)
def test_labels_in_a_file_that_is_not_there_are_refused(labels, error, message):
    np.save("x.npy", np.zeros((10, 2)))
    with pytest.raises(error, match=message):
        load_dataset("x.npy", labels=labels)


def test_a_folder_that_may_not_be_read_is_not_called_empty(monkeypatch):
    os.mkdir("closed")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match="closed cannot be read: permission denied"):
        load_dataset("closed")


def test_labels_in_another_file_may_be_named_by_a_path():
    np.save("x.npy", np.arange(20.0).reshape(10, 2))
    np.save("y.npy", np.arange(10) % 2)
    assert load_dataset("x.npy", labels=Path("y.npy")).label_names == ("0", "1")


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_a_file_that_is_cut_off_is_said_to_be(name, rng):
    np.save("x.npy", rng.random((50, 4)))
    np.savez("x.npz", rng.random((50, 4)))
    os.truncate(name, 900)
    with pytest.raises(ValueError, match=f"{name} cannot be read: is it cut off or damaged"):
        load_dataset(name)


# Files read batch by batch


def test_a_large_file_gives_the_same_rows_as_one_in_memory(rng, monkeypatch):
    raw = rng.normal(size=(50, 3, 2)).astype(">f4")
    np.save("x.npy", raw)
    in_memory = load_dataset("x.npy", scale="standardize", seed=1)
    monkeypatch.setattr(readers, "IN_MEMORY_BYTES", 0)
    lazy = load_dataset("x.npy", scale="standardize", seed=1)
    assert isinstance(lazy.x_train, LazyRows) and "batch by batch" in lazy.describe()
    assert lazy.x_train.shape == (45, 6) and lazy.x_train.dtype == np.float32
    assert len(lazy.x_test) == 5
    rows = np.array([44, 3, 4, 5, 0])
    for got, wanted in (
        (lazy.x_train[rows], in_memory.x_train[rows]),
        (lazy.x_train[3:9], in_memory.x_train[3:9]),
        (lazy.x_train[7], in_memory.x_train[7]),
        (lazy.x_train[np.arange(45) % 2 == 0], in_memory.x_train[::2]),
        (np.asarray(lazy.x_test), in_memory.x_test),
    ):
        assert np.array_equal(got, wanted)
    assert value_range(lazy.x_train) == value_range(in_memory.x_train)


def test_a_large_file_stored_by_columns_is_refused(lazy):
    np.save("x.npy", np.asfortranarray(np.random.default_rng(0).normal(size=(9, 4))))
    with pytest.raises(ValueError, match=r"column by column.*ascontiguousarray"):
        load_dataset("x.npy")


def test_a_large_file_that_shrinks_is_noticed(lazy):
    np.save("x.npy", np.zeros((9, 4)))
    data = load_dataset("x.npy")
    os.truncate("x.npy", 200)
    with pytest.raises(ValueError, match=r"x\.npy became shorter"):
        data.x_train[:]


def test_large_files_can_be_binarized(lazy, rng):
    np.save("x.npy", rng.random((30, 8)))
    data = load_dataset("x.npy", binarize="dynamic")
    assert set(np.unique(data.x_train[:])) == {0, 1}
    assert np.array_equal(data.x_train[np.array([5])], data.x_train[4:7][1:2])


# CSV


def write(name, text):
    with open(name, "w") as file:
        file.write(text)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("1,2\n3,4\n", None),
        ("a,b\n1,2\n3,4\n", ("a", "b")),
        ("\ufeff a ;b\n1;2\n\n3;4\n\n", ("a", "b")),
        ("a\tb\n1\t2e0\n+3\t 4\n", ("a", "b")),
        ('"a","b"\n"1","2"\n"3","4"\n', ("a", "b")),
    ],
)
def test_csv_files_with_and_without_a_header(text, names):
    write("x.csv", text)
    data = load_dataset("x.csv", validation=0.5, scale="none")
    assert data.feature_names == names
    assert by_row(whole(data)).tolist() == [[1, 2], [3, 4]]


def test_a_csv_column_holds_labels_by_its_name_or_its_number():
    write("named.csv", "a,kind,b\n1,cat,2\n3,dog,4\n5,cat,6\n")
    write("plain.csv", "1,10,2\n3,9,4\n5,10,6\n")
    named = load_dataset("named.csv", labels="kind", scale="none")
    assert named.feature_names == ("a", "b") and named.label_names == ("cat", "dog")
    assert np.array_equal(named.y_train == 1, named.x_train[:, 0] == 3)
    plain = load_dataset("plain.csv", labels="2")
    assert plain.label_names == ("9", "10") and plain.n_features == 2


@pytest.mark.parametrize(
    ("text", "labels", "message"),
    [
        ("", None, "is empty"),
        ("a,b\n", None, "is empty"),
        ("kind\nx\ny\n", "kind", "is empty"),
        ("1,2\n3\n", None, "line 2 has 1 column instead of 2"),
        ("a,b\n1,2\n\n3,4,5\n", None, "line 4 has 3 columns instead of 2"),
        ("a,b\n1,2\n3,cat\n", None, "line 3, column b: 'cat' is not a finite number"),
        ("1,2\n3,-inf\n", None, "line 2, column 2: '-inf' is not"),
        ("k,a,b\n1,2,3\n1,2,x\n", "k", "line 3, column b: 'x' is not"),
        ("a,b\n1,2\n", "c", r"no column 'c' for labels \(its columns: a, b\)"),
        ("1,2\n3,4\n", "3", r"no column '3' .*columns 1 to 2"),
    ],
)
def test_csv_files_that_are_no_data_get_one_line_with_the_place(text, labels, message):
    write("x.csv", text)
    with pytest.raises(ValueError, match=message) as error:
        load_dataset("x.csv", labels=labels)
    assert str(error.value).startswith("x.csv") and "\n" not in str(error.value)


def test_a_csv_file_of_bytes_is_refused():
    with open("x.csv", "wb") as file:
        file.write(b"\xff\xfe1\0,\x002\0")
    with pytest.raises(ValueError, match=r"x\.csv is not a text file"):
        load_dataset("x.csv")


# Folders of images


def paint(name, size=(6, 4), colour=(10, 20, 30), mode="RGB", **options):
    """Writes an image of one colour; `size` is (width, height)."""
    os.makedirs(os.path.dirname(name), exist_ok=True)
    Image.new(mode, size, colour).save(name, **options)


def test_a_folder_of_grey_and_one_of_colour_images():
    for i in range(5):
        paint(f"grey/{i}.png", colour=50 * i, mode="L")
        paint(f"colour/{i}.PNG", colour=(50 * i, 7, 9))
    grey, colour = load_dataset("grey"), load_dataset("colour")
    assert grey.image_shape == (4, 6) and colour.image_shape == (4, 6, 3)
    assert sorted(np.rint(whole(grey)[:, 0] * 255)) == [0, 50, 100, 150, 200]
    assert np.array_equal(np.rint(colour.x_test[0].reshape(4, 6, 3)[1, 2, 1:] * 255), [7, 9])
    assert load_dataset("colour", channels="grey").image_shape == (4, 6)
    assert load_dataset("grey", channels="colour").image_shape == (4, 6, 3)


def test_subfolders_are_labels():
    for i in range(8):
        paint(f"pets/{'cat' if i % 2 else 'dog'}/deep/{i}.png", colour=i % 2, mode="L")
    data = load_dataset("pets")
    assert data.label_names == ("cat", "dog")
    assert np.array_equal(data.y_train == 0, data.x_train[:, 0] > 0)
    paint("pets/stray.png", mode="L", colour=0)
    assert load_dataset("pets").y_train is None


def test_a_loose_image_beside_subfolders_is_said_to_leave_no_labels():
    for name in ("pets/cat/a.png", "pets/dog/b.png", "pets/stray.png"):
        paint(name)
    assert "no labels, as stray.png lies in no subfolder" in load_dataset("pets").describe()


@pytest.mark.parametrize(("train", "val"), [("train", "val"), ("training", "test")])
def test_a_split_into_folders_is_the_split_and_no_label(train, val):
    for kind in "ab":
        for i in range(4):
            paint(f"x/{train}/{kind}/{i}.png", mode="L", colour=200)
        paint(f"x/{val}/{kind}/0.png", mode="L", colour=100)
    data = load_dataset("x")
    assert len(data.x_train) == 8 and len(data.x_test) == 2 and data.label_names == ("a", "b")
    assert value_range(data.x_train) == (np.float32(200 / 255),) * 2
    assert data.y_test.tolist() == [0, 1] and "2 labels: a (5), b (5)" in data.describe()
    for kind in "ab":
        os.rename(f"x/{val}/{kind}/0.png", f"x/{val}/{kind}.png")
    assert "no labels in a part" in load_dataset("x").describe()


def test_every_page_of_an_image_is_a_row(rng):
    pages = [Image.fromarray(rng.integers(0, 256, (4, 6), dtype=np.uint8)) for _ in range(5)]
    os.mkdir("im")
    pages[0].save("im/a.tif", save_all=True, append_images=pages[1:])
    pages[0].save("im/b.png")
    wanted = np.array([np.asarray(page).ravel() for page in [*pages, pages[0]]])
    assert np.array_equal(by_row(np.rint(whole(load_dataset("im")) * 255)), by_row(wanted))
    assert len(whole(load_dataset("im/a.tif"))) == 5
    pages.append(Image.new("L", (3, 3)))
    pages[0].save("im/a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(ValueError, match=r"a\.tif cannot be read .*page 6 has 3 × 3 pixels"):
        load_dataset("im")
    assert len(whole(load_dataset("im", image_size=3))) == 7


def test_all_damaged_images_are_named_at_once_or_left_out():
    for i in range(6):
        paint(f"im/{i}.png", colour=(40 * i, 255, 0), size=(60, 40))
    write("im/1.png", "hello")
    os.truncate("im/4.png", os.path.getsize("im/4.png") // 2)
    with pytest.raises(ValueError, match=r"2 of 6: im/1.png .*nor can im/4.png.*skip_damaged=True"):
        load_dataset("im", image_size=4)
    data = load_dataset("im", image_size=4, skip_damaged=True)
    assert len(whole(data)) == 4 and "2 damaged left out" in data.describe()
    os.rename("im", "new")
    assert len(read_matrix("new", config_of(data))) == 4


@pytest.mark.parametrize("mode", ["I", "F"])
def test_more_than_sixteen_bits_a_pixel_are_refused(mode):
    paint("im/a.tif", mode=mode, colour=3)
    paint("im/b.tif", mode=mode, colour=3)
    with pytest.raises(ValueError, match=r"more than 8 bits a channel: save it with 8"):
        load_dataset("im")


def test_colours_of_sixteen_bits_are_not_cut_to_eight(rng):
    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + rng.bytes(6 * 6) for _ in range(4))
    header = struct.pack(">IIBBBBB", 6, 4, 16, 2, 0, 0, 0)  # 6 × 4 pixels, 16 bits, of RGB
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    os.mkdir("im")
    for name in ("im/a.png", "im/b.png"):
        Path(name).write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    with pytest.raises(ValueError, match=r"2 of 2: im/a.png .*more than 8 bits a channel"):
        load_dataset("im")


def test_images_of_eight_and_sixteen_bits_do_not_mix(rng):
    paint("im/a.png", mode="L", colour=200)
    Image.fromarray(np.full((4, 6), 4000, np.uint16)).save("im/b.png")
    with pytest.raises(ValueError, match=r"b\.png has 16 bits a pixel and .*a\.png 8: save all"):
        load_dataset("im")
    os.remove("im/b.png")
    paint("im/c.png", mode="L", colour=200)
    config = config_of(load_dataset("im"))
    Image.fromarray(np.full((4, 6), 200, np.uint16)).save("b.png")
    with pytest.raises(ValueError, match="uint16 pixels, the model was trained on uint8"):
        read_matrix("b.png", config)


def test_hidden_files_and_folders_are_passed_over():
    for name in ("a.png", "b.png", ".c.png", ".thumbnails/a.png"):
        paint(f"im/{name}")
    assert len(whole(load_dataset("im"))) == 2


def test_images_of_mixed_sizes_need_a_size():
    paint("im/a.png", size=(6, 4))
    paint("im/b.png", size=(5, 9))
    with pytest.raises(ValueError, match=r"b.png has 9 × 5 pixels and .*a.png 4 × 6: resize"):
        load_dataset("im")
    assert load_dataset("im", image_size=3).image_shape == (3, 3, 3)
    assert load_dataset("im", image_size=(3, 2)).image_shape == (3, 2, 3)


def test_resizing_keeps_proportions_and_the_middle():
    left_right = np.zeros((10, 30), np.uint8)
    left_right[:, 10:20] = 255  # a white square in the middle of a wide black image
    os.mkdir("im")
    for name in "ab":
        Image.fromarray(left_right).save(f"im/{name}.png")
    assert load_dataset("im", image_size=5).x_train.min() > 0.9


def test_photographs_are_turned_upright():
    exif = Image.Exif()
    exif[image_reader.ORIENTATION] = 6  # the camera was held sideways
    for name in "ab":
        paint(f"im/{name}.jpg", size=(6, 4), exif=exif)
    assert load_dataset("im").image_shape == (6, 4, 3)


def test_transparent_pixels_are_white():
    paint("clear/a.png", colour=(0, 0, 0, 0), mode="RGBA")
    paint("clear/b.png", colour=(0, 0, 0, 0), mode="RGBA")
    assert load_dataset("clear").x_train.min() == 1


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("size", [None, (3, 2)])
def test_sixteen_bits_keep_all_their_levels_and_need_a_scale(suffix, size):
    os.mkdir("deep")
    for i in range(5):
        Image.fromarray(np.full((4, 6), 1000 * i + 3, np.uint16)).save(f"deep/{i}.{suffix}")
    with pytest.raises(ValueError, match=r"deep holds uint16 values from .*choose a scale"):
        load_dataset("deep", image_size=size)
    data = load_dataset("deep", image_size=size, scale=4095)
    assert np.allclose(np.sort(whole(data)[:, 0]) * 4095, 1000 * np.arange(5) + 3, atol=1e-3)
    assert data.image_shape == (size or (4, 6)) and data.scaling.unit
    assert np.allclose(read_matrix(f"deep/4.{suffix}", config_of(data)), 4003 / 4095)


def test_images_beyond_the_cache_are_decoded_again_and_alike(lazy, monkeypatch):
    for i in range(6):
        paint(f"im/{i}.png", colour=40 * i, mode="L")
    monkeypatch.setattr(image_reader, "CACHE_BYTES", 3 * 24)  # holds three images
    data = load_dataset("im", validation=0.2)
    assert isinstance(data.x_train, LazyRows)
    first = data.x_train[:]
    assert sorted(np.rint(np.r_[first, data.x_test[:]][:, 0] * 255)) == [0, 40, 80, 120, 160, 200]
    assert np.array_equal(data.x_train[:], first)
    assert data.x_train.table._cache.nbytes == 3 * 24


def test_folders_and_images_that_cannot_be_read_are_named():
    os.mkdir("empty")
    with pytest.raises(ValueError, match="empty has no images"):
        load_dataset("empty")
    paint("im/a.png")
    paint("im/b.png", size=(60, 40))
    write("im/c.jpg", "hello")
    with pytest.raises(ValueError, match=r"c.jpg cannot be read as an image \(it is no image"):
        load_dataset("im", image_size=4)
    os.remove("im/c.jpg")
    os.truncate("im/b.png", os.path.getsize("im/b.png") // 2)
    with pytest.raises(ValueError, match=r"b\.png cannot be read as an image") as error:
        load_dataset("im", image_size=4)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 0}, "image size 0"),
        ({"image_size": (4, -1)}, "expected one or two whole numbers"),
        ({"image_size": (1, 2, 3)}, "expected one or two whole numbers"),
        ({"image_size": 600}, "too large for dense layers"),
        ({"channels": "blue"}, "channels 'blue'"),
        ({"labels": "kind"}, "a folder's labels are its subfolders"),
    ],
)
def test_options_that_do_not_fit_a_folder_are_refused(options, message):
    paint("im/a.png")
    with pytest.raises(ValueError, match=message):
        load_dataset("im", **options)


def test_files_of_other_kinds_are_refused():
    write("x.doc", "1 2 3")
    with pytest.raises(ValueError, match=r"x\.doc is no \.npy, \.npz or \.csv file, no image"):
        load_dataset("x.doc")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_dataset("")


# New data for a trained run


def test_new_data_get_the_scaling_of_the_run_not_their_own(rng):
    np.save("old.npy", rng.normal(10, 2, (200, 3)))
    np.save("new.npy", np.full((4, 3), 10.0))
    old = load_dataset("old.npy", scale="standardize")
    x = read_matrix("new.npy", config_of(old))
    assert x.dtype == np.float32 and np.abs(x).max() < 0.5
    assert np.allclose(old.scaling.undo(x), 10)


def test_a_run_on_grey_values_takes_bytes_and_floats_alike(rng):
    raw = rng.integers(0, 256, (20, 64), dtype=np.uint8)
    np.save("old.npy", raw)
    np.save("floats.npy", raw / 255)
    np.save("large.npy", raw * 1.0)
    np.save("few.npy", raw % 4 * 1.0)
    config = config_of(load_dataset("old.npy"))
    assert np.allclose(read_matrix("old.npy", config), read_matrix("floats.npy", config))
    with pytest.raises(ValueError, match=r"large.npy has floats from .*divide them by 255"):
        read_matrix("large.npy", config)
    with pytest.raises(ValueError, match=r"few.npy has floats from 0 to 3.*bring them to that"):
        read_matrix("few.npy", config)


def test_one_image_or_a_folder_of_other_sizes_fits_a_run_on_images():
    for name in "abc":
        paint(f"old/{name}.png", size=(8, 8))
    paint("new/a.png", size=(30, 20))
    paint("new/b.png", size=(9, 40))
    config = config_of(load_dataset("old", image_size=4))
    assert read_matrix("new", config).shape == (2, 48)
    assert read_matrix("new/a.png", config).shape == (1, 48)
    np.save("x.npy", np.zeros((4, 48)))
    with pytest.raises(ValueError, match="was not trained on images"):
        read_matrix("new", config_of(load_dataset("x.npy")))


def test_labels_are_counted_as_the_run_counts_them():
    write("old.csv", "a,b,kind\n1,2,cat\n3,4,dog\n5,6,eel\n")
    write("new.csv", "a,b,kind\n1,2,eel\n3,4,dog\n")
    write("bare.csv", "a,b\n1,2\n")
    config = config_of(load_dataset("old.csv", labels="kind", scale="none"))
    x, y = read_labelled("new.csv", config)
    assert x.tolist() == [[1, 2], [3, 4]] and y.tolist() == [2, 1]
    assert read_labelled("bare.csv", config)[1] is None
    write("new.csv", "a,b,kind\n1,2,fox\n")
    with pytest.raises(ValueError, match="label 'fox', the model was trained with cat, dog, eel"):
        read_labelled("new.csv", config)


def test_columns_of_another_order_are_found_and_of_other_names_or_numbers_refused():
    write("old.csv", "a,b\n1,2\n3,4\n")
    write("turned.csv", "b,id,a\n2,9,1\n4,8,3\n")
    write("new.csv", "b,c\n1,2\n")
    write("wide.csv", "1,2,3\n")
    config = config_of(load_dataset("old.csv"))
    assert np.array_equal(read_matrix("turned.csv", config), read_matrix("old.csv", config))
    with pytest.raises(ValueError, match=r"has no column a \(its columns: b, c\).*may be empty"):
        read_matrix("new.csv", config)
    with pytest.raises(ValueError, match=r"wide\.csv has 3 columns, the model was trained on 2"):
        read_matrix("wide.csv", config)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
def test_a_scale_that_leaves_float32_nothing_is_refused(scale, rng):
    np.save("x.npy", rng.random((20, 2)))
    with pytest.raises(ValueError, match="out of float32's range: choose a number of about"):
        load_dataset("x.npy", scale=scale)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("1,2\n3,4\n5,6\n", None),
        ("a;b\r\n1;2e3\r\n\r\n -3 ;.5\r\n", None),
        ('a,kind,b\n1,"x, y",2\n3,z,4\n5,"x, y",6\n', "kind"),
        ("1\tu\n2\tv\n3\tu\n", "2"),
    ],
)
def test_an_ordinary_csv_is_read_at_once_and_as_line_by_line(text, labels, monkeypatch):
    write("x.csv", text)
    with monkeypatch.context() as patch:
        patch.setattr(csv_reader, "_at_once", lambda *_: None)
        slow = csv_reader.read(Path("x.csv"), labels)
    monkeypatch.setattr(csv_reader, "_by_line", None)
    fast = csv_reader.read(Path("x.csv"), labels)
    for a, b in zip(slow, fast, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("cell", ["1_000", "１", "٣", "1_0.5", "0x10"])
def test_what_only_python_reads_as_a_number_is_refused(cell):
    write("x.csv", f"a,b\n1,2\n{cell},3\n")
    with pytest.raises(ValueError, match=f"line 3, column a: '{cell}' is not a finite number"):
        csv_reader.read(Path("x.csv"))


def test_a_line_of_spaces_is_passed_over():
    write("x.csv", "a,b\n1,2\n   \n10,3\n")
    assert csv_reader.read(Path("x.csv"))[0].shape == (2, 2)


def test_a_delimiter_in_quotes_is_text():
    write("x.csv", '"a, of all";b\n1;2\n3;4\n')
    found = csv_reader.read(Path("x.csv"))
    assert found.x.tolist() == [[1, 2], [3, 4]] and found.columns == ("a, of all", "b")
