"""Streams, graphs and kernels for the strict stand-in: a module to put in CuPy's place as `xp`.

A capture records what is asked of the device, with every Python number as it is at that moment,
and does none of it; a replay does it on the same arrays. It refuses what a real capture refuses.
A kernel's formula is C++ and, plain as it is, Python too: here it runs as Python. In cuBLAS's place
stands a product that reads raw memory columns first, as its documentation says.
"""

import ctypes
import re
import shutil
import subprocess
import tempfile
import weakref
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import strict
from numpy.lib.stride_tricks import as_strided

from tinyvae.device import Backend

COMPILER = shutil.which("g++") or shutil.which("clang++")
free_bytes = 2**40  # of the pretended device
memory_limit = 0  # of its pool: none


def __getattr__(name: str) -> Any:
    return getattr(strict, name)


class Device(Backend):
    """The stand-in as a backend, with noise whose state lies on the device."""

    def __init__(self) -> None:
        super().__init__("strict", __import__("capture"))

    def generator(self, seed: np.random.SeedSequence) -> "Generator":
        return Generator(int(seed.generate_state(1)[0]))


class Generator:
    def __init__(self, seed: int) -> None:
        state = strict.asarray(np.array([seed, 0]))  # the key, and how often it was drawn from
        self.bit_generator = SimpleNamespace(_state=state)

    def standard_normal(self, shape: Any, dtype: Any = float) -> strict.ndarray:
        out, state = strict.empty(shape, dtype=dtype), self.bit_generator._state.inside

        def draw() -> None:
            rng = np.random.default_rng(state.tolist())
            out.inside[...] = rng.standard_normal(shape)
            state[1] += 1

        return strict.written(out, draw)


class MemoryPool:
    def malloc(self, size: int) -> None:
        raise AssertionError("the stand-in only looks whose method this is")


@contextmanager
def using_allocator(malloc: Any) -> Any:
    strict.allocator = malloc.__self__
    try:
        yield
    finally:
        strict.allocator = None


class Stream:
    ptr = 7

    def __init__(self, non_blocking: bool = False) -> None:
        self.non_blocking = non_blocking

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def begin_capture(self) -> None:
        assert self.non_blocking and strict.tape is None
        strict.tape = []

    def end_capture(self) -> "Graph":
        tape, strict.tape = strict.tape, None
        return Graph(tape, strict.allocator)

    def synchronize(self) -> None:
        strict.refuse_capture("waiting for the device")

    def wait_event(self, event: "Event") -> None:
        assert event.recorded


class Event:
    def __init__(self, disable_timing: bool = False) -> None:
        self.recorded = not disable_timing

    def record(self, stream: Stream) -> None:
        self.recorded = True


class Graph:
    def __init__(self, tape: list, pool: MemoryPool | None) -> None:
        self.tape, self.pool = tape, weakref.ref(pool) if pool else lambda: None

    def launch(self) -> None:
        assert self.pool(), "the graph's memory has gone back"
        for do in self.tape:
            do()


class ElementwiseKernel:
    """Runs an operation in which every `T` parameter is an array of one dtype, or a number."""

    def __init__(self, inputs: str, outputs: str, operation: str, name: str) -> None:
        self.inputs, self.outputs = (
            [parameter.split() for parameter in some.split(", ")] for some in (inputs, outputs)
        )
        self.operation = operation

    def __call__(self, *args: Any) -> Any:
        parameters = self.inputs + self.outputs
        given = zip(parameters[: len(args)], args, strict=True)
        kinds = [(kind, getattr(a, "dtype", None)) for (*_, kind, _), a in given]
        (dtype,) = {dtype for kind, dtype in kinds if kind == "T" and dtype is not None}
        assert all(dtype == "int64" for kind, dtype in kinds if kind == "int64")
        if len(args) == len(self.inputs):
            shape = np.broadcast_shapes(*(getattr(a, "shape", ()) for a in args))
            args += tuple(strict.empty(shape, dtype=dtype) for _ in self.outputs)
        inside = [a.inside if hasattr(a, "inside") else dtype.type(a) for a in args]
        outs = args[len(self.inputs) :]

        def run() -> None:
            functions = {name: getattr(np, name) for name in "abs exp expm1 log sqrt tanh".split()}
            names = functions | {"max": np.fmax, "T": dtype.type}
            for (*raw, _, name), array in zip(parameters, inside, strict=True):
                names[name] = array.reshape(-1) if raw else array
            exec(self.operation, names)
            for (*raw, _, name), out in zip(self.outputs, outs, strict=True):
                if not raw:
                    out.inside[...] = names[name]

        for out in outs:
            assert isinstance(out, strict.ndarray)
        strict.written(outs, run)
        return outs if len(outs) > 1 else outs[0]


