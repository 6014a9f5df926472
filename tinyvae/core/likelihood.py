"""The likelihood p(x|z): how probable the decoder's output y makes the data x.

Each class gives the negative log likelihood nll = −log p(x|z) of each example, in nats (natural
logarithms; a sum over the D dimensions of the data, never a mean), and its gradient dy. σ is here
the spread of the data around the decoder's answer, not that of q(z|x). x, y, x_hat are (B, D), nll
is (B,).
"""

import math
from typing import Any

from tinyvae import checks
from tinyvae.core.arrays import Array, array_module, batch_mean, sigmoid

MIN_VARIANCE = 1e-12  # the floor of sigma="auto", reached where a reconstruction is perfect


class Gaussian:
    """x ~ N(x_hat, σ² I): the squared error, weighed by 1 / 2σ².

        nll = −log N(x; x_hat, σ² I) = ½ Σ_d (x − x_hat)² / σ² + ½ D log 2πσ²
        dx_hat = dnll · (x_hat − x) / σ²

    With σ² = ½ that is ‖x − x_hat‖² plus a constant. With `sigma="auto"`, σ² is the value that
    makes the batch's mean nll smallest, where its derivative with respect to σ² is zero:

        −½ mean Σ_d (x − x_hat)² / σ⁴ + ½ D / σ² = 0      hence      σ² = mean (x − x_hat)²

    As that derivative is zero, it does not matter that σ² moves with x_hat: dx_hat is the same
    formula (Rybkin et al. 2021, "Simple and effective VAE training with calibrated decoders").

    Parameters
    ----------
    sigma : float or "auto"
        The standard deviation σ. Under "auto" the attribute `sigma`, which evaluation and sampling
        use, is what was assigned to it (`fit` assigns the root of σ², averaged over an
        epoch's rows), or else that of the last forward pass (1 before the first).
    output : {"identity", "sigmoid"}
        x_hat = y, or x_hat = sigmoid(y), which keeps the mean in [0, 1].
    """

    batch_mean = staticmethod(batch_mean)

    def __init__(self, sigma: float | str = "auto", output: str = "identity") -> None:
        self.auto = isinstance(sigma, str) and sigma == "auto"
        self.stored = None if self.auto else checks.sigma(sigma)
        self.variance = 1.0 if self.auto else self.stored**2  # of the last forward pass
        self.output = checks.choice("output", output, ["identity", "sigmoid"])

    @property
    def sigma(self) -> float:
        """The standard deviation of p(x|z), in the units of x."""
        return math.sqrt(float(self.variance)) if self.stored is None else self.stored

    @sigma.setter
    def sigma(self, sigma: float) -> None:
        self.stored = checks.sigma(sigma)
        if not self.auto:
            self.variance = self.stored**2

    def mean(self, y: Array) -> Array:
        """Return x_hat (B, D), the mean of p(x|z), from the decoder's output y."""
        return sigmoid(y) if self.output == "sigmoid" else y

    def nll(self, y: Array, x: Array) -> Array:
        """Return −log p(x|z) of each example (B,) at the stored sigma: for evaluation."""
        error = self.mean(y) - x
        return self._nll((error * error).sum(axis=1), self.sigma**2, x.shape[1])

    @staticmethod
    def _nll(squared_error: Array, variance: Array | float, D: int) -> Array:  # (B,) → (B,)
        log = math.log if isinstance(variance, float) else array_module(variance).log
        return 0.5 * (squared_error / variance + D * log(2 * math.pi * variance))

    def forward(self, y: Array, x: Array) -> Array:
        """Return nll (B,) for training: under "auto" with the batch's own σ²."""
        self.x_hat = self.mean(y)
        self.error = self.x_hat - x  # (B, D)
        squared_error = (self.error * self.error).sum(axis=1)  # (B,)
        if self.auto:
            mean_squared_error = self.batch_mean(squared_error) / x.shape[1]
            self.variance = array_module(x).maximum(mean_squared_error, MIN_VARIANCE)
        return self._nll(squared_error, self.variance, x.shape[1])

    def backward(self, dnll: Array | float) -> Array:
        """Return dy (B, D) from dnll: a column (B, 1), not (B,), or one number for all."""
        dx_hat = self.error * (dnll / self.variance)
        if self.output == "identity":
            return dx_hat
        return dx_hat * self.x_hat * (1.0 - self.x_hat)  # ∂x_hat/∂y = x_hat (1 − x_hat)

    def sample(self, y: Array, rng: Any) -> Array:
        """Return a draw of x (B, D) from p(x|z)."""
        return self.mean(y) + self.sigma * rng.standard_normal(y.shape, dtype=y.dtype)


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
        """Return x_hat (B, D), the mean of p(x|z), from the logits y."""
        return sigmoid(y)

    def nll(self, y: Array, x: Array) -> Array:
        """Return −log p(x|z) of each example (B,)."""
        return cross_entropy(sigmoid(y), y, x).sum(axis=1)

    def forward(self, y: Array, x: Array) -> Array:
        """Return nll (B,), and remember p and x for `backward`."""
        self.p, self.x = sigmoid(y), x  # (B, D)
        return cross_entropy(self.p, y, x).sum(axis=1)

    def backward(self, dnll: Array | float) -> Array:
        """Return dy (B, D) from dnll: a column (B, 1), not (B,), or one number for all."""
        dy = self.p - self.x
        dy *= dnll
        return dy

    def sample(self, y: Array, rng: Any) -> Array:
        """Return a draw of x (B, D) from p(x|z), of zeros and ones."""
        return (rng.random(y.shape, dtype=y.dtype) < sigmoid(y)).astype(y.dtype)
