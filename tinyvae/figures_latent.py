"""Pictures of the latent space: the plane and what it decodes to, traversals, how many nats each
dimension carries, and whether all the data together look like the prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator

from tinyvae.picture import (
    ACCENT,
    COLORS,
    DENSITY,
    GREY,
    HALO,
    INK,
    MARGIN,
    PALE,
    as_pixels,
    bare,
    gap_for,
    is_ink,
    page,
    panel,
    show_pixels,
    side_labels,
    styled,
    tile,
    top_labels,
)

SIDE = 5.6  # inches of a large latent plane
MAX_ROWS = 24  # latent dimensions that a figure lists


def square(z: np.ndarray, least: float = 3.3, centred: bool = True) -> tuple[float, ...]:
    """Return x0, x1, y0, y1 of a square that shows points z (N, 2), or at least ±`least`."""
    if centred:
        half = max(least, 1.06 * float(np.abs(z).max()))
        return (-half, half, -half, half)
    low, high = z.min(axis=0), z.max(axis=0)
    centre, half = (low + high) / 2, 0.54 * float((high - low).max()) or 1.0
    return tuple(float(c + s * half) for c in centre for s in (-1, 1))


def plane_grid(extent: tuple[float, ...], cells: int) -> np.ndarray:
    """Return the centres (cells², 2) of a grid over an extent, from top left to bottom right."""
    x0, x1, y0, y1 = extent
    steps = (np.arange(cells) + 0.5) / cells
    z1, z2 = np.meshgrid(x0 + (x1 - x0) * steps, y1 - (y1 - y0) * steps)
    return np.stack([z1.ravel(), z2.ravel()], axis=1)


def quantile_grid(cells: int) -> np.ndarray:
    """Return z (cells², 2) such that each cell holds the same share of the prior N(0, I)."""
    inverse = NormalDist().inv_cdf
    z = np.array([inverse((i + 0.5) / cells) for i in range(cells)])
    z1, z2 = np.meshgrid(z, z[::-1])
    return np.stack([z1.ravel(), z2.ravel()], axis=1)


def _plane_axes(ax: Axes, extent: tuple[float, ...], names: Sequence[str]) -> None:
    ax.set(xlim=extent[:2], ylim=extent[2:], xlabel=names[0], ylabel=names[1])
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(7, integer=extent[1] - extent[0] > 4))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def _circles(ax: Axes, text: bool = True) -> None:
    """Draw where the prior N(0, I) is: one, two and three standard deviations."""
    for r in (1, 2, 3):
        ax.add_patch(Circle((0, 0), r, fill=False, ec=GREY, lw=0.7, ls=(0, (1, 2.5)), zorder=1))
        if text:
            place = (r * 0.7071, -r * 0.7071)
            look = {"size": 7.5, "color": GREY, "ha": "center", "va": "center", "zorder": 4}
            ax.text(*place, f"{r}σ", path_effects=HALO, clip_on=True, **look)


def _points(ax: Axes, z: np.ndarray, labels: np.ndarray | None, size: float | None = None) -> None:
    size = size or float(np.clip(9000 / len(z), 2.5, 18))
    colors = [COLORS[3]] * len(z)
    if labels is not None:
        colors = np.array(COLORS)[np.asarray(labels) % len(COLORS)]
    ax.scatter(z[:, 0], z[:, 1], s=size, c=colors, alpha=0.8, lw=0, zorder=2)


def _names(
    ax: Axes, z: np.ndarray, labels: np.ndarray, names: Sequence[str] | None, size: float
) -> None:
    """Write each class's name at its median, moved apart where two would overlap."""
    classes = np.unique(labels)[:20]
    places = np.array([np.median(z[labels == c], axis=0) for c in classes])
    apart = 0.055 * (ax.get_xlim()[1] - ax.get_xlim()[0])
    for _ in range(50):
        gaps = places[:, None] - places  # (C, C, 2)
        distance = np.linalg.norm(gaps, axis=2) + np.eye(len(places)) * 9 * apart + 1e-9
        push = np.clip(apart - distance, 0, None) / distance
        places = places + 0.5 * (gaps * push[:, :, None]).sum(axis=1)
    for c, place in zip(classes, places, strict=True):
        name = names[c] if names else str(c)
        look = {"size": size, "weight": "bold", "color": COLORS[c % len(COLORS)]}
        look |= {"ha": "center", "va": "center", "zorder": 6, "clip_on": True}
        ax.text(*place, name, path_effects=HALO, **look)


