"""The engine of processes: several on one machine, each with some rows of every batch.

A worker is a fork of this process. During an epoch θ, its gradient, the optimizer's vectors, and
the factors of the weights' gradients lie in memory that all of them see. Each goes through
`forward` and `backward` with its rows, then multiplies its share of the gradient of the whole
batch, and moves that share of θ. It is `engines.ranks` on one machine, with nothing to send.
(Python threads would wait for each other's lock after every small operation: `tinyvae.threads` is
for where this can't be.) The same number of workers gives the same bits every time.

Buys: 0.75 to 0.93 of the time of a loop with threads, on two cores (benchmarks/step.py).
Costs: this file and `shared_memory.py`, 390 lines.
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
from tinyvae.core.likelihood import CalibratedGaussian
from tinyvae.core.model import Terms
from tinyvae.engines.communicator import Communicator
from tinyvae.engines.partition import DataParallel
from tinyvae.engines.plain import Batch, Steps
from tinyvae.engines.ranks import RankNoise, share_means
from tinyvae.engines.shared_memory import ProcessOps, products_of, shared
from tinyvae.models import VAE
from tinyvae.threads import checked, team

WORK = 8_000_000  # rows × weights of a batch that are worth a process of their own
ROWS = 16  # and so many rows: with fewer, its products are too thin
SPINS = 3000  # looks at a semaphore before going to sleep: to wake up takes part of a step
ORDER = 6  # numbers that the first process sends to the others: see `draw`
SENT = ("beta", "reconstruction_weight", "lr")  # those of them that are settings


def number(threads: int | str, model: Any, batch_size: int) -> int:
    """Return how many cores a training is to use; "auto": as many as it is worth.

    Raises ValueError for fewer than 1, and for more than there are.
    """
    if threads != "auto" or model.backend.xp is not np:
        return 1 if threads == "auto" else checked(threads)
    work = batch_size * model.importance_samples * model.parameters.theta.size
    return max(1, min(team.n, batch_size // ROWS, work // WORK))


def make_steps(plain: Steps, arguments: tuple) -> Steps:
    """Return the engine of processes, or the plain one where there is one core, where processes
    cannot be forked, or where layers of one's own may keep more than their weights."""
    forked = multiprocessing.current_process().daemon
    if team.n == 1 or sys.platform != "linux" or forked or plain.foreign():
        return plain
    try:
        return ProcessSteps(team.n, *arguments) if isinstance(plain.x, np.ndarray) else plain
    except OSError:  # no more processes, no shared semaphores
        return plain


