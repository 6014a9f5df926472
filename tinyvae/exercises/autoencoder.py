"""Checks of notebook 1: a dense layer, ReLU, and a layer of one's own."""

from typing import Any

import numpy as np

from tinyvae import gradcheck
from tinyvae.core.arrays import array_module, sigmoid
from tinyvae.core.layers import Dense, Sequential
from tinyvae.exercises import judge
from tinyvae.exercises.judge import Wrong
from tinyvae.models import Autoencoder


def _dense(x: Any, W: Any, b: Any) -> Any:
    return x @ W + b


def _dense_backward(dy: Any, x: Any, W: Any) -> tuple:
    return dy @ W.T, x.T @ dy, dy.sum(axis=0)


@judge.check("the backward pass of a dense layer", reference=_dense_backward)
def dense_backward(backward: Any) -> str:
    """Judge `backward(dy, x, W)` → dx, dW, db."""
    x, W, b, dy = judge.draw((5, 3), (3, 4), (4,), (5, 4))
    shapes = {"dx": x.shape, "dW": W.shape, "db": b.shape}
    given = judge.call(backward, "dx, dW, db", dy, x, W, shapes=shapes)
    for name, array, right in zip(shapes, given, _dense_backward(dy, x, W), strict=True):
        judge.has_decimals(name, array, right)
    report = gradcheck.check(
        _dense, lambda dy, x, W, b: backward(dy, x, W), x, W, b, tolerance=judge.TOLERANCE
    )
    return f"dx, dW and db: each of {report.size} numbers {judge.by_differences(report)}"


def _relu(x: Any) -> Any:
    return array_module(x).maximum(x, 0.0)


def _relu_backward(dy: Any, x: Any) -> Any:
    return dy * (x > 0)


@judge.check("the backward pass of ReLU", reference=_relu_backward)
def relu_backward(backward: Any) -> str:
    """Judge `backward(dy, x)` → dx."""
    x, dy = judge.draw((5, 4), (5, 4))
    dx = judge.call(backward, "dx", dy, x, shapes={"dx": x.shape})
    mistakes = {
        "dx passes where x is negative, and is 0 where x is positive": dy * (x < 0),
        "dx asks for the sign of dy, not of x": np.maximum(dy, 0),
        "this is forward, max(x, 0): backward wants dy where x is positive": np.maximum(x, 0),
    }
    judge.named_mistake(dx, mistakes)
    found = judge.gradient(_relu, backward, "dx", x, y="max(x, 0)")
    at_zero = judge.call(backward, "dx", np.ones((1, 1)), np.zeros((1, 1)))
    if at_zero.item() not in (0, 0.5, 1):
        raise Wrong(f"at x = 0 dx is {at_zero.item():g}; 0 is the custom, and 1 is defensible")
    return f"dx {found}"


@judge.check("a layer of your own")
def sigmoid_layer(layer: Any) -> str:
    """Judge a sigmoid, a class (or an object of it) with `forward(x)` and `backward(dy)`."""
    layers = judge.instances(layer, 3)
    (x,) = judge.draw((5, 4))
    y = judge.call(layers[0].forward, "y", x, shapes={"y": x.shape})
    right = sigmoid(x)
    mistakes = {
        "y is 1 − sigmoid(x): the exponent has the wrong sign, it is e^(−x)": 1 - right,
        "y is tanh(x), between −1 and 1": np.tanh(x),
        "1 / 1 + e^(−x) is (1 / 1) + e^(−x): brackets, 1 / (1 + e^(−x))": 1 + np.exp(-x),
    }
    judge.named_mistake(y, mistakes)
    judge.same("y", y, right)
    dx = judge.call(layers[0].backward, "dx", np.ones_like(x), shapes={"dx": x.shape})
    mistakes = {
        "dx: 1 − y² is the slope of tanh; here it is y (1 − y)": 1 - y**2,
        "dx: the factor 1 − y is missing": y,
        "dx: this is x (1 − x); the slope is y (1 − y), so keep y, what forward returns": x
        * (1 - x),
    }
    judge.named_mistake(dx, mistakes)
    alone, whole = _in_a_model(layers, x, lambda x: sigmoid(x) * (1 - sigmoid(x)))
    return f"dx {alone}, and so do all {whole} slopes of an autoencoder with two of it inside"


