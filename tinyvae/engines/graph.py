"""On a GPU, a whole training step as one launch: a CUDA graph, captured once and then replayed.

A step of a small model is some sixty kernels of a few microseconds; to launch each of them from
Python takes longer than their work. A capture records the launches of one step without running
them; a replay runs them all again, on the same addresses. What is captured is the model's own code
or, where that has them (`tinyvae.engines.fused`), a dozen kernels that do the same. What changes
from step to step can be no number in the code, which would stay what it was: the rows of each
batch, beta and the optimizer's factors lie in tables on the device, and a step reads the line that
`position` points at, and moves it on.
"""

import copy
import math
import sys
from collections.abc import Callable
from itertools import zip_longest
from typing import Any

import numpy as np

from tinyvae import checks
from tinyvae.core.arrays import Array, seed_sequence
from tinyvae.core.layers import Dense, ReLU, Sequential
from tinyvae.core.model import Autoencoder
from tinyvae.core.optim import Adam
from tinyvae.engines import fused, processes
from tinyvae.engines.fused import Fused
from tinyvae.engines.kernels import Cublas, allow_tf32, kernels, with_functions
from tinyvae.engines.plain import Steps
from tinyvae.threads import matmul, matmul_into

TABLED = ("beta", "lr", "epsilon")  # settings that a captured step reads from its table
WARM_UPS = 2  # ordinary steps before a capture: kernels compile, libraries load, memory is taken


def make_steps(*arguments: Any, tf32: bool = False) -> Steps:
    """Return what takes the steps of a training, from the arguments of `Steps`.

    On a GPU that is `GraphSteps`, or, with a note on stderr that says why not, `Steps`. With
    `tf32`, products may use TF32 until its `close()`. On a CPU, see `tinyvae.engines.processes`.
    """
    steps = Steps(*arguments)
    xp = steps.model.backend.xp
    if xp is np:
        return processes.shared_out(steps, arguments)
    obstacle = _obstacle(steps)
    try:
        steps = steps if obstacle else GraphSteps(*arguments, tf32=tf32)
    except Exception as error:  # a library that is missing, or other than expected
        obstacle = checks.first_line(error)
    if obstacle and steps.ranks.first:
        _note(obstacle)
    if tf32:
        steps.close = allow_tf32(xp)
    return steps


def _obstacle(steps: Steps) -> str | None:
    """Return why these steps can't be captured, if that is known before it is tried.

    Code of one's own may depend on numbers that change from step to step: it is never captured.
    """
    model = steps.model
    if steps.ranks.several:
        return "several ranks share each batch"
    if not isinstance(steps.x, model.backend.xp.ndarray):
        return "the data stay on the host"
    foreign = steps.foreign()
    return f"{foreign} is code of your own" if foreign else None


def _note(obstacle: str) -> None:
    print(
        f"note: each step is launched piece by piece, not as one CUDA graph: {obstacle}",
        file=sys.stderr,
    )


