"""People's own files as tables of raw values: arrays, text, and folders of images. A table has
`shape` (N, D), `dtype` and `table[index]`; nothing is scaled here. What cannot be trained on is
refused in one line that names the file and the place in it. No file is ever loaded by pickle."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyvae.checks import first_line
from tinyvae.core.errors import Argument, InputError, MissingFileError
from tinyvae.data import csv_reader, image_reader, variables
from tinyvae.data.dataset import counted
from tinyvae.data.npz import Npz
from tinyvae.data.scaling import BRIGHT, LEAST_PIXELS, Source
from tinyvae.data.variables import Variable

ImageSize = int | tuple[int, int] | None
FEW_LABELS = 20  # so many are taken even where each row has its own
IN_MEMORY_BYTES = 2**28  # rows that take more than this as float32 are read batch by batch


@dataclass(eq=False)
class Table:
    """Raw rows of a file, (N, D), and what the file says of them."""

    raw: np.ndarray | NpyFile | image_reader.ImageFiles
    image_shape: tuple[int, ...] | None = None
    labels: np.ndarray | None = None  # (N,) of any kind
    feature_names: tuple[str, ...] | None = None  # of its D columns
    test: Table | None = None  # the file's own test split
    remark: str = ""  # what is left out of it
    kind: str = "array"  # or "table", "pixels", "images", "colours"
    columns: tuple[str, ...] | None = None  # of text: their names, or their numbers from 1
    variables: tuple[Variable, ...] | None = None  # of a table: what its columns come from

    def source(self, name: str, missing: bool = False) -> Source:
        """Return what errors say of this table, and whether its cells may be `missing`."""
        return Source(name, self.kind, self.columns, self.image_shape, self.variables, missing)


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
    *,
    skip_damaged: bool | None = None,
    **text: Any,
) -> Table:
    """Return the table in a file or folder, from the arguments of `tinyvae.data.load_dataset`;
    those in `text` are of `csv_reader.read`.

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
    if csv_reader.is_text(path):
        _refuse(path, "for images", skip_damaged=skip_damaged, channels=channels)
        return _read_text(path, labels, image_size, text)
    _refuse(path, "for tables in text (.csv, .tsv, .txt)", **text)
    if path.is_dir() or suffix in image_reader.SUFFIXES:
        if labels is not None:
            remedy = "a folder's labels are its subfolders' names"
            raise InputError(Argument("labels", labels), remedy=remedy)
        return _read_images(path, image_size, channels, skip_damaged)
    _refuse(path, "for folders of images", channels=channels, skip_damaged=skip_damaged)
    if suffix == ".npy":
        return _read_npy(path, labels, image_size)
    if suffix == ".npz":
        return _read_npz(path, key, labels, image_size)
    raise ValueError(
        f"{path} is no .npy, .npz or .csv file, no image and no folder of images (text may also be"
        " .tsv or .txt, or compressed: .csv.gz)"
    )


def _refuse(path: Path, what: str, **options: Any) -> None:
    """Raise ValueError for an option that is given for a file of another kind."""
    for name, value in options.items():
        if value not in (None, False, "auto"):
            raise InputError(Argument(name, value), f" is {what}, not for {path}")


def _read_text(path: Path, labels: str | None, image_size: ImageSize, options: dict) -> Table:
    x, classes, columns, named, remark, categories = csv_reader.read(path, labels, **options)
    found = options.get("like") or variables.found(x, columns, categories)
    if any(v.kind != "gaussian" for v in found):
        x = variables.expand(x, found)
        columns = tuple(name for v in found for name in v.features)
    pixels = named and all(name.lower().startswith("pixel") for name in columns)
    pixels = pixels or (len(columns) >= LEAST_PIXELS and _whole_bytes(x) and x.max() >= BRIGHT)
    side = math.isqrt(len(columns))
    if image_size is None and pixels and side**2 == len(columns) >= LEAST_PIXELS:
        image_size = side
    shape = _image_shape(path, x, image_size)
    wide = not named and classes is None and options.get("columns") is None
    side = math.isqrt(len(columns) - 1)
    if wide and side**2 == len(columns) - 1 >= LEAST_PIXELS and _whole_bytes(x):
        problem = f"{path} has {len(columns)} columns, one more than {side} × {side} pixels have"
        every = Argument("columns", f"1-{len(columns)}")
        first, last = Argument("labels", 1), Argument("labels", len(columns))
        remedy = ["name the one of the labels, ", first, " or ", last, ", or take all with ", every]
        raise InputError(problem, remedy=remedy)
    pixels = pixels or (shape is not None and _whole_bytes(x))
    return Table(
        x, shape, classes, columns if named else None, remark=remark,
        kind="pixels" if pixels else "table", columns=columns, variables=tuple(found),
    )  # fmt: skip


def _whole_bytes(x: np.ndarray) -> bool:
    return bool(x.min() >= 0 and x.max() <= 255 and (x == np.floor(x)).all())


