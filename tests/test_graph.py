"""Captured training steps are the ordinary ones, step for step. A stand-in (`capture.py`) captures
and replays without a GPU; the tests marked `gpu` do it on one.
"""

import re
from importlib import resources
from types import SimpleNamespace

import capture
import numpy as np
import pytest
import strict
from test_backends import MODELS
from witness import relative_error

from tinyvae import IWAE, VAE, Autoencoder, fit
from tinyvae.core.layers import Dense, ReLU, Sequential, Tanh
from tinyvae.core.optim import Adam
from tinyvae.device import get_backend
from tinyvae.engines import fused, graph, kernels

DEVICE = capture.Device()
OF_COLUMNS = ("per feature", "mixed")  # which are never captured
ALL = {name: model for name, model in MODELS.items() if name not in OF_COLUMNS} | {
    "iwae": (IWAE, {"sigma": "auto", "importance_samples": 3}),
    "iwae, k = 1": (IWAE, {"importance_samples": 1}),
    "iwae, conditional": (IWAE, {"n_classes": 3, "likelihood": "bernoulli"}),
}
X = np.random.default_rng(0).random((41, 6))  # batches of 10, 10, 10, 10 and 1
LABELS = np.arange(41) % 3


pytestmark = pytest.mark.usefixtures("cublas")


NO_COMPILER = "no C++ compiler is installed, which the kernels need to run on the host"
on_the_host = pytest.mark.skipif(not capture.COMPILER, reason=NO_COMPILER)


@pytest.fixture(params=["the model's own code", "fused kernels"])
def way(request, monkeypatch):
    """Whether a captured step is made of the model's own code or, where possible, of fused.cu."""
    if request.param == "the model's own code":
        monkeypatch.setattr(fused, "possible", lambda *steps: False)
    elif not capture.COMPILER and not request.node.get_closest_marker("gpu"):
        pytest.skip(NO_COMPILER)
    return request.param


def train(name, captured=True, where=DEVICE, dtype="float64", change=None, **options):
    """Return a model and the history of its training, captured or step by step; `change` gets the
    model after every epoch."""
    kind, arguments = ALL[name]
    model = kind(6, 2, **{"hidden": (7, 5), **arguments}, backend=where, dtype=dtype, seed=1)
    if model.n_classes:
        options |= {"labels": LABELS, "validation_labels": LABELS[:7]}
    options = {"epochs": 3, "batch_size": 10, "lr": 1e-2, "validation": X[:7]} | options
    if change:
        options["callback"] = lambda row: change(model)
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
def test_a_captured_training_takes_the_steps_of_the_ordinary_one(name, way, capsys):
    options = {"kl_warmup": 2, "lr_schedule": "cosine"}
    assert_same(train(name, **options), train(name, captured=False, **options))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_what_changes_from_step_to_step_is_not_frozen(schedule, way):
    options = SCHEDULES[schedule]
    assert_same(train("gaussian", **options), train("gaussian", captured=False, **options))


def test_float32_differs_by_rounding_alone(way):
    both = [train("bernoulli", captured, dtype="float32") for captured in (True, False)]
    assert_same(*both, limit=1e-4)


def test_a_resumed_captured_training_ends_as_an_uninterrupted_one(tmp_path, way):
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


def test_an_optimizer_goes_on_from_where_it_stands(way):
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


def test_what_a_callback_changes_between_epochs_counts(way):
    def change(model):
        model.free_bits, model.reconstruction_weight, model.beta = 0.2, 0.5, 0.3
        model.likelihood.sigma = 0.7

    assert_same(train("gaussian", change=change), train("gaussian", captured=False, change=change))
    assert relative_error(*(train("gaussian", change=c)[1][-1][0] for c in (change, None))) > 0.1


NETWORKS = {  # an encoder's and a decoder's layers, with a ReLU that follows no Dense, or none
    "ReLU after Tanh": (lambda: [Dense(6, 5), Tanh(), ReLU(), Dense(5, 2)], lambda: [Dense(2, 6)]),
    "ReLU first": (lambda: [ReLU(), Dense(6, 2)], lambda: [ReLU(), Dense(2, 6)]),
    "ReLU last": (lambda: [Dense(6, 2), ReLU()], lambda: [Dense(2, 6), ReLU(), ReLU()]),
}


@pytest.mark.parametrize("layers", NETWORKS)
def test_a_captured_network_may_have_its_layers_in_any_order(layers):
    found = []
    for captured in (True, False):
        encoder, decoder = (Sequential(*make()) for make in NETWORKS[layers])
        networks = {"encoder": encoder, "decoder": decoder}
        model = Autoencoder(6, 2, **networks, backend=DEVICE, dtype="float64")
        with pytest.MonkeyPatch.context() as patch:
            if not captured:
                patch.setattr(graph, "GraphSteps", lambda *given, tf32: graph.Steps(*given))
            history = fit(model, X - 0.5, 3, 10, lr=1e-2, progress=False)
        found.append((model, [[row["loss"]] for row in history]))
    assert_same(*found)


