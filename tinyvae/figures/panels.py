"""The picture that explains the VAE: three models, trained on the reconstruction alone, on the KL
alone and on both, and what becomes of their latent planes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinyvae import figures
from tinyvae.data.dataset import counted
from tinyvae.figures.picture import Picture
from tinyvae.models import VAE
from tinyvae.train.loop import fit

CELLS = 16  # of each decoded grid, along a side

# Name, what to see, and the weights in the loss.
PANELS = (
    ("Reconstruction alone", "scattered clusters with gaps between them", {"beta": 0.0}),
    (
        "KL alone",
        "one featureless blob; the decoder learns nothing",
        {"reconstruction_weight": 0.0},
    ),
    ("Both", "a smooth space, filled around 0 without gaps", {}),
)


def train_three(
    x_train: np.ndarray, epochs: int = 30, seed: int = 0, progress: bool = False,
    backend: str = "auto",
) -> list[VAE]:  # fmt: skip
    """Train the three models, equal but for the weights of their losses, on images (N, D).

    Each takes about 5 s on 2 cores for the digits; they come in the order of `PANELS`.
    """
    models = []
    for name, _, weights in PANELS:
        if progress:
            print(f"{name}: {counted(epochs, 'epoch')}", flush=True)
        model = VAE(
            x_train.shape[1], 2, hidden=(256, 128), sigma=0.5**0.5, output="sigmoid",
            backend=backend, seed=seed, **weights,
        )  # fmt: skip
        fit(model, x_train, epochs, 100, lr_schedule="step", progress=progress)
        models.append(model)
    return models


def figure(
    models: Sequence[VAE],
    x: np.ndarray,
    labels: np.ndarray,
    image_shape: tuple[int, ...],
    seed: int = 0,
) -> Picture:
    """Draw the latent planes of three models side by side, with draws of z for images x (N, D)."""
    eps = np.random.default_rng(seed).standard_normal((len(x), 2))
    columns = []
    for model, (name, remark, _) in zip(models, PANELS, strict=True):
        mu, logvar = (model.backend.to_numpy(a).astype(float) for a in model.encode(x))
        z = mu + np.exp(0.5 * logvar) * eps  # (N, 2)
        # A few stragglers must not make everything else small.
        most = np.concatenate([np.percentile(z, [0.5, 99.5], axis=0), [[-3.1, -3.1], [3.1, 3.1]]])
        extent = figures.square(most, centred=False)
        grid = figures.plane_grid(extent, CELLS).astype(model.dtype)
        decoded = model.backend.to_numpy(model.decode(grid))
        columns.append((name, remark, z, extent, decoded))
    return figures.three_panels(columns, labels, image_shape)
