"""Lock a folder, so that two processes never train in the same one.

The lock is on a file in it, opened for writing (NFS locks no other), which tells the holder's
process. The system frees it when that process ends, however it does.
"""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
try:
    import msvcrt
except ImportError:
    msvcrt = None  # type: ignore[assignment]

NAME = ".lock"
PATIENCE = 3.0  # seconds: a lock's holder may be ending, as the ranks of a training that failed
FAR = 2**30  # the place of the byte that is locked on Windows, where it can't be read


def lock(folder: Path, patience: float = PATIENCE) -> IO | None:
    """Lock a folder, and return what `unlock` takes; None, with a note, where locks can't be had.

    Raises BlockingIOError where another process has it, and still has after `patience` seconds.
    """
    path, end = folder.absolute() / NAME, time.monotonic() + patience
    while True:
        try:
            file = open(path, "a+", encoding="ascii", opener=_open)
        except OSError as error:
            raise OSError(f"cannot write {path}: {error.strerror or error}") from None
        try:
            _lock(file.fileno())
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                file.truncate(0)
                file.write(str(os.getpid()))
                file.flush()
                return file
        except (BlockingIOError, PermissionError, FileNotFoundError):  # held, or just removed
            if time.monotonic() > end:
                file.seek(0)
                remedy = f"wait for it, or stop it first (its pid: {file.read()[:9]})"
                file.close()
                problem = f"{folder} is being trained by another process"
                raise BlockingIOError(f"{problem}: {remedy}") from None
            time.sleep(0.05)
        except OSError as error:
            file.close()
            path.unlink(missing_ok=True)
            return _note(folder, error)
        file.close()


def unlock(file: IO) -> None:
    """Free a lock, and remove its file; in a fork of the process that holds it, do nothing."""
    file.seek(0)
    ours, path = file.read() == str(os.getpid()), Path(file.name)
    if ours and fcntl:
        with suppress(OSError):
            path.unlink()
        fcntl.flock(file, fcntl.LOCK_UN)  # also where a fork of this process has it open
    file.close()
    if ours and not fcntl:
        with suppress(OSError):  # Windows keeps what anybody has open
            path.unlink()


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _lock(descriptor: int) -> None:
    if fcntl:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    elif msvcrt:
        os.lseek(descriptor, FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        raise OSError("this system has no locks")


def _note(folder: Path, error: OSError) -> None:
    remedy = "see that no other process trains in it"
    print(f"note: {folder} is not locked ({error.strerror or error}): {remedy}", file=sys.stderr)
