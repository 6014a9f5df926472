"""Lock a run folder, so that two processes never train in the same one."""

import os
import time
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where folders are not locked
    fcntl = None

PATIENCE = 3.0  # seconds: its holder may be about to end, as the ranks of a training that failed


def lock(folder: Path, patience: float) -> int | None:
    """Lock a folder, and return what `unlock` takes, or None where locks can't be had.

    The system frees the lock when the process has ended, however it did. Raises BlockingIOError if
    another process has it, and keeps it for `patience` seconds.
    """
    if fcntl is None:
        return None
    descriptor, end = os.open(folder, os.O_RDONLY), time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() < end:
                time.sleep(0.05)
                continue
            os.close(descriptor)
            problem = f"{folder} is being trained by another process"
            raise BlockingIOError(f"{problem}: wait for it, or stop it first") from None
        except OSError:  # a file system without locks
            os.close(descriptor)
            return None


def unlock(descriptor: int | None) -> None:
    """Free the lock."""
    if descriptor is not None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # also where a worker still has it open
        os.close(descriptor)
