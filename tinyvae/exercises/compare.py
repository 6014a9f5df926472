"""Compare what a reader's function returns with what is right, and say what fits a wrong answer: a
factor, a sign, a shape, a known mistake."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from tinyvae.gradcheck.report import factor_in_words, pattern


class NotYet(Exception):
    """The exercise is not done yet; the message says what to do."""


class Wrong(Exception):
    """The answer is wrong; the message says in what."""


def is_gap(answer: Any) -> bool:
    """Whether an answer is still open: None or `...`."""
    return answer is None or answer is Ellipsis


def named_mistake(given: np.ndarray, mistakes: Mapping[str, Any]) -> None:
    """Raise Wrong with the words of the first mistake whose values are `given`, if any."""
    for words, value in mistakes.items():
        value = np.asarray(value, dtype=float)
        if value.shape == given.shape and np.allclose(given, value, rtol=1e-6, equal_nan=True):
            raise Wrong(words)


def named_slip(
    given: np.ndarray,
    formula: Callable[..., Any],
    slips: Mapping[str, Mapping[str, Any]],
    forms: Sequence[Mapping[str, Any]] = ({},),
) -> None:
    """Raise Wrong in the words of the slip, or of the two at once, that makes `formula` give
    `given`, if any.

    `slips` goes from words to what they change among the formula's keyword arguments. An answer may
    be written in several `forms`, all of them right, that a slip makes differ: with its constants
    or without.
    """
    with np.errstate(all="ignore"):
        right = formula()
        for some in (*combinations(slips, 1), *combinations(slips, 2)):
            changes = [slips[words] for words in some]
            if len({name for change in changes for name in change}) < sum(map(len, changes)):
                continue  # two of the same thing
            for form in forms:
                wrong = formula(**{k: v for change in changes for k, v in change.items()}, **form)
                if not np.allclose(wrong, right, rtol=1e-6, equal_nan=True):
                    named_mistake(given, {"; and ".join(some): wrong})


def as_array(name: str, value: Any) -> np.ndarray:
    """Return a value as an array of floats; raise NotYet for a gap, Wrong for what is no number."""
    if is_gap(value):
        raise NotYet(f"{name} is still missing")
    if isinstance(value, Iterator):  # map, zip, a generator
        value = list(value)
    if np.iscomplexobj(value):
        raise Wrong(f"{name} holds complex numbers, and should hold real ones")
    try:
        # A copy: what a layer keeps and later changes must not change what it is compared with.
        array = np.array(value.get() if hasattr(value, "get") else value, dtype=float)
    except (TypeError, ValueError):
        raise Wrong(f"{name} should be numbers, and is {what(value)}") from None
    return array


def same_shape(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raise Wrong, with what may have happened, where an array has another shape."""
    if array.shape == tuple(shape):
        return
    hint = ""
    kept = array.ndim == len(shape) + 1 and 1 in array.shape and array.size == np.prod(shape)
    if kept:
        hint = ": it is summed, but the axis is kept as 1; leave keepdims out"
    elif array.ndim == 2 and array.shape[::-1] == tuple(shape):
        hint = ": it is transposed"
    elif array.ndim < len(shape):
        hint = ": an axis was summed or averaged away"
    elif array.ndim > len(shape):
        hint = ": an axis is left that should be summed or averaged over"
    raise Wrong(f"{name} has the shape {array.shape}, and should have {tuple(shape)}{hint}")


def has_decimals(name: str, given: np.ndarray, right: np.ndarray) -> None:
    """Raise Wrong where `given` is `right` cut or rounded to whole numbers."""
    whole = (np.trunc(right), np.round(right), np.floor(right))
    if any(np.array_equal(given, one) for one in whole) and np.any(given):
        raise Wrong(
            f"{name} has lost its decimals: is there an .astype(int), a round, or a // for a /?"
        )


def same(
    name: str,
    given: Any,
    right: Any,
    tolerance: float = 1e-6,
    sizes: Mapping[str, int] | None = None,
    relatives: Mapping[str, Any] | None = None,
) -> None:
    """Raise Wrong where `given` is not the array (or number) `right`, and say what fits.

    `sizes` names numbers that a wrong factor could be, {"B": 5}; `relatives` arrays of the same
    shape that a forgotten factor or term could be.
    """
    given, right = as_array(name, given), np.asarray(right, dtype=float)
    same_shape(name, given, right.shape)
    if not np.isfinite(given).all():
        bad = "nan" if np.isnan(given).any() else "infinite"
        where = f" in {(~np.isfinite(given)).sum()} of {given.size} entries" if given.ndim else ""
        raise Wrong(f"{name} is {bad}{where}")
    largest = np.abs(right).max(initial=0)
    close = np.abs(given - right) <= tolerance * (largest if largest > 1e-9 else 1.0)
    if close.all():
        return
    if right.ndim == 0:
        words = _factor_of_a_number(float(given), float(right), dict(sizes or {}))
        raise Wrong(f"{name} is {given:.6g} where {right:.6g} is right{words}")
    index = [tuple(map(int, place)) for place in np.ndindex(right.shape)]
    others = {
        other: np.ravel(np.asarray(values, dtype=float))
        for other, values in (relatives or {}).items()
        if np.shape(values) == right.shape
    }
    has_decimals(name, given, right)
    flat = given.ravel(), right.ravel(), close.ravel()
    words = plain(pattern(index, *flat, dict(sizes or {}), others))
    words = words.removesuffix(": backward never writes it, or cuts it off")
    worst = np.unravel_index(int(np.abs(given - right).argmax()), right.shape)
    place = ", ".join(str(int(i)) for i in worst)
    raise Wrong(
        f"{name}: {words}; {name}[{place}] is {given[worst] + 0.0:.6g}, not {right[worst]:.6g}"
    )


def _factor_of_a_number(given: float, right: float, sizes: dict[str, int]) -> str:
    """Return ", 2 times the right value (a ½ forgotten …)" where a known factor fits exactly.

    Any two numbers have a factor between them: one that is not known says nothing.
    """
    factor = given / right if right else 0.0
    words = factor_in_words(factor, sizes) if factor else ""
    simple = {1.0, 2.0, 0.5} | {float(n) for n in sizes.values()} | {1 / n for n in sizes.values()}
    if not words or min(abs(abs(factor) - value) / value for value in simple) > 1e-6:
        return ""
    return f", {factor:.4g} times the right value{words}"


def plain(words: str) -> str:
    """Return the words for a pattern, but for the factor 1, which is no mistake."""
    nearly = "nearly right in every entry, but not to 5 digits"
    return nearly if words.startswith("1 times") else words


def what(value: Any) -> str:
    """Return what a value is, in words: its type and its beginning."""
    return f"the {type(value).__name__} {str(value)[:40]!r}"
