"""Checks of notebook 9: log-mean-exp, effective draws, a standard error, importance weights."""

import math
from collections.abc import Mapping
from functools import partial
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
            "1/S stands inside the logarithm, so log S is subtracted, not divided by": (
                (_exact(a) + np.log(40)) / 40
            ),
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


def _effective(log_w: np.ndarray) -> np.ndarray:
    """Return (Σw)² / Σw², (N,)."""
    total, squares = np.logaddexp.reduce(log_w, axis=1), np.logaddexp.reduce(2 * log_w, axis=1)
    return np.exp(2 * total - squares)


@judge.check("the effective number of samples", reference=_effective)
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
            "this is e^entropy of the shares: another count; here their squares are added": np.exp(
                -(share * np.log(share)).sum(axis=1)
            ),
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


def _error(
    log_w: np.ndarray, root: Any = np.sqrt, spread: Any = np.std, mean: Any = np.mean,
    of_logs: bool = False, over: bool = True,
) -> Any:  # fmt: skip
    """Return the standard error of log p(x), std(w)/(mean(w) √S), or what slips make of it."""
    w = log_w if of_logs else np.exp(log_w - log_w.max(axis=1, keepdims=True))
    under = mean(w, axis=1) if over and not of_logs else 1.0
    return spread(w, axis=1) / under / root(log_w.shape[1])


@judge.check("the standard error of log p(x), without a word of help", reference=_error)
def standard_error(function: Any) -> str:
    """Judge `function(log_w)` → (N,), for log_w (N, S)."""
    (log_w,) = judge.draw((5, 40))
    log_w *= np.array([0.1, 0.5, 1.0, 2.0, 4.0])[:, None]
    given = judge.call(function, "error", log_w, shapes={"error": (5,)})
    slips = {
        "it is not divided by √S: this is the spread of one weight": {"root": lambda S: 1.0},
        "divided by S; the spread of a mean falls with √S": {"root": lambda S: S},
        "the variance of the weights stands where their standard deviation belongs": {
            "spread": np.var
        },
        "these are the logarithms' own spread: log p(x) is the logarithm of the mean of w": {
            "of_logs": True
        },
        "the mean weight is missing below the line": {"over": False},
        "it is divided by the sum of the weights; the mean is meant": {"mean": np.sum},
    }
    w, plain = np.exp(log_w), np.exp(log_w).std(axis=1) / np.sqrt(40)
    own = {
        "this is the standard error of p(x); its logarithm's is that, divided by p(x)": plain,
        "this is the logarithm of the error: only log p(x) is a logarithm": np.log(_error(log_w)),
        "log of the spread of w is no error of log p(x)": np.log(plain),
        "this is 1/√(effective draws): nearly, but 1/S is to be subtracted under the root": (
            _effective(log_w) ** -0.5
        ),
        "it is multiplied by p(x); divide by it": plain * w.mean(axis=1),
        "this is its square, a variance": _error(log_w) ** 2,
        "divided by √N; the mean is over the S draws of a picture": _error(log_w) * math.sqrt(8.0),
        "the fraction stands upside down": 1 / (_error(log_w) * 40),
        "the largest log_w is added again: a factor that cancels need not come back": (
            log_w.max(axis=1) + _error(log_w)
        ),
    }
    if not np.allclose(given, (unbiased := _error(log_w) * np.sqrt(40 / 39))):
        judge.named_mistake(given, own)
        judge.named_slip(given, partial(_error, log_w), slips)
        judge.same("error", given, _error(log_w), sizes={"S": 40, "√S": 40**0.5})
    right = unbiased if np.allclose(given, unbiased) else _error(log_w)
    for levels in (-900.0, 900.0, np.array([0.0, -900.0, 900.0, -900.0, -5000.0])[:, None]):
        given = judge.call(function, "error", log_w + levels, shapes={"error": (5,)})
        if not np.isfinite(given).all():
            raise Wrong(
                "for log_w around −900 or 900 it is no number: a common factor of all weights of a "
                "row cancels, so take it out first"
            )
        judge.same("error", given, right)
    return f"{right[0]:.3f} where the weights are nearly equal, {right[-1]:.2f} where one outweighs"


