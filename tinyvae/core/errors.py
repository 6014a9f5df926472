"""The error for what cannot be used, as fields: whoever shows it spells the arguments it names.

A sentence is text and `Argument`s in turn: `scale='none'` to a Python user is `--scale none` in a
shell. `str(error)` is the sentence in Python's words; the command line calls `render`.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class Argument(NamedTuple):
    """An argument within a sentence: `name=value`, or `name=…` where the value is up to the reader.

    With `bare`, the name alone, as the subject of a sentence about its value.
    """

    name: str
    value: Any = ...
    bare: bool = False


Piece = str | Argument


def in_python(argument: Argument) -> str:
    """Return the argument as one writes it in a call."""
    if argument.bare:
        return argument.name
    return f"{argument.name}={'…' if argument.value is ... else repr(argument.value)}"


class TinyVAEError(Exception):
    """What is wrong with a value, and what to do about it.

    Parameters
    ----------
    *problem : str or Argument
        The pieces of the sentence that names the value and what is wrong with it.
    remedy : str, or a list of str and Argument
        What to do instead; it follows behind a colon.
    """

    def __init__(self, *problem: Piece, remedy: str | Sequence[Piece] = "") -> None:
        super().__init__(*problem)
        self.problem = list(problem)
        self.remedy = [remedy] if isinstance(remedy, str) else remedy

    @property
    def argument(self) -> str:
        """The name of the argument that the problem is about, or ""."""
        return next((p.name for p in self.problem if isinstance(p, Argument)), "")

    @property
    def value(self) -> Any:
        """The value of that argument."""
        return next((p.value for p in self.problem if isinstance(p, Argument)), None)

    def render(self, spell: Callable[[Argument], str] = in_python) -> str:
        """Return the sentence, each argument as `spell` writes it."""
        problem, remedy = (
            "".join(piece if isinstance(piece, str) else spell(piece) for piece in pieces)
            for pieces in (self.problem, self.remedy)
        )
        return f"{problem}: {remedy}" if remedy else problem

    def __str__(self) -> str:
        return self.render()


class InputError(TinyVAEError, ValueError):
    """A value that cannot be used."""


class InputTypeError(TinyVAEError, TypeError):
    """A value of a kind that cannot be used."""


class DivergedError(TinyVAEError, FloatingPointError):
    """A training whose loss is no longer finite."""


class MissingFileError(TinyVAEError, FileNotFoundError):
    """A file or folder that is not there."""


class TakenFolderError(TinyVAEError, FileExistsError):
    """A folder that holds something else already."""


def wrong(name: str, value: object, wanted: str) -> InputError:
    """Return the error for a value that is not what it must be: "name must be …, not value"."""
    return InputError(Argument(name, value, bare=True), f" must {wanted}, not {value!r}")
