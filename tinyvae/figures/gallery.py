"""Draw the figures of a model, its data and its history: compute the arrays, call `figures`, and
write files. Data sets larger than memory are seen through at most a few thousand of their rows.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinyvae import checks, figures
from tinyvae.evaluate.disentangle import gap_of_dataset
from tinyvae.evaluate.evaluation import KL_ROWS
from tinyvae.figures.picture import Picture, plain, write_png
from tinyvae.figures.view import View
from tinyvae.train.files import holds, make_folder, write_atomically

MAX_DIMENSIONS = 16  # latent dimensions that are traversed


def _curves(view: View):
    return figures.curves(view.history)


def _reconstructions(view: View):
    classes = 1 if view.labels is None else len(np.unique(view.labels[view.examples]))
    columns = 10 // classes * classes  # so that each column shows one label
    places = view.examples[: 3 * columns if view.shape else 6]
    x, x_hat = view.x(places), view.decode(view.codes[0][places], view.labels_of(places))
    if view.shape is None:
        return figures.row_reconstructions(view.rows_of(x), view.rows_of(x_hat), view.features)
    return figures.reconstructions(view.images(x), view.images(x_hat), view.shape, columns)


def _samples(view: View):
    C = view.model.n_classes
    if view.shape is None:
        places = np.linspace(0, len(view.rows) - 1, min(60, len(view.rows))).astype(int)
        labels = view.labels[places] if C else None
        new = view.model.sample(len(places), seed=0, noise=True, labels=labels)
        new = view.model.backend.to_numpy(new)
        return figures.row_samples(view.rows_of(new), view.rows_of(view.x(places)), view.features)
    rng, title = np.random.default_rng(0), "Samples from the prior"
    if not C:
        images = view.decoded(rng.standard_normal((128, view.L)))
        subtitle = "Images that nobody drew: z ~ N(0, I), decoded."
        return figures.image_grid(images, view.shape, 16, title=title, subtitle=subtitle)
    rows = min(C, 12)
    z = np.tile(rng.standard_normal((14, view.L)), (rows, 1))
    images = view.decoded(z, np.repeat(np.arange(rows), 14))
    names = [view.name_of(c) for c in range(rows)]
    subtitle = "One label a row, one z ~ N(0, I) a column: the label says what, z says how."
    return figures.image_grid(images, view.shape, 14, title, subtitle, names)


def _plane(view: View):
    mu, sigma = view.codes
    pair = view.order[:2]
    z = shown = mu[:, pair]
    ellipses = None
    if view.is_vae:
        few = _typical(view, z)
        centres, reach = mu[few][:, pair], sigma[few][:, pair]
        ellipses = (centres, reach, view.labels_of(few))
        shown = np.concatenate([z, centres - reach, centres + reach])
    extent = figures.square(shown, centred=view.is_vae)
    decoded, right = None, "What each place decodes to"
    if view.shape:
        grid = figures.plane_grid(extent, _cells(view, 22))
        full = np.tile(np.zeros(view.L) if view.is_vae else mu.mean(axis=0), (len(grid), 1))
        full[:, pair] = grid
        decoded = view.decoded(full)
        if view.model.n_classes:
            right += f", with the label {plain(view.name_of(view.default_label))}"
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


def _cells(view: View, most: int) -> int:
    """Return how many images go along a side of a grid: fewer where they are large."""
    return max(6, min(most, 1400 // max(view.shape[:2])))


def _typical(view: View, z: np.ndarray) -> np.ndarray:
    """Return a few examples, away from the medians where labels are written."""
    places = z[view.examples]
    if view.labels is None:
        return view.one_each(np.arange(len(places)))
    medians = [np.median(z[view.labels == c], axis=0) for c in np.unique(view.labels)]
    distance = np.linalg.norm(places[:, None] - np.array(medians), axis=2)
    return view.one_each(-np.minimum(distance.min(axis=1), 0.4))


def _manifold(view: View):
    title = "The decoded prior"
    if view.model.n_classes:
        title += f", with the label {plain(view.name_of(view.default_label))}"
    images = view.decoded(figures.quantile_grid(_cells(view, 20)))
    return figures.manifold(images, view.shape, title=title)


def _traversals(view: View):
    mu, _ = view.codes
    dimensions = view.order[:MAX_DIMENSIONS]
    place = int(view.examples[np.argmin((mu[view.examples] ** 2).sum(axis=1))])  # most typical
    steps = np.linspace(-3, 3, 11 if view.shape else 9)
    base = mu[place] if view.shape or not view.is_vae else np.zeros(view.L)
    z = np.tile(base, (len(dimensions), len(steps), 1))  # (K, S, L)
    for row, j in enumerate(dimensions):
        # An autoencoder's codes have a scale of their own: its steps are standard deviations.
        z[row, :, j] = steps if view.is_vae else mu[:, j].mean() + steps * mu[:, j].std()
    label = view.labels_of(place)
    measure = "{:.2f} nats" if view.is_vae else "variance {:.2g}"
    names = [f"$z_{{{j + 1}}}$  {measure.format(view.kl[j])}" for j in dimensions]
    if view.shape is None:
        rows = view.decode(z.reshape(-1, view.L), label).reshape(*z.shape[:2], -1)  # (K, S, D)
        return figures.row_traversals(view.rows_of(rows), steps, names, view.features)
    which = f"the {len(names)} of {view.L} that carry most" if len(names) < view.L else "all"
    subtitle = (
        "Each row moves one latent dimension of the image's code and leaves the others; "
        f"{which}, sorted by what they carry."
    )
    if not view.is_vae:
        subtitle += " Steps are standard deviations of the codes."
    original = view.images(view.x([place]))[0]
    images = view.decoded(z, label)
    return figures.traversals(images, steps, names, view.shape, original, subtitle=subtitle)


def _posterior(view: View):
    mu, sigma = view.codes
    eps = np.random.default_rng(0).standard_normal((60, view.L))

    def draws(place: int, n: int) -> np.ndarray:
        """Decode mu and n draws of one example's posterior, (1 + n, D)."""
        z = mu[place] + sigma[place] * np.concatenate([np.zeros((1, view.L)), eps[:n]])
        return view.decoded(z, view.labels_of(place))

    # Of ten images the one whose draws differ most: differences that an eye can see.
    place = max(view.examples[:10].tolist(), key=lambda i: draws(i, 12).std(axis=0).sum())
    images = draws(place, len(eps))
    original = view.images(view.x([place]))[0]
    return figures.posterior(original, images[0], images[1:], view.shape)


