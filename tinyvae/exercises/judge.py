"""What the checks of all tutorials share: call the reader's function, compare what it returns, and
say in one line what is wrong: the factor, the sign, the shape, a missing term.

A check raises `Wrong` with these words, or returns what has been shown; the decorator `check`
prints them after ✗ or ✓, records the verdict, and hands the reader's function on if it is right. An
exercise that is not done yet prints a friendly line, no traceback.
"""

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tinyvae import gradcheck
from tinyvae.exercises import failures, progress
from tinyvae.exercises.compare import (
    NotYet,
    Wrong,
    as_array,
    has_decimals,
    is_gap,
    named_mistake,
    named_slip,
    plain,
    same,
    same_shape,
    what,
)
from tinyvae.gradcheck.report import Report

__all__ = [
    "NotYet",
    "Wrong",
    "as_array",
    "by_differences",
    "call",
    "check",
    "draw",
    "gradient",
    "has_decimals",
    "instances",
    "is_gap",
    "letter",
    "memory",
    "methods",
    "named_mistake",
    "named_slip",
    "prediction",
    "require",
    "same",
    "same_shape",
]

PASSED: dict[str, bool] = {}  # check → whether its last verdict was ✓
TOLERANCE = 1e-5  # of a gradient check: an answer in float32 is right too
FILL_IN = "replace the ... in the cell above, and run both cells again"
RUN_AGAIN = "run the cell of your answer again, then this one: this is the check's own function"


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
        raise Wrong(f"this needs a function, and got {what(function)}")
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
            hint = re.sub(r"\bdy\b", dy, plain(array.hint or "wrong"))
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


def _count(given: list) -> str:
    return "one thing" if len(given) == 1 else f"{len(given)} things"
