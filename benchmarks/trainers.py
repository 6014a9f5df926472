"""The same VAE to train with PyTorch and with JAX: tinyvae's loss, from the same first weights.

A trainer takes a training step on the rows that it is told, without waiting for its end, adds the
loss to a running sum, and gives its weights back as NumPy arrays.
"""

import math
from itertools import pairwise
from typing import Any, NamedTuple

RATE = 1e-3  # until `set_rate`


class Model(NamedTuple):
    """The widths of a VAE with ReLU, and its likelihood: a Gaussian has σ² = ½, and a sigmoid."""

    D: int
    hidden: tuple[int, ...]
    L: int
    likelihood: str = "bernoulli"

    @property
    def networks(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """The shapes of the weights of encoder and decoder."""
        encoder = pairwise((self.D, *self.hidden, 2 * self.L))
        return list(encoder), list(pairwise((self.L, *reversed(self.hidden), self.D)))

    def first_weights(self, seed: int = 0) -> tuple[list, list]:
        """Return the first (W, b) of encoder and decoder, drawn as tinyvae draws them."""
        import numpy as np

        rng, networks = np.random.default_rng(seed), []
        for shapes in self.networks:
            layers = []
            for i, (n_in, n_out) in enumerate(shapes):
                glorot, last = math.sqrt(2 / (n_in + n_out)), i == len(shapes) - 1
                scale = glorot if last else math.sqrt(2 / n_in)
                scale *= 0.3 if last and networks else 1.0
                W = rng.standard_normal((n_in, n_out), dtype=np.float32) * np.float32(scale)
                layers.append((W, np.zeros(n_out, np.float32)))
            networks.append(layers)
        return tuple(networks)


class Torch:
    """PyTorch: eager with the fused Adam, or with the loss compiled."""

    def __init__(
        self, model: Model, x: Any, compiled: bool | str = False, device: str = "cpu",
        seed: int = 0, **adam: Any,
    ) -> None:  # fmt: skip
        import torch
        from torch.nn import functional as F

        torch.manual_seed(seed)
        self.torch, self.x = torch, torch.from_numpy(x).to(device)
        self.encoder, self.decoder = (
            self.network(layers).to(device) for layers in model.first_weights(seed)
        )
        weights = [*self.encoder.parameters(), *self.decoder.parameters()]
        self.optimizer = torch.optim.Adam(weights, lr=RATE, fused=True, **adam)
        self.total = torch.zeros((), device=device)

        def loss_of(batch):
            mu, logvar = self.encoder(batch).chunk(2, dim=1)
            z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
            y = self.decoder(z)
            if model.likelihood == "bernoulli":
                nll = F.binary_cross_entropy_with_logits(y, batch, reduction="sum")
            else:
                nll = F.mse_loss(torch.sigmoid(y), batch, reduction="sum")
            return (nll + 0.5 * (mu * mu + logvar.exp() - 1 - logvar).sum()) / len(batch)

        mode = compiled if isinstance(compiled, str) else None
        self.loss_of = torch.compile(loss_of, mode=mode) if compiled else loss_of

    def network(self, layers: list) -> Any:
        """Return the network with these first weights."""
        torch, modules = self.torch, []
        for W, b in layers:
            linear = torch.nn.Linear(*W.shape)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(W.T))
                linear.bias.copy_(torch.from_numpy(b))
            modules += [linear, torch.nn.ReLU()]
        return torch.nn.Sequential(*modules[:-1])

    def step(self, rows: Any) -> None:
        """Train on rows of the data, given as an array of the host, or as a tensor."""
        rows = rows if isinstance(rows, self.torch.Tensor) else self.torch.from_numpy(rows)
        loss = self.loss_of(self.x[rows])
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.total += loss.detach()

    def set_rate(self, rate: float) -> None:
        """Go on with another learning rate."""
        self.optimizer.param_groups[0]["lr"] = rate

    def sum(self) -> float:
        """Return the sum of the losses since the last call."""
        total = float(self.total)
        self.total.zero_()
        return total

    def weights(self) -> list:
        """Return (W, b) of each layer, as NumPy arrays."""
        linears = [m for m in [*self.encoder, *self.decoder] if hasattr(m, "weight")]
        arrays = [
            (m.weight.detach().cpu().numpy().T, m.bias.detach().cpu().numpy()) for m in linears
        ]
        return arrays


class Jax:
    """JAX: the whole step compiled, its buffers donated."""

    def __init__(self, model: Model, x: Any, seed: int = 0) -> None:
        import jax
        import jax.numpy as jnp

        self.jnp, self.x = jnp, jnp.asarray(x)

        def run(layers, h):
            for W, b in layers[:-1]:
                h = jax.nn.relu(h @ W + b)
            return h @ layers[-1][0] + layers[-1][1]

        def loss_of(theta, batch, key):
            mu, logvar = jnp.split(run(theta[0], batch), 2, axis=1)
            z = mu + jnp.exp(0.5 * logvar) * jax.random.normal(key, mu.shape)
            y = run(theta[1], z)
            if model.likelihood == "bernoulli":
                nll = (jax.nn.softplus(y) - batch * y).sum()
            else:
                nll = ((jax.nn.sigmoid(y) - batch) ** 2).sum()
            return (nll + 0.5 * (mu * mu + jnp.exp(logvar) - 1 - logvar).sum()) / len(batch)

        def step(state, x, rows):
            theta, m, v, t, key, rate, total = state
            key, draw = jax.random.split(key)
            loss, g = jax.value_and_grad(loss_of)(theta, x[rows], draw)
            t = t + 1
            m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
            v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
            a = rate * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            theta = jax.tree.map(lambda p, m, v: p - a * m / (jnp.sqrt(v) + 1e-8), theta, m, v)
            return theta, m, v, t, key, rate, total + loss

        theta = jax.tree.map(jnp.asarray, model.first_weights(seed))
        m, v = (jax.tree.map(jnp.zeros_like, theta) for _ in range(2))
        zero, key = jnp.zeros(()), jax.random.key(seed + 1)
        self.state = (theta, m, v, zero, key, jnp.full((), RATE), jnp.zeros(()))
        self.uncompiled = step
        self.compiled = jax.jit(step, donate_argnums=0)

    def step(self, rows: Any) -> None:
        """Train on rows of the data."""
        self.state = self.compiled(self.state, self.x, rows)

    def set_rate(self, rate: float) -> None:
        """Go on with another learning rate."""
        self.state = (*self.state[:5], self.jnp.full((), rate), self.state[6])

    def sum(self) -> float:
        """Return the sum of the losses since the last call."""
        total = float(self.state[6])
        self.state = (*self.state[:6], self.jnp.zeros(()))
        return total

    def weights(self) -> list:
        """Return (W, b) of each layer, as NumPy arrays."""
        import numpy as np

        encoder, decoder = self.state[0]
        return [(np.asarray(W), np.asarray(b)) for W, b in (*encoder, *decoder)]
