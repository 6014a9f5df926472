"""How much the KL weighs against the reconstruction, and whether that is what was meant.

The squared error is the likelihood of a Gaussian whose σ is free, so every constant balance is a
choice: it is stated, as β at σ = 1. A cross-entropy leaves no such freedom. A balance that changes
with the batch size is an error for both.
"""

from dataclasses import dataclass

import numpy as np

from tinyvae.audit.case import CLOSE, Case, half_missing, judged, near, of_batch
from tinyvae.audit.divergence import KL
from tinyvae.audit.exponents import Law, law
from tinyvae.audit.findings import Finding, error, note, value
from tinyvae.audit.forms import Reconstruction
from tinyvae.audit.measure import Term
from tinyvae.audit.sizes import Sizes

PLACES = {"B": "the batch", "L": "latents", "D": "pixels"}
SIZES = {"B": "the batch size", "L": "the latent size", "D": "the number of pixels"}


@dataclass
class Balance:
    """Findings and, where both terms are known, the effective β at the audit's sizes."""

    findings: list[Finding]
    beta: float | None = None


def kl_law(term: Term, found: KL) -> Law:
    """Return the weight of Σ KL over batch and latents."""
    s = term.reading.s_at(1.0)
    low, high = (16.0, 32.0) if found.far else (0.0, 2.5)

    def effect(sizes: Sizes) -> float:
        at = s if found.far else term.unit
        far, near = term.mean(sizes, 8, mu=high, s=s)[0], term.mean(sizes, 8, mu=low, s=at)[0]
        return (far - near) / (sizes.B * sizes.L)

    return law(term, found.weight, effect, "BLD" if "x" in term.roles else "BL", "L")


def reconstruction_law(term: Term, found: Reconstruction) -> Law:
    """Return the weight of Σ nll over batch and pixels; of an unknown form, its powers alone."""
    with term.held():
        return _reconstruction_law(term, found)


def _reconstruction_law(term: Term, found: Reconstruction) -> Law:
    names = "BLD" if "mu" in term.roles else "BD"
    if found.known and not found.categories:

        def effect(sizes: Sizes) -> float:
            x = term.target
            far, near = term(sizes, x=x, x_hat=0.97), term(sizes, x=x, x_hat=0.2)
            return (far - near) / (sizes.B * sizes.D)

        return law(term, found.weight, effect, names, "D")
    sizes, pixels = term.sizes, term.sizes.pixels
    axis = 0 if found.categories == "last" and len(pixels) > 1 else len(pixels) - 1
    doubled = tuple(n * (2 if i == axis else 1) for i, n in enumerate(pixels))
    others = {"B": sizes._replace(B=2 * sizes.B), "D": sizes._replace(pixels=doubled)}
    rng = np.random.default_rng(7)
    x, a, b = rng.uniform(0.1, 0.9, (3, *pixels))
    x = np.round(x) if term.target == 1 else x
    if found.categories:
        x = (x == x.max(axis=1 - axis, keepdims=True)).astype(float) if len(pixels) > 1 else x

    def repeated(sizes: Sizes) -> float:
        """Return the same image in each row, beside itself where there is twice the room."""
        times = sizes.pixels[axis] // pixels[axis]
        x_, a_, b_ = (np.concatenate([array] * times, axis=axis) for array in (x, a, b))
        return (term(sizes, x=x_, x_hat=a_) - term(sizes, x=x_, x_hat=b_)) / (sizes.B * sizes.D)

    weight = found.weight if found.known else 1.0
    return law(term, weight, repeated, names.replace("L", ""), "D", others)


def _reduced(powers: Law, axis: str) -> str:
    """For instance "summed over latents, averaged over the batch", in the words of the powers."""
    words = []
    for name in (axis, "B"):
        power, place = powers[name], PLACES[name]
        if powers.powers.get(name) is None:
            words.append(f"? over {place}")
        elif power in (0, -1):
            words.append(f"{'averaged' if power else 'summed'} over {place}")
        elif power == 1:
            words.append(f"summed over {place} and multiplied by {SIZES[name]}")
        else:
            words.append(f"summed over {place}, times {name}^{power:g}")
    rest = [n for n in powers.powers if n not in (axis, "B") and powers[n]]
    words += [f"times {n}^{powers[n]:g}" for n in rest]
    return ", ".join(words)


def signs(kl: KL | None, reconstruction: Reconstruction | None) -> list[Finding]:
    """Judge the signs, and make both weights positive."""
    found: list[Finding] = []
    k = kl.weight if kl else 0.0
    r = reconstruction.weight if reconstruction else 0.0
    if k < 0 and r < 0:
        found.append(
            note("is-elbo", "the value is the ELBO: to be maximised, or its negative taken")
        )
    elif k < 0 and (kl.right or r > 0):
        found.append(error("kl-sign", "the KL counts negatively", -1.0, 1.0))
    elif r < 0:
        found.append(
            error("reconstruction-sign", "the reconstruction counts negatively", -1.0, 1.0)
        )
    if kl:
        kl.weight = abs(k)
    if reconstruction:
        reconstruction.weight = abs(r)
    return found


