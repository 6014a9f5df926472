"""On a GPU, a whole training step as one launch: a CUDA graph, captured once and then replayed.

A step of a small model is some sixty kernels of a few microseconds; to launch each of them from
Python takes longer than their work. A capture records the launches of one step without running
them; a replay runs them all again, on the same addresses. What is captured is the model's own code
or, where that has them (`tinyvae.engines.fused`), a dozen kernels that do the same. What changes
from step to step can be no number in the code, which would stay what it was: the rows of each
batch, beta and the optimizer's factors lie in tables on the device, and a step reads the line that
`position` points at, and moves it on.

Buys: a step at 784-400-20/128 in 151 µs on an H200 (benchmarks/README.md has it beside others).
Costs: this file and `kernels.py`, 440 lines.
"""

import copy
import sys
from collections.abc import Callable
from itertools import zip_longest
from typing import Any

import numpy as np

from tinyvae import checks
from tinyvae.core.arrays import Array, Ops
from tinyvae.core.columns import Columns
from tinyvae.core.layers import Dense, ReLU, Sequential
from tinyvae.core.likelihood import CalibratedGaussian
from tinyvae.core.optim import Adam
from tinyvae.device import seed_sequence
from tinyvae.engines import fused
from tinyvae.engines.fused import Fused
from tinyvae.engines.kernels import Cublas, allow_tf32, kernels, with_functions
from tinyvae.engines.plain import Steps
from tinyvae.models import Autoencoder

TABLED = ("beta", "lr", "epsilon")  # settings that a captured step reads from its table
WARM_UPS = 2  # ordinary steps before a capture: kernels compile, libraries load, memory is taken


def make_steps(plain: Steps, arguments: tuple, tf32: bool) -> Steps:
    """Return `GraphSteps`, or, with a note on stderr that says why not, the `plain` engine.

    With `tf32`, products may use TF32 until its `close()`.
    """
    steps, xp = plain, plain.model.backend.xp
    obstacle = _obstacle(steps)
    try:
        steps = steps if obstacle else GraphSteps(*arguments, tf32=tf32)
    except Exception as error:  # a library that is missing, or other than expected
        obstacle = checks.first_line(error)
    if obstacle and steps.ranks.first:
        _note(obstacle)
    if tf32:
        steps.at_close = allow_tf32(xp)
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
    if isinstance(model.likelihood, Columns):
        return "the likelihood is one of columns"
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
        self.settings = self.settings_but(*TABLED)
        self.graphs: dict[int, Any] | None = {}  # by size of batch; None where none can be captured
        self.fused = None
        if fused.possible(self.model, self.x, self.batch_size):
            self.fused = Fused(self)
        else:
            xp = self.model.backend.xp
            self.kernels, self.product = kernels(xp), Cublas(xp, self.stream, self.tf32)
            self.twin, self.twin_optimizer = self._twin(), copy.copy(self.optimizer)

    def _twin(self) -> Autoencoder:
        """Return a copy of the model, on the same weights, that can be captured."""
        functions = self.kernels
        twin = with_functions(self.model.on(CapturedOps(self.product)), functions)
        twin.likelihood = with_functions(twin.likelihood, functions)
        twin.noise = self.noise
        rows = self.batch_size * twin.importance_samples
        ones = twin.backend.xp.ones((1, rows), dtype=twin.dtype)
        for name in ("encoder", "decoder"):
            layers: list[Any] = getattr(twin, name).layers
            captured: list[Any] = []
            for layer, following in zip_longest(layers, layers[1:]):
                if isinstance(layer, Dense):
                    rectified = isinstance(following, ReLU)
                    finish = self.kernels["rectify" if rectified else "add_bias"]
                    layer = CapturedDense(layer, ones, finish)
                elif isinstance(layer, ReLU) and captured and isinstance(captured[-1], Dense):
                    layer = CapturedReLU(self.kernels["relu_backward"])
                captured.append(with_functions(layer, functions))
            setattr(twin, name, Sequential(*captured))
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
        betas = betas or [self.model.beta] * len(self)
        t = getattr(self.optimizer, "t", 0)
        table = [(beta, *_factors(self.optimizer, t + i)) for i, beta in enumerate(betas, 1)]
        asarray = self.model.backend.asarray
        self.order[...], self.table[...] = asarray(order), asarray(np.array(table))
        self.position[...] = 0

    def draw(self, step: int) -> Any:
        """Return the size of a step's batch, whose graph gathers its rows itself."""
        size = len(self.batches[step])
        if self.graphs is not None and size not in self.graphs:
            try:
                self.graphs[size] = self._capture(size)
            except Exception as error:  # whatever a device may object to
                _note(checks.first_line(error.__context__ or error))
                self.graphs = None
        if self.graphs is None:
            return super().draw(step)
        if self.betas:
            self.model.beta = self.betas[step]
        return size

    def forward(self, batch: Any) -> Any:
        """Replay the whole step: the graph holds what `backward`, `step` and `note` do as well."""
        if self.graphs is None:
            return super().forward(batch)
        self.graphs[batch].launch()  # on the current stream, in order with all else
        if isinstance(self.optimizer, Adam):
            self.optimizer.t += 1
        return None

    def backward(self) -> None:
        if self.graphs is None:
            super().backward()

    def step(self) -> None:
        if self.graphs is None:
            super().step()

    def note(self, step: int, terms: Any) -> None:
        if self.graphs is None:
            super().note(step, terms)

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
        calibrated = isinstance(twin.likelihood, CalibratedGaussian)
        variance = twin.likelihood.variance if calibrated else 0.0
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


class CapturedOps(Ops):
    """The operations of a captured model: products by cuBLAS itself."""

    def __init__(self, product: Cublas) -> None:
        self.product = product

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        return self.product(a, b, out)


class CapturedDense(Dense):
    """A Dense that adds b, and takes the ReLU that may follow, in one kernel; and whose db is a
    product too: CuPy sums the columns of a large matrix more slowly. `ones` is (1, at least B)."""

    def __init__(self, layer: Dense, ones: Array, finish: Callable) -> None:
        vars(self).update(vars(layer))
        self.ones, self.finish = ones, finish

    def forward(self, x: Array) -> Array:
        self.x = x
        y = self.ops.matmul(x, self.W)
        return self.finish(y, self.b, y)

    def backward(self, dy: Array, need_dx: bool = True) -> Array | None:
        self.ops.matmul(self.ones[:, : len(dy)], dy, self.db[None])
        self.ops.matmul(self.x.T, dy, self.dW)
        return self.ops.matmul(dy, self.W.T) if need_dx else None


class CapturedReLU(ReLU):
    """A ReLU after a `CapturedDense`, which has done its forward pass."""

    def __init__(self, slope: Callable) -> None:
        self.slope = slope

    def forward(self, x: Array) -> Array:
        self.y = x
        return x

    def backward(self, dy: Array) -> Array:
        return self.slope(dy, self.y, dy)


def _factors(optimizer: Any, t: int) -> tuple[float, float]:
    """Return what an optimizer's step t multiplies with: Adam's a and ε / s, or SGD's lr and 0."""
    if not isinstance(optimizer, Adam):
        return optimizer.lr, 0.0
    optimizer = copy.copy(optimizer)
    optimizer.t = t
    return optimizer.factors()
