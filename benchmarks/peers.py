"""One training step of the same VAE in tinyvae and in its peers, each in a process of its own.

`python benchmarks/peers.py NAME D H L B THREADS` sets the step up, then reads numbers of steps from
its standard input and answers each with the seconds that they took. A step is: gather the batch,
draw eps, forward, backward, Adam, and the loss added to a running total. The model is D-H-2L and
L-H-D with ReLU and a Bernoulli likelihood, in float32; all peers see the same data and batches.
"""

import os
import sys
import time
from collections.abc import Callable

PEERS = ("tinyvae", "torch", "torch.compile", "jax", "floor")
ROWS = 6000
RATE = 1e-3


def limit_threads(threads: int) -> None:
    """Hold every library's matrix products to so many threads; called before they are imported."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    if hasattr(os, "sched_setaffinity"):  # some libraries heed the processors alone
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


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
    """tinyvae itself, as `fit` runs it."""
    from tinyvae import VAE, Adam

    x, next_rows = data(D), rows_of_batches(B)
    vae = VAE(D, L, (H,), likelihood="bernoulli", backend="numpy")
    optimizer = Adam(vae.parameters, lr=RATE)

    def steps(n: int) -> float:
        total = 0.0
        for _ in range(n):
            total += vae.forward(x[next_rows()]).loss
            vae.backward()
            optimizer.step()
        return float(total) / n

    return steps


def torch(D: int, H: int, L: int, B: int, threads: int, compiled: bool = False):
    """PyTorch: eager with the fused Adam, or with the loss compiled."""
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    x, next_rows = torch.from_numpy(data(D)), rows_of_batches(B)
    encoder = torch.nn.Sequential(torch.nn.Linear(D, H), torch.nn.ReLU(), torch.nn.Linear(H, 2 * L))
    decoder = torch.nn.Sequential(torch.nn.Linear(L, H), torch.nn.ReLU(), torch.nn.Linear(H, D))
    weights = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(weights, lr=RATE, fused=True)

    def loss_of(batch):
        mu, logvar = encoder(batch).chunk(2, dim=1)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        nll = F.binary_cross_entropy_with_logits(decoder(z), batch, reduction="sum")
        return (nll + 0.5 * (mu * mu + logvar.exp() - 1 - logvar).sum()) / len(batch)

    loss_of = torch.compile(loss_of) if compiled else loss_of

    def steps(n: int) -> float:
        total = torch.zeros(())
        for _ in range(n):
            loss = loss_of(x[torch.from_numpy(next_rows())])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
        return float(total) / n

    return steps


def jax(D: int, H: int, L: int, B: int, threads: int) -> Callable[[int], float]:
    """JAX: the whole step compiled, its buffers donated."""
    import jax
    import jax.numpy as jnp

    x, next_rows = jnp.asarray(data(D)), rows_of_batches(B)
    widths = [(D, H), (H, 2 * L), (L, H), (H, D)]
    keys = jax.random.split(jax.random.key(0), len(widths))
    theta = [
        (jax.random.normal(key, shape) * (2 / sum(shape)) ** 0.5, jnp.zeros(shape[1]))
        for key, shape in zip(keys, widths, strict=True)
    ]

    def dense(layer, h):
        return h @ layer[0] + layer[1]

    def loss_of(theta, batch, key):
        h = jax.nn.relu(dense(theta[0], batch))
        mu, logvar = jnp.split(dense(theta[1], h), 2, axis=1)
        z = mu + jnp.exp(0.5 * logvar) * jax.random.normal(key, mu.shape)
        y = dense(theta[3], jax.nn.relu(dense(theta[2], z)))
        nll = (jax.nn.softplus(y) - batch * y).sum()
        return (nll + 0.5 * (mu * mu + jnp.exp(logvar) - 1 - logvar).sum()) / len(batch)

    def step(state, rows):
        theta, m, v, t, key, total = state
        key, draw = jax.random.split(key)
        loss, g = jax.value_and_grad(loss_of)(theta, x[rows], draw)
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        a = RATE * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        theta = jax.tree.map(lambda p, m, v: p - a * m / (jnp.sqrt(v) + 1e-8), theta, m, v)
        return theta, m, v, t, key, total + loss

    zeros = jax.tree.map(jnp.zeros_like, theta)
    copies = jax.tree.map(jnp.copy, zeros)
    state = (theta, zeros, copies, jnp.zeros(()), jax.random.key(1), jnp.zeros(()))
    step = jax.jit(step, donate_argnums=0)

    def steps(n: int) -> float:
        nonlocal state
        state = (*state[:5], jnp.zeros(()))
        for _ in range(n):
            state = step(state, next_rows())
        return float(state[5]) / n

    return steps


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


MAKERS = {
    "tinyvae": tinyvae,
    "torch": torch,
    "torch.compile": lambda *size: torch(*size, compiled=True),
    "jax": jax,
    "floor": floor,
}


def main() -> None:
    """Answer numbers of steps with the seconds that they took, until the input ends."""
    name, *size = sys.argv[1:]
    size = [int(number) for number in size]
    limit_threads(size[-1])
    steps = MAKERS[name](*size)
    print("ready", steps(20), flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        steps(int(line))
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
