"""Choose NumPy (CPU) or CuPy (NVIDIA GPU), copy arrays between host and device, and draw noise.

All the mathematics is written once, on the functions that both libraries share: code that holds an
array asks `array_module(array)` for the library that it belongs to and calls it `xp`.
"""

import math
import sys
from types import ModuleType
from typing import Any

import numpy as np

from tinyvae import checks

Array = Any  # numpy.ndarray or cupy.ndarray

STREAMS = {"weights": 0, "batches": 1, "eps": 2, "validation": 3, "sample": 4}


def array_module(array: Array) -> ModuleType:
    """Return the library that `array` belongs to: numpy or cupy."""
    return sys.modules[type(array).__module__.partition(".")[0]]


def seed_sequence(seed: int, stream: str, epoch: int = 0) -> np.random.SeedSequence:
    """Return the seed of one stream of random numbers, independent of all the others.

    Every epoch has a seed of its own, so the pair (seed, epoch) is the whole random state: training
    that resumes after an epoch draws what the uninterrupted one would have drawn.
    """
    seed = checks.integer("seed", seed, 0)
    return np.random.SeedSequence(seed, spawn_key=(STREAMS[stream], epoch))


class Backend:
    """The array library `xp` ("numpy" or "cupy"), with what the two do differently."""

    def __init__(self, name: str, xp: ModuleType) -> None:
        self.name, self.xp = name, xp

    def asarray(self, array: Array, dtype: str | None = None) -> Array:
        """Return `array`, from the host or of this backend, as an array of this backend."""
        return self.xp.asarray(array, dtype=dtype)

    def to_numpy(self, array: Array) -> np.ndarray:
        """Return `array` as a NumPy array, copied from the device where it lies there."""
        return array.get() if hasattr(array, "get") else np.asarray(array)

    def generator(self, seed: np.random.SeedSequence) -> Any:
        """Return a generator with `standard_normal` and `random` that draws where the arrays lie.

        NumPy and CuPy draw different numbers from the same seed: where both must see the same
        noise, draw it once and pass it in as `eps`.
        """
        if self.name != "cupy":
            return np.random.default_rng(seed)
        state = int(seed.generate_state(1, np.uint64)[0])
        return self.xp.random.Generator(self.xp.random.Philox4x3210(state, size=256 * 64))


def get_backend(backend: str | Backend = "auto") -> Backend:
    """Return a backend by name; "auto" takes CuPy where it finds a GPU that works, else NumPy.

    Raises ValueError for an unknown name, and RuntimeError where "cupy" is asked for in vain.
    """
    if isinstance(backend, Backend):
        return backend
    checks.choice("backend", backend, ["auto", "numpy", "cupy"])
    if backend != "numpy":
        try:
            import cupy

            if not cupy.cuda.is_available():
                raise RuntimeError("CuPy finds no GPU")
            # A device count above 0 proves neither the compiler nor cuBLAS: use both once.
            float(((cupy.ones((2, 2)) + 1) @ cupy.ones((2, 2))).sum())
            return Backend("cupy", cupy)
        except Exception as error:  # CuPy's errors have no common class
            if backend == "cupy":
                remedy = "install 'tinyvae[cupy]', check nvidia-smi, or choose backend 'numpy'"
                problem = f"backend 'cupy' does not work here ({checks.first_line(error)})"
                raise RuntimeError(f"{problem}: {remedy}") from None
    return Backend("numpy", np)


def batch_mean(values: Array) -> Array:
    """Return the mean over the batch of values (B, …).

    A function of its own because of two means that stand inside another function (the logarithm of
    σ², the maximum of free bits): where a batch is shared out over several processes, these must be
    means over all of its rows, and `tinyvae.distributed` puts another function in this one's place.
    """
    return values.sum(axis=0) / len(values)


def relu(x: Array) -> Array:
    """Return max(x, 0). (NumPy is twice as fast at `clip` as at `maximum` with a number.)"""
    return x.clip(0.0, math.inf)


def sigmoid(x: Array) -> Array:
    """Return y = 1 / (1 + e^(−x)), as ½ tanh(½ x) + ½, which never overflows.

    Its derivative is y (1 − y).
    """
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
