"""The wrong KLs that people write, by name; what else is not judged."""

import numpy as np

from tinyvae.audit import scales
from tinyvae.audit.findings import Finding, error, unjudged
from tinyvae.audit.kl_probes import CLOSE, KL, Probes


def common_weight(terms: np.ndarray) -> float:
    """Return the common weight: the median of the terms that are there."""
    there = terms[np.abs(terms) > 1e-3 * np.abs(terms).max()]
    return float(np.median(there))


def named_terms(terms: np.ndarray, off: np.ndarray) -> list[Finding]:
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
            return [other_prior(0.0, std)]
    return [error("kl-form", text, float(terms[np.flatnonzero(off)[0]]), 1.0)]


def other_prior(mean: float, std: float) -> Finding:
    prior = f"N({mean:.4g}, {std:.4g}²)"
    text = f"right if the prior is {prior}: pass prior=({mean:.4g}, {std:.4g}) if it is"
    return unjudged("kl-prior", text, std, 1.0)


def wrong_form(probes: Probes) -> KL | None:
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
            weight = common_weight(2 * fitted[0][:3] * [1, 1, -1])
            return KL(weight / probes.cells, 0.0, [error(name.strip(), text)])
    fitted = probes.fit(np.stack([square / variance, 1 / variance, log, one], 1))
    if fitted and np.ptp(2 * fitted[0][:3]) < CLOSE * abs(fitted[0][0]):
        text = "KL(p ‖ q), p and q exchanged: not KL(q ‖ p)"
        return KL(2 * fitted[0][0] / probes.cells, 0.0, [error("kl-form", text)])
    fitted = probes.fit(np.stack([square, variance, s * variance, log, one], 1))
    if fitted:
        weight = common_weight(2 * fitted[0][[0, 1, 3]] * [1, 1, -1])
        return KL(weight / probes.cells, 0.0, [error("kl-form", "s·σ² besides")])
    return None


def to_other_prior(probes: Probes) -> KL | None:
    """Fit the KL to a prior of another mean, and perhaps of another width."""
    basis = np.column_stack([probes.basis(), probes.m])
    fitted = probes.fit(basis)
    if fitted is None:
        return None
    square, variance, log, _, linear = 2 * fitted[0] * [1, 1, -1, 1, 1]
    alike = abs(square - variance) < 0.01 * abs(log) and square * log > 0
    if not alike:
        return None
    mean, std = -linear / (2 * square), float(np.sqrt(log / square))
    return KL(log / probes.cells, 0.0, [other_prior(float(mean), std)])


def unknown_form(probes: Probes) -> KL:
    square, variance, log, _ = probes.basis().T
    words = probes.term.reading.words
    text = f"no combination of mu², σ² and log σ² explains it (σ = {words}): not the KL to N(0, 1)"
    nats = 0.5 * (square + variance - 1 - log)
    weight = float(np.polyfit(nats, probes.value, 1)[0])
    return KL(weight / probes.cells, 0.0, [unjudged("kl-unknown", text)])
