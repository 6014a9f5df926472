"""The parts that a model is made of, ours or somebody's own: what it asks of them.

Widths that are left out are read off the layers, weights get their names and first values, and a
part that does not fit is named in one line.
"""

from typing import Any

import numpy as np

from tinyvae import checks


def widths(
    encoder: Any, decoder: Any, n_features: int | None, latent_dim: int | None, n_classes: int
) -> tuple[int, int]:
    """Return (n_features, latent_dim); what is not given is read off the first layers."""
    if encoder is None and decoder is None:
        latent_dim = 2 if latent_dim is None else latent_dim
    else:
        for network in (encoder, decoder):
            if not hasattr(network, "layers"):
                remedy = "give both as Sequential(…), or neither"
                raise ValueError(f"encoder and decoder go together, not {network!r}: {remedy}")
        n_features = _width("n_features", n_features, encoder, n_classes)
        latent_dim = _width("latent_dim", latent_dim, decoder, n_classes)
    return checks.integer("n_features", n_features, 1), checks.integer("latent_dim", latent_dim, 1)


def _width(name: str, width: int | None, network: Any, n_classes: int) -> int:
    """Return the width if it is given, else the network's inputs that are no labels."""
    if width is not None:
        return width
    first = getattr(network.layers[0], "shapes", {}) if network.layers else {}
    if "W" not in first:
        raise ValueError(f"the first layer does not tell its width: give {name} too")
    return first["W"][0] - n_classes


def likelihood(value: Any, named: dict[str, Any]) -> Any:
    """Return one of the likelihoods by name, or one's own if it has what a model calls."""
    if isinstance(value, str):
        return named[checks.choice("likelihood", value, named)]
    lacks = [name for name in ("forward", "backward") if not hasattr(value, name)]
    if lacks or isinstance(value, type):
        wanted = "'gaussian', 'bernoulli' or an object with forward(y, x) and backward(dnll)"
        raise ValueError(f"likelihood must be {wanted}, not {value!r}")
    return value


def weights(networks: dict[str, Any], rng: np.random.Generator) -> list[tuple]:
    """Return (name, layer, attribute, first value on the host) of every array of weights.

    Raises ValueError where a layer stands twice: it has only one place for what it remembers.
    """
    found, seen = [], []
    for prefix, network in networks.items():
        owners = [layer for layer in network.layers if getattr(layer, "shapes", None)]
        for i, layer in enumerate(owners):
            if any(layer is other for other in seen):
                raise ValueError(f"{prefix}.{i}: this layer object already stands elsewhere")
            seen.append(layer)
            values = _first_values(layer, rng)
            found += [(f"{prefix}.{i}.{a}", layer, a, values[a]) for a in layer.shapes]
    return found


def _first_values(layer: Any, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return a layer's first values: by its `initialize`, its own arrays, or Glorot's rule."""
    if hasattr(layer, "initialize"):
        return layer.initialize(rng)
    values = {}
    for attribute, shape in layer.shapes.items():
        scale = np.sqrt(2 / sum(shape)) if len(shape) > 1 else 0.0
        value = getattr(layer, attribute, None)
        values[attribute] = rng.standard_normal(shape) * scale if value is None else value
    return values


def check_outputs(model: Any) -> None:
    """Raise ValueError unless a model's networks take and give rows of the widths it needs."""
    D, L, C = model.n_features, model.latent_dim, model.n_classes
    _check_output(model, model.encoder, "encoder", D + C, model.outputs_per_latent * L)
    _check_output(model, model.decoder, "decoder", L + C, D)


def _check_output(model: Any, network: Any, name: str, n_in: int, n_out: int) -> None:
    zeros = model.backend.xp.zeros((1, n_in), dtype=model.dtype)
    try:
        shape = tuple(network.forward(zeros).shape)
    except ValueError as error:
        reason = checks.first_line(error)
        raise ValueError(f"the {name} cannot take {n_in} inputs: {reason}") from None
    if shape != (1, n_out):
        raise ValueError(f"the {name} must end in {n_out} outputs, not {shape[-1]}")