@judge.check("tanh, without a word of help")
def tanh_layer(layer: Any) -> str:
    """Judge tanh, a class (or an object of it) with `forward(x)` and `backward(dy)`."""
    layers = judge.instances(layer, 3)
    (x,) = judge.draw((5, 4))
    y = judge.call(layers[0].forward, "y", x, shapes={"y": x.shape})
    mistakes = {
        "y is sigmoid(x), between 0 and 1": sigmoid(x),
        "brackets: a fraction's upper and lower part each need a pair, (…) / (…)": (
            np.exp(x) - np.exp(-x) / np.exp(x) + np.exp(-x)
        ),
        "brackets: the lower part of a fraction needs a pair, … / (…)": (
            (np.exp(x) - np.exp(-x)) / np.exp(x) + np.exp(-x)
        ),
        "y is −tanh(x): e^x stands first": -np.tanh(x),
        "y is tanh(2x): the exponents are x and −x": np.tanh(2 * x),
        "y is tanh(x/2): the exponents are x and −x": np.tanh(x / 2),
    }
    judge.named_mistake(y, mistakes)
    judge.same("y", y, np.tanh(x))
    dx = judge.call(layers[0].backward, "dx", np.ones_like(x), shapes={"dx": x.shape})
    mistakes = {
        "dx: that is the sigmoid's slope, y (1 − y)": y * (1 - y),
        "dx: 1 − y; the square is missing": 1 - y,
        "dx: 1 − x²: keep y, what forward returns": 1 - x**2,
        "dx: y² − 1 has the wrong sign": y**2 - 1,
        "dx: the slope is 1 − y², without another factor y": y * (1 - y**2),
    }
    judge.named_mistake(dx, mistakes)
    alone, whole = _in_a_model(layers, x, lambda x: 1 - np.tanh(x) ** 2)
    return f"dx {alone}, and so do all {whole} slopes of an autoencoder with two of it inside"


def _in_a_model(layers: list[Any], x: np.ndarray, slope: Any) -> tuple[str, int]:
    """Check three layers of one kind: what they keep, their gradient alone, and two in a model."""
    judge.memory(layers[0], x, slope)
    alone = judge.by_differences(gradcheck.check(layers[0], x, tolerance=judge.TOLERANCE))
    model = Autoencoder(
        encoder=Sequential(Dense(6, 3), layers[1], Dense(3, 2)),
        decoder=Sequential(Dense(2, 6), layers[2]),
        sigma=1.0, dtype="float64", backend="numpy",
    )  # fmt: skip
    try:
        report = gradcheck.check(model, judge.draw((5, 6))[0], tolerance=judge.TOLERANCE)
    except ValueError:  # one layer meets the other's array
        report = None
    if report is None or not report.passed:
        raise Wrong(
            "alone it is right, but with two of it in one network the gradients are wrong: what "
            "forward keeps must be kept in self, not in a global name or in the class"
        )
    return alone, report.size


def adam(
    theta: Any, grad: Any, m: Any, v: Any, t: int, lr: float = 0.001, beta1: float = 0.9,
    beta2: float = 0.999, epsilon: float = 1e-8,
) -> tuple:  # fmt: skip
    """Return theta, m, v after step t = 1, 2, … of Adam as the textbooks have it."""
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return theta - lr * m_hat / (np.sqrt(v_hat) + epsilon), m, v


