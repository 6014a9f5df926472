"""Is the KL the KL? Probed at constant mu and s, and fitted to c1·m² + c2·σ² + c3·log σ² + c4.

m and σ are the mean and the standard deviation of q, as a formula or as measured from a sampler's
draws. The right KL has c1 = c2 = ½ and c3 = −½, times a common weight; every wrong term shows in
the ratio of the three. Nine levels of σ keep the fit well-posed whatever the candidate functions.
"""

from dataclasses import dataclass, field

import numpy as np

from tinyvae.audit import scales
from tinyvae.audit.findings import Finding, error, note, unjudged
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
        """How far the values may be off because m and σ were measured."""
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


def audit_kl(term: Term, prior: tuple[float, float] = (0.0, 1.0)) -> KL:
    """Return the weight of the KL and what is wrong with its form.

    Raises
    ------
    ValueError
        It returned NaN or infinity.
    """
    probes = Probes(term, prior)
    if probes.flat and term.dtype == "float32":  # a tiny weight beside a large reconstruction
        term.dtype, term.function.narrow = "float64", False
        probes = Probes(term, prior)
        term.dtype = "float64" if not probes.flat else "float32"
    if probes.flat:
        return KL(findings=[_missing(term)])
    if not term.reading.known:
        found = _as_measured(probes)
        return found or KL(findings=[error("kl-form", "the KL is not that of the sampler's q")])
    found = _exact(probes) or _thresholded(term, prior)
    found = found or _wrong(probes) or _other_prior(probes) or _unknown(probes)
    if term.function.uses("mu_p") and found.right:
        found.findings += _learned(probes, found.weight)
    if term.random and found.right:
        text = "a Monte Carlo estimate, averaged over 32 calls"
        found.findings.append(note("kl-monte-carlo", text))
    return found


def _learned(probes: Probes, weight: float) -> list[Finding]:
    """Judge the KL to another prior, where the prior is an argument or a network's output."""
    function = probes.term.function
    found = _to_another(probes, weight)
    if found.kind == "error" and function.flip_prior():
        again = _to_another(probes, weight)
        found = again if again.kind == "note" else found
    return [found]


def _to_another(probes: Probes, weight: float) -> Finding:
    term, cells = probes.term, probes.cells
    mean, logvar = 0.7, 0.8
    term.prior_at = mean, term.reading.s_at(logvar)
    points = [term.mean(mu=m, s=s) for m, s in zip(probes.mu, probes.s, strict=True)]
    seen, doubt = np.array(points).T
    term.prior_at = None
    shifted = np.square(probes.m - mean) - np.square(probes.m)
    away = (np.square(probes.m) + shifted + probes.variance) / np.exp(logvar) + logvar
    here = np.square(probes.m) + probes.variance
    gaps = seen - probes.value - 0.5 * weight * cells * (away - here)
    if (np.abs(gaps) <= 10 * probes.tolerance + T * (doubt + probes.error)).all():
        return note("prior-learned", "the KL is right to another prior too, N(0.7, e^0.8)")
    text = "right to N(0, 1), but not to another prior"
    return error("kl-form", text, float(np.abs(gaps).max()), 0.0)


def _missing(term: Term) -> Finding:
    """Tell a KL that is left out from one whose weight is 0 now."""
    zero = [name for name, number in term.function.weights(False).items() if number == 0]
    if term.schedule or zero:
        where = f" ({', '.join(zero)} = 0)" if zero else ""
        text = f"the weight of the KL is 0 now{where}: a schedule? Audit it after the warm-up"
        return unjudged("kl-schedule", text, 0.0)
    return error("kl-missing", "the loss does not depend on mu and s", 0.0, 1.0)


def _weight(terms: np.ndarray) -> float:
    """The common weight: the median of the terms that are there."""
    there = terms[np.abs(terms) > 1e-3 * np.abs(terms).max()]
    return float(np.median(there))


def _exact(probes: Probes) -> KL | None:
    """A combination of the three right terms under the given reading."""
    fitted = probes.fit(probes.basis())
    if fitted is None:
        return None
    c, spread = fitted
    terms, doubt = 2 * c[:3] * [1, 1, -1], 2 * T * spread[:3]
    weight = _weight(terms)
    found = KL(weight / probes.cells, float(doubt.max() / abs(weight)) if weight else 0.0)
    off = np.abs(terms - weight) > CLOSE * abs(weight) + doubt
    if not off.any():
        found.findings += _constant(probes, c, weight) + _additive(probes, c)
        return found
    found.findings += _named(terms / weight if weight else terms, off)
    return found


