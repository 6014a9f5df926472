"""A stand-in for CuPy that runs without a GPU: NumPy inside, as strict as the device outside.

`strict.ndarray` wraps a NumPy array, and this module offers what both libraries have, with the
arguments that both take. It refuses NumPy arrays and scalars, and every silent copy to the host
(`float(a)`, `if a:`, `np.exp(a)`); `a.get()` is the one way back, and `copies` counts its use.
`Backend("strict", strict)` runs a model on it: `array_module` finds this module by its name.

While `tape` is a list, what is asked for is recorded there and not done, as by a stream that
captures a graph; `capture.py` has the streams.
"""

import operator
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

UFUNCS = frozenset(
    "abs add subtract multiply divide negative exp log log1p expm1 sqrt square tanh maximum "
    "minimum reciprocal sign isfinite".split()
)
# The arguments of CuPy 14's functions, in their order.
FUNCTIONS = {
    "clip": "a a_min a_max out",
    "sum": "a axis dtype out keepdims",
    "mean": "a axis dtype out keepdims",
    "max": "a axis out keepdims",
    "min": "a axis out keepdims",
    "any": "a axis out keepdims",
    "all": "a axis out keepdims",
    "matmul": "a b out",
    "take": "a indices axis out",
    "where": "condition x y",
    "concatenate": "arrays axis out",
    "broadcast_to": "array shape",
    "zeros": "shape dtype order",
    "ones": "shape dtype order",
    "empty": "shape dtype order",
    "zeros_like": "a dtype",
    "ones_like": "a dtype",
    "empty_like": "a dtype",
    "arange": "start stop step dtype",
}
copies = 0  # how often `get` copied an array to the host
tape = None  # while a stream captures: what a replay will do, in order
allocator = None  # the pool that new arrays come from, if it is a private one


def computed(compute: Callable[[], Any]) -> "ndarray":
    """Return a new array with what `compute` returns, which a replay computes into the same place.

    What a capture itself computes here is of no consequence: nothing but a replay may read it.
    """
    with np.errstate(all="warn" if tape is None else "ignore"):
        result = ndarray(compute())
    if tape is not None and result.inside.flags.writeable:  # else a view, which needs no replay
        if result.inside.flags.owndata and allocator is None:
            raise RuntimeError("memory that the graph's owner does not keep is allocated")
        tape.append(lambda: np.copyto(result.inside, compute()))
    return result


def written(array: Any, write: Callable[[], Any]) -> Any:
    """Return `array`, which `write` changes in place; during a capture, only a replay will."""
    write() if tape is None else tape.append(write)
    return array


def refuse_capture(what: str) -> None:
    if tape is not None:
        raise NotImplementedError(f"{what} during stream capture is unsupported")


def unwrap(value: Any) -> Any:
    """Return the NumPy array inside a strict one; refuse NumPy's own arrays and scalars."""
    if isinstance(value, ndarray):
        return value.inside
    if isinstance(value, (np.ndarray, np.generic)):
        raise TypeError("a NumPy array or scalar meets a device array: copy it with asarray first")
    if isinstance(value, (tuple, list)):
        return type(value)(unwrap(item) for item in value)
    return value


def refuse(what: str) -> Any:
    def call(self: "ndarray", *args: Any, **kwargs: Any) -> None:
        raise TypeError(f"{what} copies a device array to the host, and waits for the device")

    return call


def method(name: str) -> Any:
    def call(self: "ndarray", *others: Any) -> "ndarray":
        if "matmul" in name:
            refuse_capture("calling cuBLAS API")
        return computed(partial(getattr(self.inside, name), *map(unwrap, others)))

    return call


def in_place(name: str) -> Any:
    def call(self: "ndarray", other: Any) -> "ndarray":
        return written(self, partial(getattr(operator, name), self.inside, unwrap(other)))

    return call


