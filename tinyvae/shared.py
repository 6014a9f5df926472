"""Arrays in memory that forks of this process share with it, and the layer that works on them."""

import math
import mmap

import numpy as np

from tinyvae.backend import Array
from tinyvae.layers import Dense

TURNED = 128  # rows up to which a product dy Wᵀ is a fifth faster as (W dyᵀ)ᵀ


def shared(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return zeros in memory that forks of this process share with it."""
    size = math.prod(shape)
    memory = mmap.mmap(-1, max(1, size * np.dtype(dtype).itemsize))
    return np.frombuffer(memory, dtype, size).reshape(shape)


class SharedDense(Dense):
    """A `Dense` layer that shows its rows of x and dy to all, and leaves the gradient for later."""

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
