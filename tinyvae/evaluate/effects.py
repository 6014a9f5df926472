"""What each latent number does to the columns of a table."""

import textwrap
from collections.abc import Sequence

import numpy as np

from tinyvae.checks import by_keyword
from tinyvae.core.arrays import Array
from tinyvae.data.blocks import blocks
from tinyvae.evaluate.passes import checked, posterior
from tinyvae.models import Autoencoder

ROWS = 2000  # that the mean is over, at most
SHOWN, LEAST = 5, 0.1  # columns of each latent number, and the least that one moves to be named


@by_keyword
def column_effects(model: Autoencoder, x: Array, *, labels: Array | None = None) -> np.ndarray:
    """Return by how much each latent number moves each column (L, D), in the model's units.

    The mean over rows of x_hat(mu + ½ e_j) − x_hat(mu − ½ e_j): what becomes of the columns when
    z_j rises by 1, a standard deviation of the prior. Of a linear model these are the loadings.

    Parameters
    ----------
    model : VAE or Autoencoder
    x : array (N, D) of floats
        Of many rows, the first 2,000 count.
    labels : array (N,) of int, for a conditional model
    """
    x, labels = checked(model, x, labels)
    mu, _ = posterior(model, x, labels, np.arange(min(len(x), ROWS)))
    effects = np.zeros((model.latent_dim, model.n_features))
    for rows in blocks(len(mu), ROWS // 4):
        some = None if labels is None else labels[: len(mu)][rows]
        for j, half in enumerate(0.5 * np.eye(model.latent_dim)):
            above, below = (model.decode(mu[rows] + step, labels=some) for step in (half, -half))
            effects[j] += model.backend.to_numpy((above - below).sum(axis=0)) / len(mu)
    return effects


def effects_table(effects: np.ndarray, names: Sequence[str], unit: str) -> str:
    """Return lines that name the columns which each latent number moves most.

    Parameters
    ----------
    effects : array (L, D), of `column_effects`
    names : D names
    unit : str
        What the numbers are in.
    """
    lines = [f"what one more of each latent number adds to the columns, {unit}"]
    for j, moved in enumerate(effects.tolist(), 1):
        order = sorted(range(len(names)), key=lambda d: -abs(moved[d]))
        told = [d for d in order if abs(moved[d]) >= LEAST]
        parts = [f"{names[d]}\N{NO-BREAK SPACE}{moved[d]:+.2f}" for d in told[:SHOWN]]
        more = [f"… {len(told) - SHOWN} more"] if len(told) > SHOWN else []
        text = ", ".join(parts + more) or f"none by as much as {LEAST:g}"
        lines.append(textwrap.fill(f"  z{j}: {text}", 100, subsequent_indent="      "))
    return "\n".join(lines)
