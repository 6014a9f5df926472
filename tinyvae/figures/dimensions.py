"""Draw the latent dimensions: what moving along one of them changes, how many nats each
carries, and whether all the data together look like the prior.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tinyvae.figures.latent_plane import circles, plane_axes
from tinyvae.figures.picture import (
    DENSITY,
    GREY,
    INK,
    MARGIN,
    PALE,
    as_pixels,
    bare,
    gap_for,
    is_ink,
    page,
    panel,
    plain,
    show_pixels,
    side_labels,
    styled,
    tile,
    top_labels,
)

MAX_ROWS = 24  # latent dimensions that a figure lists


@styled
def traversals(
    decoded: np.ndarray,
    values: Sequence[float],
    names: Sequence[str],
    image_shape: tuple[int, ...],
    original: np.ndarray | None = None,
    title: str = "Traversals",
    subtitle: str = "Each row moves one latent dimension and leaves the others where they are.",
) -> Figure:
    """Draw images decoded along each latent dimension.

    Parameters
    ----------
    decoded : (K, S, D) array
        Row k moves one dimension through the S `values`.
    names : K strings
        What to write beside each row, such as "z3  4.1 nats".
    original : (D,) array
        The image whose code is moved, drawn beside the first row.
    """
    K, S, D = decoded.shape
    ink = is_ink(decoded.reshape(K * S, D), image_shape)
    cell = 0.66
    cell_height = cell * image_shape[0] / image_shape[1]
    left = MARGIN + cell + 1.4
    fig = page(max(9.4, left + S * cell + MARGIN), K * cell_height + 1.2 + MARGIN, title, subtitle)
    ax = bare(panel(fig, left, 1.2, S * cell, K * cell_height))
    pixels = as_pixels(decoded.reshape(K * S, D), image_shape, ink)
    sheet = tile(pixels, S, gap_for(image_shape))
    show_pixels(ax, sheet, ink, (0, S, K, 0))
    top_labels(ax, [i + 0.5 for i in range(S)], [f"{v:.2g}".replace("-", "−") for v in values])
    ax.tick_params(axis="x", labelcolor=GREY)
    side_labels(ax, [i + 0.5 for i in range(K)], list(names))
    if original is not None:
        ax = bare(panel(fig, MARGIN, 1.2, cell, cell_height))
        show_pixels(ax, as_pixels(original[None], image_shape, ink)[0], ink)
        top_labels(ax, [image_shape[1] / 2], ["image"])
        ax.tick_params(axis="x", labelcolor=INK)
    return fig


@styled
def kl_over_training(
    kl: np.ndarray,
    epochs: Sequence[int] | None = None,
    threshold: float = 0.01,
    title: str = "What each latent dimension carries",
    subtitle: str = "KL(q(z|x) ‖ N(0, 1)) in nats on the validation data: how much of x each "
    "dimension tells.",
) -> Figure:
    """Draw the KL per latent dimension (E, L) over E epochs, the last epoch's largest on top."""
    E, L = kl.shape
    order = np.argsort(-kl[-1], kind="stable")[:MAX_ROWS]
    rows, epochs = len(order), epochs if epochs is not None else range(1, E + 1)
    row = 0.26 if rows > 4 else 0.5
    fig = page(10.4, 1.25 + rows * row + 0.75, title, subtitle)
    ax = panel(fig, MARGIN + 0.45, 1.25, 5.6, rows * row)
    first, last = epochs[0] - 0.5, epochs[-1] + 0.5
    image = ax.imshow(
        kl[:, order].T, aspect="auto", cmap=DENSITY, vmin=0, interpolation="nearest",
        extent=(first, last, rows, 0),
    )  # fmt: skip
    side_labels(ax, [i + 0.5 for i in range(rows)], [f"$z_{{{j + 1}}}$" for j in order])
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    ax.set(xlabel="epoch")
    ax.set_title("Over training", pad=8)
    ax.spines[:].set_visible(False)
    ax.hlines(range(1, rows), first, last, color="white", lw=1.2)
    bars = panel(fig, MARGIN + 0.45 + 5.6 + 0.25, 1.25, 2.7, rows * row)
    final = kl[-1, order]
    bars.barh(np.arange(rows) + 0.5, final, height=0.72, color=image.cmap(image.norm(final)))
    bars.barh(np.arange(rows) + 0.5, final, height=0.72, fill=False, ec=PALE, lw=0.5)
    reach = max(float(final.max()), 1e-9)
    for i, value in enumerate(final):
        bars.text(value + 0.03 * reach, i + 0.5, f"{value:.2f}", va="center", size=8, color=INK)
    bars.set(ylim=(rows, 0), xlim=(0, 1.3 * reach))
    bare(bars)
    shown = f", {rows} largest of {L} shown" if rows < L else ""
    active = int((kl[-1] > threshold).sum())
    bars.set_title(f"At the end: {kl[-1].sum():.2f} in all{shown}", pad=8)
    note = f"{active} of {L} above {threshold:g} nats"
    fig.text(1 - MARGIN / 10.4, 0.25 / fig.get_figheight(), note, ha="right", size=8, color=GREY)
    return fig


