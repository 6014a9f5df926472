"""Check the gradient of every part of tinyvae, each at a few shapes, as the command does.

B = 1, L = 1 and D = 1 are among them, as they are where broadcasting errors hide.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tinyvae.core.columns import Fill, Mixed
from tinyvae.core.latent import kl, kl_backward, reparameterize, reparameterize_backward
from tinyvae.core.layers import Dense, ReLU, Sigmoid, Softplus, Tanh
from tinyvae.core.likelihood import Bernoulli, CalibratedGaussian, Gaussian
from tinyvae.device import Backend
from tinyvae.gradcheck import check
from tinyvae.gradcheck.report import Report
from tinyvae.models import IWAE, VAE, Autoencoder, mlp

SHAPES = [(5, 3), (1, 4), (4, 1)]  # (B, D) or (B, L)
MODELS = [(5, 6, 2), (1, 4, 3), (4, 5, 1)]  # (B, D, L)


class Part(NamedTuple):
    """One row of the table: what was checked, and one report for each shape."""

    name: str
    shapes: list[tuple[int, ...]]
    reports: list[Report]


def all_parts(backend: Backend, dtype: str = "float64", seed: int = 0) -> Iterator[Part]:
    """Check and yield every part of tinyvae that has a gradient, from layers up to models."""
    rng = np.random.default_rng(seed)
    options = {"backend": backend, "dtype": dtype, "seed": seed}

    def part(name: str, report: Callable[..., Report], shapes: list = SHAPES) -> Part:
        return Part(name, shapes, [report(*shape) for shape in shapes])

    def layer(make: Callable[[int], Any]) -> Callable[..., Report]:
        return lambda B, D: check(make(D), rng.standard_normal((B, D)), **options)

    def pair(value: Callable, gradient: Callable, n_inputs: int) -> Callable[..., Report]:
        return lambda *shape: check(
            value, gradient, *rng.standard_normal((n_inputs, *shape)), **options
        )

    def model(kind: type, **arguments: Any) -> Callable[..., Report]:
        """Check models with one hidden layer of 4 on random data, with the noise held still."""

        def checked(B: int, D: int, L: int) -> Report:
            settings = {"hidden": (4,), "backend": backend, "dtype": dtype} | arguments
            built = kind(D, L, **settings)
            theta = built.parameters.theta  # biases of 0 would put dead ReLUs on their kink
            theta += backend.asarray(0.3 * rng.standard_normal(theta.shape), dtype)
            held = {"labels": rng.integers(3, size=B)} if built.n_classes else {}
            if isinstance(built, VAE):
                draws = (built.importance_samples,) if kind is IWAE else ()
                held["eps"] = rng.standard_normal((B, *draws, L))
            x = rng.random((B, D))
            if built.missing:
                x[::2, -1] = np.nan
            return check(built, x, **held)

        return checked

    def columns(*kinds: str) -> Callable[..., Report]:
        """Check a likelihood of columns, D of each kind; half of the rows lack a cell."""

        def checked(B: int, D: int) -> Report:
            variance = backend.asarray(rng.uniform(0.5, 2.0, len(kinds) * D), dtype)
            likelihood = Mixed(variance, [(kind, D) for kind in kinds])
            one_hot = np.eye(D)[rng.integers(D, size=B)]
            parts = [one_hot if kind == "categorical" else rng.random((B, D)) for kind in kinds]
            cells = np.concatenate(parts, axis=1)
            if kinds[-1] != "categorical":
                cells[::2, -1] = np.nan
            x = backend.asarray(cells, dtype)
            value, gradient = _mean_nll(likelihood)
            y = rng.standard_normal(x.shape)
            return check(lambda y: value(y, x), lambda y: gradient(y, x), y, **options)

        return checked

    yield part("Dense", layer(lambda D: Dense(D, 2)))
    for activation in (ReLU, Tanh, Sigmoid, Softplus):
        yield part(activation.__name__, layer(lambda D, activation=activation: activation()))
    yield part("Fill, with the mask", layer(lambda D: Fill(mask=D)))
    yield part("Sequential: Dense, Tanh, Dense", layer(lambda D: mlp([D, 4, 2], "tanh")))
    yield part("reparameterize", pair(reparameterize, reparameterize_backward, 3))
    yield part("KL", pair(kl, kl_backward, 2))
    for name, likelihood in (
        ("Gaussian, sigma 0.3", Gaussian(0.3)),
        ("Gaussian, sigma auto", CalibratedGaussian()),
        ("Bernoulli", Bernoulli()),
    ):
        yield part(name, pair(*_mean_nll(likelihood), n_inputs=2))
    yield part("Gaussian, sigma auto at its floor", pair(*_nll_at_the_floor(), n_inputs=1))
    for name, report in (
        ("Gaussian, a sigma of each feature", columns("gaussian")),
        ("Bernoulli, missing cells", columns("bernoulli")),
        ("Categorical", columns("categorical")),
        ("Mixed columns, missing cells", columns("categorical", "gaussian", "bernoulli")),
    ):
        yield part(name, report)
    for name, reports in (
        ("Autoencoder, Gaussian", model(Autoencoder, sigma=0.5)),
        ("Autoencoder, Bernoulli", model(Autoencoder, likelihood="bernoulli", activation="tanh")),
        ("VAE, Gaussian", model(VAE, sigma=0.5)),
        ("VAE, sigmoid output", model(VAE, sigma=0.3, output="sigmoid")),
        ("VAE, sigma auto, sigmoid output", model(VAE, output="sigmoid", activation="softplus")),
        ("VAE, Bernoulli", model(VAE, likelihood="bernoulli", activation="tanh")),
        ("VAE, linear", model(VAE, hidden=())),
        ("VAE, beta 4", model(VAE, beta=4.0, activation="sigmoid")),
        ("VAE, reconstruction weight ½", model(VAE, reconstruction_weight=0.5)),
        ("VAE, free bits", model(VAE, free_bits=0.3)),
        ("VAE, conditional", model(VAE, n_classes=3)),
        ("VAE, a sigma of each feature", model(VAE, sigma="per-feature")),
        ("VAE, missing cells and their mask", model(VAE, sigma=0.5, missing="mask")),
        ("IWAE, a sigma of each feature", model(IWAE, sigma="per-feature", importance_samples=3)),
        ("IWAE, 3 samples, Gaussian", model(IWAE, importance_samples=3, sigma=0.5)),
        ("IWAE, 2 samples, sigma auto", model(IWAE, importance_samples=2)),
        ("IWAE, 5 samples, Bernoulli", model(IWAE, likelihood="bernoulli", activation="tanh")),
    ):
        yield part(name, reports, MODELS)


def _mean_nll(likelihood: Any) -> tuple[Callable, Callable]:
    """Return the batch's mean nll, as under "auto" σ² belongs to the batch, and its gradient."""

    def value(y: Any, x: Any) -> Any:
        return likelihood.forward(y, x).mean()

    def gradient(y: Any, x: Any) -> Any:
        likelihood.forward(y, x)
        return likelihood.backward(1 / len(y))

    return value, gradient


def _nll_at_the_floor() -> tuple[Callable, Callable]:
    """Return the same for y = 1e-7 u and x = 0, where a step of u leaves σ² at its floor."""
    value, gradient = _mean_nll(CalibratedGaussian())
    return lambda u: value(1e-7 * u, 0 * u), lambda u: 1e-7 * gradient(1e-7 * u, 0 * u)
