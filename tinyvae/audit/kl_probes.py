"""The values of a KL at constant mu and s, beside the mean and the σ of q there."""

from dataclasses import dataclass, field

import numpy as np

from tinyvae.audit import scales
from tinyvae.audit.findings import Finding
from tinyvae.audit.measure import Term

MUS = np.array([0.0, 0.8, -1.7, 2.5])
FAR = np.array([8.0, 16.0, 32.0])  # free bits and capacities end before
CLOSE = 5e-3  # of the ratios of the terms
T = 12  # standard errors: P(|t| > 12) < 1e-12 for the 31 degrees of freedom of 32 calls


@dataclass
class KL:
    """What was found: the weight of Σ KL over batch and latents, and its relative uncertainty.

    `far` tells that the weight is that of a large KL, `form` whether the formula was recognised.
    """

    weight: float = 0.0
    uncertainty: float = 0.0
    findings: list[Finding] = field(default_factory=list)
    far: bool = False

    @property
    def right(self) -> bool:
        """Return whether the formula is the KL."""
        return not any(f.kind in ("error", "not judged") for f in self.findings)


class Probes:
    """The values of a KL at constant mu and s, beside the mean and σ of q there.

    `prior` is the mean and the standard deviation of p: q is seen relative to it.
    """

    def __init__(self, term: Term, prior: tuple[float, float], far: bool = False) -> None:
        self.term, reading = term, term.reading
        self.doubt, self.mean_doubt = reading.doubt, reading.mean_doubt
        mus = MUS[1:] if term.random else MUS
        if reading.mu is not None:
            mus = reading.mu
        mus = FAR if far else mus
        step = 2 if term.random and reading.known else 1
        self.mu, self.s = (a.ravel() for a in np.meshgrid(mus, reading.s[::step], indexing="ij"))
        means = mus if reading.mean is None or far else reading.mean
        means, sigma = np.meshgrid(means, reading.sigma[::step], indexing="ij")
        self.m = (means.ravel() - prior[0]) / prior[1]
        self.variance = np.square(sigma.ravel() / prior[1])
        self.prior = prior
        points = [term.mean(mu=m, s=s) for m, s in zip(self.mu, self.s, strict=True)]
        self.value, self.error = np.array(points).T
        if not np.isfinite(self.value).all():
            s = self.s[~np.isfinite(self.value)][0]
            hint = " (a standard deviation there? then pass scale='std')" if s < 0 else ""
            raise ValueError(f"{term.function.name} returned NaN or infinity at s = {s:.4g}{hint}")
        self.range = float(np.ptp(self.value))
        floor = 2e-6 if term.function.narrow else 1e-11
        share = 1e-5 if far else 3e-4
        self.tolerance = share * self.range + floor * float(np.abs(self.value).max())
        self.cells = term.sizes.B * term.sizes.L

    @property
    def flat(self) -> bool:
        """Return whether the values do not depend on mu and s, within rounding."""
        digits = 1e-6 if self.term.function.narrow else 1e-12
        return self.range <= digits * np.abs(self.value).max()

    def basis(self, reading: str = "") -> np.ndarray:
        """Return m², σ², log σ² and 1 (n, 4), with σ read from s in another known way if named."""
        variance = self.variance
        if reading:
            with np.errstate(all="ignore"):
                variance = np.square(scales.READINGS[reading](self.s) / self.prior[1])
        with np.errstate(all="ignore"):
            return np.stack([self.m**2, variance, np.log(variance), np.ones_like(self.m)], axis=1)

    def slack(self, basis: np.ndarray, weight: float) -> np.ndarray:
        """Return how far the values may be off because m and σ were measured."""
        by_sigma = np.abs(basis[:, 1] - 1) * self.doubt + self.doubt**2 * (1 + basis[:, 1])
        by_mean = np.abs(self.m) * self.mean_doubt + self.mean_doubt**2
        return abs(weight) * (by_sigma + by_mean) * bool(self.doubt)

    def fit(self, basis: np.ndarray, keep: slice | np.ndarray = slice(None)):
        """Return coefficients and their errors, or None where the basis does not fit."""
        basis, value, spread = basis[keep], self.value[keep], self.error[keep]
        if not np.isfinite(basis).all():
            return None
        scale = np.where(spread > 0, spread, np.inf).min() if self.term.random else 1.0
        weight = scale / np.maximum(spread, scale) if self.term.random else np.ones_like(value)
        columns = basis * weight[:, None]
        c, *_ = np.linalg.lstsq(columns, value * weight, rcond=None)
        gaps = np.abs(basis @ c - value)
        if (gaps > self.tolerance + T * spread).any():
            return None
        inverse = np.linalg.pinv(columns.T @ columns)
        return c, np.sqrt(np.abs(np.diag(inverse))) * (scale if self.term.random else 0.0)
