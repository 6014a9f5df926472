"""The reconstructions that people write, as functions of one pixel and of a batch."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tinyvae.audit.findings import Finding

PROBABILITIES = np.array([0.03, 0.2, 0.5, 0.8, 0.97])


def cross_entropy(t: np.ndarray, p: np.ndarray, lift: float = 0.0) -> np.ndarray:
    """−t log(p + lift) − (1 − t) log(1 − p + lift), with 0 log 0 = 0."""
    with np.errstate(all="ignore"):
        one = np.where(t > 0, -t * np.log(p + lift), 0.0)
        return one + np.where(t < 1, -(1 - t) * np.log(1 - p + lift), 0.0)


def _logits(t: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.logaddexp(0.0, y) - t * y


def sigmoid(y: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.tanh(0.5 * y)


def _total(f: Callable) -> Callable:
    return lambda x, x_hat: f(x, x_hat).sum()


def _norm(axis: int | None) -> Callable:
    def norm(x: np.ndarray, x_hat: np.ndarray) -> float:
        d = (x - x_hat).reshape(len(x), -1)
        return np.sqrt(np.square(d).sum(axis=axis)).sum()

    return norm


# Name → (loss of one pixel, loss of a batch). Several batch forms may agree on constant images.
FORMS: dict[str, tuple[Callable, Callable]] = {}
for _name, _pixel in {
    "squared error": lambda t, p: (t - p) ** 2,
    "cross-entropy": cross_entropy,
    "cross-entropy on logits": _logits,
    "absolute error": lambda t, p: np.abs(t - p),
    "cross-entropy of tanh output": lambda t, p: cross_entropy(t, 0.5 * (p + 1)),
    "Poisson": lambda t, p: p - t * np.log(p),
    "Poisson on logs": lambda t, p: np.exp(p) - t * p,
    "squared error of the sigmoid": lambda t, p: (t - sigmoid(p)) ** 2,
    "squared error of the tanh": lambda t, p: (t - np.tanh(p)) ** 2,
    "squared error of 2 sigmoid − 1": lambda t, p: (t - 2 * sigmoid(p) + 1) ** 2,
    "absolute error of the sigmoid": lambda t, p: np.abs(t - sigmoid(p)),
    "cross-entropy of data in [−1, 1]": lambda t, p: cross_entropy(0.5 * (t + 1), 0.5 * (p + 1)),
    "cross-entropy on logits of data in [−1, 1]": lambda t, p: _logits(0.5 * (t + 1), p),
    "cross-entropy of binarised targets": lambda t, p: cross_entropy(1.0 * (t > 0), p),
    "cross-entropy of targets binarised at ½": lambda t, p: cross_entropy(1.0 * (t > 0.5), p),
    "cross-entropy on logits of binarised targets": lambda t, p: _logits(1.0 * (t > 0), p),
    "cross-entropy on logits of targets binarised at ½": lambda t, p: _logits(1.0 * (t > 0.5), p),
    "cross-entropy on the sigmoid of probabilities": lambda t, p: _logits(t, sigmoid(p)),
    "Bernoulli log of the right class only": lambda t, p: np.where(t > 0, -t * np.log(p), 0.0),
}.items():
    FORMS[_name] = (_pixel, _total(_pixel))
for _lift in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6):
    _lifted = lambda t, p, lift=_lift: cross_entropy(t, p, lift)  # noqa: E731
    FORMS[f"cross-entropy with {_lift:g} in the logarithm"] = (_lifted, _total(_lifted))
for _clip in (0.1, 0.05):
    _clipped = lambda t, p, c=_clip: cross_entropy(t, np.clip(p, c, 1 - c))  # noqa: E731
    FORMS[f"cross-entropy clipped at {_clip:g}"] = (_clipped, _total(_clipped))
FORMS["norm of each example's error"] = (FORMS["absolute error"][0], _norm(1))
FORMS["norm of the batch's error"] = (FORMS["absolute error"][0], _norm(None))
# Log of the batch's mean squared error: σ at its best value (Rybkin et al. 2021).
FORMS["log of the squared error"] = (
    lambda t, p: np.log((t - p) ** 2),
    lambda x, x_hat: x.size * np.log(np.mean((x - x_hat) ** 2)),
)
FORMS["log of the squared error of the sigmoid"] = (
    lambda t, p: np.log((t - sigmoid(p)) ** 2),
    lambda x, x_hat: x.size * np.log(np.mean((x - sigmoid(x_hat)) ** 2)),
)
# The arguments the other way round.
FORMS["swapped cross-entropy"] = (
    lambda t, p: cross_entropy(p, t),
    _total(lambda x, x_hat: cross_entropy(x_hat, x)),
)
FORMS["swapped cross-entropy on logits"] = (
    lambda t, p: _logits(p, t),
    _total(lambda x, x_hat: _logits(x_hat, x)),
)
FORMS["swapped cross-entropy of the sigmoid"] = (
    lambda t, p: cross_entropy(sigmoid(p), t),
    _total(lambda x, x_hat: cross_entropy(sigmoid(x_hat), x)),
)
SWAPPED_TARGETS = np.array([0.1, 0.25, 0.6, 0.9])  # a logarithm of x needs x within (0, 1)


@dataclass
class Reconstruction:
    """What was found.

    `weight` is the factor of Σ (over batch and pixels) of the negative log likelihood of σ = 1:
    of ½ (x − x_hat)² for the squared error.
    """

    form: str = "unknown"
    weight: float = 0.0
    findings: list[Finding] = field(default_factory=list)
    categories: str = ""  # where a categorical likelihood has its axis of classes

    @property
    def squared(self) -> bool:
        """Return whether its scale σ is free to choose, so that no balance is wrong in itself."""
        return "cross-entropy" not in self.form

    @property
    def known(self) -> bool:
        """Return whether the formula was recognised."""
        return self.form != "unknown"
