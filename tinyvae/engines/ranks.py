"""Take each step on this rank's rows, with the others' by one all-reduce: the engine of ranks."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyvae.core.arrays import Array, Ops
from tinyvae.engines.partition import DataParallel
from tinyvae.engines.plain import Batch, Steps
from tinyvae.models import Autoencoder


class RankOps(Ops):
    """The operations of a model that sees its rank's rows: a mean is one over all ranks' rows."""

    def __init__(self, ops: Ops, parallel: DataParallel) -> None:
        self.own, self.parallel = ops, parallel

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        return self.own.matmul(a, b, out)

    def batch_mean(self, values: Array) -> Array:
        return self.parallel.batch_mean(values)

    def over(self, function: Callable[[int, int], None], size: int, width: int = 1) -> None:
        self.own.over(function, size, width)


def share_means(model: Autoencoder, ops: RankOps) -> None:
    """Let `ops` do a model's large operations. Without free bits the loss is linear in the mean of
    the KL: each rank's own mean gives the same gradient, without an exchange."""
    model.take(ops)
    if not model.free_bits:
        model.ops = ops.own


class RankNoise:
    """Draws the noise of a whole batch, the same on every rank, and returns that of its rows."""

    def __init__(self, generator: Any, parallel: DataParallel) -> None:
        self.generator, self.parallel = generator, parallel

    def standard_normal(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Return the noise of this rank's rows."""
        whole = (self.parallel.total, *shape[1:])
        return self.generator.standard_normal(whole, dtype=dtype)[self.parallel.rows]


class RankSteps(Steps):
    """Take every step with the other ranks. Until `close`, the model's means are over all ranks'
    rows, and so is its noise."""

    def start(self, epoch: int, betas: list[float] | None = None) -> None:
        super().start(epoch, betas)
        self.generator = self.model.noise
        self.model.noise = RankNoise(self.generator, self.ranks)
        share_means(self.model, RankOps(self.model.backend.ops, self.ranks))

    def gather(self, rows: np.ndarray) -> Batch:
        return super().gather(self.ranks.own(rows))

    def backward(self) -> None:
        super().backward()
        self.ranks.reduce_gradient(self.model.parameters.grad)

    def close(self) -> None:
        super().close()
        self.model.take(self.model.backend.ops)
        if isinstance(self.model.noise, RankNoise):
            self.model.noise = self.generator
