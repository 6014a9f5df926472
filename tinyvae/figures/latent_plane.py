"""Draw the latent plane: where the encoder puts the data, what each place decodes to, and
the three planes that explain what the two terms of the loss do.
"""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator

from tinyvae.data.dataset import counted
from tinyvae.figures.picture import (
    COLORS,
    GREY,
    HALO,
    INK,
    MARGIN,
    as_pixels,
    is_ink,
    mark,
    page,
    panel,
    plain,
    seam_for,
    short,
    show_pixels,
    styled,
    tile,
)

SIDE = 5.6  # inches of a large latent plane
NEAR = 6.0  # a plane that reaches farther shows the prior too small for writing
NEAR_PRIOR = (-3.0, 3.0, -3.0, 3.0)  # where N(0, I) has 99.5 % of its draws


def square(z: np.ndarray, centred: bool = True) -> tuple[float, ...]:
    """Return x0, x1, y0, y1 of a square that shows points z (N, 2); around 0, at least ±3.3."""
    if centred:
        half = max(3.3, 1.06 * float(np.abs(z).max()))
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


def plane_axes(ax: Axes, extent: tuple[float, ...], names: Sequence[str]) -> None:
    """Lay out axes that show a part of the plane, with names and few ticks."""
    ax.set(xlim=extent[:2], ylim=extent[2:], xlabel=names[0], ylabel=names[1])
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(8, integer=extent[1] - extent[0] > 4, steps=[1, 2, 5]))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def circles(ax: Axes, text: bool = True, z: np.ndarray | None = None) -> None:
    """Draw where the prior N(0, I) is: one, two and three standard deviations, and write that in
    the direction that has most room between points z (N, 2)."""
    text = text and ax.get_xlim()[1] < NEAR
    angles = np.pi * (np.arange(16) / 8 - 0.25)  # from the lower right on
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)  # (16, 2)
    best = 0
    if z is not None:
        labels = np.arange(1, 4)[:, None] * directions[:, None]  # (16, 3, 2)
        away = np.linalg.norm(labels[:, :, None] - z, axis=-1)  # (16, 3, N)
        best = int(away.min(axis=(1, 2)).argmax())
    for r in (1, 2, 3):
        ax.add_patch(Circle((0, 0), r, fill=False, ec=GREY, lw=0.7, ls=(0, (1, 2.5)), zorder=1))
        if text:
            place = r * directions[best]
            look = {"size": 7.5, "color": GREY, "ha": "center", "va": "center", "zorder": 4}
            ax.text(*place, f"{r}σ", path_effects=HALO, clip_on=True, **look)


def _points(ax: Axes, z: np.ndarray, labels: np.ndarray | None, size: float | None = None) -> None:
    """Draw codes (N, 2) as dots, smaller where there are many."""
    size = size or float(np.clip(9000 / len(z), 2.5, 18))
    look = {"s": size, "alpha": 0.8, "lw": 0, "zorder": 2}
    if labels is None:
        ax.scatter(z[:, 0], z[:, 1], color=COLORS[3], **look)
        return
    markers, colors = zip(*(mark(int(label)) for label in labels), strict=True)
    points = ax.scatter(z[:, 0], z[:, 1], c=colors, **look)
    shapes = {marker: MarkerStyle(marker) for marker in set(markers)}
    paths = {
        name: shape.get_path().transformed(shape.get_transform()) for name, shape in shapes.items()
    }
    points.set_paths([paths[marker] for marker in markers])


