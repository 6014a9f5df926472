"""Calling a function under audit: what works is found once and kept, what fails gets one line."""

import itertools
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from tinyvae.audit import frameworks, roles, scales

EXTRAS = {"eps", "key", "beta", "training", "step"}
SYMBOLS = {"mu": "mu", "s": "logvar", "x": "x", "x_hat": "x_hat", "z": "z", "eps": "eps"}


class Function:
    """A function of somebody's VAE, called by roles ("mu", "s", …) with NumPy arrays.

    Parameters
    ----------
    function : callable
        Of any framework.
    name : str
        What the user called it in `audit(...)`: for messages.
    wanted : tuple of str
        The roles that it must take.
    wrap : callable or None
        Turns a NumPy array into what the function takes; found by trial where None.
    beta : float
        Passed where the function asks for a weight of the KL.
    """

    def __init__(
        self,
        function: Callable,
        name: str,
        wanted: tuple[str, ...],
        wrap: Callable | None = None,
        beta: float | None = None,
    ) -> None:
        if not callable(function):
            raise TypeError(f"{name} must be a function, not {function!r}")
        self.function, self.name, self.beta = function, name, 1.0 if beta is None else beta
        try:
            self.arrangements = roles.arrangements(function, wanted)
        except TypeError as error:
            raise TypeError(f"{name} {error}") from None
        kinds = ["wrapped"] if wrap else frameworks.candidates(function)
        self.makers = [wrap or frameworks.maker(kind, function) for kind in kinds]
        self.kinds = kinds
        self.settled: tuple[roles.Arrangement, Callable] | None = None
        self.calls = 0
        self.followed = False  # whether it is a part of a step
        self.rows = 13  # of a batch at first
        self.draws = 48, 200  # of a sampler: rows and at least so many calls
        self.seed: int | None = None  # holds the global noise still, where it is a number
        self.narrow = False  # whether it computes in float32, whatever it is given
        self.counters: list[tuple[dict, dict]] = []
        self.rng = np.random.default_rng(20140425)

    @property
    def named(self) -> bool:
        """Return whether the function's own parameter names told the order of its arguments."""
        return self.settled is not None and self.settled[0].named

    @property
    def framework(self) -> str:
        """Return the framework whose arrays the function takes, or "" where none is known yet."""
        if not self.settled:
            return ""
        return self.kinds[self.makers.index(self.settled[1])]

    def again(self, values: dict[str, Any]) -> Any:
        """Return the function's own result at these values, under one seed."""
        arrangement, make = self.settled
        frameworks.reseed(0)
        for settings, numbers in self.counters:
            settings.update(numbers)
        if arrangement.roles() & EXTRAS:
            self.calls, self.rng = 0, np.random.default_rng(1)
            values = {**self._extras(values), **values}
        made = {k: make(v) if isinstance(v, np.ndarray) else v for k, v in values.items()}
        positions, keywords = arrangement.arguments(made)
        result = self.function(*positions, **keywords)
        return frameworks.drawn(result, self._key()) if self.name == "sample" else result

    def uses(self, role: str) -> bool:
        """Return whether the function takes this role besides those it must."""
        return any(role in arrangement.roles() for arrangement in self.arrangements)

    def flip_prior(self) -> bool:
        """Return whether the mean and s of a learned prior could be exchanged, and were."""
        return False

    def labels(self, B: int) -> np.ndarray | None:
        """Return the data where they are whole numbers that stay as they are, else None."""
        return None

    def objects(self) -> Iterator[Any]:
        """Yield the objects that the function's code refers to."""
        for _, item in frameworks.reachable(self.function):
            yield item

    def counts(self) -> bool:
        """Return whether a whole number in the function's objects moves with every call."""
        found = []
        for item in self.objects():
            settings = getattr(item, "__dict__", None)
            if isinstance(settings, dict) and not isinstance(item, type(sys)):
                found.append((settings, dict(settings)))
        self(**self.last)
        return any(
            isinstance(before.get(key), (int, float)) and settings[key] != before[key]
            for settings, before in found
            for key in settings
            if isinstance(settings[key], (int, float)) and not isinstance(settings[key], bool)
        )

    def weights(self, own: bool = True) -> dict[str, float]:
        """Return the numbers of objects, with `own` also of the code, under a weight's name."""
        named = list(frameworks.reachable(self.function)) if own else []
        for item in self.objects():
            if hasattr(item, "__dict__") and not isinstance(item, (type(sys), type)):
                named += _settings(item).items()
        return {
            str(name): float(number)
            for name, number in named
            if isinstance(number, (int, float)) and not isinstance(number, bool)
            if re.search("beta|kl|anneal|weight|coeff", str(name).lower())
        }

    def names_s(self) -> str:
        """Return the name of the parameter that s goes to, or "" where none has a name."""
        for arrangement in self.arrangements[:1]:
            if arrangement.names.get("s"):
                return arrangement.names["s"]
        return ""

    def reading_named(self) -> tuple[str, bool] | None:
        """Return the reading that the name of that parameter states, and whether it binds."""
        return scales.named(self.names_s())

    def hold_counters(self) -> None:
        """From now on, put back the plain numbers in the function's objects before each call.

        A schedule (`self.step += 1`) then stays where it is.
        """
        for item in self.objects():
            settings = getattr(item, "__dict__", None)
            if isinstance(settings, dict) and not isinstance(item, type(sys)):
                numbers = {k: v for k, v in settings.items() if isinstance(v, (int, float))}
                self.counters.append((settings, numbers))

    def __call__(self, **values: np.ndarray) -> list[tuple[str, np.ndarray]]:
        """Return what the function gives, as labelled float64 arrays.

        Raises
        ------
        ValueError
            The function raised; its message is kept, with what it was given.
        """
        self.last = values
        if self.settled:
            return self._attempt(*self.settled, values)
        first: Exception | None = None
        for arrangement, make in itertools.product(self.arrangements, self.makers):
            try:
                result = self._attempt(arrangement, make, values)
            except frameworks.TooCoarse:
                raise
            except Exception as error:
                ran = first is not None and isinstance(first.__cause__, Exception)
                if first is None or (ran and error.__cause__ is None):
                    first = error  # one that ran tells more than one that raised
                continue
            self.settled = arrangement, make
            return result
        raise first

    def _attempt(self, arrangement: roles.Arrangement, make: Callable, values: dict) -> list:
        self.calls += 1
        if self.seed is not None:
            frameworks.reseed(self.seed)
        for settings, numbers in self.counters:
            settings.update(numbers)
        if arrangement.roles() & EXTRAS:
            values = {**self._extras(values), **values}
        try:
            made = {k: make(v) if isinstance(v, np.ndarray) else v for k, v in values.items()}
            positions, keywords = arrangement.arguments(made)
            result = self.function(*positions, **keywords)
            if self.name == "sample":
                result = frameworks.drawn(result, self._key())
        except Exception as error:
            raise ValueError(self._failed(error, values)) from error
        items = list(frameworks.leaves(result, self.name))
        self.narrow |= any(array.dtype == np.float32 for _, array in items)
        return [(key, array.astype(np.float64)) for key, array in items]

    def _extras(self, values: dict) -> dict[str, Any]:
        extras: dict[str, Any] = {"beta": self.beta, "training": True, "step": 10**6}
        if "s" in values:
            eps = self.rng.standard_normal(np.shape(values["s"]))
            extras["eps"] = eps.astype(str(values["s"].dtype).rpartition(".")[2])
        extras["key"] = self._key()
        return extras

    def _key(self) -> Any:
        return sys.modules["jax"].random.PRNGKey(self.calls) if "jax" in sys.modules else None

    def _failed(self, error: Exception, values: dict) -> str:
        given = ", ".join(
            f"{SYMBOLS.get(k, k)} {tuple(v.shape)}" for k, v in values.items() if np.ndim(v)
        )
        reason = " ".join(str(error).split())
        reason = reason if len(reason) < 240 else reason[:237] + "…"
        return (
            f"{self.name} raised {type(error).__name__}: {reason} (it was given {given}; "
            "pass pixels=, latent=, batch= for other sizes, wrap= for another kind of array)"
        )


