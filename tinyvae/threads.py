"""A few threads for the large products of `forward` and `backward` and for long vectors, on a CPU.

NumPy leaves Python's lock while it computes, so a second Python thread keeps a second core busy.
What is computed stays the same; its bits depend on the number of threads alone, never on who was
first. Meanwhile the matrix library is held to one thread: its own wait for each other within every
product, which takes many times as long where another program keeps a core busy.
"""

import contextvars
import functools
import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from typing import Any

import numpy as np

from tinyvae import checks
from tinyvae.core.arrays import array_module

SHARE = 6_000_000  # multiplications that are worth a thread of their own: waking it takes 40 µs
WORTH = 1_000_000  # and those that are worth handing over, where nobody waits for them
LEAD = 2_000_000  # what the thread that cuts a product up does more: it need not be woken up
LONG = 2**17  # numbers of a vector that are worth a thread of their own
SMALL = 100_000  # weights of a model, below which nothing is handed over

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
LIMITS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")  # environment variables that bound "auto"


def set_threads(threads: int | str) -> None:
    """Use so many threads in this process, or "auto": as many as pay; 1 for none besides its own.

    Raises ValueError for less than 1, and for more than there are cores.
    """
    team.n = checked(threads)


def checked(threads: int | str) -> int:
    """Return the number of threads that `threads`, a number or "auto", stands for."""
    if isinstance(threads, str) and threads == "auto":
        limits = [os.environ.get(name, "") for name in LIMITS]
        return min([CORES, *(int(limit) for limit in limits if limit.isdecimal() and int(limit))])
    n = checks.integer("threads (or 'auto')", threads, 1)
    if n > CORES:
        raise ValueError(f"threads must be at most {CORES}, the cores at hand, not {n}")
    return n


class Task:
    """A call that one of the threads makes sooner or later."""

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments
        self.context = contextvars.copy_context()  # it holds NumPy's `errstate`
        self.error, self.over = None, False
        self.free, self.done = threading.Lock(), threading.Lock()
        self.done.acquire()

    def run(self) -> None:
        """Make the call, unless another thread has begun it."""
        mine = True
        try:
            mine = self.free.acquire(False)
            if mine:
                self.context.run(self.function, *self.arguments)
        except BaseException as error:  # `wait` raises it where somebody hears it
            self.error = error
        if mine and not self.over:
            self.over = True
            self.done.release()

    def wait(self) -> None:
        """Wait until the call is over, even if Ctrl-C comes: it still writes to arrays."""
        pressed = None
        while not self.over:
            try:
                self.done.acquire(timeout=1.0)
            except KeyboardInterrupt as interrupt:
                pressed = interrupt
        if pressed or self.error:
            raise pressed or self.error


class Team:
    """The threads of this process, and how many of them may be used."""

    def __init__(self, n: int) -> None:
        self.n, self.workers, self.tasks = n, 0, queue.SimpleQueue()
        self.handed_over = threading.local()  # .tasks, while `backward` runs in this thread
        self.blas, self.holders, self.lock = None, 0, threading.Lock()

    def _work(self) -> None:
        while True:
            self.tasks.get().run()

    def start(self, calls: list[tuple]) -> list[Task]:
        """Hand over calls (function, *arguments), and return their tasks for `finish`."""
        while self.workers < min(self.n - 1, len(calls)):
            threading.Thread(target=self._work, name="tinyvae", daemon=True).start()
            self.workers += 1
        tasks = [Task(*call) for call in calls]
        for task in tasks:
            self.tasks.put(task)
        return tasks

    def finish(self, tasks: list[Task]) -> None:
        """Help with what nobody has begun, and wait until all tasks are done."""
        try:
            for task in tasks:
                task.run()
        finally:
            for task in tasks:
                task.wait()

    def together(self, calls: list[tuple]) -> None:
        """Make the calls (function, *arguments) side by side, the first one in this thread."""
        tasks = self.start(calls[1:]) if len(calls) > 1 else []
        try:
            function, *arguments = calls[0]
            function(*arguments)
        finally:
            self.finish(tasks)

    @contextmanager
    def single_blas(self) -> Iterator[None]:
        """Hold the matrix library to one thread for each of ours."""
        with self.lock:
            self.holders += 1
            if self.holders == 1:
                self.before = [library.get_num_threads() for library in self._blas()]
                for library in self.blas:
                    library.set_num_threads(1)
        try:
            yield
        finally:
            with self.lock:
                self.holders -= 1
                if not self.holders:
                    for library, number in zip(self.blas, self.before, strict=True):
                        library.set_num_threads(number)

    def _blas(self) -> list:
        """Return what sets the threads of each matrix library that is loaded."""
        if self.blas is None:
            from threadpoolctl import ThreadpoolController

            found = ThreadpoolController().lib_controllers
            self.blas = [library for library in found if library.user_api == "blas"]
        return self.blas

    @contextmanager
    def using(self, n: int, hold_blas: bool = True) -> Iterator[None]:
        """Use n threads, and one of the matrix library for each, within a `with` block."""
        before, self.n = self.n, n
        try:
            with self.single_blas() if hold_blas else nullcontext():
                yield
        finally:
            self.n = before


