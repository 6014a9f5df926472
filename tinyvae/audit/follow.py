"""Follow one training step: find the encoder's outputs, the noise, z, the decoder's output and the
loss in it, and make functions of them by replacing arrays inside the step.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinyvae.audit import frameworks
from tinyvae.audit.frameworks import to_numpy
from tinyvae.audit.tape import Graph, Key, Trace

PRIME = 17


class NotFollowed(ValueError):
    """The pieces of a VAE were not found in a step; the message says which."""


class Wrong(NotFollowed):
    """A step in which they cannot be found because of an error, which has a name."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def tape_of(step: Callable, model: Any, x: Any) -> Any:
    """Return what runs a step and records it, by the framework of its data and its model."""
    kinds = frameworks.framework_of(model, x)
    if "torch" in kinds:
        from tinyvae.audit.torch_tape import TorchTape as Tape
    elif "jax" in kinds:
        from tinyvae.audit.jax_tape import JaxTape as Tape
    elif "tensorflow" in kinds:
        from tinyvae.audit.tensorflow_tape import TensorFlowTape as Tape
    else:
        from tinyvae.audit.numpy_tape import NumpyTape as Tape
    return Tape(step, model)


@dataclass
class Pieces:
    """Where the pieces of a VAE stand in a step.

    Attributes
    ----------
    heads : groups of keys of the encoder's outputs that z is made from: mu's, then s's
    noise : keys of the noise
    z : key of the latent sample
    outputs : groups of keys of the decoder's outputs that the loss sees
    loss : number of the returned item that is the loss
    others : groups of keys of further networks' outputs that the loss sees
    used : whether a layer takes z
    """

    heads: list[list[Key]]
    noise: list[Key]
    z: Key
    outputs: list[list[Key]]
    loss: int
    others: list[list[Key]] = field(default_factory=list)
    used: bool = True
    means: dict[str, bool] = field(default_factory=dict)


class Step:
    """A step on a model with a batch x, run at will with other rows and with replaced arrays."""

    def __init__(self, step: Callable, model: Any, x: Any) -> None:
        self.tape = tape_of(step, model, x)
        self.step, self.x = step, x
        self.fixed = False  # whether it insists on its own rows
        arrays = list(frameworks.arrays_of(x))
        self.target = next((i for i, a in enumerate(arrays) if np.ndim(a)), -1)
        if self.target < 0:
            raise ValueError("x must be a batch of data: an array, or a tuple or mapping of them")
        self.B = int(np.shape(arrays[self.target])[0])
        self._run()  # what is set up once is set up now
        self.first = self._first()
        again = self._run()
        if [op.name for op in again.ops] != [op.name for op in self.first.ops]:
            raise NotFollowed("the step takes other operations from run to run")
        self.graph = Graph(self.first)
        if not self.first.items:
            raise ValueError("step returned nothing; expected the loss")

    def _first(self) -> Trace:
        """Run with a prime number of rows, so that no other size equals it, or as it came."""
        if self.B > 1:
            try:
                first = self.tape.run(self.rows(PRIME), seed=0)
                self.x, self.B = self.rows(PRIME), PRIME
                return first
            except Exception:
                self.fixed = True
        return self._run()

    def _run(self) -> Trace:
        """Run the step as it is."""
        try:
            return self.tape.run(self.x, seed=0)
        except Exception as failure:
            reason = " ".join(str(failure).split())[:240]
            kind = type(failure).__name__
            raise ValueError(f"step(model, x) raised {kind}: {reason}") from failure

    def resized(self, shape: tuple[int, ...], B: int) -> tuple[int, ...]:
        """Return a shape of the first run for other rows, also where they are merged."""
        if self.B not in shape and self.B > 1 and shape and shape[0] % self.B == 0:
            return (shape[0] // self.B * B, *shape[1:])
        return tuple(B if n == self.B else n for n in shape)

    def aim(self, compared: list[int], outputs: list[Key]) -> None:
        """Take for the target the array that the loss sees, best of the size of x_hat."""
        arrays = list(frameworks.arrays_of(self.x))
        sizes = {self.graph.size(key) for key in outputs}
        rows = [i for i in compared if np.shape(arrays[i])[:1] == (self.B,)]
        rows.sort(key=lambda i: (int(np.prod(np.shape(arrays[i]))) not in sizes, i))
        self.target = rows[0] if rows else self.target

    @property
    def data(self) -> np.ndarray:
        """Return the batch's array that x_hat is compared with, as NumPy's."""
        return to_numpy(list(frameworks.arrays_of(self.x))[self.target], "x")

    def rows(self, B: int, data: np.ndarray | None = None) -> Any:
        """Return the batch with B rows, its target exchanged for other data where given."""
        place = itertools.count()

        def resize(array: Any) -> Any:
            number = next(place)
            if not np.ndim(array) or np.shape(array)[0] != self.B:
                return array
            new = to_numpy(array, "x")
            new = new[np.arange(B) % self.B]
            if number == self.target and data is not None:
                new = np.asarray(data).reshape(new.shape).astype(new.dtype)
            return frameworks.like(new, array)

        return frameworks.with_arrays_of(self.x, resize)
