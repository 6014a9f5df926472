"""Take each step by calling the model and the optimizer, in this process: the plain engine."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyvae import checks
from tinyvae.core.arrays import Array
from tinyvae.core.columns import Columns
from tinyvae.core.likelihood import CalibratedGaussian
from tinyvae.core.model import Terms
from tinyvae.data.blocks import batches
from tinyvae.data.rows import BinarizedRows
from tinyvae.device import seed_sequence
from tinyvae.engines.partition import DataParallel
from tinyvae.models import Autoencoder

Batch = tuple[Any, dict[str, Any]]  # rows x (B, D), and {"labels": (B,)} or {}


class Steps:
    """Take every step by calling the model: on any backend, with any layers and data.

    A step is `draw`, `forward`, `backward`, `step`, `note`. `log` (steps of an epoch, 4) holds
    loss, reconstruction, KL and σ² of this epoch's steps, and `sizes` the number of rows in each of
    its batches.
    """

    def __init__(
        self, model: Autoencoder, optimizer: Any, x: Any, labels: Array | None, batch_size: int,
        ranks: DataParallel,
    ) -> None:  # fmt: skip
        self.model, self.optimizer, self.x, self.labels = model, optimizer, x, labels
        self.batch_size, self.ranks = batch_size, ranks
        self.sizes = np.diff([*range(0, len(x), batch_size), len(x)])
        self.log = model.backend.xp.zeros((len(self.sizes), 4), dtype=model.dtype)
        self.free = free_bytes(model.backend.xp)
        self.at_close: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self.sizes)

    def foreign(self) -> str | None:
        """Return a class that takes part in a step and has code that is not tinyvae's, if any."""
        model, encoder, decoder = self.model, self.model.encoder, self.model.decoder
        parts = [model, model.likelihood, self.optimizer, encoder, decoder]
        return checks.foreign([*parts, *encoder.layers, *decoder.layers])

    def settings_but(self, *known: str) -> list[dict]:
        """Return the numbers that a callback may change, but for those that are `known` anew in
        every step, and those that the steps themselves change."""
        likelihood = self.model.likelihood
        known += ("B", "t", "variance", "user", "caller")
        known += ("_sigma",) if isinstance(likelihood, CalibratedGaussian) else ()
        parts = (vars(part).items() for part in (self.model, likelihood, self.optimizer))
        return [
            {name: n for name, n in part if isinstance(n, int | float) and name not in known}
            for part in parts
        ]

    def start(self, epoch: int, betas: list[float] | None = None) -> None:
        """Begin an epoch, in which all that is random follows from (seed, epoch).

        `betas` are the factors of the KL in its steps, if the model's own does not hold for all.
        """
        if isinstance(self.x, BinarizedRows):
            self.x.set_epoch(epoch)
        noise = seed_sequence(self.model.seed, "eps", epoch)
        self.model.noise = self.model.backend.generator(noise)  # `forward` draws eps from it
        rng = np.random.default_rng(seed_sequence(self.model.seed, "batches", epoch))
        self.batches = list(batches(len(self.x), self.batch_size, rng))
        self.betas = betas

    def draw(self, step: int) -> Batch:
        """Return the batch of a step, and set the model's factor of the KL in it."""
        if self.betas:
            self.model.beta = self.betas[step]
        return self.gather(self.batches[step])

    def gather(self, rows: np.ndarray) -> Batch:
        """Return these rows of the data, and their labels if there are any."""
        on_device = isinstance(self.x, self.model.backend.xp.ndarray)
        x = self.x[self.model.backend.asarray(rows)] if on_device else self.x[rows]
        return x, {} if self.labels is None else {"labels": self.labels[rows]}

    def forward(self, batch: Batch) -> Terms:
        """Return the loss of a batch."""
        x, labels = batch
        return self.model.forward(x, **labels)

    def backward(self) -> None:
        """Write the gradient of the last loss into g."""
        self.model.backward()

    def step(self) -> None:
        """Move θ, and σ² where each feature has its own."""
        self.optimizer.step()
        if moves(self.model):
            self.model.likelihood.move()

    def note(self, step: int, terms: Terms) -> None:
        """Write the terms of a step into the log, without a copy to the host."""
        likelihood, line = self.model.likelihood, self.log[step]
        calibrated = isinstance(likelihood, CalibratedGaussian)
        for column, value in enumerate((*terms, likelihood.variance if calibrated else 0.0)):
            line[column] = value

    def close(self) -> None:
        """Leave the model and the array library as they were before the training."""
        if self.at_close:
            self.at_close()

    def out_of_memory(self, error: MemoryError) -> str:
        """Return one line: on a GPU, what a step needs, and which batch would fit."""
        if math.isinf(self.free):
            return str(error)
        fixed, row = step_bytes(self.model)
        fits = int(min((0.9 * self.free - fixed) / row, self.batch_size // 2))
        needed, free = _size(fixed + self.batch_size * row), _size(self.free)
        remedy = f"a batch size of {fits} would fit" if fits > 0 else "take narrower layers"
        problem = f"a step on {self.batch_size} rows needs about {needed}, {free} were free"
        return f"out of memory on the GPU: {problem}: {remedy}"


def moves(model: Autoencoder) -> bool:
    """Return whether a model's likelihood learns σ² without a gradient, by its `move`."""
    return isinstance(model.likelihood, Columns) and model.likelihood.moves


def step_bytes(model: Autoencoder) -> tuple[int, int]:
    """Return about how many bytes a step holds whatever its batch, and for each row of it.

    Of every weight seven numbers (θ, its gradient, two moments, and copies of three while a graph
    is captured); of every row two for each output of a layer, and two for each feature. The decoder
    of an IWAE sees each row once for every draw.
    """
    widths = {"encoder": 0, "decoder": 2 * model.n_features}
    for name, weights in model.parameters.items():
        if weights.ndim == 2:
            widths[name.partition(".")[0]] += 2 * weights.shape[1]
    size = np.dtype(model.dtype).itemsize
    row = widths["encoder"] + model.importance_samples * widths["decoder"]
    return 7 * size * model.parameters.theta.size, size * row


def free_bytes(xp: Any) -> float:
    """Return how many bytes are free on the device, within CuPy's own limit if it has one
    (CUPY_GPU_MEMORY_LIMIT); ∞ for the host, which is not asked."""
    if xp is np:
        return math.inf
    pool = xp.get_default_memory_pool()
    free = xp.cuda.runtime.memGetInfo()[0] + pool.free_bytes()
    limit = pool.get_limit()  # 0: none
    return min(free, limit - pool.used_bytes()) if limit else free


def on_device(model: Autoencoder, x: Array) -> Array:
    """Return rows x (N, D) on the model's device and in its dtype, if they leave a tenth of its
    memory to the steps; else as they are: batches are then copied there one by one."""
    size = x.size * np.dtype(model.dtype).itemsize
    fits = size < 0.9 * free_bytes(model.backend.xp)
    return model.backend.asarray(x, model.dtype) if fits else x


def _size(n: float) -> str:
    number, unit = (n / 2**30, "GiB") if n >= 2**30 else (n / 2**20, "MiB")
    return f"{number:.0f} {unit}" if number >= 10 else f"{number:.2g} {unit}"
