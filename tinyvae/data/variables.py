"""The columns of a table as a model sees them: numbers, columns of 0 and 1, and categories, which a
model takes one-hot; and the way back, to whole numbers and words."""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyvae.core.errors import InputError

MISSING_NUMBERS = ("", "na", "n/a", "nan", "<na>", "null", "none", "?", "-", ".")  # in any case
MISSING_WORDS = ("", "NA", "na", "N/A", "n/a", "NaN", "nan", "<NA>", "NULL", "null", "?")
SHOWN = 10  # categories in an error
LARGEST = 2.0**63  # that a whole number is: from here on, each float is one


@dataclass(frozen=True)
class Variable:
    """A column of a table.

    Parameters
    ----------
    name : str
    kind : {"gaussian", "bernoulli", "categorical"}
        How a model takes it: as one number, as 0 or 1, or one-hot.
    categories : tuple of str
        What its values 0, 1, … stand for; () for numbers.
    whole : bool
        Whether all of its values are whole numbers.
    low, high : float or None
        The range of the rows that were trained on.
    """

    name: str
    kind: str = "gaussian"
    categories: tuple[str, ...] = ()
    whole: bool = False
    low: float | None = None
    high: float | None = None

    @property
    def width(self) -> int:
        """Return how many of the model's columns it takes."""
        return len(self.categories) if self.kind == "categorical" else 1

    @property
    def features(self) -> list[str]:
        """Return the names of these columns."""
        if self.kind == "categorical":
            return [f"{self.name}={category}" for category in self.categories]
        return [f"{self.name}={self.categories[1]}" if self.categories[1:] else self.name]

    def cells(self, x: np.ndarray) -> list[Any]:
        """Return values x (N, width), in the units of the data, as what stands in a table's cells:
        the most probable category, a whole number or a float."""
        if self.kind == "categorical":
            return [self.categories[k] for k in x.argmax(axis=1).tolist()]
        if self.categories or self.kind == "bernoulli":
            codes = (x[:, 0] > 0.5).astype(int) * (len(self.categories) != 1)
            return [self.categories[k] if self.categories else k for k in codes.tolist()]
        values = x[:, 0].tolist()
        return [round(value) for value in values] if self.whole else values


def from_config(config: dict | None) -> tuple[Variable, ...] | None:
    """Return the variables in the "data" of a run's configuration, None where it has none."""
    listed = (config or {}).get("variables")
    if listed is None:
        return None
    return tuple(Variable(**v | {"categories": tuple(v["categories"])}) for v in listed)


def places(variables: Iterable[Variable]) -> list[slice]:
    """Return where the columns of each variable are, among those of the model."""
    ends = list(itertools.accumulate((v.width for v in variables), initial=0))
    return [slice(*pair) for pair in itertools.pairwise(ends)]


def that_fit(variables: Sequence[Variable], most: int) -> list[Variable]:
    """Return the variables that a picture with room for so many of the model's columns shows: those
    of the most categories go first. None at all, where there are too many numbers."""
    kept = list(variables)
    while sum(v.width for v in kept) > most:
        widest = max(kept, key=lambda v: v.width)
        if widest.width == 1:
            return []
        kept.remove(widest)
    return kept


def pairs(variables: Iterable[Variable]) -> list[tuple[str, int]]:
    """Return the `columns` of a model with likelihood "mixed"."""
    found: list[tuple[str, int]] = []
    for v in variables:
        if found and v.kind != "categorical" and found[-1][0] == v.kind:
            found[-1] = v.kind, found[-1][1] + 1
        else:
            found.append((v.kind, v.width))
    return found


def expand(x: np.ndarray, variables: Sequence[Variable]) -> np.ndarray:
    """Return the model's columns (N, D) from a number for each variable (N, V)."""
    wide = np.empty((len(x), sum(v.width for v in variables)))
    for v, place, values in zip(variables, places(variables), x.T, strict=True):
        one_hot = values[:, None] == np.arange(v.width)
        several = v.kind == "categorical"
        wide[:, place] = one_hot if several else values[:, None]
        wide[np.isnan(values), place] = math.nan
    return wide


def with_ranges(variables: Sequence[Variable], x: np.ndarray) -> tuple[Variable, ...]:
    """Return the variables with the range of the rows x (N, D)."""
    low, high = (f.reduce(x, axis=0).tolist() for f in (np.fmin, np.fmax))
    return tuple(
        dataclasses.replace(v, low=low[place.start], high=high[place.start])
        if v.kind == "gaussian"
        else v
        for v, place in zip(variables, places(variables), strict=True)
    )