@cache
def library(source: str) -> ctypes.CDLL:
    """Return CUDA kernels compiled for the host: see host.h."""
    names = re.findall(r'extern "C" __global__ void (\w+)', source)
    ends = "".join(f"LAUNCHABLE({name})\n" for name in names)
    with tempfile.TemporaryDirectory() as folder:
        file, built = Path(folder, "kernels.cc"), Path(folder, "kernels.so")
        file.write_text(f"#include <host.h>\n{source}\n{ends}", encoding="utf-8")
        options = ["-std=c++17", "-O0", "-shared", "-fPIC", "-w", f"-I{Path(__file__).parent}"]
        subprocess.run([COMPILER, *options, "-o", built, file], check=True)
        return ctypes.CDLL(built)


class RawModule:
    """CUDA kernels, run on the host."""

    def __init__(self, code: str, options: tuple[str, ...]) -> None:
        self.code = code
        (self.number,) = re.findall(r"#define T (\w+)", code)
        self.parameters = {
            name: [" ".join(p.replace("*", " * ").split()[:-1]) for p in given.split(",")]
            for name, given in re.findall(r'"C" __global__ void (\w+)\((.*?)\)', code, re.DOTALL)
        }

    def get_function(self, name: str) -> Any:
        kernel, kinds = getattr(library(self.code), f"launch_{name}"), self.parameters[name]
        numbers = {"int": "int32", "Index": "int64", "T": {"double": "float64"}.get(self.number)}

        def launch(grid: tuple[int, ...], block: tuple[int], given: list) -> None:
            for kind, value in zip(kinds, given, strict=True):
                wanted = numbers[kind.removeprefix("const ").removesuffix(" *")] or "float32"
                assert value.dtype == wanted and isinstance(value, strict.ndarray) == ("*" in kind)
            arrays = [np.asarray(getattr(value, "inside", value)) for value in given]
            pointers = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
            places = (ctypes.c_void_p * len(given))()  # of each argument, whatever it is
            for i, (kind, array, pointer) in enumerate(zip(kinds, arrays, pointers, strict=True)):
                places[i] = ctypes.addressof(pointer) if "*" in kind else array.ctypes.data
            size = (*grid, 1)[:2] + block
            strict.written(None, lambda: (arrays, pointers, kernel(*size, places)))

        return launch


class Cublas:
    """The functions of the library that a product calls, for a column-first matrix in memory."""

    def __init__(self) -> None:
        self.calls, self.workspace, self.handles = [], None, 0

    def cublasCreate_v2(self, handle: Any) -> int:
        self.handles += 1
        handle._obj.value = 1
        return 0

    def cublasDestroy_v2(self, handle: Any) -> int:
        self.handles -= 1
        return 0

    def cublasSetStream_v2(self, handle: Any, stream: Any) -> int:
        self.workspace = None
        return 0

    def cublasSetWorkspace_v2(self, handle: Any, place: Any, size: Any) -> int:
        self.workspace = size.value
        return 0

    def cublasGemmEx(
        self, handle: Any, turn_a: int, turn_b: int, m: int, n: int, k: int, alpha: Any, a: Any,
        kind_a: int, step_a: int, b: Any, kind_b: int, step_b: int, beta: Any, c: Any, kind_c: int,
        step_c: int, compute: int, algorithm: int,
    ) -> int:  # fmt: skip
        assert kind_a == kind_b == kind_c and (alpha._obj.value, beta._obj.value) == (1, 0)
        assert self.workspace or strict.tape is None
        numbers = {(0, 68): ctypes.c_float, (0, 77): ctypes.c_float, (1, 70): ctypes.c_double}
        number = numbers[kind_a, compute]
        self.calls.append(compute)

        def matrix(place: Any, rows: int, columns: int, step: int) -> np.ndarray:
            assert step >= rows
            count = step * (columns - 1) + rows
            flat = np.ctypeslib.as_array((number * count).from_address(place.value))
            return as_strided(flat, (rows, columns), (flat.itemsize, step * flat.itemsize))

        left = matrix(a, k, m, step_a).T if turn_a else matrix(a, m, k, step_a)
        right = matrix(b, n, k, step_b).T if turn_b else matrix(b, k, n, step_b)
        result = matrix(c, m, n, step_c)
        strict.written(None, lambda: np.matmul(left, right, out=result))
        return 0


cuda = SimpleNamespace(
    Stream=Stream,
    Event=Event,
    MemoryPool=MemoryPool,
    using_allocator=using_allocator,
    Device=lambda: SimpleNamespace(synchronize=Stream().synchronize),
    runtime=SimpleNamespace(memGetInfo=lambda: (free_bytes, 2**40)),
)


def get_default_memory_pool() -> Any:
    return SimpleNamespace(
        free_bytes=lambda: 0, get_limit=lambda: memory_limit, used_bytes=lambda: 2**19
    )
