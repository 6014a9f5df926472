"""One training step of the same VAE in tinyvae and in its peers, each in a process of its own.

`python benchmarks/peers.py NAME D H L B THREADS` sets the step up, then reads requests from its
standard input: a number of steps is answered with the seconds that they took, `memory` with the
most bytes held so far, beyond a process that has the library imported and the data in place. A step
is: gather the batch, draw eps, forward, backward, Adam, and the loss added to a running total. All
peers train the same model in float32 from the same weights, data and batches.
"""

import importlib
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from typing import Any

from machine import peak_bytes
from trainers import RATE, Jax, Model, Torch

PEERS = ("tinyvae", "by hand", "torch", "torch.compile", "jax", "numpy", "floor")
MODULES = {
    "tinyvae": "tinyvae.train",
    "by hand": "tinyvae",
    "torch": "torch",
    "torch.compile": "torch",
    "jax": "jax",
}
ROWS = 6000


def limit_threads(threads: int) -> None:
    """Hold every library's matrix products to so many threads; called before they are imported."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    if hasattr(os, "sched_setaffinity"):  # some libraries heed the processors alone
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


@cache
def data(D: int):
    """Return the training rows, the same for every peer."""
    import numpy as np

    return np.random.default_rng(0).random((ROWS, D), dtype=np.float32)


def rows_of_batches(B: int):
    """Return a function that gives the rows of the next batch."""
    import numpy as np

    rng = np.random.default_rng(1)
    return lambda: rng.integers(0, ROWS, B)


def tinyvae(D: int, H: int, L: int, B: int, threads: int) -> Callable[[int], float]:
    """tinyvae itself: the steps that `fit` takes, full batches only."""
    from harness import take

    from tinyvae import VAE, Adam
    from tinyvae.engines import make_steps
    from tinyvae.engines.communicator import find
    from tinyvae.engines.partition import DataParallel
    from tinyvae.threads import team

    vae = VAE(D, L, hidden=(H,), likelihood="bernoulli", backend="numpy")
    optimizer, alone = Adam(vae.parameters, lr=RATE), DataParallel(find("none"))
    cores = ExitStack()  # as within `fit`, here as long as the process lives
    cores.enter_context(team.using(threads))
    taken = make_steps(vae, optimizer, data(D), None, B, alone)
    full, done = ROWS // B, 0

    def steps(n: int, cores: ExitStack = cores) -> float:
        nonlocal done
        total = 0.0
        for _ in range(n):
            if not done % full:
                taken.start(1 + done // full)
            take(taken, done % full)
            total += float(taken.log[done % full, 0])
            done += 1
        return total / n

    return steps


def by_hand(D: int, H: int, L: int, B: int, threads: int) -> Callable[[int], float]:
    """tinyvae in a loop that somebody wrote: `forward`, `backward`, `step`."""
    from tinyvae import VAE, Adam

    x, next_rows = data(D), rows_of_batches(B)
    vae = VAE(D, L, hidden=(H,), likelihood="bernoulli", backend="numpy")
    optimizer = Adam(vae.parameters, lr=RATE)

    def steps(n: int) -> float:
        total = 0.0
        for _ in range(n):
            total += vae.forward(x[next_rows()]).loss
            vae.backward()
            optimizer.step()
        return float(total) / n

    return steps


def steps_of(trainer: Any, B: int) -> Callable[[int], float]:
    """Return the function that runs n steps of a trainer and gives the mean loss."""
    next_rows = rows_of_batches(B)

    def steps(n: int) -> float:
        for _ in range(n):
            trainer.step(next_rows())
        return trainer.sum() / n

    return steps


def torch(D: int, H: int, L: int, B: int, threads: int, compiled: bool = False):
    """PyTorch's steps."""
    import torch

    torch.set_num_threads(threads)
    return steps_of(Torch(Model(D, (H,), L), data(D), compiled), B)


def jax(D: int, H: int, L: int, B: int, threads: int) -> Callable[[int], float]:
    """JAX's steps."""
    return steps_of(Jax(Model(D, (H,), L), data(D)), B)


def floor(D: int, H: int, L: int, B: int, threads: int) -> Callable[[int], float]:
    """The eleven matrix products of a step alone, in NumPy: nothing built on it can be faster."""
    import numpy as np

    rng = np.random.default_rng(0)
    sizes = [(D, H), (H, 2 * L), (L, H), (H, D)]
    layers = []
    for n_in, n_out in sizes:
        shapes = (B, n_in), (n_in, n_out), (B, n_out)
        x, W, dy = (rng.random(shape, dtype=np.float32) for shape in shapes)
        layers.append((x, W, dy, np.empty_like(dy), np.empty_like(W), np.empty_like(x)))

    def steps(n: int) -> float:
        for _ in range(n):
            for x, W, _, y, _, _ in layers:
                np.matmul(x, W, out=y)
            for i, (x, W, dy, _, dW, dx) in enumerate(layers):
                np.matmul(x.T, dy, out=dW)
                if i:  # the first layer needs no dx
                    np.matmul(dy, W.T, out=dx)
        return 0.0

    return steps


def plain(*size: int) -> Callable[[int], float]:
    """The textbook's step in NumPy, from a file of its own."""
    from textbook import steps

    return steps(*size)


MAKERS = {
    "tinyvae": tinyvae,
    "by hand": by_hand,
    "torch": torch,
    "torch.compile": lambda *size: torch(*size, compiled=True),
    "jax": jax,
    "numpy": plain,
    "floor": floor,
}


def answer(
    steps: Callable[[int], float], baseline: int = 0, epochs: Callable | None = None
) -> None:
    """Answer requests on the standard input until it ends: N, `epochs N`, `memory`."""
    print("ready", steps(20), flush=True)
    for line in sys.stdin:
        *what, last = line.split()
        if last == "memory":
            print(peak_bytes() - baseline, flush=True)
            continue
        start = time.perf_counter()
        (epochs if what else steps)(int(last))
        print(time.perf_counter() - start, flush=True)


def main() -> None:
    """Set one peer up and let it answer."""
    name, *size = sys.argv[1:]
    size = [int(number) for number in size]
    limit_threads(size[-1])
    importlib.import_module(MODULES.get(name, "numpy"))
    data(size[0])
    baseline = peak_bytes()
    answer(MAKERS[name](*size), baseline)


if __name__ == "__main__":
    main()
