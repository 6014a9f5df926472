"""A training step of JAX (and of Keras on JAX), operation by operation, from its jaxpr."""

import contextlib
import sys
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.extend import core

from tinyvae.audit import frameworks
from tinyvae.audit.tape import Key, Op, Stopped, Tape, Trace

INLINE = {  # primitives that hold a jaxpr, under the name of the parameter that holds it
    "pjit": "jaxpr", "jit": "jaxpr", "closed_call": "call_jaxpr", "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr", "remat": "jaxpr",
    "checkpoint": "jaxpr", "remat2": "jaxpr", "custom_vjp_call_jaxpr": "fun_jaxpr",
}  # fmt: skip
DRAWS = {"_normal": "normal", "_normal_real": "normal", "_uniform": "uniform",
         "_truncated_normal": "uniform"}  # fmt: skip


class JaxTape(Tape):
    """Traces step(model, x) once for each shape of x, and evaluates it operation by operation."""

    framework = "jax"

    def __init__(self, step: Callable, model: Any) -> None:
        super().__init__(step, model)
        self.traced: dict[Any, Any] = {}
        self.compiled: dict[Any, Any] = {}
        self.count = 0
        self.names: list[str] = []

    def _jaxpr(self, x: Any) -> Any:
        leaves, tree = jax.tree.flatten(x)
        shapes = tuple((np.shape(a), str(getattr(a, "dtype", type(a)))) for a in leaves)
        if shapes not in self.traced:
            floats = [i for i, leaf in enumerate(leaves) if hasattr(leaf, "shape")]

            def run(*arrays: Any) -> list[Any]:
                whole = list(leaves)
                for i, array in zip(floats, arrays, strict=True):
                    whole[i] = array
                result = self.step(_traceable(self.model), jax.tree.unflatten(tree, whole))
                items = list(frameworks.raw_leaves(result))
                self.names = [name for name, _ in items]
                return [jax.numpy.asarray(item) for _, item in items]

            with _stateless():
                self.traced[shapes] = jax.make_jaxpr(run)(*(leaves[i] for i in floats)), floats
        return self.traced[shapes], leaves

    def run(self, x: Any, replace=None, until=None, seed=None, gradients=False) -> Trace:
        """Return the trace of one run."""
        (closed, floats), leaves = self._jaxpr(x)
        self.count += 1
        random = np.random.default_rng(self.count + 1000 if seed is None else seed)
        given = [leaves[i] for i in floats]
        if not replace:
            run = _Run({}, until, lambda *noise: _drawn(random, *noise))
            return run.whole(closed, given, self.names)
        keys = tuple(replace)
        shapes = tuple(np.shape(a) for a in given)
        if (shapes, keys, until) not in self.compiled:

            def evaluate(given: list, values: list, noise: list) -> Any:
                place = iter(noise)
                replaced = dict(zip(keys, values, strict=True))
                run = _Run(replaced, until, lambda *_: next(place))
                trace = run.whole(closed, given, self.names)
                return trace.values[until] if until else [item for _, item, _ in trace.items]

            draws: list[tuple] = []

            def listed(given: list) -> Any:
                def note(*draw: Any) -> Any:
                    draws.append(draw)
                    return jax.numpy.zeros(draw[1], draw[2])

                run = _Run({}, until, note)
                return len(run.whole(closed, given, self.names).items)

            jax.eval_shape(listed, given)
            self.compiled[shapes, keys, until] = jax.jit(evaluate), draws
        compiled, draws = self.compiled[shapes, keys, until]
        values = [jax.numpy.asarray(value) for value in replace.values()]
        result = compiled(given, values, [_drawn(random, *draw) for draw in draws])
        if until:
            return Trace(values={until: result})
        return Trace(items=[(n, v, None) for n, v in zip(self.names, result, strict=True)])


def _traceable(model: Any) -> Any:
    """Return a model, of Flax's nnx a copy whose state may change while it is traced."""
    nnx = sys.modules.get("flax.nnx")
    if nnx is None or not isinstance(model, nnx.Module):
        return model
    return nnx.clone(model)


@contextlib.contextmanager
def _stateless():
    """Keep Keras's variables as they are while a step is traced."""
    if "keras" not in sys.modules:
        yield
        return
    with sys.modules["keras"].StatelessScope():
        yield


