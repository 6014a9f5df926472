"""Find the ranks of a job, and add up arrays over them. MPI carries the messages; between GPUs, one
to a rank, NCCL carries the arrays, and MPI only what NCCL needs to start.

A rank that fails must end the others, which would wait for it for ever, and say why only once.
"""

import contextlib
import importlib.util
import io
import math
import os
import platform
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tinyvae import checks
from tinyvae.core.arrays import Array, array_module
from tinyvae.threads import CORES

PATIENCE = 60.0  # seconds that a rank waits for the others before it says so
LAUNCHERS = {"OMPI_COMM_WORLD_SIZE": "OMPI_COMM_WORLD_RANK", "PMI_SIZE": "PMI_RANK"}


class Communicator:
    """What a training needs of its ranks; here of a single one, which exchanges nothing."""

    rank, size = 0, 1

    def all_reduce(self, array: Array) -> None:
        """Replace an array, in place, by its sum over all ranks."""

    def broadcast(self, value: Any) -> Any:
        """Return the first rank's `value`."""
        return value

    def barrier(self) -> None:
        """Wait for all ranks."""

    def first_then_others(self, make: Callable[[], Any]) -> Any:
        """Return make(), which the others call when the first rank is done: it may fill a cache."""
        made = None if self.rank else make()
        self.barrier()
        return make() if self.rank else made


class MPI(Communicator):
    """The ranks that mpiexec started, and for each a share of the cores and a GPU of its own.

    An uncaught exception ends all ranks, which would wait for this one for ever.
    """

    def __init__(self) -> None:
        from mpi4py import MPI

        self.world, self.in_place, self.smallest = MPI.COMM_WORLD, MPI.IN_PLACE, MPI.MIN
        self.rank, self.size = self.world.rank, self.world.size
        neighbours = self.world.Split_type(MPI.COMM_TYPE_SHARED)  # the ranks on this machine
        _share_cores(neighbours.size)
        self.own_device = _take_device(neighbours.rank, neighbours.size)
        excepthook = sys.excepthook

        def print_and_abort(*error: Any) -> None:
            excepthook(*error)
            _abort(self.world, 1)

        sys.excepthook = print_and_abort
        self.places = self.world.allgather((platform.node(), os.getpid()))
        self.since = math.inf  # when this rank began to wait, if it does
        threading.Thread(target=self._watch, name="tinyvae-ranks", daemon=True).start()

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        self.since = time.monotonic()
        try:
            yield
        finally:
            self.since = math.inf

    def _watch(self) -> None:
        """Tell on stderr, once for each wait, that it is long, and which processes are late."""
        noted = math.inf
        while True:
            time.sleep(PATIENCE / 12)
            since = self.since
            if time.monotonic() - since > PATIENCE and since != noted:
                noted, stopped = since, self._stopped()
                if self.rank == min(set(range(self.size)) - stopped, default=self.rank):
                    late = sorted(stopped or set(range(self.size)) - {self.rank})
                    names = [f"rank {i} (pid {self.places[i][1]})" for i in late]
                    text = f"note: rank {self.rank} has waited for {PATIENCE:g} s for "
                    text += ", ".join(names) + (": stopped" if stopped else "")
                    print(text, file=sys.__stderr__, flush=True)

    def _stopped(self) -> set[int]:
        """Return the ranks on this machine whose processes are stopped."""
        stopped = set()
        for rank, (node, pid) in enumerate(self.places):
            with contextlib.suppress(OSError):  # no /proc, or it has ended: mpiexec will tell
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
                stopped |= {rank} if node == platform.node() and state in "tT" else set()
        return stopped

    def all_reduce(self, array: Array) -> None:
        with self._waiting():
            self._all_reduce(array)

    def _all_reduce(self, array: Array) -> None:
        if isinstance(array, np.ndarray):
            self.world.Allreduce(self.in_place, array)
        elif self._nccl:
            cuda, nccl = array_module(array).cuda, array_module(array).cuda.nccl
            kind = {"f": nccl.NCCL_FLOAT32, "d": nccl.NCCL_FLOAT64}[array.dtype.char]
            place, stream = array.data.ptr, cuda.get_current_stream().ptr
            self._nccl.allReduce(place, place, array.size, kind, nccl.NCCL_SUM, stream)
        else:  # by way of the host
            import cupyx

            host = cupyx.empty_pinned(array.shape, array.dtype)
            array.get(out=host)
            self.world.Allreduce(self.in_place, host)
            array.set(host)

    @cached_property
    def _nccl(self) -> Any:
        """NCCL's communicator, or None where two ranks share a GPU or a rank lacks the library."""
        from cupy.cuda import nccl

        usable = int(nccl.available and self.own_device)
        if not self.world.allreduce(usable, self.smallest):
            return None
        name = self.broadcast(nccl.get_unique_id() if not self.rank else None)
        return nccl.NcclCommunicator(self.size, name, self.rank)

    def broadcast(self, value: Any) -> Any:
        with self._waiting():
            return self.world.bcast(value)

    def barrier(self) -> None:
        with self._waiting():
            self.world.Barrier()


