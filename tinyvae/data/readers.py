"""People's own files as tables of raw values: .npy, .npz, .csv and folders of images. A table has
`shape` (N, D), `dtype` and `table[index]`; nothing is scaled here. What cannot be trained on is
refused in one line that names the file and the place in it. No file is ever loaded by pickle."""

from __future__ import annotations

import itertools
import math
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyvae.checks import first_line
from tinyvae.core.errors import Argument, InputError, MissingFileError
from tinyvae.data import csv_reader, image_reader
from tinyvae.data.dataset import counted
from tinyvae.data.npz import Npz

ImageSize = int | tuple[int, int] | None
IN_MEMORY_BYTES = 2**28  # rows that take more than this as float32 are read batch by batch


@dataclass(eq=False)
class Table:
    """Raw rows of a file, (N, D), and what the file says of them."""

    raw: np.ndarray | NpyFile | image_reader.ImageFiles
    image_shape: tuple[int, ...] | None = None
    labels: np.ndarray | None = None  # (N,) of any kind
    feature_names: tuple[str, ...] | None = None
    test: Table | None = None  # the file's own test split
    remark: str = ""  # what is left out of it


class NpyFile:
    """Rows of a .npy file too large for memory, read by seeking, not by a memory map.

    The pages of a map that a shuffled epoch touches would all count as this process's memory.
    """

    def __init__(self, path: Path, mapped: np.memmap) -> None:
        if not mapped.flags.c_contiguous:
            raise ValueError(
                f"{path} is large and stored column by column, so its rows cannot be read one by"
                " one: save np.ascontiguousarray(x)"
            )
        self.path, self.offset, self.dtype = path, mapped.offset, mapped.dtype
        self.shape = (mapped.shape[0], math.prod(mapped.shape[1:]))

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        rows = np.empty((len(index), self.shape[1]), self.dtype)  # (B, D)
        row_bytes = self.shape[1] * self.dtype.itemsize
        ends_of_runs = np.flatnonzero(np.diff(index) != 1) + 1
        bounds = [0, *ends_of_runs.tolist(), len(index)]
        with open(self.path, "rb", buffering=0) as file:
            for start, stop in itertools.pairwise(bounds):
                file.seek(self.offset + int(index[start]) * row_bytes)
                missing = memoryview(rows[start:stop]).cast("B")
                while missing:
                    n_read = file.readinto(missing)
                    if not n_read:
                        raise ValueError(f"{self.path} became shorter while it was read")
                    missing = missing[n_read:]
        return rows


def read_table(
    source: str | os.PathLike,
    labels: str | None = None,
    image_size: ImageSize = None,
    channels: str = "auto",
) -> Table:
    """Return the table in a file or folder, from the arguments of `tinyvae.data.load_dataset`.

    Raises
    ------
    FileNotFoundError
        `source` does not exist.
    ValueError
        It is of another kind, damaged, empty, or not of numbers.
    """
    file, key = split_key(os.fspath(source))
    path = Path(file)
    check_text(file, os.path.abspath(file))
    if not file or not path.exists():
        raise MissingFileError(f"{file!r} does not exist")
    suffix = path.suffix.lower()
    if path.is_dir() or suffix in image_reader.SUFFIXES:
        if labels is not None:
            remedy = "a folder's labels are its subfolders' names"
            raise InputError(Argument("labels", labels), remedy=remedy)
        files = image_reader.find(path)
        table = image_reader.ImageFiles(files, image_size, channels)
        return Table(table, table.image_shape, image_reader.subfolders(path, files))
    if channels != "auto":
        problem = f" is for folders of images, not for {path}"
        raise InputError(Argument("channels", channels), problem)
    if suffix == ".npy":
        return _read_npy(path, labels, image_size)
    if suffix == ".npz":
        return _read_npz(path, key, labels, image_size)
    if suffix == ".csv":
        x, classes, names = csv_reader.read(path, labels)
        return Table(x, _image_shape(path, x, image_size), classes, names)
    raise ValueError(f"{path} is no .npy, .npz or .csv file, no image and no folder of images")


