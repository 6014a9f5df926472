"""Captured training steps are the ordinary ones, step for step; and what becomes of them where they
can't be captured. A stand-in (`capture.py`) captures and replays without a GPU; the tests marked
`gpu` do it on one.
"""

import itertools
from types import SimpleNamespace

import capture
import numpy as np
import pytest
import strict
from test_backends import MODELS
from witness import relative_error

from tinyvae import IWAE, VAE, backend, fit, graph, kernels, latent
from tinyvae.layers import Dense, ReLU, Sequential
from tinyvae.optim import Adam

DEVICE = capture.Device()
ALL = MODELS | {
    "iwae": (IWAE, {"sigma": "auto", "importance_samples": 3}),
    "iwae, k = 1": (IWAE, {"importance_samples": 1}),
    "iwae, conditional": (IWAE, {"n_classes": 3, "likelihood": "bernoulli"}),
}
X = np.random.default_rng(0).random((41, 6))  # batches of 10, 10, 10, 10 and 1
LABELS = np.arange(41) % 3


@pytest.fixture(autouse=True)
def cublas(monkeypatch):
    library = capture.Cublas()
    monkeypatch.setattr(kernels, "load_cublas", lambda: library)
    return library


def train(name, captured=True, where=DEVICE, dtype="float64", **options):
    """Return a model and the history of its training, captured or step by step."""
    kind, arguments = ALL[name]
    model = kind(6, 2, **{"hidden": (7, 5), **arguments}, backend=where, dtype=dtype, seed=1)
    if model.n_classes:
        options |= {"labels": LABELS, "validation_labels": LABELS[:7]}
    options = {"epochs": 3, "batch_size": 10, "lr": 1e-2, "validation": X[:7]} | options
    with pytest.MonkeyPatch.context() as patch:
        if not captured:
            patch.setattr(graph, "GraphSteps", lambda *arguments, tf32: graph.Steps(*arguments))
        history = fit(model, X.astype(dtype), progress=False, **options)
    return model, [[*row.values()][2:] for row in history]


def assert_same(captured, ordinary, limit=1e-11):
    for (model, history), other in [(captured, ordinary)]:
        np.testing.assert_allclose(history, other[1], rtol=limit)
        theta, expected = model.parameters.theta.get(), other[0].parameters.theta.get()
        assert relative_error(theta, expected) < limit
        noise = [
            m.noise.standard_normal((2, 2), dtype=theta.dtype).get() for m in (model, other[0])
        ]
        np.testing.assert_array_equal(*noise)
        assert getattr(model, "beta", 0) == getattr(other[0], "beta", 0)


SCHEDULES = {
    "plain": {},
    "warm-up in cycles": {"kl_warmup": 1, "kl_cycles": 2, "epochs": 4},
    "cosine": {"lr_schedule": "cosine"},
    "sgd": {"optimizer": "sgd", "lr": 1e-3, "lr_schedule": "step"},
}


@pytest.mark.parametrize("name", ALL)
def test_a_captured_training_takes_the_steps_of_the_ordinary_one(name, capsys):
    options = {"kl_warmup": 2, "lr_schedule": "cosine"}
    assert_same(train(name, **options), train(name, captured=False, **options))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_what_changes_from_step_to_step_is_not_frozen(schedule):
    options = SCHEDULES[schedule]
    assert_same(train("gaussian", **options), train("gaussian", captured=False, **options))


def test_float32_differs_by_rounding_alone():
    both = [train("bernoulli", captured, dtype="float32") for captured in (True, False)]
    assert_same(*both, limit=1e-4)


def test_a_resumed_captured_training_ends_as_an_uninterrupted_one(tmp_path):
    class Killed(BaseException):
        pass

    def kill(row):
        if row["epoch"] == 2:
            raise Killed

    options = {"epochs": 4, "kl_warmup": 3, "lr_schedule": "cosine"}
    whole = train("auto", run=tmp_path / "whole", **options)
    with pytest.raises(Killed):
        train("auto", run=tmp_path / "cut", callback=kill, **options)
    resumed = train("auto", run=tmp_path / "cut", resume=True, **options)
    np.testing.assert_array_equal(*(m.parameters.theta.get() for m, _ in (whole, resumed)))
    assert whole[1] == resumed[1]


def test_an_optimizer_goes_on_from_where_it_stands():
    results = []
    for captured in (True, False):
        model, _ = train("gaussian", captured=False, epochs=1)
        optimizer = Adam(model.parameters, lr=1e-2)
        for _ in range(2):
            with pytest.MonkeyPatch.context() as patch:
                if not captured:
                    patch.setattr(graph, "_obstacle", lambda steps: "as the test wishes")
                fit(model, X, 1, 10, optimizer=optimizer, progress=False)
        results.append([optimizer.t, *(a.get() for a in (optimizer.M, optimizer.V))])
    assert results[0][0] == results[1][0] == 10
    for one, other in zip(*results, strict=True):
        assert relative_error(np.asarray(one), np.asarray(other)) < 1e-11


