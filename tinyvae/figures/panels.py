"""The picture that explains the VAE: three models, trained on the reconstruction alone, on the KL
alone and on both, and what becomes of their latent planes.
"""

from collections.abc import Sequence

import numpy as np

from tinyvae import figures
from tinyvae.data.dataset import counted
from tinyvae.figures.picture import Picture
from tinyvae.models import VAE
from tinyvae.train.loop import fit

CELLS = 13  # of each decoded grid, along a side
DRAWS = 24  # from the prior

# Name, what to see, and the weights in the loss.
PANELS = (
    ("Reconstruction alone", "no KL: codes leave the circles, draws miss them", {"beta": 0.0}),
    ("KL alone", "no reconstruction: codes are noise, nothing is learnt",
     {"reconstruction_weight": 0.0}),
    ("Both", "codes within the circles, draws become digits", {}),
)  # fmt: skip
SUBTITLE = (
    "Above: a draw z for each test image, coloured by digit; the circles hold 39 %, 86 % and 99 % "
    "of the prior N(0, I). All on the same axes."
)


def train_three(
    x_train: np.ndarray, epochs: int = 30, seed: int = 0, progress: bool = False,
    backend: str = "auto",
) -> list[VAE]:  # fmt: skip
    """Train the three models, equal but for the weights of their losses, on images (N, D).

    Each takes about 3 s on 2 cores for the digits; they come in the order of `PANELS`.
    """
    models = []
    for name, _, weights in PANELS:
        if progress:
            print(f"{name}: {counted(epochs, 'epoch')}", flush=True)
        model = VAE(
            x_train.shape[1], 2, hidden=(256,), sigma=0.5**0.5, output="sigmoid",
            backend=backend, seed=seed, **weights,
        )  # fmt: skip
        # Larger steps would end sooner, but with the first model's codes nearer to the circles: its
        # draws then look like digits, and the picture hides its point.
        options = {"batch_size": 100, "lr": 1e-3, "lr_schedule": "step", "progress": progress}
        fit(model, x_train, epochs=epochs, **options)
        models.append(model)
    return models


def figure(
    models: Sequence[VAE],
    x: np.ndarray,
    labels: np.ndarray,
    image_shape: tuple[int, ...],
    seed: int = 0,
) -> Picture:
    """Draw the latent planes of three models side by side: draws of z for images x (N, D), what
    |z| < 3 decodes to, and what the same draws from the prior decode to."""
    rng = np.random.default_rng(seed)
    eps, prior = rng.standard_normal((len(x), 2)), rng.standard_normal((DRAWS, 2))
    grid = figures.plane_grid(figures.NEAR_PRIOR, CELLS)
    columns = []
    for model, (name, remark, _) in zip(models, PANELS, strict=True):
        mu, logvar = (model.backend.to_numpy(a).astype(float) for a in model.encode(x))
        z = mu + np.exp(0.5 * logvar) * eps  # (N, 2)
        decoded, draws = (
            model.backend.to_numpy(model.decode(places.astype(model.dtype)))
            for places in (grid, prior)
        )
        columns.append((name, remark, z, decoded, draws))
    return figures.three_panels(columns, labels, image_shape, subtitle=SUBTITLE)