def _names(
    ax: Axes, z: np.ndarray, labels: np.ndarray, names: Sequence[str] | None, size: float
) -> None:
    """Write each class's name at its median, moved up or down where two would overlap."""
    classes = np.unique(labels)[:20]
    texts = [plain(short(names[c], 20)) if names else str(c) for c in classes]
    places = np.array([np.median(z[labels == c], axis=0) for c in classes])  # (C, 2)
    inches = ax.get_window_extent().width / ax.figure.dpi
    letter = size / 72 * (ax.get_xlim()[1] - ax.get_xlim()[0]) / inches  # its height, in z
    widths = np.array([0.7 * letter * len(text) for text in texts])  # (C,)
    room = (widths[:, None] + widths) / 2 + 0.5 * letter  # (C, C)
    near = np.abs(places[:, None, 0] - places[:, 0]) < room
    places[:, 1] -= 1e-3 * letter * np.arange(len(places))  # so that no two are at one place
    for _ in range(50):
        dy = places[:, None, 1] - places[:, 1]
        overlap = near * np.clip(1.15 * letter - np.abs(dy), 0, None)
        places[:, 1] += 0.25 * (np.sign(dy) * overlap).sum(axis=1)
    for c, place, text in zip(classes, places, texts, strict=True):
        look = {"size": size, "weight": "bold", "color": COLORS[c % len(COLORS)]}
        look |= {"ha": "center", "va": "center", "zorder": 6, "clip_on": True}
        ax.text(*place, text, path_effects=HALO, **look)


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
    """Draw codes of the data on the left; on the right, on the same axes, what they decode to.

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
    fig = page(width, 1.2 + SIDE + 0.6, title, subtitle)
    ax = panel(fig, 0.6, 1.2, SIDE, SIDE)
    plane_axes(ax, extent, names)
    if prior:
        circles(ax, z=z if ellipses is None else np.concatenate([z, ellipses[0]]))
    _points(ax, z, labels)
    if ellipses is not None:
        _ellipses(ax, *ellipses)
    if labels is not None:
        _names(ax, z, labels, label_names, 13)
    ax.set_title(f"Where the encoder puts {counted(len(z), 'example')}", pad=8)
    if both:
        ax = panel(fig, 0.6 + SIDE + 0.75, 1.2, SIDE, SIDE)
        plane_axes(ax, extent, names)
        _decoded_plane(ax, decoded, image_shape, extent, fade=prior and extent[1] < NEAR)
        if prior:
            circles(ax)
        ax.set_title(right_title, pad=8)
    return fig


def _seamless(decoded: np.ndarray, image_shape: tuple[int, ...]) -> tuple[np.ndarray, bool]:
    """Return images (cells², D) of a square grid as one sheet, and whether they are ink."""
    ink = is_ink(decoded, image_shape)
    pixels = as_pixels(decoded, image_shape, ink)
    return tile(pixels, round(len(decoded) ** 0.5), seam_for(image_shape, ink)), ink


def _decoded_plane(ax, decoded, image_shape, extent, fade: bool) -> None:
    """Draw images decoded on a grid; with `fade`, paler where the prior has little mass."""
    sheet, ink = _seamless(decoded, image_shape)
    if fade:
        z1, z2 = (np.linspace(*extent[2 * i : 2 * i + 2], sheet.shape[1 - i]) for i in (0, 1))
        r = np.hypot(z1, z2[::-1, None])  # (H, W)
        weight = np.clip((3.35 - r) / 0.9, 0, 1)[:, :, None]
        sheet = 1 - (1 - sheet) * weight**1.5
    show_pixels(ax, sheet, ink, extent)


@styled
def manifold(
    decoded: np.ndarray,
    image_shape: tuple[int, ...],
    title: str = "The decoded prior",
    subtitle: str = "Every cell holds the same share of the prior: z at equally likely quantiles "
    "of N(0, I).",
) -> Figure:
    """Draw images decoded at `quantile_grid(cells)`, (cells², D), as one seamless picture."""
    sheet, ink = _seamless(decoded, image_shape)
    side = 7.4
    fig = page(0.75 + side + MARGIN, 0.95 + side + 0.7, title, subtitle)
    ax = panel(fig, 0.75, 0.95, side, side)
    show_pixels(ax, sheet, ink, (0, 1, 0, 1))
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
def three_panels(
    columns: Sequence[tuple[str, str, np.ndarray, np.ndarray, np.ndarray | None]],
    labels: np.ndarray,
    image_shape: tuple[int, ...],
    title: str = "Why a VAE needs both of its terms",
    subtitle: str = "",
) -> Figure:
    """Latent planes of several models on the same axes, what each decodes to where the prior has
    its draws, |z| < 3, and in a third row what each makes of the same draws.

    Parameters
    ----------
    columns : sequence of (name, remark, z (N, 2), decoded (cells², D), draws (n, D) or None)
        One column each; `decoded` at `plane_grid(NEAR_PRIOR, cells)`. Without draws there is no
        third row.
    labels : (N,) ints
        Colours of the points z.
    """
    side, gap, left, top, below = 3.55, 0.5, 0.6, 1.72, 0.6
    across = 8  # draws in a row
    with_draws = columns[0][4] is not None
    sheets = -(-len(columns[0][4]) // across) * side / across if with_draws else 0.0
    width = left + len(columns) * (side + gap) - gap + MARGIN
    height = top + 2 * side + below + (below + sheets if with_draws else 0) + 0.45
    fig = page(width, height, title, subtitle)
    _legend(fig, np.unique(labels), 0.78)
    extent = _shared_square([z for _, _, z, _, _ in columns])
    for i, (name, remark, z, decoded, draws) in enumerate(columns):
        x = left + i * (side + gap)
        ax = panel(fig, x, top, side, side)
        plane_axes(ax, extent, ["", ""])
        circles(ax, text=False)
        _points(ax, z, labels, size=9)
        outside = int((np.abs(z) > extent[1]).any(axis=1).sum())
        if outside:
            ax.text(0.01, 0.01, f"{outside} outside", transform=ax.transAxes, size=7.5, color=GREY)
        ax.set_title(remark, pad=7, size=8.5, color=GREY)
        fig.text(x / width, 1 - (top - 0.4) / height, name, size=11, weight="bold")
        ax = panel(fig, x, top + side + below, side, side)
        plane_axes(ax, NEAR_PRIOR, ["", ""])
        _decoded_plane(ax, decoded, image_shape, NEAR_PRIOR, fade=False)
        ax.set_title(
            "What each place near the prior, |z| < 3, decodes to", pad=6, size=8.5, color=GREY
        )
        if draws is not None:
            ax = panel(fig, x, top + 2 * (side + below), side, sheets)
            ink = is_ink(draws, image_shape)
            sheet = tile(as_pixels(draws, image_shape, ink), across)
            show_pixels(ax, sheet, ink)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            words = f"{len(draws)} new images: the same draws z ~ N(0, I), decoded"
            ax.set_title(words, pad=6, size=8.5, color=GREY)
    return fig


def _shared_square(planes: Sequence[np.ndarray]) -> tuple[float, ...]:
    """Return x0, x1, y0, y1 around 0 that show 98 of 100 points of each plane (N, 2)."""
    half = max(3.3, *(float(np.percentile(np.abs(z).max(axis=1), 98)) for z in planes))
    return (-1.04 * half, 1.04 * half, -1.04 * half, 1.04 * half)


def _legend(fig: Figure, classes: np.ndarray, top: float) -> None:
    """Write the classes beside their marks, so many inches below the page's upper edge."""
    W, H = fig.get_size_inches()
    glyphs = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼"}
    for i, c in enumerate(classes):
        marker, color = mark(int(c))
        look = {"size": 10, "weight": "bold", "color": color, "ha": "left", "va": "top"}
        fig.text((MARGIN + 0.36 * i) / W, 1 - top / H, f"{glyphs[marker]}{c}", **look)
