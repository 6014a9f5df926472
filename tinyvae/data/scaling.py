"""How raw values become a model's units, and back: bytes by 255, floats as they are, a divisor, or
standardised columns. The numbers behind it are found in one pass over the data, a block at a time,
so that a file larger than memory can be looked at too."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from tinyvae.core.errors import Argument, InputError
from tinyvae.data.blocks import blocks

if TYPE_CHECKING:
    from tinyvae.data.variables import Variable

BLOCK_BYTES = 2**24  # what one step of a pass over a large file holds in memory
FLOAT32_MAX = float(np.finfo(np.float32).max)
BRIGHT = 128  # bytes below it are seldom those of pictures: they may be counts or classes
LEAST_PIXELS = 64  # columns of whole numbers up to 255 that are taken for pixels
FARTHEST = 1e6  # standard deviations of a column
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
    constant : tuple of int
        Columns that hold one value in all training rows, for "standardize".
    """

    kind: str = "none"
    divisor: float = 1.0
    mean: np.ndarray | None = None
    std: np.ndarray | None = None
    low: float | None = None
    high: float | None = None
    constant: tuple[int, ...] = ()

    @property
    def unit(self) -> bool:
        """Return whether the model's units are values in [0, 1]."""
        known = self.kind in ("none", "divide") and self.low is not None
        return self.kind == "uint8" or (known and 0 <= self.low and self.high <= self.divisor)

    @property
    def has_units(self) -> bool:
        """Return whether the data's own units are others than the model's, each with a size."""
        return self.kind in ("standardize", "divide")

    @property
    def option(self) -> str | float:
        """Return the `scale` that chooses this scaling, whatever the data."""
        return {"uint8": 255.0, "divide": self.divisor}.get(self.kind, self.kind)

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite is refused later
    def apply(self, raw: np.ndarray) -> np.ndarray:
        """Return raw values (B, D) in the model's units, float32.

        A model of grey values takes bytes (divided by 255) and floats in [0, 1] alike.
        """
        if raw.dtype == np.uint8 and self.kind in ("uint8", "none") and self.unit:
            return np.divide(raw, 255, dtype=np.float32)
        if self.kind == "divide":
            return np.divide(raw, self.divisor, dtype=np.float32)
        if self.kind == "standardize":
            return ((raw - self.mean) / self.std).astype(np.float32)
        return raw.astype(np.float32)

    def undo(self, x: np.ndarray) -> np.ndarray:
        """Return the model's values (B, D) in the units of the data, in float64 where they differ;
        grey values stay in [0, 1]."""
        if self.kind == "divide":
            return np.asarray(x, np.float64) * self.divisor
        if self.kind == "standardize":
            return x * self.std + self.mean
        return x

    def log_size(self, x: np.ndarray) -> np.ndarray:
        """Return the logarithm of how much larger the data's own units of rows x (B, D) are than
        the model's: the log |std| of a row's observed cells, added up (B,).

        log p(x) in the data's own units is log p(x) in the model's, minus this.
        """
        size = {"standardize": self.std, "divide": self.divisor}.get(self.kind)
        return (~np.isnan(x) * np.log(1.0 if size is None else size)).sum(axis=1)

    def to_picture(self, x: np.ndarray) -> np.ndarray:
        """Return the model's values (B, D) as grey or colour values in [0, 1], to be drawn."""
        if self.unit or self.low is None:
            return x
        return (self.undo(x) - self.low) / max(self.high - self.low, 1e-12)

    def is_near(self, other: Scaling) -> bool:
        """Return whether another scaling is this one, but for rounding."""
        if self.kind != other.kind or (self.kind == "divide" and self.divisor != other.divisor):
            return False
        return self.kind != "standardize" or (
            np.allclose(self.mean, other.mean, atol=1e-6 * self.std.min())
            and np.allclose(self.std, other.std, rtol=1e-4)
        )

    def describe(self) -> str:
        """Return one line for people."""
        if self.kind == "uint8":
            return "bytes divided by 255"
        if self.kind == "divide":
            binary = self.divisor == self.high == 1
            return "values 0 to 1, as they are" if binary else f"values divided by {self.divisor:g}"
        if self.kind == "standardize":
            return "columns of numbers standardised (mean 0, standard deviation 1)"
        return f"values as they are (from {self.low:g} to {self.high:g})"

    def to_config(self) -> dict:
        """Return what JSON can hold; `Scaling.from_config` reads it."""
        config = {"kind": self.kind, "divisor": self.divisor, "low": self.low, "high": self.high}
        if self.kind == "standardize":
            config |= {"mean": self.mean.tolist(), "std": self.std.tolist()}
            config |= {"constant": list(self.constant)}
        return config

    @classmethod
    def from_config(cls, config: dict) -> Scaling:
        """Return the scaling that `to_config` wrote. Raises ValueError if it cannot have."""
        try:
            scaling = cls(**(config | {"constant": tuple(config.get("constant", ()))}))
            if scaling.kind not in ("none", "uint8", "divide", "standardize"):
                raise ValueError(scaling.kind)
            if scaling.kind == "standardize":
                mean, std = (np.array(config[key], dtype=float) for key in ("mean", "std"))
                scaling = dataclasses.replace(scaling, mean=mean, std=std)
        except (TypeError, ValueError, KeyError) as error:
            raise ValueError(f"the stored scaling is damaged ({error}): train again") from None
        return scaling


