"""A hand-written gradient against central differences, with the noise held still by a seed.

Each parameter block is moved along one direction, under 64 seeds: the slopes over the seeds tell a
wrong factor (proportional), a wrong KL (off by a constant, as the KL has no noise), and a backward
pass that uses other noise than the forward pass (no relation at all). Medians over the seeds make
the kinks of ReLU harmless.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from tinyvae.audit.calls import Function
from tinyvae.audit.report import Finding, error, note, value
from tinyvae.audit.whole import (
    IMAGES,
    as_gradients,
    as_parameters,
    call_with_rows,
    scalar_loss,
    sizes_to_try,
)  # fmt: skip

SEEDS = 64
SECONDS = 0.8  # that the differences may take; fewer seeds, at least 12, where the loss is slow


class Model:
    """Loss and gradient of one batch as functions of a seed and of the parameters."""

    def __init__(self, loss, gradient, parameters, seed, wrap, pixels, rows) -> None:
        if not callable(gradient):
            raise TypeError(f"gradient must be a function, not {gradient!r}")
        if loss is None:
            raise ValueError("gradient needs loss=: the function that it is the gradient of")
        self.parameters = as_parameters(parameters)
        self.narrow = any(a.dtype != np.float64 for a in self.parameters.values())
        self.seed = np.random.seed if seed is None else seed
        self.loss_function = Function(loss, "loss", ("x",), wrap)
        widths = {n for a in self.parameters.values() if a.ndim == 2 for n in a.shape}
        shapes = sizes_to_try(loss, pixels, "pixels", [*[(n,) for n in widths], *IMAGES])
        dtype = "float32" if self.narrow else "float64"
        shape, _ = call_with_rows(self.loss_function, "x", rows or 5, shapes, dtype)
        self.x = np.random.default_rng(5).random((rows or 5, *shape)).astype(dtype)
        try:
            self.gradient_function = Function(gradient, "gradient", ("x",), wrap)
        except TypeError:  # gradient(): of the last loss(x)
            self.gradient_function = Function(lambda x: gradient(), "gradient", ("x",), wrap)
        self.raw_gradient = gradient
        self.after_loss = False

    def loss(self, seed: int | None) -> float:
        """The loss under a seed, or with the noise that comes next where None."""
        if seed is not None:
            self.seed(seed)
        return scalar_loss(self.loss_function, self.x)

    def gradient(self, seed: int) -> dict[str, np.ndarray]:
        """The hand-written gradient under a seed, by block."""
        self.seed(seed)
        if self.after_loss:
            scalar_loss(self.loss_function, self.x)
        make = self.loss_function.settled[1]
        names = list(self.parameters)
        try:
            takes_x = "x" in self.gradient_function.arrangements[0].roles()
            result = self.raw_gradient(make(self.x)) if takes_x else self.raw_gradient()
        except TypeError as failure:
            if "argument" not in str(failure):
                raise ValueError(f"gradient raised TypeError: {failure}") from failure
            result, self.after_loss = self._without_x(seed), True
        except Exception as failure:
            kind = type(failure).__name__
            raise ValueError(f"gradient raised {kind}: {failure}") from failure
        found = as_gradients(result, names)
        for name, array in found.items():
            if array.shape != self.parameters[name].shape:
                shapes = f"{array.shape} for {name!r}, whose shape is {self.parameters[name].shape}"
                raise ValueError(f"gradient returned the shape {shapes}")
            if not np.isfinite(array).all():
                raise ValueError(f"gradient returned NaN or infinity for {name!r}")
            found[name] = array.copy()
        return found

    def _without_x(self, seed: int):
        self.seed(seed)
        scalar_loss(self.loss_function, self.x)
        return self.raw_gradient()

    def slope(self, name: str, direction: np.ndarray, seed: int) -> float:
        """The central difference of the loss along a direction of one block."""
        array = self.parameters[name]
        before = array.copy()
        h = (3e-3 if self.narrow else 1e-5) / max(float(np.abs(direction).max()), 1e-30)
        try:
            array[...] = before + h * direction
            up = self.loss(seed)
            array[...] = before - h * direction
            down = self.loss(seed)
        finally:
            array[...] = before
        return (up - down) / (2 * h)


@contextmanager
def _numpy_state() -> Iterator[None]:
    """Leave NumPy's global generator as it was found."""
    state = np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def audit_gradient(
    loss: Callable, gradient: Callable, parameters, seed: Callable | None, wrap, pixels, batch
) -> list[Finding]:
    """Compare the gradient with differences of the loss, block by block.

    Raises
    ------
    ValueError
        The loss differs between two calls under the same seed, or a gradient is missing or of the
        wrong shape.
    """
    if seed is not None and not callable(seed):
        raise TypeError(f"seed must be a function of a whole number, not {seed!r}")
    with _numpy_state():
        model = Model(loss, gradient, parameters, seed, wrap, pixels, batch)
        first, second = model.loss(0), model.loss(0)
        if abs(first - second) > 1e-9 * abs(first):
            raise ValueError(
                "loss(x) differs between two calls with the same seed: pass seed=, a function that "
                "resets the noise that the loss draws"
            )
        slopes = Slopes(model)
        if slopes.wrong and not model.after_loss:
            model.after_loss = True  # perhaps the gradient is that of the last loss(x)
            again = Slopes(model)
            if len(again.wrong) < len(slopes.wrong) and not again.wrong:
                slopes = again
            else:
                model.after_loss = False
        return _judge(model, slopes)


