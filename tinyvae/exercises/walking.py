"""Checks of notebook 7: two walks between codes, equal shares of the prior, and draws from all
posteriors together.
"""

from statistics import NormalDist
from typing import Any

import numpy as np

from tinyvae.exercises import judge
from tinyvae.exercises.judge import Wrong


def _line(first: Any, last: Any, steps: int) -> Any:
    t = np.linspace(0, 1, steps)[:, None]
    return (1 - t) * first + t * last


@judge.check("a line between two codes", reference=_line)
def line(walk: Any) -> str:
    """Judge `walk(z_first, z_last, steps)` → z (steps, L)."""
    for steps, L in ((5, 2), (7, 3), (2, 1)):
        first, last = judge.draw((L,), (L,))
        z = _walked(walk, first, last, steps)
        t = np.linspace(0, 1, steps)[:, None]
        right = (1 - t) * first + t * last
        _judge_ends(z, right, first, last, t)
        judge.same("z", z, right)
    return "from z_first to z_last in equal steps, both ends included"


def _walked(walk: Any, first: np.ndarray, last: np.ndarray, steps: int) -> np.ndarray:
    """Return the points of a walk, (steps, L); raise Wrong where there are more or fewer."""
    L = len(first)
    z = judge.call(walk, "z", first, last, steps)
    if z.shape in ((steps + 1, L), (steps - 1, L), (steps - 2, L)):
        raise Wrong(
            f"z has {len(z)} points instead of {steps}: steps counts the points, both ends "
            "among them"
        )
    judge.same_shape("z", z, (steps, L))
    return z


def _judge_ends(z: np.ndarray, right: np.ndarray, first, last, t: np.ndarray) -> None:
    if not np.isfinite(z).all():
        raise Wrong("some points of z are not finite")
    if np.allclose(z, right[::-1]) and len(z) > 1:
        raise Wrong("it goes the wrong way, from z_last to z_first")
    if np.allclose(z, first + t * last):
        raise Wrong("it adds t · z_last, but z_first must go away as t grows: by 1 − t")
    way = last - first
    share = ((z - first) @ way / (way @ way))[:, None]  # where on the line each point is nearest
    if not np.allclose(z, first + share * way, atol=1e-5):
        raise Wrong("the points do not lie on the straight line through z_first and z_last")
    if share.min() < -1e-5 or share.max() > 1 + 1e-5:
        raise Wrong("it leaves the way between z_first and z_last")
    if not np.allclose(z[0], first):
        raise Wrong("it does not begin at z_first: t must begin at 0")
    if not np.allclose(z[-1], last):
        raise Wrong("it does not end at z_last: t must reach 1, so there are steps − 1 intervals")
    if not np.allclose(z, right):
        raise Wrong("the steps are not equally long")


def _arc(first: Any, last: Any, steps: int) -> Any:
    angle = np.linspace(0, np.pi / 2, steps)[:, None]
    return np.cos(angle) * first + np.sin(angle) * last


@judge.check("a walk among the prior's draws, without a word of help", reference=_arc)
def arc(walk: Any) -> str:
    """Judge `walk(z_first, z_last, steps)` → z (steps, L), whose weights have squares that add up
    to 1; which weights is left open."""
    for steps, L in ((5, 4), (8, 3), (3, 6)):
        first, last = judge.draw((L,), (L,))
        z = _walked(walk, first, last, steps)
        if not np.isfinite(z).all():
            raise Wrong("some points of z are not finite")
        both = np.stack([first, last], axis=1)  # (L, 2)
        a, b = np.linalg.lstsq(both, z.T, rcond=None)[0]  # (steps,) each
        if not np.allclose(both @ np.array([a, b]), z.T, atol=1e-5):
            raise Wrong("the points are no sums a · z_first + b · z_last with two numbers a and b")
        _judge_weights(a, b, first, last)
    return "a² + b² = 1 at every step, so each point of the walk has the variance 1"


def _judge_weights(a: np.ndarray, b: np.ndarray, first: np.ndarray, last: np.ndarray) -> None:
    """Judge the weights (steps,) of both ends."""
    t = np.linspace(0, 1, len(a))
    if np.allclose((a[0], b[0], a[-1], b[-1]), (0, 1, 1, 0), atol=1e-5):
        raise Wrong("it goes the wrong way, from z_last to z_first")
    lengths = np.linalg.norm(first), np.linalg.norm(last)
    angle = np.arccos(first @ last / np.prod(lengths))
    sphere = np.sin([(1 - t) * angle, t * angle]) / np.sin(angle)
    if np.allclose((a, b), (1 - t, t), atol=1e-5):
        raise Wrong(
            "these are the weights 1 − t and t of the line: halfway the variance is ¼ + ¼ = ½"
        )
    if np.allclose((a, b), sphere, atol=1e-5):
        raise Wrong(
            "this walk on a sphere takes its weights from the angle between the two codes; a and b "
            "must depend on t alone, so that a² + b² = 1 for any two codes"
        )
    variance = a**2 + b**2
    for place, where in ((0, "begin at z_first, a = 1 and b = 0"), (-1, "end at z_last, 0 and 1")):
        if not np.allclose((a[place], b[place]), (1, 0) if place == 0 else (0, 1), atol=1e-5):
            weights = round(a[place], 3) + 0.0, round(b[place], 3) + 0.0
            found = "a = {:g}, b = {:g}".format(*weights).replace("-", "−")
            raise Wrong(f"it does not {where}: the weights there are {found}")
    if not np.allclose(variance, 1, atol=1e-4):
        i = int(np.abs(variance - 1).argmax())
        raise Wrong(
            f"at step {i} it is {a[i]:.3g} · z_first + {b[i]:.3g} · z_last, so the variance is "
            f"a² + b² = {variance[i]:.3g}, not 1".replace("-", "−")
        )
    if (np.diff(b) < 1e-6).any() or (np.diff(a) > -1e-6).any():
        raise Wrong("it goes to and fro, or stands still: let a fall and b rise at every step")


