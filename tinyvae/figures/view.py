"""Show a model and its data to the figures: a bounded number of rows, their codes, which examples
to draw, and the values of the model as pixels.
"""

from functools import cached_property
from typing import Any

import numpy as np

from tinyvae.core.latent import kl
from tinyvae.data.variables import places, that_fit
from tinyvae.evaluate.passes import by_blocks, posterior
from tinyvae.figures.features import FEW, Features
from tinyvae.models import VAE

MAX_POINTS = 5000  # rows of the data that figures look at


class View:
    """A model and its data, as the figures want them; each array is computed when first used."""

    def __init__(self, model: Any, dataset: Any, history: Any, kl_history: Any) -> None:
        self.model, self.dataset, self.history = model, dataset, history
        given = kl_history is not None and len(kl_history)
        self.kl_history = np.asarray(kl_history, dtype=float) if given else None  # (epochs, L)
        self.L, self.shape = model.latent_dim, dataset.image_shape
        self.is_vae = isinstance(model, VAE)
        N = len(dataset.x_test)
        self.rows = np.unique(np.linspace(0, N - 1, min(N, MAX_POINTS)).astype(int))
        y = dataset.y_test
        self.labels = None if y is None else np.asarray(y)[self.rows]  # (N,)

    def x(self, places: Any) -> np.ndarray:
        """Return examples (n, D) in the model's units; places count within `rows`."""
        return np.asarray(self.dataset.x_test[self.rows[places]])

    def labels_of(self, places: Any) -> Any:
        """Return the labels of examples, or None where the data have none."""
        return None if self.labels is None else self.labels[places]

    @cached_property
    def codes(self) -> tuple[np.ndarray, np.ndarray]:
        """mu and sigma (N, L) of all rows; an autoencoder's code has sigma 0."""
        labels = self.dataset.y_test if self.model.n_classes else None
        mu, logvar = posterior(self.model, self.dataset.x_test, labels, self.rows)
        # Clipped far beyond what can be seen, so that no square of it overflows.
        sigma = np.zeros_like(mu) if logvar is None else np.exp(0.5 * np.clip(logvar, -60, 60))
        return mu, sigma

    @cached_property
    def kl(self) -> np.ndarray:
        """Mean KL of each latent dimension (L,), or the variance of an autoencoder's codes."""
        mu, sigma = self.codes
        return kl(mu, 2 * np.log(sigma)).mean(axis=0) if self.is_vae else mu.var(axis=0)

    @cached_property
    def order(self) -> list[int]:
        """Latent dimensions, the one that carries most first (in plain order where L = 2)."""
        return [0, 1] if self.L == 2 else np.argsort(-self.kl, kind="stable").tolist()

    def decode(self, z: np.ndarray, labels: Any = None) -> np.ndarray:
        """Return x_hat (n, D) in the model's units; `labels` (n,), or one for all."""
        model, conditions = self.model, None
        if model.n_classes:
            conditions = np.broadcast_to(self.default_label if labels is None else labels, len(z))
        (x_hat,) = by_blocks(model, model.decode, z.astype(model.dtype), conditions)
        return x_hat

    def images(self, x: np.ndarray) -> np.ndarray:
        """Return rows (n, D) of the model's units as grey or colour values in [0, 1]."""
        return self.dataset.scaling.to_picture(x)

    def decoded(self, z: np.ndarray, labels: Any = None) -> np.ndarray:
        """Return codes z (…, L) decoded as images (…, D)."""
        images = self.images(self.decode(z.reshape(-1, self.L), labels))
        return images.reshape(*z.shape[:-1], -1)

    @cached_property
    def examples(self) -> np.ndarray:
        """Places of up to 40 examples, the labels in turn so that columns show one label each."""
        n = min(len(self.rows), 40)
        if self.labels is None:
            return np.linspace(0, len(self.rows) - 1, n).astype(int)
        classes = np.unique(self.labels)[:10]
        found = [np.flatnonzero(self.labels == c) for c in classes]
        turns = [group[turn] for turn in range(n) for group in found if turn < len(group)]
        return np.array(turns[: n // len(classes) * len(classes) or n])

    def one_each(self, cost: np.ndarray) -> np.ndarray:
        """Return the example of least `cost` (n,) of each label, or 12 examples without labels."""
        ordered = self.examples[np.argsort(cost, kind="stable")]
        if self.labels is None:
            return np.sort(ordered[:12])
        return ordered[np.unique(self.labels[ordered], return_index=True)[1]]

    @property
    def default_label(self) -> int:
        """The label that a conditional model's plane is decoded with: the first example's."""
        return int(self.labels[self.examples[0]])

    def name_of(self, label: int) -> str:
        """Return a label's name, or its number where it has none."""
        names = self.dataset.label_names
        return str(names[label]) if names else str(label)

    def rows_of(self, x: np.ndarray) -> np.ndarray:
        """Return what figures show of rows x (…, D) of a table: in the data's own units, where each
        feature has a range."""
        own = self.features.ranges is not None
        return self.dataset.scaling.undo(x)[..., self.shown] if own else x

    @cached_property
    def features(self) -> Features:
        """What the columns that figures show of a table are."""
        listed, D = self.dataset.variables or (), self.dataset.n_features
        standardised = self.dataset.scaling.kind == "standardize"
        unit = "standardised value" if standardised else "value"
        if not (fitting := that_fit(listed, FEW)):
            return Features(self.dataset.feature_names, unit)
        ranges = np.array([[0.0, 1.0]] * D)
        for v, place in zip(listed, places(listed), strict=True):
            if v.low is not None and v.high is not None:
                ranges[place] = (v.low, v.high) if v.low < v.high else (v.low - 1, v.low + 1)
        shares = np.repeat([v.kind != "gaussian" for v in listed], [v.width for v in listed])
        names = (
            [name for v in fitting for name in v.features] if self.dataset.feature_names else None
        )
        out = ", ".join(f"{v.name} ({v.width} categories)" for v in listed if v not in fitting)
        names = names if self.dataset.feature_names else None
        return Features(names, unit, ranges[self.shown], shares[self.shown], out)

    @cached_property
    def shown(self) -> np.ndarray:
        """Which features (D,) of a table its figures show: all, unless categories are many."""
        listed = self.dataset.variables or ()
        fitting = that_fit(listed, FEW) or listed
        return np.repeat([v in fitting for v in listed], [v.width for v in listed])