def _ellipses(ax: Axes, mu: np.ndarray, sigma: np.ndarray, labels: np.ndarray | None) -> None:
    """Draw the contour at one standard deviation of some posteriors N(mu, sigma²) (K, 2)."""
    colors = [INK] * len(mu)
    if labels is not None:
        colors = np.array(COLORS)[np.asarray(labels) % len(COLORS)]
    widths, heights = 2 * sigma.T
    for fill in (True, False):
        look = {"facecolors": colors, "alpha": 0.25} if fill else {"facecolors": "none"}
        look |= {"edgecolors": "none" if fill else colors, "linewidths": 1.3}
        ellipses = EllipseCollection(
            widths, heights, np.zeros(len(mu)), units="xy", offsets=mu,
            offset_transform=ax.transData, zorder=3, **look,
        )  # fmt: skip
        ax.add_collection(ellipses)


@styled
def plane(
    z: np.ndarray,
    labels: np.ndarray | None = None,
    label_names: Sequence[str] | None = None,
    ellipses: tuple[np.ndarray, np.ndarray, np.ndarray | None] | None = None,
    decoded: np.ndarray | None = None,
    image_shape: tuple[int, ...] | None = None,
    extent: tuple[float, ...] | None = None,
    axes: tuple[int, int] = (0, 1),
    prior: bool = True,
    title: str = "The latent plane",
    subtitle: str = "",
    right_title: str = "What each place decodes to",
) -> Figure:
    """Codes of the data on the left; on the right, on the same coordinates, what they decode to.

    Parameters
    ----------
    z : (N, 2) array
        Posterior means, or codes.
    labels : (N,) ints or None
        Colours; `label_names` names them at their medians.
    ellipses : (mu (K, 2), sigma (K, 2), labels (K,) or None)
        Posteriors to draw as ellipses of one standard deviation.
    decoded : (cells², D) array
        Images decoded at `plane_grid(extent, cells)`; without them there is no right panel.
    extent : x0, x1, y0, y1
        `square(z)` unless given.
    axes : (int, int)
        Which two latent dimensions these are.
    prior : bool
        Whether to draw the circles of N(0, I), and let the decoded images fade out with it.
    """
    extent = extent or square(z, centred=prior)
    names = [f"$z_{{{axis + 1}}}$" for axis in axes]
    both = decoded is not None
    width = 0.6 + SIDE + (0.75 + SIDE if both else 0) + MARGIN
    fig = page(width, 1.3 + SIDE + 0.65, title, subtitle)
    ax = panel(fig, 0.6, 1.3, SIDE, SIDE)
    _plane_axes(ax, extent, names)
    if prior:
        _circles(ax)
    _points(ax, z, labels)
    if ellipses is not None:
        _ellipses(ax, *ellipses)
    if labels is not None:
        _names(ax, z, labels, label_names, 13)
    ax.set_title(f"Where the encoder puts {len(z):,} examples", pad=8)
    if both:
        ax = panel(fig, 0.6 + SIDE + 0.75, 1.3, SIDE, SIDE)
        _plane_axes(ax, extent, names)
        _decoded_plane(ax, decoded, image_shape, extent, fade=prior)
        if prior:
            _circles(ax)
        ax.set_title(right_title, pad=8)
    return fig


def _decoded_plane(ax, decoded, image_shape, extent, fade: bool) -> None:
    """Draw images decoded on a grid; with `fade`, paler where the prior has little mass."""
    cells = round(len(decoded) ** 0.5)
    pixels = as_pixels(decoded, image_shape, is_ink(decoded, image_shape))
    sheet = tile(pixels, cells)
    if fade:
        z = plane_grid(extent, sheet.shape[0])[:: sheet.shape[0], 1]
        r = np.hypot(np.linspace(*extent[:2], sheet.shape[1]), z[:, None])
        weight = np.clip((3.35 - r) / 0.9, 0, 1)[:, :, None]
        sheet = 1 - (1 - sheet) * weight**1.5
    show_pixels(ax, sheet, extent)


