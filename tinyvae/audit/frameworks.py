"""Arrays of any framework, by duck typing: NumPy arrays go in as the arrays that a function of
PyTorch, JAX, TensorFlow, Keras, Chainer or CuPy expects, and what it returns comes back as NumPy.

Nothing is imported here: a function of a framework can only exist where that framework already is.
"""

import contextlib
import dataclasses
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

Wrap = Callable[[np.ndarray], Any]

ROOTS = {
    "jaxlib": "jax",
    "flax": "jax",
    "optax": "jax",
    "haiku": "jax",
    "equinox": "jax",
    "numpyro": "jax",
}  # speak another's arrays


class TooCoarse(ValueError):
    """A function computes in 16 bits or fewer: no other sizes or arrays will help."""


def _torch(array: np.ndarray, torch: ModuleType, owner: Any) -> Any:
    tensor = torch.as_tensor(array)
    if hasattr(owner, "parameters"):  # a module on a GPU takes its inputs there
        first = next(iter(owner.parameters()), None)
        tensor = tensor if first is None else tensor.to(first.device)
    return tensor


MAKERS: dict[str, Callable[[np.ndarray, ModuleType, Any], Any]] = {
    "torch": _torch,
    "jax": lambda array, module, owner: sys.modules["jax.numpy"].asarray(array),
    "tensorflow": lambda array, module, owner: module.convert_to_tensor(array),
    "keras": lambda array, module, owner: module.ops.convert_to_tensor(array),
    "cupy": lambda array, module, owner: module.asarray(array),
    "numpy": lambda array, module, owner: array,
    "chainer": lambda array, module, owner: module.Variable(array),
}


def owner_of(function: Callable) -> Any:
    """Return the object that a bound method belongs to, or the callable object itself."""
    return getattr(function, "__self__", function)


def plain(function: Callable) -> FunctionType | None:
    """Return the Python function behind a method, a module, a layer, or a compiled function."""
    for name in ("__wrapped__", "python_function"):  # jax.jit, tf.function
        function = getattr(function, name, function)
    owner = owner_of(function)
    for name in ("forward", "call", "__call__"):
        if not hasattr(function, "__code__") and hasattr(type(owner), name):
            function = getattr(type(owner), name)
    function = getattr(function, "__func__", function)
    return function if isinstance(function, FunctionType) else None


def reachable(function: Callable, depth: int = 3) -> Iterator[tuple[str, Any]]:
    """Yield names and values that a function's code refers to, and theirs in turn."""
    owner, whole = owner_of(function), function
    function = plain(function)
    if function is None:
        return
    if owner is not whole or function is not whole:
        yield "self", owner
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
    values = {name: cell.cell_contents for name, cell in cells if _filled(cell)}
    names = function.__code__.co_names
    values |= {n: function.__globals__[n] for n in names if n in function.__globals__}
    for name, value in values.items():
        yield name, value
        if depth and callable(value) and not isinstance(value, (ModuleType, type)):
            yield from reachable(value, depth - 1)


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - a cell is empty until its variable is bound
    except ValueError:
        return False
    return True


def _root(module_name: str) -> str:
    root = module_name.partition(".")[0]
    return ROOTS.get(root, root)


def candidates(function: Callable) -> list[str]:
    """Return frameworks whose arrays to try on a function, the likeliest first."""
    votes: dict[str, int] = {}
    for _, value in reachable(function):
        homes = [value.__name__] if isinstance(value, ModuleType) else []
        if not isinstance(value, (ModuleType, str, int, float)):
            homes += [base.__module__ for base in type(value).__mro__]
            homes.append(getattr(value, "__module__", None) or "")
        for root in {_root(home) for home in homes if isinstance(home, str)}:
            votes[root] = votes.get(root, 0) + 1
    known = [name for name in MAKERS if name in sys.modules or name == "numpy"]
    known.sort(key=lambda name: name != "numpy")
    hinted = [name for name in known if votes.get(name)]
    if "torch" in votes or "jax" in votes or "tensorflow" in votes:  # NumPy is then a helper
        hinted = sorted(hinted, key=lambda name: name == "numpy")
    if "chainer" in votes:  # its functions take NumPy arrays; Variables are the second choice
        hinted = sorted(hinted, key=lambda name: name == "chainer")
        hinted = ["numpy", *[name for name in hinted if name != "numpy"]]
    return hinted + [name for name in known if name not in hinted and name != "chainer"]


def maker(name: str, function: Callable) -> Wrap:
    """Return what turns a NumPy array into an array of the framework `name`."""
    make, owner = MAKERS[name], owner_of(function)
    module = sys.modules.get(name, np)
    return lambda array: make(array, module, owner)