def assert_a_nan_shows_at_once(where):
    def change(model):
        model.parameters["encoder.0.b"][...] = np.nan

    with pytest.raises(FloatingPointError, match="since epoch 2, step 1 of 5"):
        train("gaussian", where=where, change=change, validation=None)


def test_a_relu_hides_no_weight_that_is_not_a_number(way):
    assert_a_nan_shows_at_once(DEVICE)


def steps_of(name="gaussian", **options):
    """Return the captured steps of a training, and its model, at the start of an epoch."""
    made = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph.GraphSteps, "close", lambda self: made.append(self))
        model, _ = train(name, epochs=1, **options)
    return made[0], model


def take(steps, step):
    """Take a step as `fit` does."""
    terms = steps.forward(steps.draw(step))
    steps.backward()
    steps.step()
    steps.note(step, terms)


def test_a_step_is_one_launch_and_copies_nothing(cublas, way, monkeypatch):
    steps, _ = steps_of()
    steps.start(2)
    launches, calls, strict.copies = [], len(cublas.calls), 0
    launch = capture.Graph.launch
    monkeypatch.setattr(capture.Graph, "launch", lambda g: (launches.append(g), launch(g)))
    monkeypatch.setattr(VAE, "loss", None)
    for step in range(len(steps)):
        take(steps, step)
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
    monkeypatch.setattr(fused, "possible", lambda *steps: False)
    plant(monkeypatch)
    with pytest.raises(AssertionError, match="tolerance"):
        assert_same(train("gaussian", **options), expected, limit=1e-5)


PLANTS_IN_KERNELS = {  # a model, what stands in fused.cu, and what is put in its place
    "σ is σ²": ("gaussian", "exp(T(0.5) * logvar[j]) * eps[e]", "exp(logvar[j]) * eps[e]"),
    "no ½ in dlogvar": ("gaussian", "dz * T(0.5) * sigma", "dz * sigma"),
    "the KL has no gradient": ("gaussian", "dmu[j] = dz + dkl * mu[j]", "dmu[j] = dz"),
    "the activation has no slope": ("gaussian", "c * slope(x[", "c * T(0 * x["),
    "layers have no bias": ("gaussian", "stride(n) + n] = T(1)", "stride(n) + n] = T(0)"),
    "the decoder's first has none": ("gaussian", "stride(L) + L] = T(1)", "stride(L) + L] = T(0)"),
    "one batch again and again": ("gaussian", "++*position", "*position = 1"),
    "beta stands still": ("gaussian", "beta = now[0]", "beta = T(0.3)"),
    "the step stands still": ("gaussian", "step = now[1]", "step = T(0.01)"),
    "free bits count": ("free bits", "divergence[j] > free_bits", "true"),
    "σ² is off": ("auto", "(T(B) * T(n)), smallest", "(T(B) * T(n) + T(1)), smallest"),
    "the log's loss is off": ("gaussian", "line[0] = weight * r", "line[0] = T(2) * weight * r"),
    "no zeros behind the last": ("gaussian", "? from[i] : T(0)", "? from[i] : T(1)"),
}  # fmt: skip


@on_the_host
@pytest.mark.parametrize("plant", PLANTS_IN_KERNELS)
def test_an_error_planted_in_a_kernel_is_seen(plant, monkeypatch):
    name, right, wrong = PLANTS_IN_KERNELS[plant]
    source = fused.Fused._source

    def planted(self):
        assert right in source(self)
        return source(self).replace(right, wrong)

    options = {"kl_warmup": 2, "lr_schedule": "cosine", "epochs": 2}
    expected = train(name, captured=False, **options)
    monkeypatch.setattr(fused.Fused, "_source", planted)
    with pytest.raises((AssertionError, FloatingPointError), match=r"tolerance|not finite"):
        assert_same(train(name, **options), expected, limit=1e-5)


# Which steps the kernels of fused.cu take


WIDTHS = {
    "rows of whole fours, several blocks": (40, (36, 24), 4),
    "rows that are not": (33, (19,), 3),
    "one latent dimension": (9, (8,), 1),
    "no hidden layer": (40, (), 2),
}


def assert_kernels_take(where, sizes, **options):
    """Hold that two epochs of batches of 35 by fused.cu are those by the model's own code."""
    D, hidden, L = sizes
    x, results, steps = np.random.default_rng(1).random((70, D)), [], []
    take = fused.Fused.step
    for possible in (fused.possible, lambda *steps: False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fused, "possible", possible)
            patch.setattr(fused.Fused, "step", lambda self, B: (steps.append(B), take(self, B)))
            model = VAE(D, L, hidden=hidden, backend=where, dtype="float64", **options)
            history = fit(model, x, 2, 35, lr=1e-2, progress=False)
        results.append((where.to_numpy(model.parameters.theta), [row["loss"] for row in history]))
    (theta, losses), (expected, expected_losses) = results
    assert steps == [35] * (graph.WARM_UPS + 1)  # that many of the kernels' steps, one captured
    assert relative_error(theta, expected) < 1e-11
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-11)


