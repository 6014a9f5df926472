"""Checks and pictures of notebook 10: log p(x) and the posterior on a grid, and in closed form."""

from functools import partial
from typing import Any

import numpy as np

from tinyvae.exercises import judge
from tinyvae.exercises.judge import Wrong
from tinyvae.figures.picture import ACCENT, DENSITY, GREY, INK, Picture, page, panel, styled


def _log_evidence(log_joint: Any, width: float) -> float:
    return float(np.logaddexp.reduce(log_joint) + np.log(width))


@judge.check("log p(x) on a grid", reference=_log_evidence)
def log_evidence(function: Any) -> str:
    """Judge `function(log_joint, width)` → log p(x), for log p(x, z) (G,) on a grid of z."""
    z, width = np.linspace(-6, 6, 241, retstep=True)  # at its ends nothing is left, as it should be
    hills = np.logaddexp(-4 * (z - 1) ** 2, -3 * (z + 2) ** 2 - 1)
    for shift in (0.0, -900.0):
        log_joint, width = hills - 0.3 + shift, float(width)
        given = judge.call(function, "the result", log_joint, width)
        judge.same_shape("the result", given, ())
        with np.errstate(all="ignore"):
            mistakes = {
                "the width of a cell is missing: an integral is a sum of height times width": (
                    _log_evidence(log_joint, 1.0)
                ),
                "this is p(x) itself; its logarithm is asked for": (
                    np.exp(_log_evidence(log_joint, width))
                ),
                "this is the mean over the grid, not the sum of height times width": (
                    _log_evidence(log_joint, 1 / len(z))
                ),
                "it is the mean over the grid, times the width; the sum is meant": (
                    _log_evidence(log_joint, width / len(z))
                ),
                "the width is added to the sum; each height is multiplied by it": (
                    np.log(np.exp(log_joint).sum() + width)
                ),
                "the largest value that was taken out is not added again": (
                    _log_evidence(log_joint - log_joint.max(), width)
                ),
                "the logarithm of the width has the wrong sign": _log_evidence(
                    log_joint, 1 / width
                ),
                "these are sums of logarithms: add the densities themselves": (
                    log_joint.sum() * width
                ),
            }
        if shift == 0:
            judge.named_mistake(given, mistakes)
        if not np.isfinite(given):
            raise Wrong(
                "around −900 e^… is 0, and log 0 is −inf: log-mean-exp of exercise 9.1 knows"
            )
        judge.same("the result", given, _log_evidence(log_joint, width))
    return "also where every p(x, z) is too small for a float"


def _posterior(log_joint: Any, width: float) -> Any:
    return np.exp(log_joint - _log_evidence(log_joint, width))


@judge.check("the true posterior on a grid", reference=_posterior)
def posterior(function: Any) -> str:
    """Judge `function(log_joint, width)` → p(z|x) (G,), whose area is 1."""
    (a,) = judge.draw((60,))
    for shift in (0.0, -900.0):
        log_joint, width = a - 3 + shift, 0.05
        given = judge.call(function, "the density", log_joint, width, shapes={"the density": (60,)})
        right = _posterior(log_joint, width)
        if not np.isfinite(given).all():
            raise Wrong("around −900 it is no number: subtract log p(x) before you take e^…")
        mistakes = {
            "the heights add up to 1; the *area*, heights times width, must": right * width,
            "this is p(x, z), not divided by p(x)": np.exp(log_joint),
            "this is log p(z|x); the density is asked for": log_joint
            - _log_evidence(log_joint, width),
            "divided by the largest value; its area must be 1": right / right.max(),
        }
        judge.named_mistake(given, mistakes)
        judge.same("the density", given, right)
    return "its area is 1"


def _mean(
    x: float, a: float, c: float, s: float, of_x: float = 1.0, offset: float = -1.0,
    power: float = 2.0, square: float = 2.0, one: float = 1.0, under: bool = True,
) -> Any:  # fmt: skip
    """Return the mean of p(z|x), or what slips make of it."""
    precision = _precision(a, s, power, square, one)
    return a**of_x * (x + offset * c) / s**power / (precision if under else 1.0)


def _precision(a: float, s: float, power: float, square: float, one: float) -> float:
    return a**square / s**power + one


def _deviation(
    a: float,
    s: float,
    root: float = -0.5,
    power: float = 2.0,
    square: float = 2.0,
    one: float = 1.0,
) -> Any:
    return np.float64(_precision(a, s, power, square, one)) ** root