class Slopes:
    """Analytic and numeric slopes of every block under every seed.

    Attributes
    ----------
    analytic, numeric : dict of arrays (seeds,)
    wrong, right : names of the blocks
    count : how many seeds were tried
    """

    def __init__(self, model: Model) -> None:
        rng = np.random.default_rng(6)
        directions = {n: rng.standard_normal(a.shape) for n, a in model.parameters.items()}
        rows: dict[str, list[tuple[float, float]]] = {name: [] for name in directions}
        start = time.perf_counter()
        for seed in range(SEEDS):
            found = model.gradient(seed)
            for name, direction in directions.items():
                analytic = float(np.vdot(found[name], direction))
                rows[name].append((analytic, model.slope(name, direction, seed)))
            if seed >= 11 and time.perf_counter() - start > SECONDS:
                break
        pairs = {name: np.array(row).T for name, row in rows.items()}
        self.analytic = {name: pair[0] for name, pair in pairs.items()}
        self.numeric = {name: pair[1] for name, pair in pairs.items()}
        self.count = seed + 1
        self.loss = abs(model.loss(0))
        self.narrow = model.narrow
        self.wrong = [n for n in pairs if not self.same(self.analytic[n], self.numeric[n])]
        self.right = [n for n in pairs if n not in self.wrong]

    def same(self, analytic: np.ndarray, numeric: np.ndarray) -> bool:
        """Equal within what central differences can tell, in the median over the seeds."""
        relative, h, digits = (3e-2, 3e-3, 1e-7) if self.narrow else (1e-5, 1e-5, 2e-16)
        floor = 20 * digits * self.loss / h
        gap = np.median(np.abs(analytic - numeric))
        return bool(gap <= relative * np.median(np.abs(numeric)) + floor)


def _judge(model: Model, slopes: Slopes) -> list[Finding]:
    count = len(slopes.right) + len(slopes.wrong)
    if not slopes.wrong:
        text = f"all {count} blocks agree with central differences ({slopes.count} seeds)"
        found = [value("gradient", text)]
        if slopes.narrow:
            text = "float32 parameters: errors below 3 % stay hidden; audit in float64"
            found.append(note("gradient-float32", text))
        return found
    blocks = f"wrong: {_names(slopes.wrong)}; right: {_names(slopes.right)}"
    factors = [_factor(slopes.analytic[n], slopes.numeric[n], slopes) for n in slopes.wrong]
    common = None not in factors and np.ptp(factors) <= 1e-3 * abs(np.mean(factors))
    if common and not slopes.right:
        factor = float(np.mean(factors))
        text = f"the gradient is {factor:.4g} times the right one, in all {count} blocks"
        return [error("gradient-scale", text, factor, 1.0)]
    if all(_constant_gap(slopes, name) for name in slopes.wrong):
        text = f"off by the same under every noise, as the KL's gradient is; {blocks}"
        return [error("gradient-kl", text)]
    if not common:
        draws = _draws_differ(model)
        if draws or _unrelated(model, slopes):
            why = (
                "the backward pass draws noise of its own"
                if draws
                else ("the gradient does not follow the noise of the loss")
            )
            return [error("two-noises", f"{why}; {blocks}")]
    extra = f" by a factor of {np.mean(factors):.4g}" if common else ""
    return [error("gradient-wrong", f"off{extra}; {blocks}")]