def _read_images(
    path: Path, image_size: ImageSize, channels: str, skip_damaged: bool | None
) -> Table:
    files, tested, remark = image_reader.split(path)
    everything = image_reader.ImageFiles(files + tested, image_size, channels, skip_damaged)
    kind, tables = "images" if everything.drawn_grey else "colours", []
    for root, part in ((path, files), (path, tested)):
        kept = everything.only(part)
        y, note = image_reader.subfolders(root, kept.of_rows, skip=bool(tested))
        notes = [note, remark if part is files else "", everything.remark if part is files else ""]
        remarks = ", ".join(filter(None, notes))
        tables.append(Table(kept, kept.image_shape, y, remark=remarks, kind=kind))
    train, test = tables
    if tested and (train.labels is None) != (test.labels is None):
        train.remark = ", ".join(filter(None, (train.remark, test.remark or "no labels in a part")))
        train.labels = None
    return dataclasses.replace(train, test=test if tested else None)


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
    if key is None and {"indptr", "indices", "format"} <= {*stored}:
        raise ValueError(f"{path} holds a sparse matrix: save it as an array, by x.toarray()")
    if key is None and len(stored) == 1:
        key = stored[0]
    key = key or next((name for name in ("x_train", "x", "X", "data") if name in stored), None)
    names = f"(its arrays: {', '.join(stored) or 'none'})"
    if key is None:
        raise ValueError(f"{path} has no array x or x_train {names}: give {path.name}:NAME")
    for name in (key, labels):
        if name is not None and name not in stored:
            raise ValueError(f"{path} has no array {name!r} {names}")
    arrays = load_arrays(path, (key, labels, "x_test" if key == "x_train" else None))
    table = _array_table(path, arrays[key], image_size)
    if "x_test" in arrays and key == "x_train":
        table.test = _array_table(path, arrays["x_test"], image_size)
        if table.test.raw.shape[1] != table.raw.shape[1]:
            raise ValueError(f"{path}: x_test has other columns than x_train")
    if labels is not None:
        y = arrays[labels]
        table.labels = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        if table.test:
            beside = labels.replace("train", "test")
            table.test.labels = load_arrays(path, [beside]).get(beside)
        return table
    found = next((n for n in ("y_train", "y", "labels") if n in stored and n != key), None)
    if found is None:
        return table
    for name, part in ((found, table), ("y_test", table.test)):
        if part is None:
            continue
        part.labels, problem = _labels_of(path, name, part.raw.shape[0])
        if problem:
            table.labels, table.remark = None, f"{name} {problem} and is passed over"
            break
    return table


def _labels_of(path: Path, name: str, n_rows: int) -> tuple[np.ndarray | None, str]:
    """Return an array that was not asked for as labels of rows, or why it holds none."""
    try:
        y = load_arrays(path, [name]).get(name)
    except ValueError as error:
        if f"{name} holds Python objects" not in str(error):
            raise
        return None, "holds Python objects, which are never loaded (save it as .astype(str)),"
    if y is None:
        return None, "is missing"
    y = y[:, 0] if y.shape == (n_rows, 1) else y
    if y.shape != (n_rows,):
        return None, f"has the shape {y.shape}, not {(n_rows,)},"
    if y.dtype.kind not in "biufU":
        return None, f"is of the type {y.dtype}"
    return (y, "") if _whole(y) else (None, "has fractions")


def _array_table(path: Path, array: np.ndarray, image_size: ImageSize) -> Table:
    shape = _image_shape(path, array, image_size)
    return Table(array.reshape(len(array), -1), shape)


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
    if len(shape) == 4 and shape[1] == 1 and shape[3] not in (1, 3):
        shape = (shape[0], *shape[2:])  # one channel, wherever it stands
    if len(shape) == 4 and shape[3] not in (1, 3, 4) and shape[1] in (3, 4):
        raise ValueError(
            f"{path} has shape {shape}: colours come last, save x.transpose(0, 2, 3, 1)"
        )
    if len(shape) == 4 and shape[3] == 4:
        raise ValueError(f"{path} has shape {shape}: drop the alpha, save x[..., :3]")
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
            one_hot = part.labels is not None and part.labels.ndim == 2
            more = " (of one-hot labels, save y.argmax(axis=1))" if one_hot else ""
            problem = f"{source} has {counted(n_rows, 'row')} whose labels are {shape}"
            raise InputError(problem, remedy=f"expected one each{more}")
    values = np.concatenate([part.labels for part in tables])
    for value in values.tolist() if values.dtype.kind == "U" else ():
        check_text(source, value)
    if values.dtype.kind in "OS":
        values = values.astype(str)
    missing = np.isin(values, ("", "nan", "NaN", "None")) if values.dtype.kind == "U" else []
    if np.any(missing):
        row = int(np.argmax(missing)) + 1
        problem = f"{source} has no label in row {row:,} ({str(values[row - 1])!r})"
        raise InputError(problem, remedy="fill it in, or remove the row")
    if values.dtype.kind == "U":
        with suppress(ValueError):
            values = values.astype(float)
    if values.dtype.kind == "f" and _whole(values):
        values = values.astype(np.int64)
    if values.dtype.kind == "f":
        problem = f"{source} has labels of type float64, such as {values[values % 1 != 0][0]:g}"
        raise InputError(problem, remedy="expected whole numbers or text")
    if values.dtype.kind not in "biuU":
        raise ValueError(
            f"{source} has labels of type {values.dtype}: expected whole numbers or text"
        )
    names, y = np.unique(values, return_inverse=True)
    if len(names) > max(FEW_LABELS, len(values) // 2):
        found = f"{len(names):,} different labels in {counted(len(values), 'row')}"
        remedy = "labels are classes that several rows share: name another column"
        raise InputError(f"{source} has {found}", remedy=remedy)
    return y.astype(np.int64), tuple(map(str, names))
