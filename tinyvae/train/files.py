"""Write files so that a kill, a full disk or a crash leaves the old file or the new one, whole; and
the folders that they go into."""

import csv
import io
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: str | os.PathLike, write: Callable[[BinaryIO], None]) -> None:
    """Let `write(file)` fill a file beside `path`, then put it in the place of `path` at once.

    Raises OSError, in one line that names the file; what was at `path` is then still there.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    try:
        with open(partial, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        reason = f"{error.strerror or error}; what was there before is untouched"
        if not path.parent.exists():
            reason = f"there is no folder {path.parent}: make it, or name another"
        raise OSError(f"cannot write {path}: {reason}") from None


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    write_atomically(path, lambda file: file.write(text.encode()))


def make_folder(path: Path) -> None:
    """Make a folder, with those above it, where there is none. Raises OSError in one line."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"cannot make the folder {path}: {error.strerror or error}") from None


def next_free(folder: str | os.PathLike, name: str) -> Path:
    """Return folder/name, or folder/name-2, name-3, … where that is taken."""
    path, number = Path(folder) / name, 2
    while path.exists() and (not path.is_dir() or any(path.iterdir())):
        path, number = Path(folder) / f"{name}-{number}", number + 1
    return path


def write_csv(path: Path, header: tuple[str, ...], rows: list[list]) -> None:
    """Write a header and rows as CSV, atomically."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    write_text(path, text.getvalue())
