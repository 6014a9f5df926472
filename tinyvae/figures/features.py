"""Pictures of data that are no images: rows of features, as dots with the features' names where
there are few of them, as lines where there are many.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tinyvae.figures.picture import (
    ACCENT,
    COLORS,
    DIVERGING,
    GREY,
    INK,
    MARGIN,
    PALE,
    page,
    panel,
    plain,
    short,
    styled,
)

FEW = 16  # features that are written out by name


def _feature_axes(ax: Axes, D: int, names: Sequence[str] | None, named: bool, unit: str) -> None:
    """Lay features along the y axis with their names, or along the x axis by number."""
    if D <= FEW:
        texts = [plain(short(name, 16)) for name in names or _numbers(D)]
        ax.set_yticks(range(D), texts if named else [""] * D)
        ax.set(ylim=(D - 0.4, -0.6), xlabel=unit)
        ax.tick_params(axis="y", length=0, labelcolor=INK)
        ax.grid(axis="y", color="#eceef1", lw=0.8)
        ax.set_axisbelow(True)
    else:
        ax.set(xlim=(1, D), xlabel="feature", ylabel=unit if named else "")


def _places(D: int) -> np.ndarray:
    """Return where each feature is on its axis: features that have no name are counted from 1."""
    return np.arange(D) if D <= FEW else np.arange(1, D + 1)


def _numbers(D: int) -> list[str]:
    return [f"feature {i + 1}" for i in range(D)]


def _grid(n: int, D: int, columns: int, title: str, subtitle: str) -> tuple[Figure, list[Axes]]:
    """Return a page with n panels in columns, high enough for D features."""
    rows, columns = -(-n // columns), min(n, columns)
    left = 1.55 if D <= FEW else 0.85
    height = max(1.6, 0.2 * D + 0.3) if D <= FEW else 1.7
    width, between = (10.4 - left - MARGIN) / columns, 0.35 if D <= FEW else 0.6
    fig = page(10.4, 1.2 + rows * (height + 0.85) - 0.1, title, subtitle)
    axes = [
        panel(fig, left + k % columns * width, 1.2 + k // columns * (height + 0.85),
              width - between, height)
        for k in range(n)
    ]  # fmt: skip
    return fig, axes


@styled
def row_reconstructions(
    x: np.ndarray,
    x_hat: np.ndarray,
    feature_names: Sequence[str] | None = None,
    unit: str = "value",
    title: str = "Reconstructions",
    subtitle: str = "Each panel is one example: the original in dark, what is decoded from its "
    "code in orange.",
) -> Figure:
    """Rows x (N, D) and their reconstructions x_hat (N, D), one panel each."""
    N, D = x.shape
    fig, axes = _grid(N, D, 3 if D <= FEW else 2, title, subtitle)
    columns = 3 if D <= FEW else 2
    places = _places(D)
    for i, ax in enumerate(axes):
        if D <= FEW:
            ax.hlines(places, x[i], x_hat[i], color=PALE, lw=2)
            ax.plot(x[i], places, "o", color=INK, ms=5, label="original")
            ax.plot(x_hat[i], places, "o", color=ACCENT, ms=4, label="decoded")
        else:
            ax.plot(places, x[i], color=INK, lw=1.2, label="original")
            ax.plot(places, x_hat[i], color=ACCENT, lw=1.2, label="decoded")
        _feature_axes(ax, D, feature_names, i % columns == 0, unit)
        ax.set_title(f"example {i + 1}", pad=5)
    return fig


@styled
def row_samples(
    samples: np.ndarray,
    x: np.ndarray,
    feature_names: Sequence[str] | None = None,
    unit: str = "value",
    title: str = "Samples from the prior",
    subtitle: str = "New rows from z ~ N(0, I), noise of p(x|z) included, beside rows of the data: "
    "the two should look alike.",
) -> Figure:
    """Samples (N, D) in the model's units beside as many rows of data x (N, D)."""
    D = x.shape[1]
    fig, axes = _grid(2, D, 2, title, subtitle)
    jitter = np.linspace(-0.28, 0.28, max(len(x), len(samples)))
    for k, (name, rows, color) in enumerate((("data", x, INK), ("samples", samples, COLORS[3]))):
        ax = axes[k]
        if D <= FEW:
            places = np.arange(D) + jitter[: len(rows), None]
            ax.plot(rows.ravel(), places.ravel(), "o", color=color, ms=2.6, alpha=0.55, mew=0)
        else:
            ax.plot(_places(D), rows.T, color=color, lw=0.7, alpha=0.4)
        _feature_axes(ax, D, feature_names, k == 0, unit)
        ax.set_title(name, pad=5)
    limits = [axis for ax in axes for axis in (ax.get_xlim() if D <= FEW else ax.get_ylim())]
    for ax in axes:
        (ax.set_xlim if D <= FEW else ax.set_ylim)(min(limits), max(limits))
    return fig


@styled
def row_traversals(
    decoded: np.ndarray,
    values: Sequence[float],
    names: Sequence[str],
    feature_names: Sequence[str] | None = None,
    unit: str = "value",
    title: str = "Traversals",
    subtitle: str = "Each panel moves one latent dimension and leaves the others at 0: from blue "
    "(low) through grey to red (high).",
) -> Figure:
    """Rows decoded (K, S, D) along each of K latent dimensions, called `names`, at S `values`."""
    K, S, D = decoded.shape
    columns = 3 if D <= FEW else 2
    fig, axes = _grid(K, D, columns, title, subtitle)
    colors = DIVERGING(np.linspace(0, 1, S))
    places = _places(D)
    for k, ax in enumerate(axes):
        if D <= FEW:
            ax.hlines(places, decoded[k].min(axis=0), decoded[k].max(axis=0), color=PALE, lw=2)
        for row, color in zip(decoded[k], colors, strict=True):
            line = (row, places, "o") if D <= FEW else (places, row, "-")
            ax.plot(*line, color=color, ms=4, lw=1)
        _feature_axes(ax, D, feature_names, k % columns == 0, unit)
        ax.set_title(names[k], pad=5)
    reach = f"z from {min(values):g} to {max(values):g}".replace("-", "−")
    width, height = fig.get_size_inches()
    fig.text(1 - MARGIN / width, 1 - 0.4 / height, reach, ha="right", size=8.5, color=GREY)
    return fig
