"""How a weight depends on the batch size B, the latent dimensions L and the data dimensions D.

Sizes are primes, so that 1/B, 1/L and 1/D are never confused. A function that insists on its sizes
leaves only the number itself: then say which of 1/B, 1/L, 1/D it equals, if only one fits.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

from tinyvae.audit.measure import Term
from tinyvae.audit.sizes import Sizes

NAMES = ("B", "L", "D")
NICE = (1.0, 0.5, 2.0)


@dataclass
class Law:
    """weight = constant · B^b L^l D^d; `powers` holds b, l, d, with None where unknown.

    `fixed` names the sizes that could not be varied, `odd` those with which the weight varies by no
    whole power.
    """

    constant: float
    powers: dict[str, float | None]
    fixed: frozenset[str] = frozenset()
    odd: frozenset[str] = frozenset()
    ambiguous: str = ""

    def __getitem__(self, name: str) -> float:
        return self.powers.get(name) or 0.0

    def over(self, other: "Law") -> "Law":
        """Return the quotient of two laws."""
        powers = {n: self[n] - other[n] for n in NAMES}
        fixed, odd = self.fixed | other.fixed, self.odd | other.odd
        return Law(self.constant / other.constant, powers, fixed, odd)

    def at(self, sizes: dict[str, int]) -> float:
        """Return the weight at given sizes."""
        return self.constant * math.prod(sizes[n] ** self[n] for n in NAMES)

    def __str__(self) -> str:
        top = "·".join(_power(n, self[n]) for n in NAMES if self[n] > 0)
        bottom = "·".join(_power(n, -self[n]) for n in NAMES if self[n] < 0)
        inverse = 1 / self.constant if self.constant else 0.0
        if top and inverse > 1.5 and abs(inverse - round(inverse)) < 2e-3 * inverse:
            bottom = "·".join([f"{round(inverse)}", *([bottom] if bottom else [])])
            number = ""
        else:
            number = "" if (top and abs(self.constant - 1) < 2e-3) else f"{self.constant:.4g}"
        text = "·".join(part for part in (number, top) if part) or "1"
        if not bottom:
            return text
        return f"{text}/({bottom})" if "·" in bottom else f"{text}/{bottom}"


def _power(name: str, power: float) -> str:
    return name if power == 1 else f"{name}^{power:g}"


def other_sizes(sizes: Sizes) -> dict[str, Sizes]:
    """Return for each of B, L, D sizes that differ in that one alone."""
    return {
        "B": sizes._replace(B=7 if sizes.B != 7 else 11),
        "L": sizes._replace(latents=_other(sizes.latents, (3,), (5,))),
        "D": sizes._replace(pixels=_other(sizes.pixels, (23,), (31,))),
    }


def _other(shape: tuple[int, ...], first: tuple, second: tuple) -> tuple[int, ...]:
    """Return a shape of another size, with the channels of an image as they were."""
    choices = [first, second]
    if len(shape) == 2:
        choices = [(3, 7), (5, 7)]
    elif len(shape) > 2:
        one, two = (3, 7), (5, 7)
        leading = shape[0] <= 5
        choices = [(shape[0], *n) if leading else (*n, shape[-1]) for n in (one, two)]
    return next(new for new in choices if math.prod(new) != math.prod(shape))


def law(
    term: Term,
    weight: float,
    effect: Callable[[Sizes], float],
    names: str,
    axis: str,
    others: dict[str, Sizes] | None = None,
) -> Law:
    """Measure the powers of a weight.

    Parameters
    ----------
    weight : the weight at the term's own sizes
    effect : sizes → a quantity proportional to the weight
    names : which of B, L, D the function can depend on
    axis : the one of L and D that the term is summed or averaged over
    others : sizes to compare with, for each of B, L, D; primes where left out
    """
    powers: dict[str, float | None] = {}
    odd = set()
    base = effect(term.sizes)
    for name, sizes in (others or other_sizes(term.sizes)).items():
        if name not in names:
            continue
        if not term.accepts(sizes):
            powers[name] = None
            continue
        ratio = effect(sizes) / base if base else 0.0
        before, after = (_size(s, name) for s in (term.sizes, sizes))
        power = math.log(ratio) / math.log(after / before) if ratio > 0 else math.nan
        whole = abs(power - round(power)) < 0.15 if math.isfinite(power) else False
        powers[name] = float(round(power)) if whole else None
        odd |= set() if whole else {name}
    _read(term, weight, powers, odd, axis)
    constant = weight
    for name, power in powers.items():
        constant /= _size(term.sizes, name) ** (power or 0.0)
    fixed = frozenset(n for n, power in powers.items() if power is None and n not in odd)
    return _explain(term.sizes, Law(constant, powers, fixed, frozenset(odd)))


def _read(
    term: Term, weight: float, powers: dict[str, float | None], odd: set[str], axis: str
) -> None:
    """Fill in the powers of sizes that a step insists on, from the means seen in it.

    A quotient that is 1/D is taken for one; 1/L might be a β.
    """
    means = getattr(term.function, "means", None)
    if means is None:
        return
    for name in [n for n, power in powers.items() if power is None and n not in odd]:
        powers[name] = -1.0 if name == axis and means.get(name) else 0.0
    if powers.get("D") == 0.0:
        left = weight / term.sizes.B ** (powers.get("B") or 0.0)
        left /= term.sizes.L ** (powers.get("L") or 0.0)
        whole = any(abs(left * term.sizes.D - nice) < 2e-3 * nice for nice in NICE)
        if whole and term.sizes.D >= 16:
            powers["D"] = -1.0


def _size(sizes: Sizes, name: str) -> int:
    return getattr(sizes, name)


def _explain(sizes: Sizes, found: Law) -> Law:
    """Guess the powers that could not be measured from the number, if only one guess fits."""
    fixed = sorted(found.fixed)
    fits = []
    for powers in itertools.product((0, -1, 1), repeat=len(fixed)):
        constant = found.constant
        for name, power in zip(fixed, powers, strict=True):
            constant /= _size(sizes, name) ** power
        if any(abs(constant - nice) < 2e-3 * nice for nice in NICE):
            fits.append((sum(map(abs, powers)), constant not in NICE, powers, constant))
    if not fixed or not fits:
        return found
    fits.sort()
    best = [fit for fit in fits if fit[0] == fits[0][0]]
    if len(best) == 1:
        _, _, powers, constant = best[0]
        named = dict(zip(fixed, map(float, powers), strict=True))
        return Law(constant, found.powers | named, found.fixed, found.odd)
    guesses = [str(Law(c, dict(zip(fixed, p, strict=True)))) for _, _, p, c in best]
    return Law(found.constant, found.powers, found.fixed, found.odd, " or ".join(guesses))
