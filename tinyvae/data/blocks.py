"""Cut rows into blocks: in order, to go through many of them, or shuffled, for an epoch."""

from collections.abc import Iterator

import numpy as np


def blocks(n: int, size: int) -> Iterator[slice]:
    """Cut 0 … n into slices of at most `size`, but at least 1."""
    size = max(1, size)
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def batches(n_rows: int, batch_size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield index arrays (B,) that cover all rows once in random order; the last may be short."""
    if n_rows < 1 or batch_size < 1:
        raise ValueError(f"batches need rows and a size: got {n_rows} rows, size {batch_size}")
    order = rng.permutation(n_rows)
    return (order[rows] for rows in blocks(n_rows, batch_size))
