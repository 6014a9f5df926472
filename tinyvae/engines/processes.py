"""Training on several cores: processes that each take some rows of every batch.

A worker is a fork of this process. During an epoch θ, its gradient, the optimizer's vectors, and
what each layer needs for the gradient of its weights lie in memory that all of them see. Each goes
through `forward` and `backward` with its rows, and then has the gradient of some weights from the
whole batch, and moves those. It is `tinyvae.engines.ranks` on one machine, with nothing to send.
(Python threads would wait for each other's lock after every small operation: `tinyvae.threads` is
for where this can't be.) The same number of workers gives the same bits every time.
"""

import copy
import gc
import multiprocessing
import os
import signal
import sys
import warnings
from typing import Any

import numpy as np

from tinyvae import checks
from tinyvae.core.arrays import Array
from tinyvae.engines.communicator import Communicator
from tinyvae.engines.plain import Steps
from tinyvae.engines.ranks import DataParallel
from tinyvae.engines.shared_memory import rows_of_layers, shared, twin_on
from tinyvae.threads import checked, team

WORK = 8_000_000  # rows × weights of a batch that are worth a process of their own
ROWS = 16  # and so many rows: with fewer, its products are too thin
SPINS = 3000  # looks at a semaphore before going to sleep: to wake up takes part of a step
TOLD = 6  # numbers that the first process tells the others: see `take`
TOLD_NAMES = ("beta", "reconstruction_weight", "lr")  # of those that are settings


