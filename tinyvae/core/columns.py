"""Likelihoods for tables: a σ of each feature, categories, kinds of columns side by side, and cells
that are missing, NaN in x. Given z the cells of a row are independent, so log p(x|z) is a sum over
cells. Each class gives −log p of every cell, and its derivative by the decoder's output y; the base
class sums up those that were observed. x, y are (B, D), nll (B,)."""

import math
from functools import partialmethod
from typing import Any

import numpy as np

from tinyvae.core import values
from tinyvae.core.arrays import Array, Ops, array_module, sigmoid
from tinyvae.core.likelihood import Bernoulli, cross_entropy

MIN_VARIANCE = 1e-3  # the floor of a feature's σ², in the units of standardised data
RATE = 0.1  # part of the way that σ² moves towards a batch's mean squared errors


class Fill:
    """The first layer of an encoder whose x may lack cells: y = x, but 0 where x is missing.

    0 is the mean of a standardised feature. With `mask` columns, their m_d (1 where x_d is
    observed, else 0) stand beside x: y (B, D + mask), so that the encoder can tell 0 from missing.
    """

    def __init__(self, mask: int = 0) -> None:
        self.mask = mask

    def __call__(self, x: Array) -> Array:
        m, xp = x == x, array_module(x)  # NaN alone equals nothing, not even itself
        y = xp.where(m, x, 0.0)
        return xp.concatenate([y, m[:, : self.mask].astype(x.dtype)], axis=1) if self.mask else y

    def forward(self, x: Array) -> Array:
        self.m = x == x
        return self(x)

    def backward(self, dy: Array) -> Array:
        return dy[:, : self.m.shape[1]] * self.m


class Columns:
    """What the likelihoods of a table share: the sum over the observed cells.

        nll = Σ_d m_d nll_d                 m_d = 1 where x_d is observed, 0 where it is missing
        dy  = dnll · m · ∂nll/∂y            so a missing cell has no gradient

    To integrate p(x|z) over a missing cell gives a factor of 1, so this is −log p(x_observed|z). It
    is all that there is to maximise if cells are missing at random: whether one is may depend on
    what was observed, but not on the missing value itself (Mattei & Frellsen 2019).
    """

    cells: Any  # of (y, x), where all cells are observed: nll_d of each (B, D)
    slope: Any  # and ∂nll/∂y (B, D)
    sigma, moves, ops = None, False, Ops()  # moves: whether `move` has something to move

    def observed_cells(self, y: Array, x: Array) -> Array:
        """Return m_d nll_d of each cell (B, D)."""
        m = x == x
        return self.cells(y, array_module(x).where(m, x, 0.0)) * m

    def nll(self, y: Array, x: Array) -> Array:
        """Return −log p(x|z) of each example (B,), and remember nothing."""
        return self.observed_cells(y, x).sum(axis=1)

    def forward(self, y: Array, x: Array) -> Array:
        """Return nll (B,), and remember y and x for `backward`."""
        self.y, self.x = y, x
        return self.nll(y, x)

    def backward(self, dnll: Any) -> Array:
        """Return dy (B, D) from dnll: a column (B, 1), not (B,), or one number for all."""
        m, self.dnll = self.x == self.x, dnll
        return self.slope(self.y, array_module(m).where(m, self.x, 0.0)) * m * dnll

    def move(self) -> None:
        """Move what is learned without a gradient, after a step: here nothing."""


