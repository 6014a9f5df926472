"""Checks and measurements of notebook 20: one function on two libraries, counting operations, the
step of a central difference, and where the time goes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinyvae.exercises import judge, standin
from tinyvae.exercises.judge import Wrong


@judge.check("a function for both libraries")
def clip_gradient(function: Any) -> str:
    """Judge `function(grad, largest)` → grad, scaled to a norm of at most `largest`."""
    (grad,) = judge.draw((40,))
    grad = (3 * grad).astype(np.float32)
    norm = float(np.linalg.norm(grad))
    for largest in (2.0, norm / 2, 2 * norm):
        given = judge.call(function, "clipped", grad, largest, shapes={"clipped": (40,)})
        _judge_clipped(given, grad, norm, largest)
    zeros = judge.call(function, "clipped", 0 * grad, 2.0)
    if not np.isfinite(zeros).all():
        raise Wrong("a gradient of zeros becomes nan: 0 is divided by 0")
    judge.same("clipped, of zeros,", zeros, 0 * grad)
    if getattr(function(grad.copy(), 2.0), "dtype", np.float32) != np.float32:
        raise Wrong("a float32 gradient becomes float64: a NumPy number made it wider")
    _judge_on_device(function, grad, norm)
    return "right on NumPy, and on a stand-in for a device: no NumPy array, no copy to the host"


def _judge_clipped(given: np.ndarray, grad: np.ndarray, norm: float, largest: float) -> None:
    right = grad * min(1.0, largest / norm)
    if np.allclose(given, right, rtol=1e-4, atol=1e-6):
        return
    mistakes = {
        "each entry is clipped by itself, which changes the direction; scale the whole vector": (
            np.clip(grad, -largest, largest)
        ),
        "it is scaled to the norm `largest` also where it was shorter: leave those as they are": (
            grad * largest / norm
        ),
        "the norm is the square root of the sum of squares; the root is missing": (
            grad * min(1.0, largest / norm**2)
        ),
        "the norm has the sum of squares, not their mean": (
            grad * min(1.0, largest / (norm / np.sqrt(grad.size)))
        ),
        "the norm has the squares, not the absolute values": (
            grad * min(1.0, largest / np.abs(grad).sum())
        ),
        "the norm is the root of the sum of squares, not the largest entry": (
            grad * min(1.0, largest / np.abs(grad).max())
        ),
        "this is scaled to the norm 1, not `largest`": grad * min(1.0, 1 / norm),
        "nothing is scaled": grad,
    }
    for words, value in mistakes.items():
        if np.allclose(given, value, rtol=1e-4, atol=1e-6):
            raise Wrong(words)
    judge.same("clipped", given, right, tolerance=1e-4)


def _judge_on_device(function: Any, grad: np.ndarray, norm: float) -> None:
    for largest in (2.0, 2 * norm):
        before = standin.copies
        device = standin.asarray(grad)
        try:
            given = function(device, largest)
        except standin.HostCopy as error:
            raise Wrong(
                f"right on NumPy, but on a device {error}. Let the choice happen there: "
                "xp.minimum or xp.maximum instead of if, xp.sqrt instead of math.sqrt"
            ) from None
        except Exception as error:
            raise Wrong(f"right on NumPy, but on a device: {str(error).splitlines()[0]}") from None
        if standin.copies > before:
            raise Wrong("right, but a.get() copies to the host, and waits for the device")
        if not isinstance(given, standin.ndarray):
            raise Wrong(f"on a device it returns {type(given).__name__}, no device array")
        judge.same("clipped, on a device,", given, grad * min(1.0, largest / norm), tolerance=1e-4)


@judge.check("the operations of a dense layer")
def dense_operations(function: Any) -> str:
    """Judge `function(B, n_in, n_out)` → forward, backward."""
    for B, n, m in ((100, 784, 400), (3, 5, 7)):
        shapes = {"forward": (), "backward": ()}
        given = judge.call(function, "forward, backward", B, n, m, shapes=shapes)
        forward, backward = map(float, given)
        if forward in _backward_counts(B, n, m) and backward in _forward_counts(B, n, m):
            raise Wrong("forward and backward are swapped: return forward first")
        known = {
            f"B · n_in · n_out = {B * n * m:,}: each product has its addition, so twice that": (
                B * n * m
            ),
            f"2 · n_in · n_out = {2 * n * m:,}: that is for one example; there are B": 2 * n * m,
        }
        _judge_count("forward", forward, _forward_counts(B, n, m), 2 * B * n * m, known)
        known = {
            "that is one matrix product; backward has two, xᵀ dy for dW and dy Wᵀ for dx": (
                2 * B * n * m
            ),
            f"2 · B · n_in · n_out = {2 * B * n * m:,} counts multiplications alone, or one of the "
            "two products": 2 * B * n * m,
            "that is forward and backward together": 6 * B * n * m,
            "4 · n_in · n_out is for one example; there are B": 4 * n * m,
        }
        _judge_count("backward", backward, _backward_counts(B, n, m), 4 * B * n * m, known)
    return "2 · B · n_in · n_out forward, and twice as many backward"


def _forward_counts(B: int, n: int, m: int) -> list[int]:
    """Return the counts that stand to reason: with the bias or without, 2n or 2n − 1 a sum."""
    return [2 * B * n * m, (2 * n - 1) * B * m, 2 * B * n * m + B * m]


def _backward_counts(B: int, n: int, m: int) -> list[int]:
    exact = (2 * B - 1) * n * m + (2 * m - 1) * B * n
    return [count + bias for count in (4 * B * n * m, exact) for bias in (0, B * m, (B - 1) * m)]


def _judge_count(
    name: str, given: float, right: list[int], usual: int, known: Mapping[str, float]
) -> None:
    if any(np.isclose(given, count, rtol=1e-9) for count in right):
        return
    for words, value in known.items():
        if np.isclose(given, value, rtol=1e-9):
            raise Wrong(f"{name}: {words}")
    raise Wrong(f"{name} is {given:,.0f} where about {usual:,} is right")


@judge.check("the best step")
def best_step(function: Any) -> str:
    """Judge `function(u)` → the step h that makes u/h + h² small."""
    steps = []
    for u, name in ((2.0**-53, "float64"), (2.0**-24, "float32")):
        h = float(judge.call(function, "h", u, shapes={"h": ()}))
        right = (u / 2) ** (1 / 3)
        if not h > 0:
            raise Wrong(f"{name}: h is {h:g}; a step is a positive number")
        if not 0.95 <= h / right <= 1.05:  # a search among many h finds it no better
            raise Wrong(_wrong_step(h, right, u, name))
        steps.append(f"{h:.1e} for {name}")
    return ", ".join(steps)


def _wrong_step(h: float, right: float, u: float, name: str) -> str:
    total = f"u/h + h² is {u / h + h * h:.1e}, and could be {u / right + right * right:.1e}"
    mistakes = {
        "this is √u, the best step of a one-sided difference, whose error is u/h + h": u**0.5,
        "this is √(u/2); the slope of h² is 2h, so h³ = u/2": (u / 2) ** 0.5,
        "this is u/2, which is h³: take the third root": u / 2,
        "this is (2u)^(1/3); 2h³ = u, so the 2 divides u": (2 * u) ** (1 / 3),
        "this is u^(1/3); 2h³ = u, so the 2 divides u": u ** (1 / 3),
        "this is u itself": u,
        "this is u³": u**3,
    }
    for words, value in mistakes.items():
        if np.isclose(h, value, rtol=1e-3, atol=0):
            return f"{name}: {words}. There {total}"
    side = "too large" if h > right else "too small"
    return f"{name}: h = {h:.2g} is {side} ({right:.2g} is right): {total}"


class Counted:
    """A number that counts its multiplications and additions."""

    times = plus = 0

    def __mul__(self, other: Any) -> Counted:
        Counted.times += 1
        return self

    def __add__(self, other: Any) -> Counted:
        Counted.plus += 1
        return self


def count(function: Callable, *shapes: tuple[int, ...]) -> None:
    """Run a function on arrays of numbers that count, and print how much it computes."""
    Counted.times = Counted.plus = 0
    function(*(np.full(shape, Counted()) for shape in shapes))
    print(f"{Counted.times} multiplications, {Counted.plus} additions")


def seconds(xp: Any, *functions: Callable[[], Any], rounds: int = 120) -> list[float]:
    """Return the time of one call of each function: in turns, the best of many rounds.

    So other programs disturb little, and all alike. A device is waited for before and after.
    """
    wait = xp.cuda.Device().synchronize if hasattr(xp, "cuda") else (lambda: None)
    best = [np.inf] * len(functions)
    for _ in range(rounds):
        for i, function in enumerate(functions):
            wait()
            start = time.perf_counter()
            function()
            wait()
            best[i] = min(best[i], time.perf_counter() - start)
    return best


def shares(parts: Mapping[str, float]) -> None:
    """Print how much of the whole each part is, as a bar of tenths, ten in all."""
    exact = 10 * np.array([*parts.values()]) / sum(parts.values())
    tenths = exact.astype(int)
    tenths[np.argsort(tenths - exact)[: 10 - tenths.sum()]] += 1  # the largest remainders
    for name, n in zip(parts, tenths.tolist(), strict=True):
        print(f"{name:24} {'█' * n}{'·' * (10 - n)}  about {n} of 10")


def difference_errors(errors: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Any:
    """Draw the error of central differences over the step h, for each precision: name → (h, e)."""
    from tinyvae.figures.picture import ACCENT, INK, MARGIN, page, panel, styled

    @styled
    def draw() -> Any:
        fig = page(
            8.4, 4.1, "How large should the step be?", "Error of a central difference of e^x."
        )
        ax = panel(fig, MARGIN + 0.5, 0.95, 5.6, 2.5)
        for color, (name, (h, error)) in zip((INK, ACCENT), errors.items(), strict=False):
            seen = error > 0
            ax.loglog(h[seen], error[seen], color=color, lw=1.6, label=name)
        ax.set(xlabel="step h")
        ax.grid(color="#eceef1", lw=0.8)
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        return fig

    return draw()
