"""Is the KL the KL? Probed at constant mu and s, and fitted to c1·mu² + c2·σ² + c3·log σ² + c4.

The right formula has c1 = c2 = ½ and c3 = −½, times a common weight; every wrong term shows in the
ratio of the three. Nine levels of σ keep the fit well-posed whatever the candidate functions.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tinyvae.audit import scales
from tinyvae.audit.findings import Finding, error, note
from tinyvae.audit.measure import Term

LOGVARS = np.linspace(-4.0, 2.0, 9)
MUS = np.array([0.0, 0.8, -1.7, 2.5])
CLOSE = 5e-3  # of the ratios of the terms
T = 12  # standard errors: P(|t| > 12) < 1e-12 for the 31 degrees of freedom of 32 calls


@dataclass
class KL:
    """What was found: the weight of Σ KL over batch and latents, and its relative uncertainty."""

    weight: float = 0.0
    uncertainty: float = 0.0
    findings: list[Finding] = field(default_factory=list)


class Probes:
    """The values of a KL at constant mu and s."""

    def __init__(self, term: Term) -> None:
        self.term, scale = term, term.scale
        logvars, mus = (LOGVARS[::2], MUS[1:]) if term.random else (LOGVARS, MUS)
        self.m, logvar = (a.ravel() for a in np.meshgrid(mus, logvars, indexing="ij"))
        self.s = scales.encoder_output(scale, logvar)
        points = [term.mean(mu=m, s=s) for m, s in zip(self.m, self.s, strict=True)]
        self.value, self.error = np.array(points).T
        if not np.isfinite(self.value).all():
            s = self.s[~np.isfinite(self.value)][0]
            hint = " (a standard deviation there? then pass scale='std')" if s < 0 else ""
            raise ValueError(f"{term.function.name} returned NaN or infinity at s = {s:.4g}{hint}")
        self.range = float(np.ptp(self.value))
        floor = 2e-6 if term.function.narrow else 1e-11
        self.tolerance = 3e-4 * self.range + floor * float(np.abs(self.value).max())
        self.cells = term.sizes.B * term.sizes.L

    def basis(self, reading: str) -> np.ndarray:
        """Columns mu², σ², log σ² and 1 (n, 4), with σ read from s in one of the known ways."""
        with np.errstate(all="ignore"):
            variance = scales.READINGS[reading](self.s) ** 2
            return np.stack([self.m**2, variance, np.log(variance), np.ones_like(self.m)], axis=1)

    def fit(self, basis: np.ndarray, keep: slice | np.ndarray = slice(None)):
        """Coefficients and their errors, or None where the basis does not explain the values."""
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


def audit_kl(term: Term) -> KL:
    """Return the weight of the KL and what is wrong with its form.

    Raises
    ------
    ValueError
        It returned NaN or infinity.
    """
    probes = Probes(term)
    if probes.range <= 1e-6 * (1 + np.abs(probes.value).max()):
        return KL(findings=[error("kl-missing", "the loss does not depend on mu and s", 0.0, 1.0)])
    found = _exact(probes) or _thresholded(probes) or _wrong(probes)
    if term.random and not any(f.kind == "error" for f in found.findings):
        text = "a Monte Carlo estimate, averaged over 32 calls"
        found.findings.append(note("kl-monte-carlo", text))
    return found


def _exact(probes: Probes) -> KL | None:
    """A combination of the three right terms under the stated scale."""
    fitted = probes.fit(probes.basis(probes.term.scale))
    if fitted is None:
        return None
    c, spread = fitted
    terms, doubt = 2 * c[:3] * [1, 1, -1], 2 * T * spread[:3]
    weight = float(np.median(terms))
    found = KL(weight / probes.cells, float(doubt.max() / abs(weight)) if weight else 0.0)
    off = np.abs(terms - weight) > CLOSE * abs(weight) + doubt
    if not off.any():
        found.findings += _constant(probes, c, weight) + _additive(probes, c)
        return found
    found.findings.append(_named(terms / weight if weight else terms, off))
    return found


def _constant(probes: Probes, c: np.ndarray, weight: float) -> list[Finding]:
    """A left-out −1 changes no gradient; it shows only in a KL given apart."""
    if "x" in probes.term.roles or probes.term.random:
        return []
    zero = float(c[3] + weight / 2)  # KL at mu = 0, σ = 1
    if abs(zero) < 0.01 * abs(weight):
        return []
    return [note("kl-constant", f"the KL of q = p is {zero / abs(weight):.3g}, not 0", zero, 0.0)]


def _named(terms: np.ndarray, off: np.ndarray) -> Finding:
    """Name the term whose ratio to the others is not 1."""
    names = ["mu²", "σ²", "log σ²"]
    text = "the terms mu², σ², −log σ² stand in the ratio " + " : ".join(f"{t:.3g}" for t in terms)
    text += " (expected 1 : 1 : 1)"
    if off.sum() == 1:
        i = int(np.flatnonzero(off)[0])
        ratio = float(terms[i])
        if abs(ratio) < 0.01:
            missing = ["kl-missing-mu", "kl-missing-variance", "kl-missing-log"]
            return error(missing[i], f"{names[i]} is missing: {text}", 0.0, 1.0)
        if abs(ratio + 1) < 0.02:
            return error("kl-sign", f"the sign of {names[i]}: {text}", ratio, 1.0)
        if i == 2 and min(abs(ratio - 2), abs(ratio - 0.5)) < 0.02:
            return error("kl-log-sigma", f"log σ and log σ² are mixed up: {text}", ratio, 1.0)
    return error("kl-form", text, float(terms[np.flatnonzero(off)[0]]), 1.0)


def _additive(probes: Probes, c: np.ndarray) -> list[Finding]:
    """A mixed batch must give the sum over its cells."""
    term = probes.term
    if term.random:
        return []
    rng = np.random.default_rng(2)
    shape = (term.sizes.B, term.sizes.L)
    mu, logvar = rng.normal(size=shape), rng.choice(LOGVARS, size=shape)
    expected = (c[:3] @ [np.mean(mu**2), np.mean(np.exp(logvar)), np.mean(logvar)]) + c[3]
    seen = term(mu=mu, s=scales.encoder_output(term.scale, logvar))
    if abs(seen - expected) <= 10 * probes.tolerance:
        return []
    text = "right where all examples are equal, but not the sum over a mixed batch"
    return [error("kl-form", text, seen, float(expected))]


def _thresholded(probes: Probes) -> KL | None:
    """Free bits or a capacity: the KL where it is large, something else where it is small."""
    basis = probes.basis(probes.term.scale)
    nats = 0.5 * (basis[:, 0] + basis[:, 1] - 1 - basis[:, 2])
    for quantile in (0.3, 0.5, 0.7):
        high = nats > np.quantile(nats, quantile)
        fitted = probes.fit(basis, high)
        if fitted is None:
            continue
        weight = float(np.median(2 * fitted[0][:3] * [1, 1, -1]))
        straight = np.abs(2 * fitted[0][:3] * [1, 1, -1] - weight).max() < CLOSE * abs(weight)
        if straight:
            text = (
                "a small KL counts otherwise (free bits? a capacity?); the weight is a large one's"
            )
            return KL(weight / probes.cells, 0.0, [note("kl-free-bits", text)])
    return None


def _wrong(probes: Probes) -> KL:
    """Try the known wrong forms, the simplest first."""
    scale = probes.term.scale
    m, s, one = probes.m, probes.s, np.ones_like(probes.m)
    square, variance, log, _ = probes.basis(scale).T
    forms = {
        "kl-std-not-var": (np.stack([square, np.sqrt(variance), log, one], 1), "σ in place of σ²"),
        "kl-mu-not-squared": (np.stack([m, variance, log, one], 1), "mu in place of mu²"),
    }
    for reading in scales.READINGS:
        if reading != scale:
            text = f"right only if σ = {scales.WORDS[reading]} (scale='{reading}'?)"
            fitted = probes.fit(probes.basis(reading))
            terms = 2 * fitted[0][:3] * [1, 1, -1] if fitted else np.zeros(3)
            weight = float(np.median(terms))
            if weight and (np.abs(terms - weight) < CLOSE * abs(weight) + 1e-9).all():
                return KL(weight / probes.cells, 0.0, [error("kl-log-sigma", text)])
    forms |= {
        "kl-log-sigma": (
            np.stack([square, variance**2, log, one], 1),
            "exp(2 s) in place of exp(s)",
        ),
        "kl-mu-not-squared ": (np.stack([np.abs(m), variance, log, one], 1), "|mu| for mu²"),
        "kl-form": (np.stack([square, variance, s * variance, log, one], 1), "s·σ² besides"),
    }
    for name, (basis, text) in forms.items():
        fitted = probes.fit(basis)
        if fitted:
            weight = float(np.median(2 * fitted[0][:3] * [1, 1, -1]))
            return KL(weight / probes.cells, 0.0, [error(name.strip(), text)])
    text = f"no combination of mu², σ² and log σ² explains it (σ = {scales.WORDS[scale]})"
    weight = _slope(probes, 0.5 * (square + variance - 1 - log))
    return KL(weight / probes.cells, 0.0, [error("kl-form", text)])


def _slope(probes: Probes, nats: np.ndarray) -> float:
    return float(np.polyfit(nats, probes.value, 1)[0])
