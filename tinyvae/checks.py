"""One-line errors for bad arguments: every message names the argument, its value and the remedy.

Used by the models, the optimizers, training and the command line, so that the same mistake gets the
same sentence everywhere.
"""

import functools
import inspect
import math
import os
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from itertools import pairwise
from numbers import Integral, Real
from types import UnionType
from typing import Any, TypeVar, cast

import numpy as np

from tinyvae.core.errors import Argument, InputError, InputTypeError, wrong
from tinyvae.core.errors import TinyVAEError as TinyVAEError
from tinyvae.core.values import choice as choice
from tinyvae.core.values import fraction as fraction
from tinyvae.core.values import integer as integer
from tinyvae.core.values import number as number
from tinyvae.core.values import shown as shown
from tinyvae.core.values import sigma as sigma

KINDS = ("gaussian", "bernoulli", "categorical")  # of columns
LIKELIHOODS = (*KINDS, "mixed")

F = TypeVar("F", bound=Callable[..., Any])


def widths(name: str, value: object) -> tuple[int, ...]:
    """Return `value` as a tuple of positive layer widths; () stands for no hidden layer."""
    if isinstance(value, Integral):
        value = (value,)
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise wrong(name, value, "be a sequence of layer widths such as (256,)")
    return tuple(integer(f"each width in {name}", width, 1) for width in value)


def host_array(x: Any) -> np.ndarray:
    """Return x as a NumPy array, in which a masked or missing cell (pandas' too) is NaN.

    Raises TypeError for what is no number among Python objects.
    """
    if isinstance(x, np.ma.MaskedArray):
        return x.filled(math.nan) if x.dtype.kind == "f" else np.asarray(unmasked(x))
    x = np.asarray(x)
    if x.dtype != object or not x.ndim:
        return x
    cells = np.empty(x.shape)  # as pandas' nullable columns come
    for place, value in np.ndenumerate(x):
        missing = value is None or repr(value) == "<NA>"
        if not (missing or isinstance(value, Real)):
            where = "row {}, column {}".format(*place) if x.ndim == 2 else f"place {place}"
            problem = f"{shown(value)} in {where} (counted from 0) is no number"
            raise InputTypeError(problem, remedy="leave it out, or write it as one")
        cells[place] = math.nan if missing else value
    return cells


def unmasked(x: Any) -> Any:
    """Return x, or raise ValueError where it has masked cells, which an array would show."""
    if np.ma.is_masked(x):
        place = ", ".join(map(str, np.argwhere(np.ma.getmaskarray(x))[0].tolist()))
        problem = f"the cell ({place}), counted from 0, is masked"
        raise InputError(problem, remedy="fill it in, or leave it out")
    return x


def batch(name: str, x: Any, width: int, *, unit: bool = False, missing: bool = False) -> Any:
    """Return x (B, width) if it is a matrix of finite floats (with `unit`, from 0 to 1; with
    `missing`, or NaN), or raise ValueError.

    Values on a device are not looked at: that would wait for the device.
    """
    subject, shape = Argument(name, bare=True), f"(examples, {width})"
    if x.ndim == 0:
        raise InputError(subject, f" must be an array of the shape {shape}, not {shown(x.item())}")
    if x.ndim != 2 or x.shape[1] != width or len(x) == 0:
        raise InputError(subject, f" must have the shape {shape}, not {tuple(x.shape)}")
    if x.dtype.kind != "f":
        remedy = "divide images by 255, or call .astype('float32')"
        raise InputError(subject, f" has the dtype {x.dtype}; a model takes floats", remedy=remedy)
    if not isinstance(x, np.ndarray):
        return x
    low, high = x.min(), x.max()  # NaN, where there is one
    if missing and math.isnan(low):
        low, high = np.fmin.reduce(x, axis=None), np.fmax.reduce(x, axis=None)
        if math.isnan(low):  # nothing is observed at all
            return x
    if not (math.isfinite(low) and math.isfinite(high)):
        row, column = np.argwhere(np.isinf(x) if missing else ~np.isfinite(x))[0]
        problem = f" holds {x[row, column]} in row {row}, column {column}"
        ways: list[Any] = ["remove or replace it first"]
        if np.isnan(x[row, column]) and name.startswith("x"):
            ways += [", or let cells be missing, ", Argument("missing", True)]
        raise InputError(subject, problem, remedy=ways)
    if unit:
        unit_interval(name, low, high)
    return x


