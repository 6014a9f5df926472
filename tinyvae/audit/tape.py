"""One training step as a list of operations, whatever the framework: who made which array of what.

A tape runs the step again with some of its arrays replaced. Keys name arrays: (number of the
operation, number of its output), or ("x", n), ("parameter", n), ("constant", n) for arrays that
no operation made.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Key = tuple[Any, int]

SHAPES = frozenset(  # change places, not numbers
    (
        "view reshape flatten unflatten squeeze unsqueeze permute transpose t chunk split "
        "tensor_split __getitem__ narrow select unbind contiguous clone expand expand_as repeat "
        "cat concat concatenate stack to float double half type type_as detach detach_ __get__ "
        "movedim swapaxes hsplit split_with_sizes view_as requires_grad_ cpu cuda "
        "repeat_interleave tile ravel swapdims copy broadcast_to moveaxis hstack vstack "
        "array_split slice dynamic_slice broadcast_in_dim convert_element_type stop_gradient rev "
        "gather_slice copy_p astype positive vsplit dsplit as_subclass alias numpy "
        "optimization_barrier dynamic_update_slice expand_dims resize"
    ).split()
)
NETWORK = frozenset(  # mix entries: layers of a network
    (
        "linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d matmul "
        "__matmul__ __rmatmul__ mm bmm addmm baddbmm einsum bilinear embedding lstm gru rnn_tanh "
        "rnn_relu lstm_cell gru_cell batch_norm layer_norm group_norm instance_norm rms_norm "
        "scaled_dot_product_attention multi_head_attention_forward dropout dropout1d dropout2d "
        "dropout3d alpha_dropout feature_dropout feature_alpha_dropout max_pool1d max_pool2d "
        "avg_pool1d avg_pool2d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool2d "
        "interpolate upsample pixel_shuffle scatter_add scatter_add_ scatter_reduce "
        "scatter_reduce_ index_add index_add_ scatter scatter_ spmm prelu tensordot dot "
        "dot_general conv_general_dilated reduce_window_max reduce_window_sum gather scan while "
        "cond scatter-add index_select convolve dropout_ native_layer_norm native_batch_norm "
        "unfold fold mv inner outer"
    ).split()
)
NOISE = frozenset(  # draw numbers
    (
        "randn randn_like normal normal_ rand rand_like uniform_ standard_normal random uniform "
        "log_normal_ cauchy_ exponential_ laplace"
    ).split()
)
SHAPED = frozenset(  # take another array for its shape alone
    "randn_like rand_like zeros_like ones_like empty_like full_like new_empty new_zeros new_ones "
    "new new_full new_tensor size empty".split()
)
PRODUCTS = frozenset("mul __mul__ multiply".split())
BIASES = frozenset("add __add__ __radd__ add_ __iadd__ bias_add sub subtract".split())


@dataclass
class Op:
    """One operation: its name, the keys of what it read, the shapes of what it made."""

    name: str
    inputs: list[Key]
    shapes: list[tuple[int, ...]]
    mean: float = 1.0  # how many entries each entry of its result is an average of
    where: str = ""  # the module or function that it ran in


@dataclass
class Trace:
    """What a run of the step left: its operations, its arrays, and the items that it returned."""

    ops: list[Op] = field(default_factory=list)
    values: dict[Key, Any] = field(default_factory=dict)
    items: list[tuple[str, Any, Key | None]] = field(default_factory=list)
    shapes: dict[Key, tuple[int, ...]] = field(default_factory=dict)


class Stopped(Exception):
    """The array that was asked for has been made: the rest of the step is not needed."""


class Graph:
    """Questions on the operations of one run: what depends on what, what a network made."""

    def __init__(self, trace: Trace) -> None:
        self.trace, self.ops = trace, trace.ops
        self.consumers: dict[Key, list[int]] = {}
        for number, op in enumerate(self.ops):
            for key in op.inputs:
                self.consumers.setdefault(key, []).append(number)
        self._net: dict[Key, bool] = {}
        self.paired = False  # whether the decoder is an inner product of rows

    def op(self, key: Key) -> Op | None:
        """Return the operation that made an array, None for what was there before."""
        return self.ops[key[0]] if isinstance(key[0], int) else None

    def shape(self, key: Key) -> tuple[int, ...]:
        """Return the shape of an array."""
        op = self.op(key)
        return op.shapes[key[1]] if op else self.trace.shapes.get(key, ())

    def size(self, key: Key) -> int:
        """Return how many entries an array has."""
        count = 1
        for n in self.shape(key):
            count *= n
        return count

    def is_bias(self, op: Op) -> bool:
        """Return whether an operation adds a parameter vector to a layer's product."""
        if op.name not in BIASES:
            return False
        weights = [k for k in op.inputs if k[0] == "parameter" or self.only_weights(k)]
        vector = any(self.size(k) > 1 for k in weights)
        return vector and any(self.is_net(k) for k in op.inputs if k not in weights)

    def pairs(self, op: Op, number: int, inputs: list[Key]) -> bool:
        """Return whether an operation multiplies rows of one array: a decoder by inner products."""
        sources = {self.before_shapes(key) for key in inputs}
        if op.name not in PRODUCTS or len(set(inputs)) < 2 or len(sources) > 1:
            return False
        sums = [n for n in self.consumers.get((number, 0), ()) if "sum" in self.ops[n].name]
        self._net[(sums or [number])[0], 0] = self.paired = True
        return True

    def before_shapes(self, key: Key) -> Key:
        """Return the array that others are parts or reshapes of."""
        op = self.op(key)
        while op is not None and op.name in SHAPES and op.inputs:
            key = op.inputs[0]
            op = self.op(key)
        return key

    def scales_noise(self, op: Op) -> bool:
        """Return whether an operation multiplies noise by an array that is no layer's weight."""
        drawn = any(self._is_draw(key) for key in op.inputs)
        return drawn and not any(self.only_weights(key) for key in op.inputs)

    def _is_draw(self, key: Key) -> bool:
        op = self.op(self.before_shapes(key))
        return op is not None and op.name in NOISE

    def is_pool(self, op: Op, key: Key) -> bool:
        """Return whether an operation pools a layer's output over its places."""
        pools = op.name in ("mean", "sum", "amax", "reduce_sum", "reduce_max", "max")
        fewer = pools and 2 <= len(self.shape(key)) < len(self.shape(op.inputs[0]))
        return fewer and self.is_net(op.inputs[0])

    def only_weights(self, key: Key, depth: int = 4) -> bool:
        """Return whether an array is a parameter in another shape."""
        op = self.op(key)
        if op is None:
            return key[0] == "parameter"
        return (
            depth > 0
            and op.name in SHAPES
            and all(self.only_weights(k, depth - 1) for k in op.inputs)
        )

    def is_net(self, key: Key) -> bool:
        """Return whether an array is a layer's output, perhaps in another shape."""
        if key not in self._net:
            op = self.op(key)
            self._net[key] = False  # ends circles of in-place operations
            if op is not None and op.name in NETWORK:
                self._net[key] = not self.scales_noise(op)
            elif op is not None and op.name in SHAPES:
                self._net[key] = bool(op.inputs) and self.is_net(op.inputs[0])
            elif op is not None:
                self._net[key] = self.is_bias(op) or self.is_pool(op, key)
        return self._net[key]

    def descendants(self, keys: set[Key]) -> set[Key]:
        """Return the keys of all that depends on some arrays."""
        found = set(keys)
        for number, op in enumerate(self.ops):
            if any(key in found for key in op.inputs):
                found |= {(number, i) for i in range(len(op.shapes))}
        return found

    def frontier(self, start: Key) -> tuple[set[Key], set[Key], list[Key]]:
        """Return the layers' outputs and the leaves that an array comes from, and the path."""
        hits, leaves, seen, todo = set(), set(), [], [start]
        known = set()
        while todo:
            key = todo.pop()
            if key in known:
                continue
            known.add(key)
            op = self.op(key)
            if op is None:
                leaves.add(key)
            elif self.is_net(key):
                hits.add(self.canonical(key))
            else:
                seen.append(key)
                todo += op.inputs
        return hits, leaves, seen

    def canonical(self, key: Key) -> Key:
        """Return the array before reshapes and repetitions."""
        op = self.op(key)
        while op is not None and op.name in SHAPES and len(op.inputs) == 1:
            (source,) = op.inputs
            if self.size(source) > self.size(key) or len(op.shapes) > 1:
                break
            if not self.is_net(source):
                break
            key, op = source, self.op(source)
        return key


