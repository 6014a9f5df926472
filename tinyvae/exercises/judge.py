"""What the checks of all tutorials share: call the reader's function, compare what it returns, and
say in one line what is wrong: the factor, the sign, the shape, a missing term.

A check raises `Wrong` with these words, or returns what has been shown; the decorator `check`
prints them after ✗ or ✓, records the verdict, and hands the reader's function on if it is right. An
exercise that is not done yet prints a friendly line, no traceback.
"""

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from tinyvae import gradcheck
from tinyvae.exercises import failures, progress
from tinyvae.gradcheck.report import Report, factor_in_words, pattern

PASSED: dict[str, bool] = {}  # check → whether its last verdict was ✓
TOLERANCE = 1e-5  # of a gradient check: an answer in float32 is right too
FILL_IN = "replace the ... in the cell above, and run both cells again"
RUN_AGAIN = "run the cell of your answer again, then this one: this is the check's own function"


class NotYet(Exception):
    """The exercise is not done yet; the message says what to do."""


class Wrong(Exception):
    """The answer is wrong; the message says in what."""


def check(task: str, reference: Callable | None = None) -> Callable:
    """Make a function that judges answers into a check, which prints one verdict and records it.

    A check with a `reference` returns the reader's function where it is right, and the reference
    where it is not, so that a notebook goes on with `kl = check.kl(kl)`.
    """

    def decorate(judge: Callable[..., str]) -> Callable[..., Callable | None]:
        @functools.wraps(judge)
        def checked(*answers: Any) -> Callable | None:
            name = f"{judge.__module__.rpartition('.')[2]}.{judge.__name__}"
            PASSED[name] = False
            try:
                if any(is_gap(answer) for answer in answers):
                    raise NotYet(FILL_IN)
                if reference is not None and answers[0] is reference:
                    raise NotYet(RUN_AGAIN)  # what this check handed on the last time
                print(f"✓ {task}: {judge(*answers)}.")
                PASSED[name] = True
                progress.record(name, solved=True)
                return _with_arrays(answers[0]) if reference else None
            except NotYet as todo:
                print(f"not yet: {task}. To do: {todo}.")
            except Wrong as mistake:
                words = _with_names_from_outside(answers, str(mistake))
                print(f"✗ {task}: {words}{'' if words.endswith('?') else '.'}")
                progress.record(name, solved=False, words=words)
            except Exception as error:  # an answer that no check foresaw must not be a traceback
                words = f"it stops with {type(error).__name__}: {error}"
                print(f"✗ {task}: {words}.")
                progress.record(name, solved=False, words=words)
            return reference

        return checked

    return decorate


def _with_arrays(answer: Any) -> Any:
    """Return a function that gives arrays where the reader's gives lists or iterators, which the
    cells of a notebook cannot compute with; anything else as it is."""
    if not inspect.isfunction(answer):
        return answer

    @functools.wraps(answer)
    def function(*args: Any, **kwargs: Any) -> Any:
        result = answer(*args, **kwargs)
        if isinstance(result, Iterator):
            result = list(result)
        if not isinstance(result, list):
            return result
        try:
            return np.array(result)
        except ValueError:  # several arrays of different shapes
            return result

    return function


def require(name: str) -> None:
    """Raise AssertionError unless the check "kl.kl" has passed: graded notebooks end cells so."""
    assert PASSED.get(name, False), f"{name} has not passed"


def _with_names_from_outside(answers: tuple, words: str) -> str:
    """Return the words for a mistake, after those for names that the answer takes from outside."""
    names = [name for answer in answers for name in failures.from_outside(answer)]
    if not names:
        return words
    listed = " and ".join(names)
    return (
        f"{listed}: this is the notebook's own, no argument, not made in the function and not kept "
        f"in self. Because of that, or besides: {words}"
    )


