"""Give every object that a gradient check can look at one face: arrays, a forward, a backward pass.

A layer, a model, a pair of functions, with tinyvae's contract or in plain NumPy: each becomes a
subject here, and the check need not tell them apart.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyvae.core.arrays import Array
from tinyvae.core.copies import duplicate
from tinyvae.device import to_numpy
from tinyvae.gradcheck.arrays import Place, arguments, floats, is_layer, own_weights

BATCH = 5  # rows of the inputs that are drawn


class NotCheckable(TypeError):
    """What was given is neither a layer nor a model nor a function with its gradient."""


class FunctionPair:
    """A function, and the function of its gradient, as `gradcheck.check` describes them."""

    is_model = False
    problems = ()

    def __init__(
        self, value: Callable, gradient: Callable, inputs: tuple, constants: dict, place: Place
    ) -> None:
        self.name = getattr(value, "__name__", type(value).__name__)
        self.value, self.gradient = value, gradient
        self.constants = constants = place.own_arrays(constants)
        self.inputs = place.named_inputs(value, inputs)
        self.arrays = floats(self.inputs)
        self.sizes = _sizes(None, self.inputs)
        self.keywords = {k: v for k, v in constants.items() if k in arguments(gradient)}
        self.takes_dy, self.passed = self._call_of_gradient()
        self.sums = not self.takes_dy

    def forward(self) -> Any:
        """Return f(x) as a number or an array."""
        return _number_or_array(self.value(*self.inputs.values(), **self.constants))

    def backward(self, dy: Any) -> dict[str, Any]:
        """Return the gradient of each input."""
        inputs = [self.inputs[name] for name in self.passed]
        result = self.gradient(*([dy] if self.takes_dy else []), *inputs, **self.keywords)
        return _by_input(result, self.inputs, self.arrays)

    def clear(self) -> None:
        """Do nothing: functions keep no gradient."""

    def _call_of_gradient(self) -> tuple[bool, list[str]]:
        """Return whether the gradient's function takes dy first, and which inputs it takes.

        It takes all of them, or those that it names, as `f_backward(dz, logvar, eps)` does for
        `f(mu, logvar, eps)`.
        """
        takes = arguments(self.gradient)
        needed = [k for k, required in takes.items() if required and k not in self.constants]
        unknown = [k for k in needed if k not in self.inputs]
        if needed and not unknown:
            return False, needed
        if len(needed) > 1 and unknown == needed[:1] and unknown[0][0] in "dg":  # dz, dout, grad
            return True, needed[1:]
        return len(needed) == len(self.inputs) + 1, list(self.inputs)


class Module:
    """An object with forward and backward: a layer, or a model whose forward returns its loss.

    A layer is copied first, so that it and the model around it stay as they are; a model is used as
    it is, because its layers' weights may be views into one vector.
    """

    sums = False

    def __init__(
        self, thing: Any, inputs: tuple, constants: dict, shape: tuple | None, place: Place
    ) -> None:
        self.name = type(thing).__name__
        self.problems: list[str] = []
        self.thing, self.constants = thing, constants
        self.is_likelihood = hasattr(thing, "nll")  # forward(y, x) gives the nll of each example
        self.homes: dict[str, tuple[Any, str]] = {}  # a layer and its attribute, by weight
        self.views: dict[str, Array] = {}  # where gradients must be written, if anywhere
        found = own_weights(thing)
        if found is None:
            self.constants = place.own_arrays(constants)
        self.weights, self.gradients = found or self._layer_weights(place)
        self.inputs = self._first_forward(inputs, shape, place)
        self.is_loss = isinstance(self.forward(), float)
        for name, (owner, attribute) in list(self.homes.items()):
            if getattr(owner, attribute) is not self.weights[name]:  # what forward remembered
                del self.weights[name], self.homes[name]
        self.is_model = self.is_loss and bool(self.weights)
        self.arrays = floats(self.inputs) | self.weights
        self.sizes = _sizes(thing, self.inputs)

    def forward(self) -> Any:
        """Return y of a layer, the loss of a model."""
        y = self.thing.forward(*self.inputs.values(), **self.constants)
        return _number_or_array(y.mean() if self.is_likelihood else y)

    def backward(self, dy: Any) -> dict[str, Any]:
        """Return the gradients of inputs and weights; note in `problems` where they are missing."""
        if self.is_likelihood:
            dy = 1.0 / self.sizes["B"]
        alone = self.is_loss and not any(arguments(self.thing.backward).values())
        result = self.thing.backward() if alone else self.thing.backward(dy)
        moved = floats(self.inputs)
        found = {}
        if isinstance(result, dict):
            found = {k: result.get(k, result.get(f"d{k}")) for k in self.arrays}
        elif result is not None:
            found = _by_input(result, self.inputs, moved)
            if self.is_model:
                found = {k: g for k, g in found.items() if np.shape(g) == moved[k].shape}
        elif moved and not self.is_loss:
            self.problems.append("backward returns None: it must return dx = ∂loss/∂x")
        written = self.gradients()
        for name, view in self.views.items():
            if written[name] is not view:
                d = f"d{name.rpartition('.')[2]}"
                remedy = f"write into the one that is there, self.{d}[...] = …"
                self.problems.append(
                    f"backward makes a new {d}, which no optimizer will see: {remedy}"
                )
        return {k: g for k, g in (found | written).items() if g is not None}

    def clear(self) -> None:
        """Set all gradients to zero, so that what is added to them is seen."""
        if hasattr(self.thing, "zero_grad"):
            self.thing.zero_grad()
        for gradient in self.gradients().values():
            if gradient is not None and np.ndim(gradient):
                gradient[...] = 0

    def _layer_weights(self, place: Place) -> tuple[dict[str, Array], Callable]:
        """Bind a copy of the layer and of the layers in it; return weights and their gradients."""
        owners = self._copy_layers()
        place.bind([owner for _, owner in owners if getattr(owner, "shapes", None)])
        weights, number = {}, 0
        for prefix, owner in owners:
            declared = hasattr(owner, "shapes")
            attributes = list(owner.shapes) if declared else place.cast_attributes(owner)
            for attribute in attributes:
                name = f"{prefix}{attribute}".replace("#", str(number))
                weights[name] = getattr(owner, attribute)
                self.homes[name] = owner, attribute
                if declared:
                    self.views[name] = getattr(owner, f"d{attribute}")
            number += bool(attributes) and prefix == "#."
        return weights, lambda: {
            name: getattr(owner, f"d{attribute}", None)
            for name, (owner, attribute) in self.homes.items()
        }

    def _copy_layers(self) -> list[tuple[str, Any]]:
        """Copy the thing, the layers in its `layers`, and those that are attributes of it.

        Returns them with the prefixes of their weights' names: none, "#.", and the attribute's.
        """
        thing = self.thing = duplicate(self.thing)
        owners = [("", thing), *(("#.", layer) for layer in getattr(thing, "layers", []))]
        held = getattr(thing, "__dict__", {}).items()
        owners += [(f"{attribute}.", layer) for attribute, layer in held if is_layer(layer)]
        found: dict[int, tuple[str, Any]] = {}
        for prefix, owner in owners:
            found.setdefault(id(owner), (prefix, owner))
        return list(found.values())

    def _first_forward(self, inputs: tuple, shape: tuple | None, place: Place) -> dict[str, Any]:
        """Return the named inputs; where there are none, draw some, of a width that fits."""
        takes = arguments(self.thing.forward)
        n_inputs = sum(required for k, required in takes.items() if k not in self.constants)
        if inputs and len(inputs) < n_inputs:
            raise NotCheckable(f"{self.name}.forward needs {n_inputs} inputs: give them all")
        candidates = [inputs]
        if n_inputs and not inputs:
            widths = [n for w in self.weights.values() for n in np.shape(w)] or [4]
            shapes = [shape] if shape else [(BATCH, n) for n in dict.fromkeys(widths)]
            candidates = [[place.rng.standard_normal(s) for _ in range(n_inputs)] for s in shapes]
        errors = []
        for candidate in candidates:
            self.inputs = place.named_inputs(self.thing.forward, candidate)
            try:
                self.forward()
                return self.inputs
            except Exception as error:
                errors.append(error)
        raise errors[0]


def _number_or_array(result: Any) -> Any:
    """Return the loss as a float (a number, `.loss`, or the first of a tuple), or the array y."""
    result = getattr(result, "loss", result)
    if isinstance(result, tuple | list) and result and np.ndim(result[0]) == 0:
        result = result[0]
    if hasattr(result, "dtype") and np.ndim(result):
        return result
    try:
        return float(to_numpy(result))
    except (TypeError, ValueError):
        message = f"forward returns a {type(result).__name__}; it must give an array or a number"
        raise NotCheckable(message) from None


def _by_input(result: Any, inputs: dict[str, Any], moved: dict[str, Array]) -> dict[str, Any]:
    """Return gradients by input: one for each that is moved, or one for each, in order."""
    gradients = list(result) if isinstance(result, tuple | list) else [result]
    names = list(inputs) if len(gradients) == len(inputs) else list(moved)
    return {n: g for n, g in zip(names, gradients, strict=False) if n in moved}


def _sizes(thing: Any, inputs: dict[str, Any]) -> dict[str, int]:
    """Return B, D, L as far as they can be told."""
    shape = next((array.shape for array in inputs.values() if np.ndim(array)), ())
    named = {"D": getattr(thing, "n_features", None), "L": getattr(thing, "latent_dim", None)}
    known = {name: n for name, n in named.items() if isinstance(n, int)}
    return dict(zip("BD", shape, strict=False)) | known