def _drawn(random: np.random.Generator, kind: str, shape: tuple, dtype: Any) -> Any:
    draw = random.standard_normal if kind == "normal" else random.random
    return jax.numpy.asarray(draw(shape), dtype)


class _Run:
    """One evaluation of a jaxpr; each value goes with its key."""

    def __init__(self, replace: dict, until: Key | None, noise: Callable) -> None:
        self.trace, self.replace, self.until, self.noise = Trace(), replace, until, noise

    def whole(self, closed: Any, given: list, names: list[str]) -> Trace:
        """Return the trace of a closed jaxpr, up to the array that was asked for."""
        kinds = ["parameter" if np.ndim(c) else "constant" for c in closed.consts]
        consts = [self.leaf(c, (kinds[i], i)) for i, c in enumerate(closed.consts)]
        arguments = [self.leaf(array, ("x", i)) for i, array in enumerate(given)]
        try:
            results = self.evaluate(closed.jaxpr, consts, arguments)
        except Stopped:
            return self.trace
        for name, (key, value) in zip(names, results, strict=True):
            self.trace.items.append((name, value, key))
        return self.trace

    def leaf(self, value: Any, key: Key) -> tuple[Key, Any]:
        """Note an array that no operation made."""
        self.trace.values[key] = value
        self.trace.shapes[key] = np.shape(value)
        return key, value

    def evaluate(self, jaxpr: Any, consts: list, arguments: list) -> list[tuple[Key, Any]]:
        """Return the results of a jaxpr with the keys of the operations that made them."""
        values: dict[Any, tuple[Key, Any]] = {}

        def read(atom: Any) -> tuple[Key, Any]:
            if isinstance(atom, core.Literal):
                return self.leaf(atom.val, ("constant", f"literal {id(atom)}"))
            return values[atom]

        values.update(zip(jaxpr.constvars, consts, strict=True))
        values.update(zip(jaxpr.invars, arguments, strict=True))
        for equation in jaxpr.eqns:
            inputs = [read(atom) for atom in equation.invars]
            outputs = self._equation(equation, inputs)
            values.update(zip(equation.outvars, outputs, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _equation(self, equation: Any, inputs: list[tuple[Key, Any]]) -> list[tuple[Key, Any]]:
        name, params = equation.primitive.name, equation.params
        draw = DRAWS.get(params.get("name")) if name in ("pjit", "jit") else None
        if draw:
            (out,) = equation.outvars
            return self._made(draw, [], [self.noise(draw, out.aval.shape, out.aval.dtype)])
        held = params.get(INLINE.get(name, ""))
        if held is not None:
            jaxpr, consts = (held.jaxpr, held.consts) if hasattr(held, "consts") else (held, [])
            leaves = [self.leaf(c, ("constant", f"inner {id(c)}")) for c in consts]
            return self.evaluate(jaxpr, leaves, inputs)
        bound = equation.primitive.get_bind_params(params)
        functions, params = bound if isinstance(bound, tuple) else ((), bound)  # older JAX: a pair
        results = equation.primitive.bind(*functions, *(v for _, v in inputs), **params)
        results = results if equation.primitive.multiple_results else [results]
        keys = [key for key, _ in inputs]
        mean = 1.0
        if name in ("div", "mul") and np.ndim(results[0]) < 2 and len(inputs) == 2:
            mean = _divisor(name, inputs[1])
        return self._made(name, keys, results, mean)

    def _made(
        self, name: str, inputs: list[Key], results: list, mean: float = 1.0
    ) -> list[tuple[Key, Any]]:
        number = len(self.trace.ops)
        self.trace.ops.append(Op(name, inputs, [np.shape(r) for r in results], mean))
        made = []
        for i, value in enumerate(results):
            key = (number, i)
            if key in self.replace:
                new = jax.numpy.asarray(self.replace[key], value.dtype)
                if new.shape != value.shape:
                    raise ValueError(f"the shape {value.shape} is expected, not {new.shape}")
                value = new
            self.trace.values[key] = value
            if key == self.until:
                raise Stopped
            made.append((key, value))
        return made


def _divisor(name: str, factor: tuple[Key, Any]) -> float:
    """Return the number by which a sum is divided, as a mean is."""
    if factor[0][0] != "constant" or np.ndim(factor[1]) or isinstance(factor[1], jax.core.Tracer):
        return 1.0
    number = float(factor[1])
    return number if name == "div" else 1 / number if number else 1.0
