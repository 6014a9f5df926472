"""Captured training steps are the ordinary ones, step for step. A stand-in (`capture.py`) captures
and replays without a GPU; the tests marked `gpu` do it on one.
"""

from types import SimpleNamespace

import capture
import numpy as np
import pytest
import strict
from test_backends import MODELS
from witness import relative_error

from tinyvae import IWAE, VAE, fit, graph, kernels
from tinyvae.backend import get_backend
from tinyvae.optim import Adam

DEVICE = capture.Device()
ALL = MODELS | {
    "iwae": (IWAE, {"sigma": "auto", "importance_samples": 3}),
    "iwae, k = 1": (IWAE, {"importance_samples": 1}),
    "iwae, conditional": (IWAE, {"n_classes": 3, "likelihood": "bernoulli"}),
}
X = np.random.default_rng(0).random((41, 6))  # batches of 10, 10, 10, 10 and 1
LABELS = np.arange(41) % 3


pytestmark = pytest.mark.usefixtures("cublas")


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


# On a device


@pytest.fixture
def on_gpu(monkeypatch):
    """The real cuBLAS, in the stand-in's place."""
    monkeypatch.undo()
    return get_backend("cupy")


@pytest.mark.gpu
@pytest.mark.parametrize("name", ALL)
def test_on_a_gpu_captured_steps_are_the_ordinary_ones(name, on_gpu, capsys):
    options = {"where": on_gpu, "kl_warmup": 2, "lr_schedule": "cosine"}
    assert_same(train(name, **options), train(name, captured=False, **options), limit=1e-9)
    assert capsys.readouterr().err == ""


@pytest.mark.gpu
def test_on_a_gpu_every_replay_draws_anew(on_gpu):
    steps, _ = steps_of(where=on_gpu)
    steps.start(2)
    draws = []
    for step in range(4):
        steps.take(step)
        draws.append(on_gpu.to_numpy(steps.twin.eps).ravel().tolist())
    assert len({tuple(draw) for draw in draws}) == 4
    assert abs(np.mean(draws)) < 0.5 and 0.6 < np.std(draws) < 1.4


def librarys_own(product, a, b, out=None):
    return product.xp.matmul(a, b, out=out)


@pytest.mark.gpu
def test_on_a_gpu_a_capture_that_is_refused_falls_back(on_gpu, monkeypatch, capsys):
    monkeypatch.setattr(kernels.Cublas, "__call__", librarys_own)
    found = train("gaussian", where=on_gpu)
    assert "not as one CUDA graph" in capsys.readouterr().err
    assert_same(found, train("gaussian", captured=False, where=on_gpu), limit=1e-9)
