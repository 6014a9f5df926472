"""Make this process look like one of Windows or of macOS, as far as that can be done elsewhere.

What these systems lack is taken out of the standard library, and what Windows refuses, such as to
replace or remove a file that is open, is refused. Paths and the programs started stay as they are.
Call it before tinyvae is imported; other libraries, which know where they are, are imported here.
"""

import errno
import importlib
import multiprocessing
import os
import signal
import sys
import sysconfig
import tempfile
import warnings
from pathlib import Path
from types import SimpleNamespace

LIBRARIES = ("matplotlib.backends.backend_agg", "PIL.Image", "threadpoolctl", "tqdm.auto")
LACKING = {
    "win32": {
        os: "fork forkpty register_at_fork sched_getaffinity sched_setaffinity posix_fadvise pread "
        "O_NOFOLLOW O_DIRECTORY O_NONBLOCK O_CLOEXEC O_SYNC fchown getuid geteuid getpgid setsid "
        "killpg statvfs mkfifo sysconf getloadavg",
        signal: "SIGALRM SIGHUP SIGKILL SIGPIPE SIGQUIT SIGTSTP SIGUSR1 alarm setitimer",
    },
    "darwin": {os: "sched_getaffinity sched_setaffinity posix_fadvise"},
}
MODULES = {"win32": ("fcntl", "grp", "pwd", "resource", "termios", "tty"), "darwin": ()}


def pretend(platform: str) -> None:
    """Look like `platform`, "win32" or "darwin", from now on."""
    for library in LIBRARIES:
        importlib.import_module(library)
    sysconfig.get_config_vars()
    sys.modules["threadpoolctl"].sys = SimpleNamespace(**vars(sys))  # which asks it again, later
    for module, names in LACKING[platform].items():
        for name in names.split():
            if hasattr(module, name):
                delattr(module, name)
    sys.modules |= dict.fromkeys(MODULES[platform])
    sys.platform = platform
    multiprocessing.set_start_method("spawn", force=True)
    # Text that is read or written by the system's encoding, which differs, is an error.
    warnings.filterwarnings("error", category=EncodingWarning, module="tinyvae")
    if platform == "win32":
        sys.modules["msvcrt"] = Msvcrt()
        tempfile.TemporaryFile = tempfile.NamedTemporaryFile  # as that module does there
        for name in ("replace", "rename", "unlink", "remove", "open"):
            setattr(os, name, refusing(getattr(os, name)))


class Msvcrt:
    """Stands in for the module of Windows: one handle locks a byte, until it is closed."""

    LK_NBLCK = 2

    def __init__(self) -> None:
        self.holders: dict[int, int] = {}

    def locking(self, descriptor: int, mode: int, size: int) -> None:
        file = os.fstat(descriptor).st_ino
        holder = self.holders.get(file, descriptor)
        if holder != descriptor and _inode(holder) == file:
            raise PermissionError(errno.EACCES, "Permission denied")
        self.holders[file] = descriptor


def _inode(descriptor: int) -> int | None:
    try:
        return os.fstat(descriptor).st_ino
    except OSError:
        return None


def refusing(function):
    """Return a function of paths that refuses what Windows does: open files, and open folders."""

    def refuse(*paths, **options):
        opening = function.__name__ == "open"
        for path in paths[:1] if opening else paths:
            if os.path.isdir(path) if opening else _is_open(path):
                raise PermissionError(errno.EACCES, "Access is denied", str(path))
        return function(*paths, **options)

    return refuse


def _is_open(path: str | os.PathLike) -> bool:
    """Return whether this process has a file open, or mapped; False where there is no /proc."""
    place = os.path.realpath(path)
    try:
        mapped = Path("/proc/self/maps").read_text("utf-8", "replace")
        opened = [
            os.readlink(file) for file in Path("/proc/self/fd").iterdir() if file.is_symlink()
        ]
    except OSError:
        return False
    return place in opened or f" {place}\n" in mapped
