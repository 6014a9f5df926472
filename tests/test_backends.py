"""NumPy and CuPy: the choice between them, the noise, and nothing that only one of the two can do.

A strict stand-in (`strict.py`) runs the training step as CuPy would; the tests marked `gpu` run it
on CuPy itself, and are skipped where there is no device.
"""

import inspect
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import strict
from witness import relative_error

from tinyvae.core.arrays import array_module
from tinyvae.core.columns import Columns
from tinyvae.core.optim import SGD, Adam
from tinyvae.device import Backend, get_backend, seed_sequence
from tinyvae.models import VAE, Autoencoder

STRICT = Backend("strict", strict)
MODELS = {
    "gaussian": (VAE, {"sigma": 0.5}),
    "auto": (VAE, {"sigma": "auto"}),
    "sigmoid": (VAE, {"sigma": "auto", "output": "sigmoid", "activation": "tanh"}),
    "bernoulli": (VAE, {"likelihood": "bernoulli", "activation": "softplus", "beta": 0.5}),
    "free bits": (VAE, {"free_bits": 0.1, "activation": "sigmoid"}),
    "conditional": (VAE, {"n_classes": 3}),
    "linear": (VAE, {"hidden": ()}),
    "autoencoder": (Autoencoder, {"sigma": 0.5}),
    "per feature": (VAE, {"sigma": "per-feature", "missing": "mask"}),
    "mixed": (
        VAE,
        {"likelihood": "mixed", "columns": [("gaussian", 2), ("categorical", 3), ("bernoulli", 1)]},
    ),
}


def model_and_batch(name: str, backend: str | Backend, dtype: str) -> tuple:
    """Return a model, and the arguments of its forward pass on the host."""
    model, options = MODELS[name]
    options = {"n_features": 6, "latent_dim": 2, "hidden": (7, 5)} | options
    rng = np.random.default_rng(0)
    arguments = {"x": rng.random((9, 6)).astype(dtype)}
    if "missing" in options:
        arguments["x"][2:5, 1] = np.nan
    if "columns" in options:
        arguments["x"][:, 2:5] = np.eye(3)[np.arange(9) % 3]
    if model is VAE:
        arguments["eps"] = rng.standard_normal((9, 2)).astype(dtype)
    if "n_classes" in options:
        arguments["labels"] = rng.integers(0, 3, 9)
    return model(**options, backend=backend, dtype=dtype), arguments