BYTES = Scaling("uint8", low=0.0, high=255.0)


class Statistics(NamedTuple):
    """Of each column, in float64: (D,) arrays; whether all values are whole numbers; and how many
    cells are missing."""

    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    whole: bool
    missing: np.ndarray


class Source(NamedTuple):
    """What errors say of a table."""

    name: str
    kind: str = "array"  # or "table" or "pixels", of text; "images" or, drawn in colour, "colours"
    columns: tuple[str, ...] | None = None  # their names, where they have any
    image_shape: tuple[int, ...] | None = None
    variables: tuple[Variable, ...] | None = None
    missing: bool = False  # whether cells may be missing, NaN

    def numbers(self, D: int) -> np.ndarray:
        """Return which of the D columns hold numbers, not 0 and 1 or categories."""
        flags = [v.kind == "gaussian" for v in self.variables or ()]
        return np.repeat(flags, [v.width for v in self.variables]) if flags else np.ones(D, bool)

    @property
    def in_colour(self) -> bool:
        """Return whether the values are those of colours, which are no counts or classes."""
        return self.kind == "colours" or len(self.image_shape or ()) == 3

    def place(self, row: int, column: int) -> str:
        """Return where a value is, counted from 1, a column by its name if it has one."""
        return f"row {row + 1:,}, {self.column(column)} (counted from 1)"

    def column(self, column: int) -> str:
        """Return a column's name, or its number from 1."""
        return f"column {self.columns[column] if self.columns else column + 1}"

    def dropping(self, column: int) -> list[str | Argument]:
        """Return how to leave a column of text out, or nothing of an array."""
        owners = [v.name for v in self.variables or () for _ in range(v.width)]
        named = owners and "," not in owners[column] and self.kind == "table"
        return [" with ", Argument("drop", owners[column])] if named else []


