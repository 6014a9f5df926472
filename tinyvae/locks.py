"""A lock on a run folder, so that two processes never train in the same one."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows has none: there, nobody is kept out
    fcntl = None

NAME = ".lock"
PATIENCE = 3.0  # seconds: who has it may be about to end, as the ranks of a training that failed


def take(folder: Path) -> IO | None:
    """Lock a folder for this process, and return what `release` takes.

    The system frees the lock when the process ends, however it does. Raises BlockingIOError if
    another process has it.
    """
    if fcntl is None:
        return None
    path, end = folder / NAME, time.monotonic() + PATIENCE
    while True:
        file = open(path, "a+")  # until `release`
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() < end:
                file.close()
                time.sleep(0.05)
                continue
            file.seek(0)
            who = file.read().strip() or "unknown"
            file.close()
            remedy = "wait for it, or stop it first"
            problem = f"{folder} is being trained by another process ({who})"
            raise BlockingIOError(f"{problem}: {remedy}") from None
        with suppress(FileNotFoundError):
            if os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                file.truncate(0)
                file.write(f"{os.getpid()}")
                file.flush()
                return file
        file.close()  # whoever had it before has just removed it


def release(file: IO | None) -> None:
    """Give the lock back, and leave nothing behind."""
    if file is not None:
        with suppress(OSError):
            os.unlink(file.name)
        file.close()