def _names(names: list[str]) -> str:
    return ", ".join(names[:8]) + (" …" if len(names) > 8 else "") if names else "none"


def _factor(analytic: np.ndarray, numeric: np.ndarray, slopes: Slopes) -> float | None:
    """r where analytic = r · numeric under every seed, else None."""
    with np.errstate(all="ignore"):
        ratios = analytic / numeric
    if not np.isfinite(ratios).all():
        return None
    r = float(np.median(ratios))
    return r if slopes.same(analytic, r * numeric) else None


def _constant_gap(slopes: Slopes, name: str) -> bool:
    """Whether analytic − numeric is one number under all seeds, while the slope itself varies."""
    gap = slopes.analytic[name] - slopes.numeric[name]
    spread = np.median(np.abs(gap - np.median(gap)))
    moves = np.median(np.abs(slopes.numeric[name] - np.median(slopes.numeric[name])))
    limit = 3e-2 if slopes.narrow else 1e-4
    return bool(spread <= limit * abs(np.median(gap)) and spread <= limit * moves + 1e-30)


def _draws_differ(model: Model) -> bool:
    """Whether a gradient uses up another amount of noise than a loss: see what comes next."""
    model.loss(0)
    after_loss = model.loss(None)
    model.gradient(0)
    after_gradient = model.loss(None)
    return abs(after_loss - after_gradient) > 1e-9 * abs(after_loss)


def _unrelated(model: Model, slopes: Slopes) -> bool:
    """Whether logvar's gradient ignores the loss's noise, entry by entry, for a single example.

    With one example, a wrong factor leaves analytic = c + r · numeric over the seeds (the KL adds
    the constant); other noise leaves no relation, no noise r = 0. And mu's entries stay right: a
    block as long as a right one, or with right entries of its own.
    """
    arrays = {name: model.parameters[name] for name in slopes.wrong}
    vectors = [n for n, a in arrays.items() if a.size == max(a.shape, default=1)]
    vectors = vectors or sorted(arrays, key=lambda n: arrays[n].size)[:4]
    shapes = {model.parameters[n].shape for n in slopes.right}
    x, model.x = model.x, model.x[:1]
    try:
        counts = {name: _entries(model, slopes, name) for name in vectors}
        if any(silent for *_, silent in counts.values()):
            return True
        if any(systematic for _, _, systematic, _ in counts.values()):
            return False
        return any(
            scattered and (right or model.parameters[name].shape in shapes)
            for name, (right, scattered, _, _) in counts.items()
        )
    finally:
        model.x = x


def _entries(model: Model, slopes: Slopes, name: str) -> tuple[int, int, int, int]:
    """How many entries of a vector are right, scattered, off by a fixed law, or noise-blind."""
    size = model.parameters[name].size
    most, seeds = (16, range(24)) if slopes.count == SEEDS else (6, range(12))
    picked = range(size) if size <= most else np.linspace(0, size - 1, most).astype(int)
    gradients = np.array([model.gradient(seed)[name].ravel() for seed in seeds])  # (seeds, size)
    counts = [0, 0, 0, 0]
    for entry in picked:
        direction = np.zeros(size)
        direction[entry] = 1.0
        shaped = direction.reshape(model.parameters[name].shape)
        numeric = np.array([model.slope(name, shaped, seed) for seed in seeds])
        analytic = gradients[:, entry]
        if slopes.same(analytic, numeric):
            counts[0] += bool(np.ptp(numeric) > 0)  # 0 = 0 tells nothing
            continue
        r, c = np.polyfit(numeric, analytic, 1) if np.ptp(numeric) else (0.0, 0.0)
        rest = np.abs(analytic - r * numeric - c).mean()
        lawful = rest < 1e-3 * np.abs(numeric - numeric.mean()).mean()
        if lawful and abs(r) < 1e-3 and np.ptp(numeric) > 0:
            counts[3] += 1
        elif lawful:
            counts[2] += 1
        else:
            counts[1] += 1
    return tuple(counts)
