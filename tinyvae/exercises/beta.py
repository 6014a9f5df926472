"""Checks of notebook 8: active units, the effective beta of a loss, the best σ_x."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from tinyvae.exercises import judge
from tinyvae.exercises.judge import NotYet, Wrong


def _active(mu: Any, threshold: float = 0.01) -> Any:
    return mu.var(axis=0) > threshold


@judge.check("which dimensions are active", reference=_active)
def active_units(function: Any) -> str:
    """Judge `function(mu, threshold)` → (L,) True or False."""
    scale, offset = np.array([1.0, 0.05, 0.02, 0.08, 0.3]), np.array([0.0, 0.0, 3.0, 0.0, -1.0])
    (mu,) = judge.draw((40, 5))
    mu = (mu - mu.mean(axis=0)) / mu.std(axis=0) * scale + offset  # (N, L)
    thresholds, answers = (0.01, 0.12), []
    for threshold in thresholds:
        given = judge.call(function, "active", mu, threshold)
        if given.ndim == 0:
            raise Wrong(
                "active is one number; return one True or False for each of the L dimensions"
            )
        judge.same_shape("active", given, (5,))
        if not np.isin(given, (0, 1)).all():
            raise Wrong("active should be True or False: compare the variance with the threshold")
        answers.append(given.astype(bool))
    _judge_active(np.array(answers), mu, thresholds)
    return "a dimension counts where its mu varies with the picture, wherever its mean lies"


def _judge_active(answers: np.ndarray, mu: np.ndarray, thresholds: Sequence[float]) -> None:
    """Judge the answers (T, L) at T thresholds."""
    variance, limits = mu.var(axis=0), np.array(thresholds)[:, None]  # (L,), (T, 1)
    if (answers == (variance > limits)).all():
        return
    if (answers == (variance <= limits)).all():
        raise Wrong("True and False are swapped")
    if (answers == (variance > 0.01)).all():
        raise Wrong("the threshold is fixed at 0.01; use the argument")
    mistakes = {
        "this is the standard deviation above the threshold; the rule asks for the variance, its "
        "square": mu.std(axis=0),
        "this is the mean of mu² above the threshold. It is large too where mu is the same for "
        "every picture; the variance is not": (mu**2).mean(axis=0),
        "this asks whether the mean of mu is far from 0; the question is how much mu varies from "
        "picture to picture": np.abs(mu.mean(axis=0)),
        "the squares are summed over the pictures; the variance is their mean": (
            len(mu) * variance
        ),
        "this is the distance from mu.mean() over everything; each dimension has its own mean, "
        "mu.mean(axis=0)": ((mu - mu.mean()) ** 2).mean(axis=0),
        "this is the range, largest minus smallest; the rule asks for the variance": np.ptp(
            mu, axis=0
        ),
    }
    for words, measured in mistakes.items():
        if (answers == (measured > limits)).all():
            raise Wrong(words)
    at, j = np.argwhere(answers != (variance > limits))[0]
    threshold, right = thresholds[at], variance > thresholds[at]
    numbers = f"the variance {mu[:, j].var():.3g} and the mean {mu[:, j].mean():.3g}"
    raise Wrong(
        f"mu[:, {j}] has {numbers}, so at the threshold {threshold:g} it is "
        f"{'active' if right[j] else 'not active'}; yours says the opposite"
    )


@judge.check("the effective beta")
def effective_beta(function: Any) -> str:
    """Judge `function(D, L, pixels, latents)` → the factor of the KL."""
    for D, L in ((784, 10), (12, 3)):
        cases = {(p, k): _beta(D, L, p, k) for p in ("sum", "mean") for k in ("sum", "mean")}
        given = _given_betas(function, D, L, cases)
        if all(np.isclose(given[case], right) for case, right in cases.items()):
            continue
        if all(np.isclose(given[case], 1 / right) for case, right in cases.items()):
            raise Wrong(
                "upside down: a mean divides its own term, and so makes the other one count more"
            )
        for (pixels, latents), right in cases.items():
            if not np.isclose(given[pixels, latents], right):
                raise Wrong(_in_words(D, L, pixels, latents, given[pixels, latents], right))
    return "in all four cases; a mean over pixels beside a sum over latents makes it D"


def _given_betas(function: Any, D: int, L: int, cases: Mapping) -> dict:
    """Return what the function gives for each case; raise Wrong where it forgets some of them."""
    given, nothing = {}, []
    for case in cases:
        try:
            given[case] = float(judge.call(function, "beta", D, L, *case, shapes={"beta": ()}))
        except NotYet:
            nothing.append(case)
    if not given:
        raise NotYet("beta is still missing")
    if nothing:
        pixels, latents = nothing[0]
        raise Wrong(
            f'pixels="{pixels}", latents="{latents}": it returns nothing; is a branch missing?'
        )
    return given


def _beta(D: int, L: int, pixels: str, latents: str) -> float:
    return (D if pixels == "mean" else 1) / (L if latents == "mean" else 1)


def _in_words(D: int, L: int, pixels: str, latents: str, given: float, right: float) -> str:
    known = {1: "1", D: "D", 1 / D: "1/D", L: "L", 1 / L: "1/L", D / L: "D/L", L / D: "L/D"}
    known |= {D * L: "D·L", 1 / (D * L): "1/(D·L)", 2 * D: "2D", D / 2: "D/2"}
    name = next((f" = {text}" for value, text in known.items() if np.isclose(given, value)), "")
    name = "" if name == " = 1" else name
    words = {
        ("sum", "sum"): "there is nothing to bring back to a sum",
        ("mean", "sum"): "multiply the whole loss by D, and look at what stands before the KL",
        ("sum", "mean"): "the KL is divided by L, the reconstruction is not",
        ("mean", "mean"): "the reconstruction is divided by D, and the KL by L",
    }[pixels, latents]
    return (
        f'pixels="{pixels}", latents="{latents}", D = {D}, L = {L}: {given:.4g}{name} where '
        f"{right:.4g} is right: {words}"
    )


def _width(
    x: np.ndarray, x_hat: np.ndarray, mean: Any = np.mean, power: float = 0.5, squared: bool = True
) -> Any:
    """Return the σ_x at which the nll of a batch is smallest, or what slips make of it."""
    away = x - x_hat
    return mean(away**2 if squared else np.abs(away)) ** power


def _smallest_nll(
    x: np.ndarray, x_hat: np.ndarray, rest: float = 0.5, half: float = 0.5, pi: float = 2 * math.pi,
    pixels: bool = True, power: float = 1.0, base: float = math.e,
) -> float:  # fmt: skip
    """Return the nll there, ½ D (log 2πσ_x² + 1), or what slips make of it."""
    D = x.shape[1] if pixels else 1
    return D * (half * math.log(pi * ((x - x_hat) ** 2).mean() ** power, base) + rest)


@judge.check("the best σ_x, without a word of help")
def best_width(function: Any) -> str:
    """Judge `function(x, x_hat)` → sigma_x, nll: the width that suits a batch best."""
    for B, D, scale in ((6, 5, 0.3), (3, 8, 2.0)):
        x, away = judge.draw((B, D), (B, D))
        x_hat = x + scale * away
        sizes = {"B": B, "D": D, "B·D": B * D}
        shapes = {"sigma_x": (), "nll": ()}
        given = judge.call(function, "sigma_x, nll", x, x_hat, shapes=shapes)
        right = _width(x, x_hat), _smallest_nll(x, x_hat)
        if np.allclose(given, right[::-1]):
            raise Wrong("sigma_x and nll come in the wrong order")
        per_pixel = np.sqrt(((x - x_hat) ** 2).mean(axis=0))
        slips = {
            "sigma_x: this is the variance σ_x²; its root is asked for": {"power": 1.0},
            "sigma_x: this is 1/σ_x": {"power": -0.5},
            "sigma_x: the squares are summed; their mean over all B · D pixels is the variance": {
                "mean": np.sum
            },
            "sigma_x: the squares are summed over the D pixels; each pixel counts, so B · D": {
                "mean": lambda a: a.sum(axis=1).mean()
            },
            "sigma_x: the squares are summed over the batch; each pixel counts, so B · D": {
                "mean": lambda a: a.sum(axis=0).mean()
            },
            "sigma_x: absolute differences would suit a Laplace density; here squares count": {
                "squared": False, "power": 1.0
            },
            "sigma_x: the squares are missing: this is the root of the mean absolute difference": {
                "squared": False
            },
            "sigma_x: this is the largest difference": {"mean": np.max},
        }  # fmt: skip
        judge.named_slip(given[0], partial(_width, x, x_hat), slips)
        mean_of_roots = "sigma_x: this is a mean of roots; the root comes last, one for all pixels"
        roots = np.sqrt(((x - x_hat) ** 2).mean(axis=1)).mean()
        judge.named_mistake(given[0], {mean_of_roots: roots})
        judge.named_mistake(given[0], {mean_of_roots: per_pixel.mean()})
        centred = "sigma_x: np.std and np.var subtract a mean first; nothing is subtracted here"
        judge.named_mistake(given[0], {centred: (x - x_hat).std()})
        others = {
            "sigma_x: divided by B · D − 1; the smallest nll has the plain mean": (
                right[0] * np.sqrt(B * D / (B * D - 1))
            ),
            "sigma_x: this is the spread of x; the decoder explains a part of it": x.std(),
            "sigma_x: this is the logarithm of σ_x²": 2 * np.log(right[0]),
        }
        judge.named_mistake(given[0], others)
        factor = "sigma_x: a factor of {} stands before the mean of the squares; there is none"
        for name, of in (("2", 2.0), ("½", 0.5)):
            judge.named_mistake(given[0], {factor.format(name): right[0] * of**0.5})
        judge.same("sigma_x", given[0], right[0], sizes=sizes)
        slips = {
            "nll: the squares are left out; at the best σ_x they add up to ½ D": {"rest": 0.0},
            "nll: the squares divided by 2σ_x² are ½ for each pixel, not 1": {"rest": 1.0},
            "nll: ½ is missing before the logarithm": {"half": 1.0},
            "nll: 2π is missing under the logarithm": {"pi": 1.0},
            "nll: π is missing under the logarithm": {"pi": 2.0},
            "nll: log 2πσ_x stands where log 2πσ_x² belongs": {"power": 0.5},
            "nll: np.log10 stands where np.log belongs": {"base": 10.0},
            "nll: it is the mean over the D pixels; the logarithms of a picture add up": {
                "pixels": False
            },
        }
        judge.named_slip(given[1], partial(_smallest_nll, x, x_hat), slips)
        log_part = right[1] - 0.5 * D
        others = {
            "nll: the sign is flipped: this is log p": -right[1],
            "nll: the squares add up to ½ for each of the D pixels": log_part + 0.5,
            "nll: the logarithm counts for each of the D pixels": log_part / D + 0.5 * D,
            "nll: B stands where D belongs: a picture has D pixels": right[1] * B / D,
            "nll: this is the nll at σ_x = 1, not at the best σ_x": (
                0.5 * (D * right[0] ** 2 + D * math.log(2 * math.pi))
            ),
        }
        judge.named_mistake(given[1], others)
        judge.same("nll", given[1], right[1], sizes=sizes)
    return "no other σ_x gives these pictures a smaller nll"