def _as_measured(probes: Probes) -> KL | None:
    """The KL of the mean and σ that the sampler's draws have, within what was measured."""
    basis = probes.basis()
    nats = 0.5 * (basis[:, 0] + basis[:, 1] - 1 - basis[:, 2])
    # Where σ is equal, only m² differs, and that is measured best: it gives the weight.
    columns, weights = np.stack([nats, np.ones_like(nats)], axis=1), []
    for s in np.unique(probes.s):
        at = probes.s == s
        weights.append(np.polyfit(basis[at, 0], probes.value[at], 1)[0] * 2)
    weight = float(np.median(weights))
    slack = probes.slack(basis, weight) + probes.tolerance + T * probes.error
    (a, c), *_ = np.linalg.lstsq(columns / slack[:, None], probes.value / slack, rcond=None)
    gaps = np.abs(a * nats + c - probes.value)
    if (gaps > slack).any() or abs(a - weight) > 0.1 * abs(weight):
        return None
    return KL(weight / probes.cells, max(0.01, float(np.ptp(weights)) / abs(weight)))


def _constant(probes: Probes, c: np.ndarray, weight: float) -> list[Finding]:
    """A left-out −1 changes no gradient; it shows only in a KL given apart."""
    if "x" in probes.term.roles or probes.term.random:
        return []
    zero = float(c[3] + weight / 2)  # KL at mu = 0, σ = 1
    if abs(zero) < 0.01 * abs(weight):
        return []
    return [note("kl-constant", f"the KL of q = p is {zero / abs(weight):.3g}, not 0", zero, 0.0)]


def _named(terms: np.ndarray, off: np.ndarray) -> list[Finding]:
    """Name the terms whose ratio to the others is not 1."""
    names = ["mu²", "σ²", "log σ²"]
    text = "the terms mu², σ², −log σ² stand in the ratio " + " : ".join(f"{t:.3g}" for t in terms)
    text += " (expected 1 : 1 : 1)"
    absent = [i for i in range(3) if abs(terms[i]) < 0.01]
    missing = ["kl-missing-mu", "kl-missing-variance", "kl-missing-log"]
    if absent and off.sum() == len(absent):
        return [error(missing[i], f"{names[i]} is missing: {text}", 0.0, 1.0) for i in absent]
    if off.sum() == 1:
        i = int(np.flatnonzero(off)[0])
        ratio = float(terms[i])
        if abs(ratio + 1) < 0.02:
            return [error("kl-sign", f"the sign of {names[i]}: {text}", ratio, 1.0)]
        if i == 2 and min(abs(ratio - 2), abs(ratio - 0.5)) < 0.02:
            return [error("kl-log-sigma", f"log σ and log σ² are mixed up: {text}", ratio, 1.0)]
        if i == 2 and ratio > 0:
            std = float(np.sqrt(ratio))
            return [_prior(0.0, std)]
    return [error("kl-form", text, float(terms[np.flatnonzero(off)[0]]), 1.0)]


def _prior(mean: float, std: float) -> Finding:
    prior = f"N({mean:.4g}, {std:.4g}²)"
    text = f"right if the prior is {prior}: pass prior=({mean:.4g}, {std:.4g}) if it is"
    return unjudged("kl-prior", text, std, 1.0)


def _additive(probes: Probes, c: np.ndarray) -> list[Finding]:
    """A mixed batch must give the sum over its cells."""
    term, reading = probes.term, probes.term.reading
    rng = np.random.default_rng(2)
    shape = (term.sizes.B, *term.sizes.latents)
    level = rng.integers(len(reading.s), size=shape)
    mu, variance = rng.normal(size=shape), np.square(reading.sigma[level] / probes.prior[1])
    m = (mu - probes.prior[0]) / probes.prior[1]
    means = [np.mean(m**2), np.mean(variance), np.mean(np.log(variance))]
    expected = float(c[:3] @ means + c[3])
    seen, doubt = term.mean(mu=mu, s=reading.s[level])
    if term.random:  # the coefficients are estimates too
        doubt += float(probes.error.max()) + 0.005 * abs(expected - float(c[3]))
    if abs(seen - expected) <= 10 * probes.tolerance + T * doubt:
        return []
    text = "right where all examples are equal, but not the sum over a mixed batch"
    return [unjudged("kl-unknown", text, seen, expected)]


