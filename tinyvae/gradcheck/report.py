"""Report what a gradient check found: the table that `print(check(...))` shows, and its hints.

A wrong gradient is most often wrong in a simple way: a factor, a sign, a transpose, a forgotten
term. `pattern` tries these on the numbers and says which one fits.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MAX_KINKS = 0.25  # the share of an array's entries that may be left out at one point
CLOSE = 1e-5  # a pattern fits where it leaves less than this share of the numbers unexplained


@dataclass
class ArrayCheck:
    """One array's check: ‖analytic − numeric‖ / ‖numeric‖, and the entry that is most wrong."""

    name: str
    shape: tuple[int, ...]
    checked: int  # entries that were compared
    kinks: int  # entries left out, as the function has no derivative there
    error: float
    index: tuple[int, ...]
    analytic: float
    numeric: float
    passed: bool
    floor: float | None = None  # stands for ‖numeric‖ where that is too small to be measured
    hint: str = ""

    @property
    def on_kinks(self) -> bool:
        """Whether more entries lie on kinks than may be left out at one point."""
        return self.kinks > MAX_KINKS * (self.kinks + self.checked)


@dataclass(repr=False)
class Report:
    """The outcome of a gradient check: true where it passed; `print(report)` explains it.

    Parameters
    ----------
    name : str
        What was checked.
    arrays : dict of ArrayCheck
        By the array's name: `report.arrays["W"].error`.
    tolerance, dtype : float, str
    problems, notes : list of str
        What fails beside the numbers, and what is worth knowing though it does not.
    """

    name: str
    arrays: dict[str, ArrayCheck]
    tolerance: float
    dtype: str
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether no array and nothing else is wrong."""
        return not self.problems and all(array.passed for array in self.arrays.values())

    @property
    def worst(self) -> ArrayCheck | None:
        """The array with the largest relative error: its name, index, analytic, numeric, error."""
        return max(self.arrays.values(), key=lambda a: (not a.passed, a.error), default=None)

    @property
    def error(self) -> float:
        """The largest relative error of all arrays (nan where nothing could be compared)."""
        return self.worst.error if self.worst else float("nan")

    @property
    def size(self) -> int:
        """How many numbers were moved and compared."""
        return sum(array.checked for array in self.arrays.values())

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        verdict = "passes" if self.passed else "FAILS"
        terms = f"{self.dtype}, tolerance {self.tolerance:g}"
        lines = [f"{self.name} {verdict} the gradient check ({terms})"]
        lines += [f"  ! {problem}" for problem in self.problems]
        if self.arrays:
            lines += ["", *self._table(), *self._legend(), ""]
        worst = self.worst
        if worst and not worst.passed:
            place = ", ".join(map(str, worst.index))
            lines.append(
                f"  worst entry, {worst.name}[{place}]: backward says {worst.analytic:.6g}, "
                f"central differences say {worst.numeric:.6g}"
            )
        hints = [array.hint for array in self.arrays.values()]
        for hint in dict.fromkeys(filter(None, hints)):
            names = [name for name, array in self.arrays.items() if array.hint == hint]
            everywhere = 1 < len(names) == len(self.arrays)
            lines.append(f"  → {'every array' if everywhere else ', '.join(names)}: {hint}")
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines).rstrip()

    __repr__ = __str__

    def _legend(self) -> list[str]:
        """Return what the table's numbers do not say by themselves."""
        arrays, lines = self.arrays.values(), []
        if kinks := sum(a.kinks for a in arrays):
            lines.append(f"  {kinks} left out: on a kink, as a ReLU's at 0, without a derivative")
        if any(a.checked + a.kinks < math.prod(a.shape) for a in arrays):
            lines.append("  large arrays: entries drawn at random, by the seed")
        if floors := [a.floor for a in arrays if a.floor is not None]:
            lines.append(
                "  * too small to be told from rounding: the error is relative to "
                f"{max(floors):.0e}, not to its norm"
            )
        return lines

    def _table(self) -> list[str]:
        """Return a line for each array, in aligned columns."""
        rows = [("array", "shape", "compared", "relative error", "")]
        for a in self.arrays.values():
            size = math.prod(a.shape)
            compared = f"all {size}" if a.checked == size else f"{a.checked} of {size}"
            shape = "×".join(map(str, a.shape)) or "number"
            verdict = ("ok" if a.passed else "FAIL") + ("" if a.floor is None else " *")
            rows.append((a.name, shape, compared, f"{a.error:.1e}", verdict))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        line = "  {:<{w[0]}}  {:<{w[1]}}  {:>{w[2]}}  {:>{w[3]}}  {}"
        return [line.format(*row, w=widths).rstrip() for row in rows]


