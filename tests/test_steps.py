"""Where training steps can't be captured they are taken one launch after another; and what a step
needs of a GPU: its memory, and TF32 where that is asked for.
"""

import tracemalloc
from types import SimpleNamespace

import capture
import pytest
import strict
from test_graph import ALL, DEVICE, X, assert_same, librarys_own, train

from tinyvae import VAE, fit
from tinyvae.cli.train import main
from tinyvae.core.layers import Dense, ReLU, Sequential
from tinyvae.engines import fused, graph, kernels
from tinyvae.engines import plain as steps
from tinyvae.engines.plain import step_bytes
from tinyvae.train.runs import open_run

pytestmark = pytest.mark.usefixtures("cublas")


# Where steps can't be captured


class OwnReLU(ReLU):
    pass


def own_layers():
    return {
        "encoder": Sequential(Dense(6, 5), OwnReLU(), Dense(5, 4)),
        "decoder": Sequential(Dense(2, 6)),
    }


def broken_kernel(*arguments):
    raise RuntimeError("no kernel image\nfor this device")


def missing():
    raise RuntimeError("libcublas.so.13 is not here")


def no_compiler(module, name):
    raise RuntimeError("no compiler")


def own_code(patch, *change):
    """Change what a step made of the model's own code needs, and let it be made of that."""
    patch(*change)
    patch.__self__.setattr(fused, "possible", lambda *steps: False)


OBSTACLES = {
    "calling cuBLAS API during stream capture is unsupported": lambda patch: own_code(
        patch.setattr, kernels.Cublas, "__call__", librarys_own
    ),
    "OwnReLU is code of your own": lambda patch: own_layers(),
    "the data stay on the host": lambda patch: patch.setattr(capture, "free_bytes", 100),
    "no kernel image": lambda patch: own_code(
        patch.setitem, kernels.kernels(capture), "note", broken_kernel
    ),
    "no compiler": lambda patch: patch.setattr(capture.RawModule, "get_function", no_compiler),
    "libcublas.so.13 is not here": lambda patch: own_code(
        patch.setattr, kernels, "load_cublas", missing
    ),
}


@pytest.mark.parametrize("reason", OBSTACLES)
def test_what_cannot_be_captured_trains_all_the_same_and_says_so_once(reason, monkeypatch, capsys):
    options = OBSTACLES[reason](monkeypatch) or {}
    kind = {**ALL["gaussian"][1], **options}
    monkeypatch.setitem(ALL, "here", (VAE, kind))
    found = train("here", kl_warmup=2)
    start = "note: each step is launched piece by piece, not as one CUDA graph: "
    assert capsys.readouterr().err == f"{start}{reason}\n"
    if options:
        monkeypatch.setitem(ALL, "here", (VAE, kind | own_layers()))
    assert_same(found, train("here", captured=False, kl_warmup=2))


def test_a_capture_that_fails_for_the_last_batch_leaves_everything_as_it_was(monkeypatch, capsys):
    original = graph.GraphSteps._step

    def step(self, size):
        original(self, size)
        if size == 1 and strict.tape is not None:
            raise MemoryError("out of memory")

    monkeypatch.setattr(graph.GraphSteps, "_step", step)
    found = train("auto", kl_warmup=2)
    assert capsys.readouterr().err.count("\n") == 1
    assert_same(found, train("auto", captured=False, kl_warmup=2))


def test_a_method_that_was_replaced_is_not_captured(capsys):
    model = VAE(6, 2, hidden=(5,), backend=DEVICE, seed=1)
    model.forward = lambda *args, **kwargs: VAE.forward(model, *args, **kwargs)
    fit(model, X, 1, progress=False)
    assert "VAE is code of your own" in capsys.readouterr().err


def test_on_numpy_there_is_nothing_to_say(capsys):
    train("gaussian", where="numpy")
    assert capsys.readouterr().err == ""


# TF32, and memory