team = Team(checked("auto"))
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: team.__init__(team.n))  # a fork has no workers


def in_threads(method: Callable) -> Callable:
    """Let a model's `forward` or `backward` use the threads; it ends when all of them are done."""

    @functools.wraps(method)
    def call(model: Any, *arguments: Any, **named: Any) -> Any:
        tasks = getattr(team.handed_over, "tasks", None)
        small = model.parameters.theta.size < SMALL or model.backend.xp is not np
        if team.n == 1 or small or tasks is not None:
            return method(model, *arguments, **named)
        tasks = []
        if not checks.foreign([*model.encoder.layers, *model.decoder.layers]):
            team.handed_over.tasks = tasks
        try:
            with team.single_blas():
                try:
                    return method(model, *arguments, **named)
                finally:
                    team.finish(tasks)
        finally:
            team.handed_over.tasks = None

    return call


def matmul(a: Any, b: Any) -> Any:
    """Return the product a b (m, n), of a (m, k) and b (k, n); a large one is cut at columns."""
    m, k, n = *a.shape, b.shape[1]
    parts = min(team.n, m * k * n // SHARE)
    if parts < 2 or type(a) is not np.ndarray:
        return a @ b
    product = np.empty((m, n), np.result_type(a, b))
    lead = min(n // parts, LEAD // (m * k))
    cuts = [0, *(lead + (n - lead) * i // parts for i in range(1, parts)), n]
    calls = [(np.matmul, a, b[:, i:j], product[:, i:j]) for i, j in pairwise(cuts)]
    with team.single_blas():
        team.together(calls)
    return product


def matmul_into(out: Any, a: Any, b: Any) -> None:
    """Write the product a b (m, n) into `out`: by the end of `backward`, within one, else now."""
    m, k, n = *a.shape, b.shape[1]
    tasks = getattr(team.handed_over, "tasks", None)
    parts = max(1, min(team.n, m * k * n // SHARE))
    if type(a) is not np.ndarray or (parts == 1 and (tasks is None or m * k * n < WORTH)):
        array_module(a).matmul(a, b, out=out)
        return
    cuts = [m * i // parts for i in range(parts + 1)]
    calls = [(np.matmul, a[i:j], b, out[i:j]) for i, j in pairwise(cuts)]
    if tasks is None:
        with team.single_blas():
            team.together(calls)
    else:
        tasks += team.start(calls)


def over_ranges(function: Callable[[int, int], None], size: int, width: int = 1) -> None:
    """Call function(start, stop) for ranges that make up 0 … size, in several threads if they hold
    many numbers, `width` at each place."""
    parts = max(1, min(team.n, size * width // LONG))
    cuts = [size * i // parts for i in range(parts + 1)]
    team.together([(function, start, stop) for start, stop in pairwise(cuts)])
