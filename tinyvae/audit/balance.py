"""How much the KL weighs against the reconstruction, and whether that is what was meant.

The squared error is the likelihood of a Gaussian whose σ is free, so every constant balance is a
choice: it is stated, as β at σ = 1. A cross-entropy leaves no such freedom. A balance that changes
with the batch size is an error for both.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinyvae.audit.calls import numbers_in
from tinyvae.audit.divergence import KL
from tinyvae.audit.exponents import Law, law
from tinyvae.audit.findings import Finding, error, note, value
from tinyvae.audit.measure import Sizes, Term
from tinyvae.audit.reconstruction import Reconstruction
from tinyvae.audit.scales import encoder_output

SMALLEST = {"B": 8, "L": 8, "D": 64}  # a smaller number in the code is hardly a size
CLOSE = 5e-3  # of β, beside the uncertainty of a Monte Carlo estimate


@dataclass
class Balance:
    """Findings and, where both terms are known, the effective β at the audit's sizes."""

    findings: list[Finding]
    beta: float | None = None


def kl_law(term: Term, found: KL) -> Law:
    """The weight of Σ KL over batch and latents."""
    s = float(encoder_output(term.scale, np.array(1.0)))

    def effect(sizes: Sizes) -> float:
        far, near = term.mean(sizes, 8, mu=2.5, s=s)[0], term.mean(sizes, 8)[0]
        return (far - near) / (sizes.B * sizes.L)

    return law(term, found.weight, effect, "BLD" if "x" in term.roles else "BL")


def reconstruction_law(term: Term, found: Reconstruction) -> Law:
    """The weight of Σ nll over batch and pixels."""

    def effect(sizes: Sizes) -> float:
        x = term.target
        far, near = term(sizes, x=x, x_hat=0.97), term(sizes, x=x, x_hat=0.2)
        return (far - near) / (sizes.B * sizes.D)

    return law(term, found.weight, effect, "BLD" if "mu" in term.roles else "BD")


def _near(number: float, targets: list[float], doubt: float) -> bool:
    return any(abs(number - t) <= (CLOSE + doubt) * abs(t) for t in targets)


def _reduced(powers: Law, what: str, axis: str) -> str:
    """For instance "summed over latents, averaged over the batch"."""
    words = []
    for name, place in ((axis, what), ("B", "the batch")):
        mean = powers[name] == -1
        unknown = name in powers.fixed and powers.powers.get(name) is None
        words.append(f"{'averaged' if mean else 'summed'} over {place}" + "?" * unknown)
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
    elif k < 0:
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
    """Judge the weight of a KL that was given without a reconstruction."""
    if not found.weight:
        return []
    weight = kl_law(term, found)
    text = f"weight {weight.constant:.4g}, {_reduced(weight, 'latents', 'L')}"
    findings = [value("kl", text, weight.constant)]
    findings += _latents(weight)
    if _near(weight.constant, [2.0 * (beta or 1.0)], found.uncertainty) and beta != 2:
        findings.append(_half(weight.constant))
    return findings


def audit_reconstruction_alone(term: Term, found: Reconstruction) -> list[Finding]:
    """State the weight of a reconstruction that was given without a KL."""
    if not found.weight:
        return []
    return _described(found, reconstruction_law(term, found))


def _described(found: Reconstruction, weight: Law) -> list[Finding]:
    factor = weight.constant / (2.0 if "squared error" in found.form else 1.0)
    text = f"{factor:.4g} × {found.form}, {_reduced(weight, 'pixels', 'D')}"
    findings = [value("reconstruction", text, factor)]
    if found.form == "squared error" and abs(factor - 1) < CLOSE and weight["D"] == 0:
        text = "Σ (x − x_hat)² without ½: a Gaussian with σ² = ½"
        findings.append(note("squared-error-no-half", text, factor, 0.5))
    return findings


def _latents(kl: Law, kind: Callable[..., Finding] = error) -> list[Finding]:
    if kl["L"] != -1:
        return []
    text = "the KL is averaged over the latent dimensions: its weight is 1/L of what it should be"
    return [kind("kl-mean-over-latents", text, -1.0, 0.0)]


def _half(constant: float) -> Finding:
    text = f"the KL has the weight {constant:.4g}: its ½ is missing (if it is meant, say beta=)"
    return error("kl-half", text, constant, 1.0)


def audit_balance(
    kl_term: Term, kl: KL, rec_term: Term, rec: Reconstruction, beta: float | None
) -> Balance:
    """Compare the weights of the two terms, which may come from one function or from two."""
    if not kl.weight:
        findings = audit_reconstruction_alone(rec_term, rec)
        return Balance(findings, 0.0 if rec.weight else None)
    if not rec.weight:
        return Balance(audit_kl_alone(kl_term, kl, beta))
    k, r = kl_law(kl_term, kl), reconstruction_law(rec_term, rec)
    ratio, effective = k.over(r), kl.weight / rec.weight
    if kl_term is not rec_term:
        effective = ratio.constant * _product(ratio, rec_term.sizes, kl_term.sizes)
    findings = _described(rec, r)
    findings.append(value("kl", f"weight {k.constant:.4g}, {_reduced(k, 'latents', 'L')}"))
    findings.append(_stated(ratio, effective, rec, rec_term.sizes))
    if rec.form.startswith("norm"):
        return Balance(findings, effective)
    apart = kl_term is not rec_term
    case = Case(k, r, ratio, effective, rec.squared, beta, kl.uncertainty, apart, kl_term)
    findings += _judged(case)
    return Balance(findings, effective)


