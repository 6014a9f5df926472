"""What all commands share: the parser, the runner, errors of one line, and exit statuses that
always mean the same.

Exit status 0: done. 1: a failure after the work began. 2: bad usage or bad input, before it began.
130: stopped by Ctrl-C. 141: whoever read the output has closed it.
"""

import argparse
import math
import os
import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from tinyvae import checks
from tinyvae.core.errors import Argument, TinyVAEError, in_python

PROBLEMS = (
    *(ValueError, TypeError, OSError, RuntimeError, ImportError, MemoryError, KeyError),
    OverflowError,
)
LARGEST = 10**12  # of a whole number that sizes an array: NumPy can still say what is too much
WIDEST = 10**8  # of a layer, as weights are products of two widths


class Failure(Exception):
    """Ends a command with one line on stderr and an exit status."""

    def __init__(self, message: object, status: int) -> None:
        super().__init__(" ".join(str(message).split()))
        self.status = status


class Parser(argparse.ArgumentParser):
    """An ArgumentParser without abbreviations, whose errors are one line and point to --help."""

    def __init__(self, command: str, description: str, **kwargs: Any) -> None:
        super().__init__(
            prog=f"tinyvae {command}",
            description=description,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **kwargs,
        )

    def add(
        self, name: str, kind: Any = str, metavar: str | None = None, default: Any = None,
        text: str = "", to: Any = None, **more: Any,
    ) -> None:  # fmt: skip
        """Add an option: `kind` is a type, a tuple of choices, or None for a flag.

        The help tells the default; `text` tells it where it is None.
        """
        if default is not None and kind is not None:
            text = f"{text} (default: {_typed(default)})".strip()
        if self.argument_default is not argparse.SUPPRESS:
            more["default"] = default if kind else False
        if kind is None:
            more["action"] = "store_true"
        elif isinstance(kind, tuple):
            more["choices"] = kind
        else:
            more |= {"type": _told(kind), "metavar": metavar}
        (to or self).add_argument(name, help=text, **more)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse options that there are not, before those that are missing are asked for."""
        args = list(sys.argv[1:] if args is None else args)
        for place, text in enumerate(args[: args.index("--")] if "--" in args else args):
            name, equals, _ = text.partition("=")
            if not name.startswith("--") or name in self._option_string_actions:
                continue
            value = args[place + 1 : place + 2] if not equals else []
            told = " ".join([text, *(v for v in value if not v.startswith("-"))])
            self.error(f"unrecognized arguments: {told}{meant(name, self._option_string_actions)}")
        return super().parse_known_args(args, namespace)

    def spell(self, argument: Argument) -> str:
        """Return a Python argument as it is typed here: as the option whose `dest` it is."""
        name, value, bare = argument
        option = next((a for a in self._actions if a.option_strings and a.dest == name), None)
        flag = option.option_strings[-1] if option else name.replace("_", " ")
        if bare:
            return flag if option else name
        if value is ... or (option and option.nargs == 0):
            return flag
        if value is True:  # said in Python of another argument, which is the option's value here
            return f"{flag} {option.metavar}" if option else flag
        typed = "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
        return f"{flag} {shlex.quote(typed)}"


def _typed(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def meant(name: str, known: Any) -> str:
    """Return " (did you mean …?)", or nothing where no known name is close."""
    close = get_close_matches(name.replace("_", "-"), known, 1)
    return f" (did you mean {close[0]}?)" if close else ""


def run(parser: Parser, work: Callable[[argparse.Namespace], int | None], argv: Any) -> int:
    """Return the exit status of work(options), where argv holds the options for `parser`."""
    return guarded(lambda: work(parser.parse_args(argv)), parser.prog, parser.spell)


def guarded(
    work: Callable[[], int | None], prog: str, spell: Callable[[Argument], str] = in_python
) -> int:
    """Return the exit status of work() (0 for None); a problem becomes one line on stderr."""
    _open_streams()
    try:
        try:
            return work() or 0
        finally:
            _flush_errors()
            sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        return 141
    except Failure as failure:
        message, status = str(failure), failure.status
    except PROBLEMS as problem:
        message, status = one_line(problem, spell), 2
        if isinstance(problem, MemoryError | OverflowError):
            message = message.rstrip(".") + (
                "; take less at once: smaller -n, --samples, --batch-size, --hidden, --latent-dim"
            )
    except KeyboardInterrupt:
        message, status = "stopped", 130
    try:
        sys.stdout.flush()
    except OSError:
        _discard_output()
    _print_error(f"{prog}: error: {message}")
    return status


def one_line(problem: BaseException, spell: Callable[[Argument], str]) -> str:
    """Return what an exception says, on one line, in the words of the command line."""
    if isinstance(problem, TinyVAEError):
        message = problem.render(spell)
    elif isinstance(problem, OSError) and problem.strerror:
        message = f"{problem.filename}: " * bool(problem.filename) + problem.strerror
    else:
        message = str(problem)
    return " ".join(message.split()) or type(problem).__name__


def note(text: str) -> None:
    """Say on stderr what a user may not expect."""
    _print_error(f"note: {text}")


def _print_error(line: str) -> None:
    with suppress(OSError):  # a closed one
        print(line, file=sys.stderr, flush=True)


def say(text: object) -> None:
    """Print a line of a long work, which goes on in silence where the output is closed."""
    try:
        print(text, flush=True)
    except OSError as error:
        _discard_output()
        if not isinstance(error, BrokenPipeError):
            note(f"nothing more is printed: {error.strerror}")


def _open_streams() -> None:
    """Let stdout and stderr take whatever is printed: they may be closed, or of ASCII."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))
        with suppress(AttributeError):  # a notebook's stream takes every character
            getattr(sys, name).reconfigure(errors="replace")


