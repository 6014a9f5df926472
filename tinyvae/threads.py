"""A few threads for the large products of `forward` and `backward` and for long vectors, on a CPU.

NumPy releases Python's lock while it computes, so a second Python thread keeps a second core busy.
What is computed stays the same, to the last bit for any number of threads: a product is cut between
its rows, so each of its numbers is the same sum in the same order, and only after every `ROWS`-th,
so a kernel of the matrix library meets the same rows side by side. Meanwhile that library is
held to one thread: its own threads wait for each other within every product, which takes many times
as long where another program keeps a core busy.
"""

import math
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar, copy_context
from itertools import pairwise
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from tinyvae import checks
from tinyvae.core.arrays import Array, Ops

SHARE = 6_000_000  # multiplications that are worth a thread of their own: waking it takes 40 µs
LEAD = 2_000_000  # what the thread that cuts a product up does more: it need not be woken up
LONG = 2**17  # numbers of a vector that are worth a thread of their own
ROWS = 24  # what OpenBLAS's kernels take side by side divides it: 4, 8 or 12, by the processor
BLOCK = 2**18  # numbers that stay in a CPU's cache while several operations pass over them
SMALL = 100_000  # weights of a model, below which the matrix library may use its own threads

CGROUPS = Path("/sys/fs/cgroup")  # where Linux tells the quotas of a container
LIMITS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")  # environment variables that bound "auto"


def cores() -> int:
    """Return how many cores this process may use, by its affinity and its group's quota."""
    affinity = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0)
    quota = math.inf
    with suppress(OSError, ValueError):  # no control groups, or no quota in them ("max")
        used, period = (CGROUPS / "cpu.max").read_text("ascii").split()
        quota = math.ceil(int(used) / int(period))
    with suppress(OSError, ValueError):
        used, period = (
            (CGROUPS / "cpu" / f"cpu.cfs_{what}_us").read_text("ascii")
            for what in ("quota", "period")
        )
        quota = math.ceil(int(used) / int(period)) if int(used) > 0 else quota
    return max(1, int(min(len(affinity), quota)))


CORES = cores()


def set_threads(threads: int | str) -> None:
    """Use so many threads where `fit` is not told a number; "auto" for all cores, 1 for no others.

    Raises ValueError for less than 1, and for more than there are cores.
    """
    team.n = checked(threads)


def checked(threads: int | str) -> int:
    """Return the number of threads that `threads`, a number or "auto", stands for.

    Raises ValueError for less than 1, and for more than there are cores.
    """
    if isinstance(threads, str) and threads == "auto":
        limits = [os.environ.get(name, "") for name in LIMITS]
        return min([CORES, *(int(limit) for limit in limits if limit.isdecimal() and int(limit))])
    n = checks.integer("threads (or 'auto')", threads, 1)
    if n > CORES:
        raise ValueError(f"threads must be at most {CORES}, the cores at hand, not {n}")
    return n


class Team:
    """The threads of this process, and how many of them may be used."""

    def __init__(self, n: int) -> None:
        self.everywhere = n
        self.here: ContextVar[int] = ContextVar("threads")  # within `using`
        self.start_anew()

    def start_anew(self) -> None:
        """Begin without threads, as the child of a fork does."""
        self.queue: SimpleQueue[Call] = SimpleQueue()
        self.workers = 0
        self.blas: list[Any] | None = None
        self.holders, self.lock = 0, threading.Lock()

    @property
    def n(self) -> int:
        """How many threads may be used."""
        return self.here.get(self.everywhere)

    @n.setter
    def n(self, n: int) -> None:
        self.everywhere = n

    def start(self, calls: list[tuple]) -> list["Call"]:
        """Hand over calls (function, *arguments) to the other threads.

        Where no thread can be started, as the interpreter is ending, nothing takes them.
        """
        handed = [Call(*call) for call in calls]
        with self.lock, suppress(RuntimeError):
            while self.workers < len(calls):
                how: dict[str, Any] = {"args": (self.queue,), "name": "tinyvae", "daemon": True}
                threading.Thread(target=_work, **how).start()
                self.workers += 1
        for call in handed if self.workers else ():
            self.queue.put(call)
        return handed

    def together(self, calls: list[tuple]) -> None:
        """Make the calls (function, *arguments) side by side, the first one in this thread.

        This thread makes those too that are not begun when it is done, and waits for the others,
        even if Ctrl-C comes: they still write to arrays.
        """
        handed = self.start(calls[1:]) if len(calls) > 1 else []
        errors = _errors_of(*calls[0])
        for call in handed:
            call.make()
            errors += call.errors_when_done()
        if errors:
            raise errors[0]

    @contextmanager
    def single_blas(self) -> Iterator[None]:
        """Hold the matrix library to one thread for each of ours."""
        with self.lock:
            self.holders += 1
            if self.holders == 1:
                self.before = [library.get_num_threads() for library in self._blas()]
                self._set_blas([1] * len(self.before))
        try:
            yield
        finally:
            with self.lock:
                self.holders -= 1
                if self.holders == 0:
                    self._set_blas(self.before)

    def _set_blas(self, numbers: list[int]) -> None:
        """Let each matrix library use so many threads, whichever thread asks for it.

        (threadpoolctl 3.7 lets the first thread that ever set a number set others, and no other.)
        """
        for library, n in zip(self._blas(), numbers, strict=True):
            free = getattr(library, "clear_controlling_thread", lambda force: None)
            free(force=True)
            library.set_num_threads(n)
            free(force=True)

    @property
    def library(self) -> str:
        """The matrix library, and the type of processor that its kernels are for."""
        found = [
            f"{x.internal_api} {x.version} {getattr(x, 'architecture', '')}" for x in self._blas()
        ]
        return found[0].strip() if found else ""  # NumPy's own: it was loaded first

    def _blas(self) -> list[Any]:
        if self.blas is None:
            from threadpoolctl import ThreadpoolController

            libraries = ThreadpoolController().lib_controllers
            self.blas = [library for library in libraries if library.user_api == "blas"]
        return self.blas

    @contextmanager
    def using(self, n: int, hold_blas: bool = True) -> Iterator[None]:
        """Use n threads, and one of the matrix library for each, within a `with` block."""
        token = self.here.set(n)
        try:
            with self.single_blas() if hold_blas else nullcontext():
                yield
        finally:
            self.here.reset(token)


