"""The arrays of weights in a model's networks: their names, and their first values."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tinyvae.device import seed_sequence


def find_weights(networks: dict[str, Any], seed: int) -> list[tuple]:
    """Return (name, layer, attribute, first value on the host) of every array of weights.

    Raises ValueError where a layer stands twice: it has only one place for what it remembers.
    """
    rng = np.random.default_rng(seed_sequence(seed, "weights"))
    found, seen = [], []
    for prefix, network in networks.items():
        for i, layer in enumerate(_owners(network)):
            if any(layer is other for other in seen):
                raise ValueError(f"{prefix}.{i}: this layer object already stands elsewhere")
            seen.append(layer)
            values = _first_values(layer, rng)
            found += [(f"{prefix}.{i}.{a}", layer, a, values[a]) for a in layer.shapes]
    return found


def _owners(network: Any) -> Iterator[Any]:
    """Yield the layers of a network that have weights, also those within a layer."""
    for layer in network.layers:
        if getattr(layer, "shapes", None):
            yield layer
        elif hasattr(layer, "layers"):
            yield from _owners(layer)


def _first_values(layer: Any, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return a layer's first values: by its `initialize`, its own arrays, or Glorot's rule."""
    if hasattr(layer, "initialize"):
        return layer.initialize(rng)
    values = {}
    for attribute, shape in layer.shapes.items():
        scale = np.sqrt(2 / sum(shape)) if len(shape) > 1 else 0.0
        value = getattr(layer, attribute, None)
        values[attribute] = rng.standard_normal(shape) * scale if value is None else value
    return values


def check_shape(name: str, value: Any, weights: Mapping[str, Any]) -> None:
    """Raise ValueError unless `value` has the shape of the array of that name."""
    if name not in weights or np.shape(value) != weights[name].shape:
        shapes = {name: view.shape for name, view in weights.items()}
        raise ValueError(f"{name} of the shape {np.shape(value)} is none of {shapes}")
