"""Data sets by name, ready to train on: the bundled digits, MNIST and Fashion-MNIST, drawn shapes,
and people's own files. A data set is rows of float32 in the model's units, split into a training
and a test part, together with what is needed to show them and to undo the scaling."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

import numpy as np

from . import mnist
from .rows import BYTES, Rows, Scaling

NAMES = ("digits", "mnist", "fashion-mnist")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test rows, and what they mean.

    Parameters
    ----------
    name : str
    x_train, x_test : (N, D) float32 arrays in the model's units, or sources of rows read lazily
    y_train, y_test : (N,) ints from 0, or None
    image_shape : (H, W) or (H, W, 3), or None where rows are not images
    label_names, feature_names : tuples of str, or None
    scaling : Scaling
        How raw values became the model's units.
    """

    name: str
    x_train: Rows
    x_test: Rows
    y_train: np.ndarray | None = None
    y_test: np.ndarray | None = None
    image_shape: tuple[int, ...] | None = None
    label_names: tuple[str, ...] | None = None
    feature_names: tuple[str, ...] | None = None
    scaling: Scaling = BYTES

    @property
    def n_features(self) -> int:
        """D."""
        return self.x_train.shape[1]

    def describe(self) -> str:
        """One line: name, sizes, scaling, split."""
        size = f"{self.n_features} features"
        if self.image_shape:
            size = " × ".join(map(str, self.image_shape)) + " images"
        return (
            f"{self.name}: {len(self.x_train):,} rows to train on, {len(self.x_test):,} to test on,"
            f" {size}, {self.scaling.describe()}"
        )


def load_dataset(name: str, data_dir: str | os.PathLike | None = None) -> Dataset:
    """A data set by name.

    Parameters
    ----------
    name : {"digits", "mnist", "fashion-mnist"}
    data_dir : folder
        Where the IDX files of MNIST or Fashion-MNIST are; without it they are downloaded once.
    """
    if name == "digits":
        arrays = _digits()
        label_names = tuple("0123456789")
    elif name in mnist.SOURCES:
        arrays = mnist.load(name, data_dir)
        label_names = mnist.SOURCES[name].label_names
    else:
        raise ValueError(f"unknown data set {name!r}: known are {', '.join(NAMES)}")
    x_train, y_train, x_test, y_test = arrays
    return Dataset(
        name,
        BYTES.apply(x_train.reshape(len(x_train), -1)),
        BYTES.apply(x_test.reshape(len(x_test), -1)),
        y_train,
        y_test,
        image_shape=x_train.shape[1:],
        label_names=label_names,
    )


def _digits() -> tuple[np.ndarray, ...]:
    """5,000 images of MNIST that come with the package: 4,500 to train on, 500 to test on."""
    with (resources.files("tinyvae") / "bundled" / "digits.npz").open("rb") as file:
        with np.load(file, allow_pickle=False) as arrays:
            x_train, x_test = (arrays[k].reshape(-1, 28, 28) for k in ("x_train", "x_test"))
            y_train, y_test = (arrays[k].astype(np.int64) for k in ("y_train", "y_test"))
    return x_train, y_train, x_test, y_test


def batches(n_rows: int, batch_size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Index arrays (B,) that cover all rows once in random order; the last one may be short."""
    if n_rows < 1 or batch_size < 1:
        raise ValueError(f"batches need rows and a size: got {n_rows} rows, size {batch_size}")
    order = rng.permutation(n_rows)
    for start in range(0, n_rows, batch_size):
        yield order[start : start + batch_size]
