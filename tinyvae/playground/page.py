"""Assemble the playground, data sets as deflated bytes, style and scripts in one text; write it."""

import math
import shlex
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyvae import __version__, checks
from tinyvae.core.errors import Argument, InputError
from tinyvae.data.dataset import Dataset, counted
from tinyvae.explore.assemble import MODEL, base64_of, escaped, fill, read, script, to_json
from tinyvae.explore.assemble import write as write
from tinyvae.explore.payload import describe_dataset, describe_model, weights
from tinyvae.models import VAE, Autoencoder
from tinyvae.train.checkpoint import model_config

# Of the explorer's files those that the page needs, then its own, in the order of their needs.
SHARED = (*MODEL, "payload", "theme", "pictures", "drawing", "axes", "controls")
OWN = (
    *("errors", "gradient", "training", "charts", "words", "npz", "knobs"),
    *("field", "machine", "data", "takealong", "screen", "hands", "worker", "app"),
)
LEVELS = 15  # of grey: 4 bits a pixel
MOST_VALUES = 4_500_000  # of x in all: 5,700 images of 28 × 28
MOST_FEATURES = 4096  # of a row: with more, a step takes longer than one cares to watch
MOST_TEST = 500
MAX_BYTES = 16_000_000
MNIST_CREDIT = (
    "The digits are from MNIST (Y. LeCun, C. Cortes, C. J. C. Burges), CC BY-SA 3.0,"
    " stored here in 16 grey levels."
)