def test_tf32_is_allowed_for_the_training_and_taken_back(monkeypatch, cublas):
    types = ["default"]
    linalg = SimpleNamespace(
        COMPUTE_TYPE_TF32="tf32",
        get_compute_type=lambda dtype: types[-1],
        set_compute_type=lambda dtype, kind: types.append(kind),
    )
    monkeypatch.setattr(capture, "_core", SimpleNamespace(_routines_linalg=linalg), raising=False)
    monkeypatch.setattr(fused, "possible", lambda *steps: False)
    train("gaussian", dtype="float32", tf32=True)
    assert types == ["default", "tf32", "default"] and {*cublas.calls} == {77}


@pytest.mark.parametrize("options", [{"where": "numpy", "dtype": "float32"}, {"dtype": "float64"}])
def test_tf32_without_a_gpu_or_float32_is_refused(options):
    with pytest.raises(ValueError, match="tf32 is for float32 on a GPU, not for backend "):
        train("gaussian", tf32=True, **options)


def test_out_of_memory_says_what_would_fit_and_keeps_the_last_epoch(monkeypatch, tmp_path):
    draw = graph.Steps.draw

    def draw_until_the_second_epoch(self, step):
        if self.batches is not first[0]:
            raise MemoryError("Out of memory allocating 1,024 bytes (allocated so far: 0 bytes)")
        return draw(self, step)

    first = []
    start = graph.Steps.start
    monkeypatch.setattr(
        graph.Steps, "start", lambda self, *a: (start(self, *a), first.append(self.batches))
    )
    monkeypatch.setattr(graph.Steps, "draw", draw_until_the_second_epoch)
    monkeypatch.setattr(capture, "free_bytes", 2**20)
    # A row: 2 · 6 numbers and 2 of each layer's 7 + 5 + 4 + 5 + 7 + 6, of 8 bytes; always 7 · 218.
    needs = "a step on 10000 rows needs about 6.1 MiB, 1 MiB were free: a batch size of 1455 would"
    with pytest.raises(MemoryError, match=f"^out of memory on the GPU: {needs} fit$"):
        train("gaussian", captured=False, batch_size=10_000, run=tmp_path / "r")
    assert len(open_run(tmp_path / "r").histories[0]) == 1


def test_what_is_free_heeds_a_limit_of_cupys_memory(monkeypatch):
    assert steps.free_bytes(capture) == 2**40
    monkeypatch.setattr(capture, "memory_limit", 2**20)
    assert steps.free_bytes(capture) == 2**20 - 2**19


@pytest.mark.parametrize(
    ("size", "text"), [(1.5 * 2**20, "1.5 MiB"), (254 * 2**20, "254 MiB"), (140 * 2**30, "140 GiB")]
)
def test_sizes_are_written_out(size, text):
    assert steps._size(size) == text


@pytest.mark.parametrize(
    ("name", "batch_size"), [("sigmoid", 4000), ("bernoulli", 4000), ("iwae", 1000)]
)
def test_the_memory_of_a_step_is_estimated_within_a_factor_of_two(name, batch_size, rng):
    kind, options = ALL[name]
    model = kind(64, 4, **{"hidden": (50,), **options}, backend="numpy")
    x = rng.random((batch_size, 64)).astype("float32")
    tracemalloc.start()
    model.forward(x)
    model.backward()
    peak = tracemalloc.get_traced_memory()[1] + x.nbytes
    tracemalloc.stop()
    _, row = step_bytes(model)
    assert peak / 2 < row * batch_size < 2 * peak


def test_the_commands_tf32_without_a_gpu_is_one_line_and_status_2(tmp_path, capsys):
    assert main(["--tf32", "--backend", "numpy", "--out", str(tmp_path / "r")]) == 2
    assert capsys.readouterr().err == (
        "tinyvae train: error: tf32 is for float32 on a GPU, not for backend 'numpy' with float32:"
        " leave it out\n"
    )
    assert not (tmp_path / "r").exists()