class DiagonalGaussian(Columns):
    """x_d ~ N(y_d, σ_d²): each feature has a noise of its own, as in factor analysis.

        nll_d = ½ (x_d − y_d)² / σ_d² + ½ log 2πσ_d²
        dy_d  = dnll · (y_d − x_d) / σ_d²

    σ² is a buffer beside θ, a constant in forward and backward pass: the loss is a function of θ
    and eps alone. (A small batch's own σ² would follow its errors, and weigh them too much.) With
    the rows' weights w_n in the loss (equal in a VAE; of an IWAE's draws, ŵ), it is smallest where

        Σ_n w_n m_nd (½ / σ_d² − ½ (x_nd − y_nd)² / σ_d⁴) = 0
        σ_d² = Σ_n w_n m_nd (x_nd − y_nd)² / Σ_n w_n m_nd         a mean squared error

    `move`, after each step, goes a part RATE of the way to the batch's; at the end of a training
    `fit` takes that of all rows. A linear VAE with it is factor analysis, x ~ N(b, WᵀW + diag σ²).

    Parameters
    ----------
    variance : array (D,), or (1,) for one σ² of all features
        The first σ², on the model's backend and in its dtype.
    moves : bool
        Whether `move` moves it.
    """

    def __init__(self, variance: Array, moves: bool = True) -> None:
        self.variance, self.moves = variance, moves

    @property
    def sigma(self) -> Any:
        """The standard deviations of p(x|z) (D,), on the host; one float if all share it."""
        variance = self.variance
        host = variance if isinstance(variance, np.ndarray) else variance.get()
        sigma = np.sqrt(host.astype("float64"))
        return float(sigma[0]) if len(sigma) == 1 else sigma

    @sigma.setter
    def sigma(self, sigma: Any) -> None:
        sigma = np.array([values.sigma(float(value)) for value in np.ravel(sigma)])
        if sigma.shape not in ((1,), self.variance.shape):
            raise ValueError(f"sigma has {len(sigma)} values for {len(self.variance)} features")
        xp = array_module(self.variance)
        self.variance = xp.zeros_like(self.variance) + xp.asarray(sigma**2, self.variance.dtype)

    def cells(self, y: Array, x: Array) -> Array:
        log = array_module(x).log(2 * math.pi * self.variance)  # (D,)
        return 0.5 * ((x - y) ** 2 / self.variance + log)

    def slope(self, y: Array, x: Array) -> Array:
        return (y - x) / self.variance

    def mean(self, y: Array) -> Array:
        """Return the mean of p(x|z) (B, D)."""
        return y

    def sample(self, y: Array, rng: Any) -> Array:
        """Return a draw of x (B, D) from p(x|z)."""
        noise = rng.standard_normal(y.shape, dtype=y.dtype)
        return y + array_module(y).sqrt(self.variance) * noise

    def squares(self, y: Array, x: Array) -> Array:
        """Return m (x − y)² of each cell, and m beside it (B, 2D)."""
        m, xp = x == x, array_module(x)
        error = xp.where(m, x - y, 0.0)
        return xp.concatenate([error * error, m.astype(error.dtype)], axis=1)

    def move(self) -> None:
        """Move σ² towards the mean squared errors of the last batch, over all ranks' rows."""
        w = self.dnll / self.dnll.mean() if hasattr(self.dnll, "mean") else 1.0
        if self.moves:
            self.move_to(self.ops.batch_mean(w * self.squares(self.y, self.x)), RATE)

    def move_to(self, means: Array, rate: float = 1.0) -> None:
        """Move σ² by `rate` towards what the means (2D,) of `squares` say, where there are any."""
        D, n, xp = len(means) // 2, len(self.variance), array_module(means)
        error, count = means[:D], means[D:]
        if n < D:
            error, count = error.sum(axis=0, keepdims=True), count.sum(axis=0, keepdims=True)
        target = xp.maximum(error / xp.where(count > 0.0, count, 1.0), MIN_VARIANCE)
        moved = (1.0 - rate) * self.variance + rate * target
        self.variance = xp.where(count > 0.0, moved, self.variance)


class IndependentBernoulli(Columns, Bernoulli):
    """x_d ∈ {0, 1}, with the probability sigmoid(y_d) of a 1: `Bernoulli`, cell by cell.

    nll_d = softplus(y_d) − x_d y_d
    dy_d  = dnll · (sigmoid(y_d) − x_d)
    """

    def cells(self, y: Array, x: Array) -> Array:
        return cross_entropy(sigmoid(y), y, x)

    def slope(self, y: Array, x: Array) -> Array:
        return sigmoid(y) - x


