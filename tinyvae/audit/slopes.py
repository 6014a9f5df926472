"""Does autograd see the whole function? Its slope against a central difference of the values.

A detached tensor, an `.item()`, `.data`, `sample()` in place of `rsample()` or a `no_grad` leave
the values right and the gradient wrong. Both slopes are taken along one direction, under one seed,
for each argument apart.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyvae.audit import frameworks
from tinyvae.audit.calls import Function
from tinyvae.audit.findings import Finding, error, unjudged
from tinyvae.audit.measure import Term

POINTS = 3


def audit_slopes(
    function: Function,
    values: Callable[[int], dict[str, np.ndarray]],
    moved: tuple[str, ...],
    pick: Callable[[list], list],
    h: float | None = None,
    name: str | None = None,
) -> list[Finding]:
    """Return an error for each argument whose gradient is cut.

    Parameters
    ----------
    values : number → arguments by role, at generic points (B, …)
    moved : the roles to take slopes by
    pick : which of the returned items count
    h : the step of the differences, where rounding hides smaller ones
    name : what the report calls the function, if not by its own name
    """
    if function.framework not in ("torch", "jax", "tensorflow"):
        return []
    found: dict[str, list[tuple[float, float, float]]] = {role: [] for role in moved}
    try:
        for number in range(POINTS):
            slopes = Slopes(function, values(number), pick, h)
            if not slopes.repeats:
                return []
            for role in moved:
                found[role].append(slopes.by(role))
    except Exception as failure:
        return [unjudged("gradients", f"of {function.name}: {' '.join(str(failure).split())}")]
    return judged(name or function.name, found)


def judged(name: str, found: dict[str, list[tuple[float, float, float]]]) -> list[Finding]:
    """Compare analytic and numeric slopes, by argument, relative to the size of their parts."""
    ratios, wrong = [], []
    for role, pairs in found.items():
        analytic, numeric, size = np.array(pairs).T
        scale = np.abs(numeric).max()
        close = np.abs(analytic - numeric) <= 0.05 * np.maximum(np.abs(numeric), size)
        if not np.isfinite(numeric).all() or scale == 0 or np.count_nonzero(close) * 2 > len(close):
            ratios.append(1.0)
            continue
        ratio = analytic / numeric
        ratios.append(float(np.median(ratio)))
        wrong.append((role, analytic, numeric))
    off = [r for r in ratios if abs(r - 1) > 0.02]
    steady = all(np.ptp(analytic / numeric) < 0.02 for _, analytic, numeric in wrong)
    if len(wrong) > 1 and steady and np.ptp(off) < 0.02 < min(off):
        roles = " and ".join(role for role, *_ in wrong)
        text = f"the gradient from {name} to {roles} is {off[0]:.3g} times the slope of its values"
        return [unjudged("gradient-scaled", text + ": on purpose?")]
    if not wrong:
        return []
    role, analytic, numeric = wrong[0]
    cut = all(np.abs(a).max() <= 1e-3 * np.abs(n).max() for _, a, n in wrong)
    what = "no gradient passes" if cut else "the gradient is not the slope of the values"
    names = ", ".join(role for role, *_ in wrong)
    text = f"{what} from {name} to {names}: {analytic[0]:.4g}, by differences {numeric[0]:.4g}"
    return [error("gradient-cut", text, float(analytic[0]), float(numeric[0]))]


def sampler_slopes(function: Function, s: np.ndarray, shape: tuple[int, ...]) -> list[Finding]:
    """Return whether gradients pass through a sampler; s are levels of its second argument."""

    def values(number: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(number)
        return {"mu": rng.standard_normal(shape), "s": rng.uniform(s.min(), s.max(), shape)}

    def pick(items: list) -> list:
        """Return z, which comes last where mu and s are handed through."""
        sizes = [int(np.prod(np.shape(item))) for _, item in items]
        return [item for item, size in zip(items, sizes, strict=True) if size == max(sizes)][-1:]

    return audit_slopes(function, values, ("mu", "s"), pick)


def through_slopes(function: Function, shape: tuple[int, ...]) -> list[Finding]:
    """Return whether the gradient of a step passes through the decoder to z, of a shape."""

    def values(number: int) -> dict[str, np.ndarray]:
        return {"z": 3.0**number * np.random.default_rng(number).standard_normal(shape)}

    return audit_slopes(function, values, ("z",), lambda items: items[:1], 0.03, "the loss")


def term_slopes(term: Term, moved: tuple[str, ...]) -> list[Finding]:
    """Return whether gradients pass through a loss to each of its arguments."""

    def values(number: int) -> dict[str, np.ndarray]:
        return term.generic(np.random.default_rng(number))

    def pick(items: list) -> list:
        return [items[key] for key in term.keys]

    return audit_slopes(term.function, values, moved, pick)


class Slopes:
    """One function at one point: its slopes by autograd and by differences."""

    def __init__(self, function: Function, values: dict[str, np.ndarray], pick, h=None) -> None:
        self.function, self.pick = function, pick
        rng = np.random.default_rng(11)
        wide = not function.narrow
        self.dtype = np.float64
        try:
            self._number(values)
        except Exception:
            self.dtype, wide = np.float32, False
        self.values = {r: self._cast(v) for r, v in values.items()}
        self.h = h or (1e-4 if self.dtype == np.float64 and wide else 3e-3)
        self.directions = {r: rng.standard_normal(np.shape(v)) for r, v in values.items()}

    def _cast(self, value: Any) -> Any:
        floats = isinstance(value, np.ndarray) and value.dtype.kind == "f"
        return value.astype(self.dtype) if floats else value

    def _weighed(self, result: Any, sum_: Callable) -> Any:
        """Return the picked items as one number, their entries weighed unevenly."""
        total = 0.0
        for _, item in self.pick(list(frameworks.raw_leaves(result))):
            weights = np.linspace(1, 2, int(np.prod(np.shape(item)) or 1)).reshape(np.shape(item))
            total = total + sum_(item, weights.astype(self.dtype))
        return total

    def _number(self, values: dict[str, np.ndarray]) -> float:
        result = self.function.again({r: self._cast(v) for r, v in values.items()})
        return float(self._weighed(result, lambda a, w: (_numpy(a) * w).sum()))

    def by(self, role: str) -> tuple[float, float, float]:
        """Return the slope by one argument by autograd and by differences, and its parts' size."""
        direction = self.directions[role]

        parts = GRADIENTS[self.function.framework](self, role) * direction
        analytic, seen = float(parts.sum()), []
        digits = 1e-7 if self.h > 1e-3 else 1e-15
        for h in (self.h, self.h / 4):  # a kink of an absolute value is off by less with less h
            up, down = (
                self._number({**self.values, role: self.values[role] + step * direction})
                for step in (h, -h)
            )
            if abs(up - down) >= 100 * digits * max(abs(up), abs(down)):
                seen.append((up - down) / (2 * h))
        if not seen:
            return 0.0, 0.0, 0.0  # below what differences can tell
        numeric = min(seen, key=lambda slope: abs(slope - analytic))
        return analytic, numeric, float(np.sqrt(np.square(parts).sum()))

    @property
    def repeats(self) -> bool:
        """Return whether a seed holds the noise of the function still."""
        return self._number(self.values) == self._number(self.values)


