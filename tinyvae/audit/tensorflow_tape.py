"""A training step of TensorFlow (and of Keras on it), operation by operation, from its graph."""

import contextlib
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import op_callbacks  # what TensorFlow's own debugger sees

from tinyvae.audit import frameworks
from tinyvae.audit.tape import NOISE, SHAPES, Key, Op, Stopped, Tape, Trace

NAMES = {  # where the words of the other tapes differ
    "batch_mat_mul_v2": "matmul", "batch_mat_mul": "matmul", "mat_mul": "matmul",
    "conv2_d": "conv2d", "conv3_d": "conv3d", "conv2_dbackprop_input": "conv_transpose2d",
    "conv3_dbackprop_input_v2": "conv_transpose3d", "depthwise_conv2d_native": "conv2d",
    "max_pool": "max_pool2d", "avg_pool": "avg_pool2d",
    "fused_batch_norm_v3": "batch_norm", "random_standard_normal": "normal",
    "stateless_random_normal_v2": "normal", "stateless_random_normal": "normal",
    "random_uniform": "uniform", "stateless_random_uniform_v2": "uniform", "add_v2": "add",
    "stateless_truncated_normal_v2": "uniform", "truncated_normal": "uniform",
    "strided_slice": "slice", "concat_v2": "concat", "pack": "stack", "unpack": "unbind",
    "split_v": "split", "cast": "to", "identity": "copy", "gather_v2": "gather",
    "ensure_shape": "reshape", "resource_gather": "embedding",
}  # fmt: skip
SHAPED = ("shape", "zeros_like", "ones_like", "fill", "range")


class TensorFlowTape(Tape):
    """Traces step(model, x) once for each shape of x and each set of replaced arrays."""

    framework = "tensorflow"

    def __init__(self, step: Callable, model: Any) -> None:
        super().__init__(step, model)
        self.traced: dict[Any, tuple[Callable, _Recorder, list]] = {}
        owners = (model, getattr(model, "optimizer", None))
        found = [v for owner in owners for v in getattr(owner, "variables", None) or ()]
        found += [v for v in frameworks.arrays_of(model) if hasattr(v, "assign")]
        self.saved = [(v, frameworks.to_numpy(v, "it").copy()) for v in found]

    def run(self, x: Any, replace=None, until=None, seed=None, gradients=False) -> Trace:
        """Return the trace of one run."""
        replace = replace or {}
        if seed is not None:
            frameworks.reseed(seed)
            self._restore("u")  # the states of Keras's generators
        arrays = [tf.convert_to_tensor(a) for a in frameworks.arrays_of(x)]
        shapes = tuple((tuple(a.shape), a.dtype.name) for a in arrays)
        dtypes = tuple((key, tuple(np.shape(value))) for key, value in replace.items())
        if (shapes, dtypes, until) not in self.traced:
            self.traced[shapes, dtypes, until] = self._trace(x, list(replace), until)
        function, recorder, names = self.traced[shapes, dtypes, until]
        values = [tf.cast(tf.convert_to_tensor(value), tf.float32) for value in replace.values()]
        items, made = function(arrays, values)
        if recorder.writes:
            self._restore("f")
        if until:
            return Trace(values={until: made[0]})
        trace = Trace(recorder.trace.ops, shapes=recorder.trace.shapes)
        trace.values = dict(zip(recorder.kept, made, strict=True))
        keys = recorder.results
        trace.items = [(n, v, k) for n, v, k in zip(names, items, keys, strict=True)]
        return trace

    def _trace(self, x: Any, replaced: list[Key], until: Key | None) -> tuple:
        recorder, names = _Recorder(until), []

        @tf.function(reduce_retracing=False)
        def function(arrays: list, values: list) -> tuple[list, list]:
            place = iter(arrays)
            given = frameworks.with_arrays_of(x, lambda _: next(place))
            replace = dict(zip(replaced, values, strict=True))
            recorder.begin(tf.compat.v1.get_default_graph(), replace, given)
            op_callbacks.add_op_callback(recorder)
            try:
                with _inlined(recorder):
                    leaves = list(frameworks.raw_leaves(self.step(self.model, given)))
            except Stopped:
                leaves = []
            finally:
                op_callbacks.remove_op_callback(recorder)
            if len(recorder.derived) == 1:
                leaves = [("loss", recorder.derived[0])]
            names[:] = [name for name, _ in leaves]
            recorder.results = [recorder.keys.get(id(item)) for _, item in leaves]
            items = [tf.convert_to_tensor(item) for _, item in leaves]
            recorder.kept = [until] if until else [] if replaced else list(recorder.trace.values)
            return items, [recorder.trace.values[key] for key in recorder.kept]

        return function, recorder, names

    def _restore(self, kind: str) -> None:
        """Undo what an optimizer in the step did."""
        for variable, before in self.saved:
            if before.dtype.kind == kind:
                variable.assign(before)