class Categorical(Columns):
    """One of K categories, x one-hot, with the probabilities p = softmax(y).

        p_k = e^(y_k) / Σ_j e^(y_j),      log p_k = y_k − log Σ_j e^(y_j)
        nll = −Σ_k x_k log p_k

    The derivative of log Σ_j e^(y_j) by y_k is e^(y_k) / Σ_j e^(y_j) = p_k, and Σ_k x_k = 1, so

        ∂nll/∂y_k = p_k Σ_j x_j − x_k,      dy = dnll · (p − x)
    """

    def cells(self, y: Array, x: Array) -> Array:
        return -x * log_softmax(y)

    def slope(self, y: Array, x: Array) -> Array:
        return self.mean(y) - x

    def mean(self, y: Array) -> Array:
        """Return p (B, K), the mean of p(x|z)."""
        return array_module(y).exp(log_softmax(y))

    def sample(self, y: Array, rng: Any) -> Array:
        """Return a draw of x (B, K), one-hot: the first k with p_1 + … + p_k ≥ u, u uniform."""
        p, u, K = self.mean(y), rng.random((len(y), 1), dtype=y.dtype), y.shape[1]
        below = [p[:, : k + 1].sum(axis=1, keepdims=True) < u for k in range(K - 1)]
        k = sum(below, u * 0.0)  # (B, 1)
        return (k == array_module(y).arange(K)).astype(y.dtype)


def log_softmax(y: Array) -> Array:
    """Return y − log Σ_k e^(y_k) (B, K), with the largest y taken out, so that nothing overflows:
    log Σ_k e^(y_k) = h + log Σ_k e^(y_k − h) for any h."""
    xp = array_module(y)
    y = y - y.max(axis=1, keepdims=True)
    return y - xp.log(xp.exp(y).sum(axis=1, keepdims=True))


class Mixed(DiagonalGaussian):
    """Kinds of columns side by side; the nll of a row is the sum of its variables'.

    Parameters
    ----------
    variance : array (D,); of columns that are not Gaussian it has no meaning, and stays
    columns : list of (str, int)
        From left to right ("gaussian", n), ("bernoulli", n), or, for one variable of K categories,
        ("categorical", K).
    """

    def __init__(self, variance: Array, columns: list[tuple[str, int]], moves: bool = True) -> None:
        super().__init__(variance, moves)
        self.kinds = [kind for kind, _ in columns]
        ends = np.cumsum([0, *(n for _, n in columns)]).tolist()
        self.places = [slice(ends[i], ends[i + 1]) for i in range(len(columns))]
        self.others = 0.0 * variance  # NaN where a column is not Gaussian: it has no square
        for kind, d in zip(self.kinds, self.places, strict=True):
            self.others[d] = 0.0 if kind == "gaussian" else math.nan

    def each(self, method: str, y: Array, *x: Any) -> Array:
        """Return what a method of each variable's likelihood returns, side by side (B, D)."""
        found = []
        for kind, d in zip(self.kinds, self.places, strict=True):
            part: Any = Categorical() if kind == "categorical" else IndependentBernoulli()
            part = DiagonalGaussian(self.variance[d]) if kind == "gaussian" else part
            arguments = [a[:, d] if hasattr(a, "ndim") else a for a in x]
            found.append(getattr(part, method)(y[:, d], *arguments))
        return array_module(y).concatenate(found, axis=1)

    cells, slope = partialmethod(each, "cells"), partialmethod(each, "slope")
    mean, sample = partialmethod(each, "mean"), partialmethod(each, "sample")

    def squares(self, y: Array, x: Array) -> Array:
        return super().squares(y, x + self.others)