class ndarray:
    """An array on the pretended device."""

    __array_ufunc__ = None  # NumPy's operators leave it to this class to refuse
    __array__ = refuse("np.asarray(a)")
    __float__ = refuse("float(a)")
    __int__ = __index__ = refuse("int(a)")
    __bool__ = refuse("bool(a)")
    __iter__ = refuse("a loop over a")
    item = refuse("a.item()")
    tolist = refuse("a.tolist()")

    def __init__(self, inside: Any) -> None:
        self.inside = np.asarray(inside)

    def get(self) -> np.ndarray:
        global copies
        refuse_capture("a copy to the host")
        copies += 1
        return self.inside.copy()

    def __getitem__(self, key: Any) -> "ndarray":
        key = checked_key(key)
        return computed(lambda: self.inside[key])

    def __setitem__(self, key: Any, value: Any) -> None:
        written(self, partial(self.inside.__setitem__, checked_key(key), unwrap(value)))

    def __len__(self) -> int:
        return len(self.inside)

    def reshape(self, *shape: Any) -> "ndarray":
        return computed(lambda: self.inside.reshape(*shape))

    def astype(self, dtype: Any, copy: bool = True) -> "ndarray":
        return computed(lambda: self.inside.astype(dtype, copy=copy))

    def copy(self) -> "ndarray":
        return computed(self.inside.copy)

    def repeat(self, repeats: int) -> "ndarray":
        return computed(lambda: self.inside.repeat(repeats))

    T = property(lambda self: ndarray(self.inside.T))
    shape = property(lambda self: self.inside.shape)
    dtype = property(lambda self: self.inside.dtype)
    ndim = property(lambda self: self.inside.ndim)
    size = property(lambda self: self.inside.size)
    strides = property(lambda self: self.inside.strides)
    data = property(lambda self: SimpleNamespace(ptr=self.inside.ctypes.data))


def checked_key(key: Any) -> Any:
    """Return an index of NumPy; a mask is refused, as its size must be known on the host."""
    for part in key if isinstance(key, tuple) else (key,):
        if isinstance(part, ndarray) and part.dtype == bool:
            raise TypeError("a boolean mask copies its size to the host, and waits for the device")
    return unwrap(key)


for _name in "add sub mul truediv pow matmul".split():
    setattr(ndarray, f"__{_name}__", method(f"__{_name}__"))
    setattr(ndarray, f"__r{_name}__", method(f"__r{_name}__"))
    setattr(ndarray, f"__i{_name}__", in_place(f"i{_name}"))
for _name in "neg abs lt le gt ge eq ne".split():
    setattr(ndarray, f"__{_name}__", method(f"__{_name}__"))


def function(name: str, arguments: list[str]) -> Any:
    """Return NumPy's function of that name, which takes strict arrays and these arguments only."""

    def call(*args: Any, **kwargs: Any) -> ndarray:
        unknown = kwargs.keys() - set(arguments)
        if unknown or len(args) > len(arguments):
            raise TypeError(f"cupy.{name} takes {arguments}, not {sorted(unknown) or args}")
        out = kwargs.get("out")
        if name == "matmul":
            refuse_capture("calling cuBLAS API")
            dtypes = {array.dtype for array in (*args, *([] if out is None else [out]))}
            if len(dtypes) > 1 or (out is not None and not out.inside.flags.c_contiguous):
                raise TypeError(f"cupy.matmul wants out contiguous and of one dtype, not {dtypes}")
        kwargs = {key: unwrap(value) for key, value in kwargs.items()}
        compute = partial(getattr(np, name), *map(unwrap, args), **kwargs)
        return computed(compute) if out is None else written(out, compute)

    return call


def of_array(name: str) -> Any:
    call = function(name, FUNCTIONS[name].split())
    return lambda self, *args, **kwargs: call(self, *args, **kwargs)


for _name in ("clip", "sum", "mean", "max", "min", "any", "all"):
    setattr(ndarray, _name, of_array(_name))


def asarray(a: Any, dtype: Any = None) -> ndarray:
    """Return `a` on the device: the one function that takes NumPy arrays."""
    if not isinstance(a, ndarray):
        refuse_capture("a copy from the host")
        a = ndarray(np.array(a))
    return a if dtype is None or a.dtype == dtype else a.astype(dtype)


def __getattr__(name: str) -> Any:
    if name in UFUNCS:
        return function(name, ["x1", "x2", "out", "dtype"])
    if name in FUNCTIONS:
        return function(name, FUNCTIONS[name].split())
    raise AttributeError(f"{name} is not among the functions that NumPy and CuPy share")