@styled
def manifold(
    decoded: np.ndarray,
    image_shape: tuple[int, ...],
    title: str = "The decoded prior",
    subtitle: str = "Every cell holds the same share of the prior: z at equally likely quantiles "
    "of N(0, I).",
) -> Figure:
    """Images decoded at `quantile_grid(cells)`, (cells², D), as one seamless picture."""
    cells = round(len(decoded) ** 0.5)
    sheet = tile(as_pixels(decoded, image_shape, is_ink(decoded, image_shape)), cells)
    side = 7.4
    fig = page(0.75 + side + MARGIN, 0.95 + side + 0.7, title, subtitle)
    ax = panel(fig, 0.75, 0.95, side, side)
    show_pixels(ax, sheet, (0, 1, 0, 1))
    marks = [-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2]
    places = [NormalDist().cdf(z) for z in marks]
    texts = [f"{z:g}".replace("-", "−") for z in marks]
    ax.set(xticks=places, yticks=places, xlabel="$z_1$", ylabel="$z_2$")
    ax.set_xticklabels(texts)
    ax.set_yticklabels(texts)
    ax.tick_params(length=3)
    ax.spines[:].set_visible(False)
    return fig


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
    """Images decoded along each latent dimension.

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
    gap, cell = gap_for(image_shape, ink), 0.66
    height = K * cell * image_shape[0] / image_shape[1]
    fig = page(9.4, height + 1.3 + MARGIN, title, subtitle)
    left = MARGIN + cell + 1.35
    ax = bare(panel(fig, left, 1.2, S * cell, height))
    sheet = tile(as_pixels(decoded.reshape(K * S, D), image_shape, ink), S, gap)
    show_pixels(ax, sheet, (0, S, K, 0))
    top_labels(ax, [i + 0.5 for i in range(S)], [f"{v:.2g}".replace("-", "−") for v in values])
    ax.tick_params(axis="x", labelcolor=GREY)
    side_labels(ax, [i + 0.5 for i in range(K)], list(names))
    if original is not None:
        cell_height = cell * image_shape[0] / image_shape[1]
        ax = bare(panel(fig, MARGIN, 1.2, cell, cell_height))
        show_pixels(ax, as_pixels(original[None], image_shape, ink)[0])
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
    """KL per latent dimension (E, L) over E epochs, sorted by the last epoch's, largest on top."""
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
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
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
    bars.set_title(f"Now: {kl[-1].sum():.2f} in all{shown}", pad=8)
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
    """The aggregate posterior q(z) = mean over the data of N(mu, sigma²), against N(0, I).

    It is drawn exactly, as the mixture it is, without bins or smoothing.

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
    marginals = [density(mu[:, j], sigma[:, j], at) for j in order]  # each (N, G)
    prior = np.exp(-0.5 * at * at) / np.sqrt(2 * np.pi)  # (G,)
    side, left = 3.7, 0.65
    flat = len(order) < 2
    fig = page(13.0 if not flat else 6.4, 1.35 + side + 0.7, title, "" if flat else subtitle)
    if not flat:
        joint = marginals[1].T @ marginals[0] / len(mu)  # (G, G): rows are the second dimension
        pairs = (("Data: q(z)", joint), ("Prior: N(0, I)", np.outer(prior, prior)))
        for name, values in pairs:
            ax = panel(fig, left, 1.35, side, side)
            extent = (-reach, reach, -reach, reach)
            look = {"cmap": DENSITY, "vmin": 0, "vmax": max(joint.max(), prior.max() ** 2)}
            ax.imshow(values, origin="lower", extent=extent, interpolation="bicubic", **look)
            _plane_axes(ax, extent, [f"$z_{{{j + 1}}}$" for j in order[:2]])
            _circles(ax, text=values is not joint)
            ax.set_title(name, pad=8)
            left += side + 0.55
    ax = panel(fig, left + 0.2, 1.35, 3.0 if not flat else 4.0, side)
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
        text = f"{mu[:, j].mean():+.2f} ± {spread:.2f}".replace("-", "−")
        ax.text(1.02, base + 0.12, text, transform=ax.get_yaxis_transform(), size=8, color=GREY)
    side_labels(ax, [-r + 0.12 for r in range(len(order))], [f"$z_{{{j + 1}}}$" for j in order])
    ax.set(xlim=(at[0], at[-1]), ylim=(-len(order) + 0.95, 1))
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="x", length=0)
    ax.set_title("Each dimension: data filled, prior as line", pad=8)
    ax.text(1.02, 1.0, "mean ± sd", transform=ax.transAxes, size=8, color=INK)


@styled
def factor_figure(
    information: np.ndarray,
    names: Sequence[str],
    score: float,
    title: str = "Which latent dimension follows which factor",
    score_name: str = "mutual information gap",
) -> Figure:
    """Mutual information (L, F) in nats between latent dimensions and true factors.

    `score` stands in the heading; the mutual information gap of Chen et al. 2018 unless named.
    """
    L, F = information.shape
    cell_width, cell_height = 0.95, 0.42
    width = max(6.4, 0.8 + F * cell_width + MARGIN)
    subtitle = f"Mutual information in nats; {score_name} {score:.3f} (0: mixed, 1: one for each)."
    fig = page(width, 1.3 + L * cell_height + MARGIN, title, subtitle)
    ax = bare(panel(fig, 0.8, 1.25, F * cell_width, L * cell_height))
    ax.imshow(information, cmap=DENSITY, vmin=0, aspect="auto", extent=(0, F, L, 0))
    ax.hlines(range(1, L), 0, F, color="white", lw=1.5)
    ax.vlines(range(1, F), 0, L, color="white", lw=1.5)
    dark = 0.5 * max(float(information.max()), 1e-9)
    for (j, f), value in np.ndenumerate(information):
        color = "white" if value > dark else INK
        ax.text(f + 0.5, j + 0.5, f"{value:.2f}", ha="center", va="center", size=8, color=color)
    top_labels(ax, [f + 0.5 for f in range(F)], list(names), labelcolor=INK)
    side_labels(ax, [j + 0.5 for j in range(L)], [f"$z_{{{j + 1}}}$" for j in range(L)])
    return fig


@styled
def three_panels(
    panels: Sequence[tuple[str, str, np.ndarray, tuple[float, ...], np.ndarray]],
    labels: np.ndarray,
    image_shape: tuple[int, ...],
    title: str = "Why a VAE needs both of its terms",
    subtitle: str = "Above: draws of z for the test images, coloured by digit, on the prior's "
    "circles (1σ, 2σ, 3σ). Below: what the same plane decodes to.",
) -> Figure:
    """Latent planes of several models side by side, and what each decodes to below it.

    Parameters
    ----------
    panels : sequence of (name, remark, z (N, 2), extent, decoded (cells², D))
        One column each; `decoded` at `plane_grid(extent, cells)`.
    labels : (N,) ints
    """
    side, gap, left, top = 3.55, 0.55, 0.6, 1.55
    width = left + len(panels) * (side + gap) - gap + MARGIN
    fig = page(width, top + 2 * side + 0.6 + 0.5, title, subtitle)
    for i, (name, remark, z, extent, decoded) in enumerate(panels):
        x = left + i * (side + gap)
        ax = panel(fig, x, top, side, side)
        _plane_axes(ax, extent, ["", ""])
        _circles(ax, text=False)
        _points(ax, z, labels, size=9)
        _names(ax, z, labels, None, 11)
        ax.set_title(remark, pad=7, size=8.5, color=GREY)
        fig.text(x / width, 1 - 1.17 / fig.get_figheight(), name, size=11, weight="bold")
        ax = panel(fig, x, top + side + 0.6, side, side)
        _plane_axes(ax, extent, ["", ""])
        _decoded_plane(ax, decoded, image_shape, extent, fade=False)
    return fig