def split_key(source: str) -> tuple[str, str | None]:
    """Return the two parts of `"file.npz:key"`."""
    file, colon, key = source.rpartition(":")
    return (file, key) if colon and file.lower().endswith(".npz") else (source, None)


def _read_npy(path: Path, labels: str | None, image_size: ImageSize) -> Table:
    mapped = load_arrays(path, mmap_mode="r")
    shape = _image_shape(path, mapped, image_size)
    large = mapped.size * 4 > IN_MEMORY_BYTES
    raw = NpyFile(path, mapped) if large else np.array(mapped).reshape(len(mapped), -1)
    return Table(raw, shape, _labels_beside(path, len(mapped), labels) if labels else None)


def _labels_beside(path: Path, n_rows: int, labels: str) -> np.ndarray:
    """Return the labels (N,) in the .npy file `labels`, of the rows of another."""
    if Path(labels).suffix.lower() != ".npy":
        remedy = f"name an .npy file with a label for each row of {path}"
        raise InputError(Argument("labels", str(labels)), " is no .npy file", remedy=remedy)
    y = load_arrays(Path(labels))
    if y.shape != (n_rows,):
        found = counted(len(y), "label") if y.ndim == 1 else f"labels of shape {y.shape}"
        remedy = "save one label for each row, in the same order"
        raise ValueError(f"{labels} holds {found}, but {path} {counted(n_rows, 'row')}: {remedy}")
    if y.dtype.kind not in "biufU" or not _whole(y):
        kind = "fractions or NaN" if y.dtype.kind == "f" else f"labels of type {y.dtype}"
        raise ValueError(f"{labels} holds {kind}: save whole numbers or text")
    return y


def _read_npz(path: Path, key: str | None, labels: str | None, image_size: ImageSize) -> Table:
    stored = array_names(path)
    if key is None and len(stored) == 1:
        key = stored[0]
    key = key or next((name for name in ("x_train", "x") if name in stored), None)
    names = f"(its arrays: {', '.join(stored) or 'none'})"
    if key is None:
        raise ValueError(f"{path} has no array x or x_train {names}: give {path.name}:NAME")
    for name in (key, labels):
        if name is not None and name not in stored:
            raise ValueError(f"{path} has no array {name!r} {names}")
    y = labels or next((n for n in ("y_train", "y", "labels") if n in stored and n != key), None)
    wanted = (key, y, *(("x_test", "y_test") if key == "x_train" else ()))
    arrays = load_arrays(path, wanted)
    table = _array_table(path, arrays[key], arrays.get(y), image_size)
    if table.labels is not None and not labels and not _whole(table.labels):
        table.labels, table.remark = None, f"{y} has fractions and is passed over"
    if "x_test" in arrays and key == "x_train":
        table.test = _array_table(path, arrays["x_test"], arrays.get("y_test"), image_size)
        if table.test.raw.shape[1] != table.raw.shape[1]:
            raise ValueError(f"{path}: x_test has other columns than x_train")
    return table


def _array_table(
    path: Path, array: np.ndarray, labels: np.ndarray | None, image_size: ImageSize
) -> Table:
    shape = _image_shape(path, array, image_size)
    return Table(array.reshape(len(array), -1), shape, labels)


def array_names(path: Path) -> list[str]:
    """Return the names of the arrays in an .npz, none of which is read."""
    with _errors_in_one_line(path), Npz(path) as file:
        return file.names


def load_arrays(path: Path, names: Iterable[str | None] = (), **options: Any) -> Any:
    """Return the array in an .npy, by np.load with these options; of an .npz a dict of those of
    `names` that it has. No pickle is loaded."""
    with _errors_in_one_line(path):
        if path.suffix.lower() == ".npz":
            with Npz(path) as file:
                return {name: file[name] for name in file.names if name in names}
        loaded = np.load(path, allow_pickle=False, **options)
        if not isinstance(loaded, np.ndarray):
            loaded.close()
            raise ValueError("it is an .npz by its content")
        return loaded