def as_shape(size: object) -> tuple[int, ...]:
    """Return a size, a whole number or a shape, as a shape."""
    return tuple(size) if isinstance(size, (tuple, list)) else (size,)


def numbers_in(function: Callable) -> dict[str, list[int]]:
    """Whole numbers that a function's code mentions: sizes that it may insist on.

    Under "pixels", "latent" and "batch" by the names they stand under; "any" holds the constants.
    """
    found: dict[str, list[int]] = {"pixels": [], "latent": [], "batch": [], "any": []}
    functions = [function, *(v for _, v in frameworks.reachable(function) if callable(v))]
    for code in (f.__code__ for f in map(frameworks.plain, functions) if f):
        for constant in code.co_consts:
            found["any"] += _integers(constant)
    for name, item in frameworks.reachable(function):
        settings = {} if isinstance(item, type(sys)) else _settings(item)
        for key, number in [(name, item), *settings.items()]:
            if isinstance(number, (int, np.integer)) and not isinstance(number, bool):
                found[_kind(str(key).lower())].append(int(number))
    return {kind: [n for n in dict.fromkeys(items) if n > 1] for kind, items in found.items()}


def _settings(item: Any) -> dict[str, Any]:
    return {**vars(type(item)), **getattr(item, "__dict__", {})}


def _integers(constant: Any) -> Iterable[int]:
    if isinstance(constant, bool):
        return []
    if isinstance(constant, int):
        return [constant]
    if isinstance(constant, tuple) and constant and all(isinstance(n, int) for n in constant):
        return [int(np.prod([n for n in constant if n > 0])), *constant]
    return []


def _kind(name: str) -> str:
    if re.search("batch|^bs$|^n_b", name):
        return "batch"
    if re.search("latent|z_?dim|dim_?z|n_?z|code|bottleneck|embed", name):
        return "latent"
    if re.search("pixel|input|orig|image|feature|in_dim|x_?dim|dim_?x|data", name):
        return "pixels"
    return "any"
