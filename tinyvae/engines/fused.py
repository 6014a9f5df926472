"""A VAE's whole training step in a dozen kernels, for layers so small that launches are what costs.

The matrix products of a batch of 128 keep a large GPU busy for some microseconds, no longer than it
takes to start a kernel: so a layer's bias, its activation, the likelihood with its gradient and the
optimizer's step are done by the product that they follow or precede, in `fused.cu`. The gradients
of the weights, which nobody waits for, run beside the way back through the layers, on a second
stream. The mathematics is that of `tinyvae.core.model.VAELoss`; the tests compare the two, step for
step.

Buys: a step at 784-400-20/128 in 55 µs on an H200, 0.36 of the time of the captured model's code.
Costs: this file and `fused.cu`, 620 lines.
"""

from importlib.resources import files
from typing import Any

import numpy as np

from tinyvae.core.arrays import Array
from tinyvae.core.layers import Dense, ReLU, Sigmoid, Softplus, Tanh
from tinyvae.core.likelihood import MIN_VARIANCE, Bernoulli, CalibratedGaussian, Gaussian
from tinyvae.core.optim import SGD, Adam
from tinyvae.models import VAE

LARGEST = 2**26  # multiplications of a layer; from there on cuBLAS's products are worth a launch
# BM, BN, BK, G and STAGES of `Product` in fused.cu, by what it computes; numbers of 64 bits need
# twice the shared memory.
TILES = {
    "float32": {
        "FORWARD": (16, 16, 64, 16, 4),
        "BACKWARD": (32, 8, 64, 16, 3),
        "WEIGHTS": (32, 32, 32, 4, 4),
    },
    "float64": {
        "FORWARD": (32, 16, 32, 8, 2),
        "BACKWARD": (32, 16, 32, 8, 2),
        "WEIGHTS": (32, 32, 32, 4, 2),
    },
}
THREADS = 256  # of a block that multiplies no matrices

# An activation, and its slope as a function of its own value y.
ACTIVATIONS = {
    None: ("x", "T(1)"),
    ReLU: ("x < T(0) ? T(0) : x", "T(y > T(0))"),  # max(x, 0) of CUDA would hide a NaN
    Tanh: ("tanh(x)", "T(1) - y * y"),
    Sigmoid: ("T(1) / (T(1) + exp(-x))", "y * (T(1) - y)"),
    Softplus: ("max(x, T(0)) + log(T(1) + exp(-abs(x)))", "T(1) - exp(-y)"),
}
# From the decoder's output y and the data t: what adds up to the nll, and d, its derivative by y,
# up to a factor that is the same for all.
SIGMOID = "T p = T(1) / (T(1) + exp(-y)); "
LIKELIHOODS = {
    "bernoulli": SIGMOID + "term = max(y, T(0)) - t * y - log(max(p, T(1) - p)); d = p - t",
    "identity": "d = y - t; term = d * d",
    "sigmoid": SIGMOID + "d = p - t; term = d * d; d *= p * (T(1) - p)",
}
GAUSSIAN = "T(0.5) * (total / (variance * T(B)) + T(n) * log(T(6.283185307179586) * variance))"
RECONSTRUCTIONS = {
    Bernoulli: "total / T(B)",
    Gaussian: GAUSSIAN,
    CalibratedGaussian: GAUSSIAN,
}
OPTIMIZERS = {
    Adam: "m[e] = beta1 * m[e] + g; v[e] = beta2 * v[e] + g * g; "
    "w[e] -= step * m[e] / (sqrt(v[e]) + epsilon)",
    SGD: "v[e] = m[e] = beta1 * m[e] + g; w[e] -= step * m[e]",
}


def possible(model: Any, x: Array, batch_size: int) -> bool:
    """Return whether the kernels compute the steps on rows of x, and the layers are small."""
    if type(model) is not VAE or model.n_classes or _activation(model) is None:
        return False
    layers = [*model.encoder.layers[::2], *_decoder(model)[::2]]
    small = all(batch_size * layer.W.size <= LARGEST for layer in layers)
    in_line = all(layer.b.data.ptr == layer.W.data.ptr + _bytes(layer.W) for layer in layers)
    return small and in_line and x.strides == (_bytes(x[0]), x.dtype.itemsize)


def _bytes(array: Array) -> int:
    return array.size * array.dtype.itemsize


def _activation(model: VAE) -> tuple[str, str] | None:
    """Return the one activation that stands between all Dense layers; None for other networks."""
    kinds = [[type(layer) for layer in some] for some in (model.encoder.layers, _decoder(model))]
    if any({*some[::2]} != {Dense} or len(some) % 2 == 0 for some in kinds):
        return None
    found: set[Any] = {*kinds[0][1::2], *kinds[1][1::2]} or {None}
    return ACTIVATIONS.get(found.pop()) if len(found) == 1 else None


