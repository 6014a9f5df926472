"""Checks of notebook 2: what an autoencoder's loss sees of its codes, the nearest code, and draws
that have the codes' means and standard deviations."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyvae.exercises import judge
from tinyvae.exercises.judge import Wrong


@judge.check("the loss of stretched codes")
def stretched_codes(answer: Any) -> str:
    """Judge the answer "a", "b" or "c": the loss rises, falls, stays."""
    return judge.prediction(
        answer,
        right="c",
        replies={
            "a": "the decoder's first layer multiplies z by its weights. What does it see if z "
            "is 100 times as large, and these weights 100 times as small",
            "b": "the same pictures come out, so the squared differences cannot get smaller",
            "c": "the factors 100 and 1/100 cancel in z W, so the same pictures come out",
        },
        meanings={
            "a": r"\bris|larger|grow",
            "b": r"\bfall|smaller",
            "c": r"\bstay|same|equal|unchanged|not(hing)? change|no change",
        },
    )


def nearest_code(z: Any, codes: Any) -> Any:
    """Return the index (M,) of the code (N, L) nearest to each point z (M, L)."""
    return ((z[:, None] - codes[None]) ** 2).sum(axis=2).argmin(axis=1)


def normal_like(codes: Any, n: int, rng: np.random.Generator) -> Any:
    """Return n normal draws (n, L) with the means and standard deviations of codes (N, L)."""
    return codes.mean(axis=0) + codes.std(axis=0) * rng.standard_normal((n, codes.shape[1]))


@judge.check("the nearest code", reference=nearest_code)
def nearest(function: Any) -> str:
    """Judge `nearest(z, codes)` → the index (M,) of the code nearest to each z."""
    z, codes = judge.draw((40, 3), (30, 3))
    given = judge.call(function, "index", z, codes)
    if given.shape == (len(codes),):
        raise Wrong("index has 30 entries for 40 points z: you found the nearest z of each code")
    if given.shape == (len(z), 1):
        raise Wrong("index has the shape (40, 1), and should have (40,): leave keepdims out")
    judge.same_shape("index", given, (len(z),))
    away = z[:, None] - codes[None]  # (M, N, L)
    squares = (away**2).sum(axis=2)
    if np.array_equal(given, squares.argmin(axis=1)):
        return "each of 40 points finds its nearest of 30 codes"
    if np.array_equal(given, away.sum(axis=2).argmin(axis=1)):
        raise Wrong("the differences are not squared, so that positive and negative ones cancel")
    if np.array_equal(given, squares.argmax(axis=1)):
        raise Wrong("index names the code farthest away: argmax where argmin is meant")
    if np.array_equal(given, np.abs(away.sum(axis=2)).argmin(axis=1)):
        raise Wrong("the differences are added before their signs are taken away: square each")
    if np.array_equal(given, np.abs(away).max(axis=2).argmin(axis=1)):
        raise Wrong("this goes by the largest difference alone; the distance is Σ (z − c)²")
    lengths = np.linalg.norm(z, axis=1)[:, None] * np.linalg.norm(codes, axis=1)
    if np.array_equal(given, (z @ codes.T / lengths).argmax(axis=1)):
        raise Wrong("this goes by the angle between z and c; the distance is Σ (z − c)²")
    if np.array_equal(given, np.abs(away).sum(axis=2).argmin(axis=1)):
        raise Wrong("these are sums of absolute differences; the distance has squares: Σ (z − c)²")
    if np.array_equal(given, (z @ codes.T).argmin(axis=1)) or np.array_equal(
        given, (z @ codes.T).argmax(axis=1)
    ):
        raise Wrong("this goes by the products z · c; the distance is Σ (z − c)²")
    if np.allclose(given, np.sqrt(squares.min(axis=1))) or np.allclose(given, squares.min(axis=1)):
        raise Wrong("this is the distance to the nearest code; return its index (argmin, not min)")
    off = np.flatnonzero(given != squares.argmin(axis=1))
    i, right = off[0], squares.argmin(axis=1)[off[0]]
    raise Wrong(f"{len(off)} of 40 are wrong: for z[{i}] you say {given[i]:g}, nearest is {right}")


@judge.check("draws like the codes", reference=normal_like)
def draw_like(function: Any) -> str:
    """Judge `draw_like(codes, n, rng)` → z (n, L), normal, with the codes' means, deviations."""
    (codes,) = judge.draw((500, 2))
    codes = codes * np.array([0.5, 3.0]) + np.array([4.0, -1.0])
    mean, deviation = codes.mean(axis=0), codes.std(axis=0)

    def draw(n: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return judge.call(function, "z", codes, n, rng, shapes={"z": (n, 2)})

    n = 40_000
    z = draw(n, 5)
    if not np.isfinite(z).all():
        raise Wrong("some draws are not finite")
    found_mean, found = z.mean(axis=0), z.std(axis=0)
    error = 6 * deviation / np.sqrt(n)  # six standard errors: chance alone stays within
    if found.max() < 1e-9:
        raise Wrong("all draws are equal: draw n × L numbers with rng.standard_normal((n, L))")
    if np.allclose(found, deviation**2, rtol=0.05):
        raise Wrong("the standard deviations are the codes' variances: std, not var")
    if np.allclose(found, np.sqrt(deviation), rtol=0.05):
        raise Wrong("the standard deviations are the square roots of the codes'")
    if np.allclose(found, codes.std(), rtol=0.05):
        raise Wrong("all dimensions have one standard deviation: take codes.std(axis=0)")
    if (np.abs(found - deviation) > error).any():
        raise Wrong(f"the standard deviations are {_pair(found)}, not {_pair(deviation)}")
    if (np.abs(found_mean - mean) > error).any():
        raise Wrong(f"the means are {_pair(found_mean)}, not {_pair(mean)}")
    if len(np.unique(z[:, 0])) < n / 2:
        raise Wrong("the draws repeat: draw numbers of your own, with rng.standard_normal")
    found_correlation, codes_correlation = np.corrcoef(z.T)[0, 1], np.corrcoef(codes.T)[0, 1]
    if min(abs(found_correlation), abs(found_correlation - codes_correlation)) > 0.05:
        raise Wrong("the dimensions depend on each other: draw a number of its own for each")
    fourth = (((z - found_mean) / found) ** 4).mean(axis=0)  # 3 for a normal distribution
    if (np.abs(fourth - 3) > 0.2).any():
        raise Wrong("the draws are not normal: take rng.standard_normal, not rng.uniform")
    _judge_rng(draw)
    return f"means {_pair(found_mean)} and standard deviations {_pair(found)}, as the codes have"


def _judge_rng(draw: Callable[[int, int], np.ndarray]) -> None:
    """Raise Wrong where the draws of `draw(n, seed)` do not come from the rng of that seed."""
    one = draw(50, 7)
    if not np.array_equal(one, draw(50, 7)):
        raise Wrong("the same rng gives other draws the second time: draw with rng alone")
    if np.array_equal(one, draw(50, 8)):
        raise Wrong("another rng gives the same draws: draw with the rng that is handed over")


def _pair(values: np.ndarray) -> str:
    return f"({', '.join(f'{value:.2f}' for value in values)})"