@contextlib.contextmanager
def _inlined(recorder: "_Recorder") -> Iterator[None]:
    """Run functions within a step as plain Python; note what a gradient is taken of."""
    gradient, eager = tf.GradientTape.gradient, tf.config.functions_run_eagerly()

    def noted(tape: tf.GradientTape, target: Any, *arguments: Any, **options: Any) -> Any:
        recorder.derived.append(target)
        return gradient(tape, target, *arguments, **options)

    tf.config.run_functions_eagerly(True)
    tf.GradientTape.gradient = noted
    try:
        yield
    finally:
        tf.GradientTape.gradient = gradient
        tf.config.run_functions_eagerly(eager)


class _Recorder:
    """Sees each operation of a graph, and puts other arrays in the place of what some return."""

    def __init__(self, until: Key | None) -> None:
        self.until = until
        self.results: list[Key | None] = []
        self.kept: list[Key] = []

    def begin(self, graph: Any, replace: dict[Key, Any], x: Any) -> None:
        """Begin anew on a graph with a batch."""
        self.graph, self.replace, self.trace = graph, replace, Trace()
        self.keys: dict[int, Key] = {}
        self.alive: list[Any] = []  # so that no id is used again
        self.writes = False
        self.derived: list[Any] = []  # what a gradient was taken of
        for number, array in enumerate(frameworks.arrays_of(x)):
            self._note(array, ("x", number))

    def _note(self, array: Any, key: Key) -> Key:
        self.keys[id(array)] = key
        self.alive.append(array)
        if getattr(array, "dtype", None) != tf.resource:
            self.trace.values[key] = array
        if not isinstance(key[0], int):
            self.trace.shapes[key] = _shape(array)
        return key

    def __call__(self, op_type, inputs, attrs, outputs, op_name=None, graph=None):
        """Note one operation; return what stands in the place of its outputs."""
        name = op_type if isinstance(op_type, str) else op_type.decode()
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
        name, made = NAMES.get(name, name), list(outputs or ())
        self.writes |= name.startswith(("assign", "resource_apply"))
        if graph is not self.graph or not made or made[0].dtype == tf.resource:
            return None
        if name in ("read_variable_op", "const", "placeholder"):
            kind = "parameter" if name == "read_variable_op" else "constant"
            for array in made:
                self._note(array, (kind, len(self.alive)))
            return None
        given = [] if name in NOISE or name in SHAPED else inputs
        given = [a for a in given if name not in SHAPES or a.dtype.is_floating]  # no axes
        given = [self.keys.get(id(a)) or self._note(a, ("constant", id(a))) for a in given]
        number, shapes = len(self.trace.ops), [_shape(a) for a in made]
        size = math.prod(_shape(inputs[0])) if name == "mean" else 1
        mean = size / max(1, math.prod(shapes[0])) if name == "mean" else 1.0
        self.trace.ops.append(Op(name, given, shapes, mean))
        for place, array in enumerate(made):
            key = (number, place)
            if key in self.replace:
                made[place] = tf.ensure_shape(tf.cast(self.replace[key], array.dtype), array.shape)
                self.alive.append(array)
            self._note(made[place], key)
            if key == self.until:
                raise Stopped
        return made


def _shape(array: Any) -> tuple[int, ...]:
    return tuple(n or 0 for n in array.shape) if array.shape.rank is not None else ()
