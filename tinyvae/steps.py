"""The steps of one training: `fit` asks for one batch after another, and this is how each is done.

A step is: gather the rows of a batch, `forward`, `backward`, a step of the optimizer, and a line in
a log of the loss terms, which stays on the device until the epoch ends.
"""

from typing import Any

import numpy as np

from tinyvae.backend import Array, seed_sequence
from tinyvae.data import batches
from tinyvae.data.rows import BinarizedRows
from tinyvae.distributed import DataParallel
from tinyvae.model import Autoencoder


class Steps:
    """Takes every step by calling the model: on any backend, with any layers and data, on any rank.

    `log` (steps of an epoch, 4) holds loss, reconstruction, KL and σ² of this epoch's steps, and
    `sizes` the number of rows in each of its batches.
    """

    def __init__(
        self, model: Autoencoder, optimizer: Any, x: Any, labels: Array | None, batch_size: int,
        ranks: DataParallel,
    ) -> None:  # fmt: skip
        self.model, self.optimizer, self.x, self.labels = model, optimizer, x, labels
        self.batch_size, self.ranks = batch_size, ranks
        self.sizes = np.diff([*range(0, len(x), batch_size), len(x)])
        self.log = model.backend.xp.zeros((len(self.sizes), 4), dtype=model.dtype)

    def __len__(self) -> int:
        return len(self.sizes)

    def start(self, epoch: int, betas: list[float] | None = None) -> None:
        """Begin an epoch, in which all that is random follows from (seed, epoch).

        `betas` are the factors of the KL in its steps, if the model's own does not hold for all.
        """
        if isinstance(self.x, BinarizedRows):
            self.x.set_epoch(epoch)
        noise = self.model.backend.generator(seed_sequence(self.model.seed, "eps", epoch))
        self.model.noise = self.ranks.noise(noise)
        rng = np.random.default_rng(seed_sequence(self.model.seed, "batches", epoch))
        self.batches = list(batches(len(self.x), self.batch_size, rng))
        self.betas = betas

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")  # `fit` looks for it in the log
    def take(self, step: int) -> None:
        """Train on one batch, and note its terms in the log, without a copy to the host."""
        model, rows = self.model, self.ranks.own(self.batches[step])
        if self.betas:
            model.beta = self.betas[step]
        on_device = isinstance(self.x, model.backend.xp.ndarray)
        batch = self.x[model.backend.asarray(rows)] if on_device else self.x[rows]
        labels = {} if self.labels is None else {"labels": self.labels[rows]}
        terms = model.forward(batch, **labels)
        model.backward()
        self.ranks.reduce_gradient()
        self.optimizer.step()
        log, variance = self.log[step], getattr(model.likelihood, "variance", 0.0)
        for column, value in enumerate((*terms, variance)):
            log[column] = value