def _sigmoid(model: VAE) -> bool:
    """Return whether the Gaussian's mean is the sigmoid of the decoder's last Dense layer."""
    return isinstance(model.likelihood, Gaussian) and type(model.decoder.layers[-1]) is Sigmoid


def _decoder(model: VAE) -> list:
    """Return the decoder's layers, without a sigmoid that is computed with the likelihood."""
    return model.decoder.layers[:-1] if _sigmoid(model) else model.decoder.layers


class Fused:
    """The step of a captured training (`graph.GraphSteps`) by the kernels of fused.cu."""

    def __init__(self, steps: Any) -> None:
        self.steps, self.model, self.xp = steps, steps.model, steps.model.backend.xp
        self.number, self.tiles = np.dtype(self.model.dtype).type, TILES[self.model.dtype]
        self.main, self.side = steps.stream, self.xp.cuda.Stream(non_blocking=True)
        self.event = self.xp.cuda.Event(disable_timing=True)
        self.kernels = self.xp.RawModule(code=self._source(), options=("-std=c++17",))
        self.encoder, self.decoder = self.model.encoder.layers[::2], _decoder(self.model)[::2]
        likelihood = self.model.likelihood
        self.auto = isinstance(likelihood, CalibratedGaussian)
        self.variance = self.xp.zeros(1, dtype=self.model.dtype)  # σ² of the decoder
        if isinstance(likelihood, Gaussian) and not self.auto:
            self.variance += likelihood.sigma**2
        optimizer = steps.optimizer
        if isinstance(optimizer, Adam):
            self.moments, betas = (optimizer.M, optimizer.V), (optimizer.beta1, optimizer.beta2)
        else:
            self.moments, betas = (optimizer.u, optimizer.u), (optimizer.momentum, 0.0)
        self.betas = [self.number(beta) for beta in betas]

    def _source(self) -> str:
        """Return fused.cu, below what its names stand for."""
        model, likelihood = self.model, self.model.likelihood
        activation, slope = _activation(model) or ("", "")
        gaussian = "sigmoid" if _sigmoid(model) else "identity"
        names = {
            "T": {"float32": "float", "float64": "double"}[model.dtype],
            "ACTIVATION": activation,
            "SLOPE": slope,
            "LIKELIHOOD": LIKELIHOODS[
                gaussian if isinstance(likelihood, Gaussian) else "bernoulli"
            ],
            "RECONSTRUCTION": RECONSTRUCTIONS[type(likelihood)],
            "OPTIMIZER": OPTIMIZERS[type(self.steps.optimizer)],
        }
        names |= {name: ", ".join(map(str, sizes)) for name, sizes in self.tiles.items()}
        lines = [f"#define {name} {value}\n" for name, value in names.items()]
        return "".join(lines) + files("tinyvae.engines").joinpath("fused.cu").read_text(
            encoding="utf-8"
        )

    def step(self, B: int) -> None:
        """Launch a step on the B rows at the training's `position`, all on arrays of the device."""
        steps, model, main, side, number = self.steps, self.model, self.main, self.side, self.number
        D, L, likelihood = model.n_features, model.latent_dim, model.likelihood
        auto, free_bits = self.auto, number(model.free_bits)
        self.kept: list[Array] = []  # until the end of the step, as two streams use the same memory

        x, now = self.rows(B, D), self.empty(3)  # now: beta, and the optimizer's two factors
        sources = (steps.x, steps.order, steps.position, steps.table)
        self.launch("gather", B * (D + 1), B, D, steps.batch_size, *sources, x, now)
        self.follow(side, main)
        with side:
            self.eps = steps.noise.standard_normal((B, L), dtype=number)

        # Forward: x → h, mu and logvar side by side, → z → y; what is not on this way stands aside.
        inputs, h = {}, x  # inputs: of each layer
        for layer in self.encoder:
            inputs[layer] = h
            h = self.dense("hidden" if layer is not self.encoder[-1] else "last", layer, h)
        self.follow(main, side)
        self.follow(side, main)
        divergence, z = self.empty(L), self.rows(B, L)
        with side:
            self.launch("kl", L * THREADS, B, L, h, divergence)
        self.launch("reparameterize", B * L, B, L, h, self.eps, z, steps.position)

        y = z
        for layer in self.decoder[:-1]:
            inputs[layer] = y
            y = self.dense("hidden", layer, y)
        self.follow(main, side)

        # The last layer, the likelihood and its gradient in one, and the terms of the loss.
        layer, scale = self.decoder[-1], model.reconstruction_weight / B
        inputs[layer] = y
        fixed = isinstance(likelihood, Gaussian) and not auto
        factor = number(1.0 if auto else scale / likelihood.sigma**2 if fixed else scale)
        dy, terms = self.rows(B, D), self.empty(*self.blocks("FORWARD", B, D))
        sizes = (B, layer.W.shape[0], D)
        arrays = (y, *self.matrix(layer), x, factor, dy, terms)
        self.multiply("output", "FORWARD", B, D, *sizes, *arrays)
        if auto:
            limits = (number(MIN_VARIANCE), number(scale))
            self.launch("calibrate", B * D, B, D, terms.size, terms, *limits, dy, self.variance)
        self.follow(side, main)
        with side:
            numbers = (free_bits, number(model.reconstruction_weight), now, steps.position)
            sums = (terms, divergence, self.variance)
            self.launch("note", 1, B, D, L, terms.size, *sums, *numbers, steps.log)

        # Back: each dy → dx at once, and → dW beside it.
        for layer in reversed(self.decoder[1:]):
            dy = self.backward(layer, inputs[layer], dy, now)
        first, dh = self.decoder[0], self.rows(B, 2 * L)
        latent = (dy, *self.matrix(first), h, self.eps, now, divergence, free_bits, dh)
        self.multiply("latent_backward", "BACKWARD", B, L, B, L, first.W.shape[1], *latent)
        self.weights(first, z, dy, now)
        dy = dh
        for layer in reversed(self.encoder[1:]):
            dy = self.backward(layer, inputs[layer], dy, now)
        self.weights(self.encoder[0], x, dy, now, main)
        self.follow(main, side)

    def dense(self, name: str, layer: Dense, x: Array) -> Array:
        """Return a layer's y (B, n), with the activation if `name` is "hidden"."""
        B, (k, n) = len(x), layer.W.shape
        y = self.rows(B, n)
        self.multiply(name, "FORWARD", B, n, B, k, n, x, *self.matrix(layer), y)
        return y

    def backward(self, layer: Dense, x: Array, dy: Array, now: Array) -> Array:
        """Return dx (B, k), before the activation that x comes from; then change the weights."""
        B, (k, n) = len(x), layer.W.shape
        dx = self.rows(B, k)
        arrays = (dy, *self.matrix(layer), x, dx)
        self.multiply("hidden_backward", "BACKWARD", B, k, B, k, n, *arrays)
        self.weights(layer, x, dy, now)
        return dx

    def weights(self, layer: Dense, x: Array, dy: Array, now: Array, stream: Any = None) -> None:
        """Write dW and db, and take the optimizer's step, once W has been read a last time."""
        B, (k, n) = len(x), layer.W.shape
        first = self.place(layer)
        M, V = (moment[first:] for moment in self.moments)
        if stream is None:
            self.follow(stream := self.side, self.main)
        with stream:
            arrays = (*self.betas, layer.dW, M, V, layer.W)
            self.multiply("weights_backward", "WEIGHTS", k + 1, n, B, k, n, x, dy, now, *arrays)

    def place(self, layer: Dense) -> int:
        """Return where a layer's W begins in θ."""
        start = layer.W.data.ptr - self.model.parameters.theta.data.ptr
        return start // layer.W.dtype.itemsize

    def matrix(self, layer: Dense) -> tuple[Array, int]:
        """Return a layer's W, and whether each of its rows begins at a multiple of 4 numbers."""
        return layer.W, int(self.place(layer) % 4 == layer.W.shape[1] % 4 == 0)

    def rows(self, B: int, n: int) -> Array:
        """Return memory for rows of n numbers: see `stride` in fused.cu."""
        return self.empty(B, (n + 4) // 4 * 4)

    def empty(self, *shape: int) -> Array:
        array = self.xp.empty(shape, dtype=self.model.dtype)
        self.kept.append(array)
        return array

    def follow(self, later: Any, earlier: Any) -> None:
        """Let what is launched on one stream from here on wait for what is on another by now."""
        self.event.record(earlier)
        later.wait_event(self.event)

    def blocks(self, tiles: str, rows: int, columns: int) -> tuple[int, int]:
        """Return the grid of a product's blocks."""
        BM, BN, *_ = self.tiles[tiles]
        return -(-columns // BN), -(-rows // BM)

    def multiply(self, name: str, tiles: str, rows: int, columns: int, *arguments: Any) -> None:
        """Launch a kernel around a product that has so many rows and columns."""
        BM, BN, _, G, _ = self.tiles[tiles]
        self._launch(name, self.blocks(tiles, rows, columns), G * BM * BN // 16, arguments)

    def launch(self, name: str, threads: int, *arguments: Any) -> None:
        """Launch a kernel on at least so many threads."""
        self._launch(name, (-(-threads // THREADS),), THREADS, arguments)

    def _launch(self, name: str, grid: tuple[int, ...], threads: int, arguments: tuple) -> None:
        given = [np.int32(a) if isinstance(a, int) else a for a in arguments]
        self.kernels.get_function(name)(grid, (threads,), given)
