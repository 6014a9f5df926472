"""Draw data that are no images: rows of features, as dots with the features' names where there are
few of them, as lines where there are many.
"""

from collections.abc import Sequence
from typing import Any

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


def _panels(
    n: int, D: int, columns: int, names: Sequence[str] | None, unit: str, title: str, subtitle: str
) -> tuple[Figure, list[Axes]]:
    """Return a page with n panels in columns; each has D features along its y axis, with their
    names, where they are few, else along its x axis, by number."""
    few = D <= FEW
    rows, columns = -(-n // columns), min(n, columns)
    left, between = (1.55, 0.35) if few else (0.85, 0.6)
    height = max(1.6, 0.2 * D + 0.3) if few else 1.7
    width = (10.4 - left - MARGIN) / columns
    texts = [plain(short(name, 16)) for name in names or [f"feature {i + 1}" for i in range(D)]]
    fig = page(10.4, 1.2 + rows * (height + 0.85) - 0.1, title, subtitle)
    axes = []
    for k in range(n):
        row, column = divmod(k, columns)
        ax = panel(fig, left + column * width, 1.2 + row * (height + 0.85), width - between, height)
        if few:
            ax.set_yticks(range(D), [""] * D if column else texts)
            ax.set(ylim=(D - 0.4, -0.6), xlabel=unit)
            ax.tick_params(axis="y", length=0, labelcolor=INK)
            ax.grid(axis="y", color="#eceef1", lw=0.8)
            ax.set_axisbelow(True)
        else:
            ax.set(xlim=(1, D), xlabel="feature", ylabel="" if column else unit)
        axes.append(ax)
    return fig, axes


def _plot(ax: Axes, row: np.ndarray, lw: float, ms: float, **look: Any) -> None:
    """Draw a row (D,) as dots beside its features, or as a line over them, counted from 1."""
    if len(row) <= FEW:
        ax.plot(row, np.arange(len(row)), "o", ms=ms, **look)
    else:
        ax.plot(np.arange(1, len(row) + 1), row, lw=lw, **look)


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
    """Draw rows x (N, D) and their reconstructions x_hat (N, D), one panel each."""
    N, D = x.shape
    columns = 3 if D <= FEW else 2
    fig, axes = _panels(N, D, columns, feature_names, unit, title, subtitle)
    for i, ax in enumerate(axes):
        if D <= FEW:
            ax.hlines(range(D), x[i], x_hat[i], color=PALE, lw=2)
        _plot(ax, x[i], 1.2, 5, color=INK, label="original")
        _plot(ax, x_hat[i], 1.2, 4, color=ACCENT, label="decoded")
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
    """Draw samples (N, D) in the model's units beside as many rows of data x (N, D)."""
    D = x.shape[1]
    fig, axes = _panels(2, D, 2, feature_names, unit, title, subtitle)
    jitter = np.linspace(-0.28, 0.28, max(len(x), len(samples)))
    parts = (("data", x, INK), ("samples", samples, COLORS[3]))
    for ax, (name, rows, color) in zip(axes, parts, strict=True):
        if D <= FEW:
            places = np.arange(D) + jitter[: len(rows), None]
            ax.plot(rows.ravel(), places.ravel(), "o", color=color, ms=2.6, alpha=0.55, mew=0)
        else:
            ax.plot(np.arange(1, D + 1), rows.T, color=color, lw=0.7, alpha=0.4)
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
    """Draw rows (K, S, D), decoded along each of K latent dimensions `names` at S `values`."""
    K, S, D = decoded.shape
    columns = 3 if D <= FEW else 2
    fig, axes = _panels(K, D, columns, feature_names, unit, title, subtitle)
    colors = DIVERGING(np.linspace(0, 1, S))
    for k, ax in enumerate(axes):
        if D <= FEW:
            ax.hlines(range(D), decoded[k].min(axis=0), decoded[k].max(axis=0), color=PALE, lw=2)
        for row, color in zip(decoded[k], colors, strict=True):
            _plot(ax, row, 1, 4, color=color)
        ax.set_title(names[k], pad=5)
    reach = f"z from {min(values):g} to {max(values):g}".replace("-", "−")
    width, height = fig.get_size_inches()
    fig.text(1 - MARGIN / width, 1 - 0.4 / height, reach, ha="right", size=8.5, color=GREY)
    return fig