def flag(name: str, value: Any) -> None:
    """Raise ValueError unless `value` is True or False."""
    if not isinstance(value, bool):
        raise wrong(name, value, "be True or False")


def missing(value: Any) -> bool | str:
    """Return `value` if it says how missing cells are taken, or raise ValueError."""
    if not (isinstance(value, bool) or (isinstance(value, str) and value == "mask")):
        raise wrong("missing", value, "be True, False or 'mask'")
    return value


def columns(value: Any, likelihood: Any) -> list[tuple[str, int]] | None:
    """Return the columns of a "mixed" likelihood as pairs (kind, n); None for any other."""
    if (isinstance(likelihood, str) and likelihood == "mixed") != (value is not None):
        both: list[Any] = [Argument("likelihood", "mixed"), " and ", Argument("columns")]
        raise InputError(*both, " go together", remedy="give both, or neither")
    if value is None:
        return None
    try:
        pairs = [(kind, n) for kind, n in value]
    except (TypeError, ValueError):
        pairs = []
    if not pairs:
        wanted = "be a list of pairs such as ('gaussian', 3), ('categorical', 5)"
        raise wrong("columns", value, wanted)
    least = {"gaussian": 1, "bernoulli": 1, "categorical": 2}
    for kind, n in pairs:
        choice("a kind in columns", kind, KINDS)
        integer(f"the number of {kind} columns", n, least[kind])
    return [(kind, int(n)) for kind, n in pairs]


def columns_of(value: list | None, likelihood: Any, width: int) -> list[tuple[str, int]]:
    """Return the variables of a model's `width` columns as pairs (kind, n)."""
    if value is None:
        known = isinstance(likelihood, str) and likelihood in KINDS
        return [(likelihood if known else "gaussian", width)]
    if (total := sum(n for _, n in value)) != width:
        problem = f" add up to {total}, but n_features is {width}"
        raise InputError(Argument("columns", value, bare=True), problem)
    return value


def cells(name: str, x: np.ndarray, columns: list[tuple[str, int]]) -> None:
    """Raise ValueError unless the cells of x (N, D) are what their columns take: a Bernoulli's in
    [0, 1], a category's one-hot, or all missing."""
    ends = np.cumsum([0, *(n for _, n in columns)]).tolist()
    for (kind, _), (start, stop) in zip(columns, pairwise(ends), strict=True):
        block, subject = x[:, start:stop], Argument(name, bare=True)
        if kind == "gaussian":
            continue
        for row, column in np.argwhere((block < 0) | (block > 1)):
            place = f"{block[row, column]:g} in row {row}, column {start + column}"
            raise InputError(subject, f" holds {place}, a {kind} one, which takes [0, 1]")
        total = block.sum(axis=1)  # NaN where a cell is missing
        none = np.isnan(block).all(axis=1)
        for (row,) in np.argwhere(~(abs(total - 1) < 1e-3) & ~none) if kind != "bernoulli" else ():
            place = f" holds no category in row {row}, columns {start} to {stop - 1}"
            raise InputError(subject, place, remedy="a 1 in one of them, 0 in the others")


def observed_columns(name: str, x: np.ndarray) -> None:
    """Raise ValueError if a column of x (N, D) was observed in no row."""
    for (column,) in np.argwhere(np.isnan(x).all(axis=0)):
        problem = f" has no observed cell in column {column}"
        raise InputError(Argument(name, bare=True), problem, remedy="leave the column out")


def unit_interval(name: str, low: float, high: float) -> None:
    """Raise ValueError where values from `low` to `high` leave [0, 1], a Bernoulli's range."""
    if low < 0 or high > 1:
        remedy = "scale the data to [0, 1], or take likelihood 'gaussian'"
        problem = f" spans [{low:g}, {high:g}], but likelihood 'bernoulli' takes [0, 1]"
        raise InputError(Argument(name, (low, high), bare=True), problem, remedy=remedy)