def steps_of(name="gaussian", **options):
    """Return the captured steps of a training, and its model, at the start of an epoch."""
    made = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph.GraphSteps, "close", lambda self: made.append(self))
        model, _ = train(name, epochs=1, **options)
    return made[0], model


def test_a_step_is_one_launch_and_copies_nothing(cublas, monkeypatch):
    steps, _ = steps_of()
    steps.start(2)
    launches, calls, strict.copies = [], len(cublas.calls), 0
    launch = capture.Graph.launch
    monkeypatch.setattr(capture.Graph, "launch", lambda g: (launches.append(g), launch(g)))
    monkeypatch.setattr(VAE, "forward", None)
    for step in range(len(steps)):
        steps.take(step)
    assert len(launches) == len(steps) and launches[0] is launches[3] is not launches[4]
    assert strict.copies == 0 and len(cublas.calls) == calls


# Planted errors: the comparison above would see them


def plant_frozen_t(monkeypatch):
    original = graph.GraphSteps._step

    def step(self, size):  # Adam itself, which computes with Python's t
        self.kernels = self.kernels | {"adam_step": lambda *a: Adam.step(self.twin_optimizer)}
        original(self, size)

    monkeypatch.setattr(graph.GraphSteps, "_step", step)


def plant_frozen_beta(monkeypatch):
    frozen = property(lambda self: 0.3, lambda self, value: None)

    def twin(self):
        made = twin_of(self)
        type(made).beta = frozen
        return made

    twin_of = graph.GraphSteps._twin
    monkeypatch.setattr(graph.GraphSteps, "_twin", twin)


def plant_fresh_array(monkeypatch):
    original = graph.GraphSteps._capture

    def capture_and_replace(self, size):
        made = original(self, size)
        self.table = self.table.copy()
        return made

    monkeypatch.setattr(graph.GraphSteps, "_capture", capture_and_replace)


def plant_noise_of_the_capture(monkeypatch):
    original = graph.GraphSteps._capture

    def capture_with_noise_drawn_before(self, size):
        eps = strict.asarray(np.ones((size, 2)))
        self.twin.noise = SimpleNamespace(standard_normal=lambda shape, dtype: eps)
        return original(self, size)

    monkeypatch.setattr(graph.GraphSteps, "_capture", capture_with_noise_drawn_before)


PLANTS = [plant_frozen_t, plant_frozen_beta, plant_fresh_array, plant_noise_of_the_capture]


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_error_is_seen(plant, monkeypatch):
    options = {"kl_warmup": 2, "lr_schedule": "cosine"}
    expected = train("gaussian", captured=False, **options)
    plant(monkeypatch)
    with pytest.raises(AssertionError, match="tolerance"):
        assert_same(train("gaussian", **options), expected, limit=1e-5)


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
    "softplus": (backend.softplus, 1),
    "reparameterize": (latent.reparameterize, 3),
    "reparameterize_backward": (latent.reparameterize_backward, 3),
    "kl": (latent.kl, 2),
    "kl_backward": (latent.kl_backward, 3),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_kernel_computes_what_the_function_of_its_name_does(name, rng):
    function, count = FUNCTIONS[name]
    arguments = [4 * rng.standard_normal((3, 5)) for _ in range(count)]
    found = kernels.kernels(capture)[name](*map(strict.asarray, arguments))
    expected = function(*arguments)
    for one, other in zip(
        *[a if isinstance(a, tuple) else (a,) for a in (found, expected)], strict=True
    ):
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
def test_cublas_multiplies_matrices_however_they_lie(shape, rng):
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


OBSTACLES = {
    "OwnReLU is code of your own": lambda patch: own_layers(),
    "the data stay on the host": lambda patch: patch.setattr(capture, "free_bytes", 100),
    "no kernel image": lambda patch: patch.setitem(kernels.kernels(capture), "note", broken_kernel),
    "libcublas.so.13 is not here": lambda patch: patch.setattr(kernels, "load_cublas", missing),
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
    model = VAE(6, 2, (5,), backend=DEVICE, seed=1)
    model.forward = lambda *args, **kwargs: VAE.forward(model, *args, **kwargs)
    fit(model, X, 1, progress=False)
    assert "VAE is code of your own" in capsys.readouterr().err


def test_on_numpy_there_is_nothing_to_say(capsys):
    train("gaussian", where="numpy")
    assert capsys.readouterr().err == ""