def to_numpy(value: Any, where: str) -> np.ndarray:
    """Return any framework's array or number as NumPy's, or one clear line in a ValueError.

    Raises
    ------
    TooCoarse
        The value has a narrow float type, which blurs what the tests look at.
    TypeError
        It is no array of numbers.
    """
    kind = type(value).__name__
    if hasattr(value, "detach"):  # PyTorch
        value = value.detach().cpu()
    for name in ("array", "data"):  # Chainer, DeZero
        if isinstance(getattr(value, name, None), np.ndarray):
            value = getattr(value, name)
    dtype = str(getattr(value, "dtype", ""))
    if "float16" in dtype or "float8" in dtype:
        raise TooCoarse(f"{where} returned {dtype}, too coarse to judge: audit it in float32")
    if hasattr(value, "get") and not isinstance(value, dict):  # CuPy
        value = value.get()
    try:
        for name in ("numpy", "asnumpy"):  # PyTorch and TensorFlow, MXNet
            value = getattr(value, name)() if hasattr(value, name) else value
        if isinstance(value, np.ndarray):
            pass
        elif hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            value = np.from_dlpack(value)
        value = np.asarray(value)
        if value.dtype.kind not in "fiub":
            raise TypeError(f"dtype {value.dtype}")
        return value
    except Exception as error:
        raise TypeError(f"{where} returned a {kind}, not an array of numbers ({error})") from None


def raw_leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the arrays in what a function returned: itself, or the items of what holds several.

    A distribution gives its mean and standard deviation; tuples, lists, mappings, named tuples and
    data classes give their items.
    """
    if hasattr(value, "_asdict"):  # a named tuple
        value = value._asdict()
    elif dataclasses.is_dataclass(value) and not hasattr(value, "shape"):
        value = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from raw_leaves(item, str(name))
    elif isinstance(value, (tuple, list)):
        for number, item in enumerate(value):
            yield from raw_leaves(item, str(number))
    elif is_distribution(value):
        yield key or "mean", _value_of(value.mean)
        yield f"{key or 'distribution'}.stddev", _value_of(value.stddev)
    elif value is not None:
        yield key, value


def _value_of(attribute: Any) -> Any:
    return attribute() if callable(attribute) else attribute


def is_distribution(value: Any) -> bool:
    """Return whether a value is a distribution object with a mean and a standard deviation."""
    return hasattr(value, "log_prob") and hasattr(value, "mean") and hasattr(value, "stddev")


def drawn(value: Any, key: Any = None) -> Any:
    """Return a draw from a distribution object, what else came as it is."""
    if not is_distribution(value):
        return value
    if hasattr(value, "rsample"):
        return value.rsample()
    return value.sample() if key is None else value.sample(seed=key)


def leaves(value: Any, where: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the arrays in what a function returned, as NumPy's."""
    for key, item in raw_leaves(value):
        yield key, to_numpy(item, where)


def reseed(number: int) -> None:
    """Set the global seeds of the frameworks that are loaded."""
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002 - the state that somebody's function draws from
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(number)
    if "tensorflow" in sys.modules:
        sys.modules["tensorflow"].random.set_seed(number)


@contextlib.contextmanager
def kept_seeds() -> Iterator[None]:
    """Leave the global random states as they were found."""
    torch = sys.modules.get("torch")
    plain, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    state = torch.get_rng_state() if torch else None
    try:
        yield
    finally:
        random.setstate(plain)
        np.random.set_state(numpy)  # noqa: NPY002
        if torch:
            torch.set_rng_state(state)


def framework_of(*values: Any) -> set[str]:
    """Return the frameworks of the arrays and the classes in some values."""
    found = set()
    for value in values:
        kinds = {_root(base.__module__) for base in type(value).__mro__}
        found |= kinds & set(MAKERS)
        for item in arrays_of(value):
            found |= {_root(base.__module__) for base in type(item).__mro__} & set(MAKERS)
        if isinstance(value, (dict, list, tuple)):
            items = value.values() if isinstance(value, dict) else value
            found |= framework_of(*list(items)[:20])
        elif not hasattr(value, "shape"):
            for item in list(getattr(value, "__dict__", {}).values())[:50]:
                found |= {_root(base.__module__) for base in type(item).__mro__} & set(MAKERS)
    if "keras" in found:
        found.add(sys.modules["keras"].backend.backend())
    return found


def arrays_of(value: Any) -> Iterator[Any]:
    """Yield the arrays of any framework in nested tuples, lists and mappings."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from arrays_of(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from arrays_of(item)


def with_arrays_of(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return nested tuples, lists and mappings with the arrays of any framework changed."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return change(value)
    if isinstance(value, Mapping):
        return type(value)({k: with_arrays_of(v, change) for k, v in value.items()})
    if isinstance(value, (tuple, list)):
        items = [with_arrays_of(v, change) for v in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def like(array: np.ndarray, other: Any) -> Any:
    """Return a NumPy array as an array of the same kind as another."""
    if isinstance(other, np.ndarray):
        return array
    root = _root(type(other).__module__)
    if root == "torch":
        return sys.modules["torch"].as_tensor(array).to(other.device)
    return MAKERS[root](array, sys.modules.get(root), None)
