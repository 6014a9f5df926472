"""What all figures share: a page with a heading, panels measured in inches, colours, and arrays of
images joined into one. Knows of no model, and never touches pyplot's global state.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from matplotlib import patheffects, style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image, ImageFilter
from PIL.PngImagePlugin import PngInfo

from tinyvae.device import on_host

INK, GREY, PALE, ACCENT = "#1f2430", "#6b7280", "#c9ced6", "#c2410c"
# Ten colours that stay apart in normal sight and under simulated protan-, deuter- and tritanopia
# (Machado et al. 2009): at least 0.096 in Oklab, against 0.007 for Matplotlib's default ten; and
# 0.2 between k and k + 5, whose marks have the same shape. The explorer and the playground have
# the same colours and shapes.
COLORS = (
    "#f4767a", "#031e7c", "#8f9114", "#4f41aa", "#117b13",
    "#550245", "#b34f76", "#6c444d", "#20abb9", "#a48cfe",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v")
DENSITY = LinearSegmentedColormap.from_list(
    "density", ["#ffffff", "#cfe3ee", "#7fb2d0", "#2f74a3", "#153a63", "#0a1a33"]
)
DIVERGING = LinearSegmentedColormap.from_list(
    "diverging", ["#1d4f91", "#6d9fd0", "#8d8d8d", "#dd8d5c", "#a8320a"]
)
STYLE = {
    "figure.facecolor": "white", "font.size": 8.5, "axes.titlesize": 9.5,
    "axes.titlelocation": "left", "axes.titlecolor": INK, "axes.labelcolor": INK, "text.color": INK,
    "axes.edgecolor": PALE, "axes.linewidth": 0.8, "xtick.color": PALE, "ytick.color": PALE,
    "xtick.labelcolor": GREY, "ytick.labelcolor": GREY, "axes.spines.top": False,
    "axes.spines.right": False, "legend.frameon": False, "lines.solid_capstyle": "round",
    "axes.titley": 1.0,  # else each title looks for its place among all ticks
}  # fmt: skip
MARGIN = 0.35  # inches
MAX_PIXELS = 2**25  # of images in one picture
TONES = [round(round(v * 63 / 255) * 255 / 63) for v in range(256)] * 3  # of red, green and blue
SOFT = ImageFilter.Kernel((3, 3), [1, 4, 1, 4, 16, 4, 1, 4, 1])  # a cubic spline at its knots
HALO = [patheffects.withStroke(linewidth=2.5, foreground="white")]


def styled(figure: Callable[..., Picture]) -> Callable[..., Picture]:
    """Make a function a figure function: it also takes the arrays of a model on a GPU, and the
    reader's own Matplotlib settings neither change nor matter."""

    @wraps(figure)
    def drawn(*arguments: Any, **named: Any) -> Picture:
        named = {name: on_host(value) for name, value in named.items()}
        with style.context(["default", STYLE]):
            return figure(*map(on_host, arguments), **named)

    return drawn


