"""Draw data that are no images: rows of features, as dots and bars with the features' names where
they find room, as lines where there are too many of them.

With `ranges` (D, 2) each feature has a scale of its own, from the low to the high that stand beside
it; `shares` (D,) marks those that are probabilities, of 0 and 1 or of categories, drawn as bars;
`left_out` names what a picture has no room for.
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

FEW = 40  # features that are written out by name
Names = Sequence[str] | None
Marks = np.ndarray | None


def _panels(
    n: int, D: int, columns: int, names: Names, unit: str, title: str, subtitle: str,
    ranges: Marks, shares: Marks, left_out: str,
) -> tuple[Figure, list[Axes]]:  # fmt: skip
    """Return a page with n panels in columns; each has D features along its y axis, with their
    names, where they are few, else along its x axis, by number."""
    few = D <= FEW
    rows, columns = -(-n // columns), min(n, columns)
    left, between, right = (2.05, 0.3, 1.1 * (ranges is not None)) if few else (0.85, 0.6, 0)
    height = max(1.6, 0.2 * D + 0.3) if few else 1.7
    width = (10.4 - left - right - MARGIN) / columns
    texts = [plain(short(name, 24)) for name in names or [f"feature {i + 1}" for i in range(D)]]
    if names and not few:
        subtitle += f" {D} names find no room: features are counted as in the table, from 1."
    if few and ranges is not None:
        subtitle += " Each number is drawn on its own range, which stands at the right."
    if left_out:
        subtitle += f" Without room here: {plain(left_out)}."
    fig = page(10.4, 1.3 + rows * (height + 0.85) - 0.1, title, subtitle)
    axes = []
    for k in range(n):
        row, column = divmod(k, columns)
        ax = panel(fig, left + column * width, 1.3 + row * (height + 0.85), width - between, height)
        if few:
            ax.set_yticks(range(D), [""] * D if column else texts)
            ax.set(ylim=(D - 0.4, -0.6), xlabel=unit)
            ax.tick_params(axis="y", length=0, labelcolor=INK)
            ax.grid(axis="y", color="#eceef1", lw=0.8)
            ax.set_axisbelow(True)
            if ranges is not None:
                _on_own_ranges(ax, ranges, shares, last=column == columns - 1 or k == n - 1)
        else:
            ax.set(xlim=(1, D), xlabel="feature", ylabel="" if column else unit)
        axes.append(ax)
    return fig, axes


def _on_own_ranges(ax: Axes, ranges: np.ndarray, shares: Marks, last: bool) -> None:
    """Let an axis go from each feature's low to its high, and write them at its right."""
    ax.update_datalim([(0, 0), (1, 0)], updatey=False)
    ax.set(xlabel="")
    ax.set_xticks([0, 0.5, 1], [""] * 3)
    for d, (low, high) in enumerate(ranges if last else ()):
        share = shares is not None and shares[d]
        text = "" if share else f"{low:.4g} … {high:.4g}".replace("-", "−")
        ax.text(
            1.03, d, text, transform=ax.get_yaxis_transform(), va="center", color=GREY, size=7.5
        )


def _across(x: np.ndarray, ranges: Marks) -> np.ndarray:
    """Return where values x (…, D) are on their axis: with `ranges`, as parts of them."""
    if ranges is None or x.shape[-1] > FEW:
        return x
    return (x - ranges[:, 0]) / (ranges[:, 1] - ranges[:, 0])


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
    feature_names: Names = None,
    unit: str = "value",
    title: str = "Reconstructions",
    subtitle: str = "Each panel is one example: the original in dark, where it is observed, what "
    "is decoded from its code in orange.",
    ranges: Marks = None,
    shares: Marks = None,
    left_out: str = "",
) -> Figure:
    """Draw rows x (N, D), NaN where a cell is missing, and their reconstructions x_hat (N, D), one
    panel each."""
    N, D = x.shape
    columns = 3 if D <= FEW else 2
    bars = np.flatnonzero(shares) if shares is not None and D <= FEW else []
    subtitle += " Bars are probabilities." * (len(bars) > 0)
    fig, axes = _panels(
        N, D, columns, feature_names, unit, title, subtitle, ranges, shares, left_out
    )
    x, x_hat = _across(x, ranges), _across(x_hat, ranges)
    for i, ax in enumerate(axes):
        original, decoded = x[i].copy(), x_hat[i].copy()
        if D <= FEW:
            ax.barh(bars, decoded[bars], height=0.55, color=ACCENT, alpha=0.75)
            original[bars] = np.where(original[bars] > 0, original[bars], np.nan)
            decoded[bars] = np.nan
            ax.hlines(range(D), original, decoded, color=PALE, lw=2)
        _plot(ax, original, 1.2, 5, color=INK, label="original")
        _plot(ax, decoded, 1.2, 4, color=ACCENT, label="decoded")
        ax.set_title(f"example {i + 1}", pad=5)
    return fig


def _mean(values: np.ndarray) -> float:
    """Return the mean of the observed values (n,), 0 where there are none."""
    observed = values[~np.isnan(values)]
    return float(observed.mean()) if len(observed) else 0.0


@styled
def row_samples(
    samples: np.ndarray,
    x: np.ndarray,
    feature_names: Names = None,
    unit: str = "value",
    title: str = "Samples from the prior",
    subtitle: str = "New rows from z ~ N(0, I), noise of p(x|z) included, beside rows of the data: "
    "the two should look alike.",
    ranges: Marks = None,
    shares: Marks = None,
    left_out: str = "",
) -> Figure:
    """Draw samples (N, D) beside as many rows of data x (N, D), in the same units; of shares, how
    many of the observed cells are 1."""
    D = x.shape[1]
    bars = np.flatnonzero(shares) if shares is not None and D <= FEW else []
    subtitle += " Bars are shares of the rows." * (len(bars) > 0)
    how = (feature_names, unit, title, subtitle, ranges, shares, left_out)
    fig, axes = _panels(2, D, 2, *how)
    x, samples = _across(x, ranges), _across(samples, ranges)
    jitter = np.linspace(-0.28, 0.28, max(len(x), len(samples)))
    parts = (("data", x, INK), ("samples", samples, COLORS[3]))
    for ax, (name, rows, color) in zip(axes, parts, strict=True):
        if D <= FEW:
            places = np.arange(D) + jitter[: len(rows), None]
            means = [_mean(rows[:, d]) for d in bars]
            ax.barh(bars, means, height=0.55, color=color, alpha=0.75)
            rows = rows.copy()
            rows[:, bars] = np.nan
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
    feature_names: Names = None,
    unit: str = "value",
    title: str = "Traversals",
    subtitle: str = "Each panel moves one latent dimension and leaves the others at 0: from blue "
    "(low) through grey to red (high).",
    ranges: Marks = None,
    shares: Marks = None,
    left_out: str = "",
) -> Figure:
    """Draw rows (K, S, D), decoded along each of K latent dimensions `names` at S `values`."""
    K, S, D = decoded.shape
    columns = 3 if D <= FEW else 2
    fig, axes = _panels(
        K, D, columns, feature_names, unit, title, subtitle, ranges, shares, left_out
    )
    decoded = _across(decoded, ranges)
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
