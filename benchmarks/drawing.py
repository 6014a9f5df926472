"""The look of the benchmarks' figures: that of tinyvae's own, and one colour for each peer."""

from collections.abc import Sequence
from textwrap import fill

from harness import NAMES, machine_line
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from tinyvae.figures.picture import COLORS, GREY, INK, MARGIN, PALE, STYLE, page, panel

__all__ = ["COLOURS", "GREY", "INK", "MARGIN", "PALE"]
__all__ += ["dots", "footer", "house", "legend", "number", "page", "panel", "ticks"]
COLOURS = {
    "tinyvae": COLORS[0], "by hand": "#7fb3d5", "torch": COLORS[1], "torch.compile": COLORS[3],
    "jax": COLORS[4],
    "cuda-graph": COLORS[5], "jax-loop": COLORS[6], "numpy": COLORS[2], "floor": "#9aa1ad",
}  # fmt: skip
house = style.context(["default", STYLE])  # decorates each function that draws


def number(value: float) -> str:
    """Return a number with three digits at most, as a person would write it."""
    return f"{value:,.0f}" if value >= 99.95 else f"{value:.3g}"


def ticks(axis, values: Sequence[float], text=number) -> None:
    """Put these ticks alone on a logarithmic axis."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: text(value)))
    axis.set_ticks(list(values))
    axis.set_minor_locator(NullLocator())


def legend(fig: Figure, names: Sequence[str], left: float, top: float) -> None:
    """Name the peers' colours in a row, at inches from the page's left and top."""
    W, H = fig.get_size_inches()
    dot = {"marker": "o", "ms": 5.5, "ls": ""}
    keys = [Line2D([], [], color=COLOURS[name], label=NAMES[name], **dot) for name in names]
    fig.legend(
        handles=keys, loc="upper left", bbox_to_anchor=(left / W, 1 - top / H), ncols=len(keys),
        handletextpad=0.1, columnspacing=1.3, borderpad=0, borderaxespad=0, labelcolor="linecolor",
    )  # fmt: skip


def dots(ax: Axes, rows: Sequence[dict[str, tuple[float, float, float]]], line: str) -> None:
    """Draw each row's peers as medians with their quartiles, about a line of some colour at 1."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    for i, row in enumerate(rows):
        ax.axhspan(i - 0.38, i + 0.38, color="#f4f5f7", lw=0, zorder=0)
        for name, (low, middle, high) in row.items():
            y = i + 0.11 * (names.index(name) - (len(names) - 1) / 2)
            ax.plot([low, high], [y, y], color=COLOURS[name], lw=1.8, alpha=0.55)
            ax.plot(middle, y, "o", color=COLOURS[name], ms=6, mec="white", mew=0.8)
    ax.axvline(1, color=line, lw=1.4, zorder=1)
    values = [1.0, *(value for row in rows for spread in row.values() for value in spread)]
    ax.set(xscale="log", ylim=(len(rows) - 0.5, -0.5), yticks=[])
    ax.set_xlim(min(values) / 1.12, max(values) * 1.12)
    steps = (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.4, 2, 3, 4, 6, 10, 20, 50)
    low, high = ax.get_xlim()
    ticks(ax.xaxis, [s for s in steps if low <= s <= high], lambda v: f"{v:g}×")
    ax.spines["left"].set_visible(False)


def footer(fig: Figure, result: dict, note: str = "") -> None:
    """Write small what the numbers belong to."""
    W, H = fig.get_size_inches()
    text = fill(f"{note} {machine_line(result)}".strip(), int(22 * (W - 2 * MARGIN)))
    fig.text(MARGIN / W, 0.13 / H, text, size=6.5, color=GREY, va="bottom")