def pattern(
    places: list[tuple[int, ...]],
    analytic: np.ndarray,
    numeric: np.ndarray,
    right: np.ndarray,
    sizes: dict[str, int],
    relatives: dict[str, np.ndarray],
) -> str:
    """Return what is wrong with the values `analytic` (n,) at the indices `places`, in words.

    `right` (n,) marks the entries that agree; `sizes` names the dimensions that a factor could be,
    `relatives` the arrays, here (n,) too, that a forgotten factor or term could be.
    """
    if not np.any(analytic):
        return "zero throughout, which it should not be: backward never writes it, or cuts it off"
    factor = _factor(analytic, numeric)
    if factor is not None:
        words = factor_in_words(factor, sizes)
        if words or len(analytic) > 1:
            return f"{factor:.4g} times the right value in every entry" + words
    entry = dict(zip(places, analytic, strict=True))
    if all(place[::-1] in entry for place in places) and len(places[0]) == 2:
        if _close(np.array([entry[place[::-1]] for place in places]), numeric):
            return "transposed: the value of entry [i, j] stands at [j, i]"
    for name, array in relatives.items():
        if _close(analytic * array, numeric):
            return f"the factor {name} is missing"
        if _close(analytic, numeric * array):
            return f"multiplied by {name} once too often"
    if right.any():
        what = "wrong" if np.any(analytic[~right]) else "zero where it should not be"
        share = f"{np.count_nonzero(~right)} of {len(right)} entries"
        return f"{what} in {share}{_common_place(places, right)}, right elsewhere"
    missing = numeric - analytic
    for name, array in (("1", np.ones(len(missing))), *relatives.items()):
        factor = _factor(missing, array)
        if factor is not None and len(missing) > 2:
            term = f"{factor:.4g}" if name == "1" else f"{factor:.4g} · {name}"
            return f"a term is missing: {term} has to be added everywhere"
    return "no simple pattern: the error differs from entry to entry (a missing term or factor?)"


def _common_place(places: list[tuple[int, ...]], right: np.ndarray) -> str:
    """Return in which rows or columns the wrong entries lie, if those hold no right one."""
    for axis in reversed(range(len(places[0]))):
        position = np.array([place[axis] for place in places])
        wrong = sorted(set(position[~right].tolist()))
        if not np.isin(position[right], wrong).any():
            label = ("row", "column")[axis] if len(places[0]) == 2 else "index"
            return f" ({label} {', '.join(map(str, wrong[:9]))}{', …' if wrong[9:] else ''})"
    return ""


def repeat_problems(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> list[str]:
    """Return what is wrong if a second call of backward gives something else."""
    added, other, problems = [], [], []
    for name, gradient in first.items():
        if np.allclose(2 * gradient, second[name], rtol=1e-6, atol=0) and gradient.any():
            added.append(name)
        elif not np.allclose(gradient, second[name], rtol=1e-6, atol=0, equal_nan=True):
            other.append(name)
    if added:
        problems.append(
            f"backward adds to the gradient of {', '.join(added)} (+=) instead of writing it (=): "
            "the second call gives twice the first"
        )
    if other:
        problems.append(
            f"backward gives another gradient of {', '.join(other)} when it is called again: "
            "does it draw noise of its own, instead of taking the forward pass's?"
        )
    return problems


def shape_problem(name: str, array: Any, gradient: np.ndarray | None) -> str:
    """Return why a gradient can't be compared, or ""."""
    d = gradient_name(name)
    if gradient is None:
        return f"{name} has no gradient: backward leaves no {d}"
    if np.shape(gradient) != array.shape:
        transposed = np.ndim(gradient) > 1 and np.shape(gradient)[::-1] == array.shape
        hint = ": is it transposed?" if transposed else ""
        return f"{d} has the shape {np.shape(gradient)}, but {name} has {array.shape}{hint}"
    return "" if np.isfinite(gradient).all() else f"backward gives nan or inf in {d}"


def gradient_name(name: str) -> str:
    """Return "dW" for "W", and words for "encoder.0.W"."""
    return f"d{name}" if name.isidentifier() else f"the gradient of {name}"


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.linalg.norm(a - b) <= CLOSE * np.linalg.norm(b)) and bool(np.any(b))


def _factor(a: np.ndarray, b: np.ndarray) -> float | None:
    """Return c where a = c b, or None where no c does."""
    square = float(np.vdot(b, b))
    c = float(np.vdot(a, b)) / square if square else 0.0
    return c if c and _close(c * b, a) else None


def factor_in_words(factor: float, sizes: dict[str, int]) -> str:
    """Return what a factor could be, such as " (1/B with B = 5: …)", or "" for no known one."""
    known = [(0.5, "a ½ too many or a 2 forgotten"), (2.0, "a ½ forgotten or a 2 too many")]
    for name, n in sizes.items():
        if n > 1:
            known.append((n, f"{name} = {n}: the mean's 1/{name} is missing"))
            often = f"1/{name} with {name} = {n}: divided by {name} once too often"
            known.append((1 / n, often))
    guesses = [words for value, words in known if abs(abs(factor) - value) <= 1e-4 * value]
    sign = "the sign is flipped" if factor < 0 else ""
    text = ", and ".join(filter(None, [sign, "; or ".join(guesses)]))
    return f" ({text})" if text else ""


def where_it_enters(names: list[str], wrong: list[bool]) -> str:
    """Return where an error enters, if arrays are wrong up to a place, and right after it.

    The backward pass goes from the last array to the first, and carries an error along.
    """
    last = sum(wrong)
    if last < 2 or last == len(names) or not all(wrong[:last]):
        return ""
    return (
        f"backward goes from the last array to the first: it is right down to {names[last]} and "
        f"wrong from {names[last - 1]} on, so look at the step between the two"
    )
