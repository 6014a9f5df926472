"""Checks of notebook 1: a dense layer, ReLU, and a layer of one's own."""

from __future__ import annotations

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


@judge.check("the backward pass of a dense layer")
def dense_backward(backward: Any) -> str:
    """Judge `backward(dy, x, W)` → dx, dW, db."""
    x, W, b, dy = judge.draw((5, 3), (3, 4), (4,), (5, 4))
    shapes = {"dx": x.shape, "dW": W.shape, "db": b.shape}
    judge.call(backward, "dx, dW, db", dy, x, W, shapes=shapes)
    report = gradcheck.check(
        _dense, lambda dy, x, W, b: backward(dy, x, W), x, W, b, tolerance=judge.TOLERANCE
    )
    return f"dx, dW and db: each of {report.size} numbers {judge.by_differences(report)}"


def _relu(x: Any) -> Any:
    return array_module(x).maximum(x, 0.0)


@judge.check("the backward pass of ReLU")
def relu_backward(backward: Any) -> str:
    """Judge `backward(dy, x)` → dx."""
    x, dy = judge.draw((5, 4), (5, 4))
    dx = judge.call(backward, "dx", dy, x, shapes={"dx": x.shape})
    mistakes = {
        "dx passes where x is negative, and is 0 where x is positive": dy * (x < 0),
        "dx asks for the sign of dy, not of x": np.maximum(dy, 0),
    }
    judge.named_mistake(dx, mistakes)
    found = judge.gradient(_relu, backward, "dx", x)
    at_zero = judge.call(backward, "dx", np.ones((1, 1)), np.zeros((1, 1)))
    if at_zero.item() not in (0, 0.5, 1):
        raise Wrong(f"at x = 0 dx is {at_zero.item():g}; 0 is the custom, and 1 is defensible")
    return f"dx {found}"


@judge.check("a layer of your own")
def sigmoid_layer(layer: Any) -> str:
    """Judge a sigmoid, an object with `forward(x)` and `backward(dy)`, alone and in a model."""
    judge.methods(layer, "forward", "backward")
    (x,) = judge.draw((5, 4))
    y = judge.call(layer.forward, "y", x, shapes={"y": x.shape})
    right = sigmoid(x)
    mistakes = {
        "y is 1 − sigmoid(x): the exponent has the wrong sign, it is e^(−x)": 1 - right,
        "y is tanh(x), between −1 and 1": np.tanh(x),
    }
    judge.named_mistake(y, mistakes)
    judge.same("y", y, right)
    dx = judge.call(layer.backward, "dx", np.ones_like(x), shapes={"dx": x.shape})
    mistakes = {
        "dx: 1 − y² is the slope of tanh; here it is y (1 − y)": 1 - y**2,
        "dx: the factor 1 − y is missing": y,
        "dx: this is x (1 − x); the slope is y (1 − y), so keep y, what forward returns": x
        * (1 - x),
    }
    judge.named_mistake(dx, mistakes)
    _judge_memory(layer, x)
    alone = judge.by_differences(gradcheck.check(layer, x, tolerance=judge.TOLERANCE))
    decoder = Sequential(Dense(2, 6), layer)
    layers = {"encoder": Sequential(Dense(6, 2)), "decoder": decoder}
    model = Autoencoder(**layers, sigma=1.0, dtype="float64", backend="numpy")
    whole = gradcheck.check(model, judge.draw((5, 6))[0], tolerance=judge.TOLERANCE)
    judge.by_differences(whole)
    return f"dx {alone}, and so do all {whole.size} slopes of an autoencoder with it inside"


def _judge_memory(layer: Any, x: np.ndarray) -> None:
    """Raise Wrong where backward remembers another forward pass than the last one."""
    y = sigmoid(x)
    judge.call(layer.forward, "y", x)
    judge.call(layer.forward, "y", 2 * x + 1)
    dx = judge.call(layer.backward, "dx", np.ones_like(x))
    stale = "dx: backward uses the y of an earlier forward; each forward must keep its own y"
    judge.named_mistake(dx, {stale: y * (1 - y)})
