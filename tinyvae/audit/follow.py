"""Follow one training step: find the encoder's outputs, the noise, z, the decoder's output and the
loss in it, and make functions of them by replacing arrays inside the step.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinyvae.audit import frameworks
from tinyvae.audit.calls import Function
from tinyvae.audit.frameworks import to_numpy
from tinyvae.audit.measure import LOSS_KEYS
from tinyvae.audit.roles import Arrangement
from tinyvae.audit.tape import NETWORK, NOISE, SHAPES, Graph, Key, Trace

PRIME = 17
DISCRETE = frozenset("argmin argmax round round_ sign topk".split())
ACTIVATIONS = frozenset(  # of a decoder that begins with one
    "tanh relu relu_ leaky_relu leaky_relu_ elu gelu silu selu softplus max maximum".split()
)


class NotFollowed(ValueError):
    """The pieces of a VAE were not found in a step; the message says which."""


class Wrong(NotFollowed):
    """A step in which they cannot be found because of an error, which has a name."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def tape_of(step: Callable, model: Any, x: Any) -> Any:
    """Return what runs a step and records it, by the framework of its data and its model."""
    kinds = frameworks.framework_of(model, x)
    if "torch" in kinds:
        from tinyvae.audit.torch_tape import TorchTape as Tape
    elif "jax" in kinds:
        from tinyvae.audit.jax_tape import JaxTape as Tape
    elif "tensorflow" in kinds:
        from tinyvae.audit.tensorflow_tape import TensorFlowTape as Tape
    else:
        from tinyvae.audit.numpy_tape import NumpyTape as Tape
    return Tape(step, model)


@dataclass
class Pieces:
    """Where the pieces of a VAE stand in a step.

    Attributes
    ----------
    heads : groups of keys of the encoder's outputs that z is made from: mu's, then s's
    noise : keys of the noise
    z : key of the latent sample
    outputs : groups of keys of the decoder's outputs that the loss sees
    loss : number of the returned item that is the loss
    others : groups of keys of further networks' outputs that the loss sees
    used : whether a layer takes z
    """

    heads: list[list[Key]]
    noise: list[Key]
    z: Key
    outputs: list[list[Key]]
    loss: int
    others: list[list[Key]] = field(default_factory=list)
    used: bool = True
    means: dict[str, bool] = field(default_factory=dict)


