"""What all commands share: errors of one line, and exit statuses that always mean the same.

Exit status 0: done. 1: a failure after the work began. 2: bad usage or bad input, before it began.
130: stopped by Ctrl-C. 141: whoever read the output has closed it.
"""

import argparse
import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from tinyvae import checks

PROBLEMS = (
    *(ValueError, TypeError, OSError, RuntimeError, ImportError, MemoryError, KeyError),
    OverflowError,
)
TOO_LARGE = ("Maximum allowed dimension", "array is too big", "too large to convert")


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
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # a notebook's stream takes every character
            stream.reconfigure(errors="replace")
    try:
        try:
            return command(argv)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        return 141
    except Failure as failure:
        message, status = str(failure), failure.status
    except PROBLEMS as problem:
        message = str(problem)
        if isinstance(problem, OSError) and problem.filename and problem.strerror:
            message = f"{problem.filename}: {problem.strerror}"
        message = as_typed(" ".join(message.split())) or type(problem).__name__
        status = 2
        if isinstance(problem, MemoryError) or any(text in message for text in TOO_LARGE):
            message = message.rstrip(".") + (
                "; take less at once: smaller -n, --samples, --batch-size, --hidden, --latent-dim"
            )
    except KeyboardInterrupt:
        message, status = "stopped", 130
    print(f"{prog}: error: {message}", file=sys.stderr)
    return status


def note(text: str) -> None:
    """Say on stderr what a user may not expect."""
    print(f"note: {text}", file=sys.stderr)


def as_typed(message: str) -> str:
    """A message about Python's arguments, in the words of the command line.

    `name=value` of an option of data at its start becomes `--name value`, and `name ("--flag")` or
    `name, "--flag"` anywhere `--flag`; the rows to train on are called that.
    """
    message = re.sub(r"^x_train spans", "the rows to train on span", message)
    message = re.sub(r'\w+(?:="\w+")? \("(--[\w-]+)"\)', r"\1", message)
    message = re.sub(r'\w+, "(--[\w-]+)"', r"\1", message)
    names = "labels|image_size|channels|scale|validation"
    start = re.match(rf"({names})=(?:'([^']*)'|\((\d+), (\d+)\)|([\d.]+))(?=[ :])", message)
    if not start:
        return message
    name, text, height, width, number = start.groups()
    value = f"{height}x{width}" if height else number or text or "''"
    return f"--{name.replace('_', '-')} {value}{message[start.end() :]}"


def _discard_output() -> None:
    """Let the interpreter's last flush of a closed stdout fail no more."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def option(convert: Any) -> Any:
    """Return an argparse type from a function that raises ValueError with a sentence to print."""

    def converted(text: str) -> Any:
        try:
            return convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return converted


def whole(minimum: int, maximum: int | None = None) -> Any:
    """Return an argparse type: a whole number of at least `minimum`, at most `maximum`."""

    def convert(text: str) -> int:
        digits = text.strip().removeprefix("-")
        value = checks.integer("the value", int(text) if digits.isdecimal() else text, minimum)
        if maximum is not None and value > maximum:
            raise ValueError(f"the value must be at most {maximum}, not {value}")
        return value

    return option(convert)


DPI = whole(10, 2400)


def real(minimum: float = 0.0, above: bool = False) -> Any:
    """Return an argparse type: a finite number from (or above) `minimum`."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = text
        return checks.number("the value", value, minimum, above=above)

    return option(convert)


def path(text: str) -> Path:
    """Read the name of a file or folder."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty")
    return Path(text)


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