def draw(*shapes: tuple[int, ...], seed: int = 20240229) -> list[np.ndarray]:
    """Return random arrays for a check: the same each time, and no others that a check draws."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


def is_gap(answer: Any) -> bool:
    """Whether an answer is still open: None or `...`."""
    return answer is None or answer is Ellipsis


def call(
    function: Callable, gives: str, *inputs: Any, shapes: Mapping[str, tuple] | None = None
) -> Any:
    """Return what the reader's function makes of copies of `inputs`, as float arrays.

    `gives` names what it returns, "z" or "dx, dW, db"; one name gives one array, several a list.
    Raises NotYet where something is still `...` or nothing is returned, and Wrong where the
    function fails, changes an input, or returns another number of things or another shape than
    `shapes` has under their names.
    """
    names = gives.split(", ")
    if not callable(function):
        raise Wrong(f"this needs a function, and got {_what(function)}")
    own = [np.copy(value) if isinstance(value, np.ndarray) else value for value in inputs]
    try:
        with np.errstate(all="ignore"):
            result = function(*own)
    except Exception as error:
        raise Wrong(failures.in_words(function, error, len(inputs))) from None
    if result is None:
        raise NotYet(f"{_name(function)} returns nothing; let it return {gives}")
    if is_gap(result):
        raise NotYet(f"{gives} is still missing")
    for value, copy in zip(inputs, own, strict=True):
        if isinstance(value, np.ndarray) and not np.array_equal(value, copy, equal_nan=True):
            raise Wrong(
                f"{_name(function)} changes one of its inputs in place (as x += 1 and x[...] = 0 "
                "do); make a new array instead"
            )
    if len(names) == 1 and isinstance(result, tuple) and [*map(type, result)] == [np.ndarray]:
        raise Wrong(
            f"{_name(function)} returns a tuple of one: is there a stray comma after {gives}?"
        )
    given = list(result) if _holds(result, len(names)) else [result]
    if len(given) != len(names):
        raise Wrong(f"{_name(function)} returns {_count(given)} instead of {len(names)}: {gives}")
    given = [as_array(name, value) for name, value in zip(names, given, strict=True)]
    if shapes and len(names) > 1:
        _same_order(names, given, shapes)
    for name, array in zip(names, given, strict=True):
        if shapes and name in shapes:
            same_shape(name, array, shapes[name])
    return given if len(names) > 1 else given[0]


def _same_order(names: list[str], given: list[np.ndarray], shapes: Mapping[str, tuple]) -> None:
    """Raise Wrong where the shapes are those that were asked for, in another order."""
    found, asked = [array.shape for array in given], [tuple(shapes[name]) for name in names]
    if found != asked and sorted(found) == sorted(asked) and len(set(asked)) > 1:
        order = [names[asked.index(shape)] for shape in found]
        there = f", and seem to be {', '.join(order)}" if len(set(asked)) == len(asked) else ""
        raise Wrong(f"they come in the wrong order{there}: return {', '.join(names)}")


def _holds(result: Any, n: int) -> bool:
    """Whether a result is a tuple or list of things, or an array that holds all n of them."""
    if n == 1:
        return False
    return isinstance(result, tuple | list) or (np.ndim(result) > 0 and len(result) == n)


def instances(thing: Any, n: int) -> list[Any]:
    """Return n layers of one class, from the class or from an object of it.

    Raises Wrong where they cannot be made, or lack `forward` or `backward`.
    """
    kind = thing if isinstance(thing, type) else type(thing)
    try:
        made = [kind() for _ in range(n)]
    except Exception as error:
        raise Wrong(
            f"{kind.__name__}() stops with {type(error).__name__}: {error}. A layer "
            "without weights needs nothing to begin with"
        ) from None
    methods(made[0], "forward", "backward")
    return made


def memory(layer: Any, x: np.ndarray, slope: Callable[[np.ndarray], np.ndarray]) -> None:
    """Raise Wrong where backward remembers another forward pass than the last one, or changes the
    array that forward returned. `slope(x)` is what backward gives for dy = 1."""
    call(layer.forward, "y", x)
    call(layer.forward, "y", 2 * x + 1)
    dx = call(layer.backward, "dx", np.ones_like(x))
    stale = "dx: backward uses the y of an earlier forward; each forward must keep its own y"
    named_mistake(dx, {stale: slope(x)})
    y = layer.forward(x.copy())
    before = np.copy(y)
    layer.backward(np.ones_like(x))
    if not np.array_equal(y, before):
        raise Wrong(
            "backward changes what forward returned (as self.y *= … does): the next layer "
            "keeps that array too; make a new one"
        )


def methods(thing: Any, *names: str) -> None:
    """Raise Wrong where an object lacks a method."""
    lacking = [name for name in names if not callable(getattr(thing, name, None))]
    if lacking:
        raise Wrong(f"{type(thing).__name__} has no method {' and no '.join(lacking)}")


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
        raise Wrong(f"{name} should be numbers, and is {_what(value)}") from None
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
    words = _plain(pattern(index, *flat, dict(sizes or {}), others))
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


def _plain(words: str) -> str:
    """Return the words for a pattern, but for the factor 1, which is no mistake."""
    nearly = "nearly right in every entry, but not to 5 digits"
    return nearly if words.startswith("1 times") else words


def letter(answer: Any, meanings: Mapping[str, str] | None = None) -> str:
    """Return the letter in "c", "(c)", "c: it stays" or "the answer: C"; other answers as they are.

    `meanings` has for each letter a pattern of the words that say the same, {"c": "stay"}.
    """
    text = str(answer).strip().lower()
    named = re.match(r"\(?([a-z])\s*[:.)]", text) or re.fullmatch(
        r"(?:\w{2,}[:,=]?\s+){1,3}\(?([a-z])\)?\.?", text
    )
    if named:
        return named[1]
    meant = [one for one, words in (meanings or {}).items() if re.search(words, text)]
    return meant[0] if len(meant) == 1 and len(text) > 1 else text


def prediction(
    answer: Any, right: str, replies: Mapping[str, str], meanings: Mapping[str, str] | None = None
) -> str:
    """Judge a choice between the letters in `replies`, which say why each is wrong or right."""
    given = letter(answer, meanings)
    if given not in replies:
        letters = ", ".join(f'"{one}"' for one in replies)
        raise Wrong(f"answer with one of {letters}, not {str(answer)[:40]!r}")
    if given != right:
        raise Wrong(replies[given])
    return replies[right]


def by_differences(report: Report, dy: str = "dy", y: str = "y") -> str:
    """Return how well a gradient check passed; raise Wrong, in its words, where it did not.

    `dy` is what the exercise calls the slopes of the loss along the result, and `y` the result.
    """
    if report.passed:
        return f"agrees with central differences to {max(report.error, 1e-15):.0e}"
    if report.problems:
        raise Wrong(report.problems[0])
    mistakes = []
    for array in report.arrays.values():
        if not array.passed:
            place = ", ".join(map(str, array.index))
            numbers = f"d{array.name}[{place}] is {array.analytic:.4g}, not {array.numeric:.4g}"
            hint = re.sub(r"\bdy\b", dy, _plain(array.hint or "wrong"))
            hint = re.sub(r"\by\b", y, hint)
            mistakes.append(f"d{array.name}: {hint}; {numbers}")
    raise Wrong("\n  and ".join(mistakes))


def gradient(
    value: Callable, backward: Callable, gives: str, *inputs: np.ndarray, y: str = "y",
    **constants: Any,
) -> str:  # fmt: skip
    """Check a backward pass `backward(dy, *inputs)` of `value(*inputs)` by central differences.

    `gives` names the gradients it returns, one for each input, such as "dx, dW, db". Raises as
    `call` and `by_differences` do.
    """
    names = gives.split(", ")
    shapes = {name: x.shape for name, x in zip(names, inputs, strict=True)}
    extra = tuple(constants.values())
    (dy,) = draw(np.shape(value(*inputs, *extra)), seed=1)
    call(backward, gives, dy, *inputs, *extra, shapes=shapes)

    def named(dy: Any, *arguments: Any) -> Any:
        result = call(backward, gives, dy, *arguments)
        return tuple(result) if len(names) > 1 else result

    arguments = [*inspect.signature(value).parameters]
    named.__signature__ = inspect.Signature(
        [
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
            for name in ["dy", *arguments]
        ]
    )
    report = gradcheck.check(value, named, *inputs, tolerance=TOLERANCE, **constants)
    return by_differences(report, y=y)


def _name(function: Callable) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _what(value: Any) -> str:
    return f"the {type(value).__name__} {str(value)[:40]!r}"


def _count(given: list) -> str:
    return "one thing" if len(given) == 1 else f"{len(given)} things"
