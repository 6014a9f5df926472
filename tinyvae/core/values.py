"""One-line errors for single values that cannot be used: each names the argument, its value and
the remedy. `tinyvae.checks`, above the core, is for arrays, files and options.
"""

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

from tinyvae.core.errors import InputError, wrong


def integer(name: str, value: Any, minimum: int) -> int:
    """Return `value` as an int of at least `minimum`, or raise ValueError."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < minimum:
        raise wrong(name, value, f"be a whole number of at least {minimum}")
    return int(value)


def number(name: str, value: Any, *, above: bool = False) -> float:
    """Return `value` as a finite float, at least (or, with `above`, above) 0."""
    fine = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not fine or value < 0 or (above and value == 0):
        bound = "above 0" if above else "of at least 0"
        raise wrong(name, value, f"be a finite number {bound}")
    return float(value)


def sigma(value: Any) -> float:
    """Return a standard deviation whose square is far from the ends of the floats."""
    if number("sigma (or 'auto')", value, above=True) < 1e-12 or value > 1e12:
        raise wrong("sigma", value, "lie between 1e-12 and 1e12")
    return float(value)


def choice(name: str, value: object, options: Iterable[str]) -> str:
    """Return `value` if it is one of `options`, or raise ValueError that lists them."""
    options = list(options)
    if not isinstance(value, str) or value not in options:
        raise wrong(name, value, f"be one of {', '.join(options)}")
    return value


def fraction(name: str, value: Any) -> float:
    """Return `value` as a float in [0, 1), or raise ValueError."""
    if number(name, value) >= 1:
        raise wrong(name, value, "lie in [0, 1)")
    return float(value)


def layer(value: Any) -> Any:
    """Return a layer, or raise ValueError where it can't be one."""
    if isinstance(value, type) or not hasattr(value, "forward"):
        problem = f"{shown(value)} is no layer, with forward(x) and backward(dy)"
        raise InputError(problem, remedy="give layers one by one, Sequential(Dense(8, 4), ReLU())")
    return value


def shown(value: Any) -> str:
    """Return the beginning of a value's repr, in one line."""
    return " ".join(repr(value).split())[:60]


def parameters(value: Any) -> Any:
    """Return what an optimizer steps on, if it has theta and grad, or raise TypeError."""
    if not (hasattr(value, "theta") and hasattr(value, "grad")):
        raise TypeError(f"an optimizer takes model.parameters, not {type(value).__name__}")
    return value
