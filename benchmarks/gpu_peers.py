"""One training step on a GPU, in tinyvae and in its peers, each in a process of its own.

`python benchmarks/gpu_peers.py NAME D H L B DEVICE TF32` answers as `peers.py` does, and `epochs N`
with the seconds of N epochs. The data are on the device, each epoch begins with a new permutation
of their rows, and a step is: gather the batch, draw eps, forward, backward, Adam, and the loss
added to a running total. Nothing waits for the device before the last step is asked for its loss.
DEVICE is `cuda`, or `cpu` to see that the code runs; TF32 is 0 or 1.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

from peers import answer
from trainers import RATE, Jax, Model, Torch

PEERS = ("tinyvae", "torch", "torch.compile", "cuda-graph", "jax", "jax-loop", "floor")
ROWS = {"cuda": 60_000, "cpu": 6_000}


def data(D: int, device: str) -> Any:
    """Return the training rows, as many as MNIST's on a GPU."""
    import numpy as np

    return np.random.default_rng(0).random((ROWS[device], D), dtype=np.float32)


def tinyvae_steps(model: Model, B: int, device: str, tf32: bool) -> tuple[Callable, Callable]:
    """tinyvae: the steps that `fit` takes, and its epochs by `fit` itself, with its capture."""
    from harness import take

    from tinyvae import VAE, Adam, fit
    from tinyvae.engines import make_steps
    from tinyvae.engines.communicator import find
    from tinyvae.engines.partition import DataParallel

    backend = {"cuda": "cupy", "cpu": "numpy"}[device]
    vae = VAE(model.D, model.L, hidden=model.hidden, likelihood=model.likelihood, backend=backend)
    x = vae.backend.asarray(data(model.D, device))
    optimizer = Adam(vae.parameters, lr=RATE)
    alone = DataParallel(find("none"))
    taken = make_steps(vae, optimizer, x, None, B, alone, tf32=tf32)
    per_epoch, done = len(x) // B, 0

    def steps(n: int) -> float:
        nonlocal done
        for _ in range(n):
            epoch, step = divmod(done, per_epoch)
            if step == 0:
                taken.start(epoch + 1)
            take(taken, step)
            done += 1
        return float(taken.log[:, 0].sum())

    def epochs(n: int) -> None:
        again = VAE(
            model.D, model.L, hidden=model.hidden, likelihood=model.likelihood, backend=backend
        )
        fit(again, x, n, B, lr=RATE, progress=False, tf32=tf32)

    return steps, epochs