def find(name: str = "auto") -> Communicator:
    """Return the ranks of this job: "auto" finds those that mpiexec started, "none" no others.

    "mpi" asks MPI, whatever started the process. Raises RuntimeError where it does not work.
    """
    checks.choice("distributed", name, ["auto", "mpi", "none"])
    started = _started()[1]
    if name == "none" or (name == "auto" and started == 1):
        return Communicator()
    return _mpi(started)


@cache
def _mpi(started: int) -> MPI:
    remedy = "pip install mpi4py mpich, and take the mpiexec that belongs to it"
    try:
        ranks = MPI()
    except Exception as error:  # no mpi4py, no MPI library, or one that fails
        reason = checks.first_line(error)
        raise RuntimeError(f"training on several ranks needs mpi4py ({reason}): {remedy}") from None
    if started > 1 and ranks.size == 1:
        raise RuntimeError(f"mpiexec started {started} ranks, mpi4py's MPI sees one: {remedy}")
    return ranks


def _started() -> tuple[int, int]:
    """Return rank and number of ranks, as mpiexec's environment gives them; (0, 1) without."""
    for size, rank in LAUNCHERS.items():
        if os.environ.get(size, "").isdecimal():
            return int(os.environ.get(rank, 0)), int(os.environ[size])
    return 0, 1


def _share_cores(n: int) -> None:
    """Hold the matrix library to this rank's share of the cores, unless its environment does."""
    limits = {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"}
    if n > 1 and not limits & set(os.environ):
        from threadpoolctl import threadpool_limits

        threadpool_limits(max(1, CORES // n))


def _take_device(place: int, n: int) -> bool:
    """Let CuPy use a GPU by this rank's place on the machine; return whether it has its own."""
    if not importlib.util.find_spec("cupy"):
        return False
    try:
        import cupy

        devices = cupy.cuda.runtime.getDeviceCount() if cupy.cuda.is_available() else 0
        if devices:
            cupy.cuda.Device(place % devices).use()
    except Exception:  # a GPU that is full or broken: `get_backend` tells where one is asked for
        return False
    return n <= devices


def run_on_ranks(command: Callable[[], int]) -> int:
    """Return the exit status of a command that runs on all ranks; its failure ends them all.

    One message is printed: the first rank's, or, where that rank is still at work after a moment,
    that of the rank which failed alone.
    """
    rank, size = _started()
    if size == 1:
        return command()
    errors, redirected = io.StringIO(), contextlib.ExitStack()
    if rank:
        redirected.enter_context(contextlib.redirect_stdout(io.StringIO()))
        redirected.enter_context(contextlib.redirect_stderr(errors))
    with redirected:
        try:
            status = command()
        except SystemExit as end:  # of the parser, which comes to the same on every rank
            return 0 if rank else int(end.code or 0)
        except BaseException:
            traceback.print_exc()
            status = 1
    if status and rank:
        time.sleep(2)
        print(f"rank {rank}: {errors.getvalue().strip()}", file=sys.stderr)
    if status and "mpi4py.MPI" in sys.modules:
        _abort(sys.modules["mpi4py.MPI"].COMM_WORLD, status)
    return status


def _abort(world: Any, status: int) -> None:
    """End all ranks with this exit status, once mpiexec has read what was printed."""
    sys.stdout.flush()
    sys.stderr.flush()
    time.sleep(0.3)
    world.Abort(status)
