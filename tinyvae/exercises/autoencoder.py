"""Checks of notebook 1: a dense layer, ReLU, and a layer of one's own."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyvae import gradcheck
from tinyvae.backend import array_module, sigmoid
from tinyvae.exercises import core
from tinyvae.exercises.core import Wrong
from tinyvae.layers import Dense, Sequential
from tinyvae.model import Autoencoder


def _dense(x: Any, W: Any, b: Any) -> Any:
    return x @ W + b


@core.check("the backward pass of a dense layer")
def dense_backward(backward: Any) -> str:
    """Judge `backward(dy, x, W)` → dx, dW, db."""
    x, W, b, dy = core.draw((5, 3), (3, 4), (4,), (5, 4))
    shapes = {"dx": x.shape, "dW": W.shape, "db": b.shape}
    core.call(backward, "dx, dW, db", dy, x, W, shapes=shapes)
    report = gradcheck.check(
        _dense, lambda dy, x, W, b: backward(dy, x, W), x, W, b, tolerance=core.TOLERANCE
    )
    return f"dx, dW and db: each of {report.size} numbers {core.by_differences(report)}"


def _relu(x: Any) -> Any:
    return array_module(x).maximum(x, 0.0)


@core.check("the backward pass of ReLU")
def relu_backward(backward: Any) -> str:
    """Judge `backward(dy, x)` → dx."""
    x, dy = core.draw((5, 4), (5, 4))
    dx = core.call(backward, "dx", dy, x, shapes={"dx": x.shape})
    mistakes = {
        "dx passes where x is negative, and is 0 where x is positive": dy * (x < 0),
        "dx asks for the sign of dy, not of x": np.maximum(dy, 0),
    }
    core.named_mistake(dx, mistakes)
    found = core.gradient(_relu, backward, "dx", x)
    at_zero = core.call(backward, "dx", np.ones((1, 1)), np.zeros((1, 1)))
    if at_zero.item() not in (0, 0.5, 1):
        raise Wrong(f"at x = 0 dx is {at_zero.item():g}; 0 is the custom, and 1 is defensible")
    return f"dx {found}"


@core.check("a layer of your own")
def sigmoid_layer(layer: Any) -> str:
    """Judge a sigmoid, an object with `forward(x)` and `backward(dy)`, alone and in a model."""
    core.methods(layer, "forward", "backward")
    (x,) = core.draw((5, 4))
    y = core.call(layer.forward, "y", x, shapes={"y": x.shape})
    right = sigmoid(x)
    mistakes = {
        "y is 1 − sigmoid(x): the exponent has the wrong sign, it is e^(−x)": 1 - right,
        "y is tanh(x), between −1 and 1": np.tanh(x),
    }
    core.named_mistake(y, mistakes)
    core.same("y", y, right)
    dx = core.call(layer.backward, "dx", np.ones_like(x), shapes={"dx": x.shape})
    mistakes = {
        "dx: 1 − y² is the slope of tanh; here it is y (1 − y)": 1 - y**2,
        "dx: the factor 1 − y is missing": y,
        "dx: this is x (1 − x); the slope is y (1 − y), so keep y, what forward returns": x
        * (1 - x),
    }
    core.named_mistake(dx, mistakes)
    _judge_memory(layer, x)
    alone = core.by_differences(gradcheck.check(layer, x, tolerance=core.TOLERANCE))
    decoder = Sequential(Dense(2, 6), layer)
    layers = {"encoder": Sequential(Dense(6, 2)), "decoder": decoder}
    model = Autoencoder(**layers, sigma=1.0, dtype="float64", backend="numpy")
    whole = gradcheck.check(model, core.draw((5, 6))[0], tolerance=core.TOLERANCE)
    core.by_differences(whole)
    return f"dx {alone}, and so do all {whole.size} slopes of an autoencoder with it inside"


def _judge_memory(layer: Any, x: np.ndarray) -> None:
    """Raise Wrong where backward remembers another forward pass than the last one."""
    y = sigmoid(x)
    core.call(layer.forward, "y", x)
    core.call(layer.forward, "y", 2 * x + 1)
    dx = core.call(layer.backward, "dx", np.ones_like(x))
    stale = "dx: backward uses the y of an earlier forward; each forward must keep its own y"
    core.named_mistake(dx, {stale: y * (1 - y)})