def number(threads: int | str, model: Any, batch_size: int) -> int:
    """Return how many cores a training is to use; "auto": as many as it is worth.

    Raises ValueError for fewer than 1, and for more than there are.
    """
    if threads != "auto" or model.backend.xp is not np:
        return 1 if threads == "auto" else checked(threads)
    work = batch_size * getattr(model, "importance_samples", 1) * model.parameters.theta.size
    return max(1, min(team.n, batch_size // ROWS, work // WORK))


def shared_out(steps: Steps, arguments: tuple) -> Steps:
    """Return what takes these steps in several processes, if there are to be, and can be, several.

    They can't share what layers of somebody's own may keep beside their weights.
    """
    taken = steps.ranks.several or multiprocessing.current_process().daemon
    if team.n == 1 or sys.platform != "linux" or taken or steps.foreign():
        return steps
    try:
        return WorkerSteps(team.n, *arguments) if isinstance(steps.x, np.ndarray) else steps
    except OSError:  # no more processes, no shared semaphores
        return steps


class WorkerSteps(Steps):
    """Takes every step in n processes, this one among them, the first.

    It tells the others in `told` what to do and releases their `go`; each releases its `there` when
    it is done. They `meet` by the same two semaphores. The model itself gets its weights back, and
    the optimizer its vectors, when an epoch ends.
    """

    def __init__(self, n: int, *arguments: Any) -> None:
        super().__init__(*arguments)
        size, dtype = self.model.parameters.theta.shape, self.model.dtype
        self.n, self.rank, self.parent, self.processes = n, 0, os.getpid(), []
        self.theta, self.gradient = shared(size, dtype), shared(size, dtype)
        self.vectors = {name: shared(size, dtype) for name in _vectors(self.optimizer)}
        self.told, self.terms = shared((TOLD,), "float64"), shared((n, 4), "float64")
        self.slots = shared((n, self.model.latent_dim), "float64")
        self.spare = int(self.sizes.max())  # a row behind those of the largest batch
        self.seen = rows_of_layers(self.model, self.spare + 1)
        self.said = shared((200,), "uint8")  # the last words of a process that fails
        self._fork()

    def _fork(self) -> None:
        """Start the other processes."""
        n, context = self.n, multiprocessing.get_context("fork")
        self.settings = self.settings_but(*TOLD_NAMES)
        self.go = [context.Semaphore(0) for _ in range(n)]
        self.there = [context.Semaphore(0) for _ in range(n)]
        self.processes = [context.Process(target=self._serve, args=(i,)) for i in range(1, n)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of threads, none of which a worker goes on with
            try:
                for process in self.processes:
                    process.daemon = True
                    process.start()
                self._become(0)
            except BaseException:
                self.close()
                raise

    def _become(self, rank: int) -> None:
        """Let this process be the one of that rank: make its copies on the shared arrays."""
        self.rank = rank
        self.twin, self.layers = twin_on(self.theta, self.gradient, self.model, self.seen)
        self.mover = copy.copy(self.optimizer)
        vars(self.mover).update(self.vectors, theta=self.theta, grad=self.gradient)
        self.parts = DataParallel(self.twin, _Others(self))
        self.share = [self._cut(self.theta.size * i // self.n) for i in (rank, rank + 1)]

    def _cut(self, position: int) -> int:
        """Return the first place from `position` on where θ may be cut: the end of a row of W."""
        for layer in self.layers:
            if position < layer.stop:
                rows = -(-(position - layer.start) // layer.W.shape[1])
                return layer.start + rows * layer.W.shape[1] if rows <= len(layer.W) else layer.stop
        return self.theta.size

    def _serve(self, rank: int) -> None:
        """Do what the first process says, until it ends this one (or is itself no more)."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the first one to deal with
        gc.disable()  # what is not this process's to end, such as sockets, stays as it is
        team.n = 1
        try:
            self._become(rank)
            while True:
                self._wait(self.go[rank])
                step, epoch, *numbers = self.told.tolist()
                if step < 0:
                    self._begin(int(epoch))
                else:
                    self._part(int(step), *numbers)
                self.there[rank].release()
        except BaseException as error:
            words = f"{type(error).__name__}: {checks.first_line(error)}".encode()[: self.said.size]
            self.said[: len(words)] = list(words)
        finally:
            os._exit(1)

    def start(self, epoch: int, betas: list[float] | None = None) -> None:
        """Begin an epoch in all processes, from the model's weights as they are now."""
        if self.settings != self.settings_but(*TOLD_NAMES):
            self.close()
            self._fork()
        self.theta[...] = self.model.parameters.theta
        for name, vector in self.vectors.items():
            vector[...] = getattr(self.optimizer, name)
        self.mover.t = getattr(self.optimizer, "t", 0)
        self.told[:2] = -1, epoch
        self._tell()
        self._begin(epoch)
        self._hear()
        self.betas = betas

    def _begin(self, epoch: int) -> None:
        super().start(epoch)
        self.twin.noise = self.parts.noise(self.model.noise)

    def take(self, step: int) -> None:
        """Train on one batch, together."""
        model, optimizer, before = self.model, self.optimizer, team.n
        if self.betas:
            model.beta = self.betas[step]
        beta = getattr(model, "beta", 0.0)
        numbers = optimizer.lr, getattr(self.mover, "t", 0), beta, model.reconstruction_weight
        self.told[:] = step, 0, *numbers
        self._tell()
        try:
            team.n = 1
            self._part(step, *numbers)
        finally:
            team.n = before
        self._hear()
        self.log[step] = self.terms.sum(axis=0)
        if step == len(self) - 1:
            if hasattr(optimizer, "t"):
                optimizer.t = self.mover.t
            model.parameters.theta[...] = self.theta
            model.parameters.grad[...] = self.gradient
            for name, vector in self.vectors.items():
                getattr(optimizer, name)[...] = vector

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")  # `fit` looks for it in the log
    def _part(self, step: int, lr: float, t: float, beta: float, weight: float) -> None:
        """Take this process's part in a step."""
        twin, mover, rows = self.twin, self.mover, self.parts.own(self.batches[step])
        mover.lr, twin.beta, twin.reconstruction_weight = lr, beta, weight
        labels = {} if self.labels is None else {"labels": self.labels[rows]}
        # A row that another process has as well goes where nobody looks.
        first = self.parts.rows.start if self.parts.weight else self.spare
        for layer in self.layers:
            layer.first = first * layer.draws
        terms = twin.forward(self.x[rows], **labels)
        twin.B = self.parts.total  # so that each row counts as one of the whole batch
        twin.backward()
        self.meet()
        for layer in self.layers:
            layer.gradient(self.parts.total, *self.share)
        mover.t = int(t) + 1
        mover.move(*self.share)
        variance = getattr(twin.likelihood, "variance", 0.0)
        self.terms[self.rank] = np.array([*terms, variance], "float64") * self.parts.weight

    def close(self) -> None:
        """End the other processes, and let go of the memory."""
        for process in self.processes:
            if process.pid:
                process.kill()
                process.join()
                process.close()
        self.processes = []
        if hasattr(self, "parts"):
            self.parts.close()
            del self.parts, self.twin

    def _tell(self) -> None:
        for semaphore in self.go[1:]:
            semaphore.release()

    def _hear(self) -> None:
        for semaphore in self.there[1:]:
            self._wait(semaphore)

    def meet(self) -> None:
        """Wait until all processes have come this far."""
        if self.rank:
            self.there[self.rank].release()
            self._wait(self.go[self.rank])
        else:
            self._hear()
            self._tell()

    def _wait(self, semaphore: Any) -> None:
        for _ in range(SPINS):
            if semaphore.acquire(False):
                return
        while not semaphore.acquire(True, 1.0):
            if self.rank and os.getppid() != self.parent:
                os._exit(1)
            if not self.rank and not all(process.is_alive() for process in self.processes):
                words = self.said.tobytes().rstrip(b"\0").decode(errors="replace")
                kind = MemoryError if words.startswith("MemoryError") else RuntimeError
                failed = f"failed ({words})" if words else "was ended from outside"
                raise kind(f"a worker process {failed}: threads=1 needs none")


class _Others(Communicator):
    """The processes of a training as the ranks of `tinyvae.engines.ranks`."""

    def __init__(self, steps: WorkerSteps) -> None:
        self.steps, self.rank, self.size = steps, steps.rank, steps.n

    def all_reduce(self, array: Array) -> None:
        slots = self.steps.slots[:, : array.size]
        slots[self.rank] = array.ravel()
        self.steps.meet()
        array[...] = slots.sum(axis=0).reshape(array.shape)
        self.steps.meet()


def _vectors(optimizer: Any) -> list[str]:
    """Return the names of what an optimizer keeps for each weight."""
    arrays = {
        name: value for name, value in vars(optimizer).items() if isinstance(value, np.ndarray)
    }
    return [name for name in arrays if name not in ("theta", "grad")]