def arrays_in(value: Any, kind: type | tuple[type, ...]) -> Iterator[Any]:
    """Yield the arrays of a kind in nested tuples, lists and dictionaries."""
    if isinstance(value, kind):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from arrays_in(item, kind)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from arrays_in(item, kind)


def with_arrays(value: Any, kind: type | tuple[type, ...], change: Callable[[Any], Any]) -> Any:
    """Return nested tuples, lists and dictionaries with their arrays of a kind changed."""
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, dict):
        return type(value)((k, with_arrays(v, kind, change)) for k, v in value.items())
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(with_arrays(v, kind, change) for v in value))
    if isinstance(value, (tuple, list)):
        return type(value)(with_arrays(v, kind, change) for v in value)
    return value


class Tape:
    """Runs step(model, x) and records it; each framework has its own."""

    framework = ""

    def __init__(self, step: Callable, model: Any) -> None:
        self.step, self.model = step, model

    def run(self, x: Any, replace=None, until=None, seed=None, gradients=False) -> Trace:
        """Return the trace of one run.

        Parameters
        ----------
        x : the batch
        replace : {key: array} that stand in the place of those of the step
        until : key of an array after which the run may end
        seed : whole number that holds the noise still
        gradients : whether to remember what autograd needs
        """
        raise NotImplementedError
