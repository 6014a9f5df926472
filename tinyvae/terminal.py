"""What all commands share: errors of one line, and exit statuses that always mean the same.

Exit status 0: done. 1: a failure after the work began. 2: bad usage or bad input, before it began.
130: stopped by Ctrl-C.
"""

import argparse
import sys
from typing import Any, NoReturn

from tinyvae import checks

PROBLEMS = (ValueError, TypeError, OSError, RuntimeError, ImportError, MemoryError, KeyError)


class Failure(Exception):
    """Ends a command with one line on stderr and an exit status."""

    def __init__(self, message: object, status: int) -> None:
        super().__init__(" ".join(str(message).split()))
        self.status = status


class Parser(argparse.ArgumentParser):
    """An ArgumentParser without abbreviations, whose errors are one line and point to --help."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def run(command: Any, argv: list[str] | None, prog: str) -> int:
    """Return the exit status of command(argv); problems become one line on stderr."""
    try:
        return command(argv)
    except Failure as failure:
        message, status = str(failure), failure.status
    except PROBLEMS as problem:
        message, status = " ".join(str(problem).split()) or type(problem).__name__, 2
    except KeyboardInterrupt:
        message, status = "stopped", 130
    print(f"{prog}: error: {message}", file=sys.stderr)
    return status


def option(convert: Any) -> Any:
    """Return an argparse type from a function that raises ValueError with a sentence to print."""

    def converted(text: str) -> Any:
        try:
            return convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return converted


def whole(minimum: int) -> Any:
    """Return an argparse type: a whole number of at least `minimum`."""

    def convert(text: str) -> int:
        digits = text.strip().removeprefix("-")
        return checks.integer("the value", int(text) if digits.isdecimal() else text, minimum)

    return option(convert)


def real(minimum: float = 0.0, above: bool = False) -> Any:
    """Return an argparse type: a finite number from (or above) `minimum`."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = text
        return checks.number("the value", value, minimum, above=above)

    return option(convert)


def sigma(text: str) -> float | str:
    """Read --sigma: a number above 0, or "auto"."""
    return "auto" if text == "auto" else real(above=True)(text)


def hidden(text: str) -> tuple[int, ...]:
    """Read --hidden: widths such as 256,128, or "none" for a linear model."""
    if text == "none":
        return ()
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        message = (
            f"the value must be widths such as 256,128, or none for a linear model, not {text!r}"
        )
        raise argparse.ArgumentTypeError(message)
    return tuple(int(part) for part in parts)
