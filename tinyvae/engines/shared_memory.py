"""Arrays in memory that forks of this process share with it, and the products made of them."""

import math
import mmap

import numpy as np

from tinyvae.core.arrays import Array
from tinyvae.engines.partition import DataParallel
from tinyvae.engines.ranks import RankOps
from tinyvae.models import Autoencoder
from tinyvae.threads import ThreadedOps

TURNED = 128  # rows up to which a product dy Wᵀ is a fifth faster as (W dyᵀ)ᵀ


def shared(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return zeros in memory that forks of this process share with it."""
    size = math.prod(shape)
    memory = mmap.mmap(-1, max(1, size * np.dtype(dtype).itemsize))
    return np.frombuffer(memory, dtype, size).reshape(shape)


class SharedProduct:
    """The gradient dW = xᵀ dy of one layer's weights, whose factors all processes see.

    xs and dys hold the rows of all processes, `draws` for each example. In θ, W begins at `start`,
    and b follows it.
    """

    def __init__(self, start: int, W: Array, B: int, draws: int) -> None:
        (n_in, n_out), self.draws = W.shape, draws
        self.start, self.stop, self.width = start, start + (n_in + 1) * n_out, n_out
        self.xs = shared((B * draws, n_in), W.dtype.name)
        self.dys = shared((B * draws, n_out), W.dtype.name)

    def show(self, first: int, x: Array, dy: Array) -> None:
        """Let all processes see the rows of x and dy of the examples from `first` on."""
        rows = slice(first * self.draws, first * self.draws + len(x))
        self.xs[rows], self.dys[rows] = x, dy

    def multiply(self, g: Array, B: int, start: int, stop: int) -> None:
        """Write what lies between `start` and `stop` of the gradient of all B rows of the batch."""
        n_in, n_out = self.xs.shape[1], self.width
        first, last = (min(max(0, end - self.start) // n_out, n_in) for end in (start, stop))
        xs, dys = self.xs[: B * self.draws], self.dys[: B * self.draws]
        if first < last:
            dW = g[self.start : self.stop - n_out].reshape(n_in, n_out)
            np.matmul(xs[:, first:last].T, dys, out=dW[first:last])
        if start < self.stop <= stop:
            dys.sum(axis=0, out=g[self.stop - n_out : self.stop])

    def cut(self, position: int) -> int:
        """Return the first place from `position` on where θ may be cut: the end of a row of W."""
        rows = -(-(position - self.start) // self.width)
        return min(self.start + rows * self.width, self.stop)


def products_of(model: Autoencoder, B: int) -> list[SharedProduct]:
    """Return the product behind each layer's weights, for batches of up to B examples."""
    products, start = [], 0
    for name, W in model.parameters.items():
        if name.endswith(".W"):
            draws = model.importance_samples if name.startswith("decoder") else 1
            products.append(SharedProduct(start, W, B, draws))
            start = products[-1].stop
    return products


class ProcessOps(RankOps):
    """The operations of one process: it shows the factors of each gradient of weights to the
    others, and leaves the product for when all have come so far."""

    def __init__(self, parallel: DataParallel, products: list[SharedProduct], g: Array) -> None:
        super().__init__(ThreadedOps(), parallel)
        place = g.__array_interface__["data"][0]
        self.products = {place + p.start * g.itemsize: p for p in products}
        self.first = 0  # of the batch's examples, this process's

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        if out is not None:
            self.products[out.__array_interface__["data"][0]].show(self.first, a.T, b)
            return out
        if len(a) <= TURNED and b.flags.f_contiguous:
            return np.ascontiguousarray(np.matmul(b.T, a.T).T)  # the same
        return np.matmul(a, b)