def mark(label: int) -> tuple[str, str]:
    """Return the marker and the colour of a label, so that no label is told by colour alone."""
    return MARKERS[(label + label // len(COLORS)) % len(MARKERS)], COLORS[label % len(COLORS)]


class Picture(Figure):
    """A Matplotlib figure that Jupyter shows by itself, whether or not pyplot is in use."""

    def savefig(self, fname: Any, **options: Any) -> None:
        """Save as Matplotlib does, but with the dots an inch that were set after it was made."""
        super().savefig(fname, **({"dpi": self.dpi} | options))

    def pixels(self, dpi: float) -> np.ndarray:
        """Return the picture as it looks with so many dots an inch, (h, w, 4) bytes."""
        before, self.dpi = self.dpi, dpi
        try:
            canvas = FigureCanvasAgg(self)
            canvas.draw()
        finally:
            self.dpi = before
        return np.asarray(canvas.buffer_rgba())

    def _repr_png_(self) -> tuple[bytes, dict[str, Any]]:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=144)
        # Twice as many pixels as the page is wide on the screen, for sharp letters and lines.
        width = int(72 * self.get_figwidth() * 1.15)
        return file.getvalue(), {"width": width, "alt": self.in_words()}

    def in_words(self) -> str:
        """Return the heading, what stands below it, and the panels' titles, for who cannot see."""
        texts = [text.get_text() for text in self.texts[:2]]
        texts += [ax.get_title("left") or ax.get_title() for ax in self.axes]
        lines = [" ".join(text.split()).rstrip(".") for text in dict.fromkeys(texts) if text]
        ended = [line if line.endswith("?") else line + "." for line in lines]
        return " ".join(ended).removesuffix(".") or "Images side by side"


def write_png(file: Any, pixels: np.ndarray, dpi: float, notes: dict[str, str]) -> None:
    """Write pixels (h, w, 4) as a PNG of half the bytes that Matplotlib's has, or less.

    Red, green and blue have 64 tones each, at most 2 of 255 from what they were; where there are
    then no more than 256 colours, a pixel is one byte.
    """
    image = Image.fromarray(pixels).convert("RGB").point(TONES)
    if colours := image.getcolors(256):
        palette = np.array([colour for _, colour in colours], np.uint8)  # (n, 3)
        places = np.zeros(2**18, np.uint8)  # of each colour, by six bits of red, green and blue
        places[_six_bits_each(palette)] = np.arange(len(palette))
        image = Image.fromarray(places[_six_bits_each(np.asarray(image))])
        image.putpalette(palette.tobytes())
    words = PngInfo()
    for name, text in notes.items():
        words.add_text(name, text)
    image.save(file, "PNG", dpi=(dpi, dpi), pnginfo=words, compress_level=4)


def _six_bits_each(colours: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis((colours >> 2).astype(np.int32), -1, 0)
    return red << 12 | green << 6 | blue


class Ink(AxesImage):
    """Grey pixels (H, W) in [0, 1] that fill their axes, enlarged smoothly by Pillow, which does it
    in a tenth of Matplotlib's time."""

    def make_image(self, renderer: Any, magnification: float = 1.0, unsampled: bool = False) -> Any:
        """Return pixels (h, w, 4), the place of their lower left corner, and no transformation."""
        x, y = np.rint(self.axes.get_window_extent().get_points().T * magnification).astype(int)
        sheet = Image.fromarray(np.rint(255 * np.asarray(self.get_array())).astype(np.uint8))
        size = max(1, x[1] - x[0]), max(1, y[1] - y[0])
        sheet = sheet.filter(SOFT).resize(size, Image.Resampling.BICUBIC).convert("RGBA")
        return np.array(sheet)[::-1], x[0] / magnification, y[0] / magnification, None


def page(width: float, height: float, title: str, subtitle: str = "") -> Picture:
    """Return an empty page of width × height inches with a heading in its top left corner."""
    fig = Picture(figsize=(width, height))
    lines = textwrap.fill(subtitle, int((width - 2 * MARGIN) / 0.072))  # inches a letter
    heading = {"x": MARGIN / width, "va": "top"}
    fig.text(y=1 - 0.24 / height, s=title, size=13, weight="bold", **heading)
    fig.text(y=1 - 0.52 / height, s=lines, size=9, color=GREY, **heading)
    return fig


def panel(fig: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Return axes at a distance in inches from the page's left and top."""
    W, H = fig.get_size_inches()
    return fig.add_axes((left / W, 1 - (top + height) / H, width / W, height / H))


def bare(ax: Axes) -> Axes:
    """Take ticks and frame off an axes."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    return ax


def plain(name: str) -> str:
    """Return a name out of somebody's data such that its dollar signs start no formula."""
    return name.replace("$", r"\$")


def short(name: str, most: int) -> str:
    """Return a name of at most so many letters, without its middle if it is longer."""
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[: most - 1 - half]}…{name[-half:]}"


def side_labels(ax: Axes, positions: list[float], texts: list[str], **look: Any) -> None:
    """Write a text to the left of each row of an axes that shows an image."""
    ax.set_yticks(positions, texts)
    ax.tick_params(axis="y", length=0, pad=5, labelcolor=INK, **look)


def top_labels(ax: Axes, positions: list[float], texts: list[str], **look: Any) -> None:
    """Write a text above each column of an axes that shows an image."""
    ax.xaxis.tick_top()
    ax.set_xticks(positions, texts)
    ax.tick_params(axis="x", length=0, pad=3, **look)


def is_ink(images: np.ndarray, image_shape: tuple[int, ...]) -> bool:
    """Whether images (N, D) are grey on a black ground, as digits are, to be drawn as ink."""
    if len(image_shape) != 2:
        return False
    x = np.asarray(images).reshape(-1, *image_shape)
    edges = [x[:, 0], x[:, -1], x[:, :, 0], x[:, :, -1]]
    return bool(np.median(np.concatenate([edge.ravel() for edge in edges])) < 0.1)


def as_pixels(images: np.ndarray, image_shape: tuple[int, ...], ink: bool) -> np.ndarray:
    """Return images (N, D) in [0, 1] as (N, H, W, 1 or 3) with 1 for white, inverted if ink."""
    H, W, *channels = image_shape
    x = np.clip(np.asarray(images, dtype=np.float32), 0, 1)
    return (1 - x if ink else x).reshape(-1, H, W, *(channels or [1]))


def tile(pixels: np.ndarray, columns: int, gap: int = 0) -> np.ndarray:
    """Join pixels (N, H, W, C) into one array, row by row, white between and after them."""
    N, H, W, C = pixels.shape
    rows = -(-N // columns)
    sheet = np.ones((rows * columns, H + gap, W + gap, C), dtype=np.float32)
    sheet[:N, :H, :W] = pixels
    sheet = sheet.reshape(rows, columns, H + gap, W + gap, C).swapaxes(1, 2)
    sheet = sheet.reshape(rows * (H + gap), columns * (W + gap), C)
    return sheet[: sheet.shape[0] - gap, : sheet.shape[1] - gap]


def gap_for(image_shape: tuple[int, ...]) -> int:
    """Pixels between images that stand beside each other."""
    return max(1, image_shape[1] // 16)


def seam_for(image_shape: tuple[int, ...], ink: bool) -> int:
    """Pixels between the images of one seamless picture: small ones of ink need a margin."""
    return int(ink and image_shape[1] <= 16)


def show_pixels(
    ax: Axes, sheet: np.ndarray, ink: bool, extent: tuple[float, ...] | None = None
) -> None:
    """Draw a sheet (H, W, 1 or 3) of pixels in [0, 1] on an axes; ink is enlarged smoothly."""
    if ink:
        image = Ink(ax, cmap="gray", extent=extent)
        image.set(data=sheet[:, :, 0], clim=(0, 1), clip_path=ax.patch)
        image.set_extent(image.get_extent())
        ax.add_image(image)
        return
    grey = {"cmap": "gray", "vmin": 0, "vmax": 1} if sheet.shape[2] == 1 else {}
    ax.imshow(sheet[:, :, 0] if grey else sheet, extent=extent, aspect="auto", **grey)


def own_pixels(fig: Figure, ax: Axes, sheet: np.ndarray) -> None:
    """Let a figure be saved with so many dots an inch that a sheet's pixels all have their own, as
    far as the page then has no more than `MAX_PIXELS`."""
    W, H = fig.get_size_inches()
    dots = np.ceil(sheet.shape[1] / (ax.get_position().width * W))
    most = (MAX_PIXELS / (W * H)) ** 0.5
    fig.set_dpi(max(fig.dpi, float(min(dots, most))))


def check_sheet(n: int, image_shape: tuple[int, ...], each: int = 1) -> None:
    """Raise ValueError where n images, `each` of them so many times, have more pixels than a
    picture that viewers open."""
    H, W = image_shape[:2]
    most = MAX_PIXELS // (each * H * W)
    if n > most:
        what = f"images of {H} × {W} pixels are too"
        found = f"{n:,} {what} many" if most else f"{what} large"
        remedy = f"take at most {most:,}, or write" if most else "write"
        raise ValueError(f"{found} for one picture: {remedy} them to an .npy file")


def columns_for(n: int, image_shape: tuple[int, ...]) -> int:
    """Return the columns that give n images a sheet about 1.7 times as wide as high."""
    H, W = image_shape[:2]
    return max(1, min(n, round((n * 1.7 * H / W) ** 0.5)))
