"""A hand-written gradient against central differences, with the noise held still by a seed.

Each parameter block is moved along one direction, under 64 seeds: the slopes over the seeds tell a
wrong factor (proportional), a wrong KL (off by a constant, as the KL has no noise), and a backward
pass that uses other noise than the forward pass (no relation at all). Medians over the seeds make
the kinks of ReLU harmless.
"""

import time
from collections.abc import Callable

import numpy as np

from tinyvae.audit.findings import Finding, error, note, value
from tinyvae.audit.handwritten import Model, numpy_state

SEEDS = 64
SECONDS = 0.8  # that the differences may take; fewer seeds, at least 12, where the loss is slow


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
    with numpy_state():
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
        """Return whether slopes are equal within what differences tell, in the median."""
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
    factors = [_factor(slopes.analytic[n], slopes.numeric[n], slopes) for n in slopes.wrong]
    wrong = [
        name if factor is None else f"{name} (×{factor:.4g})"
        for name, factor in zip(slopes.wrong, factors, strict=True)
    ]
    blocks = f"wrong: {_names(wrong)}; right: {_names(slopes.right)}"
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
    """Return r where analytic = r · numeric under every seed, else None."""
    with np.errstate(all="ignore"):
        ratios = analytic / numeric
    if not np.isfinite(ratios).all():
        return None
    r = float(np.median(ratios))
    return r if slopes.same(analytic, r * numeric) else None


def _constant_gap(slopes: Slopes, name: str) -> bool:
    """Return whether analytic − numeric is one number under all seeds, the slope itself none."""
    gap = slopes.analytic[name] - slopes.numeric[name]
    spread = np.median(np.abs(gap - np.median(gap)))
    moves = np.median(np.abs(slopes.numeric[name] - np.median(slopes.numeric[name])))
    limit = 3e-2 if slopes.narrow else 1e-4
    return bool(spread <= limit * abs(np.median(gap)) and spread <= limit * moves + 1e-30)


def _draws_differ(model: Model) -> bool:
    """Return whether a gradient uses up another amount of noise than a loss does."""
    model.loss(0)
    after_loss = model.loss(None)
    model.gradient(0)
    after_gradient = model.loss(None)
    return abs(after_loss - after_gradient) > 1e-9 * abs(after_loss)


def _unrelated(model: Model, slopes: Slopes) -> bool:
    """Return whether logvar's gradient ignores the loss's noise, entry by entry, for one example.

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
    """Count the entries of a vector: right, scattered, off by a fixed law, blind to noise."""
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
