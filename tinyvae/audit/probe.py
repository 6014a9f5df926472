"""Functions of mu, s, x and x_hat out of a step: its arrays are replaced by these."""

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinyvae.audit import frameworks
from tinyvae.audit.calls import Function
from tinyvae.audit.follow import Pieces, Step
from tinyvae.audit.roles import Arrangement
from tinyvae.audit.tape import Key, Trace


class StepFunction(Function):
    """A function of mu, s, x and x_hat that runs a step with these in place of its own."""

    def __init__(self, step: Step, pieces: Pieces, name: str, beta: float | None) -> None:
        super().__init__(lambda *arguments: None, name, (), None, beta)
        self.step, self.pieces, self.function = step, pieces, step.step
        wanted = ("mu", "s") if name == "sample" else ("x", "x_hat", "mu", "s")
        self.arrangements = [Arrangement(list(wanted), {})]
        self.settled = self.arrangements[0], frameworks.maker(step.tape.framework, step.step)
        self.makers, self.kinds = [self.settled[1]], [step.tape.framework]
        self.narrow = True
        self.rows = step.B
        self.followed = True
        size = step.graph.size(pieces.heads[0][0])
        alike = [keys for keys in pieces.others if step.graph.size(keys[0]) == size]
        self.prior = alike if name != "sample" and len(alike) == 2 else []
        self.second = 0.0  # what further outputs of the decoder hold
        self.other = 0.0  # how far those of other networks are from 0
        size = max(1, step.graph.size(pieces.heads[0][0]) // step.B)
        self.draws = min(256, max(48, 2048 // size)), 72  # a call runs the encoder too
        self.means = pieces.means

    @property
    def named(self) -> bool:
        """Return true: the step itself tells which array is x."""
        return True

    def _rows(self, values: dict[str, Any]) -> int:
        """Return how many rows the arguments have; z may have an axis of samples before them."""
        return self.step.B if "z" in values else int(np.shape(next(iter(values.values())))[0])

    def _replaced(self, values: dict[str, Any]) -> dict[Key, Any]:
        replace = {}
        groups = dict(zip(("mu", "s"), self.pieces.heads, strict=False))
        if self.pieces.outputs:
            groups["x_hat"] = self.pieces.outputs[0]
        groups["z"] = [self.pieces.z]
        if self.prior:
            groups |= dict(zip(("mu_p", "s_p"), self.prior, strict=True))
        B, shape = self._rows(values), self.step.graph.shape
        for role, keys in groups.items():
            for key in keys if role in values else ():
                own = self.step.resized(shape(key), B)
                rows = (
                    own[own.index(B) :] if B in own and role != "z" else own
                )  # no axis of samples
                value = values[role]
                if int(np.prod(np.shape(value))) != int(np.prod(rows)):
                    raise ValueError(f"the step's {role} has the shape {rows}")
                value = value if tuple(value.shape) == rows else _reshaped(value, rows)
                replace[key] = value if rows == own else _repeated(value, own)
        if self.seed is not None:
            replace |= fixed_noise(self.step, self.pieces, B, self.seed)
        rest = [keys for keys in self.pieces.others if keys not in self.prior]
        rest = rest + self.pieces.outputs[1:] if "x_hat" in values else []
        for keys in rest:
            for key in keys:
                place = self.step.resized(shape(key), B)
                spread = 0.0 if keys in self.pieces.outputs else self.other
                around = self.second if keys in self.pieces.outputs else 0.0
                noise = np.random.default_rng(0).standard_normal(place)
                replace[key] = (around + spread * noise).astype(np.float32)
        return replace

    def _run(self, values: dict[str, Any], gradients: bool = False) -> Trace:
        x = self.step.rows(
            self._rows(values), values.get("x") if self.pieces_take_x(values) else None
        )
        until = self.pieces.z if self.name == "sample" else None
        replace = self._replaced(values)
        return self.step.tape.run(x, replace, until, self.seed, gradients)

    def pieces_take_x(self, values: dict[str, Any]) -> bool:
        """Return whether x is given and can be put in the place of the batch's own."""
        data = self.step.data
        if "x" not in values or data.dtype.kind != "f":
            return False
        return int(np.prod(np.shape(values["x"])[1:])) == int(np.prod(data.shape[1:]))

    def _raw(self, values: dict[str, Any], gradients: bool = False) -> Any:
        trace = self._run(values, gradients)
        if self.name == "sample":
            return trace.values[self.pieces.z]
        return {"loss": trace.items[self.pieces.loss][1]}

    def uses(self, role: str) -> bool:
        """Return whether the step has a learned prior, for its roles."""
        return role in ("mu_p", "s_p") and bool(self.prior)

    def sees_x(self, term: Any) -> bool:
        """Return whether the loss compares x_hat with x, where both have the same shape."""
        data, graph = self.step.data, self.step.graph
        if data.dtype.kind != "f" or graph.size(self.pieces.outputs[0][0]) % data.size:
            return True
        rng, shape = np.random.default_rng(2), (term.sizes.B, *term.sizes.pixels)
        x_hat = rng.uniform(0.1, 0.9, shape)
        one, two = (np.where(rng.random(shape) < 0.5, *term.pair) for _ in range(2))
        with term.held():
            return term(x=one, x_hat=x_hat, mu=0.2) != term(x=two, x_hat=x_hat, mu=0.2)

    def sees_others(self, term: Any) -> bool:
        """Return whether the loss moves with the outputs of networks that are no part of a VAE."""
        with term.held():
            before = term(x=term.target, x_hat=0.3, mu=0.2)
            self.other = 1.0
            after = term(x=term.target, x_hat=0.3, mu=0.2)
            self.other = 0.0
        return abs(after - before) > 1e-6 * abs(before)

    def flip_prior(self) -> bool:
        """Exchange the mean and s of a learned prior; return whether there is one."""
        self.prior = self.prior[::-1]
        return bool(self.prior)

    def labels(self, B: int) -> np.ndarray | None:
        """Return B rows of the batch where it holds tokens."""
        data = self.step.data
        return data[np.arange(B) % self.step.B] if data.dtype.kind in "iu" else None

    def objects(self) -> Iterator[Any]:
        """Yield the objects that the step's code refers to, the model's parts among them."""
        yield from super().objects()
        yield self.step.tape.model
        yield from getattr(self.step.tape.model, "__dict__", {}).values()

    def again(self, values: dict[str, Any]) -> Any:
        """Return the result at these values, under one seed, with gradients."""
        self.seed = 0
        try:
            return self._raw(values, gradients=True)
        finally:
            self.seed = None

    def _attempt(self, arrangement: Any, make: Any, values: dict) -> list:
        self.calls += 1
        for settings, numbers in self.counters:
            settings.update(numbers)
        try:
            result = self._raw(values)
        except Exception as failure:
            raise ValueError(self._failed(failure, values)) from failure
        items = list(frameworks.leaves(result, "step"))
        self.narrow = any(array.dtype != np.float64 for _, array in items)
        return [(key, array.astype(np.float64)) for key, array in items]


def _reshaped(value: Any, shape: tuple[int, ...]) -> Any:
    if hasattr(value, "reshape"):
        return value.reshape(shape)
    return sys.modules["tensorflow"].reshape(value, shape)


def _repeated(value: Any, shape: tuple[int, ...]) -> Any:
    """Return an array repeated along leading axes."""
    if hasattr(value, "expand"):
        return value.expand(shape)
    return np.broadcast_to(value, shape) if isinstance(value, np.ndarray) else value + 0 * shape


def fixed_noise(step: Step, pieces: Pieces, B: int, seed: int, value: Any = None) -> dict:
    """Return replacements that hold the noise still, where its draw can be replaced."""
    rng, replace = np.random.default_rng(seed), {}
    for key in pieces.noise:
        op = step.graph.op(key)
        if op is None or any(step.graph.frontier(k)[0] for k in op.inputs):  # Normal.sample()
            continue
        shape = step.resized(step.graph.shape(key), B)
        noise = rng.standard_normal(shape) if value is None else np.full(shape, value)
        replace[key] = noise.astype(np.float32)
    return replace
