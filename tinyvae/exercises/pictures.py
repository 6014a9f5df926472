"""Pictures of notebooks 6, 8, 9 and 10."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tinyvae import evaluate, figures
from tinyvae.core.latent import reparameterize
from tinyvae.figures.picture import ACCENT, COLORS, GREY, INK, MARGIN, Picture, page, panel, styled


@styled
def overfitting(histories: Mapping[str, Sequence[dict]]) -> Picture:
    """Draw the reconstruction of trainings by epoch, on training and on test pictures."""
    fig = page(8.4, 3.9, "Learning, and learning by heart", "Reconstruction in nats, by epoch.")
    last = []
    for i, (name, history) in enumerate(histories.items()):
        ax = panel(fig, MARGIN + 0.4 + i * 4.05, 1.05, 3.3, 2.2)
        epochs = [row["epoch"] for row in history]
        for key, color, words in (
            ("reconstruction", INK, "training pictures"),
            ("val_reconstruction", ACCENT, "test pictures"),
        ):
            values = [row[key] for row in history]
            ax.plot(epochs, values, color=color, lw=1.3, label=words)
            last += values[9:]
        ax.set(xlabel="epoch")
        ax.set_title(name, pad=8)
        ax.grid(axis="y", color="#eceef1", lw=0.8)
        ax.legend(labelcolor="linecolor", handlelength=1.4)
    for ax in fig.axes:
        ax.set_ylim(min(last) - 1, max(last) + 1)
    return fig


@styled
def there_and_back(columns: Sequence[tuple[str, np.ndarray, np.ndarray | None]]) -> Picture:
    """Draw a small network: in each unit its value, and below it the slope of the loss along it.

    `columns` has for each layer its name, the values (n,) and their slopes (n,), or None.
    """
    subtitle = "In each circle the value from the forward pass; below it, the slope of the loss."
    fig = page(9.4, 4.3, "One step, there and back", subtitle)
    ax = panel(fig, MARGIN, 0.95, 8.7, 3.05)
    places = [
        [(1.5 * i, 1.15 * (len(values) - 1) / 2 - 1.15 * j) for j in range(len(values))]
        for i, (_, values, _) in enumerate(columns)
    ]
    for left, right in pairwise(places):
        for x0, y0 in left:
            for x1, y1 in right:
                ax.plot((x0, x1), (y0, y1), color="#dfe3e8", lw=1, zorder=1)
    for (name, values, slopes), spots in zip(columns, places, strict=True):
        ax.text(spots[0][0], 1.85, name, ha="center", size=9.5, weight="bold")
        for k, (x, y) in enumerate(spots):
            ax.scatter([x], [y], s=900, color="white", edgecolor=INK, lw=1.1, zorder=2)
            text = f"{values[k]:.2f}".replace("-", "−")
            ax.text(x, y, text, ha="center", va="center", size=8.5, zorder=3)
            if slopes is not None:
                text = f"{slopes[k]:+.2f}".replace("-", "−")
                ax.text(x, y - 0.47, text, ha="center", va="center", size=8.5, color=ACCENT)
    ax.set(xlim=(-0.6, 1.5 * (len(columns) - 1) + 0.6), ylim=(-1.75, 2.15), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    return fig


def planes(
    models: Mapping[str, Any], x: np.ndarray, labels: np.ndarray, image_shape: tuple[int, ...]
) -> Picture:
    """Draw the latent planes of several models of L = 2, with one draw of z for each of x (N, D).

    `models` goes from a name to a model; the columns state what z tells, the KL.
    """
    eps = np.random.default_rng(0).standard_normal((len(x), 2))
    grid = figures.plane_grid(figures.NEAR_PRIOR, 14)
    columns = []
    for name, model in models.items():
        z = reparameterize(*model.encode(x), eps)  # (N, 2)
        remark = f"a KL of {evaluate.elbo(model, x).kl:.1f} nats"
        columns.append((name, remark, z, model.decode(grid), None))
    title = "What beta does to the latent plane"
    subtitle = "Above: draws of z for the test images, coloured by digit, on the prior's circles."
    return figures.three_panels(columns, labels, image_shape, title, subtitle)


@styled
def kl_by_epoch(histories: Mapping[str, Sequence[dict]]) -> Picture:
    """Draw the KL of several trainings by epoch, each under its name, as far as 4 nats."""
    fig = page(8.4, 3.7, "The KL in three trainings", "Nats per picture, by epoch.")
    ax = panel(fig, MARGIN + 0.35, 0.95, 5.6, 2.1)
    at = -1.0
    by_end = sorted(histories.items(), key=lambda item: item[1][-1]["kl"])
    for color, (name, history) in zip(COLORS, by_end, strict=False):
        epochs, kl = zip(*((row["epoch"], row["kl"]) for row in history), strict=True)
        ax.plot(epochs, kl, color=color, lw=1.8)
        at = max(kl[-1], at + 0.32)  # names that would overlap move up
        ax.text(epochs[-1] + 0.25, at, name, color=color, va="center", size=9)
    ax.set(xlabel="epoch", ylim=(-0.1, 4))
    ax.grid(axis="y", color="#eceef1", lw=0.8)
    return fig


@styled
def two_ways(prior: np.ndarray, posterior: np.ndarray) -> Picture:
    """Draw log p(x|z) of one picture for draws of z (S,) from the prior and from q(z|x)."""
    title = "How well does a drawn code explain one picture?"
    fig = page(8.4, 3.5, title, "log p(x|z) in nats, for 1,000 draws of z each.")
    ax = panel(fig, MARGIN, 0.95, 7.6, 1.9)
    bins = np.linspace(min(prior.min(), posterior.min()), posterior.max(), 70)
    for values, color, name in ((prior, GREY, "z ~ p(z)"), (posterior, ACCENT, "z ~ q(z|x)")):
        heights = ax.hist(values, bins, color=color, alpha=0.7)[0]
        place = (float(np.median(values)), heights.max() + 25)
        ax.annotate(name, place, color=color, ha="center", size=9.5)
    ax.set(yticks=[], xlabel="nats")
    ax.spines["left"].set_visible(False)
    ax.margins(y=0.15)
    return fig


@styled
def three_values(exact: np.ndarray, estimate: np.ndarray, bound: np.ndarray) -> Picture:
    """Draw how far the importance-sampled log p(x) and the ELBO are from the exact one, (N,)."""
    title = "The bound, the estimate and the truth"
    fig = page(
        8.4,
        3.7,
        title,
        f"Difference from the exact log p(x) in nats, for {len(exact)} examples.",
    )
    ax = panel(fig, MARGIN + 0.4, 1.0, 5.9, 2.2)
    n = np.arange(len(exact))
    ax.axhline(0, color=INK, lw=1.2)
    ax.vlines(n, bound - exact, 0, color=GREY, lw=0.8, alpha=0.4)
    ax.plot(n, bound - exact, "v", color=GREY, ms=4, label="ELBO")
    ax.plot(n, estimate - exact, "o", color=ACCENT, ms=3.2, label="importance sampling")
    ax.set(xticks=[], xlabel="example")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig
