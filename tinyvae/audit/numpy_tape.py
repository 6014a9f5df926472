"""A training step of NumPy, operation by operation: its arrays are of a class that remembers."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinyvae.audit import frameworks
from tinyvae.audit.tape import Key, Op, Stopped, Tape, Trace, arrays_in, with_arrays

DRAWS = ("randn", "normal", "standard_normal", "rand", "random", "uniform", "random_sample")


class Followed(np.ndarray):
    """An array whose operations are recorded."""

    tape: Any = None
    key: Key | None = None

    def __array_finalize__(self, source: Any) -> None:
        """Note a view or a copy that came without a function: reshape, slices, .T, astype."""
        self.tape, self.key = getattr(source, "tape", None), None
        if self.tape is not None:
            self.source = source

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        tape = self.tape or next(a.tape for a in inputs if getattr(a, "tape", None) is not None)
        plain = [a.view(np.ndarray) if isinstance(a, Followed) else a for a in inputs]
        if out is not None:
            kwargs["out"] = tuple(np.asarray(o).view(np.ndarray) for o in out)
        extra = kwargs.get("where")
        if isinstance(extra, Followed):
            kwargs["where"] = extra.view(np.ndarray)
        result = getattr(ufunc, method)(*plain, **kwargs)
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        made = tape.made(name, [*inputs, *(out or ())], result)
        if out is not None and isinstance(out[0], Followed):
            out[0].key = made.key
            return out[0]
        return made

    def __array_function__(self, func, types, args, kwargs):
        tape = next(a.tape for a in arrays_in([args, kwargs], Followed) if a.tape is not None)
        plain = [with_arrays(a, Followed, lambda t: t.view(np.ndarray)) for a in (args, kwargs)]
        result = func(*plain[0], **plain[1])
        inputs = list(arrays_in([args, kwargs], np.ndarray))
        mean = 1.0
        if func.__name__ in ("mean", "average"):
            mean = inputs[0].size / max(1, np.size(result))
        return tape.made(func.__name__, inputs, result, mean)

    def __getitem__(self, index):
        plain = with_arrays(index, Followed, lambda t: t.view(np.ndarray))
        result = self.view(np.ndarray)[plain]
        return self.tape.made("__getitem__", [self], result) if np.ndim(result) else result

    def __setitem__(self, index, new):
        plain = with_arrays([index, new], Followed, lambda t: t.view(np.ndarray))
        before = self.tape.key(self)
        self.view(np.ndarray)[plain[0]] = plain[1]
        inputs = [new] if isinstance(new, np.ndarray) else []
        self.key = self.tape.written(before, inputs, self)

    def mean(self, *args, **kwargs):
        """Record a mean as one operation."""
        return np.mean(self, *args, **kwargs)

    def dot(self, other):
        """Record a product as a layer's."""
        return np.dot(self, other)

    def clip(self, *args, **kwargs):
        """Record a clip as one operation."""
        return np.clip(self, *args, **kwargs)


