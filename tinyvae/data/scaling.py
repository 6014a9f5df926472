"""How raw values become a model's units, and back: bytes by 255, floats as they are, a divisor, or
standardised columns. The numbers behind it are found in one pass over the data, a block at a time,
so that a file larger than memory can be looked at too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from tinyvae.core.errors import Argument, InputError
from tinyvae.data.blocks import blocks

BLOCK_BYTES = 2**24  # what one step of a pass over a large file holds in memory
FLOAT32_MAX = float(np.finfo(np.float32).max)
LEAST_SCALED = 1e-15  # scaled values this small, or as large, have no square in float32


class RawRows(Protocol):
    """A table of raw values (N, D), of which rows are read as they are asked for."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        """Return rows (B, D)."""


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
        """Return whether the model's units are grey values in [0, 1], for which bytes stand too."""
        floats_in_unit = self.kind == "none" and self.low is not None and 0 <= self.low
        return self.kind == "uint8" or (floats_in_unit and self.high <= 1)

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite is refused later
    def apply(self, raw: np.ndarray) -> np.ndarray:
        """Return raw values (B, D) in the model's units, float32.

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
        """Return the model's values (B, D) in the units of the data; grey values stay in [0, 1]."""
        if self.kind == "divide":
            return x * self.divisor
        if self.kind == "standardize":
            return (x * self.std + self.mean).astype(x.dtype)
        return x

    def to_picture(self, x: np.ndarray) -> np.ndarray:
        """Return the model's values (B, D) as grey or colour values in [0, 1], to be drawn."""
        if self.unit or self.low is None:
            return x
        return (self.undo(x) - self.low) / max(self.high - self.low, 1e-12)

    def describe(self) -> str:
        """Return one line for people."""
        if self.kind == "uint8":
            return "bytes divided by 255"
        if self.kind == "divide":
            return f"values divided by {self.divisor:g}"
        if self.kind == "standardize":
            return "each column standardised (mean 0, standard deviation 1)"
        return f"values as they are (from {self.low:g} to {self.high:g})"

    def to_config(self) -> dict:
        """Return what JSON can hold; `Scaling.from_config` reads it."""
        config = {"kind": self.kind, "divisor": self.divisor, "low": self.low, "high": self.high}
        if self.kind == "standardize":
            config |= {"mean": self.mean.tolist(), "std": self.std.tolist()}
        return config

    @classmethod
    def from_config(cls, config: dict) -> Scaling:
        """Return the scaling that `to_config` wrote. Raises ValueError if it cannot have."""
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


class Statistics(NamedTuple):
    """Of each column, in float64: (D,) arrays."""

    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    std: np.ndarray


@np.errstate(over="ignore", invalid="ignore")  # of signalling NaN, and of squares
def scan(table: RawRows, index: np.ndarray, source: str) -> Statistics:
    """Return statistics of the rows `index` of a table. Raises ValueError if one is not finite.

    Means and squared deviations of blocks are merged pairwise (Chan, Golub and LeVeque 1983):
    a sum of squares would cancel where a column's mean is large.
    """
    count, mean, deviations = 0, 0.0, 0.0
    low, high = np.inf, -np.inf
    for rows in blocks(len(index), BLOCK_BYTES // (8 * table.shape[1])):
        block = np.asarray(table[index[rows]], dtype=np.float64)
        if not (np.abs(block) <= FLOAT32_MAX).all():
            row, column = np.argwhere(~(np.abs(block) <= FLOAT32_MAX))[0].tolist()
            raise ValueError(
                f"{source} has {block[row, column]} in row {index[rows][row]}, column {column}"
                " (counted from 0): remove or replace it"
            )
        low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
        total = count + len(block)
        block_mean = block.mean(axis=0)
        shift = block_mean - mean
        mean = mean + shift * (len(block) / total)
        block -= block_mean
        deviations = deviations + np.einsum("bd,bd->d", block, block)
        deviations += shift**2 * (count * len(block) / total)
        count = total
    return Statistics(low, high, mean, np.sqrt(deviations / count))


def choose(
    scale: str | float, table: RawRows, index: np.ndarray, source: str
) -> tuple[Scaling, str]:
    """Return the scaling of a table whose training rows are `index`, and a remark or "".

    Parameters
    ----------
    scale : "infer", "none", "standardize" or a number to divide by
        "infer" divides bytes by 255 and takes floats as they are.
    """
    divisor = _divisor(scale)
    if table.dtype == np.uint8 and (scale == "infer" or divisor == 255):
        return BYTES, ""
    statistics = scan(table, index, source)
    low, high = float(statistics.low.min()), float(statistics.high.max())
    if scale == "infer" and table.dtype.kind in "iu":
        choices = ": none (as they are), standardize, or a number to divide them by"
        raise InputError(
            f"{source} holds {table.dtype} values from {low:g} to {high:g}",
            remedy=["choose a scale (", Argument("scale"), ")", choices],
        )
    if divisor is not None:
        largest = max(-low, high, 0.0)
        if largest and not LEAST_SCALED < largest / divisor < 1 / LEAST_SCALED:
            range_ = f"{source} has values from {low:g} to {high:g}"
            problem = f": {range_}, which it takes out of float32's range"
            remedy = "choose a number of about their size"
            raise InputError(Argument("scale", scale), problem, remedy=remedy)
        return Scaling("divide", divisor, low=low, high=high), ""
    if scale != "standardize":
        return Scaling("none", low=low, high=high), ""
    constant = statistics.low == statistics.high
    mean = np.where(constant, statistics.low, statistics.mean)  # the very value, not a rounded one
    std = np.where(constant, 1.0, statistics.std)
    scaling = Scaling("standardize", mean=mean, std=std, low=low, high=high)
    columns = np.flatnonzero(constant).tolist()
    if not columns:
        return scaling, ""
    n, first = len(columns), f"column {columns[0]}, counted from 0"
    if n == 1:
        return scaling, f"1 constant column becomes 0 ({first})"
    return scaling, f"{n:,} constant columns become 0 (the first: {first})"


def _divisor(scale: str | float) -> float | None:
    if scale in ("infer", "none", "standardize"):
        return None
    try:
        divisor = float(scale)
    except (TypeError, ValueError):
        divisor = 0.0
    if not 0 < divisor < np.inf:
        remedy = "expected infer, none, standardize, or a number above 0 to divide by"
        raise InputError(Argument("scale", scale), remedy=remedy)
    return divisor
