"""Whether a balance is what was meant: what depends on sizes first, then the number left."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from tinyvae.audit.calls import numbers_in
from tinyvae.audit.exponents import Law
from tinyvae.audit.findings import Finding, error, note, unjudged
from tinyvae.audit.measure import Term

CLOSE = 5e-3  # of β, beside the uncertainty of a Monte Carlo estimate
OF_SIZES = ("pixel-mean", "kl-power", "batch-reduction-mismatch", "kl-mean-over-latents")


def near(number: float, targets: list[float], doubt: float) -> bool:
    return any(abs(number - t) <= (CLOSE + doubt) * abs(t) for t in targets)


def half_missing(constant: float) -> Finding:
    text = f"the KL has the weight {constant:.4g}: its ½ is missing (if it is meant, say beta=)"
    return error("kl-half", text, constant, 1.0)


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
    stated: frozenset[str]  # sizes that were passed, or that the functions insist on
    term: Term
    moving: bool = False  # whether the weight follows a schedule

    @property
    def halves(self) -> list[float]:
        """Return 1, and ½ for a squared error that lacks its ½."""
        return [1.0, 0.5] if self.squared else [1.0]

    @property
    def expected(self) -> list[float]:
        """Return the values of β that are right."""
        meant = 1.0 if self.beta is None else self.beta
        return [meant * half for half in self.halves] + ([1.0] if self.apart else [])

    def close(self, number: float, targets: list[float]) -> bool:
        """Return whether a number is one of the targets, within what was measured."""
        return near(number, targets, self.doubt)


def of_batch(ratio: Law) -> Finding:
    text = f"the balance changes with the batch size: effective β = {ratio}"
    if abs(ratio["B"]) == 1:
        text = f"one term is summed over the batch, the other averaged: effective β = {ratio}"
    return error("batch-reduction-mismatch", text, ratio["B"], 0.0)


def judged(case: Case) -> list[Finding]:
    """Return the errors of a balance: what depends on sizes first, then the constant."""
    ratio, meant = case.ratio, case.expected[0]
    left = {n for n in "BLD" if ratio[n]}
    if left and left <= case.stated and case.close(case.effective, case.expected):
        text = f"the balance holds for one size only: effective β = {ratio}, right at these sizes"
        return [note("sizes-hard-coded", text, case.effective, meant)]
    findings: list[Finding] = []
    if ratio.odd:
        text = f"the balance varies with {', '.join(sorted(ratio.odd))} by no whole power"
        findings.append(unjudged("balance-unclear", text))
    if "B" in left:
        findings.append(of_batch(ratio))
    kind = note if case.squared and case.beta is None else error
    if "L" in left:
        text = f"the KL is averaged over the latent dimensions: effective β = {ratio}"
        if case.kl["L"] == -1 == ratio["L"]:
            findings.append(kind("kl-mean-over-latents", text, -1.0, 0.0))
        else:
            text = f"the balance changes with the latent size: effective β = {ratio}"
            findings.append(kind("kl-power", text, ratio["L"], 0.0))
    if "D" in left:
        findings.append(_pixels(case, kind))
    return findings + _constant(case)


def _pixels(case: Case, kind: Callable[..., Finding]) -> Finding:
    """Name a power of D that is left over; a multiplier may be a size that was not passed."""
    ratio, power = case.ratio, case.ratio["D"]
    name = "pixel-mean" if case.reconstruction["D"] < 0 < power else "kl-power"
    text = f"the reconstruction is averaged over pixels, the KL is not: β = {ratio}"
    if name == "kl-power":
        text = f"the balance changes with the number of pixels: β = {ratio}"
    size = (case.expected[0] / ratio.constant) ** (1 / power)
    whole = (
        abs(size - round(size)) < 2e-3 * size
        and size >= 16
        and {"B", "L"}.isdisjoint(n for n in "BL" if ratio[n])
    )
    if whole and "D" not in case.stated:
        text += f"; right at D = {round(size)} only: pass pixels= if your data have that size"
        if kind is error and _is_size(round(size), case.term):
            return unjudged(name, text, case.effective, case.expected[0])
    return kind(name, text, case.effective, case.expected[0])


def _is_size(number: int, term: Term) -> bool:
    """Return whether a number is the size of a square image, or stands under the name of a size."""
    sides = [math.isqrt(number), math.isqrt(number // 3)]
    square = number in (sides[0] ** 2, 3 * sides[1] ** 2) and sides[1] >= 8
    return square or number in numbers_in(term.function.function)["pixels"]


def _constant(case: Case) -> list[Finding]:
    """Judge the number that is left when all sizes are divided out."""
    c, beta, ratio = case.ratio.constant, case.beta, case.ratio
    right = case.close(c, case.expected)
    lacks_half = case.close(case.kl.constant, [2.0 * (beta or 1.0)]) and not case.moving
    if lacks_half and (not right or case.reconstruction["D"] == -1):
        named = case.term.function.weights().items()
        names = [n for n, number in named if near(case.kl.constant, [number], case.doubt)]
        if names and beta is None:
            text = f"the KL has the weight {case.kl.constant:.4g}, as {names[0]} says"
            return [note("beta-unclear", text)]
        return [half_missing(case.kl.constant)]
    if beta is None or right:
        if case.squared and beta in (2.0, 0.5):
            text = "2 and ½ are mixed up with the ½ of the squared error: audit with β = 3"
            return [note("beta-unclear", text)]
        return []
    if any(ratio.powers.get(n) is None for n in ratio.fixed):
        return [note("balance-unclear", "pass sizes that the function takes besides its own")]
    weights = f"the KL has the weight {case.kl.constant:.4g}, effective β = {ratio}"
    if beta != 1 and case.close(c, case.halves):
        return [
            error("beta-unused", f"{weights}: the stated beta {beta:g} has no part in it", c, beta)
        ]
    if beta != 1 and case.close(c, [beta**2 * half for half in case.halves]):
        return [
            error("beta-twice", f"{weights}: with beta², not the stated beta {beta:g}", c, beta)
        ]
    slightly = any(abs(c / e - 1) < 0.1 for e in case.expected)
    kind = error if not case.squared or slightly else note
    return [kind("beta-off", f"{weights}: not the stated beta {beta:g}", c, beta)]