def _interpolations(view: View):
    mu, _ = view.codes
    examples = view.examples
    error = view.x(examples) - view.decode(mu[examples], view.labels_of(examples))
    few = view.one_each((error**2).sum(axis=1))
    if len(few) < 2:
        few = examples[:2]
    first = few[: min(6, len(few) if len(few) > 2 else 1)]
    last = np.roll(few, -3 if len(few) > 6 else -1)[: len(first)]
    t = np.linspace(0, 1, 11)[None, :, None]
    z = (1 - t) * mu[first][:, None] + t * mu[last][:, None]  # (P, S, L)
    labels = None
    if view.labels is not None:
        labels = np.where(t[..., 0] < 0.5, view.labels[first][:, None], view.labels[last][:, None])
        labels = labels.ravel()
    steps = view.decoded(z, labels)
    ends = view.images(view.x(first)), view.images(view.x(last))
    subtitle = "A straight line in z from one image's code to another's, decoded on the way"
    subtitle += "; the label changes halfway." if view.model.n_classes else "."
    return figures.interpolations(ends[0], steps, ends[1], view.shape, subtitle=subtitle)


def _kl(view: View):
    epochs = [row["epoch"] for row in view.history or []]
    if len(epochs) != len(view.kl_history):
        epochs = None
    if len(view.dataset.x_test) <= KL_ROWS:
        return figures.kl_over_training(view.kl_history, epochs)
    rows = f"the first {KL_ROWS:,} rows of the validation data"
    subtitle = f"KL(q(z|x) ‖ N(0, 1)) in nats on {rows}."
    return figures.kl_over_training(view.kl_history, epochs, subtitle=subtitle)


def _aggregate(view: View):
    return figures.aggregate(*view.codes, order=view.order)