class Step:
    """A step on a model with a batch x, run at will with other rows and with replaced arrays."""

    def __init__(self, step: Callable, model: Any, x: Any) -> None:
        self.tape = tape_of(step, model, x)
        self.step, self.x = step, x
        self.fixed = False  # whether it insists on its own rows
        arrays = list(frameworks.arrays_of(x))
        self.target = next((i for i, a in enumerate(arrays) if np.ndim(a)), -1)
        if self.target < 0:
            raise ValueError("x must be a batch of data: an array, or a tuple or mapping of them")
        self.B = int(np.shape(arrays[self.target])[0])
        self._run()  # what is set up once is set up now
        self.first = self._first()
        again = self._run()
        if [op.name for op in again.ops] != [op.name for op in self.first.ops]:
            raise NotFollowed("the step takes other operations from run to run")
        self.graph = Graph(self.first)
        if not self.first.items:
            raise ValueError("step returned nothing; expected the loss")

    def _first(self) -> Trace:
        """Run with a prime number of rows, so that no other size equals it, or as it came."""
        if self.B > 1:
            try:
                first = self.tape.run(self.rows(PRIME), seed=0)
                self.x, self.B = self.rows(PRIME), PRIME
                return first
            except Exception:
                self.fixed = True
        return self._run()

    def _run(self) -> Trace:
        """Run the step as it is."""
        try:
            return self.tape.run(self.x, seed=0)
        except Exception as failure:
            reason = " ".join(str(failure).split())[:240]
            kind = type(failure).__name__
            raise ValueError(f"step(model, x) raised {kind}: {reason}") from failure

    def resized(self, shape: tuple[int, ...], B: int) -> tuple[int, ...]:
        """Return a shape of the first run for another number of rows, also where they are merged."""
        if self.B not in shape and self.B > 1 and shape and shape[0] % self.B == 0:
            return (shape[0] // self.B * B, *shape[1:])
        return tuple(B if n == self.B else n for n in shape)

    def aim(self, compared: list[int], outputs: list[Key]) -> None:
        """Take for the target the array that the loss sees, best of the size of x_hat."""
        arrays = list(frameworks.arrays_of(self.x))
        sizes = {self.graph.size(key) for key in outputs}
        rows = [i for i in compared if np.shape(arrays[i])[:1] == (self.B,)]
        rows.sort(key=lambda i: np.size(arrays[i]) not in sizes)
        self.target = rows[0] if rows else self.target

    @property
    def data(self) -> np.ndarray:
        """Return the batch's array that x_hat is compared with, as NumPy's."""
        return to_numpy(list(frameworks.arrays_of(self.x))[self.target], "x")

    def rows(self, B: int, data: np.ndarray | None = None) -> Any:
        """Return the batch with B rows, its target exchanged for other data where given."""
        place = itertools.count()

        def resize(array: Any) -> Any:
            number = next(place)
            if not np.ndim(array) or np.shape(array)[0] != self.B:
                return array
            new = to_numpy(array, "x")
            new = new[np.arange(B) % self.B]
            if number == self.target and data is not None:
                new = np.asarray(data).reshape(new.shape).astype(new.dtype)
            return frameworks.like(new, array)

        return frameworks.with_arrays_of(self.x, resize)


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
                rows = own[own.index(B) :] if B in own else own  # without a sample axis
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


def find(step: Step) -> Pieces:
    """Return where the pieces of a VAE stand in a step.

    Raises
    ------
    NotFollowed
        One of them was not found.
    """
    graph, trace = step.graph, step.first
    loss = next((i for i, (name, *_) in enumerate(trace.items) if LOSS_KEYS.fullmatch(name)), 0)
    start = trace.items[loss][2]
    if start is None:
        raise NotFollowed("the loss is a plain number: return the array that is derived")
    sites = _noise_sites(step)
    found = [site for site in (_site(graph, key) for key in sites) if site]
    found = [site for site in found if start in graph.descendants({site[0]})] or found
    if not found:
        raise _why_no_noise(step, sites)
    if len({frozenset(heads) for _, heads, _ in found}) > 1 and len({z for z, *_ in found}) > 1:
        raise NotFollowed(f"{len(found)} latent samples were found (a hierarchy?): one is judged")
    z, hits, used = found[0]
    random = graph.descendants({z})
    ends, leaves, _ = graph.frontier(start)
    if not ends and all(kind == "constant" for kind, _ in leaves):
        raise Wrong("gradient-cut", "the loss was made anew from plain numbers: nothing is derived")
    outputs = [key for key in sorted(ends) if key in random]
    groups = _grouped(step, sorted(hits))
    pieces = Pieces(groups, sites, z, _grouped(step, outputs), loss, used=used)
    known = {key for group in groups for key in group}
    for group in _grouped(step, [key for key in sorted(ends) if key not in random]):
        twin = next((g for g in groups if _equal(step, g[0], group[0])), None)
        if twin is not None:
            twin += [key for key in group if key not in known]
        elif not known & set(group):
            pieces.others.append(group)
    step.aim([number for kind, number in leaves if kind == "x"], outputs)
    return pieces


def _noise_sites(step: Step) -> list[Key]:
    """Return the keys of what may be noise: draws, and constants that change from run to run."""
    sites = []
    for number, op in enumerate(step.first.ops):
        if op.name in NOISE:
            sites.append((number, 0))
    if not sites and step.tape.framework != "jax":
        again = step.tape.run(step.x)
        for key, value in step.first.values.items():
            other = again.values.get(key)
            if key[0] == "constant" and other is not None and np.shape(value):
                if not np.array_equal(to_numpy(value, "it"), to_numpy(other, "it")):
                    sites.append(key)
    return sites


def _site(graph: Graph, noise: Key) -> tuple[Key, set[Key], bool] | None:
    """Return z, the layers' outputs that it is made from, and whether a layer takes it."""
    reached = graph.descendants({noise})
    arithmetic, enters = [], []
    for number, op in enumerate(graph.ops):
        takes = [key for key in op.inputs if key in reached]
        if not takes:
            continue
        if (op.name in NETWORK and not graph.scales_noise(op)) or graph.is_bias(op):
            enters += takes
            break
        if graph.pairs(op, number, takes):
            enters += takes
            continue
        arithmetic.append((number, 0))
    for key in enters:
        z = _unshaped(graph, key, reached)
        hits, *_ = graph.frontier(z)
        if hits:
            return z, hits, True
    own = graph.op(noise)
    if own and any(graph.frontier(k)[0] for k in own.inputs) and not enters:
        arithmetic.insert(0, noise)
    for z in arithmetic:
        hits, *_ = graph.frontier(z)
        if len(hits) > 1 and not enters and graph.size(z) >= min(map(graph.size, hits)):
            return z, hits, False
    return None


def _unshaped(graph: Graph, key: Key, reached: set[Key]) -> Key:
    """Go back from what a layer takes to the z that it was reshaped, joined or activated from."""
    op = graph.op(key)
    while op is not None and (op.name in SHAPES or op.name in ACTIVATIONS):
        sources = [k for k in op.inputs if k in reached]
        if not sources:
            break
        key = sources[0]
        op = graph.op(key)
    return key


def _why_no_noise(step: Step, sites: list[Key]) -> NotFollowed:
    losses = [step.tape.run(step.x).items[0][1] for _ in range(2)]
    a, b = (to_numpy(loss, "the loss") for loss in losses)
    discrete = sorted(DISCRETE & {op.name for op in step.first.ops})
    if np.array_equal(a, b) and discrete:
        return NotFollowed(f"no noise is drawn, but {discrete[0]} taken: a discrete latent?")
    if np.array_equal(a, b):
        why = "the noise that is drawn has no part in it" if sites else "no noise is drawn"
        return Wrong("loss-deterministic", f"two runs of the step gave the same loss: {why}")
    if sites:
        return NotFollowed("noise is drawn, but no z is made from it and a layer's output")
    return NotFollowed("the loss is random, but the draw of its noise was not seen")


def _equal(step: Step, a: Key, b: Key) -> bool:
    """Whether two arrays are the same numbers, and not by chance all alike."""
    if a == b:
        return True
    first, second = (to_numpy(step.first.values[k], "it") for k in (a, b))
    if first.size != second.size:
        return False
    return bool(np.ptp(first) > 0 and np.array_equal(first.ravel(), second.ravel()))


def _grouped(step: Step, keys: Any) -> list[list[Key]]:
    """Put keys of equal arrays into one group: a layer that was run twice."""
    groups: list[list[Key]] = []
    for key in keys:
        twin = next((g for g in groups if _equal(step, g[0], key)), None)
        if twin is None:
            groups.append([key])
        else:
            twin.append(key)
    return groups