def density(mu: np.ndarray, sigma: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return each posterior's density at points: N(at; mu, sigma²), (N, G), for mu, sigma (N,)."""
    u = (at - mu[:, None]) / sigma[:, None]
    return np.exp(-0.5 * u * u) / (sigma[:, None] * np.sqrt(2 * np.pi))


@styled
def aggregate(
    mu: np.ndarray,
    sigma: np.ndarray,
    order: Sequence[int] | None = None,
    title: str = "All posteriors together, against the prior",
    subtitle: str = "Where they differ, the decoder is asked for codes it has never seen, or never "
    "asked for codes it knows.",
) -> Figure:
    """Draw the aggregate posterior q(z) = mean over the data of N(mu, sigma²), against N(0, I).

    It is drawn as the mixture it is, without bins or smoothing; only posteriors that would fall
    between two points of the grid are widened to its step.

    Parameters
    ----------
    mu, sigma : (N, L) arrays
        Of q(z|x) of each example.
    order : sequence of int
        Which dimensions to show, the two of the large panels first; all unless given.
    """
    order = list(range(mu.shape[1]) if order is None else order)[:MAX_ROWS]
    reach = max(3.4, 1.05 * float(np.abs(mu[:, order]).max()))
    at = np.linspace(-reach, reach, 161)
    wide = np.maximum(sigma, at[1] - at[0])
    marginals = [density(mu[:, j], wide[:, j], at) for j in order]  # each (N, G)
    prior = np.exp(-0.5 * at * at) / np.sqrt(2 * np.pi)  # (G,)
    side, left = 3.7, 0.65
    plane = len(order) > 1
    fig = page(13.2 if plane else 6.4, 1.35 + side + 0.7, title, subtitle)
    if plane:
        joint = marginals[1].T @ marginals[0] / len(mu)  # (G, G): rows are the second dimension
        for name, values in (("Data: q(z)", joint), ("Prior: N(0, I)", np.outer(prior, prior))):
            ax = panel(fig, left, 1.35, side, side)
            extent = (-reach, reach, -reach, reach)
            look = {"cmap": DENSITY, "vmin": 0, "vmax": 2 * prior.max() ** 2}
            ax.imshow(values, origin="lower", extent=extent, interpolation="bicubic", **look)
            plane_axes(ax, extent, [f"$z_{{{j + 1}}}$" for j in order[:2]])
            circles(ax, text=values is not joint)
            ax.set_title(name, pad=8)
            left += side + 0.55
    ax = panel(fig, left + 0.1, 1.35, 2.6 if plane else 4.0, side)
    _ridges(ax, at, marginals, prior, mu, sigma, order)
    return fig


def _ridges(ax: Axes, at, marginals, prior, mu, sigma, order) -> None:
    """Draw one density per dimension over the prior's, one below the other."""
    scale = 0.8 / max(max(m.mean(axis=0).max() for m in marginals), prior.max())
    for row, (j, marginal) in enumerate(zip(order, marginals, strict=True)):
        base = -row
        curve = base + scale * marginal.mean(axis=0)
        ax.fill_between(at, base, curve, color="#7fb2d0", lw=0, zorder=2)
        ax.plot(at, base + scale * prior, color=INK, lw=1.1, zorder=3)
        spread = np.sqrt(np.mean(sigma[:, j] ** 2) + mu[:, j].var())
        mean = round(float(mu[:, j].mean()), 2) + 0.0  # which turns −0 into 0
        text = f"{mean:+.2f} ± {spread:.2f}".replace("-", "−")
        ax.text(1.04, base + 0.12, text, transform=ax.get_yaxis_transform(), size=8, color=GREY)
    side_labels(ax, [-r + 0.12 for r in range(len(order))], [f"$z_{{{j + 1}}}$" for j in order])
    ax.set(xlim=(at[0], at[-1]), ylim=(-len(order) + 0.95, 1))
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="x", length=0)
    ax.set_title("Data filled, prior as line", pad=8)
    above = {"xycoords": "axes fraction", "textcoords": "offset points", "xytext": (0, 8)}
    ax.annotate("mean ± sd", (1.04, 1), size=8, color=INK, **above)


@styled
def factor_figure(
    information: np.ndarray,
    names: Sequence[str],
    score: float,
    title: str = "Which latent dimension follows which factor",
    score_name: str = "mutual information gap",
) -> Figure:
    """Draw the mutual information (L, F) of dimensions and factors, as parts of their entropy.

    `score` stands in the heading; the mutual information gap of Chen et al. 2018 unless named.
    """
    L, F = information.shape
    cell_width, cell_height = 0.95, 0.42
    width = max(6.4, 0.8 + F * cell_width + MARGIN)
    subtitle = (
        "How much of a factor (a column) a dimension tells alone, from 0 to 1. "
        f"{score_name.capitalize()}: {score:.3f} (0: mixed, 1: one dimension for each factor)."
    )
    fig = page(width, 1.3 + L * cell_height + MARGIN, title, subtitle)
    ax = bare(panel(fig, 0.8, 1.25, F * cell_width, L * cell_height))
    ax.imshow(information, cmap=DENSITY, vmin=0, aspect="auto", extent=(0, F, L, 0))
    ax.hlines(range(1, L), 0, F, color="white", lw=1.5)
    ax.vlines(range(1, F), 0, L, color="white", lw=1.5)
    dark = 0.5 * max(float(information.max()), 1e-9)
    for (j, f), value in np.ndenumerate(information):
        color = "white" if value > dark else INK
        ax.text(f + 0.5, j + 0.5, f"{value:.2f}", ha="center", va="center", size=8, color=color)
    top_labels(ax, [f + 0.5 for f in range(F)], [plain(n) for n in names], labelcolor=INK)
    side_labels(ax, [j + 0.5 for j in range(L)], [f"$z_{{{j + 1}}}$" for j in range(L)])
    return fig
