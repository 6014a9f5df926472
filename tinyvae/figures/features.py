"""Draw data that are no images: rows of features, as dots and bars with the features' names where
they find room, as lines where there are too many of them.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

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


class Features(NamedTuple):
    """What the D columns of a table are.

    Parameters
    ----------
    names : D strings, or None
        Without names, features are numbered.
    unit : str
        Of the values, where they share an axis.
    ranges : array (D, 2), or None
        Each feature has a scale of its own, from the low to the high that stand beside it.
    shares : array (D,) of bool, or None
        Which features are probabilities, of 0 and 1 or of categories: they are drawn as bars.
    left_out : str
        Columns that there is no room for.
    """

    names: Sequence[str] | None = None
    unit: str = "value"
    ranges: np.ndarray | None = None
    shares: np.ndarray | None = None
    left_out: str = ""

    def panels(
        self, n: int, D: int, columns: int, title: str, subtitle: str
    ) -> tuple[Figure, list[Axes]]:
        """Return a page with n panels in columns; each has D features along its y axis, with their
        names, where they are few, else along its x axis, by number."""
        few, names, ranges = D <= FEW, self.names, self.ranges
        rows, columns = -(-n // columns), min(n, columns)
        left, between, right = (2.05, 0.3, 1.1 * (ranges is not None)) if few else (0.85, 0.6, 0)
        height = max(1.6, 0.2 * D + 0.3) if few else 1.7
        width = (10.4 - left - right - MARGIN) / columns
        texts = [plain(short(name, 24)) for name in names or [f"feature {i + 1}" for i in range(D)]]
        if names and not few:
            subtitle += f" {D} names find no room: features are counted as in the table, from 1."
        if few and ranges is not None:
            subtitle += " Each number is drawn on its own range, which stands at the right."
        if self.left_out:
            subtitle += f" Without room here: {plain(self.left_out)}."
        fig = page(10.4, 1.3 + rows * (height + 0.85) - 0.1, title, subtitle)
        axes = []
        for k in range(n):
            row, column = divmod(k, columns)
            place = left + column * width, 1.3 + row * (height + 0.85)
            ax = panel(fig, *place, width - between, height)
            if few:
                ax.set_yticks(range(D), [""] * D if column else texts)
                ax.set(ylim=(D - 0.4, -0.6), xlabel=self.unit)
                ax.tick_params(axis="y", length=0, labelcolor=INK)
                ax.grid(axis="y", color="#eceef1", lw=0.8)
                ax.set_axisbelow(True)
                if ranges is not None:
                    self._write_ranges(ax, last=column == columns - 1 or k == n - 1)
            else:
                ax.set(xlim=(1, D), xlabel="feature", ylabel="" if column else self.unit)
            axes.append(ax)
        return fig, axes

    def _write_ranges(self, ax: Axes, last: bool) -> None:
        """Let an axis go from each feature's low to its high, and write them at its right."""
        ax.update_datalim([(0, 0), (1, 0)], updatey=False)
        ax.set(xlabel="")
        ax.set_xticks([0, 0.5, 1], [""] * 3)
        look = {"transform": ax.get_yaxis_transform(), "va": "center", "color": GREY, "size": 7.5}
        for d, (low, high) in enumerate(self.ranges if last else ()):
            if self.shares is None or not self.shares[d]:
                ax.text(1.03, d, f"{low:.4g} … {high:.4g}".replace("-", "−"), **look)

    def across(self, x: np.ndarray) -> np.ndarray:
        """Return where values x (…, D) are on their axis: with `ranges`, as parts of them."""
        if self.ranges is None or x.shape[-1] > FEW:
            return x
        low, high = self.ranges.T
        return (x - low) / (high - low)

    def bars(self, D: int) -> np.ndarray:
        """Return the features that are drawn as bars."""
        return np.flatnonzero(self.shares if self.shares is not None and D <= FEW else [])


UNNAMED = Features()


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
    features: Features = UNNAMED,
    title: str = "Reconstructions",
    subtitle: str = "Each panel is one example: the original in dark, where it is observed, what "
    "is decoded from its code in orange.",
) -> Figure:
    """Draw rows x (N, D), NaN where a cell is missing, and their reconstructions x_hat (N, D), one
    panel each."""
    N, D = x.shape
    bars = features.bars(D)
    subtitle += " Bars are probabilities." * (len(bars) > 0)
    fig, axes = features.panels(N, D, 3 if D <= FEW else 2, title, subtitle)
    x, x_hat = features.across(x), features.across(x_hat)
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


@styled
def row_samples(
    samples: np.ndarray,
    x: np.ndarray,
    features: Features = UNNAMED,
    title: str = "Samples from the prior",
    subtitle: str = "New rows from z ~ N(0, I), noise of p(x|z) included, beside rows of the data: "
    "the two should look alike.",
) -> Figure:
    """Draw samples (N, D) beside as many rows of data x (N, D), in the same units; of shares, how
    many of the observed cells are 1."""
    D = x.shape[1]
    bars = features.bars(D)
    subtitle += " Bars are shares of the rows." * (len(bars) > 0)
    fig, axes = features.panels(2, D, 2, title, subtitle)
    x, samples = features.across(x), features.across(samples)
    jitter = np.linspace(-0.28, 0.28, max(len(x), len(samples)))
    parts = (("data", x, INK), ("samples", samples, COLORS[3]))
    for ax, (name, rows, color) in zip(axes, parts, strict=True):
        if D <= FEW:
            places = np.arange(D) + jitter[: len(rows), None]
            shares, rows = rows[:, bars], rows.copy()
            observed = (~np.isnan(shares)).sum(axis=0)
            means = np.nansum(shares, axis=0) / np.maximum(observed, 1)
            ax.barh(bars, means, height=0.55, color=color, alpha=0.75)
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
    features: Features = UNNAMED,
    title: str = "Traversals",
    subtitle: str = "Each panel moves one latent dimension and leaves the others at 0: from blue "
    "(low) through grey to red (high).",
) -> Figure:
    """Draw rows (K, S, D), decoded along each of K latent dimensions `names` at S `values`."""
    K, S, D = decoded.shape
    fig, axes = features.panels(K, D, 3 if D <= FEW else 2, title, subtitle)
    decoded = features.across(decoded)
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