def _quantiles(n: int) -> np.ndarray:
    return np.array([NormalDist().inv_cdf((i + 0.5) / n) for i in range(n)])


@judge.check("equal shares of the prior", reference=_quantiles)
def quantiles(cut: Any) -> str:
    """Judge `cut(n)` → z (n,), the middles of n slices of equal probability."""
    normal = NormalDist()
    for n in (9, 4, 1):
        z = judge.call(cut, "z", n)
        if z.shape in ((n + 1,), (n - 1,)):
            raise Wrong(f"z has {len(z)} values instead of {n}: one for each slice, no borders")
        judge.same_shape("z", z, (n,))
        _judge_shares(z, (np.arange(n) + 0.5) / n, normal)
        judge.same("z", z, [normal.inv_cdf((i + 0.5) / n) for i in range(n)])
    return "each value stands in the middle of a slice that holds 1/n of N(0, 1)"


def _judge_shares(z: np.ndarray, right: np.ndarray, normal: NormalDist) -> None:
    """Name the mistake in the values z (n,), whose shares below should be `right`."""
    n = len(z)
    if np.allclose(z, [normal.cdf(value) for value in right]):
        raise Wrong("this is the CDF, from z to shares; the way back is its inverse, inv_cdf")
    if np.isnan(z).any():
        raise Wrong("some values of z are not finite: they are nan")
    if not np.isfinite(z).all():
        raise Wrong("the first or last value is infinite: take the middles of the slices, not 0, 1")
    if np.allclose(z, right):
        raise Wrong("these are the shares themselves; the inverse CDF turns them into z")
    if n == 1:
        return
    below = np.array([normal.cdf(value) for value in z])
    if np.allclose(below, right[::-1]):
        raise Wrong("z goes down; let it rise")
    if np.allclose(np.diff(z, 2), 0, atol=1e-6) and n > 3:
        raise Wrong(
            "these are equal steps of z, not equal shares of the prior: most of N(0, 1) lies "
            "near 0, so the values must be denser there"
        )
    i = np.arange(n)
    if np.allclose(below, (i + 1) / (n + 1)):
        raise Wrong(f"these cut the prior into n + 1 = {n + 1} slices; you want the middles of {n}")
    if np.allclose(below, (i + 1) / n - 1e-9, atol=1e-3) or np.allclose(below, i / n, atol=1e-3):
        raise Wrong("these are borders of the slices; the middle of slice i is at (i + ½)/n")
    if not np.allclose(below, right, atol=1e-7):
        worst = int(np.abs(below - right).argmax())
        raise Wrong(
            f"below z[{worst}] lies {below[worst]:.4f} of the prior; below the middle of slice "
            f"{worst} it is ({worst} + ½)/{n} = {right[worst]:.4f}"
        )


# Three posteriors so far from one another that each draw tells which one it is from.
MU = np.array([[0.0, 900.0], [1700.0, 100.0], [-800.0, 500.0]])
SIGMA = np.array([[0.3, 2.5], [1.6, 0.6], [3.0, 1.4]])
DRAWS = 6000


def _aggregate(mu: Any, logvar: Any, n: int, rng: np.random.Generator) -> Any:
    rows = rng.integers(len(mu), size=n)
    return mu[rows] + np.exp(0.5 * logvar[rows]) * rng.standard_normal((n, mu.shape[1]))


