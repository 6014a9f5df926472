"""Somebody's loss, gradient and parameters, under a noise that is held still."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from tinyvae.audit.calls import Function
from tinyvae.audit.whole import (
    IMAGES,
    as_gradients,
    as_parameters,
    call_with_rows,
    scalar_loss,
    sizes_to_try,
)


class Model:
    """Loss and gradient of one batch as functions of a seed and of the parameters."""

    def __init__(self, loss, gradient, parameters, seed, wrap, pixels, rows) -> None:
        if not callable(gradient):
            raise TypeError(f"gradient must be a function, not {gradient!r}")
        if loss is None:
            raise ValueError("gradient needs loss=: the function that it is the gradient of")
        self.parameters = as_parameters(parameters)
        self.narrow = any(a.dtype != np.float64 for a in self.parameters.values())
        self.seed = np.random.seed if seed is None else seed
        self.loss_function = Function(loss, "loss", ("x",), wrap)
        widths = {n for a in self.parameters.values() if a.ndim == 2 for n in a.shape}
        shapes = sizes_to_try(loss, pixels, "pixels", [*[(n,) for n in widths], *IMAGES])
        dtype = "float32" if self.narrow else "float64"
        shape, _ = call_with_rows(self.loss_function, "x", rows or 5, shapes, dtype)
        self.x = np.random.default_rng(5).random((rows or 5, *shape)).astype(dtype)
        try:
            self.gradient_function = Function(gradient, "gradient", ("x",), wrap)
        except TypeError:  # gradient(): of the last loss(x)
            self.gradient_function = Function(lambda x: gradient(), "gradient", ("x",), wrap)
        self.raw_gradient = gradient
        self.after_loss = False

    def loss(self, seed: int | None) -> float:
        """Return the loss under a seed, or with the noise that comes next where None."""
        if seed is not None:
            self.seed(seed)
        return scalar_loss(self.loss_function, self.x)

    def gradient(self, seed: int) -> dict[str, np.ndarray]:
        """Return the hand-written gradient under a seed, by block."""
        self.seed(seed)
        if self.after_loss:
            scalar_loss(self.loss_function, self.x)
        make = self.loss_function.settled[1]
        names = list(self.parameters)
        try:
            takes_x = "x" in self.gradient_function.arrangements[0].roles()
            result = self.raw_gradient(make(self.x)) if takes_x else self.raw_gradient()
        except TypeError as failure:
            if "argument" not in str(failure):
                raise ValueError(f"gradient raised TypeError: {failure}") from failure
            result, self.after_loss = self._without_x(seed), True
        except Exception as failure:
            kind = type(failure).__name__
            raise ValueError(f"gradient raised {kind}: {failure}") from failure
        found = as_gradients(result, names)
        for name, array in found.items():
            if array.shape != self.parameters[name].shape:
                shapes = f"{array.shape} for {name!r}, whose shape is {self.parameters[name].shape}"
                raise ValueError(f"gradient returned the shape {shapes}")
            if not np.isfinite(array).all():
                raise ValueError(f"gradient returned NaN or infinity for {name!r}")
            found[name] = array.copy()
        return found

    def _without_x(self, seed: int):
        self.seed(seed)
        scalar_loss(self.loss_function, self.x)
        return self.raw_gradient()

    def slope(self, name: str, direction: np.ndarray, seed: int) -> float:
        """Return the central difference of the loss along a direction of one block."""
        array = self.parameters[name]
        before = array.copy()
        h = (3e-3 if self.narrow else 1e-5) / max(float(np.abs(direction).max()), 1e-30)
        try:
            array[...] = before + h * direction
            up = self.loss(seed)
            array[...] = before - h * direction
            down = self.loss(seed)
        finally:
            array[...] = before
        return (up - down) / (2 * h)


@contextmanager
def numpy_state() -> Iterator[None]:
    """Leave NumPy's global generator as it was found."""
    state = np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