def _product(powers: Law, data: Sizes, latents: Sizes) -> float:
    return data.B ** powers["B"] * latents.L ** powers["L"] * data.D ** powers["D"]


def _stated(ratio: Law, effective: float, rec: Reconstruction, sizes: Sizes) -> Finding:
    where = f"B = {sizes.B}, L = {sizes.L}, D = {sizes.D}"
    varies = any(ratio[name] for name in "BLD")
    text = f"effective β = {ratio}" + (f" = {effective:.4g} at {where}" if varies else "")
    if ratio.fixed:
        text += f" (measured at {where} only)" * (not varies)
    if ratio.ambiguous:
        text += f", which may be {ratio.ambiguous}"
    if rec.form == "squared error":
        text += f" at σ = 1; the same as β = 1 with σ² = {effective:.4g}"
    return value("balance", text, effective, 1.0)


@dataclass
class Case:
    """All that a verdict on a balance rests on: the two weights, their quotient, what was meant."""

    kl: Law
    reconstruction: Law
    ratio: Law
    effective: float  # β at the audit's sizes
    squared: bool  # whether σ is free
    beta: float | None  # as stated
    doubt: float
    apart: bool  # whether KL and reconstruction are two functions, β perhaps outside of them
    term: Term

    @property
    def halves(self) -> list[float]:
        """1, and ½ for a squared error that lacks its ½."""
        return [1.0, 0.5] if self.squared else [1.0]

    @property
    def expected(self) -> list[float]:
        """The values of β that are right."""
        meant = 1.0 if self.beta is None else self.beta
        return [meant * half for half in self.halves] + ([1.0] if self.apart else [])

    def near(self, number: float, targets: list[float]) -> bool:
        """Whether a number is one of the targets, within what was measured."""
        return _near(number, targets, self.doubt)


def _judged(case: Case) -> list[Finding]:
    """The errors of a balance: what depends on sizes first, then the constant."""
    ratio, meant = case.ratio, case.expected[0]
    own = _hard_coded(ratio, case.expected, case.term)
    if any(ratio[n] for n in "BLD") and (own or case.near(case.effective, case.expected)):
        where = f", right at {own}, which the code mentions" if own else ", right at these sizes"
        text = f"the balance holds for one size only: effective β = {ratio}{where}"
        return [note("sizes-hard-coded", text, case.effective, meant)]
    findings: list[Finding] = []
    if ratio["B"] != 0:
        text = f"one term is summed over the batch, the other averaged: effective β = {ratio}"
        findings.append(error("batch-reduction-mismatch", text, ratio["B"], 0.0))
    both_means = case.squared and case.reconstruction["D"] == -1
    findings += _latents(case.kl, note if both_means else error)
    if ratio["D"] > 0:
        text = f"the reconstruction is averaged over pixels, the KL is not: β = {ratio}"
        kind = note if case.squared else error
        findings.append(kind("pixel-mean", text, case.effective, meant))
    return findings + _constant(case)


def _constant(case: Case) -> list[Finding]:
    """Judge the number that is left when all sizes are divided out."""
    c, beta, ratio = case.ratio.constant, case.beta, case.ratio
    right = case.near(c, case.expected)
    lacks_half = case.near(case.kl.constant, [2.0 * (beta or 1.0)])
    if lacks_half and (not right or case.reconstruction["D"] == -1):
        return [_half(case.kl.constant)]
    if beta is None or right:
        if case.squared and beta in (2.0, 0.5):
            text = "2 and ½ are mixed up with the ½ of the squared error: audit with β = 3"
            return [note("beta-unclear", text)]
        return []
    if any(ratio.powers.get(n) is None for n in ratio.fixed):
        return [note("balance-unclear", "pass sizes that the function takes besides its own")]
    weights = f"the KL has the weight {case.kl.constant:.4g}, effective β = {ratio}"
    if beta != 1 and case.near(c, case.halves):
        return [
            error("beta-unused", f"{weights}: the stated beta {beta:g} has no part in it", c, beta)
        ]
    if beta != 1 and case.near(c, [beta**2 * half for half in case.halves]):
        return [
            error("beta-twice", f"{weights}: with beta², not the stated beta {beta:g}", c, beta)
        ]
    slightly = any(abs(c / e - 1) < 0.1 for e in case.expected)
    kind = error if not case.squared or slightly else note
    return [kind("beta-off", f"{weights}: not the stated beta {beta:g}", c, beta)]


def _hard_coded(ratio: Law, expected: list[float], term: Term) -> str:
    """Whole numbers in the code that, taken as the sizes, make the balance right."""
    hints = numbers_in(term.function.function)
    numbers = sorted({n for kind in hints.values() for n in kind if n >= SMALLEST["B"]})[:40]
    names = [n for n in "BLD" if ratio[n]]
    powers = {ratio[n] for n in names}
    if len(names) > 1 and len(powers) == 1:  # the code may hold the product alone
        power = powers.pop()
        for n in numbers:
            if _near(ratio.constant * n**power, expected, 0.0):
                return f"{'·'.join(names)} = {n}"
    for sizes in itertools.product(numbers, repeat=len(names)) if len(names) < 3 else ():
        value_there = ratio.constant
        for name, size in zip(names, sizes, strict=True):
            value_there *= size ** ratio[name]
        likely = all(size >= SMALLEST[n] for n, size in zip(names, sizes, strict=True))
        if names and likely and _near(value_there, expected, 0.0):
            return ", ".join(f"{n} = {size}" for n, size in zip(names, sizes, strict=True))
    return ""