def found(
    x: np.ndarray, names: Sequence[str], categories: dict[str, tuple[str, ...]]
) -> list[Variable]:
    """Return the variables of the columns of x (N, V), those of words by their `categories`."""
    listed = []
    for name, values in zip(names, x.T, strict=True):
        words = categories.get(name, ())
        whole = not ((values % 1 > 0) | (np.abs(values) >= LARGEST)).any()
        kind = kind_of(words) if words else "gaussian"
        listed.append(Variable(name, kind, words, whole))
    return listed


def with_binary(variables: Sequence[Variable], x: np.ndarray) -> tuple[Variable, ...]:
    """Return the variables; numbers that are 0 and 1 alone in the rows x (N, D) are Bernoulli."""
    return tuple(
        dataclasses.replace(v, kind="bernoulli") if _is_binary(v, x[:, place.start]) else v
        for v, place in zip(variables, places(variables), strict=True)
    )


def _is_binary(v: Variable, values: np.ndarray) -> bool:
    number = v.kind == "gaussian" and v.whole
    return number and set(np.unique(values[~np.isnan(values)]).tolist()) == {0, 1}


def coded(words: list[str], asked: bool = False) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the numbers (N,) of a column's words, NaN where one is missing, and the categories
    that they stand for; of codes that are `asked` for, 1, 1.0 and 01 are one, which keeps its
    zeros where it has them in all rows."""
    observed = [w for w in words if w not in MISSING_WORDS]
    values = {w: number(w) for w in observed}
    if asked and None not in values.values():
        spelled: dict[Any, list[str]] = {}
        for w, value in values.items():
            spelled.setdefault(value, []).append(w)
        named = {v: w[0] if len(w) == 1 else written(v) for v, w in sorted(spelled.items())}
        names = {w: named[value] for w, value in values.items()}
        categories = list(named.values())
    else:
        names = {w: w for w in observed}
        categories = sorted(names)
    code = {c: k for k, c in enumerate(categories)}
    codes = [code[names[w]] if w in names else math.nan for w in words]
    return np.array(codes, float), tuple(categories)


def recoded(words: list[str], lines: list[int], variable: Variable, source: str) -> np.ndarray:
    """Return the numbers (N,) of words of a column whose categories are known; `lines` are the
    words' in the file. Raises InputError for another word."""
    code = {c: k for k, c in enumerate(variable.categories)}
    of_number = {number(c): k for c, k in code.items()}
    values = []
    for line, word in zip(lines, words, strict=True):
        if word in code:
            values.append(code[word])
        elif word in MISSING_WORDS:
            values.append(math.nan)
        elif (value := number(word)) is not None and value in of_number:
            values.append(of_number[value])
        else:
            known = ", ".join(variable.categories[:SHOWN]) + ", …" * (len(code) > SHOWN)
            place = f"{source}, line {line}, column {variable.name}: {word!r}"
            remedy = "correct it, or leave the cell empty, which is a missing one"
            raise InputError(f"{place} is none of the categories {known}", remedy=remedy)
    return np.array(values, float)


def kind_of(categories: tuple[str, ...]) -> str:
    """Return how a model takes a column of these categories; a single one is a constant 0."""
    return "bernoulli" if len(categories) <= 2 else "categorical"


def number(cell: str) -> float | None:
    """Return the number in a cell, None where there is none."""
    if "_" in cell or not cell.strip().isascii():  # Python's numbers, which no other reader takes
        return None
    try:
        return float(cell)
    except ValueError:
        return None


def unused(name: str, names: Sequence[str]) -> str:
    """Return a name that is none of `names`: this one, with as many _ behind it as that takes."""
    while name in names:
        name += "_"
    return name


def written(value: float) -> str:
    """Return a number as it is written: whole ones without a point."""
    return str(int(value)) if value.is_integer() else repr(value)


def in_range(
    x: np.ndarray, variables: Sequence[Variable], among: np.ndarray | None = None
) -> tuple[np.ndarray, int]:
    """Return x (…, D), in the units of the data, within the range of what was trained on, and how
    many cells were moved for it (`among` those marked)."""
    low, high = np.full((2, x.shape[-1]), math.inf)
    low = -low
    for v, place in zip(variables, places(variables), strict=True):
        if v.low is not None and v.high is not None:
            low[place], high[place] = v.low, v.high
    inside = np.clip(x, low, high)
    reach = 1e-6 * np.maximum(np.abs(low), np.abs(high))  # float32's rounding is no move
    moved = np.abs(inside - x) > np.where(np.isfinite(reach), reach, 0)
    if among is not None:
        moved, inside = moved & among, np.where(among, inside, x)
    return inside, int(moved.sum())
