"""Rows of data on their way into a model: how they are scaled, and how they are read when the whole
of them does not fit into memory. A model sees float32 (B, D) either way: `x[rows]` of an ndarray
and of a lazy source give the same numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

BLOCK_BYTES = 2**24  # what one step of a pass over a large file holds in memory
FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Scaling:
    """How raw values become the model's units, and back.

    Parameters
    ----------
    kind : {"none", "uint8", "divide", "standardize"}
        Floats as they are; bytes divided by 255; any numbers divided by `divisor`; or each column
        minus its mean, divided by its standard deviation.
    divisor : float
    mean, std : (D,) float64 arrays, for "standardize"
    low, high : float or None
        Range of the raw training data, where it was looked at.
    """

    kind: str = "none"
    divisor: float = 1.0
    mean: np.ndarray | None = None
    std: np.ndarray | None = None
    low: float | None = None
    high: float | None = None

    @property
    def unit(self) -> bool:
        """Whether the model's units are grey values in [0, 1], for which bytes stand too."""
        floats_in_unit = self.kind == "none" and self.low is not None and 0 <= self.low
        return self.kind == "uint8" or (floats_in_unit and self.high <= 1)

    def apply(self, raw: np.ndarray) -> np.ndarray:
        """Raw values (B, D) in the model's units, float32.

        A model of grey values takes bytes (divided by 255) and floats in [0, 1] alike.
        """
        if raw.dtype == np.uint8 and self.unit:
            return np.divide(raw, 255, dtype=np.float32)
        if self.kind == "divide":
            return np.divide(raw, self.divisor, dtype=np.float32)
        if self.kind == "standardize":
            return ((raw - self.mean) / self.std).astype(np.float32)
        return raw.astype(np.float32)

    def undo(self, x: np.ndarray) -> np.ndarray:
        """The model's values (B, D) in the units of the data; grey values stay in [0, 1]."""
        if self.kind == "divide":
            return x * self.divisor
        if self.kind == "standardize":
            return (x * self.std + self.mean).astype(x.dtype)
        return x

    def describe(self) -> str:
        """One line for people."""
        if self.kind == "uint8":
            return "bytes divided by 255"
        if self.kind == "divide":
            return f"values divided by {self.divisor:g}"
        if self.kind == "standardize":
            return "each column standardised (mean 0, standard deviation 1)"
        return f"values as they are (from {self.low:g} to {self.high:g})"

    def to_config(self) -> dict:
        """What JSON can hold; `Scaling.from_config` reads it."""
        config = {"kind": self.kind, "divisor": self.divisor, "low": self.low, "high": self.high}
        if self.kind == "standardize":
            config |= {"mean": self.mean.tolist(), "std": self.std.tolist()}
        return config

    @classmethod
    def from_config(cls, config: dict) -> Scaling:
        """The scaling that `to_config` wrote; ValueError where it cannot have."""
        try:
            scaling = cls(**config)
            if scaling.kind not in ("none", "uint8", "divide", "standardize"):
                raise ValueError(scaling.kind)
            if scaling.kind == "standardize":
                mean, std = (np.array(config[key], dtype=float) for key in ("mean", "std"))
                scaling = cls(**(config | {"mean": mean, "std": std}))
        except (TypeError, ValueError, KeyError) as error:
            raise ValueError(f"the stored scaling is damaged ({error}): train again") from None
        return scaling


BYTES = Scaling("uint8", low=0.0, high=255.0)


class LazyRows:
    """Rows that are read and scaled when asked for; usable wherever an (N, D) float32 array is.

    Parameters
    ----------
    table : object with `shape` (M, D), `dtype` and `table[index]` -> (B, D) raw values
    index : (N,) ints
        Which rows of the table these are.
    scaling : Scaling
    """

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(self, table, index: np.ndarray, scaling: Scaling):
        self.table, self.index, self.scaling = table, index, scaling
        self.shape = (len(index), table.shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows) -> np.ndarray:
        """`rows`: an int, a slice, an array of ints or of booleans."""
        index = self.index[rows]
        x = self.scaling.apply(self.table[np.atleast_1d(index)])
        return x if np.ndim(index) else x[0]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=False)

    def take(self, rows: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """`self[rows]`, (B, D), written into `out` where it is given."""
        return _into(out, self[rows])


class BinarizedRows:
    """Black and white pixels, drawn as Bernoulli(grey value), as published log p(x) of MNIST are.

    A draw is a function of (seed, epoch, row) alone, whatever batch the row comes in, so a resumed
    run sees the same pixels. Which published numbers belong to which protocol:

    - "static": one draw, once and for all. NADE, DARN, normalizing flows and Salakhutdinov & Murray
      (2008) report on the fixed binarization of Larochelle & Murray (2011); its draw is another
      than this one, so numbers compare up to the noise of a draw.
    - "dynamic": training rows are drawn anew in each epoch (`set_epoch`), the test rows once. IWAE
      (Burda et al. 2016) and the papers after it.
    """

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(self, rows: Rows, seed: int, dynamic: bool = False):
        self.rows, self.seed, self.dynamic, self.epoch = rows, seed, dynamic, 0
        self.shape = rows.shape

    def __len__(self) -> int:
        return self.shape[0]

    def set_epoch(self, epoch: int) -> None:
        """Draw anew for this epoch, where the draw is dynamic."""
        self.epoch = int(epoch) if self.dynamic else 0

    def __getitem__(self, rows) -> np.ndarray:
        """`rows`: an int, a slice, an array of ints or of booleans."""
        index = np.arange(len(self))[rows]
        x = self.rows[np.atleast_1d(index)] > self._uniform(np.atleast_1d(index))
        return x.astype(np.float32) if np.ndim(index) else x[0].astype(np.float32)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=False)

    def take(self, rows: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """`self[rows]`, (B, D), written into `out` where it is given."""
        return _into(out, self[rows])

    def _uniform(self, index: np.ndarray) -> np.ndarray:
        """Uniform numbers in [0, 1) of these rows, (B, D).

        Philox turns (key, counter) into random numbers without a history: the key says which seed
        and epoch, the counter's upper half which row.
        """
        philox = np.random.Philox(key=[self.seed, self.epoch])
        generator, state = np.random.Generator(philox), philox.state
        uniform = np.empty((len(index), self.shape[1]), dtype=np.float32)
        for i, row in enumerate(index.tolist()):
            state["state"]["counter"][:] = (0, 0, row, 0)
            philox.state = state
            generator.random(dtype=np.float32, out=uniform[i])
        return uniform


Rows = np.ndarray | LazyRows | BinarizedRows


def _into(out: np.ndarray | None, x: np.ndarray) -> np.ndarray:
    if out is None:
        return x
    out[...] = x
    return out


def blocks(shape: tuple[int, int]) -> Iterator[slice]:
    """Slices that cut (N, D) rows into pieces of bounded size."""
    step = max(1, BLOCK_BYTES // (8 * shape[1]))
    for start in range(0, shape[0], step):
        yield slice(start, min(start + step, shape[0]))


def value_range(x: Rows) -> tuple[float, float]:
    """Smallest and largest value of rows in the model's units, a block at a time."""
    if isinstance(x, BinarizedRows) or (isinstance(x, LazyRows) and x.scaling.kind == "uint8"):
        return 0.0, 1.0
    ranges = [(float(x[rows].min()), float(x[rows].max())) for rows in blocks(x.shape)]
    return min(low for low, _ in ranges), max(high for _, high in ranges)
