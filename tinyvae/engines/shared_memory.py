"""Arrays in memory that forks of this process share with it, and the layer that works on them."""

import copy
import math
import mmap

import numpy as np

from tinyvae.core.arrays import Array
from tinyvae.core.layers import Dense
from tinyvae.core.model import Autoencoder

TURNED = 128  # rows up to which a product dy Wᵀ is a fifth faster as (W dyᵀ)ᵀ


def shared(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return zeros in memory that forks of this process share with it."""
    size = math.prod(shape)
    memory = mmap.mmap(-1, max(1, size * np.dtype(dtype).itemsize))
    return np.frombuffer(memory, dtype, size).reshape(shape)


def rows_of_layers(model: Autoencoder, B: int) -> dict[tuple[str, int], tuple]:
    """Return for each layer with weights, by network and place, shared xs and dys for B examples,
    and how many of their rows an example has: one for each z that is drawn for it."""
    found = {}
    for name, draws in (("encoder", 1), ("decoder", getattr(model, "importance_samples", 1))):
        for i, layer in enumerate(getattr(model, name).layers):
            if isinstance(layer, Dense):
                n_in, n_out = layer.shapes["W"]
                xs, dys = (shared((B * draws, width), model.dtype) for width in (n_in, n_out))
                found[name, i] = xs, dys, draws
    return found


def twin_on(
    theta: Array, gradient: Array, model: Autoencoder, rows: dict
) -> tuple[Autoencoder, list["SharedDense"]]:
    """Return a copy of a model whose weights lie in `theta`, and those of its layers that have any,
    which show what they see in `rows` (of `rows_of_layers`)."""
    twin, layers, start = copy.copy(model), [], 0
    twin.likelihood = copy.copy(model.likelihood)
    twin.as_batch = lambda x, *_: x  # `fit` has checked it
    for name in ("encoder", "decoder"):
        network = copy.copy(getattr(model, name))
        network.layers = [copy.copy(layer) for layer in network.layers]
        setattr(twin, name, network)
        for i, layer in enumerate(network.layers):
            if isinstance(layer, Dense):
                layer.__class__ = SharedDense
                layer.xs, layer.dys, layer.draws = rows[name, i]
                layer.place(theta, gradient, start)
                start = layer.stop
                layers.append(layer)
    return twin, layers


class SharedDense(Dense):
    """A `Dense` layer that shows its rows of x and dy to all, and leaves the gradient for later.

    xs and dys hold the rows of all processes, `draws` for each example; its own begin at `first`.
    """

    def place(self, theta: Array, gradient: Array, start: int) -> None:
        """Let the weights lie in θ from `start` on, and their gradient likewise."""
        self.start = start
        for name, shape in self.shapes.items():
            stop = start + math.prod(shape)
            setattr(self, name, theta[start:stop].reshape(shape))
            setattr(self, "d" + name, gradient[start:stop].reshape(shape))
            start = stop
        self.stop = start

    def forward(self, x: Array) -> Array:
        self.rows = slice(self.first, self.first + len(x))
        self.xs[self.rows] = x
        return super().forward(x)

    def backward(self, dy: Array, need_dx: bool = True) -> Array | None:
        self.dys[self.rows] = dy
        if not need_dx:
            return None
        if len(dy) > TURNED:
            return dy @ self.W.T
        return np.ascontiguousarray((self.W @ dy.T).T)  # the same

    def gradient(self, B: int, start: int, stop: int) -> None:
        """Write what lies between `start` and `stop` of the gradient of all B rows of the batch."""
        n_in, n_out = self.W.shape
        first, last = (min(max(0, end - self.start) // n_out, n_in) for end in (start, stop))
        xs, dys = self.xs[: B * self.draws], self.dys[: B * self.draws]
        if first < last:
            np.matmul(xs[:, first:last].T, dys, out=self.dW[first:last])
        if start < self.stop <= stop:
            dys.sum(axis=0, out=self.db)
