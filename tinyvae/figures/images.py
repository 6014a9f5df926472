"""Draw sheets of images, and the curves of a training."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tinyvae.figures.picture import (
    ACCENT,
    DENSITY,
    GREY,
    INK,
    MARGIN,
    as_pixels,
    bare,
    check_sheet,
    columns_for,
    gap_for,
    is_ink,
    own_pixels,
    page,
    panel,
    plain,
    show_pixels,
    side_labels,
    styled,
    tile,
    top_labels,
)


@styled
def curves(history: Sequence[dict], title: str = "Training") -> Figure:
    """Draw loss, reconstruction and KL by epoch: training as a line, validation as another.

    Parameters
    ----------
    history : sequence of dicts
        With `epoch`, `loss`, `reconstruction`, `kl`, and the same with `val_` where it was measured
        (None or NaN where not), in nats per example. A term that is 0 throughout has no panel, nor
        a loss that is the reconstruction alone.
    """
    terms = [t for t in ("loss", "reconstruction", "kl") if any(row[t] for row in history)]
    if len(terms) == 2 and all(row["loss"] == row["reconstruction"] for row in history):
        terms.remove("loss")
    names = {"loss": "Loss", "reconstruction": "Reconstruction", "kl": "KL divergence"}
    subtitle = "Nats per example, by epoch."
    if len(history) >= 20:
        subtitle += " The first epochs may lie beyond the frame."
    fig = page(10.4, 3.9, title, subtitle)
    width = (10.4 - 2 * MARGIN + 0.2) / len(terms)
    for i, term in enumerate(terms):
        ax = panel(fig, MARGIN + 0.4 + i * width, 1.15, width - 0.6, 2.15)
        _curve(ax, history, term)
        ax.set(xlabel="epoch")
        ax.set_title(names[term], pad=8)
    return fig


def _curve(ax: Axes, history: Sequence[dict], term: str) -> None:
    """Draw one term of training and validation, within the range of the later epochs."""
    epochs = [row["epoch"] for row in history]
    later = []  # the first epochs would flatten all others: they may leave the panel
    for key, color, name in ((term, INK, "training"), (f"val_{term}", ACCENT, "validation")):
        y = np.array([row.get(key) for row in history], dtype=float)
        if np.isfinite(y).any():
            marker = "o" if len(epochs) < 4 else ""
            ax.plot(epochs, y, color=color, lw=1.6, marker=marker, label=name)
            later.append(y[min(len(y) // 20, 5) :])
    finite = np.concatenate(later)
    finite = finite[np.isfinite(finite)]
    low, high = finite.min(), finite.max()
    ax.set_ylim(low - 0.06 * (high - low) - 1e-9, high + 0.08 * (high - low) + 1e-9)
    ax.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    ax.grid(axis="y", color="#eceef1", lw=0.8)
    ax.legend(loc="best", labelcolor="linecolor", handlelength=1.4)


@styled
def image_grid(
    images: np.ndarray,
    image_shape: tuple[int, ...],
    columns: int | None = None,
    title: str = "",
    subtitle: str = "",
    row_labels: Sequence[str] | None = None,
) -> Figure:
    """Draw images (N, D) side by side, row by row; without a title, nothing else."""
    check_sheet(len(images), image_shape)
    ink = is_ink(images, image_shape)
    columns = min(columns or columns_for(len(images), image_shape), len(images))
    sheet = tile(as_pixels(images, image_shape, ink), columns, gap_for(image_shape))
    left, top, width = 0.0, 0.0, min(9.0, 1.2 * columns)
    if title:
        left = MARGIN + (0.1 + 0.075 * max(map(len, row_labels)) if row_labels else 0)
        top, width = 0.85, min(9.4 - left - MARGIN, 1.2 * columns)
    height = width * sheet.shape[0] / sheet.shape[1]
    fig = page(9.4 if title else width, height + top + (MARGIN if title else 0), title, subtitle)
    ax = bare(panel(fig, left, top, width, height))
    show_pixels(ax, sheet, ink, (0, columns, -(-len(images) // columns), 0))
    own_pixels(fig, ax, sheet)
    if row_labels:
        side_labels(ax, [i + 0.5 for i in range(len(row_labels))], [plain(t) for t in row_labels])
    return fig


@styled
def reconstructions(
    x: np.ndarray,
    x_hat: np.ndarray,
    image_shape: tuple[int, ...],
    columns: int = 10,
    title: str = "Reconstructions",
    subtitle: str = "Each image over what the decoder makes of its code.",
) -> Figure:
    """Draw originals x (N, D) over reconstructions x_hat (N, D), in as many bands as needed."""
    check_sheet(len(x), image_shape, each=2)
    ink = is_ink(x, image_shape)
    columns, gap = min(columns, len(x)), gap_for(image_shape)
    bands, between = [], max(2, image_shape[0] // 4)
    for start in range(0, len(x), columns):
        for images in (x, x_hat):
            band = as_pixels(images[start : start + columns], image_shape, ink)
            rest = np.ones((columns - len(band), *band.shape[1:]), dtype=band.dtype)
            bands += [tile(np.concatenate([band, rest]), columns, gap)]
            space = max(gap, image_shape[0] // 6) if images is x else between
            bands += [np.ones((space, *bands[-1].shape[1:]), dtype=band.dtype)]
    sheet = np.concatenate(bands[:-1])
    width = min(8.0, 1.3 * columns)
    height = width * sheet.shape[0] / sheet.shape[1]
    fig = page(9.4, height + 0.9 + MARGIN, title, subtitle)
    ax = bare(panel(fig, MARGIN + 0.75, 0.9, width, height))
    show_pixels(ax, sheet, ink, (0, columns, len(sheet), 0))
    own_pixels(fig, ax, sheet)
    tops = np.cumsum([0] + [len(band) for band in bands])[:-1][::2]
    middles = [top + image_shape[0] / 2 for top in tops]
    side_labels(ax, middles, ["original", "decoded"] * (len(tops) // 2))
    return fig


@styled
def posterior(
    original: np.ndarray,
    mean: np.ndarray,
    draws: np.ndarray,
    image_shape: tuple[int, ...],
    columns: int = 10,
    title: str = "One image, many codes",
    subtitle: str = "The encoder answers with a distribution: each small image is decoded from "
    "another draw of it.",
) -> Figure:
    """Draw one image decoded from many samples of its own posterior.

    Parameters
    ----------
    original, mean : (D,) arrays
        The image, and what is decoded from mu.
    draws : (S, D) array
        What is decoded from z = mu + sigma eps.
    """
    ink = is_ink(original[None], image_shape)
    sheet = tile(as_pixels(draws, image_shape, ink), columns, gap_for(image_shape))
    side, left, top = 1.55, MARGIN, 1.2
    each = side * image_shape[0] / image_shape[1]
    height = 3 * each + 2 * 0.42
    width = min(height * sheet.shape[1] / sheet.shape[0], 9.0)
    fig = page(left + side + 0.5 + width + MARGIN, top + height + MARGIN, title, subtitle)
    spread = draws.std(axis=0).reshape(*image_shape[:2], -1).mean(axis=2)
    names = ("original", "decoded from μ", f"standard deviation (≤ {spread.max():.2f})")
    for i, name in enumerate(names):
        ax = bare(panel(fig, left, top + i * (each + 0.42), side, each))
        ax.set_title(name, pad=4, size=8.5)
        if i < 2:
            show_pixels(ax, as_pixels((original, mean)[i], image_shape, ink)[0], ink)
        else:
            ax.imshow(spread, cmap=DENSITY, vmin=0, interpolation="bicubic", aspect="auto")
    ax = bare(panel(fig, left + side + 0.5, top, width, width * sheet.shape[0] / sheet.shape[1]))
    show_pixels(ax, sheet, ink)
    ax.set_title(f"decoded from {len(draws)} draws of z ~ N(μ, σ²)", pad=4, size=8.5)
    return fig


@styled
def interpolations(
    first: np.ndarray,
    steps: np.ndarray,
    last: np.ndarray,
    image_shape: tuple[int, ...],
    title: str = "Interpolations",
    subtitle: str = "A straight line in z from one image's code to another's, decoded on the way.",
) -> Figure:
    """Draw pairs of images and the way between them.

    Parameters
    ----------
    first, last : (P, D) arrays
        The original images of P pairs.
    steps : (P, S, D) array
        Decoded from z = (1 − t) z_first + t z_last, with t from 0 to 1.
    """
    P, S, _ = steps.shape
    check_sheet(P * (S + 2), image_shape)
    ink = is_ink(first, image_shape)
    cell = min(0.72, 7.0 / S)
    height = P * cell * image_shape[0] / image_shape[1]
    fig = page(2 * MARGIN + cell * (S + 2) + 0.5, height + 1.2 + MARGIN, title, subtitle)
    sheets = [(first, 1), (steps.reshape(P * S, -1), S), (last, 1)]
    left = MARGIN
    for images, columns in sheets:
        ax = bare(panel(fig, left, 1.15, columns * cell, height))
        sheet = tile(as_pixels(images, image_shape, ink), columns, gap_for(image_shape))
        show_pixels(ax, sheet, ink, (0, columns, P, 0))
        own_pixels(fig, ax, sheet)
        if columns > 1 or S == 1:
            marks = np.linspace(0, 1, S)
            top_labels(ax, [i + 0.5 for i in range(S)], ["t = 0"] + [f"{t:.2g}" for t in marks[1:]])
            ax.tick_params(axis="x", labelcolor=GREY)
        else:
            top_labels(ax, [0.5], ["from" if images is first else "to"])
            ax.tick_params(axis="x", labelcolor=INK)
        left += columns * cell + 0.25
    return fig
