"""The functions that the formulas are made of, for NumPy (CPU) and CuPy (NVIDIA GPU) alike.

All the mathematics is written once, on the functions that both libraries share: code that holds an
array asks `array_module(array)` for the library that it belongs to and calls it `xp`. The choice of
the library, a model's `backend`, is made in `tinyvae.device`.
"""

import math
import sys
from types import ModuleType
from typing import Any

from tinyvae.device import Backend, get_backend, seed_sequence  # noqa: F401 (known from here too)

Array = Any  # numpy.ndarray or cupy.ndarray


def array_module(array: Array) -> ModuleType:
    """Return the library that `array` belongs to: numpy or cupy."""
    return sys.modules[type(array).__module__.partition(".")[0]]


def batch_mean(values: Array) -> Array:
    """Return the mean over the batch of values (B, …).

    A function of its own because of two means that stand inside another function (the logarithm of
    σ², the maximum of free bits): where several processes share a batch, `tinyvae.distributed` puts
    the mean over all of its rows in this one's place.
    """
    return values.sum(axis=0) / len(values)


def relu(x: Array) -> Array:
    """Return max(x, 0). (NumPy is twice as fast at `clip` as at `maximum` with a number.)"""
    return x.clip(0.0, math.inf)


def sigmoid(x: Array) -> Array:
    """Return y = 1 / (1 + e^(−x)), as ½ tanh(½ x) + ½: no overflow; its derivative is y (1 − y)."""
    y = x * 0.5
    array_module(x).tanh(y, out=y)
    y *= 0.5
    y += 0.5
    return y


def softplus(x: Array) -> Array:
    """Return log(1 + e^x), as max(x, 0) + log(1 + e^(−|x|)); its derivative is sigmoid(x)."""
    xp = array_module(x)
    y = xp.abs(x)
    xp.negative(y, out=y)
    xp.exp(y, out=y)
    y += 1.0
    xp.log(y, out=y)  # log1p would also keep an e^(−|x|) below the rounding of 1, at twice the time
    y += relu(x)
    return y
