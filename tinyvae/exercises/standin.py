"""A stand-in for CuPy that needs no graphics card: NumPy inside, the manners of a device outside.

It refuses what goes wrong, or waits, on a device: NumPy arrays among device arrays, and silent
copies to the host (`float(a)`, `if a:`, a loop over a). `asarray` is the way in, `a.get()` the way
out. Like CuPy's, its arrays take over when NumPy's functions are called on them. It is as slow as
NumPy, and proves nothing about speed or about a real device's arithmetic.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

NAME = "tinyvae_standin"  # `array_module` finds a library by the module of its array's class
sys.modules[NAME] = sys.modules[__name__]
copies = 0  # how often `get` copied an array to the host


class HostCopy(TypeError):
    """A device array was copied to the host without `get`."""


def _inside(value: Any) -> Any:
    """Return the NumPy array inside a device array, also within lists; refuse NumPy's own."""
    if isinstance(value, ndarray):
        return value.inside
    if isinstance(value, np.ndarray):
        raise TypeError("a NumPy array meets a device array; make it with xp, or copy with asarray")
    if isinstance(value, tuple | list):
        return type(value)(_inside(item) for item in value)
    if isinstance(value, dict):
        return {key: _inside(item) for key, item in value.items()}
    return value


def _outside(result: Any) -> Any:
    if isinstance(result, np.ndarray | np.generic):
        return ndarray(result)
    return tuple(map(_outside, result)) if isinstance(result, tuple) else result


def _call(function: Any, args: tuple, kwargs: dict) -> Any:
    """Call a function of NumPy on what is inside device arrays."""
    if "where" in kwargs or "initial" in kwargs:
        raise TypeError("CuPy's functions take neither where= nor initial=")
    out = kwargs.get("out")
    result = function(*_inside(args), **_inside(kwargs))
    if out is None:
        return _outside(result)
    return out[0] if isinstance(out, tuple) else out


def _refuse(what: str) -> Any:
    def method(self: ndarray, *args: Any, **kwargs: Any) -> None:
        raise HostCopy(f"{what} copies a device array to the host, and waits for the device")

    return method


class ndarray(NDArrayOperatorsMixin):  # named as NumPy's and CuPy's
    """An array on the pretended device."""

    __array__ = _refuse("np.asarray(a)")
    __float__ = _refuse("float(a)")
    __int__ = __index__ = _refuse("int(a)")
    __bool__ = _refuse("if a: (or while, and, or)")
    __iter__ = _refuse("a loop over a")
    __format__ = __str__ = __repr__ = _refuse("print(a)")
    item, tolist = _refuse("a.item()"), _refuse("a.tolist()")

    def __init__(self, inside: Any) -> None:
        self.inside = np.asarray(inside)

    def get(self) -> np.ndarray:
        """Return a copy on the host."""
        global copies
        copies += 1
        return self.inside.copy()

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        return _call(getattr(ufunc, method), args, kwargs)

    def __array_function__(self, function: Any, types: Any, args: tuple, kwargs: dict) -> Any:
        return _call(function, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = getattr(self.inside, name)
        if not callable(value):
            return _outside(value) if isinstance(value, np.ndarray) else value
        return lambda *args, **kwargs: _call(value, args, kwargs)

    def __getitem__(self, key: Any) -> ndarray:
        return ndarray(self.inside[_inside(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self.inside[_inside(key)] = _inside(value)

    def __len__(self) -> int:
        return len(self.inside)


ndarray.__module__ = NAME


def asarray(a: Any, dtype: Any = None) -> ndarray:
    """Return `a` on the device: the one function that takes NumPy arrays."""
    return ndarray(np.array(a.inside if isinstance(a, ndarray) else a, dtype=dtype))


array = asarray


def __getattr__(name: str) -> Any:
    value = getattr(np, name)
    if isinstance(value, type) or not callable(value):
        return value
    return lambda *args, **kwargs: _call(value, args, kwargs)