def _numpy(value: Any) -> np.ndarray:
    return np.asarray(frameworks.to_numpy(value, "it"), np.float64)


def _torch_gradient(slopes: Slopes, role: str) -> np.ndarray:
    torch = sys.modules["torch"]
    make = slopes.function.settled[1]
    leaf = make(slopes.values[role]).clone().requires_grad_(True)
    with torch.enable_grad():
        result = slopes.function.again({**slopes.values, role: leaf})
        total = slopes._weighed(
            result, lambda a, w: (a * torch.as_tensor(w, dtype=getattr(a, "dtype", None))).sum()
        )
    if not getattr(total, "requires_grad", False):
        return np.zeros(leaf.shape)
    (gradient,) = torch.autograd.grad(total, leaf, allow_unused=True)
    return np.zeros(leaf.shape) if gradient is None else _numpy(gradient)


def _jax_gradient(slopes: Slopes, role: str) -> np.ndarray:
    jax = sys.modules["jax"]

    def loss(value: Any) -> Any:
        result = slopes.function.again({**slopes.values, role: value})
        return slopes._weighed(result, lambda a, w: (a * w).sum())

    return _numpy(jax.grad(loss)(jax.numpy.asarray(slopes.values[role])))


def _tape_gradient(slopes: Slopes, role: str) -> np.ndarray:
    tf = sys.modules["tensorflow"]
    leaf = tf.Variable(slopes.values[role])
    with tf.GradientTape() as tape:
        result = slopes.function.again({**slopes.values, role: leaf})
        total = slopes._weighed(result, lambda a, w: tf.reduce_sum(a * tf.cast(w, a.dtype)))
    gradient = tape.gradient(total, leaf) if hasattr(total, "dtype") else None
    return np.zeros(leaf.shape) if gradient is None else _numpy(gradient)


GRADIENTS = {"torch": _torch_gradient, "jax": _jax_gradient, "tensorflow": _tape_gradient}
