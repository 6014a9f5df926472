"""All weights of a model in one vector, and their gradient in another; and their first values."""

from collections import UserDict
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinyvae.core.arrays import Array, Ops, array_module


class FlatParameters(UserDict):
    """All weights of a model as one vector θ, and their gradient as one vector g.

    Every layer's W and b is a view into θ (`theta`), its dW and db the same view into g (`grad`),
    so a step of an optimizer is a few operations on two vectors, and a gradient check moves θ[i]
    and looks at g[i]. The dict goes from "encoder.0.W" to the view into θ, in its order, and
    `gradients` from the same names to the views into g; 0, 1, … number the layers with parameters
    of each network. Assigning to a name copies into θ.
    """

    ops: Ops = Ops()  # for an optimizer's passes over θ

    def __init__(self, weights: list[tuple], theta: Array, grad: Array) -> None:
        self.theta, self.grad = theta, grad
        self.lay(weights)

    def lay(self, weights: list[tuple]) -> None:
        """Lay out `weights`, a (name, layer, attribute, value) for each, in the two vectors."""
        theta, grad, start = self.theta, self.grad, 0
        self.data: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}
        for name, layer, attribute, value in weights:
            part = slice(start, start := start + value.size)
            self.data[name] = theta[part].reshape(value.shape)
            self.gradients[name] = grad[part].reshape(value.shape)
            self[name] = value
            setattr(layer, attribute, self.data[name])
            setattr(layer, "d" + attribute, self.gradients[name])

    def __setitem__(self, name: str, value: Array) -> None:
        if name not in self.data or np.shape(value) != self.data[name].shape:
            shapes = {name: view.shape for name, view in self.data.items()}
            raise ValueError(f"{name} of the shape {np.shape(value)} is none of {shapes}")
        self.data[name][...] = array_module(self.theta).asarray(value)


def layers_of(network: Any) -> Iterator[Any]:
    """Yield the layers of a network, also those within a layer."""
    for layer in getattr(network, "layers", ()):
        yield layer
        if not getattr(layer, "shapes", None):
            yield from layers_of(layer)


def weights_of(networks: dict[str, Any]) -> list[tuple]:
    """Return (name, layer, attribute, value) of every array of weights; None where there is none.

    Raises ValueError where a layer stands twice: it has only one place for what it remembers.
    """
    found: list[tuple] = []
    seen: list[Any] = []
    for prefix, network in networks.items():
        owners = (layer for layer in layers_of(network) if getattr(layer, "shapes", None))
        for i, layer in enumerate(owners):
            if any(layer is other for other in seen):
                raise ValueError(f"{prefix}.{i}: this layer object already stands elsewhere")
            seen.append(layer)
            found += [
                (f"{prefix}.{i}.{a}", layer, a, getattr(layer, a, None)) for a in layer.shapes
            ]
    return found


def first_weights(networks: dict[str, Any], rng: np.random.Generator) -> list[tuple]:
    """Return (name, layer, attribute, first value) of every array of weights: by the layer's
    `initialize`, or its own arrays, or Glorot's rule. Values are drawn on the host."""
    found, drawn = [], {}
    for name, layer, attribute, value in weights_of(networks):
        if hasattr(layer, "initialize"):
            if id(layer) not in drawn:
                drawn[id(layer)] = layer.initialize(rng)
            value = drawn[id(layer)][attribute]
        elif value is None:
            shape = layer.shapes[attribute]
            scale = np.sqrt(2 / sum(shape)) if len(shape) > 1 else 0.0
            value = rng.standard_normal(shape) * scale
        found.append((name, layer, attribute, value))
    return found
