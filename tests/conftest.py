"""What all tests share: a seeded generator, and the rule that `gpu` tests need a working GPU."""

import os
from typing import Any

# Matrices here are small, and two threads that wait for each other are slow beside busy neighbours.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest

from tinyvae.backend import get_backend


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


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def cublas(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stand-in for the cuBLAS library, in its place."""
    import capture

    from tinyvae import kernels

    library = capture.Cublas()
    monkeypatch.setattr(kernels, "load_cublas", lambda: library)
    return library