def _log_normal(
    z: np.ndarray, mu: Any, logvar: Any, constant: float = math.log(2 * math.pi),
    width: float = 0.5, power: float = 1.0, add: Any = np.sum,
) -> Any:  # fmt: skip
    """Return log N(z; mu, σ²) (S,), added up over the dimensions, or what slips make of it."""
    square = (z - mu) ** 2 / np.exp(power * logvar)
    return add(-0.5 * (square + constant) - width * logvar * np.ones_like(z), axis=1)


# What goes wrong in log q.
# fmt: off
SLIPS_OF_Q = {
    "σ is exp(logvar) in log q. But logvar = log σ², so σ = exp(½ logvar)": {
        "width": 1.0, "power": 2.0
    },
    "the term −½ logvar of log q is missing, from the 1/σ before its exponential": {"width": 0.0},
    "log q has −logvar where −½ logvar, that is −log σ, is right": {"width": 1.0},
    "log q has +½ logvar where −½ logvar, that is −log σ, is right": {"width": -0.5},
    "in log q, (z − mu)² is divided by σ; divide it by σ² = exp(logvar)": {"power": 0.5},
    "in log q, z − mu is divided by σ² = exp(logvar); divide it by σ, then square": {"power": 2.0},
    "in log q, (z − mu)² is divided by nothing; divide it by σ² = exp(logvar)": {"power": 0.0},
}


# fmt: on
def _log_w(
    nll: Any, mu: Any, logvar: Any, z: Any, fit: float = -1.0, prior: float = 1.0, q: float = -1.0,
    constant: float = math.log(2 * math.pi), lacks: str = "", add: Any = np.sum, **of_q: Any,
) -> Any:  # fmt: skip
    """Return −nll + log p(z) − log q(z|x), (S,), or what slips make of it."""
    of_prior, of_q = (0.0 if lacks == "p" else constant), of_q | {"add": add}
    log_q = _log_normal(z, mu, logvar, 0.0 if lacks == "q" else constant, **of_q)
    return fit * nll + prior * _log_normal(z, 0.0, 0.0, of_prior, add=add) + q * log_q


FORMS = ({}, {"constant": 0.0})  # with −½ L log 2π in both densities, and without


def _example() -> tuple[np.ndarray, ...]:
    """Return nll (S,), mu, logvar (L,) and draws z (S, L)."""
    nll, mu, logvar, eps = judge.draw((6,), (3,), (3,), (6, 3))
    return nll + 90, 2 * mu, logvar, 2 * mu + np.exp(0.5 * logvar) * eps


@judge.check("importance weights", reference=_log_w)
def log_weights(function: Any) -> str:
    """Judge `function(nll, mu, logvar, z)` → log w (S,); nll (S,), mu, logvar (L,), z (S, L)."""
    nll, mu, logvar, z = _example()
    given = judge.call(function, "log_w", nll, mu, logvar, z, shapes={"log_w": (6,)})
    formula = partial(_log_w, nll, mu, logvar, z)
    slips = {
        "log p(x|z) is −nll: its sign is flipped": {"fit": 1.0},
        "p(x|z) is missing: this is p(z) / q(z|x)": {"fit": 0.0},
        "p(z) and q(z|x) are swapped: this is p(x|z) q / p": {"prior": -1.0, "q": 1.0},
        "log q(z|x) is missing: it must be subtracted": {"q": 0.0},
        "log q(z|x) is added; it stands below the line, so subtract it": {"q": 1.0},
        "log p(z), the prior, is missing": {"prior": 0.0},
        "log p(z) lacks its constant −½ L log 2π, and the other has it: both, or neither": {
            "lacks": "p"
        },
        "log q(z|x) lacks its constant −½ L log 2π, and the other has it: both, or neither": {
            "lacks": "q"
        },
        "averaged over the L dimensions: the logarithms of independent ones add up": {
            "add": np.mean
        },
        **SLIPS_OF_Q,
    }
    if not np.allclose(given, formula()):
        judge.named_mistake(
            given, {"these are the weights w; return their logarithms": np.exp(formula())}
        )
        judge.named_slip(given, formula, slips, FORMS)
    judge.same("log_w", given, formula(), sizes={"L": 3, "S": 6}, relatives={"nll": nll})
    return "log p(x|z) + log p(z) − log q(z|x) for each of the S draws"


