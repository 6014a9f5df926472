"""What all tests share: a seeded generator, and the rule that `gpu` tests need a working GPU, and
that all others run on the CPU, whatever the machine has.
"""

import os
import signal
from collections.abc import Iterator
from typing import Any

# Matrices here are small, and two threads that wait for each other are slow beside busy neighbours.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# JAX is a witness on the CPU here; on a GPU it would take most of the memory from the other tests.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background jobs
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["TINYVAE_PROGRESS"] = ""  # the exercises' checks record nothing in the user's file

import numpy as np
import pytest

from tinyvae.device import get_backend

try:
    import cupy
except ImportError:
    cupy = None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests marked `gpu`, with the reason, where CuPy has no device."""
    gpu_tests = [item for item in items if item.get_closest_marker("gpu")]
    if not gpu_tests:
        return
    try:
        get_backend("cupy")
    except RuntimeError as error:
        for item in gpu_tests:
            item.add_marker(pytest.mark.skip(reason=str(error)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Let "auto" find no GPU, here and in the processes started, in all but the `gpu` tests.

    A hook, not a fixture: fixtures of a module are made before those of a test. The variable is for
    child processes and PyTorch; here CUDA may have started already, for the `gpu` tests.
    """
    with pytest.MonkeyPatch.context() as patch:
        if not item.get_closest_marker("gpu"):
            patch.setenv("CUDA_VISIBLE_DEVICES", "")
            if cupy:
                patch.setattr(cupy.cuda, "is_available", lambda: False)
        return (yield)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def cublas(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stand-in for the cuBLAS library, in its place."""
    import capture

    from tinyvae.engines import kernels

    library = capture.Cublas()
    monkeypatch.setattr(kernels, "load_cublas", lambda: library)
    return library
