"""Puts a model together: from the arguments of its constructor to networks, likelihood and weights.

No mathematics: settings are checked, widths that are left out are read off somebody's own layers,
and what a model is given, data and labels, is made what its networks take.
"""

from typing import Any

import numpy as np

from tinyvae import checks
from tinyvae.core.arrays import Array
from tinyvae.core.layers import ACTIVATIONS, Parameters, Sequential, mlp
from tinyvae.core.likelihood import Bernoulli, Gaussian
from tinyvae.device import Backend, get_backend, seed_sequence


class Assembly:
    """The parts of an `Autoencoder` or a `VAE`; `core.model` adds the loss and its gradient."""

    outputs_per_latent: int  # how many numbers the encoder gives for each latent dimension

    def __init__(
        self, n_features: int | None = None, latent_dim: int | None = None,
        hidden: tuple[int, ...] = (256,), activation: str = "relu",
        likelihood: Any = "gaussian", sigma: float | str = "auto", output: str = "identity",
        reconstruction_weight: float = 1.0, n_classes: int = 0, *,
        encoder: Sequential | None = None, decoder: Sequential | None = None,
        backend: str | Backend = "auto", dtype: str = "float32", seed: int = 0,
        **unknown: Any,
    ) -> None:  # fmt: skip
        """Put the parts together.

        Parameters
        ----------
        n_features, latent_dim : int
            D and L. May be left out where `encoder` and `decoder` tell them.
        hidden : tuple of int
            Widths of the encoder's hidden layers, mirrored by the decoder; () for a linear model.
        activation : {"relu", "tanh", "sigmoid", "softplus"}
        likelihood : {"gaussian", "bernoulli"}, or an object with the methods of those classes
        sigma, output
            For the Gaussian: see `tinyvae.core.likelihood.Gaussian`.
        reconstruction_weight : float
            Factor of the reconstruction in the loss.
        n_classes : int
            Above 0 the model is conditional (Sohn et al. 2015): encoder and decoder also see each
            example's label, one of 0 … n_classes − 1, as n_classes more inputs, one-hot.
        encoder, decoder : Sequential
            Your own layers, instead of `hidden` and `activation`.
        backend, dtype, seed
            "auto", "numpy" or "cupy"; "float32" or "float64"; the seed of first weights and noise.
        **unknown
            Refused, by the name of the model's class.
        """
        checks.no_unknown(type(self), unknown)
        C = self.n_classes = checks.integer("n_classes", n_classes, 0)
        D, L = _widths(encoder, decoder, n_features, latent_dim, C)
        self.n_features, self.latent_dim = D, L
        self.reconstruction_weight = checks.number("reconstruction_weight", reconstruction_weight)
        self.dtype = checks.choice("dtype", dtype, ["float32", "float64"])
        self.backend, self.seed = get_backend(backend), checks.integer("seed", seed, 0)
        hidden = checks.widths("hidden", hidden)
        checks.choice("activation", activation, ACTIVATIONS)
        gaussian = Gaussian(sigma, output)
        sigma = "auto" if gaussian.auto else gaussian.stored
        self.config = {  # what rebuilds the model from a file
            "n_features": D, "latent_dim": L, "hidden": hidden, "activation": activation,
            "likelihood": likelihood, "sigma": sigma, "output": output, "n_classes": C,
            "reconstruction_weight": self.reconstruction_weight, "dtype": dtype, "seed": self.seed,
        }  # fmt: skip
        if encoder is not None or not isinstance(likelihood, str):
            self.config = None  # one's own layers and likelihoods can't be rebuilt
        named = {"gaussian": gaussian, "bernoulli": Bernoulli()}
        self.likelihood = _likelihood(likelihood, named)
        self.encoder = encoder or mlp([D + C, *hidden, self.outputs_per_latent * L], activation)
        self.decoder = decoder or mlp([L + C, *reversed(hidden), D], activation, "small")
        networks = {"encoder": self.encoder, "decoder": self.decoder}
        self.parameters = Parameters(networks, self.backend, dtype, seed)
        self.noise = self.backend.generator(seed_sequence(seed, "eps"))
        if encoder is not None:
            _check_outputs(self)

    def __repr__(self) -> str:
        hidden = self.config["hidden"] if self.config else ["…"]  # one's own layers or likelihood
        parts = ["-".join(map(str, [self.n_features, *hidden, self.latent_dim]))]
        parts.append(type(self.likelihood).__name__.lower())
        if isinstance(self.likelihood, Gaussian):
            parts.append(f"sigma {self.sigma:.2g}")
        if self.n_classes:
            parts.append(f"{self.n_classes} classes")
        parts += [f"{self.parameters.theta.size:,} weights", self.dtype, self.backend.name]
        return f"{type(self).__name__}({', '.join(parts)})"

    @property
    def sigma(self) -> float | None:
        """The standard deviation of p(x|z), in the units of x; None for Bernoulli."""
        return self.likelihood.sigma

    def as_batch(self, x: Array, name: str = "x", width: int | None = None) -> Array:
        """Return x, checked, as a batch of this model's backend and dtype."""
        x = x if isinstance(x, self.backend.xp.ndarray) else np.asarray(x)
        unit = name == "x" and isinstance(self.likelihood, Bernoulli)
        checks.batch(name, x, width or self.n_features, unit=unit)
        return self.backend.asarray(x, self.dtype)

    def with_labels(self, array: Array, labels: Array | None) -> Array:
        """Return `array` (B, n) with one-hot labels beside it (B, n + C), if n_classes C > 0."""
        labels = checks.labels(labels, len(array), self.n_classes)
        if not self.n_classes:
            return array
        xp = self.backend.xp
        one_hot = self.backend.asarray(labels)[:, None] == xp.arange(self.n_classes)  # (B, C)
        return xp.concatenate([array, one_hot.astype(array.dtype)], axis=1)


def _widths(
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


def _likelihood(value: Any, named: dict[str, Any]) -> Any:
    """Return one of the likelihoods by name, or one's own if it has what a model calls."""
    if isinstance(value, str):
        return named[checks.choice("likelihood", value, named)]
    lacks = [name for name in ("forward", "backward") if not hasattr(value, name)]
    if lacks or isinstance(value, type):
        wanted = "'gaussian', 'bernoulli' or an object with forward(y, x) and backward(dnll)"
        raise ValueError(f"likelihood must be {wanted}, not {value!r}")
    return value


def _check_outputs(model: Any) -> None:
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
