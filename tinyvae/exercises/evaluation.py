"""Checks and pictures of notebook 9: log-mean-exp, effective samples, importance weights."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinyvae.exercises import judge
from tinyvae.exercises.judge import Wrong


def _exact(a: np.ndarray) -> np.ndarray:
    """Return log 1/S Σ exp(a), (N,), for a (N, S)."""
    return np.logaddexp.reduce(a, axis=1) - np.log(a.shape[1])


def _name_mistake(given: np.ndarray, right: np.ndarray, mistakes: Mapping[str, Any]) -> None:
    """Raise Wrong in the words of the known mistake that gives this result."""
    if np.allclose(given, right, rtol=1e-5, atol=1e-8, equal_nan=True):
        return
    for words, value in mistakes.items():
        if np.allclose(given, value, rtol=1e-5, atol=1e-8, equal_nan=True):
            raise Wrong(words)


@judge.check("log-mean-exp", reference=_exact)
def log_mean_exp(function: Any) -> str:
    """Judge `function(a)` → (N,), for a (N, S)."""
    (a,) = judge.draw((5, 40))
    shapes = {"result": (5,)}
    with np.errstate(all="ignore"):
        given = judge.call(function, "result", a, shapes=shapes)
        shifted = np.log(np.exp(a - a.max(axis=1, keepdims=True)).mean(axis=1))
        mistakes = {
            "this is the logarithm of the sum: the mean has 1/S, so log S is to be subtracted": (
                _exact(a) + np.log(40)
            ),
            "this is the mean of a, of the logarithms; average the numbers exp(a) themselves": (
                a.mean(axis=1)
            ),
            "the maximum that was taken out is not added again at the end": shifted,
            "the maximum that was taken out is subtracted at the end; add it": (
                shifted - a.max(axis=1)
            ),
            "this is the mean of exp(a) itself: its logarithm is missing": np.exp(_exact(a)),
        }
    _name_mistake(given, _exact(a), mistakes)
    judge.same("the result", given, _exact(a), sizes={"S": 40})
    far = np.array([0.0, -900.0, 900.0, -900.0, -5000.0])[:, None]
    _extreme(function, a + far, "exp(−900) is 0 and exp(900) is infinite", far.ravel())
    _extreme(function, a - 20000.0, "exp(−20000) is 0 in floats of any width")
    spread = a.copy()
    spread[:, 0], spread[:, 1:20] = 1000.0, -1000.0
    _extreme(function, spread, "a row may reach from −1000 to 1000")
    spread[:, 1] = -np.inf
    _extreme(function, spread, "a logarithm may be −inf, that of a weight 0")
    return "also for numbers around −900 and 900, whose exp is 0 or infinite"


def _extreme(function: Any, a: np.ndarray, words: str, levels: np.ndarray | None = None) -> None:
    given = judge.call(function, "result", a, shapes={"result": (len(a),)})
    right = _exact(a)
    bad = ~np.isfinite(given)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        hint = "take the largest number of the row out first"
        if levels is not None and np.isfinite(given[levels.argmax()]):
            hint = "each row needs its own maximum, not that of the whole array"
        raise Wrong(f"row {row} gives {given[row]:g}, not {right[row]:.4g}: {words}; {hint}")
    judge.same("the result", given, right)


@judge.check("the effective number of samples")
def effective_samples(function: Any) -> str:
    """Judge `function(log_w)` → (N,), for log_w (N, S)."""
    (log_w,) = judge.draw((5, 40))
    log_w *= np.array([0.0, 0.5, 1.0, 2.0, 8.0])[:, None]
    w = np.exp(log_w)
    share = w / w.sum(axis=1, keepdims=True)
    given = judge.call(function, "effective", log_w, shapes={"effective": (5,)})
    right = _effective(log_w)
    with np.errstate(all="ignore"):
        logs = log_w.sum(axis=1) ** 2 / (log_w**2).sum(axis=1)
        mistakes = {
            "upside down: this is Σw² / (Σw)²": 1 / right,
            "the sum is not squared: this is Σw / Σw²": w.sum(axis=1) / (w**2).sum(axis=1),
            "this is Σw² / Σw²: square the sum, not the terms, above the line": np.ones(5),
            "these are means instead of sums: S times too small": right / 40,
            "the weights are exp(log_w); these are the logarithms": logs,
            "this is 1 / the largest share; it hears only of one weight": 1 / share.max(axis=1),
            "this is the square root of it": np.sqrt(right),
        }
    _name_mistake(given, right, mistakes)
    judge.same("effective", given, right, sizes={"S": 40})
    for level in (-900.0, 900.0):
        given = judge.call(function, "effective", log_w + level, shapes={"effective": (5,)})
        if not np.isfinite(given).all():
            raise Wrong(
                f"for log_w around {level:g} it is nan: exp(log_w) is {np.exp(level):g}. Take out "
                "the largest of each row; a common factor of all weights cancels"
            )
        judge.same("effective", given, right)
    levels = np.array([0.0, -900.0, 900.0, -900.0, -5000.0])[:, None]
    given = judge.call(function, "effective", log_w + levels, shapes={"effective": (5,)})
    if not np.isfinite(given).all():
        raise Wrong(
            "where the rows lie at very different levels it is nan: each row needs its own "
            "maximum, not that of the whole array"
        )
    judge.same("effective", given, right)
    return f"{right[0]:.0f} for 40 equal weights, {right[-1]:.1f} where one outweighs the others"


def _effective(log_w: np.ndarray) -> np.ndarray:
    """Return (Σw)² / Σw², (N,)."""
    total, squares = np.logaddexp.reduce(log_w, axis=1), np.logaddexp.reduce(2 * log_w, axis=1)
    return np.exp(2 * total - squares)


@judge.check("importance weights")
def log_weights(function: Any) -> str:
    """Judge `function(nll, mu, logvar, z)` → log w (S,); nll (S,), mu, logvar (L,), z (S, L)."""
    nll, mu, logvar, eps = judge.draw((6,), (3,), (3,), (6, 3))
    nll, mu = nll + 90, 2 * mu
    z = mu + np.exp(0.5 * logvar) * eps  # (S, L)
    given = judge.call(function, "log_w", nll, mu, logvar, z, shapes={"log_w": (6,)})
    prior, q = _log_normal(z, 0.0, 0.0), _log_normal(z, mu, logvar)
    right = -nll + prior - q
    mistakes = {
        "log p(x|z) is −nll: its sign is flipped": nll + prior - q,
        "log q(z|x) is missing: it must be subtracted": -nll + prior,
        "log q(z|x) is added; it stands below the line, so subtract it": -nll + prior + q,
        "log p(z), the prior, is missing": -nll - q,
        "p(z) and q(z|x) are swapped: this is p(x|z) q / p": -nll + q - prior,
        "p(x|z) is missing: this is p(z) / q(z|x)": prior - q,
        "these are the weights w; return their logarithms": np.exp(right),
        "averaged over the L dimensions: the logarithms of independent ones add up": (
            -nll + (prior - q) / 3
        ),
    }
    for lacks, sign in (("log p(z)", 1), ("log q(z|x)", -1)):
        words = f"{lacks} lacks its constant −½ L log 2π, and the other has it: both, or neither"
        mistakes[words] = right + sign * 1.5 * np.log(2 * np.pi)
    mistakes |= {words: -nll + prior - wrong for words, wrong in _wrong_q(z, mu, logvar).items()}
    _name_mistake(given, right, mistakes)
    _name_mistake(given, right, _without_constants(mistakes, 1.5 * np.log(2 * np.pi)))
    relatives = {"log p(z)": prior, "log q(z|x)": q, "nll": nll}
    judge.same("log_w", given, right, sizes={"L": 3, "S": 6}, relatives=relatives)
    return "log p(x|z) + log p(z) − log q(z|x) for each of the S draws"


def _without_constants(
    mistakes: Mapping[str, np.ndarray], constant: float
) -> dict[str, np.ndarray]:
    """Return the mistakes in the form of an answer that leaves ½ L log 2π out of both densities.

    There they differ from those above where the constants of p(z) and q(z|x) do not cancel.
    """
    kept = {
        "log q(z|x) is missing: it must be subtracted": constant,
        "log q(z|x) is added; it stands below the line, so subtract it": 2 * constant,
        "log p(z), the prior, is missing": -constant,
    }
    return {
        f"{words[:-1]}{words[-1]}\u200b": mistakes[words] + more for words, more in kept.items()
    }


def _wrong_q(z: np.ndarray, mu: np.ndarray, logvar: np.ndarray) -> dict[str, np.ndarray]:
    """Return common mistakes in log q(z|x), and what (S,) they give."""
    square, constant = (z - mu) ** 2, np.log(2 * np.pi)

    def q(square: np.ndarray, log_scale: np.ndarray) -> np.ndarray:
        return -0.5 * (square + 2 * log_scale + constant).sum(axis=1)

    variance = np.exp(logvar)
    return {
        "the term −½ logvar of log q is missing, from the 1/σ before its exponential": (
            q(square / variance, 0 * logvar)
        ),
        "log q has −logvar where −½ logvar, that is −log σ, is right": q(square / variance, logvar),
        "log q has +½ logvar where −½ logvar, that is −log σ, is right": (
            q(square / variance, -0.5 * logvar)
        ),
        "in log q, (z − mu)² is divided by σ; divide it by σ² = exp(logvar)": (
            q(square / np.exp(0.5 * logvar), 0.5 * logvar)
        ),
        "in log q, z − mu is divided by σ² = exp(logvar); divide it by σ, then square": (
            q(square / variance**2, 0.5 * logvar)
        ),
        "in log q, (z − mu)² is divided by nothing; divide it by σ² = exp(logvar)": (
            q(square, 0.5 * logvar)
        ),
    }


def _log_normal(z: np.ndarray, mu: Any, logvar: Any) -> np.ndarray:
    """Return log N(z; mu, σ²) (S,), summed over the dimensions."""
    square = (z - mu) ** 2 / np.exp(logvar)
    return -0.5 * (square + logvar + np.log(2 * np.pi)).sum(axis=1)


def two_ways(prior: np.ndarray, posterior: np.ndarray) -> Any:
    """Draw log p(x|z) of one picture for draws of z (S,) from the prior and from q(z|x)."""
    from tinyvae.figures.picture import ACCENT, GREY, MARGIN, page, panel, styled

    @styled
    def draw() -> Any:
        title = "How well does a drawn code explain one picture?"
        fig = page(8.4, 3.5, title, "log p(x|z) in nats, for 1,000 draws of z each.")
        ax = panel(fig, MARGIN, 0.95, 7.6, 1.9)
        bins = np.linspace(min(prior.min(), posterior.min()), posterior.max(), 70)
        for values, color, name in ((prior, GREY, "z ~ p(z)"), (posterior, ACCENT, "z ~ q(z|x)")):
            heights = ax.hist(values, bins, color=color, alpha=0.7)[0]
            place = (float(np.median(values)), heights.max() + 25)
            ax.annotate(name, place, color=color, ha="center", size=9.5)
        ax.set(yticks=[], xlabel="nats")
        ax.spines["left"].set_visible(False)
        ax.margins(y=0.15)
        return fig

    return draw()


def three_values(exact: np.ndarray, estimate: np.ndarray, bound: np.ndarray) -> Any:
    """Draw how far the importance-sampled log p(x) and the ELBO are from the exact one, (N,)."""
    from tinyvae.figures.picture import ACCENT, GREY, INK, MARGIN, page, panel, styled

    @styled
    def draw() -> Any:
        title = "The bound, the estimate and the truth"
        fig = page(
            8.4,
            3.7,
            title,
            f"Difference from the exact log p(x) in nats, for {len(exact)} examples.",
        )
        ax = panel(fig, MARGIN + 0.4, 1.0, 5.9, 2.2)
        n = np.arange(len(exact))
        ax.axhline(0, color=INK, lw=1.2)
        ax.vlines(n, bound - exact, 0, color=GREY, lw=0.8, alpha=0.4)
        ax.plot(n, bound - exact, "v", color=GREY, ms=4, label="ELBO")
        ax.plot(n, estimate - exact, "o", color=ACCENT, ms=3.2, label="importance sampling")
        ax.set(xticks=[], xlabel="example")
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        return fig

    return draw()