@judge.check("draws from all posteriors together", reference=_aggregate)
def aggregate(sample: Any) -> str:
    """Judge `sample(mu, logvar, n, rng)` → z (n, L)."""
    logvar = 2 * np.log(SIGMA)

    def draw(n: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return judge.call(sample, "z", MU, logvar, n, rng, shapes={"z": (n, 2)})

    more = judge.draw((4, 3), (4, 3))
    given = judge.call(sample, "z", *more, 6, np.random.default_rng(70))
    if given.shape == (4, 3):
        raise Wrong(
            "z has the shape (4, 3), and should have (6, 3): that is one draw for each of the 4 "
            "examples, not n = 6. (A permutation takes each once; rng.integers may take one again)"
        )
    judge.same_shape("z", given, (6, 3))
    z = draw(DRAWS, 71)
    if not np.isfinite(z).all():
        raise Wrong("some draws are not finite")
    if not np.array_equal(z, draw(DRAWS, 71)):
        raise Wrong(
            "the same rng gives other draws the second time: let rng draw all that is drawn"
        )
    if np.array_equal(z, draw(DRAWS, 72)):
        raise Wrong("another rng gives the same draws: draw with the rng that is handed over")
    which = _examples(z)
    _judge_choice(which)
    _judge_noise(z, which)
    return (
        f"of {DRAWS:,} draws each of 3 examples has its share, around its mu and as wide as its σ"
    )


def _examples(z: np.ndarray) -> np.ndarray:
    """Return from which example each draw is (n,); raise Wrong where draws are from none."""
    off = np.abs(z[:, None] - MU) / 40  # (n, 3, L), 40 being far wider than any σ
    at_home = off.max(axis=2) < 1  # (n, 3)
    if at_home.any(axis=1).all():
        return at_home.argmax(axis=1)
    lost = ~at_home.any(axis=1)
    if (np.abs(z[lost] - MU.mean(axis=0)) < 60).all():
        raise Wrong("z lies around the mean of all mu: choose one example, do not average them")
    if (np.abs(z[lost]) < 60).all():
        raise Wrong("z lies around 0, like draws from the prior: mu does not come in")
    if ((off < 1).any(axis=1) | ~lost[:, None]).all():
        raise Wrong(
            "a draw takes z_1 from one example and z_2 from another: choose one row for both"
        )
    raise Wrong(f"{lost.mean():.0%} of the draws lie far from every mu")


def _judge_choice(which: np.ndarray) -> None:
    shares = np.bincount(which, minlength=3) / len(which)
    if (shares == 0).any():
        missing = int(np.flatnonzero(shares == 0)[0])
        only = "only one example is ever chosen" if (shares == 1).any() else ""
        hint = "; rng.integers(N) goes up to N − 1 by itself" if missing == 2 else ""
        raise Wrong(only or f"example {missing} of 0, 1, 2 is never chosen{hint}")
    if (np.diff(which) >= 0).all():
        raise Wrong("the draws are sorted by example: shuffle them, or choose each draw anew")
    if (which[3:] == which[:-3]).all():
        raise Wrong("the examples come in turn; choose them at random, each draw anew")
    if np.abs(shares - 1 / 3).max() > 0.031:  # 5 standard errors
        text = ", ".join(f"{share:.0%}" for share in shares)
        raise Wrong(f"the 3 examples have {text} of the draws, and should have a third each")


def _judge_noise(z: np.ndarray, which: np.ndarray) -> None:
    residual = (z - MU[which]) / SIGMA[which]  # (n, L), should be N(0, 1)
    spread = np.array([residual[which == k].std(axis=0) for k in range(3)])  # (3, L)
    if (np.abs(residual) < 1e-9).all():
        raise Wrong("these are the mu themselves: draw around them, with σ eps")
    if (spread < 1e-9).all():
        raise Wrong("all draws of an example are the same: each of the n draws needs its own eps")
    if np.allclose(spread, SIGMA, rtol=0.1):
        raise Wrong("the width is exp(logvar); logvar = log σ², so σ = exp(½ logvar)")
    if np.allclose(spread, np.abs(2 * np.log(SIGMA)) / SIGMA, rtol=0.1):
        raise Wrong("the width is logvar itself; σ = exp(½ logvar)")
    if np.allclose(spread * SIGMA, 1, rtol=0.1):
        raise Wrong("the width is 1 for all; each example has its own σ = exp(½ logvar)")
    if np.allclose(spread * SIGMA, np.sqrt((SIGMA**2).mean(axis=0)), rtol=0.1):
        raise Wrong("σ is taken from another example than mu: choose the row once, use it for both")
    means = np.array([residual[which == k].mean(axis=0) for k in range(3)])
    if np.abs(spread - 1).max() > 0.12 or np.abs(means).max() > 0.12:
        raise Wrong(
            f"around their mu the draws have {_range(means)} σ as mean and {_range(spread)} σ as "
            "standard deviation, where 0 and 1 are right"
        )
    if abs(np.corrcoef(residual.T)[0, 1]) > 0.08:
        raise Wrong("both dimensions get the same eps: draw eps of the shape (n, L)")
    if abs((residual**4).mean() - 3) > 0.4:  # 3 for a normal distribution
        raise Wrong("the noise is not normal: take rng.standard_normal, not rng.uniform")
    if len(np.unique(residual[:, 0])) < 0.9 * len(z):
        raise Wrong("many draws share their eps: each of the n draws needs its own")


def _range(values: np.ndarray) -> str:
    return f"{values.min():.2f} to {values.max():.2f}".replace("-", "−")