class NumpyTape(Tape):
    """Runs step(model, x) with arrays that remember."""

    framework = "numpy"

    def __init__(self, step: Callable, model: Any) -> None:
        super().__init__(step, model)
        self.weights = {id(a) for a in _arrays_of(model)}

    def run(self, x: Any, replace=None, until=None, seed=None, gradients=False) -> Trace:
        """Return the trace of one run."""
        if seed is not None:
            frameworks.reseed(seed)
        self.trace, self.replace, self.until = Trace(), replace or {}, until
        self.leaves: dict[int, Key] = {}
        self.alive: list[Any] = []
        count = iter(range(1000))
        x = with_arrays(x, np.ndarray, lambda a: self._leaf(a, ("x", next(count))))
        saved = [(a, a.copy()) for a in _arrays_of(self.model)]
        try:
            with self._drawing(seed):
                result = self.step(self.model, x)
            for name, item in frameworks.raw_leaves(result):
                followed = isinstance(item, Followed)
                key = self.key(item) if followed else None
                plain = item.view(np.ndarray) if followed else item
                self.trace.items.append((name, plain, key))
        except Stopped:
            pass
        finally:
            for array, before in saved:
                if array.flags.writeable:
                    array[...] = before
        return self.trace

    def _leaf(self, array: np.ndarray, key: Key) -> Followed:
        followed = np.array(array).view(Followed)
        followed.tape, followed.key = self, key
        self.trace.shapes[key] = array.shape
        self.trace.values[key] = np.asarray(array)
        return followed

    def key(self, array: Any) -> Key:
        """Return the key of an array, made now if nothing made it before."""
        if isinstance(array, Followed):
            if array.key is None:
                source = getattr(array, "source", None)
                inputs = [] if source is None else [source]
                array.key = self._note("getitem_view", inputs, [array.shape])
                self.trace.ops[-1].name = "view"
                self.trace.values[array.key] = array.view(np.ndarray)
            return array.key
        if id(array) not in self.leaves:
            kind = "parameter" if id(array) in self.weights else "constant"
            key = (kind, len(self.leaves))
            self.leaves[id(array)] = key
            self.alive.append(array)
            self.trace.shapes[key] = np.shape(array)
            self.trace.values[key] = array
        return self.leaves[id(array)]

    def _note(self, name: str, inputs: list, shapes: list, mean: float = 1.0) -> Key:
        keys = [self.key(a) for a in inputs if isinstance(a, np.ndarray)]
        self.trace.ops.append(Op(name, keys, shapes, mean))
        return len(self.trace.ops) - 1, 0

    def written(self, before: Key, inputs: list, array: np.ndarray) -> Key:
        """Record that parts of an array were written."""
        key = self._note("__setitem__", inputs, [array.shape])
        self.trace.ops[-1].inputs.insert(0, before)
        self.trace.values[key] = array.view(np.ndarray)
        return key

    def made(self, name: str, inputs: list, result: Any, mean: float = 1.0) -> Any:
        """Record an operation and return its result as a followed array, perhaps replaced."""
        parts = list(arrays_in(result, (np.ndarray, np.generic, float)))
        if not parts:
            return result
        number = self._note(name, inputs, [np.shape(p) for p in parts], mean)[0]
        place = iter(range(len(parts)))

        def put(array: Any) -> Followed:
            key = (number, next(place))
            array = np.asarray(array)
            if key in self.replace:
                new = np.asarray(self.replace[key], array.dtype)
                if new.shape != array.shape:
                    raise ValueError(f"the shape {array.shape} is expected, not {new.shape}")
                array = new
            followed = array.view(Followed)
            followed.tape, followed.key = self, key
            self.trace.values[key] = array
            if key == self.until:
                raise Stopped
            return followed

        return with_arrays(result, (np.ndarray, np.generic, float), put)

    @contextlib.contextmanager
    def _drawing(self, seed: int | None) -> Iterator[None]:
        """Record draws of NumPy's global functions, and of the generators in the model."""
        before = {name: getattr(np.random, name) for name in DRAWS}
        swapped = []
        for owner, name, generator in _generators(self.step, self.model):
            rng = np.random.default_rng(seed) if seed is not None else generator
            swapped.append((owner, name, generator))
            owner[name] = _Generator(rng, self)
        try:
            for name, function in before.items():
                setattr(np.random, name, _recording(name, function, self))
            yield
        finally:
            for name, function in before.items():
                setattr(np.random, name, function)
            for owner, name, generator in swapped:
                owner[name] = generator


class _Generator:
    """A NumPy generator whose draws are recorded."""

    def __init__(self, rng: Any, tape: NumpyTape) -> None:
        self.rng, self.tape = rng, tape

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.rng, name)
        return _recording(name, found, self.tape) if name in DRAWS else found


def _recording(name: str, function: Callable, tape: NumpyTape) -> Callable:
    def draw(*args: Any, **kwargs: Any) -> Any:
        plain = [with_arrays(a, Followed, lambda t: t.view(np.ndarray)) for a in (args, kwargs)]
        result = function(*plain[0], **plain[1])
        inputs = list(arrays_in([args, kwargs], Followed))
        return tape.made(name, inputs, result) if isinstance(result, np.ndarray) else result

    return draw


def _generators(step: Callable, model: Any) -> list[tuple[dict, str, Any]]:
    """Find the generators that a step can reach: where each stands, and itself."""
    kinds = (np.random.Generator, np.random.RandomState)
    homes = [getattr(model, "__dict__", None)]
    homes += [getattr(v, "__dict__", None) for _, v in frameworks.reachable(step)]
    plain = frameworks.plain(step)
    homes += [plain.__globals__ if plain else None, model if isinstance(model, dict) else None]
    found = {}
    for home in homes:
        if isinstance(home, dict):
            for name, value in list(home.items()):
                if isinstance(value, kinds):
                    found[id(home), name] = home, name, value
    return list(found.values())


def _arrays_of(model: Any, depth: int = 3) -> list[np.ndarray]:
    """Return the float arrays in a model's attributes: its weights."""
    if isinstance(model, np.ndarray):
        return [model] if model.dtype.kind == "f" else []
    if depth == 0:
        return []
    items = model.values() if isinstance(model, dict) else model
    if not isinstance(model, (dict, list, tuple)):
        items = getattr(model, "__dict__", {}).values()
    return [a for item in items for a in _arrays_of(item, depth - 1)]