def _factors(view: View):
    gap = gap_of_dataset(view.model, view.dataset)
    return figures.factor_figure(gap.matrix, view.dataset.factor_names, gap.score)


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
    "factors": ("data whose factors are known", lambda v: v.dataset.factors_train is not None),
    "two": ("at least 2 examples", lambda v: len(v.rows) > 1),
}

FIGURES = {
    "curves": Entry(_curves, ("history",), "has training settled; does validation turn upwards?"),
    "reconstructions": Entry(_reconstructions, (), "what survives the way through the code z"),
    "samples": Entry(_samples, ("vae",), "would you take these for real data?"),
    "plane": Entry(_plane, ("plane",), "do classes separate, are there holes between them?"),
    "manifold": Entry(_manifold, ("vae", "images", "L = 2"), "no cell should be garbage"),
    "traversals": Entry(_traversals, ("L > 2",), "what each latent dimension has learnt"),
    "posterior": Entry(_posterior, ("vae", "images"), "what the encoder is unsure about"),
    "interpolations": Entry(_interpolations, ("images", "two"), "is every step on the way real?"),
    "kl": Entry(_kl, ("vae", "kl"), "which dimensions are in use, and since when"),
    "aggregate": Entry(_aggregate, ("vae",), "all posteriors together should match N(0, I)"),
    "factors": Entry(_factors, ("factors",), "does each factor have a dimension of its own?"),
}
NAMES = tuple(FIGURES)
NOTES = {"png": "Description", "svg": "Description", "pdf": "Subject"}  # where a file has words
DESCRIPTIONS = {name: entry.look_at for name, entry in FIGURES.items()}


def figure(
    name: str, model: Any, dataset: Any, history: Any = None, kl_history: Any = None
) -> Picture:
    """Return one figure, for a notebook; arguments as in `draw`.

    Raises ValueError where the name is unknown, or the figure does not apply to this model.
    """
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
    keep: bool = False,
) -> list[Path]:
    """Write the figures of a model into a folder, and return their paths.

    Parameters
    ----------
    model : VAE or Autoencoder
    dataset : tinyvae.data.dataset.Dataset
        Its test rows are what the figures show.
    history : list of dicts
        One per epoch, as `fit` returns them.
    kl_history : (epochs, L) array
        KL of each latent dimension on the validation data.
    only : name or names out of `NAMES`
        All that apply to the model unless given.
    dpi, format
        Resolution, and "png", "svg", "pdf" or another format that Matplotlib writes.
    keep : bool
        Draw only what the folder lacks, or has of other weights, as its pictures tell.

    Raises
    ------
    ValueError
        A name is unknown, or a figure that was asked for does not apply.
    """
    checks.choice("format", format, Picture().canvas.get_supported_filetypes())
    checks.number("dpi", dpi, above=True)
    view, folder = View(model, dataset, history, kl_history), Path(folder)
    names = [name for name in NAMES if not _missing(name, view)]
    if only is not None:
        names = [only] if isinstance(only, str) else list(only)
        for name in names:
            _check(name, view)
    paths = {name: folder / f"{name}.{format}" for name in names}
    if only is None and keep:
        paths = {n: path for n, path in paths.items() if not holds(path, model.fingerprint)}
    make_folder(folder)
    note = {NOTES[format]: f"shows the model {model.fingerprint}"} if format in NOTES else {}
    with ThreadPoolExecutor(1) as writer:  # a file is packed and written while the next is drawn
        written = []
        for name, path in paths.items():
            picture = FIGURES[name].draw(view)
            if format == "png":
                write = partial(write_png, pixels=picture.pixels(dpi), dpi=dpi, notes=note)
                written.append(writer.submit(write_atomically, path, write))
            else:
                how = {"format": format, "dpi": dpi, "metadata": note or None}
                write_atomically(path, partial(picture.savefig, **how))
        for file in written:
            file.result()
    return list(paths.values())


def _missing(name: str, view: View) -> str:
    """Return what a figure needs and this view lacks, in words, or ""."""
    needs = (NEEDS[need] for need in FIGURES[name].needs)
    return next((words for words, holds in needs if not holds(view)), "")


def _check(name: str, view: View) -> None:
    """Raise ValueError where the name is unknown, or the figure does not apply."""
    checks.choice("figure", name, NAMES)
    if missing := _missing(name, view):
        raise ValueError(f"figure {name!r} does not apply here: it needs {missing}")