class Call:
    """A call that is handed over to other threads: the first that begins it makes it.

    (A `Future` of concurrent.futures does the same, with locks in Python, for 4 % of a step.)
    """

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments
        self.context = copy_context()  # it holds NumPy's `errstate`
        self.begun, self.done = threading.Lock(), threading.Lock()
        self.done.acquire()
        self.errors: list[BaseException] = []

    def make(self) -> None:
        """Make it, unless another thread has begun to."""
        if self.begun.acquire(blocking=False):
            self.errors = self.context.run(_errors_of, self.function, *self.arguments)
            self.done.release()

    def errors_when_done(self) -> list[BaseException]:
        """Wait until it is made, and return what it raised, after a Ctrl-C meanwhile."""
        pressed: list[BaseException] = []
        while True:
            try:
                with self.done:
                    return pressed + self.errors
            except KeyboardInterrupt as interrupt:
                pressed = [interrupt]


def _work(queue: SimpleQueue) -> None:
    """Make calls for ever: what a thread does."""
    while True:
        queue.get().make()


def _errors_of(function: Callable, *arguments: Any) -> list[BaseException]:
    """Make a call, and return what it raises."""
    try:
        function(*arguments)
    except BaseException as error:
        return [error]
    return []


team = Team(checked("auto"))
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=team.start_anew)


class ThreadedOps(Ops):
    """The operations of NumPy's models: what is large is cut up among the threads of `team`."""

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """Return the product a b (m, n), of a (m, k) and b (k, n), in `out` if it is given."""
        (m, k), n = a.shape, b.shape[1]
        blocks = m // ROWS  # the last one has what is left over, too
        parts = min(team.n, m * k * n // SHARE, blocks)
        if parts < 2 or type(a) is not np.ndarray:
            return np.matmul(a, b, out=out)
        if out is None:
            out = np.empty((m, n), np.result_type(a, b))
        lead = min(m // parts, LEAD // (k * n))
        ends = (round((lead + (m - lead) * i / parts) / ROWS) for i in range(1, parts))
        cuts = [0, *(ROWS * min(end, blocks - 1) for end in ends), m]
        calls = [(np.matmul, a[i:j], b, out[i:j]) for i, j in pairwise(cuts)]
        with team.single_blas():
            team.together(calls)
        return out

    def over(self, function: Callable[[int, int], None], size: int, width: int = 1) -> None:
        """Call function(start, stop) for ranges of 0 … size; a place stands for `width` numbers."""
        parts = max(1, min(team.n, size * width // LONG))
        cuts = [size * i // parts for i in range(parts + 1)]
        step = max(1, BLOCK // width)

        def in_blocks(start: int, stop: int) -> None:
            for first in range(start, stop, step):
                function(first, min(first + step, stop))

        team.together([(in_blocks, start, stop) for start, stop in pairwise(cuts)])

    def session(self, weights: float) -> AbstractContextManager:
        """Return a context in which a model of so many weights does a whole pass."""
        return team.single_blas() if team.n > 1 and weights >= SMALL else nullcontext()
