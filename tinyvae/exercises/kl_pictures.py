"""The two pictures of notebook 5: what the KL adds up, and where its gradient pulls."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from tinyvae.core.latent import kl, kl_backward
from tinyvae.exercises import judge
from tinyvae.figures.picture import (
    ACCENT,
    DENSITY,
    GREY,
    INK,
    MARGIN,
    bare,
    page,
    panel,
    styled,
)

BLUE = "#7fb2d0"


def _density(z: np.ndarray, mu: float, sigma: float) -> np.ndarray:
    return np.exp(-0.5 * ((z - mu) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))


@styled
def densities(cases: Sequence[tuple[float, float]]) -> Figure:
    """For each (mu, logvar): q and p above, and below the area that is their KL."""
    z = np.linspace(-5.5, 5.5, 551)
    p = _density(z, 0.0, 1.0)
    width, gap = 2.7, 0.35
    title = "What the KL adds up"
    subtitle = (
        "Above: q filled, p = N(0, 1) as a line. Below: q(z) · (log q(z) − log p(z)). The area is "
        "the KL; orange counts negative."
    )
    fig = page(2 * MARGIN + len(cases) * (width + gap) - gap, 4.35, title, subtitle)
    for i, (mu, logvar) in enumerate(cases):
        left = MARGIN + i * (width + gap)
        q = _density(z, mu, np.exp(0.5 * logvar))
        ax = bare(panel(fig, left, 1.2, width, 1.2))
        ax.fill_between(z, q, color=BLUE, lw=0)
        ax.plot(z, p, color=INK, lw=1.1)
        ax.set(xlim=(-5.5, 5.5), ylim=(0, 0.95))
        value = float(kl(np.array(mu), np.array(logvar)))
        if i == 0:
            ax.set_ylabel("density", size=7.5, color=GREY)
        name = f"mu = {mu:g}, σ = {np.exp(0.5 * logvar):.2g}: {value:.2f} nats"
        ax.set_title(name.replace("-", "−"), pad=5)
        part = q * (-0.5 * logvar - 0.5 * (z - mu) ** 2 / np.exp(logvar) + 0.5 * z * z)
        ax = panel(fig, left, 2.55, width, 1.2)
        for side, color in ((np.maximum(part, 0), BLUE), (np.minimum(part, 0), "#ee8e4a")):
            ax.fill_between(z, side, color=color, lw=0)
        ax.axhline(0, color=GREY, lw=0.7)
        ax.set(xlim=(-5.5, 5.5), ylim=(-0.35, 1.4), yticks=[], xticks=range(-4, 5, 2), xlabel="z")
        if i == 0:
            ax.set_ylabel("q · difference", size=7.5, color=GREY)
        ax.spines[:].set_visible(False)
    return fig


@styled
def pull(path: np.ndarray | None = None) -> Figure:
    """The KL over the plane of mu and logvar, arrows downhill, and a path (T, 2) over it."""
    mu, logvar = np.meshgrid(np.linspace(-3, 3, 121), np.linspace(-4, 2, 121))
    subtitle = "Lines of equal KL, in nats; arrows show the way down."
    fig = page(6.2, 5.6, "Where the KL pulls mu and logvar", subtitle)
    ax = panel(fig, 0.75, 0.95, 5.0, 4.05)
    levels = [0.05, 0.2, 0.5, 1, 2, 3, 4, 6]
    lines = ax.contour(mu, logvar, kl(mu, logvar), levels, cmap=DENSITY, vmin=-3, vmax=6)
    between = [(-0.3, 0.2), (-0.6, 0.2)]  # places for the numbers, between the arrows
    between += [(-x, -1.0) for x in (0.8, 1.28, 1.91, 2.37, 2.76)]
    ax.clabel(lines, fmt="%g", fontsize=8, manual=between)
    mu, logvar = np.meshgrid(np.linspace(-2.7, 2.7, 10), np.linspace(-3.7, 1.7, 10))
    dmu, dlogvar = kl_backward(1.0, mu, logvar)
    ax.quiver(mu, logvar, -dmu, -dlogvar, color=GREY, width=0.004, scale=28)
    if path is not None:
        path = judge.as_array("path", path)
        ax.plot(*path.T, color=ACCENT, lw=1.6, marker="o", ms=3)
    ax.plot(0, 0, "o", color=INK, ms=6)
    ax.set(xlim=(-3, 3), ylim=(-4, 2), xlabel="mu", ylabel="logvar")
    return fig