@np.errstate(over="ignore", invalid="ignore")  # of signalling NaN, and of squares
def scan(table: RawRows, index: np.ndarray, source: Source) -> Statistics:
    """Return statistics of the rows `index` of a table, of its observed cells.

    Means and squared deviations of blocks are merged pairwise (Chan, Golub and LeVeque 1983):
    a sum of squares would cancel where a column's mean is large. Raises ValueError where a value is
    not finite, unless it may be missing.
    """
    count, mean, deviations = np.zeros((3, table.shape[1]))
    low, high, whole = np.inf, -np.inf, True
    for rows in blocks(len(index), BLOCK_BYTES // (8 * table.shape[1])):
        block = np.asarray(table[index[rows]], dtype=np.float64)
        right = np.abs(block) <= FLOAT32_MAX
        observed = ~np.isnan(block)
        if not right.all() and not (source.missing and (right | ~observed).all()):
            raise _not_finite(block, right | (~observed & source.missing), index[rows], source)
        low, high = np.fmin(low, np.fmin.reduce(block)), np.fmax(high, np.fmax.reduce(block))
        whole = whole and not (block % 1 > 0).any()
        n = observed.sum(axis=0)
        total = np.maximum(count + n, 1)
        block_mean = np.where(observed, block, 0.0).sum(axis=0) / np.maximum(n, 1)
        shift = block_mean - mean
        block = np.where(observed, block - block_mean, 0.0)
        deviations = deviations + np.einsum("bd,bd->d", block, block)
        deviations += shift**2 * (count * n / total)
        mean, count = mean + shift * (n / total), count + n
    n_missing = len(index) - count.astype(int)
    std = np.sqrt(deviations / np.maximum(count, 1))
    return Statistics(low, high, mean, std, whole, n_missing)


def check_observed(missing: np.ndarray, n_rows: int, source: Source) -> None:
    """Raise InputError where as many cells of a column (D,) are `missing` as there are rows."""
    for column in np.flatnonzero(missing == n_rows)[:1].tolist():
        nothing = f"{source.name} has no observed cell in {source.column(column)}"
        remedy = ["leave it out", *source.dropping(column)]
        raise InputError(f"{nothing}, among {n_rows:,} rows to train on", remedy=remedy)


def _not_finite(
    block: np.ndarray, right: np.ndarray, rows: np.ndarray, source: Source
) -> InputError:
    """Return the error for the first value of a block (B, D) that is not `right`."""
    row, column = np.argwhere(~right)[0].tolist()
    place = source.place(rows[row], column)
    remedy: list = ["remove or replace it"]
    if np.isnan(block[row, column]):
        remedy += [", or let cells be missing, ", Argument("missing", True)]
    return InputError(f"{source.name} has {block[row, column]} in {place}", remedy=remedy)


def choose(
    scale: str | float, table: RawRows, index: np.ndarray, source: Source
) -> tuple[Scaling, str]:
    """Return the scaling of a table whose training rows are `index`, and a remark or "".

    Parameters
    ----------
    scale : "infer", "none", "standardize" or a number to divide by
        "infer" divides bytes and columns of pixels by 255, standardises other tables of text, and
        takes the floats of an array as they are; where a range is not clear, it asks.
    """
    divisor = _divisor(scale)
    if table.dtype == np.uint8 and (scale == "infer" or divisor == 255):
        largest = 255 if divisor else largest_byte(table, index)
        if largest >= BRIGHT or largest == 0 or (source.in_colour and largest > 1):
            return BYTES, ""
        if largest == 1:
            return Scaling("divide", 1.0, low=0.0, high=1.0), ""
        raise _ask(source, "bytes", 0, largest, f"{largest:g}, or 255 for dark pictures")
    statistics = scan(table, index, source)
    check_observed(statistics.missing, len(index), source)
    numbers = source.numbers(table.shape[1])
    if not numbers.any():
        return Scaling("none", low=0.0, high=1.0), ""
    low, high = float(statistics.low[numbers].min()), float(statistics.high[numbers].max())
    if not numbers.all() and divisor is not None:
        problem = f": {source.name} has columns of categories, which no number divides"
        raise InputError(Argument("scale", scale), problem, remedy="expected standardize or none")
    grey = low >= 0 and BRIGHT <= high <= 255
    remark = ""
    if scale == "infer" and source.kind in ("table", "pixels"):
        wide = table.shape[1] >= LEAST_PIXELS and statistics.whole
        if source.kind == "pixels" and not grey and high > 1:
            raise _ask(source, "pixels", low, high, f"{high:g} or 255")
        if grey and (wide or source.kind == "pixels"):
            return Scaling("divide", 255.0, low=low, high=high), "taken for pixels"
        if source.kind == "table":
            scale, remark = "standardize", "scale none leaves a table as it is"
    elif scale == "infer" and table.dtype.kind in "iu":
        raise _ask(source, f"{table.dtype} values", low, high, "")
    elif (
        scale == "infer"
        and grey
        and (source.image_shape or (statistics.whole and table.shape[1] >= LEAST_PIXELS))
    ):
        raise _ask(source, f"{table.dtype} values", low, high, "255 for grey values")
    if divisor is not None:
        largest = max(-low, high, 0.0)
        if largest and not LEAST_SCALED < largest / divisor < 1 / LEAST_SCALED:
            range_ = f"{source.name} has values from {low:g} to {high:g}"
            problem = f": {range_}, which it takes out of float32's range"
            remedy = "choose a number of about their size"
            raise InputError(Argument("scale", scale), problem, remedy=remedy)
        return Scaling("divide", divisor, low=low, high=high), ""
    constant = (statistics.low == statistics.high) & numbers
    if scale != "standardize":
        return Scaling("none", low=low, high=high), _rounding(statistics, constant, source)
    mean = np.where(constant, statistics.low, statistics.mean)  # the very value, not a rounded one
    mean, std = np.where(numbers, mean, 0.0), np.where(constant | ~numbers, 1.0, statistics.std)
    columns = np.flatnonzero(constant).tolist()
    scaling = Scaling("standardize", 1.0, mean, std, low, high, tuple(columns))
    if not columns:
        return scaling, remark
    n, first = len(columns), source.column(columns[0])
    constants = f"{n:,} constant columns become 0 (the first: {first})"
    if n == 1:
        constants = f"1 constant column becomes 0 ({first})"
    return scaling, ", ".join(filter(None, (remark, constants)))


def largest_byte(table: RawRows, index: np.ndarray) -> int:
    """Return the largest of the bytes in these rows, or, as soon as it is found, one as bright as
    those of pictures are."""
    largest = 0
    for rows in blocks(len(index), BLOCK_BYTES // table.shape[1]):
        largest = max(largest, int(table[index[rows]].max()))
        if largest >= BRIGHT:
            break
    return largest


def check_near(scaling: Scaling, table: RawRows, index: np.ndarray, source: Source) -> None:
    """Raise ValueError where rows are too far from those that a scaling was made from: they leave
    the value of a constant column, or lie a million standard deviations away."""
    if scaling.kind != "standardize" or len(scaling.constant) == table.shape[1]:
        return
    reach = FARTHEST * scaling.std
    fixed = list(scaling.constant)
    reach[fixed] = 1e-6 * np.abs(scaling.mean[fixed])  # float32 and float64 of one number
    for rows in blocks(len(index), BLOCK_BYTES // (8 * table.shape[1])):
        block = np.asarray(table[index[rows]], np.float64)
        far = np.argwhere(np.abs(block - scaling.mean) > reach)
        if len(far):
            row, column = far[0].tolist()
            usual = f"{scaling.mean[column]:g}"
            usual = usual if column in fixed else f"{usual} ± {scaling.std[column]:g}"
            where = source.place(index[rows][row], column)
            problem = f"{source.name} has {block[row, column]:g} in {where}, where the rows trained"
            remedy = "leave out the row or the column"
            raise InputError(f"{problem} on have {usual}", remedy=remedy)


def _ask(source: Source, what: str, low: float, high: float, number: str) -> InputError:
    """Return the error for values whose range tells no scale."""
    example = f" ({number})" if number else ""
    choices = f": none (as they are), standardize, or a number to divide them by{example}"
    return InputError(
        f"{source.name} holds {what} from {low:g} to {high:g}",
        remedy=["choose a scale (", Argument("scale"), ")", choices],
    )


def _rounding(statistics: Statistics, constant: np.ndarray, source: Source) -> str:
    """Return a remark where the model's float32 rounds a column's values visibly, or ""."""
    largest = np.maximum(-statistics.low, statistics.high)
    steps = np.spacing(np.abs(largest).astype(np.float32))
    visible = ~constant & (steps > statistics.std / 100)
    if not visible.any():
        return ""
    column = int(np.argmax(visible))
    return f"{source.column(column)} is rounded to steps of {steps[column]:g}, unless standardised"


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