def _thresholded(term: Term, prior: tuple[float, float]) -> KL | None:
    """Free bits or a capacity: the KL where it is large, something else where it is small."""
    if term.random:
        return None
    try:
        probes = Probes(term, prior, far=True)
    except ValueError:
        return None
    fitted = probes.fit(probes.basis())
    if fitted is None:
        return None
    terms = 2 * fitted[0][:3] * [1, 1, -1]
    weight = float(np.median(terms))
    if np.abs(terms - weight).max() > 0.02 * abs(weight):
        return None
    text = "a small KL counts otherwise (free bits? a capacity?); the weight is a large one's"
    return KL(float(terms[0]) / probes.cells, 0.0, [note("kl-free-bits", text)], far=True)


def _wrong(probes: Probes) -> KL | None:
    """Try the known wrong forms, the simplest first."""
    m, s, one = probes.m, probes.s, np.ones_like(probes.m)
    square, variance, log, _ = probes.basis().T
    for reading in scales.READINGS:
        if reading != probes.term.reading.name:
            text = f"right only if σ = {scales.WORDS[reading]}"
            text += f" (scale='{reading}'?)" if reading in scales.SCALES else ""
            fitted = probes.fit(probes.basis(reading))
            terms = 2 * fitted[0][:3] * [1, 1, -1] if fitted else np.zeros(3)
            weight = float(np.median(terms))
            if weight and (np.abs(terms - weight) < CLOSE * abs(weight)).all():
                return KL(weight / probes.cells, 0.0, [error("kl-log-sigma", text)])
    forms = {
        "kl-std-not-var": (np.sqrt(variance), square, "σ in place of σ²"),
        "kl-mu-not-squared": (variance, m, "mu in place of mu²"),
        "kl-log-sigma": (variance**2, square, "exp(2 s) in place of exp(s)"),
        "kl-mu-not-squared ": (variance, np.abs(m), "|mu| for mu²"),
    }
    for name, (power, mean, text) in forms.items():
        fitted = probes.fit(np.stack([mean, power, log, one], 1))
        if fitted:
            weight = _weight(2 * fitted[0][:3] * [1, 1, -1])
            return KL(weight / probes.cells, 0.0, [error(name.strip(), text)])
    fitted = probes.fit(np.stack([square / variance, 1 / variance, log, one], 1))
    if fitted and np.ptp(2 * fitted[0][:3]) < CLOSE * abs(fitted[0][0]):
        text = "KL(p ‖ q), p and q exchanged: not KL(q ‖ p)"
        return KL(2 * fitted[0][0] / probes.cells, 0.0, [error("kl-form", text)])
    fitted = probes.fit(np.stack([square, variance, s * variance, log, one], 1))
    if fitted:
        weight = _weight(2 * fitted[0][[0, 1, 3]] * [1, 1, -1])
        return KL(weight / probes.cells, 0.0, [error("kl-form", "s·σ² besides")])
    return None


def _other_prior(probes: Probes) -> KL | None:
    """The KL to a prior of another mean, and perhaps of another width."""
    basis = np.column_stack([probes.basis(), probes.m])
    fitted = probes.fit(basis)
    if fitted is None:
        return None
    square, variance, log, _, linear = 2 * fitted[0] * [1, 1, -1, 1, 1]
    alike = abs(square - variance) < 0.01 * abs(log) and square * log > 0
    if not alike:
        return None
    mean, std = -linear / (2 * square), float(np.sqrt(log / square))
    return KL(log / probes.cells, 0.0, [_prior(float(mean), std)])


def _unknown(probes: Probes) -> KL:
    square, variance, log, _ = probes.basis().T
    words = probes.term.reading.words
    text = f"no combination of mu², σ² and log σ² explains it (σ = {words}): not the KL to N(0, 1)"
    nats = 0.5 * (square + variance - 1 - log)
    weight = float(np.polyfit(nats, probes.value, 1)[0])
    return KL(weight / probes.cells, 0.0, [unjudged("kl-unknown", text)])