def _discard_output(stream: str = "stdout") -> None:
    """Let the interpreter's last flush of a closed stream fail no more."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), getattr(sys, stream).fileno())


def _flush_errors() -> None:
    """Write what is left for stderr, unless that is closed: the work was done."""
    try:
        sys.stderr.flush()
    except OSError:
        _discard_output("stderr")


def _told(convert: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return an argparse type that says what `convert` says where it raises ValueError."""

    def converted(text: str) -> Any:
        try:
            return convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return converted


def whole(
    minimum: int, maximum: int | None = None, largest: float = math.inf
) -> Callable[[str], int]:
    """Return what reads a whole number of at least `minimum`, at most `maximum`.

    One above `largest` is refused as too much to compute with.
    """

    def convert(text: str) -> int:
        digits = text.strip().removeprefix("-")
        value = checks.integer("the value", int(text) if digits.isdecimal() else text, minimum)
        if maximum is not None and value > maximum:
            raise ValueError(f"the value must be at most {maximum}, not {value}")
        if value > largest:
            raise OverflowError(f"{value} is too large")
        return value

    return convert


COUNT, WIDTH, SEED = whole(1, largest=LARGEST), whole(1, largest=WIDEST), whole(0)
DPI = whole(10, 2400)


def real(*words: str, above: bool = False) -> Callable[[str], float | str]:
    """Return what reads a finite number from 0 (or above it), or one of `words`."""

    def convert(text: str) -> float | str:
        if text in words:
            return text
        try:
            value = float(text)
        except ValueError:
            value = text
        try:
            return checks.number("the value", value, above=above)
        except ValueError as error:
            others = f", or {', '.join(words)}{meant(text, words)}" if words else ""
            raise ValueError(f"{error}{others}") from None

    return convert


Sizes = Callable[[str], tuple[int, ...]]


def sizes(wanted: str, most: int | None = None, none: str | None = None) -> Sizes:
    """Return what reads whole numbers above 0, with commas or x between them, as a tuple.

    `wanted` says what they must be, `most` how many there may be; the word `none` stands for ().
    """

    def convert(text: str) -> tuple[int, ...]:
        if text == none:
            return ()
        parts = text.lower().replace("×", ",").replace("x", ",").split(",")
        right = all(part.strip().isdecimal() and int(part) > 0 for part in parts)
        if not right or len(parts) > (most or len(parts)):
            raise ValueError(f"{wanted}, not {text!r}")
        if max(map(int, parts)) > WIDEST:
            raise OverflowError(f"{text} is too large")
        return tuple(map(int, parts))

    return convert


SHAPE = sizes("invalid shape value: give positive whole numbers such as 4,3")


def path(text: str) -> Path:
    """Read the name of a file or folder."""
    if not text:
        raise ValueError("the name is empty")
    return Path(text)
