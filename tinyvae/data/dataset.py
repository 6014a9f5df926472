"""What a data set is: rows of float32 in the model's units, split into a training and a test part,
together with what is needed to show them and to undo the scaling."""

import zlib
from dataclasses import asdict, dataclass, field

import numpy as np

from tinyvae.data.rows import BinarizedRows, LazyRows, Rows
from tinyvae.data.scaling import BYTES, Scaling
from tinyvae.data.variables import Variable, pairs, places

LABELS_SHOWN = 10
LOOKED_AT = 200  # rows of each part that the checksum is of
LOOKED_AT_BYTES = 2**24


def counted(n: int, noun: str) -> str:
    """Return `n` with its noun: "1 row", "1,000 rows"."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


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
    stored_as : str
        Type of the raw values, such as uint8.
    factors_train, factors_test : (N, F) float arrays, or None
        What each image was drawn from, where that is known.
    factor_names : tuple of str, or None
    variables : tuple of Variable, or None
        What the columns of a table come from: numbers, columns of 0 and 1, categories.
    missing : bool
        Whether cells may be missing, NaN.
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
    stored_as: str = ""
    factors_train: np.ndarray | None = None
    factors_test: np.ndarray | None = None
    factor_names: tuple[str, ...] | None = None
    variables: tuple[Variable, ...] | None = None
    missing: bool = False
    options: dict = field(default_factory=dict)

    @property
    def n_features(self) -> int:
        """Return D."""
        return self.x_train.shape[1]

    def describe(self) -> str:
        """Return one line: name, sizes, scaling, split."""
        size = counted(self.n_features, "feature")
        if self.image_shape:
            size = " × ".join(map(str, self.image_shape)) + " images"
        if self.mixed:
            size = f"{counted(len(self.variables or ()), 'column')} ({self._kinds()})"
        parts = [
            f"{self.name}: {counted(len(self.x_train), 'row')} to train on,"
            f" {len(self.x_test):,} to test on ({self.split})",
            size,
            self._labels(),
            self.scaling.describe(),
            "read batch by batch" if isinstance(self.x_train, LazyRows) else "",
            self.remark,
        ]
        return ", ".join(part for part in parts if part)

    @property
    def mixed(self) -> bool:
        """Return whether some columns are no numbers, but 0 and 1, or categories."""
        return any(v.kind != "gaussian" for v in self.variables or ())

    @property
    def columns(self) -> list[tuple[str, int]] | None:
        """Return what a model with likelihood="mixed" takes as `columns`; None of no table."""
        return None if self.variables is None else pairs(self.variables)

    def cells(self, x: np.ndarray) -> dict[str, list]:
        """Return rows x (N, D) of a table, in the model's units, as what stands in its columns:
        words for categories, whole numbers where they are, and the data's own units."""
        listed = self.variables or [Variable(f"x{j + 1}") for j in range(self.n_features)]
        x = self.scaling.undo(np.asarray(x))
        parts = zip(listed, places(listed), strict=True)
        return {v.name: v.cells(x[:, place]) for v, place in parts}

    def _kinds(self) -> str:
        """Return how many columns there are of each kind."""
        listed, parts = self.variables or (), []
        numbers = sum(v.kind == "gaussian" for v in listed)
        parts = [counted(numbers, "number")] if numbers else []
        flags = [v.name for v in listed if v.kind == "bernoulli" and not v.categories]
        if flags:
            more = ", …" * (len(flags) > LABELS_SHOWN)
            parts.append(f"{len(flags)} of 0 and 1: {', '.join(flags[:LABELS_SHOWN])}{more}")
        words = [f"{v.name} ({len(v.categories)})" for v in listed if v.categories]
        if words:
            more = ", …" * (len(words) > LABELS_SHOWN)
            parts.append(f"{len(words)} of categories: {', '.join(words[:LABELS_SHOWN])}{more}")
        return "; ".join(parts)

    def _labels(self) -> str:
        """Return the labels with their numbers of rows."""
        if self.label_names is None:
            return ""
        y = np.concatenate([self.y_train, self.y_test])
        counts = np.bincount(y, minlength=len(self.label_names)).tolist()
        shown = [f"{n} ({c:,})" for n, c in zip(self.label_names, counts, strict=True)]
        more = [f"… {len(shown) - LABELS_SHOWN:,} more"] if len(shown) > LABELS_SHOWN else []
        return f"{counted(len(shown), 'label')}: {', '.join(shown[:LABELS_SHOWN] + more)}"

    def to_config(self) -> dict:
        """Return what JSON can hold, for a run's configuration, which `read_matrix` reads."""
        return {
            "name": self.name,
            "options": self.options,
            "n_features": self.n_features,
            "image_shape": self.image_shape and list(self.image_shape),
            "label_names": self.label_names and list(self.label_names),
            "feature_names": self.feature_names and list(self.feature_names),
            "scaling": self.scaling.to_config(),
            "variables": self.variables and [asdict(v) for v in self.variables],
            "stored_as": self.stored_as,
            **self.fingerprint(),
        }

    def fingerprint(self) -> dict:
        """Return what tells these data from others: their numbers of rows, and a checksum.

        The checksum is of labels and of evenly spaced rows: few enough to take no time.
        """
        checksum = 0
        for part, labels in ((self.x_train, self.y_train), (self.x_test, self.y_test)):
            rows = part.rows if isinstance(part, BinarizedRows) else part  # as before the draws
            n = min(len(rows), LOOKED_AT, max(1, LOOKED_AT_BYTES // (4 * self.n_features)))
            places = np.linspace(0, len(rows) - 1, n).astype(int)
            checksum = zlib.crc32(np.ascontiguousarray(rows[places], np.float32), checksum)
            if labels is not None:
                checksum = zlib.crc32(np.ascontiguousarray(labels), checksum)
        return {"rows": [len(self.x_train), len(self.x_test)], "checksum": checksum}

    def check_same(self, config: dict) -> None:
        """Raise ValueError if these are no longer the data whose `to_config` gave `config`."""
        found = self.fingerprint()
        before, now = config.get("rows", found["rows"]), found["rows"]
        if before != now:
            then, today = (
                f"{counted(a, 'row')} to train on and {b:,} to test on" for a, b in (before, now)
            )
            problem = f"{then} then, {today} now"
        elif config.get("checksum", found["checksum"]) != found["checksum"]:
            problem = "as many rows as then, but other values or labels"
        elif _words(config.get("variables")) not in (None, _words(self.to_config()["variables"])):
            problem = "as many rows as then, but other columns or categories"
        elif "scaling" in config and not self.scaling.is_near(
            Scaling.from_config(config["scaling"])
        ):
            problem = "the same values, but in other units"
        else:
            return
        raise ValueError(
            f"{self.options['name']} has changed since the run began: {problem};"
            " put it back as it was, or train a new run"
        )


def _words(variables: list[dict] | None) -> list | None:
    """Return the names and categories of variables, as a configuration tells of them."""
    return variables and [(v["name"], *v["categories"]) for v in variables]
