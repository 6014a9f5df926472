"""Train one model from nothing with one library, and tell when it had got how far.

`python benchmarks/train_peers.py NAME TASK THREADS EPOCHS SEED [FOLDER]` prints JSON: the moments
of the machine's monotonic clock when the library was imported, the data read, the first step done
(with what is compiled for it), each epoch and the last step; the most memory held until then; and
the loss on the test images after each epoch, which one function computes for all when all is over,
in float64 and with the same noise, from weights that lie on disk meanwhile.
"""

import gzip
import importlib.util
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from machine import peak_bytes
from peers import limit_threads
from trainers import Jax, Model, Torch


class Task(NamedTuple):
    """What is trained, and how; "step": the rate falls to a fifth at two thirds. `target` is the
    test ELBO, in nats, that the time is taken to."""

    model: Model
    epochs: int
    batch_size: int
    lr: float
    lr_schedule: str
    target: float


TASKS = {
    "digits": Task(Model(784, (256, 128), 2, "gaussian"), 20, 100, 4e-3, "step", -487.5),
    "mnist": Task(Model(784, (400,), 20, "bernoulli"), 10, 128, 1e-3, "constant", -106.6),
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


def tinyvae(
    name: str, epochs: int, threads: int, seed: int, folder: str | None, mark: Callable
) -> None:
    """Train with `fit`."""
    from tinyvae import VAE, load_dataset
    from tinyvae.train import loop

    mark("import")
    task, x = TASKS[name], load_dataset(name, folder).x_train
    mark("data")
    model = task.model
    gaussian = {"sigma": math.sqrt(0.5), "output": "sigmoid"}
    vae = VAE(
        model.D, model.L, hidden=model.hidden, likelihood=model.likelihood, backend="numpy",
        seed=seed, **(gaussian if model.likelihood == "gaussian" else {}),
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

    def after(row: dict) -> None:
        arrays = iter(vae.parameters.values())
        mark("epoch", list(zip(arrays, arrays, strict=True)))

    loop.fit(
        vae, x, epochs, task.batch_size, lr=task.lr, lr_schedule=task.lr_schedule, progress=False,
        threads=threads, callback=after,
    )  # fmt: skip
    mark("trained")


def torch(*arguments: Any, compiled: bool = False) -> None:
    """Train with PyTorch."""
    import torch

    torch.set_num_threads(arguments[2])
    loop(lambda model, x, seed: Torch(model, x, compiled, seed=seed), *arguments)


def jax(*arguments: Any) -> None:
    """Train with JAX."""
    import jax  # noqa: F401  (part of what `import` measures)

    loop(Jax, *arguments)


def loop(
    trainer: Callable, name: str, epochs: int, threads: int, seed: int, folder: str | None,
    mark: Callable,
) -> None:  # fmt: skip
    """Train; the last batch of an epoch is left out if it is short: it would be compiled anew."""
    import numpy as np

    mark("import")
    task, x = TASKS[name], images(name, folder)[0]
    mark("data")
    trainer, rng = trainer(task.model, x, seed), np.random.default_rng(seed)
    trainer.set_rate(task.lr)
    for epoch in range(epochs):
        if task.lr_schedule == "step" and epoch / epochs >= 2 / 3:
            trainer.set_rate(task.lr / 5)
        order = rng.permutation(len(x))
        for start in range(0, len(x) - task.batch_size + 1, task.batch_size):
            trainer.step(order[start : start + task.batch_size])
            if epoch == start == 0:
                trainer.sum()
                mark("first")
        trainer.sum()
        mark("epoch", trainer.weights())
    mark("trained")


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
    import numpy as np

    name, task, threads, epochs, seed, *folder = sys.argv[1:]
    folder = folder[0] if folder else None
    limit_threads(int(threads))
    moments, ends = {}, []
    with tempfile.TemporaryDirectory() as kept:

        def mark(what: str, weights: list | None = None) -> None:
            if weights is None:
                moments[what] = time.monotonic()
            else:
                ends.append(time.monotonic())
                np.savez(f"{kept}/{len(ends)}.npz", *(array for pair in weights for array in pair))

        TRAIN[name](task, int(epochs), int(threads), int(seed), folder, mark)
        peak, x, losses = peak_bytes(), images(task, folder)[1], []
        for epoch in range(1, len(ends) + 1):
            with np.load(f"{kept}/{epoch}.npz") as file:
                arrays = iter([file[f"arr_{i}"] for i in range(len(file.files))])
                losses.append(
                    test_loss(list(zip(arrays, arrays, strict=True)), TASKS[task].model, x)
                )
    print(json.dumps({"moments": moments, "peak": peak, "ends": ends, "test_losses": losses}))


if __name__ == "__main__":
    main()