def _wrong_steps(
    theta: Any, grad: Any, m: Any, v: Any, t: int, lr: float, beta1: float, beta2: float, e: float
) -> dict[str, Any]:
    """Return theta after a step with a known mistake, under the words for it."""
    m, v = beta1 * m + (1 - beta1) * grad, beta2 * v + (1 - beta2) * grad**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    steps = {
        "the gradient is added; walk against it, theta − …": -m_hat / (np.sqrt(v_hat) + e),
        "v̂ is divided by without its square root": m_hat / (v_hat + e),
        "epsilon stands under the root; Adam adds it to the root": m_hat / np.sqrt(v_hat + e),
        "m and v are not divided by 1 − beta**t: that makes the first steps wrong": (
            m / (np.sqrt(v) + e)
        ),
        "only m is divided by 1 − beta1**t; v̂ is v / (1 − beta2**t)": m_hat / (np.sqrt(v) + e),
        "only v is divided by 1 − beta2**t; m̂ is m / (1 − beta1**t)": m / (np.sqrt(v_hat) + e),
        "the step uses the gradient itself, not its running mean m̂": grad / (np.sqrt(v_hat) + e),
        "the divisors are 1 − beta**t, not 1 − beta * t": m
        / (1 - beta1 * t)
        / (np.sqrt(np.abs(v / (1 - beta2 * t))) + e),
        "lr is not used": m_hat / (np.sqrt(v_hat) + e) / lr,
    }
    for count, words in ((t + 1, "t + 1 stands where t belongs"), (t - 1, "t − 1 stands where t")):
        corrected = m / (1 - beta1**count), v / (1 - beta2**count)
        steps[f"{words}: t counts this step already"] = corrected[0] / (np.sqrt(corrected[1]) + e)
    return {f"theta: {words}": theta - lr * step for words, step in steps.items()}


@judge.check("a step of Adam", reference=adam)
def adam_step(step: Any) -> str:
    """Judge `step(theta, grad, m, v, t, lr, beta1, beta2, epsilon)` → theta, m, v."""
    for t in (7, 1):
        theta, grad, m, v = judge.draw((6,), (6,), (6,), (6,))
        m, v = (m * 0, v * 0) if t == 1 else (m, v**2)
        settings = (t, 0.01, 0.8, 0.9, 0.001)
        shapes = {"theta": (6,), "m": (6,), "v": (6,)}
        given = judge.call(step, "theta, m, v", theta, grad, m, v, *settings, shapes=shapes)
        right = adam(theta, grad, m, v, *settings)
        wrong_m = {
            "m: beta1 is 0.9 whatever is handed over: use the argument": 0.9 * m + 0.1 * grad,
            "m: beta1 and 1 − beta1 are swapped": 0.2 * m + 0.8 * grad,
            "m: the factor 1 − beta1 is missing": 0.8 * m + grad,
            "m: this is the plain gradient; keep beta1 of the old m": grad,
            "m: return m itself, not m / (1 − beta1**t), or it is divided again in the next step": (
                right[1] / (1 - 0.8**t)
            ),
        }
        wrong_v = {
            "v: beta2 and 1 − beta2 are swapped": 0.1 * v + 0.9 * grad**2,
            "v: the gradient is not squared": 0.9 * v + 0.1 * grad,
            "v: the factor 1 − beta2 is missing": 0.9 * v + grad**2,
            "v: it uses beta1; v has its own, beta2": 0.8 * v + 0.2 * grad**2,
            "v: return v itself, not v / (1 − beta2**t), or it is divided again in the next step": (
                right[2] / (1 - 0.9**t)
            ),
        }
        for found, exact, wrong in ((given[1], right[1], wrong_m), (given[2], right[2], wrong_v)):
            if not np.allclose(found, exact):
                judge.named_mistake(found, wrong)
        judge.same("m", given[1], right[1])
        judge.same("v", given[2], right[2])
        if not np.allclose(given[0], right[0]):
            judge.named_mistake(given[0], _wrong_steps(theta, grad, m, v, *settings))
        judge.same("theta", given[0], right[0])
    return "theta, m and v at step 1 and at step 7"
