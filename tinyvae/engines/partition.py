"""Split training over N processes ("ranks"), each on its rows of every batch, one gradient.

The loss is a mean over the B rows of a batch. Rank r, with B_r of them, computes the gradient g_r
of the mean over its own; the batch's is g = Σ_r (B_r / B) g_r, one all-reduce of one vector, after
which the optimizer takes the same step everywhere. Every rank draws the same batches and the noise
of the whole batch, so that an example meets the same noise whatever N: N ranks train as one does,
up to the rounding of that sum.

Buys: more machines or GPUs than one (benchmarks/results/ranks.md tells when that pays). Costs: this
file, `ranks.py` and `communicator.py`, 420 lines.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyvae.core.arrays import Array, array_module
from tinyvae.engines.communicator import Communicator
from tinyvae.models import Autoencoder

ROWS = 10_000  # of validation data that a rank holds at once


class DataParallel:
    """Split the batches of one training over the ranks, and put what they compute together."""

    def __init__(self, ranks: Communicator) -> None:
        self.ranks, self.several, self.first = ranks, ranks.size > 1, ranks.rank == 0
        self.rows, self.total, self.weight = slice(None), 0, 1.0

    def agree(self, model: Autoencoder, **terms: Any) -> None:
        """Let all ranks start from the first one's weights, if they were given the same terms.

        Raises ValueError on every rank where one of them was not.
        """
        if not self.several:
            return
        shapes = {name: view.shape for name, view in model.parameters.items()}
        terms |= {"seed": model.seed, "backend": model.backend.name, "weights": shapes}
        wanted = self.ranks.broadcast(terms)
        other = [name for name, value in wanted.items() if terms[name] != value]
        found = np.zeros(self.ranks.size)  # 1 + the place of the first other term, of each rank
        if other:
            found[self.ranks.rank] = 1 + list(wanted).index(other[0])
        self.ranks.all_reduce(found)
        if found.any():
            rank = int(np.flatnonzero(found)[0])
            name = list(wanted)[int(found[rank]) - 1]
            problem = f"rank {rank} was given another {name} than rank 0"
            if rank == self.ranks.rank:
                problem = f"rank {rank} was given {name} {terms[name]}, rank 0 {wanted[name]}"
            raise ValueError(f"{problem}: every rank of a training must be given the same")
        theta = model.parameters.theta
        theta *= float(self.first)
        self.ranks.all_reduce(theta)

    def ask(self, question: Callable, row: dict) -> bool:
        """Return whether the first rank's call of `question` returns True: a loss is no yes."""
        answer = question(row) if self.first else None
        return self.ranks.broadcast(isinstance(answer, bool | np.bool_) and bool(answer))

    def own(self, rows: np.ndarray) -> np.ndarray:
        """Return this rank's part (B_r,) of the rows of a batch (B,).

        A rank that is left without takes one that another has as well, with the weight 0, so that
        all of them go through the same steps.
        """
        self.total, part = len(rows), self._part(len(rows))
        self.weight = (part.stop - part.start) / len(rows)
        start = min(part.start, len(rows) - 1)
        self.rows = slice(start, max(part.stop, start + 1))
        return rows[self.rows]

    def _part(self, n: int) -> slice:
        rank, size = self.ranks.rank, self.ranks.size
        return slice(n * rank // size, n * (rank + 1) // size)

    def batch_mean(self, values: Array) -> Array:
        """Return the mean over the rows of all ranks, of values (B_r, …) on each."""
        mean = array_module(values).asarray(values.mean(axis=0) * self.weight)
        self.ranks.all_reduce(mean)
        return mean

    def reduce_gradient(self, g: Array) -> None:
        """Make the gradient of this rank's rows that of the whole batch: Σ_r (B_r / B) g_r."""
        if self.several:
            g *= self.weight
            self.ranks.all_reduce(g)

    def average(self, log: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Return the steps' terms (steps, …) over whole batches, from those of each rank's rows."""
        log = log.astype(np.float64)
        if self.several:
            parts = [self._part(size) for size in sizes.tolist()]
            log *= (np.array([part.stop - part.start for part in parts]) / sizes)[:, None]
            self.ranks.all_reduce(log)
        return log

    def mean(self, f: Callable, x: Array, labels: Array | None, width: int) -> np.ndarray:
        """Return f(x, labels), `width` means over the rows of x, of which each rank sees a part."""
        if not self.several:
            return f(x, labels)
        total, part = np.zeros(width), self._part(len(x))
        for start in range(part.start, part.stop, ROWS):
            rows = slice(start, min(start + ROWS, part.stop))
            some = None if labels is None else labels[rows]
            total += (rows.stop - rows.start) / len(x) * f(x[rows], some)
        self.ranks.all_reduce(total)
        return total
