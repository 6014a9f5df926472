"""From a model, its data and its history to figures: computes the arrays, calls `figures`, and
writes files. Data sets larger than memory are seen through at most a few thousand of their rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinyvae import checks
from tinyvae.latent import kl
from tinyvae.model import VAE

MAX_POINTS = 5000  # rows of the data that figures look at
MAX_DIMENSIONS = 16  # latent dimensions that are traversed
BLOCK_VALUES = 2**22  # numbers that one call of the model may hold per array


class View:
    """A model and its data, as the figures want them; each array is computed when first used."""

    def __init__(self, model: Any, dataset: Any, history: Any, kl_history: Any) -> None:
        self.model, self.dataset = model, dataset
        self.history = history
        self.kl_history = None if kl_history is None else np.asarray(kl_history, dtype=float)
        self.L, self.shape = model.latent_dim, dataset.image_shape
        self.is_vae = isinstance(model, VAE)
        N = len(dataset.x_test)
        self.rows = np.unique(np.linspace(0, N - 1, min(N, MAX_POINTS)).astype(int))
        y = dataset.y_test
        self.labels = None if y is None else np.asarray(y)[self.rows]  # (N,)

    def x(self, places: Any) -> np.ndarray:
        """Return examples (n, D) in the model's units; places count within `rows`."""
        return np.asarray(self.dataset.x_test[self.rows[places]])

    def _blocks(self, n: int) -> Iterable[slice]:
        size = max(1, BLOCK_VALUES // max(self.model.n_features, 1024))
        return (slice(start, start + size) for start in range(0, n, size))

    def _conditions(self, labels: np.ndarray | None, part: slice = slice(None)) -> dict:
        return {"labels": labels[part]} if self.model.n_classes else {}

    @cached_property
    def codes(self) -> tuple[np.ndarray, np.ndarray]:
        """mu and sigma (N, L) of all rows; an autoencoder's code has sigma 0."""
        parts = []
        for part in self._blocks(len(self.rows)):
            code = self.model.encode(self.x(part), **self._conditions(self.labels, part))
            mu, logvar = code if self.is_vae else (code, code)
            parts.append([self.model.backend.to_numpy(a).astype(float) for a in (mu, logvar)])
        mu, logvar = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return mu, np.exp(0.5 * logvar) if self.is_vae else np.zeros_like(mu)

    @cached_property
    def kl(self) -> np.ndarray:
        """Mean KL of each latent dimension (L,), or the variance of an autoencoder's codes."""
        mu, sigma = self.codes
        return kl(mu, 2 * np.log(sigma)).mean(axis=0) if self.is_vae else mu.var(axis=0)

    @cached_property
    def order(self) -> list[int]:
        """Latent dimensions, the one that carries most first (in plain order where L = 2)."""
        return [0, 1] if self.L == 2 else np.argsort(-self.kl, kind="stable").tolist()

    def decode(self, z: np.ndarray, labels: Any = None) -> np.ndarray:
        """Return x_hat (n, D) in the model's units; `labels` (n,), or one for all."""
        if self.model.n_classes:
            labels = np.broadcast_to(self.default_label if labels is None else labels, len(z))
        z = z.astype(self.model.dtype)
        parts = [
            self.model.decode(z[part], **self._conditions(labels, part))
            for part in self._blocks(len(z))
        ]
        return np.concatenate([self.model.backend.to_numpy(part) for part in parts])

    def images(self, x: np.ndarray) -> np.ndarray:
        """Return rows (n, D) of the model's units as grey or colour values in [0, 1]."""
        scaling = self.dataset.scaling
        raw = scaling.undo(x)
        low, high = getattr(scaling, "low", None), getattr(scaling, "high", None)
        if low is None or high is None or high <= low or (low >= 0 and high <= 1):
            return raw
        return (raw - low) / (high - low)

    @cached_property
    def examples(self) -> np.ndarray:
        """Places of up to 40 examples, the labels in turn so that columns show one label each."""
        n = min(len(self.rows), 40)
        if self.labels is None:
            return np.linspace(0, len(self.rows) - 1, n).astype(int)
        classes = np.unique(self.labels)[:10]
        found = [np.flatnonzero(self.labels == c) for c in classes]
        turns = [group[turn] for turn in range(n) for group in found if turn < len(group)]
        return np.array(turns[: n // len(classes) * len(classes) or n])

    @property
    def default_label(self) -> int:
        """The label that a conditional model's plane is decoded with: the first example's."""
        return int(self.labels[self.examples[0]])

    def name_of(self, label: int) -> str:
        names = self.dataset.label_names
        return str(names[label]) if names else str(label)

    @property
    def unit(self) -> str:
        return "standardised value" if self.dataset.scaling.kind == "standardize" else "value"


def _curves(view: View):
    from tinyvae import figures

    return figures.curves(view.history)


def _reconstructions(view: View):
    from tinyvae import figures

    places = view.examples[: 30 if view.shape else 6]
    mu = view.codes[0][places]
    labels = None if view.labels is None else view.labels[places]
    x, x_hat = view.x(places), view.decode(mu, labels)
    if view.shape is None:
        return figures.row_reconstructions(x, x_hat, view.dataset.feature_names, view.unit)
    columns = 10
    if view.labels is not None:
        columns = max(1, min(10, len(np.unique(view.labels))))
        columns *= max(1, 10 // columns)
    x, x_hat = view.images(x), view.images(x_hat)
    return figures.reconstructions(x, x_hat, view.shape, columns)


def _samples(view: View):
    from tinyvae import figures

    C = view.model.n_classes
    if view.shape is None:
        places = np.linspace(0, len(view.rows) - 1, min(60, len(view.rows))).astype(int)
        labels = {"labels": view.labels[places]} if C else {}
        new = view.model.sample(len(places), seed=0, noise=True, **labels)
        new = view.model.backend.to_numpy(new)
        return figures.row_samples(new, view.x(places), view.dataset.feature_names, view.unit)
    rng = np.random.default_rng(0)
    title = "Samples from the prior"
    if not C:
        z = rng.standard_normal((128, view.L))
        subtitle = "Images that nobody drew: z ~ N(0, I), decoded."
        images = view.images(view.decode(z))
        return figures.image_grid(images, view.shape, 16, title=title, subtitle=subtitle)
    rows = min(C, 12)
    z = np.tile(rng.standard_normal((14, view.L)), (rows, 1))
    images = view.images(view.decode(z, np.repeat(np.arange(rows), 14)))
    names = [view.name_of(c) for c in range(rows)]
    subtitle = "One label a row, one z ~ N(0, I) a column: the label says what, z says how."
    return figures.image_grid(images, view.shape, 14, title, subtitle, names)


def _plane(view: View):
    from tinyvae import figures
    from tinyvae.figures_latent import plane_grid, square

    mu, sigma = view.codes
    pair = view.order[:2]
    z, extent = mu[:, pair], square(mu[:, pair], centred=view.is_vae)
    ellipses = None
    if view.is_vae:
        few = view.examples[:20]
        labels = None if view.labels is None else view.labels[few]
        ellipses = (mu[few][:, pair], sigma[few][:, pair], labels)
    decoded, right = None, "What each place decodes to"
    if view.shape:
        grid = plane_grid(extent, 22)
        full = np.zeros((len(grid), view.L)) if view.is_vae else np.tile(mu.mean(0), (len(grid), 1))
        full[:, pair] = grid
        decoded = view.images(view.decode(full))
        if view.model.n_classes:
            right += f", with the label {view.name_of(view.default_label)}"
        if view.L > 2:
            right += ", all other dimensions at " + ("0" if view.is_vae else "their mean")
    subtitle = "Codes z of the test data; nothing asks them to fill any shape."
    if view.is_vae:
        subtitle = (
            "Posterior means of the test data on the circles of the prior N(0, I); ellipses are "
            "posteriors, at one standard deviation."
        )
        if view.L > 2:
            subtitle = f"The two of {view.L} dimensions that carry most. " + subtitle
    return figures.plane(
        z, view.labels, view.dataset.label_names, ellipses, decoded, view.shape, extent,
        tuple(pair), view.is_vae, subtitle=subtitle, right_title=right,
    )  # fmt: skip


def _manifold(view: View):
    from tinyvae import figures
    from tinyvae.figures_latent import quantile_grid

    title = "The decoded prior"
    if view.model.n_classes:
        title += f", with the label {view.name_of(view.default_label)}"
    images = view.images(view.decode(quantile_grid(20)))
    return figures.manifold(images, view.shape, title=title)


def _traversals(view: View):
    from tinyvae import figures

    mu, _ = view.codes
    dimensions = view.order[:MAX_DIMENSIONS]
    place = int(view.examples[len(view.examples) // 2])
    steps = np.linspace(-3, 3, 11 if view.shape else 9)
    base = mu[place] if view.shape or not view.is_vae else np.zeros(view.L)
    z = np.tile(base, (len(dimensions), len(steps), 1))  # (K, S, L)
    for row, j in enumerate(dimensions):
        # An autoencoder's codes have a scale of their own: its steps are standard deviations.
        z[row, :, j] = steps if view.is_vae else mu[:, j].mean() + steps * mu[:, j].std()
    label = None if view.labels is None else view.labels[place]
    decoded = view.decode(z.reshape(-1, view.L), label)
    measure = "{:.2f} nats" if view.is_vae else "variance {:.2g}"
    names = [f"$z_{{{j + 1}}}$  {measure.format(view.kl[j])}" for j in dimensions]
    if view.shape is None:
        decoded = decoded.reshape(*z.shape[:2], -1)
        return figures.row_traversals(decoded, steps, names, view.dataset.feature_names, view.unit)
    decoded = view.images(decoded).reshape(*z.shape[:2], -1)
    which = f"the {len(names)} of {view.L} that carry most" if len(names) < view.L else "all"
    subtitle = (
        "Each row moves one latent dimension of the image's code and leaves the others; "
        f"{which}, sorted by what they carry."
    )
    original = view.images(view.x(slice(place, place + 1)))[0]
    return figures.traversals(decoded, steps, names, view.shape, original, subtitle=subtitle)


def _posterior(view: View):
    from tinyvae import figures

    mu, sigma = view.codes
    # The least certain of ten images: its draws differ enough to be told apart by eye.
    few = view.examples[:10]
    place = int(few[np.argmax(np.log(sigma[few]).sum(axis=1))])
    eps = np.random.default_rng(0).standard_normal((60, view.L))
    z = np.concatenate([mu[None, place], mu[place] + sigma[place] * eps])
    images = view.images(view.decode(z, None if view.labels is None else view.labels[place]))
    original = view.images(view.x(slice(place, place + 1)))[0]
    return figures.posterior(original, images[0], images[1:], view.shape)


def _interpolations(view: View):
    from tinyvae import figures

    mu, _ = view.codes
    few = view.examples
    pairs = min(6, len(few) // 2)
    first = few[:pairs]
    last = few[(np.arange(pairs) + max(1, len(few) // 2 - 1)) % len(few)]
    if view.labels is not None:
        last = np.roll(few[: max(10, 2 * pairs)], -3)[:pairs]
    t = np.linspace(0, 1, 11)[None, :, None]
    z = (1 - t) * mu[first][:, None] + t * mu[last][:, None]  # (P, S, L)
    labels = None
    if view.labels is not None:
        labels = np.where(t[..., 0] < 0.5, view.labels[first][:, None], view.labels[last][:, None])
        labels = labels.ravel()
    steps = view.images(view.decode(z.reshape(-1, view.L), labels)).reshape(*z.shape[:2], -1)
    ends = view.images(view.x(first)), view.images(view.x(last))
    return figures.interpolations(ends[0], steps, ends[1], view.shape)


def _kl(view: View):
    from tinyvae import figures

    epochs = [row["epoch"] for row in view.history] if view.history else None
    if epochs and len(epochs) != len(view.kl_history):
        epochs = None
    return figures.kl_over_training(view.kl_history, epochs)


def _aggregate(view: View):
    from tinyvae import figures

    return figures.aggregate(*view.codes, order=view.order)


class Entry(NamedTuple):
    """A figure: how it is drawn, what it needs, and what to look at in it."""

    draw: Callable[[View], Any]
    needs: tuple[str, ...]
    look_at: str


NEEDS = {
    "history": ("a training history", lambda v: bool(v.history)),
    "kl": ("the KL of each dimension over training", lambda v: v.kl_history is not None),
    "images": ("image data", lambda v: v.shape is not None),
    "vae": ("a VAE, as an autoencoder has no prior and no posterior", lambda v: v.is_vae),
    "plane": ("at least 2 latent dimensions", lambda v: v.L > 1),
    "L = 2": ("exactly 2 latent dimensions", lambda v: v.L == 2),
    "L > 2": ("1 latent dimension, or more than 2", lambda v: v.L != 2),
    "two": ("at least 2 examples", lambda v: len(v.rows) > 1),
}

FIGURES = {
    "curves": Entry(_curves, ("history",), "has training settled; does validation turn upwards?"),
    "reconstructions": Entry(_reconstructions, (), "what survives the way through the code z"),
    "samples": Entry(_samples, ("vae",), "would you take these for real data?"),
    "plane": Entry(_plane, ("plane",), "do classes separate, does the prior's disk fill up?"),
    "manifold": Entry(_manifold, ("vae", "images", "L = 2"), "no cell should be garbage"),
    "traversals": Entry(_traversals, ("L > 2",), "what each latent dimension has learnt"),
    "posterior": Entry(_posterior, ("vae", "images"), "what the encoder is unsure about"),
    "interpolations": Entry(_interpolations, ("images", "two"), "is every step on the way real?"),
    "kl": Entry(_kl, ("vae", "kl"), "which dimensions are in use, and since when"),
    "aggregate": Entry(_aggregate, ("vae",), "all posteriors together should match N(0, I)"),
}
NAMES = tuple(FIGURES)
DESCRIPTIONS = {name: entry.look_at for name, entry in FIGURES.items()}


def figure(name: str, model, dataset, history=None, kl_history=None):
    """Return one figure, for a notebook; arguments as in `draw`.

    Raises ValueError where the name is unknown, or the figure does not apply to this model.
    """
    checks.choice("figure", name, NAMES)
    view = View(model, dataset, history, kl_history)
    _check(name, view)
    return FIGURES[name].draw(view)


def draw(
    model: Any,
    dataset: Any,
    folder: str | os.PathLike,
    history: list[dict] | None = None,
    kl_history: np.ndarray | None = None,
    only: str | Iterable[str] | None = None,
    dpi: int = 150,
    format: str = "png",
) -> list[Path]:
    """Write the figures of a model into a folder, and return their paths.

    Parameters
    ----------
    model : VAE or Autoencoder
    dataset : tinyvae.dataset.Dataset
        Its test rows are what the figures show.
    history : list of dicts
        One per epoch, as `fit` returns them.
    kl_history : (epochs, L) array
        KL of each latent dimension on the validation data.
    only : name or names out of `NAMES`
        All that apply to the model unless given.
    dpi, format
        Resolution, and "png", "svg", "pdf" or another format that Matplotlib writes.

    Raises
    ------
    ValueError
        A name is unknown, or a figure that was asked for does not apply.
    """
    from tinyvae.picture import Picture

    checks.choice("format", format, Picture().canvas.get_supported_filetypes())
    checks.number("dpi", dpi, above=True)
    view = View(model, dataset, history, kl_history)
    if only is None:
        names = [name for name in NAMES if _missing(name, view) is None]
    else:
        names = [only] if isinstance(only, str) else list(only)
        for name in names:
            checks.choice("figure", name, NAMES)
            _check(name, view)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return [_write(FIGURES[n].draw(view), folder / f"{n}.{format}", dpi, format) for n in names]


def _missing(name: str, view: View) -> str | None:
    """Return what a figure needs and this view lacks, in words, or None."""
    for need in FIGURES[name].needs:
        words, holds = NEEDS[need]
        if not holds(view):
            return words
    return None


def _check(name: str, view: View) -> None:
    missing = _missing(name, view)
    if missing:
        raise ValueError(f"figure {name!r} does not apply here: it needs {missing}")


def _write(fig: Any, path: Path, dpi: int, format: str) -> Path:
    """Write a figure under another name first: whoever finds the file finds all of it."""
    part = path.with_name(path.name + ".part")
    try:
        fig.savefig(part, dpi=dpi, format=format)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path
