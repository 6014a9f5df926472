"""What a teacher would say of an answer that stops with an error, or that takes a name from the
notebook around it.
"""

import dis
import inspect
import re
import traceback
import types
from collections.abc import Callable, Iterator
from typing import Any

# What the message holds, what the line holds, and what to say.
SENTENCES = (
    (r"truth value of an array", r"\bif\b|\belif\b|\bwhile\b", "`if` asks one question of a whole "
     "array; np.where(condition, this, that) or np.maximum answers it for each entry"),
    (r"truth value of an array", r"\bmax\(|\bmin\(", "max and min compare whole arrays; "
     "np.maximum and np.minimum go entry by entry"),
    (r"truth value of an array", r"\band\b|\bor\b|\bnot\b", "`and`, `or` and `not` ask one "
     "question of a whole array; np.where, & and | answer for each entry"),
    (r"truth value of an array", "", "a function that takes one number got a whole array: call it "
     "for each entry, or take NumPy's function of that name"),
    (r"p must be in the range", "", "a share of 0 or 1 lies at infinity: the middles of the slices "
     "are neither"),
    (r"arger sample than population", "", "without replacement each example comes at most once; "
     "rng.integers may take one again"),
    (r"core dimension", r"@|matmul|dot", "in a product A @ B the last axis of A and the first of B "
     "must have the same length: is one of them to be transposed, or another array meant?"),
    (r"broadcast", r"permutation", "a permutation takes each example once, so there are no more of "
     "them; rng.integers may take one again"),
    (r"only (length-1|size-1|0-dim\w*|integer scalar) arrays", r"\bmath\.", "the functions of math "
     "take one number; those of np, such as np.exp and np.log, take an array"),
    (r"scalar index|interpreted as an integer|must be an integer", r"np\.(max|min)\(", "the second "
     "argument of np.max and np.min is an axis; np.maximum(a, b) compares two arrays"),
    (r"bitwise_xor|for \^", "", "^ is no power in Python: write **"),
    (r"attribute 'zero_grad'", "", "there is nothing to set to zero: backward writes the gradient, "
     "and adds to nothing"),
    (r"object has no attribute 'backward'", "", "backward belongs to the model here, not to the "
     "loss: model.backward()"),
    (r"object has no attribute '(item|detach|numpy|cpu)'", "", "these are NumPy's arrays and "
     "Python's numbers; nothing has to be taken out of a graph"),
    (r"'(numpy\.)?\w*' object is not callable", "", "a number or an array is used like a function: "
     "is one of your variables called like a function, or is a * missing before a bracket?"),
    (r"cannot access local variable|referenced before assignment", "", "a name that the function "
     "sets anywhere is its own everywhere in it: give the result another name"),
    (r"name '\w+' is not defined", "", "it is no argument, and no line before makes it"),
    (r"'NoneType' object", "", "something that it uses is None: does a function it calls return "
     "nothing?"),
    (r"operand .*'ellipsis'", "", "there is still a ... in it"),
    (r"maximum recursion depth", "", "the function calls itself without end"),
)  # fmt: skip


def in_words(function: Callable, error: Exception, called_with: int | None = None) -> str:
    """Return an exception as words, with the line of the reader's own function that raised it."""
    name = getattr(function, "__name__", type(function).__name__)
    frames = traceback.extract_tb(error.__traceback__)[1:]
    line = next((f.line for f in reversed(frames) if f.name == name and f.line), "") or ""
    message = str(error).splitlines()[0] if str(error) else ""
    where = f" in the line `{line.strip()}`" if line else ""
    source = _source(function)
    advice = (
        _sentence(message, line or source)
        or _about_arguments(function, message, called_with)
        or _sentence(message, source)
        or _about_shapes(message, line + source)
    )
    return f"{name} stops with {type(error).__name__}: {message}{where}" + (
        f". {advice[0].upper()}{advice[1:]}" if advice else ""
    )


def _source(function: Callable) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return ""


def _sentence(message: str, code: str) -> str:
    for in_message, in_code, words in SENTENCES:
        if re.search(in_message, message) and (not in_code or re.search(in_code, code)):
            return words
    return ""


def _about_arguments(function: Callable, message: str, called_with: int | None) -> str:
    """Return what a wrong number of parameters means, or ""."""
    if not re.search(r"positional argument", message):
        return ""
    if isinstance(function, types.MethodType):
        first = next(iter(inspect.signature(function.__func__).parameters), "")
        if first != "self":
            return "the first parameter of a method is self, the object itself"
    many = "" if called_with is None else f" with {called_with} of them"
    return f"the check calls it{many}: let it take the arguments of the exercise"


def _about_shapes(message: str, code: str) -> str:
    """Return what shapes that do not fit have to do with an axis that was summed away, or ""."""
    found = re.search(r"shapes \(([\d, ]*)\) \(([\d, ]*)\)", message)
    if not found:
        return ""
    a, b = (tuple(int(n) for n in re.findall(r"\d+", text)) for text in found.groups())
    short, long = sorted((a, b), key=len)
    if len(a) == len(b) == 2 and "@" in code:
        return "@ is a matrix product; to multiply entry by entry, write *"
    dropped = len(short) < len(long) and any(
        long[:axis] + long[axis + 1 :] == short for axis in range(len(long))
    )
    if dropped and "axis" in code:
        return "a sum, mean or max over an axis drops that axis; keepdims=True keeps it as 1"
    return ""


def from_outside(answer: Any) -> list[str]:
    """Return "name in function" for data of the notebook that an answer's code reads by its name.

    Functions, classes and modules are fine to use; an array or a number that is no argument is most
    often a slip: a forgotten `self.`, or a name left over from a cell above.
    """
    found = []
    for function in _functions(answer):
        for name in sorted(_globals_read(function.__code__)):
            value = function.__globals__.get(name)
            is_data = name in function.__globals__ and not (
                callable(value) or isinstance(value, types.ModuleType)
            )
            if is_data:
                found.append(f"{name} in {function.__name__}")
    return found


def _functions(answer: Any) -> Iterator[types.FunctionType]:
    """Yield the functions of an answer: itself, or the methods of its class."""
    if isinstance(answer, types.FunctionType):
        yield answer
        return
    kind = answer if isinstance(answer, type) else type(answer)
    if kind.__module__ != "builtins":
        yield from (f for f in vars(kind).values() if isinstance(f, types.FunctionType))


def _globals_read(code: types.CodeType) -> set[str]:
    names = {
        i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    inner = (const for const in code.co_consts if isinstance(const, types.CodeType))
    return names.union(*(_globals_read(one) for one in inner))
