"""Give every object that a gradient check can look at one face: arrays, a forward, a backward pass.

A layer, a model, a pair of functions, with tinyvae's contract or in plain NumPy: each becomes a
subject here, and the check need not tell them apart.
"""

import copy
import inspect
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from tinyvae.backend import Array, Backend
from tinyvae.layers import Parameters

BATCH = 5  # rows of the inputs that are drawn


class NotCheckable(TypeError):
    """What was given is neither a layer nor a model nor a function with its gradient."""


class FunctionPair:
    """A function, and the function of its gradient, as `gradcheck.check` describes them."""

    def __init__(
        self, value: Callable, gradient: Callable, inputs: tuple, constants: dict, place: "Place"
    ) -> None:
        self.name = getattr(value, "__name__", type(value).__name__)
        self.value, self.gradient, self.constants = value, gradient, constants
        self.inputs = place.named_inputs(value, inputs)
        self.arrays = _floats(self.inputs)
        self.sizes = _sizes(None, self.inputs)
        takes = _arguments(gradient)
        self.keywords = {k: v for k, v in constants.items() if k in takes}
        needed = [k for k, required in takes.items() if required and k not in constants]
        self.takes_dy = len(needed) == len(inputs) + 1
        self.sums = not self.takes_dy
        self.problems: list[str] = []
        self.notes: list[str] = []

    def forward(self) -> Any:
        return _number_or_array(self.value(*self.inputs.values(), **self.constants))

    def backward(self, dy: Any) -> dict[str, Any]:
        first = (dy,) if self.takes_dy else ()
        result = self.gradient(*first, *self.inputs.values(), **self.keywords)
        return _by_input(result, self.inputs, self.arrays)

    def clear(self) -> None:
        """Functions keep no gradient."""


class Module:
    """An object with forward and backward: a layer, or a model whose forward returns its loss.

    A layer is copied first, so that it and the model around it stay as they are; a model is used as
    it is, because its layers' weights may be views into one vector.
    """

    sums = False

    def __init__(
        self, thing: Any, inputs: tuple, constants: dict, shape: tuple | None, place: "Place"
    ) -> None:
        self.name = type(thing).__name__
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.thing, self.constants = thing, constants
        self.homes: dict[str, tuple[Any, str]] = {}  # a layer and its attribute, by weight
        self.views: dict[str, Array] = {}  # where gradients must be written, if anywhere
        self.weights, self.gradients = own_weights(thing) or self._layer_weights(place)
        self.inputs = self._first_forward(inputs, shape, place)
        self.is_loss = isinstance(self.forward(), float)
        for name, (owner, attribute) in self.homes.items():
            if getattr(owner, attribute) is not self.weights[name]:  # a note of the forward pass
                del self.weights[name]
        self.arrays = _floats(self.inputs) | self.weights
        self.sizes = _sizes(thing, self.inputs)

    def forward(self) -> Any:
        return _number_or_array(self.thing.forward(*self.inputs.values(), **self.constants))

    def backward(self, dy: Any) -> dict[str, Any]:
        alone = self.is_loss and not any(_arguments(self.thing.backward).values())
        result = self.thing.backward() if alone else self.thing.backward(dy)
        moved = {k: a for k, a in self.arrays.items() if k in self.inputs}
        found = {}
        if isinstance(result, dict):
            found = {k: result.get(k, result.get(f"d{k}")) for k in self.arrays}
        elif result is not None:
            found = _by_input(result, self.inputs, moved)
            if self.is_loss and self.weights:
                found = {k: g for k, g in found.items() if np.shape(g) == moved[k].shape}
        elif moved and not self.is_loss:
            self.problems.append("backward returns None: it must return dx = ∂loss/∂x")
        written = self.gradients()
        for name, view in self.views.items():
            if written[name] is not view:
                a = f"d{name.rpartition('.')[2]}"
                self.problems.append(
                    f"backward makes a new {a}, which no optimizer will see: write into the one "
                    f"that is there, self.{a}[...] = …"
                )
        return {k: g for k, g in (found | written).items() if g is not None}

    def clear(self) -> None:
        """Set all gradients to zero, so that what is added to them is seen."""
        if hasattr(self.thing, "zero_grad"):
            self.thing.zero_grad()
        for gradient in self.gradients().values():
            if gradient is not None and np.ndim(gradient):
                gradient[...] = 0

    def _layer_weights(self, place: "Place") -> tuple[dict[str, Array], Callable]:
        """Bind a copy of the layer, or of each layer in its `layers`; return weights, gradients."""
        self.thing = copy.copy(self.thing)
        owners, prefixed = [self.thing], hasattr(self.thing, "layers")
        if prefixed:
            owners = self.thing.layers = [copy.copy(layer) for layer in self.thing.layers]
        place.bind([owner for owner in owners if getattr(owner, "shapes", None)])
        weights, number = {}, 0
        for owner in owners:
            declared = hasattr(owner, "shapes")
            attributes = list(owner.shapes) if declared else place.cast_attributes(owner)
            for attribute in attributes:
                name = f"{number}.{attribute}" if prefixed else attribute
                weights[name] = getattr(owner, attribute)
                self.homes[name] = owner, attribute
                if declared:
                    self.views[name] = getattr(owner, f"d{attribute}")
            number += bool(attributes)

        def gradients() -> dict[str, Any]:
            return {n: getattr(o, f"d{a}", None) for n, (o, a) in self.homes.items()}

        return weights, gradients

    def _first_forward(self, inputs: tuple, shape: tuple | None, place: "Place") -> dict[str, Any]:
        """Return the named inputs; where there are none, draw some, of a width that fits."""
        takes = _arguments(self.thing.forward)
        n_inputs = sum(required for k, required in takes.items() if k not in self.constants)
        if inputs or not n_inputs:
            if len(inputs) < n_inputs:
                raise NotCheckable(f"{self.name}.forward needs {n_inputs} inputs: give them all")
            candidates: Iterator = iter([inputs])
        else:
            widths = [n for w in self.weights.values() if np.ndim(w) for n in w.shape] or [4]
            shapes = [shape] if shape else [(BATCH, n) for n in dict.fromkeys(widths)]
            candidates = (
                tuple(place.rng.standard_normal(s) for _ in range(n_inputs)) for s in shapes
            )
        first_error = None
        for candidate in candidates:
            self.inputs = place.named_inputs(self.thing.forward, candidate)
            try:
                self.forward()
            except Exception as error:
                first_error = first_error or error
            else:
                return self.inputs
        raise first_error


