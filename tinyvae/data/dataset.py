"""What a data set is: rows of float32 in the model's units, split into a training and a test part,
together with what is needed to show them and to undo the scaling."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .rows import LazyRows, Rows
from .scaling import BYTES, Scaling


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test rows, and what they mean.

    Parameters
    ----------
    name : str
        Short enough to name a folder by.
    x_train, x_test : (N, D) float32 arrays in the model's units, or sources of rows read lazily
    y_train, y_test : (N,) ints from 0, or None
    image_shape : (H, W) or (H, W, 3), or None where rows are not images
    label_names, feature_names : tuples of str, or None
    scaling : Scaling
        How raw values became the model's units.
    split : str
        Where the test rows come from.
    remark : str
        What people should know of the data beside that.
    factors_train, factors_test : (N, F) float arrays, or None
        What each image was drawn from, where that is known; `factor_names` names the columns.
    options : dict
        The arguments with which `load_dataset` gives the same data again.
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
    split: str = "its own test split"
    remark: str = ""
    factors_train: np.ndarray | None = None
    factors_test: np.ndarray | None = None
    factor_names: tuple[str, ...] | None = None
    options: dict = field(default_factory=dict)

    @property
    def n_features(self) -> int:
        """D."""
        return self.x_train.shape[1]

    def describe(self) -> str:
        """One line: name, sizes, scaling, split."""
        size = f"{self.n_features} features"
        if self.image_shape:
            size = " × ".join(map(str, self.image_shape)) + " images"
        parts = [
            f"{self.name}: {len(self.x_train):,} rows to train on, {len(self.x_test):,} to test on"
            f" ({self.split})",
            size,
            f"{len(self.label_names)} labels" if self.label_names else "",
            self.scaling.describe(),
            "read batch by batch" if isinstance(self.x_train, LazyRows) else "",
            self.remark,
        ]
        return ", ".join(part for part in parts if part)

    def to_config(self) -> dict:
        """What JSON can hold, for a run's configuration; `read_matrix` and people read it."""
        return {
            "name": self.name,
            "options": self.options,
            "n_features": self.n_features,
            "image_shape": self.image_shape and list(self.image_shape),
            "label_names": self.label_names and list(self.label_names),
            "feature_names": self.feature_names and list(self.feature_names),
            "scaling": self.scaling.to_config(),
        }
