"""From people's own files to a data set: labels, scaling and a held-out part; and new data for a
model that was trained on such a data set, with the scaling of its run."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tinyvae.core.errors import Argument, InputError
from tinyvae.data import csv_reader, image_reader, readers, scaling, variables
from tinyvae.data.csv_text import Text
from tinyvae.data.dataset import Dataset, counted
from tinyvae.data.rows import LazyRows, Rows, subset
from tinyvae.data.scaling import RawRows, Scaling
from tinyvae.data.variables import Variable

IMAGES = ("images", "colours")
TEXT = ("table", "pixels")
SHOWN = 6  # columns with missing cells
HELD_OUT = 0.1  # the part of own data that is not trained on
CHOOSING = 0.15  # the part of a table's other rows by which the epoch is chosen; of images, 0.1


def load(
    source: str, *, scale: str | float, validation: float | None, seed: int, missing: bool = False,
    **reading: Any,
) -> Dataset:  # fmt: skip
    """Return the data set in a file or folder, from the arguments of `load_dataset`."""
    table = readers.read_table(source, **reading)
    if table.kind == "table" and table.variables and scale in ("infer", "standardize"):
        table.variables = variables.with_binary(table.variables, table.raw[:])
    about = table.source(source, missing or table.kind in TEXT)
    n_rows = table.raw.shape[0]
    if table.test is not None:
        _check_part(validation)
        train, test, split = np.arange(n_rows), np.arange(table.test.raw.shape[0]), "x_test"
        split = split if table.kind == "array" else "its own"
    else:
        train, test = _split(n_rows, validation, seed, source)
        split = f"held out at random, seed {seed}" if validation != 0 else "the same rows"
    chosen, remark = scaling.choose(scale, table.raw, train, about)
    tested = table.test or table
    if tested.raw.dtype.kind == "f":
        scaling.scan(tested.raw, test, about)
    scaling.check_near(chosen, tested.raw, test, about)
    y, label_names = readers.encode_labels(table, source)
    y_test = None if y is None else y[n_rows:] if table.test else y[test]
    listed, remarks = _variables(table, train, chosen)
    rows = scaled_rows(table.raw, train, chosen), scaled_rows(tested.raw, test, chosen)
    return Dataset(
        _name(source),
        *rows,
        y if y is None else y[train],
        y_test,
        image_shape=table.image_shape,
        label_names=label_names,
        feature_names=table.feature_names,
        scaling=chosen,
        split=split,
        remark=", ".join(filter(None, (remark, table.remark, *remarks))),
        stored_as=table.raw.dtype.name,
        variables=listed,
        missing=missing or (table.kind in TEXT and bool(np.isnan(table.raw[:]).any())),
    )


def _variables(
    table: readers.Table, train: np.ndarray, chosen: Scaling
) -> tuple[tuple[Variable, ...] | None, list[str]]:
    """Return the variables of a table that is no image, with the range of its rows to train on, and
    what people should know of them."""
    raw, listed = table.raw, table.variables
    if table.image_shape or not isinstance(raw, np.ndarray):
        return None, []
    if listed is not None and table.feature_names is None:  # names that no row has
        listed = tuple(dataclasses.replace(v, name=f"x{j + 1}") for j, v in enumerate(listed))
    if listed is None and chosen.kind in ("standardize", "divide", "none"):
        names = [f"x{j + 1}" for j in range(raw.shape[1])]
        listed = tuple(variables.found(raw, names, {})) if raw.dtype.kind in "fiu" else None
    if listed is None:
        return None, []
    remarks, gaps = [], {}
    for v, place in zip(listed, variables.places(listed), strict=True):
        block = raw[:, place]
        if raw.dtype.kind == "f" and (n := int(np.isnan(block[:, 0]).sum())):
            gaps[v.name] = n
        seen = np.fmax.reduce(block[train]) > 0
        if v.kind == "categorical" and not seen.all():
            unseen = v.categories[int(np.argmin(seen))]
            remarks.append(f"category {unseen} of column {v.name} is in the test rows alone")
    if gaps:
        n, most = sum(gaps.values()), sorted(gaps, key=lambda name: -gaps[name])
        shown = ", ".join(f"{name} {gaps[name]:,}" for name in most[:SHOWN])
        more = f", … {len(most) - SHOWN} more columns" if len(most) > SHOWN else ""
        cells = counted(n, "missing cell")
        remarks.append(f"{cells}, taken to be missing at random ({shown}{more})")
    return variables.with_ranges(listed, raw[train]), remarks


def _name(source: str) -> str:
    """Return the name of a file without its endings, or of a folder."""
    path = Path(os.path.abspath(readers.split_key(source)[0]))
    return Path(path.stem).stem if path.suffix.lower() == ".gz" else path.stem


def _split(
    n_rows: int, part: float | None, seed: int, source: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to train on and those held out, each in the file's order."""
    if (part := _check_part(part)) == 0:
        return np.arange(n_rows), np.arange(n_rows)
    if n_rows < 2:
        raise ValueError(f"{source} has {n_rows} row: at least 2, to hold one out")
    n_test = min(max(1, round(n_rows * part)), n_rows - 1)
    order = np.random.default_rng(seed).permutation(n_rows)
    return np.sort(order[n_test:]), np.sort(order[:n_test])