class GraphSteps(Steps):
    """Takes every step by replaying a graph; one graph for each size of a batch.

    Should a capture fail, it says so once, and goes on as `Steps` does.
    """

    def __init__(self, *arguments: Any, tf32: bool = False) -> None:
        super().__init__(*arguments)
        model, xp, n = self.model, self.model.backend.xp, len(self)
        self.order = xp.zeros((n, self.batch_size), dtype="int64")  # the rows of each batch
        self.table = xp.zeros((n, 3), dtype=model.dtype)  # beta, and `_factors`, of each step
        self.position = xp.zeros(1, dtype="int64")  # which step of the epoch is next
        if self.labels is not None:
            self.labels_on_device = model.backend.asarray(self.labels)
        self.noise = model.backend.generator(seed_sequence(model.seed, "eps"))
        self.random_state = self.noise.bit_generator._state

        self.stream = xp.cuda.Stream(non_blocking=True)
        self.pool = xp.cuda.MemoryPool()  # whose memory the graphs use as long as they live
        self.tf32 = tf32
        self._prepare()

    def _prepare(self) -> None:
        """Make what a step is captured from, for the settings as they are now."""
        self.settings, self.graphs = self.settings_but(*TABLED), {}
        self.fused = None
        if fused.possible(self.model, self.x, self.batch_size):
            self.fused = Fused(self)
        else:
            xp = self.model.backend.xp
            self.kernels, self.product = kernels(xp), Cublas(xp, self.stream, self.tf32)
            self.twin, self.twin_optimizer = self._twin(), copy.copy(self.optimizer)

    def _twin(self) -> Autoencoder:
        """Return a copy of the model, on the same weights, that can be captured."""
        product = self.product
        functions = self.kernels | {"matmul": product}
        functions["matmul_into"] = lambda out, a, b: product(a, b, out)
        twin = with_functions(self.model, functions)
        twin.likelihood = with_functions(twin.likelihood, functions)
        twin.noise = self.noise
        rows = self.batch_size * getattr(twin, "importance_samples", 1)
        ones = twin.backend.xp.ones((1, rows), dtype=twin.dtype)
        for name in ("encoder", "decoder"):
            layers = [copy.copy(layer) for layer in getattr(twin, name).layers]
            for layer, following in zip_longest(layers, layers[1:]):
                if isinstance(layer, Dense):
                    layer.__class__, layer.ones = CapturedDense, ones
                    layer.finish = self.kernels["add_bias"]
                    if isinstance(following, ReLU):
                        layer.finish = self.kernels["rectify"]
                        following.__class__ = CapturedReLU
                        following.slope = self.kernels["relu_backward"]
            setattr(twin, name, Sequential(*(with_functions(layer, functions) for layer in layers)))
        return twin

    def start(self, epoch: int, betas: list[float] | None = None) -> None:
        super().start(epoch, betas)
        if self.graphs is None:
            return
        if self.settings != self.settings_but(*TABLED):
            self._prepare()
        self.random_state[...] = self.model.noise.bit_generator._state
        self.model.noise = self.noise
        order = np.zeros(self.order.shape, np.int64)
        order.ravel()[: len(self.x)] = np.concatenate(self.batches)
        betas = betas or [getattr(self.model, "beta", 0.0)] * len(self)
        t = getattr(self.optimizer, "t", 0)
        table = [(beta, *_factors(self.optimizer, t + i)) for i, beta in enumerate(betas, 1)]
        asarray = self.model.backend.asarray
        self.order[...], self.table[...] = asarray(order), asarray(np.array(table))
        self.position[...] = 0

    def take(self, step: int) -> None:
        size = len(self.batches[step])
        if self.graphs is not None and size not in self.graphs:
            try:
                self.graphs[size] = self._capture(size)
            except Exception as error:  # whatever a device may object to
                _note(checks.first_line(error.__context__ or error))
                self.graphs = None
        if self.graphs is None:
            return super().take(step)
        if self.betas:
            self.model.beta = self.betas[step]
        self.graphs[size].launch()  # on the current stream, in order with all else
        if isinstance(self.optimizer, Adam):
            self.optimizer.t += 1

    def _step(self, size: int) -> None:
        """Train on the batch of `size` rows at `position`: what the graph holds."""
        if self.fused:
            return self.fused.step(size)
        twin, optimizer, position = self.twin, self.twin_optimizer, self.position
        line = self.table[position][0]  # (3,)
        rows = self.order[position][0, :size]
        twin.beta, optimizer.lr, epsilon = line[0], line[1], line[2]
        labels = {} if self.labels is None else {"labels": self.labels_on_device[rows]}
        terms = twin.forward(self.x[rows], **labels)
        twin.backward()
        if isinstance(optimizer, Adam):
            betas, moments = (optimizer.beta1, optimizer.beta2), (optimizer.M, optimizer.V)
            theta, g = twin.parameters.theta, twin.parameters.grad
            self.kernels["adam_step"](g, optimizer.lr, epsilon, *betas, *moments, theta)
        else:
            optimizer.step()
        variance = getattr(twin.likelihood, "variance", 0.0)
        self.kernels["note"](*terms, variance, self.log, position)

    def _capture(self, size: int) -> Any:
        """Return the graph of a step on `size` rows, and leave everything as it was before."""
        xp = self.model.backend.xp
        cuda = xp.cuda
        arrays = [array for array in vars(self.optimizer).values() if isinstance(array, xp.ndarray)]
        arrays += [self.model.parameters.theta, self.random_state, self.log, self.position]
        before = [array.copy() for array in arrays]

        def restore() -> None:
            for array, value in zip(arrays, before, strict=True):
                array[...] = value

        cuda.Device().synchronize()
        with self.stream, cuda.using_allocator(self.pool.malloc):
            try:
                for _ in range(WARM_UPS):
                    self._step(size)
                    restore()
                self.stream.begin_capture()
                try:
                    self._step(size)
                finally:
                    graph = self.stream.end_capture()
            finally:
                restore()
                self.stream.synchronize()
        return graph


class CapturedDense(Dense):
    """A Dense that adds b, and takes the ReLU that may follow, in one kernel; and whose db is a
    product too: CuPy sums the columns of a large matrix more slowly."""

    ones: Array  # (1, at least B)
    finish: Callable

    def forward(self, x: Array) -> Array:
        self.x = x
        y = matmul(x, self.W)
        return self.finish(y, self.b, y)

    def backward(self, dy: Array, need_dx: bool = True) -> Array | None:
        matmul_into(self.db[None], self.ones[:, : len(dy)], dy)
        matmul_into(self.dW, self.x.T, dy)
        return matmul(dy, self.W.T) if need_dx else None


class CapturedReLU(ReLU):
    """A ReLU after a `CapturedDense`, which has done its forward pass."""

    slope: Callable

    def forward(self, x: Array) -> Array:
        self.y = x
        return x

    def backward(self, dy: Array) -> Array:
        return self.slope(dy, self.y, dy)


def _factors(optimizer: Any, t: int) -> tuple[float, float]:
    """Return what an optimizer's step t multiplies with: Adam's a and ε / s, or SGD's lr and 0."""
    if not isinstance(optimizer, Adam):
        return optimizer.lr, 0.0
    s = math.sqrt((1 - optimizer.beta2) / (1 - optimizer.beta2**t))
    a = optimizer.lr * (1 - optimizer.beta1) / (1 - optimizer.beta1**t) / s
    return a, optimizer.epsilon / s
