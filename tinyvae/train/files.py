"""Write files so that a kill, a full disk or a crash leaves the old file or the new one, whole; and
the folders that they go into."""

import csv
import io
import os
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from tinyvae.train import locks

PARTIAL = ".partial"  # how the name of a file ends that is not yet whole
PATIENCE = 2.0  # seconds


def write_atomically(path: str | os.PathLike, write: Callable[[BinaryIO], None]) -> None:
    """Let `write(file)` fill a file beside `path`, then put it in the place of `path` at once.

    That file has a name of its own: of several writers of one path each leaves a whole file, and
    the last one's stays. Raises OSError, in one line that names `path`; what was there is then
    still there.
    """
    path = Path(path)
    partial = path.with_name(f"{path.name[:99]}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        with open(partial, "xb") as file:  # a file that is there, or a link, is never written to
            write(file)
            file.flush()
            os.fsync(file.fileno())
        _replace(partial, path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        reason = f"{error.strerror or error}; what was there before is untouched"
        if not path.parent.exists():
            reason = f"there is no folder {path.parent}: make it, or name another"
        raise OSError(f"cannot write {path}: {reason}") from None


def _replace(partial: Path, path: Path) -> None:
    """Put a file in the place of another, for good.

    Windows refuses while another program has that open: this tries again for two seconds.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            os.replace(partial, path)
            break
        except PermissionError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
    with suppress(OSError):  # a system that opens no folders
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def remove_partial(folder: Path) -> None:
    """Remove what kills have left of files in a folder, and below it: what is an hour old."""
    for partial in folder.rglob(f"*{PARTIAL}"):
        with suppress(OSError):
            if time.time() - partial.stat().st_mtime > 3600:
                partial.unlink()


def holds(path: Path, text: str) -> bool:
    """Return whether there is a file, and this text in it."""
    return path.is_file() and text.encode() in path.read_bytes()


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    write_atomically(path, lambda file: file.write(text.encode()))


def make_folder(path: Path) -> None:
    """Make a folder, with those above it, where there is none. Raises OSError in one line."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"cannot make the folder {path}: {error.strerror or error}") from None


def is_free(folder: Path) -> bool:
    """Return whether a folder is empty, but for a lock."""
    return all(path.name == locks.NAME for path in folder.iterdir())


def write_csv(path: Path, header: Sequence[str], rows: Iterable[list]) -> None:
    """Write a header and rows as CSV, atomically."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    write_text(path, text.getvalue())
