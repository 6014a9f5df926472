"""The ranks of a job: who they are, and how they add up arrays. MPI carries the messages; between
GPUs, one to a rank, NCCL carries the arrays, and MPI only what NCCL needs to start.

A rank that fails must end the others, which would wait for it for ever, and say why only once.
"""

import contextlib
import importlib.util
import io
import os
import sys
import time
import traceback
from collections.abc import Callable
from functools import cache, cached_property
from typing import Any

import numpy as np

from tinyvae import checks
from tinyvae.core.arrays import Array, array_module

LAUNCHERS = {"OMPI_COMM_WORLD_SIZE": "OMPI_COMM_WORLD_RANK", "PMI_SIZE": "PMI_RANK"}


class Communicator:
    """What a training needs of its ranks; here of a single one, with nobody to exchange with."""

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
        if not self.rank:
            made = make()
        self.barrier()
        return make() if self.rank else made


class MPI(Communicator):
    """The ranks that mpiexec started, and for each a share of the cores and a GPU of its own.

    An exception that nobody catches ends all ranks, which would wait for this one for ever.
    """

    def __init__(self) -> None:
        from mpi4py import MPI

        self.world, self.in_place, self.smallest = MPI.COMM_WORLD, MPI.IN_PLACE, MPI.MIN
        self.rank, self.size = self.world.rank, self.world.size
        neighbours = self.world.Split_type(MPI.COMM_TYPE_SHARED)  # the ranks on this machine
        _share_cores(neighbours.size)
        self.own_device = _take_device(neighbours.rank, neighbours.size)
        excepthook = sys.excepthook

        def tell_and_abort(*error: Any) -> None:
            excepthook(*error)
            self.abort(1)

        sys.excepthook = tell_and_abort

    def all_reduce(self, array: Array) -> None:
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
        return self.world.bcast(value)

    def barrier(self) -> None:
        self.world.Barrier()

    def abort(self, status: int) -> None:
        """End all ranks with this exit status."""
        _flush()
        self.world.Abort(status)


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
    remedy = "install 'tinyvae[mpi]', and take the mpiexec that belongs to it"
    try:
        ranks = MPI()
    except Exception as error:  # no mpi4py, no MPI library, or one that fails
        reason = checks.first_line(error)
        raise RuntimeError(f"training on several ranks needs mpi4py ({reason}): {remedy}") from None
    if started > 1 and ranks.size == 1:
        raise RuntimeError(f"mpiexec started {started} ranks, mpi4py's MPI sees one: {remedy}")
    return ranks


def _started() -> tuple[int, int]:
    """Return rank and number of ranks, as mpiexec's environment tells them; (0, 1) without."""
    for size, rank in LAUNCHERS.items():
        if os.environ.get(size, "").isdecimal():
            return int(os.environ.get(rank, 0)), int(os.environ[size])
    return 0, 1


def _share_cores(n: int) -> None:
    """Hold the matrix library to this rank's share of the cores, unless its environment says."""
    said = {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"} & set(os.environ)
    if n > 1 and not said:
        from threadpoolctl import threadpool_limits

        allowed = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0)
        threadpool_limits(max(1, len(allowed) // n))


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


def speak_once(command: Callable[[], int]) -> int:
    """Return the exit status of a command that runs on all ranks; its failure ends them all.

    One message is printed: the first rank's, or, where that rank is still at work after a moment,
    that of the rank which failed alone.
    """
    rank, size = _started()
    if size == 1:
        return command()
    said, aside = io.StringIO(), contextlib.ExitStack()
    if rank:
        aside.enter_context(contextlib.redirect_stdout(io.StringIO()))
        aside.enter_context(contextlib.redirect_stderr(said))
    with aside:
        try:
            status = command()
        except SystemExit as end:  # of the parser, which comes to the same on every rank
            return 0 if rank else int(end.code or 0)
        except BaseException:
            traceback.print_exc()
            status = 1
    if status and rank:
        time.sleep(2)
        print(f"rank {rank}: {said.getvalue().strip()}", file=sys.stderr)
    if status and "mpi4py.MPI" in sys.modules:
        _flush()
        sys.modules["mpi4py.MPI"].COMM_WORLD.Abort(status)
    return status


def _flush() -> None:
    """Hand on what was printed, before mpiexec ends the job and drops what it has not read."""
    sys.stdout.flush()
    sys.stderr.flush()
    time.sleep(0.3)