@contextmanager
def _errors_in_one_line(path: Path) -> Iterator[None]:
    """Turn what is raised on a damaged file, which has no common class, into a ValueError."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist, or is no file")
    try:
        with warnings.catch_warnings(action="ignore"):  # of odd headers
            yield
    except (FileNotFoundError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError):  # without the file's name
            why = error.strerror or first_line(error)
            raise ValueError(f"{path} cannot be read: {why}") from None
        with path.open("rb") as file:
            array_file = file.read(2) in (b"PK", b"\x93N")  # a zip of arrays, or one array
        problem = "it holds Python objects, or is no array file"
        if array_file:
            why = first_line(error)
            problem = f"is it cut off or damaged, or does it hold Python objects? ({why})"
        raise ValueError(f"{path} cannot be read: {problem}; pickles are never loaded") from None


def _image_shape(path: Path, array: np.ndarray, image_size: ImageSize) -> tuple[int, ...] | None:
    """Return what one row of (N, …) is: (H, W), (H, W, 3) or None. Raises ValueError."""
    shape = array.shape
    if array.dtype.kind not in "buif":
        raise ValueError(f"{path} holds values of type {array.dtype}: expected real numbers")
    if 0 in shape:
        raise ValueError(f"{path} is empty: its array has shape {shape}")
    if len(shape) == 4 and shape[3] not in (1, 3) and shape[1] in (1, 3):
        raise ValueError(
            f"{path} has shape {shape}: colours come last, save x.transpose(0, 2, 3, 1)"
        )
    if len(shape) not in (2, 3, 4) or (len(shape) == 4 and shape[3] not in (1, 3)):
        raise ValueError(
            f"{path} has shape {shape}: expected (rows, columns), (N, H, W) or (N, H, W, 3)"
        )
    wanted = image_reader.parse_size(image_size)
    if len(shape) == 2:
        side = math.isqrt(shape[1])
        if wanted is None and array.dtype == np.uint8 and side >= 8 and side**2 == shape[1]:
            return side, side
        return wanted and _fold(path, shape[1], wanted)
    if wanted not in (None, shape[1:3]):
        problem = f" is not the size of {path}, of shape {shape}"
        raise InputError(Argument("image_size", wanted), problem, remedy="only folders are resized")
    return shape[1:3] if shape[3:] in ((), (1,)) else shape[1:]


def _fold(path: Path, n_columns: int, size: tuple[int, int]) -> tuple[int, ...]:
    """Return the image shape that a row of `n_columns` has at this size."""
    for shape in (size, (*size, 3)):
        if math.prod(shape) == n_columns:
            return shape
    raise ValueError(
        f"{path} has {counted(n_columns, 'column')}: not an image of {size[0]} × {size[1]} pixels"
    )


def _whole(labels: np.ndarray) -> bool:
    """Return whether labels are no fractions."""
    return labels.dtype.kind != "f" or bool((labels == np.floor(labels)).all())


def check_text(source: str, name: str) -> None:
    """Raise ValueError for a name that no UTF-8 file can hold."""
    if not name.isascii() and name.encode(errors="replace").decode() != name:
        remedy = "rename it in UTF-8"
        raise ValueError(f"{source!a}: {name!a} is no name in UTF-8: {remedy}")


def encode_labels(table: Table, source: str) -> tuple[np.ndarray | None, tuple[str, ...] | None]:
    """Return labels as ints from 0, those of a test split at the end, and the labels' names."""
    tables = [table] if table.test is None else [table, table.test]
    if table.labels is None:
        return None, None
    for part in tables:
        n_rows = part.raw.shape[0]
        if part.labels is None or part.labels.shape != (n_rows,):
            shape = "missing" if part.labels is None else f"of shape {part.labels.shape}"
            raise ValueError(
                f"{source} has {counted(n_rows, 'row')} whose labels are {shape}: expected one each"
            )
    values = np.concatenate([part.labels for part in tables])
    if values.dtype.kind == "U":
        for value in values.tolist():
            check_text(source, value)
    if values.dtype.kind == "f" and _whole(values):
        values = values.astype(np.int64)
    elif values.dtype.kind == "U" and all(value.isdecimal() for value in values.tolist()):
        values = values.astype(np.int64)
    if values.dtype.kind not in "biuU":
        raise ValueError(
            f"{source} has labels of type {values.dtype}: expected whole numbers or text"
        )
    names, y = np.unique(values, return_inverse=True)
    return y.astype(np.int64), tuple(map(str, names))
