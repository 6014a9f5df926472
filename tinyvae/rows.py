"""Rows of data on their way into a model, when the whole of them does not fit into memory or is
drawn anew in each epoch. A model sees float32 (B, D) either way: `x[rows]` of an ndarray and of a
lazy source give the same numbers."""

from __future__ import annotations

import numpy as np

from .scaling import Scaling, blocks


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


def value_range(x: Rows) -> tuple[float, float]:
    """Smallest and largest value of rows in the model's units, a block at a time."""
    if isinstance(x, BinarizedRows) or (isinstance(x, LazyRows) and x.scaling.kind == "uint8"):
        return 0.0, 1.0
    ranges = [(float(x[rows].min()), float(x[rows].max())) for rows in blocks(x.shape)]
    return min(low for low, _ in ranges), max(high for _, high in ranges)
