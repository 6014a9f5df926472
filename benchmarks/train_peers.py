"""Train one model from nothing with one library, and tell when it had got how far.

`python benchmarks/train_peers.py NAME TASK THREADS EPOCHS [FOLDER]` prints JSON: the moments of the
machine's monotonic clock when the library was imported, the data read, the first step done (with
what is compiled for it) and the last one; the most memory held until then; and the loss on the test
images, which one function computes for all, in float64 and with the same noise.
"""

import gzip
import importlib.util
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from machine import peak_bytes
from peers import limit_threads
from trainers import RATE, Jax, Model, Torch


class Task(NamedTuple):
    """What is trained: the model, the size of a batch, and whether the rate falls at two thirds."""

    model: Model
    epochs: int
    batch_size: int
    lr_schedule: str


TASKS = {
    "digits": Task(Model(784, (256, 128), 2, "gaussian"), 60, 100, "step"),
    "mnist": Task(Model(784, (400,), 20, "bernoulli"), 10, 128, "constant"),
}


def images(task: str, folder: str | None) -> tuple[Any, Any]:
    """Return training and test images, rows of floats in [0, 1], as the peers read them."""
    import numpy as np

    if task == "digits":
        package = Path(importlib.util.find_spec("tinyvae").origin).parent
        with np.load(package / "data" / "bundled" / "digits.npz") as file:
            parts = file["x_train"], file["x_test"]
    else:
        parts = [idx(Path(folder), f"{part}-images-idx3-ubyte") for part in ("train", "t10k")]
    return tuple(np.divide(part.reshape(-1, 784), 255, dtype=np.float32) for part in parts)


def idx(folder: Path, name: str) -> Any:
    """Return the bytes of a file of images, packed or not."""
    import numpy as np

    file = folder / name
    content = file.read_bytes() if file.exists() else gzip.open(f"{file}.gz").read()
    return np.frombuffer(content, np.uint8, offset=16)


def tinyvae(name: str, epochs: int, threads: int, folder: str | None, mark: Callable) -> list:
    """Train with `fit`; return (W, b) of each layer."""
    from tinyvae import VAE, load_dataset
    from tinyvae.train import loop

    mark("import")
    task, x = TASKS[name], load_dataset(name, folder).x_train
    mark("data")
    model = task.model
    gaussian = {"sigma": math.sqrt(0.5), "output": "sigmoid"}
    vae = VAE(
        model.D, model.L, hidden=model.hidden, likelihood=model.likelihood, backend="numpy",
        **(gaussian if model.likelihood == "gaussian" else {}),
    )  # fmt: skip
    make_steps = loop.make_steps

    def with_mark(*arguments: Any, **options: Any) -> Any:
        steps = make_steps(*arguments, **options)
        note = steps.note

        def first_step(step: int, terms: Any) -> None:
            del steps.note  # the method itself again
            note(step, terms)
            mark("first")

        steps.note = first_step
        return steps

    loop.make_steps = with_mark
    loop.fit(
        vae, x, epochs, task.batch_size, lr=RATE, lr_schedule=task.lr_schedule, progress=False,
        threads=threads,
    )  # fmt: skip
    mark("trained")
    arrays = iter(vae.parameters.values())
    return list(zip(arrays, arrays, strict=True))


def torch(*arguments: Any, compiled: bool = False) -> list:
    """Train with PyTorch."""
    import torch

    torch.set_num_threads(arguments[2])
    return loop(lambda model, x: Torch(model, x, compiled), *arguments)


def jax(*arguments: Any) -> list:
    """Train with JAX."""
    import jax  # noqa: F401  (part of what `import` measures)

    return loop(Jax, *arguments)


def loop(
    trainer: Callable, name: str, epochs: int, threads: int, folder: str | None, mark: Callable
) -> list:
    """Train; the last batch of an epoch is left out if it is short: it would be compiled anew."""
    import numpy as np

    mark("import")
    task, x = TASKS[name], images(name, folder)[0]
    mark("data")
    trainer, rng = trainer(task.model, x), np.random.default_rng(0)
    for epoch in range(epochs):
        if task.lr_schedule == "step" and epoch / epochs >= 2 / 3:
            trainer.set_rate(RATE / 5)
        order = rng.permutation(len(x))
        for start in range(0, len(x) - task.batch_size + 1, task.batch_size):
            trainer.step(order[start : start + task.batch_size])
            if epoch == start == 0:
                trainer.sum()
                mark("first")
        trainer.sum()
    mark("trained")
    return trainer.weights()


def test_loss(weights: list, model: Model, x: Any) -> float:
    """Return −ELBO of images x in nats per example, one draw of z each."""
    import numpy as np

    rng, total = np.random.default_rng(0), 0.0
    weights = [(W.astype(np.float64), b.astype(np.float64)) for W, b in weights]
    layers = len(model.hidden) + 1

    def run(network: list, h: Any) -> Any:
        for W, b in network[:-1]:
            h = np.maximum(h @ W + b, 0)
        return h @ network[-1][0] + network[-1][1]

    for start in range(0, len(x), 1000):
        batch = x[start : start + 1000].astype(np.float64)
        mu, logvar = np.split(run(weights[:layers], batch), 2, axis=1)
        z = mu + np.exp(0.5 * logvar) * rng.standard_normal(mu.shape)
        y = run(weights[layers:], z)
        if model.likelihood == "bernoulli":
            total += np.sum(np.logaddexp(0, y) - batch * y)
        else:  # σ² = ½
            total += np.sum((1 / (1 + np.exp(-y)) - batch) ** 2 + 0.5 * math.log(math.pi))
        total += 0.5 * np.sum(mu**2 + np.exp(logvar) - 1 - logvar)
    return float(total) / len(x)


TRAIN = {
    "tinyvae": tinyvae,
    "torch": torch,
    "torch.compile": lambda *arguments: torch(*arguments, compiled=True),
    "jax": jax,
}


def main() -> None:
    """Train, and print the moments, the memory and the loss."""
    name, task, threads, epochs, *folder = sys.argv[1:]
    folder = folder[0] if folder else None
    limit_threads(int(threads))
    moments = {}

    def mark(what: str) -> None:
        moments[what] = time.monotonic()

    weights = TRAIN[name](task, int(epochs), int(threads), folder, mark)
    peak = peak_bytes()
    loss = test_loss(weights, TASKS[task].model, images(task, folder)[1])
    print(json.dumps({"moments": moments, "peak": peak, "test_loss": loss}))


if __name__ == "__main__":
    main()