def _check_part(part: float | None) -> float:
    """Return the part to hold out, or raise ValueError."""
    part = HELD_OUT if part is None else part
    if not 0 <= part < 1:
        remedy = "expected a part of the data between 0 and 1, or 0 to train on all of them"
        raise InputError(Argument("validation", part), remedy=remedy)
    return part


def hold_out(dataset: Dataset) -> Dataset:
    """Return the training rows alone, a part of them (the option `validation`, where it is given)
    as the rows to test on: a training that is stopped by these has not seen the test rows.

    Raises ValueError for a single row.
    """
    x, y = dataset.x_train, dataset.y_train
    part = dataset.options["validation"] or (HELD_OUT if dataset.image_shape else CHOOSING)
    of = f"the training part of {dataset.name}"
    parts = train, held = _split(len(x), part, dataset.options["seed"], of)
    labels = (None, None) if y is None else (y[train], y[held])
    rows = dict(zip(("x_train", "x_test"), (subset(x, part) for part in parts), strict=True))
    if dataset.missing and isinstance(x, np.ndarray):
        names = dataset.feature_names
        gaps = np.isnan(rows["x_train"]).sum(axis=0)
        about = scaling.Source(dataset.name, "table", names, None, dataset.variables)
        scaling.check_observed(gaps, len(train), about)
    return dataclasses.replace(dataset, **rows, y_train=labels[0], y_test=labels[1])


def scaled_rows(raw: RawRows, index: np.ndarray, chosen: Scaling) -> Rows:
    """Return these rows in the model's units: an array where it fits into memory."""
    rows = LazyRows(raw, index, chosen)
    return rows[:] if len(index) * raw.shape[1] * 4 <= readers.IN_MEMORY_BYTES else rows


def read_like(source: str, config: dict, missing: bool = False) -> tuple[Rows, readers.Table]:
    """Return rows in the units of a trained run, and the table they come from.

    Parameters
    ----------
    source : file or folder, of the kind that `load` takes; an image is a folder of one
    config : of the run, from `Dataset.to_config`
    missing : bool
        Whether cells of an array may be missing, as those of a table in text may.
    """
    chosen = Scaling.from_config(config["scaling"])
    table = _table_like(source, config)
    check_width(source, table.raw.shape[1], config)
    missing = missing or config["options"].get("missing", False) or table.kind in TEXT
    index, dtype = np.arange(table.raw.shape[0]), table.raw.dtype
    about = table.source(source, missing)
    _check_binary(table, about)
    stored_as = config.get("stored_as")
    if table.kind in IMAGES and stored_as in ("uint8", "uint16") and stored_as != dtype.name:
        bits = f"{dtype.name} pixels, the model was trained on {stored_as}"
        raise ValueError(f"{source} has {bits}: save them alike")
    if dtype == np.uint8 and chosen.unit and table.kind not in IMAGES:
        largest = scaling.largest_byte(table.raw, index)
        if chosen.option == 255 and largest == 1:
            problem = f"{source} has bytes of 0 and 1, the model was trained on bytes up to 255"
            raise InputError(problem, remedy="multiply them by 255, or save them as floats")
        if chosen.kind == "none" and largest <= 1:
            chosen = dataclasses.replace(chosen, kind="divide")  # by 1: no bytes of pictures
    bytes_of_model = dtype == np.uint8 and chosen.kind in ("uint8", "none")
    if dtype.kind == "f" or not bytes_of_model:
        statistics = scaling.scan(table.raw, index, about)
        low, high = float(statistics.low.min()), float(statistics.high.max())
        limit = 1.0 if chosen.kind == "uint8" else 2 * chosen.divisor
        strict = chosen.kind == "uint8" or (chosen.unit and dtype.kind in "ui")
        if strict and not 0 <= low <= high <= limit:
            as_bytes = chosen.kind == "uint8" and low >= 0 and 16 < high <= 255
            remedy = "divide them by 255, or save them as uint8"
            what = "floats" if dtype.kind == "f" else f"{dtype} values"
            raise ValueError(
                f"{source} has {what} from {low:g} to {high:g}, the model was trained on"
                f" {'grey values in [0, 1]' if chosen.kind == 'uint8' else chosen.describe()}:"
                f" {remedy if as_bytes else 'bring them to that range'}"
            )
    scaling.check_near(chosen, table.raw, index, about)
    return scaled_rows(table.raw, index, chosen), table


