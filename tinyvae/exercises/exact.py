"""Checks and pictures of notebook 10: log p(x) and the posterior on a grid, and in closed form."""

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
    (a,) = judge.draw((60,))
    for shift in (0.0, -900.0):
        log_joint, width = a - 3 + shift, 0.05
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
                    _log_evidence(log_joint, 1 / 60)
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


@judge.check("the posterior of a straight decoder, without a word of help")
def straight(function: Any) -> str:
    """Judge `function(x, slope, offset, sigma_x)` → mean, deviation of p(z|x)."""
    for x, a, c, s in ((3.0, 2.0, 0.0, 1.0), (-1.0, 0.5, 0.3, 0.4), (0.7, -3.0, 1.0, 2.0)):
        shapes = {"mean": (), "deviation": ()}
        mean, deviation = judge.call(function, "mean, deviation", x, a, c, s, shapes=shapes)
        precision = a * a / s**2 + 1
        right = a * (x - c) / s**2 / precision, precision**-0.5
        if np.allclose((deviation, mean), right):
            raise Wrong("mean and deviation come in the wrong order")
        wrong = {
            "mean: that is the z that x would have without a prior, (x − offset)/slope": (x - c)
            / a,
            "mean: the offset is not subtracted from x": a * x / s**2 / precision,
            "mean: it is not divided by slope²/sigma_x² + 1": a * (x - c) / s**2,
        }
        judge.named_mistake(mean, {k: v for k, v in wrong.items() if not np.isclose(v, right[0])})
        judge.same("mean", mean, right[0])
        wrong = {
            "deviation: this is the variance": 1 / precision,
            "deviation: this is 1 / variance": precision,
            "deviation: the prior's 1 is missing under the root": abs(s / a),
        }
        judge.named_mistake(
            deviation, {k: v for k, v in wrong.items() if not np.isclose(v, right[1])}
        )
        judge.same("deviation", deviation, right[1])
    return "for x = 3 and the model of notebook 3 it is N(1.2, 0.45²), as it was there"


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
