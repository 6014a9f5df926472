"""The likelihood p(x|z): how probable the decoder's output y makes the data x. Each class gives the
negative log likelihood nll = −log p(x|z) of each example, in nats (natural logarithms; a sum over
the D dimensions of the data, never a mean), and its gradient dy. σ is here the spread of the data
around the decoder's answer, not that of q(z|x). x, y are (B, D), nll (B,)."""

import math
from typing import Any

from tinyvae.core import values
from tinyvae.core.arrays import Array, Ops, array_module, sigmoid

MIN_VARIANCE = 1e-12  # the floor of a calibrated σ², reached where a reconstruction is perfect


class Gaussian:
    """x ~ N(y, σ² I): the squared error, weighed by 1 / 2σ².

        nll = −log N(x; y, σ² I) = ½ Σ_d (x − y)² / σ² + ½ D log 2πσ²
        dy  = dnll · (y − x) / σ²

    With σ² = ½ that is ‖x − y‖² plus a constant. For y in [0, 1], the decoder ends in a `Sigmoid`.

    Parameters
    ----------
    sigma : float, the standard deviation σ, in the units of x
    """

    _sigma: float | None = None
    variance: Any = 1.0  # σ² in the last forward pass

    def __init__(self, sigma: float) -> None:
        self.sigma = sigma

    @property
    def sigma(self) -> float:
        """The standard deviation of p(x|z), in the units of x."""
        return math.sqrt(float(self.variance)) if self._sigma is None else self._sigma

    @sigma.setter
    def sigma(self, sigma: float) -> None:
        self._sigma = values.sigma(sigma)

    def mean(self, y: Array) -> Array:
        """Return the mean of p(x|z) (B, D)."""
        return y

    def nll(self, y: Array, x: Array) -> Array:
        """Return −log p(x|z) of each example (B,) at `sigma`, and remember nothing."""
        return gaussian_nll(((y - x) ** 2).sum(axis=1), self.sigma**2, x.shape[1])

    def forward(self, y: Array, x: Array) -> Array:
        """Return nll (B,), and remember the error for `backward`."""
        self.error, self.variance = y - x, self.sigma**2
        squared_error = (self.error * self.error).sum(axis=1)  # (B,)
        return gaussian_nll(squared_error, self.variance, x.shape[1])

    def backward(self, dnll: Any) -> Array:
        """Return dy (B, D) from dnll: a column (B, 1), not (B,), or one number for all."""
        return self.error * (dnll / self.variance)

    def sample(self, y: Array, rng: Any) -> Array:
        """Return a draw of x (B, D) from p(x|z)."""
        return y + self.sigma * rng.standard_normal(y.shape, dtype=y.dtype)


def gaussian_nll(squared_error: Array, variance: Any, D: int) -> Array:
    """Return ½ (‖x − y‖² / σ² + D log 2πσ²) of each example (B,), from ‖x − y‖² (B,)."""
    log = math.log if isinstance(variance, float) else array_module(variance).log
    return 0.5 * (squared_error / variance + D * log(2 * math.pi * variance))


class CalibratedGaussian(Gaussian):
    """A Gaussian whose σ² makes the batch's mean nll smallest, where its derivative is zero:

        −½ mean Σ_d (x − y)² / σ⁴ + ½ D / σ² = 0      hence      σ² = mean (x − y)²

    As that derivative is zero, it does not matter that σ² moves with y: dy is the same formula
    (Rybkin et al. 2021). Evaluation and sampling take `sigma`: what was assigned to it (by `fit`,
    the root of σ² averaged over an epoch's rows), or that of the last forward pass (1 before it).
    """

    ops: Ops = Ops()

    def __init__(self) -> None: ...

    def forward(self, y: Array, x: Array) -> Array:
        """Return nll (B,) with the batch's own σ², and remember the error for `backward`."""
        self.error, D = y - x, x.shape[1]
        squared_error = (self.error * self.error).sum(axis=1)  # (B,)
        mean_squared_error = self.ops.batch_mean(squared_error) / D
        self.variance = array_module(x).maximum(mean_squared_error, MIN_VARIANCE)
        return gaussian_nll(squared_error, self.variance, D)


class Bernoulli:
    """x ∈ {0, 1}, with the probability p = sigmoid(y) of a 1; y are called logits.

        −log p(x|z) = −Σ_d [ x log p + (1 − x) log(1 − p) ]
        log(1 − p) = −softplus(y)           as 1 − p = 1 / (1 + e^y)
        log p      = y − softplus(y)        as p = e^y / (1 + e^y)

        nll = Σ_d [ softplus(y) − x y ]
        dy  = dnll · (sigmoid(y) − x)

    On grey values between 0 and 1 the formula is a fine loss (a cross-entropy) but no normalised
    likelihood: only the nll of binary data may be compared with a log p(x) published elsewhere.
    """

    sigma = None

    def mean(self, y: Array) -> Array:
        """Return p (B, D), the mean of p(x|z), from the logits y."""
        return sigmoid(y)

    def nll(self, y: Array, x: Array) -> Array:
        """Return −log p(x|z) of each example (B,)."""
        return cross_entropy(sigmoid(y), y, x).sum(axis=1)

    def forward(self, y: Array, x: Array) -> Array:
        """Return nll (B,), and remember p and x for `backward`."""
        self.p, self.x = sigmoid(y), x  # (B, D)
        return cross_entropy(self.p, y, x).sum(axis=1)

    def backward(self, dnll: Any) -> Array:
        """Return dy (B, D) from dnll: a column (B, 1), not (B,), or one number for all."""
        dy = self.p - self.x
        dy *= dnll
        return dy

    def sample(self, y: Array, rng: Any) -> Array:
        """Return a draw of x (B, D) from p(x|z), of zeros and ones."""
        return (rng.random(y.shape, dtype=y.dtype) < sigmoid(y)).astype(y.dtype)


def cross_entropy(p: Array, y: Array, x: Array) -> Array:
    """Return softplus(y) − x y (B, D), from both y and p = sigmoid(y).

    The larger of p and 1 − p is 1 / (1 + e^(−|y|)), so softplus(y) = max(y, 0) − log max(p, 1 − p):
    no logarithm of a rounded-off 0 is ever taken, whatever y is. And max(y, 0) = (y > 0) y, where
    y > 0 counts as 1 or 0.
    """
    xp = array_module(y)
    larger = 1.0 - p
    xp.maximum(larger, p, out=larger)
    nll = (y > 0) - x
    nll *= y
    nll -= xp.log(larger, out=larger)
    return nll