def _log_w_of_both(
    nll: Any, mu: Any, logvar: Any, z: Any, fit: float = -1.0, prior: float = 1.0, q: float = -1.0,
    constant: float = math.log(2 * math.pi), shares: float = math.log(2), mix: Any = np.logaddexp,
    lacks: str = "", **of_q: Any,
) -> Any:  # fmt: skip
    """Return −nll + log p(z) − log(½ p(z) + ½ q(z|x)), (S,), or what slips make of it."""
    log_p = _log_normal(z, 0.0, 0.0, 0.0 if lacks == "p" else constant)
    log_q = _log_normal(z, mu, logvar, 0.0 if lacks == "q" else constant, **of_q)
    return fit * nll + prior * log_p + q * (mix(log_p, log_q) - shares)


@judge.check("weights for draws from both, without a word of help", reference=_log_w_of_both)
def weights_of_both(function: Any) -> str:
    """Judge `function(nll, mu, logvar, z)` → log w (S,), for draws from q and prior by halves."""
    nll, mu, logvar, z = _example()
    z[3:] = judge.draw((3, 3), seed=4)[0]  # some from the prior
    given = judge.call(function, "log_w", nll, mu, logvar, z, shapes={"log_w": (6,)})
    formula = partial(_log_w_of_both, nll, mu, logvar, z)
    slips = {
        "log p(x|z) is −nll: its sign is flipped": {"fit": 1.0},
        "the two halves: the density of the draws is ½ p + ½ q, not p + q": {"shares": 0.0},
        "the halves: log ½ has the wrong sign": {"shares": -math.log(2)},
        "the logarithms are averaged; the density of the draws is the mean of both densities": {
            "mix": lambda a, b: 0.5 * (a + b), "shares": 0.0
        },
        "the logarithms of p and q are added: that is their product, not their sum": {
            "mix": np.add, "shares": 0.0
        },
        "the density of the draws is q alone here; half of them are from the prior": {
            "mix": lambda a, b: b, "shares": 0.0
        },
        "the density of the draws is missing below the line": {"q": 0.0},
        "its density is multiplied; it stands below the line": {"q": 1.0},
        "log p(z), the prior, is missing above the line": {"prior": 0.0},
        "the larger of the two is no sum: log(e^a + e^b)": {"mix": np.maximum},
        "log p(z) lacks its constant −½ L log 2π, and log q has it: both, or neither": {
            "lacks": "p"
        },
        "log q(z|x) lacks its constant −½ L log 2π, and log p has it: both, or neither": {
            "lacks": "q"
        },
        **SLIPS_OF_Q,
    }  # fmt: skip
    if not np.allclose(given, formula()):
        per_number = np.logaddexp(
            -0.5 * z**2, -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar)
        ) - math.log(2)  # without the constants, which cancel
        log_p, log_q = _log_normal(z, 0.0, 0.0), _log_normal(z, mu, logvar)
        named = {
            "divided by the density of its own half, or by the larger one: where a z came from is "
            "forgotten, and each is a draw from the mean of both densities": (
                -nll + log_p - np.maximum(log_p, log_q)
            ),
            "this is the mean of the two weights; the densities are averaged, below the line": (
                np.logaddexp(-nll, -nll + log_p - log_q) - math.log(2)
            ),
            "mixed in each dimension by itself: a draw is from q in all L, or from the prior": (
                -nll + (-0.5 * z**2 - per_number).sum(axis=1)
            ),
            "these are the weights w; return their logarithms": np.exp(formula()),
        }
        judge.named_mistake(given, named)
        judge.named_slip(given, formula, slips, FORMS)
    judge.same("log_w", given, formula(), sizes={"L": 3, "S": 6}, relatives={"nll": nll})
    far = np.array([[60.0, 0.0, 0.0], [-200.0, 90.0, 3.0]])
    given = judge.call(function, "log_w", nll[:2], mu, logvar, far, shapes={"log_w": (2,)})
    if not np.isfinite(given).all():
        raise Wrong(
            "right for the first draws, but far from both centres e^… is 0, and log 0 is −inf: "
            "exercise 9.1 knows; or np.logaddexp"
        )
    judge.same("log_w", given, _log_w_of_both(nll[:2], mu, logvar, far))
    return "log p(x|z) + log p(z) − log(½ p(z) + ½ q(z|x)), and finite far from both"