@on_the_host
@pytest.mark.parametrize("widths", WIDTHS)
def test_kernels_take_layers_of_any_widths(widths):
    assert_kernels_take(DEVICE, WIDTHS[widths], likelihood="bernoulli")


@on_the_host
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "softplus"])
def test_kernels_know_every_activation(activation):
    assert_kernels_take(DEVICE, (9, (8, 7), 2), activation=activation)


def chosen(model, x=None, batch_size=10):
    return fused.possible(model, capture.asarray(X) if x is None else x, batch_size)


def test_kernels_are_for_a_vae_of_small_dense_layers_with_one_activation():
    def vae(*args, **options):
        return VAE(6, 2, *args, hidden=(8,), backend=DEVICE, dtype="float64", **options)

    assert chosen(vae())
    assert not chosen(vae(n_classes=3))
    assert not chosen(IWAE(6, 2, hidden=(8,), backend=DEVICE))
    assert not chosen(Autoencoder(6, 2, hidden=(8,), backend=DEVICE))
    assert not chosen(vae(), batch_size=2**24)
    assert not chosen(vae(), capture.asarray(X.T.copy()).T)
    two = Sequential(Dense(6, 5), ReLU(), Dense(5, 5), Tanh(), Dense(5, 4))
    decoder = Sequential(Dense(2, 6))
    assert not chosen(VAE(encoder=two, decoder=decoder, backend=DEVICE))
    bare = Sequential(Dense(6, 5), Dense(5, 5), Dense(5, 4))
    assert not chosen(VAE(encoder=bare, decoder=decoder, backend=DEVICE))


def test_kernels_hold_no_number_of_64_bits_in_float32():
    source = resources.files("tinyvae.engines").joinpath("fused.cu").read_text(encoding="utf-8")
    texts = [source, *fused.LIKELIHOODS.values(), *fused.RECONSTRUCTIONS.values()]
    texts += [*fused.OPTIMIZERS.values(), *(c for pair in fused.ACTIVATIONS.values() for c in pair)]
    for text in texts:
        assert not re.search(r"(?<![T\w.]\()(?<![\w.])\d+\.\d", text)


# On a device


@pytest.fixture
def on_gpu(monkeypatch):
    """The real cuBLAS, in the stand-in's place."""
    monkeypatch.undo()
    return get_backend("cupy")


@pytest.mark.gpu
@pytest.mark.parametrize("name", ALL)
def test_on_a_gpu_captured_steps_are_the_ordinary_ones(name, on_gpu, way, capsys):
    options = {"where": on_gpu, "kl_warmup": 2, "lr_schedule": "cosine"}
    assert_same(train(name, **options), train(name, captured=False, **options), limit=1e-9)
    assert capsys.readouterr().err == ""


@pytest.mark.gpu
def test_on_a_gpu_every_replay_draws_anew(on_gpu, way):
    steps, _ = steps_of(where=on_gpu, batch_size=41)
    draws = []
    for epoch in range(2, 22):
        steps.start(epoch)
        take(steps, 0)
        noise = steps.fused.eps if steps.fused else steps.twin.eps
        draws.append(on_gpu.to_numpy(noise).ravel().tolist())
    assert len({tuple(draw) for draw in draws}) == 20
    assert abs(np.mean(draws)) < 0.1 and 0.9 < np.std(draws) < 1.1  # 1,640 draws from N(0, 1)


@pytest.mark.gpu
def test_on_a_gpu_a_relu_hides_no_weight_that_is_not_a_number(on_gpu, way):
    assert_a_nan_shows_at_once(on_gpu)


@pytest.mark.gpu
@pytest.mark.parametrize("widths", [*WIDTHS.values(), (784, (400,), 20)])
def test_on_a_gpu_kernels_take_layers_of_any_widths(widths, on_gpu):
    assert_kernels_take(on_gpu, widths, likelihood="bernoulli")


def librarys_own(product, a, b, out=None):
    return product.xp.matmul(a, b, out=out)


@pytest.mark.gpu
def test_on_a_gpu_a_capture_that_is_refused_falls_back(on_gpu, monkeypatch, capsys):
    monkeypatch.setattr(fused, "possible", lambda *steps: False)
    monkeypatch.setattr(kernels.Cublas, "__call__", librarys_own)
    found = train("gaussian", where=on_gpu)
    assert "not as one CUDA graph" in capsys.readouterr().err
    assert_same(found, train("gaussian", captured=False, where=on_gpu), limit=1e-9)


def test_a_likelihood_of_columns_is_trained_piece_by_piece_and_said(capsys):
    x = np.where(X < 0.1, np.nan, X)
    found = []
    for backend in (DEVICE, "numpy"):
        model = VAE(6, 2, hidden=(5,), sigma="per-feature", backend=backend, dtype="float64")
        fit(model, x, 3, 10, missing=True, validation=x[:5], patience=9, progress=False)
        found.append((model.backend.to_numpy(model.parameters.theta), model.sigma))
    assert "not as one CUDA graph: the likelihood is one of columns" in capsys.readouterr().err
    for device, host in zip(*found, strict=True):
        assert device.shape == host.shape and np.isfinite(device).all()
