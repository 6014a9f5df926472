"""What a captured training step asks of a GPU beyond the functions that NumPy has too: formulas of
the model as one kernel each, and matrix products that a CUDA graph can hold.

Without a device the tests evaluate the kernels' formulas, and check each call of cuBLAS against its
documented meaning, on the host.
"""

import ctypes
import inspect
import weakref
from collections.abc import Callable
from functools import cache, partial
from types import FunctionType, ModuleType
from typing import Any

from tinyvae.core.arrays import Array

# Inputs, outputs, and what happens to each element. A kernel named like a function of the package
# computes the same and takes the same arguments: this is that function's formula in one launch.
KERNELS = {
    "sigmoid": ("T x", "T y", "y = T(1) / (T(1) + exp(-x))"),
    "cross_entropy": (
        "T p, T y, T x", "T nll", "nll = max(y, T(0)) - x * y - log(max(p, T(1) - p))",
    ),
    "softplus": ("T x", "T y", "y = max(x, T(0)) + log(T(1) + exp(-abs(x)))"),
    "reparameterize": (
        "T mu, T logvar, T eps", "T z", "z = mu + exp(T(0.5) * logvar) * eps",
    ),
    "reparameterize_backward": (
        "T dz, T logvar, T eps", "T dmu, T dlogvar",
        "dmu = dz; dlogvar = dz * T(0.5) * exp(T(0.5) * logvar) * eps",
    ),
    "kl": ("T mu, T logvar", "T y", "y = T(0.5) * (mu * mu + (expm1(logvar) - logvar))"),
    "kl_backward": (
        "T dkl, T mu, T logvar", "T dmu, T dlogvar",
        "dmu = dkl * mu; dlogvar = dkl * T(0.5) * expm1(logvar)",
    ),
    # What follows a layer's product: its bias, or that and a ReLU. By a factor 0 or 1, as `max` of
    # CUDA would hide a NaN (which −∞ becomes too: both come of an overflow).
    "add_bias": ("T x, T b", "T y", "y = x + b"),
    "rectify": ("T x, T b", "T y", "y = (x + b) * T(x + b > T(0))"),
    "relu_backward": ("T dy, T y", "T dx", "dx = dy * T(y > T(0))"),
    # A step of `tinyvae.core.optim.Adam`, whose a and ε / s are here step and epsilon.
    "adam_step": (
        "T g, T step, T epsilon, T beta1, T beta2", "T M, T V, T theta",
        "M = beta1 * M + g; V = beta2 * V + g * g; theta -= step * M / (sqrt(V) + epsilon)",
    ),
    # Writes a line of the log (steps, 4), and goes on to the next.
    "note": (
        "T loss, T reconstruction, T kl, T variance", "raw T lines, raw int64 position",
        "lines[4 * position[0]] = loss; lines[4 * position[0] + 1] = reconstruction;"
        "lines[4 * position[0] + 2] = kl; lines[4 * position[0] + 3] = variance; position[0] += 1",
    ),
}  # fmt: skip


@cache
def kernels(xp: ModuleType) -> dict[str, Callable]:
    """Return the kernels of `KERNELS` by name; each is compiled when it is first called."""
    return {
        name: xp.ElementwiseKernel(*parts, f"tinyvae_{name}") for name, parts in KERNELS.items()
    }


def with_functions(thing: Any, functions: dict[str, Callable]) -> Any:
    """Return a shallow copy of an object whose methods, wherever they call a function of one of
    these names, call the one given here: the same code, on other functions."""
    methods = {}
    for base in reversed(type(thing).__mro__):
        for name, method in vars(base).items():
            f = inspect.unwrap(method)
            if isinstance(method, FunctionType) and functions.keys() & {*f.__code__.co_names}:
                names = f.__globals__ | functions
                methods[name] = FunctionType(f.__code__, names, name, f.__defaults__, f.__closure__)
    kind: Any = type(type(thing).__name__, (type(thing),), methods)
    copied = object.__new__(kind)
    vars(copied).update(vars(thing))
    return copied


WORKSPACE = 32 * 2**20  # bytes that cuBLAS may use; its own allocations can't be captured
REAL_32, REAL_64, COMPUTE_32, COMPUTE_TF32, COMPUTE_64 = 0, 1, 68, 77, 70  # cuBLAS's numbers


def load_cublas() -> Any:
    """Return the cuBLAS library that CuPy uses."""
    from cuda.pathfinder import load_nvidia_dynamic_lib

    return ctypes.CDLL(load_nvidia_dynamic_lib("cublas").abs_path)


class Cublas:
    """Matrix products on one stream, by calls of the library itself: CuPy's own refuse a capture.

    `tf32` lets the products of float32 matrices round their factors to 10 bits of mantissa, which
    tensor cores multiply several times as fast.
    """

    def __init__(self, xp: ModuleType, stream: Any, tf32: bool = False) -> None:
        self.xp, self.library, self.handle = xp, load_cublas(), ctypes.c_void_p()
        self.compute_32 = COMPUTE_TF32 if tf32 else COMPUTE_32
        self.workspace = xp.empty(WORKSPACE, dtype="uint8")
        self.call("cublasCreate_v2", ctypes.byref(self.handle))
        weakref.finalize(self, self.library.cublasDestroy_v2, self.handle).atexit = False
        # The stream first: setting it takes the workspace away.
        self.call("cublasSetStream_v2", self.handle, ctypes.c_void_p(stream.ptr))
        size = ctypes.c_size_t(WORKSPACE)
        self.call("cublasSetWorkspace_v2", self.handle, pointer(self.workspace), size)

    def call(self, name: str, *arguments: Any) -> None:
        status = getattr(self.library, name)(*arguments)
        if status:
            raise RuntimeError(f"{name} returned the status {status}")

    def __call__(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """Return a b (m, n) of a (m, k) and b (k, n).

        cuBLAS reads columns first what lies in memory rows first, hence every matrix transposed:
        let it compute (a b)ᵀ = bᵀ aᵀ.
        """
        (m, k), n = a.shape, b.shape[1]
        out = self.xp.empty((m, n), dtype=a.dtype) if out is None else out
        (a, a_turned, a_step), (b, b_turned, b_step) = layout(a), layout(b)
        double = a.dtype.itemsize == 8
        number = ctypes.c_double if double else ctypes.c_float
        kind, compute = (REAL_64, COMPUTE_64) if double else (REAL_32, self.compute_32)
        self.call(
            "cublasGemmEx", self.handle, b_turned, a_turned, n, m, k, ctypes.byref(number(1.0)),
            pointer(b), kind, b_step, pointer(a), kind, a_step, ctypes.byref(number(0.0)),
            pointer(out), kind, n, compute, -1,
        )  # fmt: skip
        return out


def pointer(array: Array) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.data.ptr)


def layout(a: Array) -> tuple[Array, int, int]:
    """Return a matrix (a copy, if cuBLAS can't read it as it lies), 1 if it is the transpose of
    what lies in memory rows first, else 0, and how many elements lie between two rows of that."""
    down, right = (stride // a.dtype.itemsize for stride in a.strides)
    if right == 1:
        return a, 0, max(down, a.shape[1])
    if down == 1:
        return a, 1, max(right, a.shape[0])
    return a.copy(), 0, a.shape[1]


def allow_tf32(xp: ModuleType) -> Callable[[], None]:
    """Let CuPy's own products use TF32; return the function that takes it back."""
    linalg = xp._core._routines_linalg
    before = linalg.get_compute_type("float32")
    linalg.set_compute_type("float32", linalg.COMPUTE_TYPE_TF32)
    return partial(linalg.set_compute_type, "float32", before)