def by_steps(steps: Callable, rows: int, B: int) -> tuple[Callable, Callable]:
    """Return steps, and the epochs that are made of them."""
    return steps, lambda n: steps(n * (rows // B))


def torch_steps(
    model: Model, B: int, device: str, tf32: bool, compiled: str = ""
) -> tuple[Callable, Callable]:
    """PyTorch: eager with the fused Adam, or with the loss compiled in a mode."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = tf32
    trainer = Torch(model, data(model.D, device), compiled, device, capturable=device == "cuda")
    rows = len(trainer.x)
    order, done = None, 0

    def steps(n: int) -> float:
        nonlocal order, done
        for _ in range(n):
            start = done % (rows // B) * B
            if start == 0:
                order = torch.randperm(rows, device=device)
            if compiled:
                torch.compiler.cudagraph_mark_step_begin()
            trainer.step(order[start : start + B])
            done += 1
        return trainer.sum() / n

    return by_steps(steps, rows, B)


def captured_steps(model: Model, B: int, device: str, tf32: bool) -> tuple[Callable, Callable]:
    """PyTorch: the whole step captured by hand in a CUDA graph, and replayed."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = tf32
    trainer = Torch(model, data(model.D, device), False, device, capturable=True)
    rows, done = len(trainer.x), 0
    order = torch.randperm(rows, device=device)
    position = torch.zeros((), dtype=torch.int64, device=device)
    within = torch.arange(B, device=device)

    def step() -> None:
        trainer.step(order[position * B + within])
        position.add_(1)

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.stream(stream):
        for _ in range(3):  # libraries load, and Adam makes its moments
            step()
        with torch.cuda.graph(graph, stream=stream):
            step()

    def steps(n: int) -> float:
        nonlocal done
        with torch.cuda.stream(stream):
            for _ in range(n):
                if done % (rows // B) == 0:
                    order.copy_(torch.randperm(rows, device=device))
                    position.zero_()
                    stream.synchronize()  # once an epoch: without, indices were out of bounds
                graph.replay()
                done += 1
            return trainer.sum() / n

    return by_steps(steps, rows, B)


def jax_steps(
    model: Model, B: int, device: str, tf32: bool, loop: bool = False
) -> tuple[Callable, Callable]:
    """JAX: each step one compiled call, or all steps until the epoch's end in one."""
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # the device is shared with the others
    os.environ["JAX_PLATFORMS"] = device
    import jax

    precision = "tensorfloat32" if tf32 else "float32"
    jax.config.update("jax_default_matmul_precision", precision)
    trainer = Jax(model, data(model.D, device))
    rows, done, key = len(trainer.x), 0, jax.random.key(2)
    shuffle = jax.jit(lambda key: jax.random.permutation(key, rows))
    order, position = shuffle(key), jax.numpy.zeros((), "int32")

    def step(state: Any, position: Any, x: Any, order: Any) -> Any:
        taken = jax.lax.dynamic_slice(order, (position * B,), (B,))
        return trainer.uncompiled(state, x, taken), position + 1

    def several(n: Any, state: Any, position: Any, x: Any, order: Any) -> Any:
        return jax.lax.fori_loop(0, n, lambda _, s: step(*s, x, order), (state, position))

    one = jax.jit(step, donate_argnums=(0, 1))
    many = jax.jit(several, donate_argnums=(1, 2))

    def steps(n: int) -> float:
        nonlocal done, key, order, position
        end = done + n
        while done < end:
            left = rows // B - done % (rows // B)
            if left == rows // B:
                key, drawn = jax.random.split(key)
                order, position = shuffle(drawn), jax.numpy.zeros((), "int32")
            if loop:
                taken = min(left, end - done)
                trainer.state, position = many(taken, trainer.state, position, trainer.x, order)
            else:
                taken = 1
                trainer.state, position = one(trainer.state, position, trainer.x, order)
            done += taken
        return trainer.sum() / n

    return by_steps(steps, rows, B)


def product_steps(model: Model, B: int, device: str, tf32: bool) -> tuple[Callable, Callable]:
    """The eleven matrix products of a step alone; on a GPU replayed as a CUDA graph."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = tf32
    layers = []
    for n_in, n_out in [shape for network in model.networks for shape in network]:
        x, W, dy = (torch.rand(*s, device=device) for s in ((B, n_in), (n_in, n_out), (B, n_out)))
        layers.append((x, W, dy, torch.empty_like(dy), torch.empty_like(W), torch.empty_like(x)))

    def products() -> None:
        for x, W, _, y, _, _ in layers:
            torch.matmul(x, W, out=y)
        for i, (x, W, dy, _, dW, dx) in enumerate(layers):
            torch.matmul(x.T, dy, out=dW)
            if i:  # the first layer needs no dx
                torch.matmul(dy, W.T, out=dx)

    products()
    run = products
    if device == "cuda":
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            products()
        run = graph.replay

    def steps(n: int) -> float:
        for _ in range(n):
            run()
        return float(layers[-1][3][0, 0])  # waits for the device

    return by_steps(steps, ROWS[device], B)


MAKERS = {
    "tinyvae": tinyvae_steps,
    "torch": torch_steps,
    "torch.compile": lambda *given: torch_steps(*given, compiled="reduce-overhead"),
    "cuda-graph": captured_steps,
    "jax": jax_steps,
    "jax-loop": lambda *given: jax_steps(*given, loop=True),
    "floor": product_steps,
}


def main() -> None:
    """Set one peer up and let it answer."""
    name, D, H, L, B, device, tf32 = sys.argv[1:]
    model = Model(int(D), (int(H),), int(L))
    steps, epochs = MAKERS[name](model, int(B), device, tf32 == "1")
    answer(steps, epochs=epochs)


if __name__ == "__main__":
    main()
