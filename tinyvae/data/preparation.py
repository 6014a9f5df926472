"""From people's own files to a data set: labels, scaling and a held-out part; and new data for a
model that was trained on such a data set, with the scaling of its run."""

import os
from pathlib import Path

import numpy as np

from tinyvae.core.errors import Argument, InputError
from tinyvae.data import image_reader, readers, scaling
from tinyvae.data.dataset import Dataset, counted
from tinyvae.data.rows import LazyRows, Rows
from tinyvae.data.scaling import RawRows, Scaling

HELD_OUT = 0.1  # the part of own data that is not trained on


def load(
    source: str, *, labels: str | None, image_size: readers.ImageSize, channels: str,
    scale: str | float, validation: float | None, seed: int,
) -> Dataset:  # fmt: skip
    """Return the data set in a file or folder, from the arguments of `load_dataset`."""
    table = readers.read_table(source, labels, image_size, channels)
    n_rows = table.raw.shape[0]
    if table.test is not None:
        if validation is not None:
            remedy = f"{source} has a test split of its own"
            raise InputError(Argument("validation", validation), remedy=remedy)
        train, test, split = np.arange(n_rows), np.arange(table.test.raw.shape[0]), "x_test"
    else:
        train, test = _split(n_rows, HELD_OUT if validation is None else validation, seed, source)
        split = f"held out at random, seed {seed}"
    chosen, remark = scaling.choose(scale, table.raw, train, source)
    tested = table.test or table
    if tested.raw.dtype.kind == "f":
        scaling.scan(tested.raw, test, source)
    y, label_names = readers.encode_labels(table, source)
    y_test = y[n_rows:] if table.test else y if y is None else y[test]
    return Dataset(
        Path(os.path.abspath(readers.split_key(source)[0])).stem,
        scaled_rows(table.raw, train, chosen),
        scaled_rows(tested.raw, test, chosen),
        y if y is None else y[train],
        y_test,
        image_shape=table.image_shape,
        label_names=label_names,
        feature_names=table.feature_names,
        scaling=chosen,
        split=split,
        remark=", ".join(filter(None, (remark, table.remark))),
    )


def _split(n_rows: int, part: float, seed: int, source: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to train on and those held out, each in the file's order."""
    if not 0 < part < 1:
        remedy = "expected a part of the data between 0 and 1"
        raise InputError(Argument("validation", part), remedy=remedy)
    if n_rows < 2:
        raise ValueError(f"{source} has {n_rows} row: at least 2, to hold one out")
    n_test = min(max(1, round(n_rows * part)), n_rows - 1)
    order = np.random.default_rng(seed).permutation(n_rows)
    return np.sort(order[n_test:]), np.sort(order[:n_test])


def scaled_rows(raw: RawRows, index: np.ndarray, chosen: Scaling) -> Rows:
    """Return these rows in the model's units: an array where it fits into memory."""
    rows = LazyRows(raw, index, chosen)
    return rows[:] if len(index) * raw.shape[1] * 4 <= readers.IN_MEMORY_BYTES else rows


def read_like(source: str, config: dict) -> tuple[Rows, readers.Table]:
    """Return rows in the units of a trained run, and the table they come from.

    Parameters
    ----------
    source : file or folder, of the kind that `load` takes; an image is a folder of one
    config : of the run, from `Dataset.to_config`
    """
    chosen = Scaling.from_config(config["scaling"])
    table = _table_like(source, config)
    check_width(source, table.raw.shape[1], config)
    index = np.arange(table.raw.shape[0])
    if table.raw.dtype.kind == "f":
        statistics = scaling.scan(table.raw, index, source)
        low, high = float(statistics.low.min()), float(statistics.high.max())
        if chosen.kind == "uint8" and not 0 <= low <= high <= 1:
            bytes_as_floats = low >= 0 and 16 < high <= 255
            remedy = "divide them by 255, or save them as uint8"
            raise ValueError(
                f"{source} has floats from {low:g} to {high:g}, the model was trained on grey"
                f" values in [0, 1]: {remedy if bytes_as_floats else 'bring them to that range'}"
            )
    return scaled_rows(table.raw, index, chosen), table


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
        return readers.read_table(source, image_size=tuple(shape[:2]), channels=channels)
    labels = None if path.suffix.lower() == ".npy" else config["options"].get("labels")
    try:
        table = readers.read_table(source, labels)
    except ValueError:
        if labels is None:
            raise
        table = readers.read_table(source)  # new data may well come without its labels
    names = config["feature_names"] and tuple(config["feature_names"])
    if names and table.feature_names not in (None, names):
        raise ValueError(
            f"{source} has the columns {', '.join(table.feature_names)}; the model was trained on"
            f" {', '.join(names)}"
        )
    return table