def labels(labels: Any, n: int, n_classes: int) -> Any:
    """Return labels (n,) if they are whole numbers in 0 … n_classes − 1, or raise ValueError.

    With n_classes 0, for a model that is not conditional, no labels are the right labels.
    """
    given = Argument("labels", bare=True)
    if not n_classes:
        if labels is not None:
            problem = " are for a conditional model"
            raise InputError(given, problem, remedy="build it with n_classes")
        return None
    if labels is None:
        wanted = f"one of 0 … {n_classes - 1} for each of {n} examples"
        raise InputError("this model is conditional", remedy=["give ", given, f", {wanted}"])
    labels = labels if hasattr(labels, "dtype") else np.asarray(labels)
    if labels.shape != (n,) or labels.dtype.kind not in "iu":
        found = f"{labels.dtype} of the shape {tuple(labels.shape)}"
        raise InputError(given, f" must be {n} whole numbers, not {found}")
    if isinstance(labels, np.ndarray) and (labels.min() < 0 or labels.max() >= n_classes):
        first = labels[(labels < 0) | (labels >= n_classes)][0]
        raise InputError(f"label {first} is not one of 0 … {n_classes - 1}")
    return labels


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its class's name where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def instance(name: str, value: Any, kind: type | UnionType, wanted: str) -> None:
    """Raise TypeError unless `value` is an instance of `kind`."""
    if not isinstance(value, kind):
        found = f"{type(value).__name__} {shown(value)}"
        raise InputTypeError(Argument(name, value, bare=True), f" must be {wanted}, not {found}")


def by_keyword(function: F) -> F:
    """Return the function, with one line that names the keyword where an argument that has to be
    given by its name is given by its place, and the closest name where one is unknown."""
    parameters = inspect.signature(function).parameters.values()
    places = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    names = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    known = frozenset(places + names)

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        if len(arguments) > len(places):
            value = shown(arguments[len(places)])
            raise TypeError(
                f"{_name(function, arguments)} takes {_and(places)} by position, and all else by"
                f" keyword: write {names[0]}={value}"
            )
        if not known.issuperset(named):
            unknown = next(name for name in named if name not in known)
            raise TypeError(_unknown(_name(function, arguments), unknown, [*places, *names]))
        return function(*arguments, **named)

    return cast(F, call)


def _name(function: Callable, arguments: tuple) -> str:
    """Return what a user calls a function: a constructor by the class that is made."""
    is_constructor = function.__name__ == "__init__" and arguments
    return type(arguments[0]).__name__ if is_constructor else function.__name__


def _and(places: list[str]) -> str:
    """Return the arguments that may be given by position, as words."""
    return " and ".join(name for name in places if name != "self") or "nothing"


def _unknown(function: str, unknown: str, names: list[str]) -> str:
    """Return the line on an argument that does not exist."""
    names = [name for name in names if name != "self"]
    parts = [known for known in names if len(unknown) > 2 and unknown in known]
    close = parts or get_close_matches(unknown, names)
    remedy = f"did you mean {close[0]}?" if close else f"it takes {', '.join(names)}"
    return f"{function} has no argument {unknown!r}: {remedy}"


def path(name: str, value: Any) -> Any:
    """Return `value` if it may name a file or folder, or raise TypeError or ValueError."""
    if not isinstance(value, str | os.PathLike):
        problem = f" must be the path of a file or folder, not {shown(value)}"
        raise InputTypeError(Argument(name, value, bare=True), problem)
    if value == "":
        problem = " is empty"
        raise InputError(Argument(name, "", bare=True), problem, remedy="name a file or folder")
    return value


def function(name: str, value: Any, wanted: str) -> None:
    """Raise TypeError unless `value` is None or can be called."""
    if value is not None and not callable(value):
        raise InputTypeError(
            Argument(name, value, bare=True), f" must be {wanted}, not {shown(value)}"
        )


def foreign(parts: Iterable[Any]) -> str | None:
    """Return the class of the first part with code that is not tinyvae's, if there is one: a class
    of somebody's own, or a method that was replaced on the object.

    Such code may count on being run in one process, or on numbers that change with every call.
    """
    for part in parts:
        kind = type(part)
        replaced = (hasattr(kind, name) for name, value in vars(part).items() if callable(value))
        if kind.__module__.partition(".")[0] != "tinyvae" or any(replaced):
            return kind.__name__
    return None