def train(name: str, optimizer: type, backend: Backend, dtype: str, steps: int = 101) -> list:
    """Return the terms, gradient and weights after some steps, as they lie on the backend."""
    model, arguments = model_and_batch(name, backend, dtype)
    arguments = {k: backend.asarray(value) for k, value in arguments.items()}
    optimizer = optimizer(model.parameters)
    for _ in range(steps):
        terms = model.forward(**arguments)
        model.backward()
        optimizer.step()
        if isinstance(model.likelihood, Columns):
            model.likelihood.move()
    found = [*terms, terms.elbo, model.parameters.grad, model.parameters.theta]
    return [*found, model.likelihood.variance] if isinstance(model.likelihood, Columns) else found


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MODELS)
def test_a_training_step_needs_nothing_that_cupy_lacks_and_copies_nothing(name, dtype):
    optimizer = SGD if name == "linear" else Adam
    strict.copies = 0
    found = train(name, optimizer, STRICT, dtype)
    assert strict.copies == 0
    expected = train(name, optimizer, Backend("numpy", np), dtype)
    for device, host in zip(found, expected, strict=True):
        assert type(device) is strict.ndarray and device.dtype == dtype
        assert relative_error(device.get(), host) < (1e-5 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("name", ["auto", "bernoulli", "conditional", "per feature", "mixed"])
def test_encoding_decoding_and_sampling_stay_on_the_device(name):
    model, arguments = model_and_batch(name, STRICT, "float32")
    host, _ = model_and_batch(name, "numpy", "float32")
    labels = {"labels": arguments["labels"]} if "labels" in arguments else {}
    strict.copies = 0
    found = [
        *model.encode(arguments["x"], **labels),
        model.decode(arguments["eps"], **labels),
        model.reconstruct(arguments["x"], **labels),
        model.forward(arguments["x"], **labels).loss,  # with noise of its own
    ]
    assert strict.copies == 0
    expected = [
        *host.encode(arguments["x"], **labels),
        host.decode(arguments["eps"], **labels),
        host.reconstruct(arguments["x"], **labels),
        host.forward(arguments["x"], **labels).loss,
    ]
    for device, numpy in zip(found, expected, strict=True):
        np.testing.assert_allclose(device.get(), numpy, rtol=1e-5)


def test_weights_of_a_model_on_the_device_may_be_set_from_the_host():
    model, _ = model_and_batch("auto", STRICT, "float32")
    model.parameters["encoder.0.b"] = np.arange(7.0)
    np.testing.assert_array_equal(model.parameters["encoder.0.b"].get(), np.arange(7.0))


def test_an_optimizers_state_stays_on_the_device():
    model, _ = model_and_batch("auto", STRICT, "float32")
    for optimizer in (Adam(model.parameters), SGD(model.parameters, momentum=0.9)):
        strict.copies = 0
        optimizer.step()
        optimizer.set_state(optimizer.state())
        assert strict.copies == 0


def a() -> strict.ndarray:
    return strict.asarray(np.array([[1.0, 2.0], [3.0, 4.0]], "float32"))


@pytest.mark.parametrize(
    "misuse",
    [
        lambda: float(a().sum()),
        lambda: int(a().sum()),
        lambda: bool(a().sum() > 0),
        lambda: a().sum().item(),
        lambda: list(a()),
        lambda: np.asarray(a()),
        lambda: np.exp(a()),
        lambda: np.concatenate([a(), a()]),
        lambda: a() + np.ones(2, "float32"),
        lambda: np.ones(2, "float32") + a(),
        lambda: a() * np.float64(2),
        lambda: np.float64(2) * a(),
        lambda: a()[a() > 1],
        lambda: a().__setitem__(slice(None), np.zeros((2, 2))),
        lambda: strict.maximum(a(), np.zeros((2, 2))),
        lambda: strict.exp(a(), where=True),
        lambda: strict.sum(a(), axis=0, initial=1.0),
        lambda: strict.take(a(), strict.asarray([0]), axis=0, mode="clip"),
        lambda: strict.matmul(a(), a(), out=strict.zeros((2, 2), dtype="float64")),
        lambda: strict.matmul(a(), a(), out=strict.zeros((2, 2), dtype="float32").T),
        lambda: strict.logaddexp,
        lambda: strict.errstate,
    ],
)
def test_the_strict_stand_in_refuses_what_cupy_would_refuse(misuse):
    with pytest.raises((TypeError, AttributeError)):
        misuse()


def test_the_strict_stand_in_computes_as_numpy_does():
    assert array_module(a()) is strict
    x = a()
    x += 1.0
    x[:, 0] = 0.0
    np.testing.assert_array_equal(x.get(), [[0, 3], [0, 5]])
    np.testing.assert_array_equal((x @ x.T).get(), [[9, 15], [15, 25]])
    view = x.reshape(4)[1:3]
    view *= 2.0
    np.testing.assert_array_equal(x.get(), [[0, 6], [0, 5]])
    strict.sum(x, axis=0, out=view)
    np.testing.assert_array_equal(x.get(), [[0, 0], [11, 5]])


def test_the_strict_stand_in_offers_only_what_cupy_has():
    cupy = pytest.importorskip("cupy", reason="CuPy, whose names are compared, is not installed")
    for name in strict.UFUNCS:
        assert isinstance(getattr(cupy, name), cupy.ufunc), name
    for name, arguments in strict.FUNCTIONS.items():
        theirs = inspect.signature(getattr(cupy, name)).parameters
        first = {"a", "b", "arrays"}  # names of positional arguments differ
        assert {*arguments.split()} - first <= {*theirs}, name


# The choice


def test_numpy_is_taken_by_name_and_cupy_never_in_its_place():
    backend = get_backend("numpy")
    assert (backend.name, backend.xp) == ("numpy", np)
    assert get_backend(backend) is backend


@pytest.mark.parametrize("name", ["torch", "", None, "NumPy"])
def test_an_unknown_backend_is_named(name):
    with pytest.raises(ValueError, match="backend must be one of auto, numpy, cupy, not"):
        get_backend(name)


def no_device():
    raise RuntimeError("cudaErrorInsufficientDriver: too old\nand a second line")


def fake(is_available, driver: int = 13000, built: int = 13000) -> SimpleNamespace:
    """Return a CuPy whose device is (not) available, with these versions of CUDA."""
    runtime = SimpleNamespace(driverGetVersion=lambda: driver, runtimeGetVersion=lambda: built)
    return SimpleNamespace(cuda=SimpleNamespace(is_available=is_available, runtime=runtime))


BROKEN = {
    "not installed": (None, "import of cupy halted"),
    "no device": (fake(lambda: False), "no GPU: the driver is for CUDA 13.0, CuPy for 13.0"),
    "no driver": (fake(lambda: False, driver=0), "no GPU: there is no NVIDIA driver"),
    "bad driver": (fake(no_device), "too old"),
    "no compiler": (fake(lambda: True), "ones"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_cupy_that_does_not_work_is_one_clear_line_and_auto_takes_numpy(fault, monkeypatch):
    module, reason = BROKEN[fault]
    monkeypatch.setitem(sys.modules, "cupy", module)
    with pytest.raises(RuntimeError) as error:
        VAE(4, backend="cupy")
    assert str(error.value).startswith("backend 'cupy' does not work here (")
    assert reason in str(error.value) and "'numpy'" in str(error.value)
    assert "\n" not in str(error.value)
    assert get_backend("auto").name == "numpy"


def test_a_driver_that_is_too_old_for_cupy_is_named_with_both_versions(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", fake(lambda: False, driver=12040, built=13000))
    with pytest.raises(RuntimeError) as error:
        get_backend("cupy")
    assert str(error.value) == (
        "backend 'cupy' does not work here (CuPy finds no GPU: the driver is for CUDA 12.4, CuPy "
        "for 13.0): update the driver, or install the CuPy that fits it, or choose backend 'numpy'"
    )


# Randomness


def test_streams_and_epochs_have_independent_seeds_and_repeat():
    def first(*arguments):
        return np.random.default_rng(seed_sequence(*arguments)).standard_normal(4).tolist()

    keys = [(0, "weights"), (1, "weights"), (0, "eps"), (0, "batches"), (0, "batches", 1)]
    draws = [first(*key) for key in keys]
    assert len({tuple(draw) for draw in draws}) == len(keys)
    assert draws == [first(*key) for key in keys]


def test_nothing_touches_numpys_global_random_state():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    model, arguments = model_and_batch("auto", "numpy", "float32")
    model.forward(arguments["x"])
    model.sample(3, noise=True)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


# CuPy itself


@pytest.mark.gpu
@pytest.mark.parametrize(("dtype", "limit"), [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("name", MODELS)
def test_cupy_gives_the_same_loss_and_gradient(name, dtype, limit):
    found = []
    for backend in ("cupy", "numpy"):
        model, arguments = model_and_batch(name, backend, dtype)
        terms = model.forward(**arguments)
        model.backward()
        to_numpy = model.backend.to_numpy
        found.append([to_numpy(array) for array in (*terms, model.parameters.grad)])
    for device, host in zip(*found, strict=True):
        assert device.dtype == host.dtype and relative_error(device, host) < limit


@pytest.mark.gpu
@pytest.mark.parametrize("optimizer", [Adam, SGD])
def test_cupy_trains_to_the_same_weights(optimizer):
    device = train("sigmoid", optimizer, get_backend("cupy"), "float64")
    host = train("sigmoid", optimizer, get_backend("numpy"), "float64")
    for one, other in zip(device, host, strict=True):
        assert relative_error(get_backend("cupy").to_numpy(one), other) < 1e-9


@pytest.mark.gpu
def test_cupy_draws_fresh_standard_normal_noise_that_its_seed_repeats():
    vae = VAE(3, 2, hidden=(4,), backend="cupy")
    vae.forward(np.ones((50_000, 3), "float32"))
    first = vae.backend.to_numpy(vae.eps)
    vae.forward(np.ones((50_000, 3), "float32"))
    second = vae.backend.to_numpy(vae.eps)
    assert (first != second).any()
    assert np.abs(first.mean(axis=0)).max() < 0.02
    assert np.abs(first.std(axis=0) - 1).max() < 0.02
    assert np.abs(np.corrcoef(np.hstack([first, second]).T) - np.eye(4)).max() < 0.02
    np.testing.assert_array_equal(*[vae.sample(5, seed=1).get() for _ in range(2)])