def _check_binary(table: readers.Table, about: scaling.Source) -> None:
    """Raise InputError where a column that was 0 and 1 alone in training holds another number."""
    for v, place in zip(
        table.variables or (), variables.places(table.variables or ()), strict=True
    ):
        if v.kind == "bernoulli" and not v.categories:
            values = table.raw[:][:, place.start]
            odd = ~np.isnan(values) & (values != 0) & (values != 1)
            if odd.any():
                row = int(np.argmax(odd))
                where = about.place(row, place.start)
                problem = (
                    f"{about.name} has {values[row]:g} in {where}, which was 0 or 1 in training"
                )
                raise InputError(problem, remedy="correct it, or leave the cell empty")


def check_width(source: str, n_columns: int, config: dict) -> None:
    """Raise ValueError where data have another width than the model."""
    if n_columns != config["n_features"]:
        raise ValueError(
            f"{source} has {counted(n_columns, 'column')}, the model was trained on"
            f" {config['n_features']}"
        )


def _table_like(source: str, config: dict) -> readers.Table:
    path, shape = Path(readers.split_key(source)[0]), config["image_shape"]
    if path.is_dir() or path.suffix.lower() in image_reader.SUFFIXES:
        if shape is None:
            raise ValueError(f"{source}: the model was not trained on images")
        channels = "grey" if len(shape) == 2 else "colour"
        skip = config["options"].get("skip_damaged") or None
        size = tuple(shape[:2])
        return readers.read_table(source, image_size=size, channels=channels, skip_damaged=skip)
    options = {**config["options"]}
    if not csv_reader.is_text(path):
        labels = None if path.suffix.lower() == ".npy" else options.get("labels")
        try:
            return readers.read_table(source, labels)
        except ValueError:
            if labels is None:
                raise
            return readers.read_table(source)  # new data may well come without its labels
    return _text_like(source, config)[0]


def _columns_of(config: dict) -> list[Variable]:
    """Return the variables of a run's configuration, those of an earlier version by their names."""
    listed = variables.from_config(config)
    if config["feature_names"]:
        return list(listed or map(Variable, config["feature_names"]))
    listed = listed or [Variable("")] * config["n_features"]
    return [dataclasses.replace(v, name=str(j + 1)) for j, v in enumerate(listed)]


def _ways_to_read(config: dict) -> Iterator[dict]:
    """Yield the options with which a table in text that is new to a run may be read: it may come
    without the columns that were left out, and its header is known."""
    options = config["options"]
    asked = {name: options.get(name) for name in ("labels", "columns", "drop")}
    header, named = options.get("header", "auto"), bool(config["feature_names"])
    for how in (asked, {"labels": asked["labels"]}, {}):
        for known in dict.fromkeys((header, *["yes"] * named, "no")):
            yield how | {"header": known, "like": _columns_of(config)}


def _text_like(source: str, config: dict) -> tuple[readers.Table, dict]:
    """Return a table of the run's columns, and the options with which it is read."""
    size = tuple(config["image_shape"][:2]) if config["image_shape"] else None
    problems = []
    for how in _ways_to_read(config):
        try:
            return readers.read_table(source, image_size=size, **how), how
        except ValueError as error:
            problems.append(error)
    about_options = ("labels", "columns", "drop", "header")
    raise next(
        (e for e in problems if getattr(e, "argument", "") not in about_options), problems[0]
    )


def text_like(source: str, config: dict) -> Text:
    """Return a table in text as it stands in its file, and where a run's columns are in it."""
    wanted = csv_reader.Wanted(**_text_like(source, config)[1])
    return Text(Path(source), csv_reader.layout_for(Path(source), wanted)[0])
