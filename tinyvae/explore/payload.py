"""What the page knows: the weights as one vector, some test examples with their codes, and words.

All of it becomes JSON and base64 text; `app.js` and `payload.js` read it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinyvae import checks
from tinyvae.core.columns import Categorical, Columns, Fill, Mixed
from tinyvae.core.latent import kl, reparameterize
from tinyvae.core.layers import Dense, ReLU, Sequential, Sigmoid, Softplus, Tanh
from tinyvae.data.variables import that_fit
from tinyvae.device import seed_sequence
from tinyvae.models import VAE, Autoencoder

if TYPE_CHECKING:
    from tinyvae.data import Dataset

LAYERS = (Dense, ReLU, Tanh, Sigmoid, Softplus)
PRECISIONS = ("float32", "float16")
MOST_BARS = 40  # features that find room with their names


class Payload(NamedTuple):
    """A description for JSON, and three arrays for base64."""

    description: dict[str, Any]
    theta: np.ndarray  # (n,) float32 or float16
    x: np.ndarray  # (N, D) uint8 for grey values, else like theta
    codes: np.ndarray  # (N, 2L) float32: mu, logvar; (N, L) of an autoencoder


def collect(model: Autoencoder, dataset: Dataset, n_points: int, precision: str) -> Payload:
    """Return what the page needs of a model and the test rows of its data set.

    Raises ValueError where the page could not show it.
    """
    checks.choice("precision", precision, PRECISIONS)
    N = min(checks.integer("n_points", n_points, 2), len(dataset.x_test))
    theta = weights(model, dataset)
    rows = np.linspace(0, len(dataset.x_test) - 1, N).astype(int)
    x = np.asarray(dataset.x_test[rows], dtype=np.float32)  # (N, D)
    labels = None if dataset.y_test is None else np.asarray(dataset.y_test)[rows]
    codes, means = _codes(model, x, labels if model.n_classes else None)
    grey = bool(dataset.image_shape) and dataset.scaling.unit and not dataset.missing
    description = {
        "model": describe_model(model) | {"precision": precision},
        "dataset": describe_dataset(dataset, x, labels),
        "examples": {
            "rows": rows.tolist(),
            "labels": None if labels is None else labels.tolist(),
            "encoding": "uint8" if grey else precision,
            "divisor": 255 if grey else 1,
        },
        "means": means,
    }
    return Payload(
        description,
        _as_floats(theta, precision, "a weight"),
        np.rint(255 * x).astype(np.uint8) if grey else _as_floats(x, precision, "a value of x"),
        codes.astype(np.float32),
    )


def weights(model: Autoencoder, dataset: Dataset) -> np.ndarray:
    """Return θ on the host. Raises ValueError where it isn't finite, or of other data."""
    if dataset.n_features != model.n_features:
        raise ValueError(
            f"the model takes {model.n_features} features, but {dataset.name} has"
            f" {dataset.n_features}: give the data set that it was trained on"
        )
    theta = model.backend.to_numpy(model.parameters.theta)
    if not np.isfinite(theta).all():
        raise ValueError("the model's weights are not finite: train it again, at a lower rate")
    return theta


def plot_kind(dataset: Dataset) -> str | None:
    """Return how a row is drawn: "bars", "line", or None for an image."""
    if dataset.image_shape:
        return None
    few = dataset.n_features <= MOST_BARS or that_fit(dataset.variables or (), MOST_BARS)
    return "bars" if few else "line"