class Place:
    """Where arrays are made: the backend, the dtype, and the generator of random values."""

    def __init__(self, backend: Backend, dtype: str, rng: np.random.Generator) -> None:
        self.backend, self.dtype, self.rng = backend, dtype, rng

    def named_inputs(self, function: Callable, inputs: tuple) -> dict[str, Any]:
        """Return copies of the inputs under the function's names for them; floats in our dtype."""
        names = list(_arguments(function))[: len(inputs)]
        names += [f"input {i}" for i in range(len(names), len(inputs))]
        return {name: self.own(value) for name, value in zip(names, inputs, strict=True)}

    def own(self, value: Any) -> Any:
        """Return a copy of `value` as an array of this place; whole-number arrays stay as such."""
        is_array = hasattr(value, "dtype")
        if not is_array and not isinstance(value, int | float | list | tuple):
            return value
        whole = is_array and value.dtype.kind != "f"
        array = value if is_array else np.asarray(value)
        return self.backend.asarray(array, None if whole else self.dtype).copy()

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
                if not view.any():  # zeros would hide errors
                    draw = 0.3 * self.rng.standard_normal(view.shape)
                    view[...] = self.backend.asarray(draw)

    def cast_attributes(self, layer: Any) -> list[str]:
        """Copy a layer's float arrays into our dtype; return their names, gradients left out."""
        arrays = {k: v for k, v in vars(layer).items() if getattr(v, "dtype", None) is not None}
        arrays = {k: v for k, v in arrays.items() if v.dtype.kind == "f"}
        for attribute, value in arrays.items():
            setattr(layer, attribute, self.own(value))
        return [k for k in arrays if not (k.startswith("d") and k[1:] in arrays)]


def own_weights(thing: Any) -> tuple[dict[str, Array], Callable] | None:
    """Return a model's weights and a function for their gradients, or None where it has none."""
    parameters = getattr(thing, "parameters", None)
    holder = parameters if hasattr(parameters, "theta") else thing
    if hasattr(holder, "theta") and hasattr(holder, "grad"):
        if hasattr(holder, "gradients") and hasattr(holder, "items"):
            return dict(holder.items()), lambda: dict(holder.gradients)
        return {"theta": holder.theta}, lambda: {"theta": holder.grad}
    for weights, gradients in (
        ("parameters", "gradients"),
        ("parameters", "grads"),
        ("params", "grads"),
        ("params", "gradients"),
    ):
        values = getattr(thing, weights, None)
        if isinstance(values, dict | list | tuple) and len(values):
            named = _named(values, weights)

            def look_up(attribute: str = gradients, label: str = weights) -> dict[str, Any]:
                return _named(getattr(thing, attribute, {}), label)

            if hasattr(thing, gradients) or isinstance(values, dict):
                return named, look_up
    return None


def _named(arrays: Any, label: str) -> dict[str, Any]:
    if isinstance(arrays, dict):
        return dict(arrays)
    return {f"{label}[{i}]": array for i, array in enumerate(arrays)}


def _number_or_array(result: Any) -> Any:
    """Return the loss as a float (a number, `.loss`, or the first of a tuple), or the array y."""
    result = getattr(result, "loss", result)
    if isinstance(result, tuple | list) and result and np.ndim(result[0]) == 0:
        result = result[0]
    if hasattr(result, "dtype") and np.ndim(result):
        return result
    try:
        return float(result)
    except (TypeError, ValueError):
        message = f"forward returns a {type(result).__name__}; it must give an array or a number"
        raise NotCheckable(message) from None


def _by_input(result: Any, inputs: dict[str, Any], moved: dict[str, Array]) -> dict[str, Any]:
    """Return gradients by input: one for each that is moved, or one for each, in order."""
    gradients = list(result) if isinstance(result, tuple | list) else [result]
    names = list(inputs) if len(gradients) == len(inputs) else list(moved)
    return {n: g for n, g in zip(names, gradients, strict=False) if n in moved}


def _floats(inputs: dict[str, Any]) -> dict[str, Array]:
    arrays = {name: value for name, value in inputs.items() if hasattr(value, "dtype")}
    return {name: array for name, array in arrays.items() if array.dtype.kind == "f"}


def _sizes(thing: Any, inputs: dict[str, Any]) -> dict[str, int]:
    """Return B, D, L as far as they can be told."""
    sizes = {}
    for array in inputs.values():
        if np.ndim(array):
            sizes = dict(zip("BD", array.shape, strict=False))
            break
    named = {"D": getattr(thing, "n_features", None), "L": getattr(thing, "latent_dim", None)}
    return sizes | {name: n for name, n in named.items() if isinstance(n, int)}


def _arguments(function: Callable) -> dict[str, bool]:
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
