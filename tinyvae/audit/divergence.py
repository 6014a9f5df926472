"""Is the KL the KL? Probed at constant mu and s, and fitted to c1·m² + c2·σ² + c3·log σ² + c4.

m and σ are the mean and the standard deviation of q, as a formula or as measured from a sampler's
draws. The right KL has c1 = c2 = ½ and c3 = −½, times a common weight; every wrong term shows in
the ratio of the three. Nine levels of σ keep the fit well-posed whatever the candidate functions.
"""

import numpy as np

from tinyvae.audit.findings import Finding, error, note, unjudged
from tinyvae.audit.kl_probes import CLOSE, KL, Probes, T
from tinyvae.audit.measure import Term
from tinyvae.audit.wrong_kl import (
    common_weight,
    named_terms,
    to_other_prior,
    unknown_form,
    wrong_form,
)


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
    found = found or wrong_form(probes) or to_other_prior(probes) or unknown_form(probes)
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


def _exact(probes: Probes) -> KL | None:
    """Fit a combination of the three right terms under the given reading."""
    fitted = probes.fit(probes.basis())
    if fitted is None:
        return None
    c, spread = fitted
    terms, doubt = 2 * c[:3] * [1, 1, -1], 2 * T * spread[:3]
    weight = common_weight(terms)
    found = KL(weight / probes.cells, float(doubt.max() / abs(weight)) if weight else 0.0)
    off = np.abs(terms - weight) > CLOSE * abs(weight) + doubt
    if not off.any():
        found.findings += _constant(probes, c, weight) + _additive(probes, c)
        return found
    found.findings += named_terms(terms / weight if weight else terms, off)
    return found


def _as_measured(probes: Probes) -> KL | None:
    """Fit the KL of the mean and σ that the sampler's draws have, within what was measured."""
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
    """Note a left-out −1: it changes no gradient, and shows only in a KL given apart."""
    if "x" in probes.term.roles or probes.term.random:
        return []
    zero = float(c[3] + weight / 2)  # KL at mu = 0, σ = 1
    if abs(zero) < 0.01 * abs(weight):
        return []
    return [note("kl-constant", f"the KL of q = p is {zero / abs(weight):.3g}, not 0", zero, 0.0)]


def _additive(probes: Probes, c: np.ndarray) -> list[Finding]:
    """Check that a mixed batch gives the sum over its cells."""
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
    """Fit free bits or a capacity: the KL where it is large, something else where it is small."""
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