def _as_floats(values: np.ndarray, precision: str, what: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        floats = values.astype(precision)
    if not np.isfinite(floats[~np.isnan(values)]).all():  # NaN is a missing cell
        largest = float(np.nanmax(np.abs(values)))
        raise ValueError(f"{what} of {largest:g} does not fit into {precision}: take float32")
    return floats


def _codes(model: Autoencoder, x: np.ndarray, labels: np.ndarray | None) -> tuple[np.ndarray, dict]:
    """The codes of x, and the mean reconstruction and KL, in nats per example."""
    backend, means = model.backend, {}
    mu, logvar = model.codes(x, labels)
    z, codes = mu, [mu]
    if logvar is not None:
        rng = backend.generator(seed_sequence(0, "validation"))
        z = reparameterize(mu, logvar, rng.standard_normal(mu.shape, dtype=mu.dtype))
        codes, means["kl"] = [mu, logvar], float(kl(mu, logvar).sum(axis=1).mean())
    nll = model.likelihood.nll(model.decoder_output(z, labels=labels), model.as_batch(x))
    means["reconstruction"] = float(nll.mean())
    return np.hstack([backend.to_numpy(part) for part in codes]), means


def describe_model(model: Autoencoder) -> dict[str, Any]:
    """Return what model.js builds a model from, but for θ.

    Raises ValueError where it can't compute a layer or the likelihood.
    """
    return {
        "kind": "VAE" if isinstance(model, VAE) else "Autoencoder",
        "n_features": model.n_features,
        "latent_dim": model.latent_dim,
        "n_classes": model.n_classes,
        "encoder": _layers("encoder", model.encoder),
        "decoder": _layers("decoder", model.decoder),
        "likelihood": _likelihood(model),
        "mask": model.n_features if model.missing == "mask" else 0,
        "parameters": [[name, list(view.shape)] for name, view in model.parameters.items()],
    }


def _layers(prefix: str, network: Sequential) -> list[str]:
    for layer in network.layers:
        if type(layer) not in (*LAYERS, Fill):
            known = ", ".join(kind.__name__ for kind in LAYERS)
            raise ValueError(
                f"the {prefix} has a layer {type(layer).__name__}, which the page can't compute:"
                f" it knows {known}"
            )
    return [type(layer).__name__ for layer in network.layers]


def _likelihood(model: Autoencoder) -> dict[str, Any]:
    likelihood, kind = model.likelihood, type(model.likelihood).__name__
    sigma = None if likelihood.sigma is None else np.asarray(likelihood.sigma, dtype=float).tolist()
    if type(likelihood) in (Mixed, Categorical) or (
        model.missing and isinstance(likelihood, Columns)
    ):
        return {"kind": "Mixed", "sigma": sigma, "columns": model.columns}
    if kind in ("Gaussian", "CalibratedGaussian", "DiagonalGaussian"):
        return {"kind": "Gaussian", "sigma": sigma}
    if kind == "Bernoulli":
        return {"kind": "Bernoulli"}
    known = "Gaussian, Bernoulli, Categorical and Mixed"
    raise ValueError(f"the page can't compute the likelihood {kind}: it knows {known}")


def _shown(dataset: Dataset) -> list[int]:
    """Return which features have a bar: all, unless the categories of a table are too many."""
    listed = dataset.variables or ()
    fitting = that_fit(listed, MOST_BARS) or listed
    flags = [v in fitting for v in listed for _ in range(v.width)] or [True] * dataset.n_features
    return [d for d, flag in enumerate(flags) if flag]


def describe_dataset(dataset: Dataset, x: np.ndarray, labels: np.ndarray | None) -> dict[str, Any]:
    """Return what pictures.js needs to show rows x (N, D) of a data set."""
    names = dataset.label_names
    if names is None and labels is not None:
        names = [f"label {label}" for label in range(int(labels.max()) + 1)]
    shown = dataset.scaling.undo(x)
    low, high = 0.0, 1.0
    if not dataset.scaling.unit:
        low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    grey = len(dataset.image_shape or ()) == 2
    # Mostly empty pictures are drawings: they are shown in ink on the page's paper.
    drawings = grey and float(np.nanmedian(shown)) < low + 0.1 * (high - low)
    return {
        "noun": "image" if dataset.image_shape else "row",
        "plot": plot_kind(dataset),
        "image_shape": dataset.image_shape and list(dataset.image_shape),
        "label_names": names and [str(name) for name in names],
        "feature_names": dataset.feature_names and [str(name) for name in dataset.feature_names],
        "shown_features": _shown(dataset),
        "shares": [v.kind != "gaussian" for v in dataset.variables or () for _ in range(v.width)],
        "scaling": dataset.scaling.to_config(),
        "low": low,
        "high": high if high > low else low + 1.0,
        "ink": drawings,
    }