SLIPS_OF_PRECISION = {
    "sigma_x stands where its square belongs": {"power": 1.0},
    "slope stands where its square belongs": {"square": 1.0},
    "the prior's 1 is missing in 1/variance": {"one": 0.0},
}


@judge.check("the posterior of a straight decoder, without a word of help")
def straight(function: Any) -> str:
    """Judge `function(x, slope, offset, sigma_x)` → mean, deviation of p(z|x)."""
    for x, a, c, s in ((3.0, 2.0, 0.5, 1.5), (-1.0, 0.5, 0.3, 0.4), (0.7, -3.0, 1.0, 2.0)):
        shapes = {"mean": (), "deviation": ()}
        mean, deviation = judge.call(function, "mean, deviation", x, a, c, s, shapes=shapes)
        formulas = partial(_mean, x, a, c, s), partial(_deviation, a, s)
        if np.allclose((deviation, mean), [formula() for formula in formulas]):
            raise Wrong("mean and deviation come in the wrong order")
        without = "mean: that is the z that x would have without a prior, (x − offset)/slope"
        judge.named_mistake(mean, {without: (x - c) / a})
        slips = {
            "the factor slope is missing": {"of_x": 0.0},
            "the offset is not subtracted from x": {"offset": 0.0},
            "the offset is added to x; subtract it": {"offset": 1.0},
            "it is not divided by slope²/sigma_x² + 1": {"under": False},
            **SLIPS_OF_PRECISION,
        }
        judge.named_slip(mean, formulas[0], {f"mean: {words}": v for words, v in slips.items()})
        judge.same("mean", mean, formulas[0]())
        slips = {
            "this is the variance": {"root": -1.0},
            "this is 1 / variance": {"root": 1.0},
            "this is 1 / deviation": {"root": 0.5},
            **SLIPS_OF_PRECISION,
        }
        slips = {f"deviation: {words}": v for words, v in slips.items()}
        judge.named_slip(deviation, formulas[1], slips)
        judge.same("deviation", deviation, formulas[1]())
    mean, deviation = judge.call(function, "mean, deviation", 3.0, 2.0, 0.0, 1.0)
    return f"for x = 3 and the model of notebook 3 it is N({mean:.1f}, {deviation:.2f}²), as there"


@styled
def joint(z: np.ndarray, x: np.ndarray, log_joint: np.ndarray, decoder: np.ndarray) -> Picture:
    """p(x, z) over z (G,) and x (H,) from log_joint (H, G), the decoder's curve, and p(x)."""
    fig = page(8.4, 4.1, "p(x, z), and p(x) at its side", "Dark: dense. The line is the decoder.")
    ax = panel(fig, 0.7, 0.95, 4.6, 2.6)
    density = np.exp(log_joint)
    extent = (z[0], z[-1], x[0], x[-1])
    ax.imshow(density, origin="lower", extent=extent, aspect="auto", cmap=DENSITY)
    ax.plot(z, decoder, color=ACCENT, lw=1.2)
    ax.set(xlabel="z", ylabel="x", ylim=(x[0], x[-1]))
    side = panel(fig, 5.6, 0.95, 2.2, 2.6)
    side.fill_betweenx(x, density.sum(axis=1) * (z[1] - z[0]), color="#7fb2d0")
    side.set(xlabel="p(x)", yticks=[], ylim=(x[0], x[-1]), xlim=(0, None))
    return fig


@styled
def posteriors(z: np.ndarray, cases: list[tuple[str, np.ndarray, np.ndarray]]) -> Picture:
    """For each (title, p(z|x) (G,), q(z|x) (G,)) the true posterior filled and q as a line."""
    width = 2.75
    subtitle = "Blue: the true posterior p(z|x). Line: the best normal q(z|x) that was found."
    fig = page(
        0.7 + len(cases) * width, 3.3, "What the encoder can say, and what is true", subtitle
    )
    for i, (title, p, q) in enumerate(cases):
        ax = panel(fig, 0.35 + i * width, 1.2, width - 0.35, 1.6)
        ax.fill_between(z, p, color="#7fb2d0", lw=0)
        ax.plot(z, q, color=INK, lw=1.3)
        ax.set_title(title, size=8.5, color=GREY, pad=6)
        ax.set(yticks=[], xlabel="z", xlim=(-3, 3))
        ax.spines["left"].set_visible(False)
    return fig
