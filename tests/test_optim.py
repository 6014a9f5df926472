"""Optimizers against the textbook's recurrences, written plainly in float64."""

import math

import numpy as np
import pytest
from witness import relative_error

from tinyvae import threads
from tinyvae.core.layers import Dense, Sequential
from tinyvae.core.optim import SGD, Adam
from tinyvae.models import VAE, Parameters


def weights(dtype: str = "float64", n_in: int = 19, n_out: int = 10) -> Parameters:
    return Parameters({"net": Sequential(Dense(n_in, n_out))}, dtype=dtype)  # 200 of them


def gradients(steps: int, size: int, dtype: str = "float64", seed: int = 0) -> np.ndarray:
    """Return (steps, size) gradients that have a mean, noise, and very different scales."""
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.uniform(-6, 2, size)
    return (scale * (rng.standard_normal((steps, size)) + rng.standard_normal(size))).astype(dtype)


def textbook_adam(theta, all_g, lr=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8) -> np.ndarray:
    """Algorithm 1 of Kingma & Ba (2015), line by line."""
    theta, m, v = theta.astype("float64"), 0.0, 0.0
    for t, g in enumerate(all_g.astype("float64"), start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        theta = theta - lr * m_hat / (np.sqrt(v_hat) + epsilon)
    return theta


def run(optimizer, parameters, all_g) -> np.ndarray:
    for g in all_g:
        parameters.grad[...] = g
        optimizer.step()
    return parameters.theta


@pytest.mark.parametrize(("dtype", "limit"), [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lr": 0.01, "beta1": 0.5, "beta2": 0.9, "epsilon": 1e-3},
        {"beta1": 0.0},
    ],
)
def test_adam_follows_the_textbook_for_2000_steps(options, dtype, limit):
    parameters = weights(dtype)
    all_g = gradients(2000, 200, dtype)
    expected = textbook_adam(parameters.theta, all_g, **options)
    found = run(Adam(parameters, **options), parameters, all_g)
    assert found.dtype == dtype
    assert relative_error(found, expected) < limit


def test_adam_in_blocks_moves_every_weight_as_in_one_piece(monkeypatch):
    all_g = gradients(50, 200)
    whole = weights()
    run(Adam(whole), whole, all_g)
    for block in (1, 64, 100, 199):
        monkeypatch.setattr(threads, "BLOCK", block)
        parts = weights()
        run(Adam(parts), parts, all_g)
        np.testing.assert_array_equal(parts.theta, whole.theta)


def test_adams_first_step_has_the_size_of_the_learning_rate():
    parameters = weights()
    before = parameters.theta.copy()
    g = gradients(1, 200)
    run(Adam(parameters, lr=0.01, epsilon=1e-12), parameters, g)
    np.testing.assert_allclose(parameters.theta - before, -0.01 * np.sign(g[0]), rtol=1e-4)


@pytest.mark.parametrize(("dtype", "limit"), [("float32", 1e-5), ("float64", 1e-13)])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_follows_its_recurrence(momentum, dtype, limit):
    parameters = weights(dtype)
    all_g = gradients(2000, 200, dtype) * np.dtype(dtype).type(1e-3)
    theta, u = parameters.theta.astype("float64"), 0.0
    for g in all_g.astype("float64"):
        u = momentum * u + g
        theta = theta - 0.01 * u
    found = run(SGD(parameters, lr=0.01, momentum=momentum), parameters, all_g)
    assert relative_error(found, theta) < limit


@pytest.mark.parametrize("make", [Adam, SGD])
def test_a_step_descends_a_quadratic_to_its_minimum(make):
    parameters = weights()
    optimizer = make(parameters, lr=0.05)
    for _ in range(500):
        parameters.grad[...] = parameters.theta - 3.0  # the gradient of ½ ‖θ − 3‖²
        optimizer.step()
    np.testing.assert_allclose(parameters.theta, 3.0, atol=1e-6)


def test_the_learning_rate_may_change_between_steps():
    parameters = weights()
    optimizer = Adam(parameters, lr=0.01)
    run(optimizer, parameters, gradients(3, 200))
    before = parameters.theta.copy()
    optimizer.lr = 1e-300
    run(optimizer, parameters, gradients(3, 200))
    np.testing.assert_allclose(parameters.theta, before, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adam_flushes_moments_before_they_become_denormal(dtype):
    """A unit that died gets no gradient any more, and its moments decay for ever."""
    parameters = weights(dtype)
    optimizer = Adam(parameters, beta2=0.9)
    run(optimizer, parameters, gradients(10, 200, dtype))
    parameters.grad[...] = 0.0
    for step in range(2000):
        optimizer.step()
        for moment in (optimizer.M, optimizer.V):
            smallest = np.abs(moment[moment != 0]).min(initial=1.0)
            assert smallest > np.finfo(dtype).tiny, f"denormal after {step} steps"
    assert not optimizer.M.any() and not optimizer.V.any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", [Adam, lambda p: SGD(p, momentum=0.9)])
def test_a_restored_optimizer_continues_bit_for_bit(make, dtype):
    all_g = gradients(300, 200, dtype)
    parameters = weights(dtype)
    optimizer = make(parameters)
    run(optimizer, parameters, all_g[:150])
    state = optimizer.state()
    optimizer.set_state(state)

    restored_parameters = weights(dtype)
    restored_parameters.theta[...] = parameters.theta
    restored = make(restored_parameters)
    restored.set_state(state)

    run(optimizer, parameters, all_g[150:])
    run(restored, restored_parameters, all_g[150:])
    np.testing.assert_array_equal(restored_parameters.theta, parameters.theta)
    for name, value in optimizer.state().items():
        np.testing.assert_array_equal(restored.state()[name], value)


def test_the_state_is_a_copy_in_the_textbooks_scale():
    parameters = weights()
    optimizer = Adam(parameters)
    g = gradients(1, 200)
    run(optimizer, parameters, g)
    state = optimizer.state()
    np.testing.assert_allclose(state["m"], 0.1 * g[0])
    np.testing.assert_allclose(state["v"], 0.001 * g[0] ** 2)
    assert state["t"] == 1
    run(optimizer, parameters, g)
    np.testing.assert_allclose(state["m"], 0.1 * g[0])


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (Adam, {"lr": 0}, "lr must be a finite number above 0, not 0"),
        (Adam, {"lr": -1}, "lr must be a finite number above 0, not -1"),
        (Adam, {"lr": math.nan}, "lr must be a finite number above 0, not nan"),
        (Adam, {"lr": math.inf}, "lr must be a finite number above 0, not inf"),
        (Adam, {"lr": "1e-3"}, "lr must be a finite number above 0, not '1e-3'"),
        (Adam, {"beta1": 1.0}, "beta1 must lie in [0, 1), not 1.0"),
        (Adam, {"beta2": 1.5}, "beta2 must lie in [0, 1), not 1.5"),
        (Adam, {"beta2": -0.1}, "beta2 must be a finite number of at least 0, not -0.1"),
        (Adam, {"epsilon": 0}, "epsilon must be a finite number above 0, not 0"),
        (SGD, {"lr": 0.0}, "lr must be a finite number above 0, not 0.0"),
        (SGD, {"momentum": 1}, "momentum must lie in [0, 1), not 1"),
        (SGD, {"momentum": -0.5}, "momentum must be a finite number of at least 0, not -0.5"),
    ],
)
def test_a_wrong_option_is_named_in_one_line(make, options, words):
    with pytest.raises(ValueError) as error:
        make(weights(), **options)
    assert words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_moments_that_were_saved_once_are_saved_and_restored_unchanged(rng, dtype):
    """Resuming bit for bit rests on it: rounding to the textbook's scale and back is idempotent."""
    vae = VAE(100, 2, hidden=(200,), backend="numpy", dtype=dtype)
    optimizer = Adam(vae.parameters)
    for moment in (optimizer.M, optimizer.V):
        moment[:] = np.exp(5 * rng.standard_normal(moment.size))
    optimizer.set_state(optimizer.state())
    once = optimizer.M.copy(), optimizer.V.copy()
    optimizer.set_state(optimizer.state())
    assert np.array_equal(optimizer.M, once[0]) and np.array_equal(optimizer.V, once[1])
