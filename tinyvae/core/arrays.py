"""The functions that the formulas are made of, for NumPy and CuPy alike: code that holds an array
asks `array_module(array)` for the library that it belongs to, and calls it `xp`."""

import math
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

Array = Any  # numpy.ndarray or cupy.ndarray


def array_module(array: Array) -> ModuleType:
    """Return the library that `array` belongs to: numpy or cupy."""
    return sys.modules[type(array).__module__.partition(".")[0]]


class Ops:
    """Three operations that an engine replaces where it shares the work among cores or ranks."""

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """Return the product a b, in `out` if it is given."""
        return array_module(a).matmul(a, b, out=out)

    def batch_mean(self, values: Array) -> Array:
        """Return the mean over the whole batch of values (B, …)."""
        return values.sum(axis=0) / len(values)

    def over(self, function: Callable[[int, int], None], size: int, width: int = 1) -> None:
        """Call function(start, stop) for ranges of 0 … size; a place stands for `width` numbers."""
        function(0, size)


def relu(x: Array) -> Array:
    """Return max(x, 0). (NumPy is twice as fast at `clip` as at `maximum` with a number.)"""
    return x.clip(0.0, math.inf)


def sigmoid(x: Array) -> Array:
    """Return y = 1 / (1 + e^(−x)), 0 where e^(−x) overflows; its derivative is y (1 − y)."""
    xp = array_module(x)
    y = -x
    with np.errstate(over="ignore"):
        xp.exp(y, out=y)
    y += 1.0
    return xp.reciprocal(y, out=y)


def softplus(x: Array) -> Array:
    """Return log(1 + e^x), as max(x, 0) + log(1 + e^(−|x|)); its derivative is sigmoid(x)."""
    xp = array_module(x)
    y = xp.abs(x)
    xp.negative(y, out=y)
    xp.exp(y, out=y)
    y += 1.0
    xp.log(y, out=y)  # an e^(−|x|) below the rounding of 1 is lost
    y += relu(x)
    return y