class ProcessSteps(Steps):
    """Takes every step in n processes, this one among them, the first.

    It writes an order into `order` and releases the others' `go`; each releases its `done` when it
    has carried it out. They `meet` by the same two semaphores. The model itself gets its weights
    back, and the optimizer its vectors, when an epoch ends.
    """

    def __init__(self, n: int, *arguments: Any) -> None:
        super().__init__(*arguments)
        size, dtype = self.model.parameters.theta.shape, self.model.dtype
        self.n, self.rank, self.parent = n, 0, os.getpid()
        self.processes: list[Any] = []
        self.theta, self.gradient = shared(size, dtype), shared(size, dtype)
        self.vectors = {name: shared(size, dtype) for name in _vectors(self.optimizer)}
        self.order, self.terms = shared((ORDER,), "float64"), shared((n, 4), "float64")
        self.slots = shared((n, self.model.latent_dim), "float64")
        self.spare = int(self.sizes.max())  # a row behind those of the largest batch
        self.products = products_of(self.model, self.spare + 1)
        self.failure = shared((200,), "uint8")  # the message of a process that fails
        self._fork()

    def _fork(self) -> None:
        """Start the other processes."""
        n, context = self.n, multiprocessing.get_context("fork")
        self.settings = self.settings_but(*SENT)
        self.go = [context.Semaphore(0) for _ in range(n)]
        self.done = [context.Semaphore(0) for _ in range(n)]
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
        self.parts = DataParallel(_Processes(self))
        self.ops = ProcessOps(self.parts, self.products, self.gradient)
        self.twin = self.model.on(self.ops, self.theta, self.gradient)
        share_means(self.twin, self.ops)
        self.mover = copy.copy(self.optimizer)
        vars(self.mover).update(self.vectors, theta=self.theta, grad=self.gradient)
        self.share = [self._cut(self.theta.size * i // self.n) for i in (rank, rank + 1)]

    def _cut(self, position: int) -> int:
        """Return the first place from `position` on where θ may be cut."""
        after = (product for product in self.products if position < product.stop)
        product = next(after, None)
        return product.cut(position) if product else self.theta.size

    def _serve(self, rank: int) -> None:
        """Carry out the first process's orders, until it ends this one (or has itself ended)."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the first one to deal with
        gc.disable()  # what is not this process's to end, such as sockets, stays as it is
        try:
            with team.using(1), np.errstate(all="ignore"):  # `fit` looks at the log
                self._become(rank)
                while True:
                    self._wait(self.go[rank])
                    step, epoch, *numbers = self.order.tolist()
                    if step < 0:
                        self._begin(int(epoch))
                    else:
                        self._set(*numbers)
                        terms = self._forward(self._rows(int(step)))
                        self._backward()
                        self._move()
                        self._note(terms)
                    self.done[rank].release()
        except BaseException as error:
            words = f"{type(error).__name__}: {checks.first_line(error)}".encode()
            words = words[: self.failure.size]
            self.failure[: len(words)] = list(words)
        finally:
            os._exit(1)

    def start(self, epoch: int, betas: list[float] | None = None) -> None:
        """Begin an epoch in all processes, from the model's weights as they are now."""
        if self.settings != self.settings_but(*SENT):
            self.close()
            self._fork()
        self.theta[...] = self.model.parameters.theta
        for name, vector in self.vectors.items():
            vector[...] = getattr(self.optimizer, name)
        self.mover.t = getattr(self.optimizer, "t", 0)
        self.order[:2] = -1, epoch
        self._send()
        self._begin(epoch)
        self._wait_for_all()
        self.betas = betas

    def _begin(self, epoch: int) -> None:
        super().start(epoch)
        self.twin.noise = RankNoise(self.model.noise, self.parts)

    def draw(self, step: int) -> Batch:
        """Send the order for a step, and return this process's rows."""
        model = self.model
        if self.betas:
            model.beta = self.betas[step]
        t = getattr(self.mover, "t", 0)
        numbers = self.optimizer.lr, t, model.beta, model.reconstruction_weight
        self.order[:] = step, 0, *numbers
        self._send()
        self._set(*numbers)
        return self._rows(step)

    def forward(self, batch: Batch) -> Terms:
        """Return the loss of this process's rows."""
        with team.using(1, hold_blas=False):
            return self._forward(batch)

    def backward(self) -> None:
        """Write the gradient of the batch, together: each process a share of it."""
        with team.using(1, hold_blas=False):
            self._backward()

    def step(self) -> None:
        """Move this process's share of θ."""
        with team.using(1, hold_blas=False):
            self._move()

    def note(self, step: int, terms: Terms) -> None:
        """Wait for the other processes, and write the terms of the whole batch into the log."""
        self._note(terms)
        self._wait_for_all()
        self.log[step] = self.terms.sum(axis=0)
        if step == len(self) - 1:
            optimizer = self.optimizer
            if hasattr(optimizer, "t"):
                optimizer.t = self.mover.t
            self.model.parameters.theta[...] = self.theta
            self.model.parameters.grad[...] = self.gradient
            for name, vector in self.vectors.items():
                getattr(optimizer, name)[...] = vector

    def _set(self, lr: float, t: float, beta: float, weight: float) -> None:
        """Take the settings that hold for a step."""
        self.mover.lr, self.mover.t = lr, int(t) + 1
        self.twin.beta, self.twin.reconstruction_weight = beta, weight

    def _rows(self, step: int) -> Batch:
        """Return this process's rows of a batch."""
        rows = self.parts.own(self.batches[step])
        # A row that another process has as well goes behind those of the batch.
        self.ops.first = self.parts.rows.start if self.parts.weight else self.spare
        return self.gather(rows)

    def _forward(self, batch: Batch) -> Terms:
        x, labels = batch  # `fit` has checked them
        twin, n = self.twin, len(x)
        eps = [twin.draw_eps(n)] if isinstance(twin, VAE) else []
        return twin.loss(x, twin.one_hot(labels.get("labels"), n), *eps)

    def _backward(self) -> None:
        self.twin.B = self.parts.total  # so that each row counts as one of the whole batch
        self.twin.gradient()
        self.meet()
        for product in self.products:
            product.multiply(self.gradient, self.parts.total, *self.share)

    def _move(self) -> None:
        start, stop = self.share
        self.ops.over(lambda i, j: self.mover.move(start + i, start + j), stop - start)

    def _note(self, terms: Terms) -> None:
        likelihood = self.twin.likelihood
        variance = likelihood.variance if isinstance(likelihood, CalibratedGaussian) else 0.0
        self.terms[self.rank] = np.array([*terms, variance], "float64") * self.parts.weight

    def close(self) -> None:
        """End the other processes, and free the memory."""
        for process in self.processes:
            if process.pid:
                process.kill()
                process.join()
                process.close()
        self.processes = []
        if hasattr(self, "twin"):
            del self.parts, self.ops, self.twin

    def _send(self) -> None:
        for semaphore in self.go[1:]:
            semaphore.release()

    def _wait_for_all(self) -> None:
        for semaphore in self.done[1:]:
            self._wait(semaphore)

    def meet(self) -> None:
        """Wait until all processes have come this far."""
        if self.rank:
            self.done[self.rank].release()
            self._wait(self.go[self.rank])
        else:
            self._wait_for_all()
            self._send()

    def _wait(self, semaphore: Any) -> None:
        for _ in range(SPINS):
            if semaphore.acquire(False):
                return
        while not semaphore.acquire(True, 1.0):
            if self.rank and os.getppid() != self.parent:
                os._exit(1)
            if not self.rank and not all(process.is_alive() for process in self.processes):
                words = self.failure.tobytes().rstrip(b"\0").decode(errors="replace")
                kind = MemoryError if words.startswith("MemoryError") else RuntimeError
                failed = f"failed ({words})" if words else "was ended from outside"
                raise kind(f"a worker process {failed}: threads=1 needs none")


class _Processes(Communicator):
    """The processes of a training as ranks."""

    def __init__(self, steps: ProcessSteps) -> None:
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
