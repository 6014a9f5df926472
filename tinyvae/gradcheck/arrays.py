"""Make the arrays that a gradient check moves, and find those that a layer or a model holds."""

import inspect
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from tinyvae.core.arrays import Array
from tinyvae.device import Backend, to_numpy
from tinyvae.models import Parameters


class Place:
    """Where arrays are made: the backend, the dtype, and the generator of random values."""

    def __init__(self, backend: Backend, dtype: str, rng: np.random.Generator) -> None:
        self.backend, self.dtype, self.rng = backend, dtype, rng

    def named_inputs(self, function: Callable, inputs: Sequence) -> dict[str, Any]:
        """Return copies of the inputs under the function's names for them; floats in our dtype."""
        names = list(arguments(function))[: len(inputs)]
        names += [f"input {i}" for i in range(len(names), len(inputs))]
        return {name: self.own(value) for name, value in zip(names, inputs, strict=True)}

    def own_arrays(self, constants: dict[str, Any]) -> dict[str, Any]:
        """Return the constants, those that are arrays as arrays of this place."""
        return {k: self.own(v) if hasattr(v, "dtype") else v for k, v in constants.items()}

    def own(self, value: Any) -> Any:
        """Return a copy of `value` as an array of this place; whole-number arrays stay as such."""
        if hasattr(value, "dtype"):
            dtype = self.dtype if value.dtype.kind == "f" else None
            return self.backend.asarray(value, dtype).copy()
        if isinstance(value, int | float | list | tuple):
            return self.backend.asarray(np.asarray(value), self.dtype).copy()
        return value

    def bind(self, layers: list[Any]) -> None:
        """Give layers with `shapes` their W, b, dW, db; they keep values that they have."""
        if not layers:
            return
        old = [{a: getattr(layer, a, None) for a in layer.shapes} for layer in layers]
        seed = int(self.rng.integers(2**32))
        Parameters({"": SimpleNamespace(layers=layers)}, self.backend, self.dtype, seed)
        for layer, values in zip(layers, old, strict=True):
            for attribute, value in values.items():
                view = getattr(layer, attribute)
                if value is not None:
                    view[...] = self.backend.asarray(value)
                if not to_numpy(view).any():  # zeros would hide errors
                    draw = 0.3 * self.rng.standard_normal(view.shape)
                    view[...] = self.backend.asarray(draw)

    def cast_attributes(self, layer: Any) -> list[str]:
        """Copy a layer's float arrays into our dtype; return their names, gradients left out."""
        arrays = floats(getattr(layer, "__dict__", {}))
        for attribute, value in arrays.items():
            setattr(layer, attribute, self.own(value))
        return [k for k in arrays if not (k.startswith("d") and k[1:] in arrays)]


def is_layer(thing: Any) -> bool:
    """Return whether `thing` has forward and backward."""
    return all(callable(getattr(thing, method, None)) for method in ("forward", "backward"))


def own_weights(thing: Any) -> tuple[dict[str, Array], Callable] | None:
    """Return a model's weights and a function for their gradients, or None where it has none."""
    parameters = getattr(thing, "parameters", None)
    holder = parameters if hasattr(parameters, "theta") else thing
    if hasattr(holder, "theta") and hasattr(holder, "grad"):
        if hasattr(holder, "gradients") and hasattr(holder, "items"):
            return dict(holder.items()), lambda: dict(holder.gradients)
        return {"theta": holder.theta}, lambda: {"theta": holder.grad}
    for name in ("parameters", "params"):
        weights = _named(getattr(thing, name, None), name)
        if weights and all(hasattr(array, "dtype") for array in weights.values()):
            grads = "gradients" if hasattr(thing, "gradients") else "grads"
            return weights, lambda name=name, grads=grads: _named(getattr(thing, grads, {}), name)
    return None


def _named(arrays: Any, label: str) -> dict[str, Any]:
    """Return a dict as it is, a list under the names label[0], label[1], …"""
    if isinstance(arrays, list | tuple):
        return {f"{label}[{i}]": array for i, array in enumerate(arrays)}
    return dict(arrays) if isinstance(arrays, dict) else {}


def floats(inputs: dict[str, Any]) -> dict[str, Array]:
    """Return the arrays of floats among the inputs."""
    return {k: a for k, a in inputs.items() if hasattr(a, "dtype") and a.dtype.kind == "f"}


def arguments(function: Callable) -> dict[str, bool]:
    """Return the names of a function's arguments, and whether each must be given."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # compiled functions may not tell
        return {}
    return {
        p.name: p.default is p.empty
        for p in parameters
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    }
