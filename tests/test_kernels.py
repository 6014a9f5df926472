"""Fused kernels compute what the functions of their names do, cuBLAS is called as its documentation
says, and the stand-in that captures and replays is as strict as a capture.
"""

import itertools

import capture
import numpy as np
import pytest
import strict
from witness import relative_error

from tinyvae.core import arrays as backend
from tinyvae.core import latent, likelihood
from tinyvae.device import get_backend
from tinyvae.engines import kernels

# The stand-in refuses what a capture refuses


@pytest.mark.parametrize(
    ("misuse", "message"),
    [
        (lambda a: a @ a, "calling cuBLAS API during stream capture"),
        (lambda a: strict.matmul(a, a, out=a), "calling cuBLAS API during stream capture"),
        (lambda a: a.get(), "a copy to the host"),
        (lambda a: strict.asarray(np.ones(2)), "a copy from the host"),
        (lambda a: capture.Stream().synchronize(), "waiting for the device"),
        (lambda a: a + 1, "memory that the graph's owner does not keep"),
    ],
)
def test_the_stand_in_refuses_what_a_capture_refuses(misuse, message):
    a, stream = strict.ones((2, 2)), capture.Stream(non_blocking=True)
    stream.begin_capture()
    try:
        with pytest.raises((NotImplementedError, RuntimeError), match=message):
            misuse(a)
    finally:
        stream.end_capture()


def test_the_stand_in_records_and_replays():
    a, pool = strict.zeros((2,)), capture.MemoryPool()
    stream = capture.Stream(non_blocking=True)
    with stream, capture.using_allocator(pool.malloc):
        stream.begin_capture()
        b = a * 2.0
        a += 1.0
        recorded = stream.end_capture()
    np.testing.assert_array_equal(a.get(), [0, 0])
    recorded.launch()
    recorded.launch()
    np.testing.assert_array_equal((a.get(), b.get()), [[2, 2], [2, 2]])
    del pool
    with pytest.raises(AssertionError, match="memory has gone"):
        recorded.launch()


# Kernels and products

FUNCTIONS = {
    "sigmoid": (backend.sigmoid, 1),
    "cross_entropy": (likelihood.cross_entropy, 3),
    "softplus": (backend.softplus, 1),
    "reparameterize": (latent.reparameterize, 3),
    "reparameterize_backward": (latent.reparameterize_backward, 3),
    "kl": (latent.kl, 2),
    "kl_backward": (latent.kl_backward, 3),
    "rectify": (lambda x, b: backend.relu(x + b), 2),
    "add_bias": (lambda x, b: x + b, 2),
    "relu_backward": (lambda dy, y: dy * (y > 0), 2),
}


def as_tuple(value):
    return value if isinstance(value, tuple) else (value,)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_kernel_computes_what_the_function_of_its_name_does(name, rng):
    function, count = FUNCTIONS[name]
    arguments = [4 * rng.standard_normal((3, 5)) for _ in range(count)]
    found = kernels.kernels(capture)[name](*map(strict.asarray, arguments))
    for one, other in zip(as_tuple(found), as_tuple(function(*arguments)), strict=True):
        np.testing.assert_allclose(one.get(), other, rtol=1e-13)


def test_kernels_stay_in_float32(rng):
    x = strict.asarray(rng.standard_normal(4).astype("float32"))
    assert kernels.kernels(capture)["softplus"](x).dtype == "float32"
    for *_, operation in kernels.KERNELS.values():  # a bare 0.5 is a double in C++
        assert "." not in operation.replace("T(0.5)", "")


MATRICES = {
    "as it lies": lambda rng, n, m: rng.standard_normal((n, m)),
    "transposed": lambda rng, n, m: rng.standard_normal((m, n)).T,
    "some columns": lambda rng, n, m: rng.standard_normal((n, m + 2))[:, 1 : m + 1],
    "some columns, transposed": lambda rng, n, m: rng.standard_normal((m, n + 2))[:, :n].T,
    "every second column": lambda rng, n, m: rng.standard_normal((n, 2 * m))[:, ::2],
}


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 4, 5), (3, 1, 5), (3, 4, 1), (1, 1, 1)])
def test_cublas_multiplies_matrices_however_they_lie(shape, cublas, rng):
    m, k, n = shape
    product = kernels.Cublas(capture, capture.Stream())
    for left, right in itertools.product(MATRICES.values(), repeat=2):
        a, b = left(rng, m, k), right(rng, k, n)
        found = product(strict.ndarray(a), strict.ndarray(b))
        np.testing.assert_allclose(found.get(), a @ b, rtol=1e-12)


@pytest.mark.parametrize(
    ("dtype", "tf32", "compute"),
    [("float32", False, 68), ("float32", True, 77), ("float64", True, 70)],
)
def test_products_are_exact_unless_tf32_is_asked_for(dtype, tf32, compute, cublas):
    product = kernels.Cublas(capture, capture.Stream(), tf32)
    product(strict.ones((2, 2), dtype=dtype), strict.ones((2, 2), dtype=dtype))
    assert cublas.calls == [compute] and cublas.workspace == 32 * 2**20
    del product
    assert cublas.handles == 0


@pytest.mark.gpu
def test_on_a_gpu_kernels_compute_what_numpy_does(rng):
    on_gpu = get_backend("cupy")
    for name, (function, count) in FUNCTIONS.items():
        arguments = [4 * rng.standard_normal((3, 5)) for _ in range(count)]
        found = kernels.kernels(on_gpu.xp)[name](*map(on_gpu.asarray, arguments))
        for one, other in zip(as_tuple(found), as_tuple(function(*arguments)), strict=True):
            np.testing.assert_allclose(one.get(), other, rtol=1e-12)


@pytest.mark.gpu
@pytest.mark.parametrize(("tf32", "low", "high"), [(False, 0, 1e-5), (True, 1e-5, 1e-2)])
def test_on_a_gpu_products_are_exact_unless_tf32_is_asked_for(tf32, low, high, rng):
    on_gpu = get_backend("cupy")
    a, b = (rng.standard_normal((256, 256)).astype("float32") for _ in range(2))
    stream = on_gpu.xp.cuda.get_current_stream()
    found = kernels.Cublas(on_gpu.xp, stream, tf32)(on_gpu.asarray(a), on_gpu.asarray(b.T.copy()).T)
    assert low <= relative_error(found.get(), a.astype(float) @ b) < high


def test_the_stand_in_offers_only_what_cupy_has():
    cupy = pytest.importorskip("cupy", reason="CuPy, whose names are compared, is not installed")
    assert {*kernels.kernels(cupy)} == {*kernels.KERNELS}
    for name in vars(capture.cuda):
        assert hasattr(cupy.cuda, name), name
    for name in ("begin_capture", "end_capture", "synchronize", "__enter__"):
        assert hasattr(cupy.cuda.Stream, name) and hasattr(capture.Stream, name)
    assert hasattr(cupy.cuda.graph.Graph, "launch") and hasattr(cupy.cuda.runtime, "memGetInfo")
    linalg = cupy._core._routines_linalg
    assert linalg.COMPUTE_TYPE_TF32 != linalg.get_compute_type("float64")
