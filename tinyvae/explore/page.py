"""Assemble the explorer: HTML, style, scripts and the model's numbers in one text, and write it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tinyvae import __version__, checks
from tinyvae.core.columns import Categorical, Mixed
from tinyvae.core.errors import Argument, InputError
from tinyvae.core.likelihood import Bernoulli
from tinyvae.data.variables import that_fit
from tinyvae.explore.assemble import MODEL, escaped, fill, read, script, to_base64, to_json
from tinyvae.explore.assemble import write as write
from tinyvae.explore.payload import MOST_BARS, Payload, collect, plot_kind
from tinyvae.models import VAE, Autoencoder

if TYPE_CHECKING:
    from tinyvae.data import Dataset

# In the order in which they need each other.
MODULES = (
    *MODEL,
    *("payload", "store", "theme", "pictures", "drawing"),
    *("axes", "controls", "steer", "plane", "panels", "app"),
)
PLOTS = {
    "bars": "Bars are what is decoded, each feature on a scale of its own; the numbers are in the"
    " units of the data, per cent the probability of a category. Thin marks are the picked row,"
    " where it is observed.",
    "line": "The coloured line is what is decoded, the grey one the picked row; the features are in"
    " the table's order, and only the first and the last name find room.",
}
MAX_BYTES = 32_000_000  # what browsers open without delay


def build(
    model: Autoencoder,
    dataset: Dataset,
    *,
    title: str | None = None,
    n_points: int = 300,
    precision: str = "float32",
    max_bytes: int = MAX_BYTES,
) -> str:
    """Return the explorer of a model as the text of one HTML file.

    Parameters
    ----------
    model : VAE or Autoencoder
        Of layers and likelihoods that tinyvae brings along.
    dataset : Dataset
        What it was trained on: its test rows become the points of the latent plane.
    title : str
        The page's heading; by default "The latent space of …".
    n_points : int
        How many test rows the page holds.
    precision : {"float32", "float16"}
        Of the weights; float16 halves the file and moves what is decoded by about 1e-3.
    max_bytes : int
        The largest file that is accepted.

    Raises
    ------
    ValueError
        In one line: the file would be larger than `max_bytes`, or the page can't compute a layer,
        a likelihood or a width of the model.
    """
    checks.integer("max_bytes", max_bytes, 1)
    payload = collect(model, dataset, n_points, precision)
    _check_size(payload, precision, max_bytes)
    parts = _words(model, dataset, title) | {
        "style": read("look.css") + read("page.css"),
        "script": _script(),
        "description": to_json(payload.description),
        "theta": to_base64(payload.theta),
        "x": to_base64(payload.x),
        "codes": to_base64(payload.codes),
    }
    return fill(read("page.html"), parts) + f"<!-- shows the model {model.fingerprint} -->\n"


def _check_size(payload: Payload, precision: str, max_bytes: int) -> None:
    arrays = sum(array.nbytes for array in payload[1:])
    size = 4 * arrays // 3 + len(_script())
    if size <= max_bytes:
        return
    remedy = ["fewer hidden units or points (", Argument("n_points"), ")"]
    if precision == "float32":
        halved = size - 2 * payload.theta.nbytes // 3
        remedy = [Argument("precision", "float16"), f" makes it {halved / 1e6:.1f} MB"]
    raise InputError(
        f"the page would have {size / 1e6:.1f} MB, more than the {max_bytes / 1e6:.1f} MB allowed",
        remedy=[*remedy, ", ", Argument("max_bytes"), " allows more"],
    )


def _script() -> str:
    return script({name: read(f"{name}.js") for name in MODULES})


def _words(model: Autoencoder, dataset: Dataset, title: str | None) -> dict[str, str]:
    """The texts that depend on the model, escaped for HTML."""
    noun = "image" if dataset.image_shape else "row"
    vae, labelled = isinstance(model, VAE), dataset.y_test is not None
    dense = [layer.shapes["W"][1] for layer in model.encoder.layers if hasattr(layer, "W")]
    widths = [model.n_features, *dense[:-1], model.latent_dim]
    numbers = "one number" if model.latent_dim == 1 else f"{model.latent_dim} numbers"
    kind = "variational autoencoder" if vae else "plain autoencoder"
    lede = (
        f"Every point of the {'line' if model.latent_dim == 1 else 'plane'} below stands for"
        f" {'an image' if noun == 'image' else 'a row'} that this model can make: move over it, and"
        f" see it made. A {kind} has squeezed {noun}s of {model.n_features} values into {numbers};"
        f" all of it ({'–'.join(map(str, widths))} and back, {len(model.parameters.theta):,}"
        " weights) is in this page, and computes as you move."
    )
    told = "which encoder and decoder are told" if model.n_classes else "which the model never saw"
    classes = {
        "vae": vae, "autoencoder": not vae, "images": noun == "image", "rows": noun == "row",
        "labelled": labelled, "conditional": bool(model.n_classes),
        "plane-choice": model.latent_dim > 2, "line": model.latent_dim == 1,
    }  # fmt: skip
    words = {
        "title": title or f"The latent space of {dataset.name}",
        "lede": lede,
        "noun": noun,
        "a_noun": "an image" if noun == "image" else "a row of values",
        "told": told,
        "plot": PLOTS[plot_kind(dataset) or "line"] + _left_out(dataset),
        "n_features": f"{model.n_features:,}",
        "likelihood": _about_likelihood(model),
        "origin": f"new Float64Array({model.latent_dim}){', 0' if model.n_classes else ''}",
        "classes": " ".join(name for name, true in classes.items() if true),
        "footer": f"{dataset.describe()}. Made with tinyvae {__version__}.",
    }
    return escaped(words)


def _left_out(dataset: Dataset) -> str:
    """A sentence on the columns that have no bars, or ""."""
    listed = dataset.variables or ()
    fitting = that_fit(listed, MOST_BARS) or listed
    names = [f"{v.name} ({v.width} categories)" for v in listed if v not in fitting]
    return f" Without room here: {', '.join(names)}." if names else ""


def _about_likelihood(model: Autoencoder) -> str:
    if isinstance(model.likelihood, Bernoulli):
        return (
            "here p(x|z) is Bernoulli: the cross-entropy between x and what is decoded, which is"
            " never below 0, and a true likelihood only where x is black and white."
        )
    if isinstance(model.likelihood, Mixed | Categorical):
        return (
            "here each column has a p(x|z) of its kind: Gaussian for numbers, the probability of"
            " what was observed for categories and for 0 and 1; missing cells take no part."
        )
    sigma = np.broadcast_to(np.asarray(model.likelihood.sigma, dtype=float), model.n_features)
    constant = 0.5 * float(np.log(2 * math.pi * sigma**2).sum())
    low, high = f"{sigma.min():.3g}", f"{sigma.max():.3g}"
    text = (
        f"here p(x|z) is Gaussian with σ = {low if low == high else f'{low} to {high}'}: the"
        f" squared error over 2σ², plus ½ D log 2πσ² = {constant:.1f} nats, which no"
        " reconstruction can change."
    )
    return text.replace("-", "−")