def build(
    datasets: Dataset | Sequence[Dataset],
    *,
    model: Autoencoder | None = None,
    title: str = "Watch a VAE learn",
    max_bytes: int = MAX_BYTES,
) -> str:
    """Return the playground as the text of one HTML file.

    Parameters
    ----------
    datasets : Dataset, or a sequence of them
        The first is trained on when the page opens; one can choose among them. Of one with more
        than 4.5 million values, rows are taken that are spread evenly over it.
    model : VAE, optional
        A trained one, of the first data set: the page starts from its weights.
    title : str
        The page's heading.
    max_bytes : int
        The largest file that is accepted.

    Returns
    -------
    The page: HTML that needs no network and no server.

    Raises
    ------
    ValueError
        In one line: the page can't compute a layer or the likelihood of the model, or the data do
        not fit into it.

    Examples
    --------
    >>> page = build(load_dataset("digits"))  # doctest: +SKIP
    >>> write("playground.html", page)  # doctest: +SKIP
    """
    several = [datasets] if isinstance(datasets, Dataset) else list(datasets)
    checks.integer("max_bytes", max_bytes, 1)
    packed = [_pack(dataset) for dataset in several]
    description: dict[str, Any] = {"datasets": [about for about, _ in packed], "defaults": {}}
    arrays = {f"data-{k}": content for k, (_, content) in enumerate(packed)}
    if model is not None:
        description["run"], theta = _run(model, several[0])
        arrays["theta"] = zlib.compress(theta.tobytes(), 9)
    elif not several[0].scaling.unit:
        description["defaults"] = {"sigma": 0.5}
    size = sum(4 * len(content) // 3 for content in arrays.values())
    if size > max_bytes:
        raise ValueError(
            f"the page would have {size / 1e6:.1f} MB, more than the {max_bytes / 1e6:.1f} MB"
            " allowed: fewer hidden units, or smaller images"
        )
    return fill(
        read("page.html", "playground"),
        escaped(_words(several, description, title))
        | {
            "style": read("look.css") + read("page.css", "playground"),
            "script": script(
                {name: read(f"{name}.js") for name in SHARED}
                | {name: read(f"{name}.js", "playground") for name in OWN}
            ),
            "description": to_json(description),
            "data": "\n".join(
                f'<script type="text/plain" id="{name}">{base64_of(content)}</script>'
                for name, content in arrays.items()
            ),
        },
    )


def _pack(dataset: Dataset) -> tuple[dict[str, Any], bytes]:
    """Return what the page says of a data set, and its rows, training rows first, deflated."""
    D = dataset.n_features
    words = ", ".join(v.name for v in dataset.variables or () if v.categories)
    if dataset.missing or words:
        what = f"columns of categories ({words})" if words else "missing cells"
        remedy = "leave them out, or train with python -m tinyvae train"
        raise InputError(
            f"the playground trains on numbers, {dataset.name} has {what}", remedy=remedy
        )
    n_train, n_test = _fitting(dataset)
    parts = (dataset.x_train, dataset.x_test)
    rows = [
        np.linspace(0, len(x) - 1, n).astype(int)  # spread evenly
        for x, n in zip(parts, (n_train, n_test), strict=True)
    ]
    x = np.concatenate(
        [np.asarray(part[i], np.float32) for part, i in zip(parts, rows, strict=True)]
    )  # (N, D)
    labels = None
    if dataset.y_train is not None and dataset.y_test is not None:
        labels = np.concatenate([dataset.y_train[rows[0]], dataset.y_test[rows[1]]])
    unit = bool(dataset.image_shape) and dataset.scaling.unit
    about = describe_dataset(dataset, x[n_train:], labels)
    about |= {
        "name": dataset.name,
        "typed": shlex.quote(str(dataset.options.get("name", dataset.name))),
        "D": D,
        "n_train": n_train,
        "n_test": n_test,
        "labels": None if labels is None else labels.tolist(),
        "unit": unit,
        "levels": LEVELS if unit else None,
        "config": model_config(
            VAE(D, 2, hidden=(2,), output="sigmoid" if unit else "identity", sigma=1.0, beta=1.0)
        )
        | {"tinyvae": __version__},
    }
    raw = np.rint(LEVELS * x).astype(np.uint8) if unit else x.astype("<f4")
    return about, zlib.compress(raw.tobytes(), 9)


def _fitting(dataset: Dataset) -> tuple[int, int]:
    """Return how many training and test rows a page takes."""
    fitting = MOST_VALUES // dataset.n_features
    if dataset.n_features > MOST_FEATURES:
        raise InputError(
            f"{dataset.name}: rows of {dataset.n_features:,} values are too large to train in a"
            f" page, which takes {MOST_FEATURES:,}",
            remedy=["resize the images with ", Argument("image_size", 32)],
        )
    n_test = min(MOST_TEST, len(dataset.x_test), fitting // 10)
    return min(len(dataset.x_train), fitting - n_test), n_test


def left_out(dataset: Dataset) -> str | None:
    """Return a sentence on the rows that the page leaves out, None where it holds all of them."""
    n_train, n_test = _fitting(dataset)
    of_train, of_test = len(dataset.x_train), len(dataset.x_test)
    if (n_train, n_test) == (of_train, of_test):
        return None
    return (
        f"of {dataset.name} the page holds {n_train:,} of {counted(of_train, 'training row')}"
        f" and {n_test:,} of {counted(of_test, 'test row')}, spread evenly"
    )


def _run(model: Autoencoder, dataset: Dataset) -> tuple[dict[str, Any], np.ndarray]:
    """Return what the page builds the model of a run from, and its θ in float32."""
    if not isinstance(model, VAE):
        raise ValueError("an autoencoder has no KL and no noise to play with: train a vae")
    if model.n_classes:
        raise ValueError("the playground trains without labels: take a run that is not conditional")
    theta = weights(model, dataset).astype("<f4")
    about = describe_model(model)
    if about["likelihood"]["kind"] == "Mixed":
        raise ValueError("the playground trains on numbers: take a run without categories or gaps")
    widths = [shape[1] for name, shape in about["parameters"] if name.endswith(".W")]
    knobs = {"latent": model.latent_dim, "hidden": widths[0], "beta": float(model.beta)}
    sigma = about["likelihood"].get("sigma")
    if isinstance(sigma, list):
        problem = "the playground has one sigma for all features, and the run one for each"
        raise ValueError(f"{problem}: train with one")
    if isinstance(sigma, float) and math.isfinite(sigma):
        knobs["sigma"] = sigma
    config = model_config(model) | {"tinyvae": __version__}
    return about | {"knobs": knobs, "config": config}, theta


def _words(datasets: Sequence[Dataset], description: dict[str, Any], title: str) -> dict[str, str]:
    """Return the texts that depend on the data."""
    about = description["datasets"][0]
    noun = about["noun"]
    what = "handwritten digits" if datasets[0].name in ("digits", "mnist") else f"{noun}s"
    lede = (
        f"A variational autoencoder trains on {about['n_train']:,} {what}, right now, in this page."
        f" Each mark is the code of a test {noun}"
        f"{'; behind it, what each place decodes to' if noun == 'image' else ''}."
    )
    footer = [f"{dataset.describe()}." for dataset in datasets]
    for dataset in datasets:
        if words := left_out(dataset):
            footer.append(f"{words[0].upper()}{words[1:]}.")
    if any(dataset.name in ("digits", "mnist") for dataset in datasets):
        footer.append(MNIST_CREDIT)
    footer.append(f"Made with tinyvae {__version__}.")
    return {"title": title, "lede": lede, "noun": noun, "footer": " ".join(footer)}
