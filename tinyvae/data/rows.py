"""Rows of data on their way into a model, when the whole of them does not fit into memory or is
drawn anew in each epoch. A model sees float32 (B, D) either way: `x[rows]` of an ndarray and of a
lazy source give the same numbers."""

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinyvae.data.blocks import blocks
from tinyvae.data.scaling import BLOCK_BYTES, RawRows, Scaling


class RowSource:
    """Float32 rows (N, D) that are made when asked for; usable wherever such an array is."""

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(self, n_rows: int, n_features: int) -> None:
        self.shape = (n_rows, n_features)
        self._places = np.arange(n_rows)

    def _read(self, places: np.ndarray) -> np.ndarray:
        """Return the rows (B, D) at these places (B,)."""
        raise NotImplementedError

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Return rows: `rows` is an int, a slice, an array of ints or of booleans."""
        places = self._places[rows]
        x = self._read(np.atleast_1d(places))
        return x if np.ndim(places) else x[0]

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=False)


Rows = np.ndarray | RowSource


class LazyRows(RowSource):
    """Rows that are read from a table, and scaled, when asked for.

    Parameters
    ----------
    table : RawRows
    index : (N,) ints
        Which rows of the table these are.
    scaling : Scaling
    """

    def __init__(self, table: RawRows, index: np.ndarray, scaling: Scaling) -> None:
        super().__init__(len(index), table.shape[1])
        self.table, self.index, self.scaling = table, index, scaling

    def _read(self, places: np.ndarray) -> np.ndarray:
        return self.scaling.apply(self.table[self.index[places]])


def draw(method: str, out: np.ndarray, keys: Iterable, starts: Iterable[int]) -> None:
    """Fill each row of `out` (N, …) with float32 numbers that a method of a generator draws.

    Philox turns (key, counter) into random numbers without a history: a row's numbers follow from
    its key, two numbers of 64 bits, and from where its counter starts, alone.
    """
    philox = np.random.Philox(key=0)
    fill, state = getattr(np.random.Generator(philox), method), philox.state
    for row, key, start in zip(out, keys, starts, strict=True):
        state["state"]["key"][:] = key
        state["state"]["counter"][:] = (0, 0, start, 0)
        philox.state = state
        fill(dtype=np.float32, out=row)


class BinarizedRows(RowSource):
    """Black and white pixels, drawn as Bernoulli(grey value), as published log p(x) of MNIST are.

    A draw is a function of (seed, epoch, row) alone, whatever batch the row comes in, so a resumed
    run sees the same pixels. Which published numbers belong to which protocol:

    - "static": one draw, once and for all: the fixed file of Larochelle & Murray (2011), NADE and
      Burda et al. (2016), appendix D. Its draw is another than this one, so numbers compare up to
      the noise of a draw.
    - "dynamic": training rows are drawn anew in each epoch (`set_epoch`), the test rows once:
      Salakhutdinov & Murray (2008) and Burda et al. (2016), table 1, where a VAE of 50 latent
      dimensions has −log p(x) = 86.76 nats and an IWAE of 50 samples 84.78.

    On grey values a Bernoulli's log p(x) is not a normalised likelihood, and compares with neither.
    """

    def __init__(self, rows: Rows, seed: int, dynamic: bool = False) -> None:
        super().__init__(*rows.shape)
        self.rows, self.seed, self.dynamic, self.epoch = rows, seed, dynamic, 0

    def set_epoch(self, epoch: int) -> None:
        """Draw anew for this epoch, where the draw is dynamic."""
        self.epoch = int(epoch) if self.dynamic else 0

    def _read(self, places: np.ndarray) -> np.ndarray:
        return (self.rows[places] > self._uniform(places)).astype(np.float32)

    def _uniform(self, places: np.ndarray) -> np.ndarray:
        """Return uniform numbers in [0, 1) of these rows, (B, D), by seed, epoch and row."""
        uniform = np.empty((len(places), self.shape[1]), np.float32)
        keys = itertools.repeat((self.seed, self.epoch), len(places))
        draw("random", uniform, keys, places.tolist())
        return uniform


def subset(x: Rows, index: np.ndarray) -> Rows:
    """Return the rows `index` of x, read as lazily as x is."""
    if isinstance(x, LazyRows):
        return LazyRows(x.table, x.index[index], x.scaling)
    if isinstance(x, BinarizedRows):
        return BinarizedRows(subset(x.rows, index), x.seed, x.dynamic)
    return x[index]


def value_range(x: Rows) -> tuple[float, float]:
    """Return the smallest and largest observed value of rows in the model's units, a block at a
    time."""
    if isinstance(x, BinarizedRows) or (isinstance(x, LazyRows) and x.scaling.kind == "uint8"):
        return 0.0, 1.0
    parts = (x[rows] for rows in blocks(len(x), BLOCK_BYTES // (8 * x.shape[1])))
    lows, highs = np.array([(np.fmin.reduce(x, None), np.fmax.reduce(x, None)) for x in parts]).T
    return float(np.fmin.reduce(lows)), float(np.fmax.reduce(highs))


def mean_log_size(x: Rows, scaling: Scaling) -> float:
    """Return the mean over the rows x, in the model's units, of `Scaling.log_size`."""
    parts = (x[rows] for rows in blocks(len(x), BLOCK_BYTES // (8 * x.shape[1])))
    return float(sum(scaling.log_size(part).sum() for part in parts)) / len(x)


def any_missing(x: Rows) -> bool:
    """Return whether a cell of the rows x is missing, NaN, a block at a time."""
    parts = (x[rows] for rows in blocks(len(x), BLOCK_BYTES // (8 * x.shape[1])))
    return any(bool(np.isnan(part).any()) for part in parts)
