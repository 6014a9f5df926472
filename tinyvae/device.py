"""Where the arrays of a model lie: NumPy's on the CPU, or CuPy's on an NVIDIA GPU.

The choice between the two, the copies between host and device, and the random numbers of both.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any

import numpy as np

from tinyvae import checks
from tinyvae.core.arrays import Ops
from tinyvae.threads import ThreadedOps

INSTALL = "check nvidia-smi, pip install 'cupy-cuda13x[ctk]'"  # where there is a GPU
STREAMS = {"weights": 0, "batches": 1, "eps": 2, "validation": 3, "sample": 4}


def seed_sequence(seed: int, stream: str, epoch: int = 0) -> np.random.SeedSequence:
    """Return the seed of one stream of random numbers, independent of all the others.

    Every epoch has a seed of its own, so the pair (seed, epoch) is the whole random state: training
    that resumes after an epoch draws what the uninterrupted one would have drawn.
    """
    seed = checks.integer("seed", seed, 0)
    return np.random.SeedSequence(seed, spawn_key=(STREAMS[stream], epoch))


def to_numpy(array: Any) -> np.ndarray:
    """Return an array or a number as a NumPy array, copied from the device if it lies there."""
    return array.get() if hasattr(array, "get") else np.asarray(array)


class Backend:
    """The array library `xp` ("numpy" or "cupy"), with what the two do differently."""

    def __init__(self, name: str, xp: ModuleType) -> None:
        self.name, self.xp = name, xp
        self.ops: Ops = ThreadedOps() if xp is np else Ops()

    to_numpy = staticmethod(to_numpy)

    def __reduce__(self) -> tuple:
        return get_backend, (self.name,)  # a module cannot be pickled

    def session(self, weights: float = math.inf) -> AbstractContextManager:
        """Return a context in which a model of so many weights does a whole pass."""
        return self.ops.session(weights) if isinstance(self.ops, ThreadedOps) else nullcontext()

    def asarray(self, array: Any, dtype: str | None = None) -> Any:
        """Return `array`, from the host or of this backend, as one of this backend, in C order."""
        if isinstance(array, np.ndarray):
            array = np.asarray(array, order="C")
        return self.xp.asarray(array, dtype=dtype)

    def holds(self, array: Any) -> bool:
        """Return whether `array` lies on this backend's device, and not on the host."""
        return self.xp is not np and isinstance(array, self.xp.ndarray)

    def generator(self, seed: np.random.SeedSequence) -> Any:
        """Return a generator with `standard_normal` and `random` that draws where the arrays lie.

        NumPy and CuPy draw different numbers from the same seed: where both must see the same
        noise, draw it once and pass it in as `eps`.
        """
        if self.name != "cupy":
            return np.random.default_rng(seed)
        state = int(seed.generate_state(1, np.uint64)[0])
        return self.xp.random.Generator(self.xp.random.Philox4x3210(state, size=256 * 64))


def on_host(value: Any) -> Any:
    """Return an array of CuPy's as one of NumPy's, also in a tuple or a list; all else as it is."""
    if type(value) in (tuple, list):
        return type(value)(map(on_host, value))
    on_device = type(value).__name__ == "ndarray" and not isinstance(value, np.ndarray)
    return value.get() if on_device else value


def get_backend(backend: str | Backend = "auto") -> Backend:
    """Return a backend by name; "auto" takes CuPy where it finds a GPU that works, else NumPy.

    Raises ValueError for an unknown name, and RuntimeError where "cupy" is asked for in vain.
    """
    if isinstance(backend, Backend):
        return backend
    checks.choice("backend", backend, ["auto", "numpy", "cupy"])
    if backend != "numpy":
        try:
            return Backend("cupy", _working_cupy())
        except Exception as error:  # CuPy's errors have no common class
            if backend == "cupy":
                remedy = getattr(error, "remedy", INSTALL)
                problem = f"backend 'cupy' does not work here ({checks.first_line(error)})"
                raise RuntimeError(f"{problem}: {remedy}, or choose backend 'numpy'") from None
    return Backend("numpy", np)


class _OldDriver(RuntimeError):
    remedy = "update the driver, or install the CuPy that fits it"


def _working_cupy() -> ModuleType:
    """Return CuPy, after using it once, or raise what tells why it can't be used."""
    import cupy

    if not cupy.cuda.is_available():  # which keeps to itself why
        driver = cupy.cuda.runtime.driverGetVersion()
        built = cupy.cuda.runtime.runtimeGetVersion()
        if not driver:
            raise RuntimeError("CuPy finds no GPU: there is no NVIDIA driver")
        versions = f"the driver is for CUDA {_version(driver)}, CuPy for {_version(built)}"
        kind = _OldDriver if driver < built else RuntimeError
        raise kind(f"CuPy finds no GPU: {versions}")
    # A device count above 0 proves neither the compiler nor cuBLAS: use both once.
    float(((cupy.ones((2, 2)) + 1) @ cupy.ones((2, 2))).sum())
    return cupy


def _version(number: int) -> str:
    """Return CUDA's version 12040 as "12.4"."""
    return f"{number // 1000}.{number % 1000 // 10}"