def audit_kl_alone(term: Term, found: KL, beta: float | None) -> list[Finding]:
    """Judge the weight of a KL that was given without a reconstruction.

    What is right or wrong only beside a reconstruction is a note.
    """
    if not found.weight:
        return []
    weight = kl_law(term, found)
    findings = [value("kl", f"weight {weight.constant:.4g}, {_reduced(weight, 'L')}")]
    if weight["L"] or weight["B"] not in (0, -1):
        text = f"its weight is {weight} (B the batch, L the latents): right only beside a "
        text += "reconstruction that is reduced alike"
        findings.append(note("kl-mean-over-latents" if weight["L"] == -1 else "kl-power", text))
    if near(weight.constant, [2.0 * (beta or 1.0)], found.uncertainty) and beta != 2:
        findings.append(half_missing(weight.constant))
    return findings


def audit_reconstruction_alone(term: Term, found: Reconstruction) -> list[Finding]:
    """State the weight of a reconstruction that was given without a KL."""
    if not found.weight:
        return []
    return _described(found, reconstruction_law(term, found))


def _described(found: Reconstruction, weight: Law) -> list[Finding]:
    factor = weight.constant / (2.0 if found.form.startswith("squared error") else 1.0)
    text = f"{factor:.4g} × {found.form}, {_reduced(weight, 'D')}"
    text = text.replace("pixels", "tokens") if found.categories else text
    findings = [value("reconstruction", text, factor)]
    if found.form.startswith("squared error") and abs(factor - 1) < CLOSE and weight["D"] == 0:
        text = "Σ (x − x_hat)² without ½: a Gaussian with σ² = ½"
        findings.append(note("squared-error-no-half", text, factor, 0.5))
    return findings


def audit_balance(
    kl_term: Term, kl: KL, rec_term: Term, rec: Reconstruction, beta: float | None
) -> Balance:
    """Compare the weights of the two terms, which may come from one function or from two."""
    if not kl.weight:
        findings = audit_reconstruction_alone(rec_term, rec)
        return Balance(findings, 0.0 if rec.weight else None)
    if not rec.weight and rec.known:
        return Balance(audit_kl_alone(kl_term, kl, beta))
    if not rec.known:
        if any(f.name == "reconstruction-missing" for f in rec.findings):
            return Balance(audit_kl_alone(kl_term, kl, beta))
        return _of_unknown_form(kl_term, kl, rec_term, rec)
    k, r = kl_law(kl_term, kl), reconstruction_law(rec_term, rec)
    ratio, effective = k.over(r), kl.weight / rec.weight
    sizes = {"B": rec_term.sizes.B, "L": kl_term.sizes.L, "D": rec_term.sizes.D}
    if kl_term is not rec_term:
        effective = ratio.at(sizes)
    findings = _described(rec, r)
    findings.append(value("kl", f"weight {k.constant:.4g}, {_reduced(k, 'L')}"))
    findings.append(_stated(ratio, effective, rec, sizes))
    if rec.form.startswith("norm"):
        return Balance(findings, effective)
    apart = kl_term is not rec_term
    stated = kl_term.stated | rec_term.stated
    case = Case(k, r, ratio, effective, rec.squared, beta, kl.uncertainty, apart, stated, rec_term)
    if kl_term.schedule or rec_term.schedule:
        text = f"the weight moves with every call: a schedule; now effective β = {effective:.4g}"
        findings.append(note("kl-schedule", text, effective))
        case.beta, case.moving = None, True
    findings += judged(case)
    return Balance(findings, effective)


def _of_unknown_form(kl_term: Term, kl: KL, rec_term: Term, rec: Reconstruction) -> Balance:
    """Judge the powers of a balance whose reconstruction is of an unknown form."""
    k, r = kl_law(kl_term, kl), reconstruction_law(rec_term, rec)
    findings = [value("kl", f"weight {k.constant:.4g}, {_reduced(k, 'L')}")]
    findings.append(value("reconstruction", f"unknown form, {_reduced(r, 'D')}"))
    ratio = k.over(r)
    ratio.constant = 1.0
    if ratio["B"] and "B" not in ratio.odd:
        findings.append(of_batch(ratio))
    return Balance(findings)


def _stated(ratio: Law, effective: float, rec: Reconstruction, sizes: dict[str, int]) -> Finding:
    where = ", ".join(f"{name} = {size}" for name, size in sizes.items())
    varies = any(ratio[name] for name in "BLD")
    text = f"effective β = {ratio}" + (f" = {effective:.4g} at {where}" if varies else "")
    if ratio.fixed:
        text += f" (measured at {where} only)" * (not varies)
    if ratio.ambiguous:
        text += f", which may be {ratio.ambiguous}"
    if rec.form == "squared error":
        text += f" at σ = 1; the same as β = 1 with σ² = {effective:.4g}"
    return value("balance", text, effective, 1.0)
