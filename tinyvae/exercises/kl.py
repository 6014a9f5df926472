"""Checks of notebook 5: the KL by Monte Carlo, in closed form, and its gradient."""

from functools import partial
from typing import Any

import numpy as np

from tinyvae import gradcheck
from tinyvae.core import latent
from tinyvae.exercises import judge
from tinyvae.exercises.judge import Wrong

WIDTH = "logvar = log σ², so σ = exp(½ logvar) and σ² = exp(logvar)"


def _log_ratio(z: np.ndarray, mu: float, sigma: float) -> np.ndarray:
    """Return log q(z) − log p(z) for q = N(mu, σ²) and p = N(0, 1)."""
    return -np.log(sigma) - 0.5 * ((z - mu) / sigma) ** 2 + 0.5 * z * z


def _estimate(mu: float, logvar: float, eps: Any) -> tuple:
    sigma = np.exp(0.5 * logvar)
    ratios = _log_ratio(mu + sigma * eps, mu, sigma)
    return ratios.mean(), ratios.std() / np.sqrt(len(eps))


@judge.check("the KL by Monte Carlo", reference=_estimate)
def monte_carlo(estimate: Any) -> str:
    """Judge `estimate(mu, logvar, eps)` → kl, standard_error, for numbers mu, logvar."""
    for S, mu, logvar in ((400, 1.5, -1.2), (37, -0.8, 0.9)):
        (eps,) = judge.draw((S,))
        shapes = {"kl": (), "standard_error": ()}
        kl, error = judge.call(estimate, "kl, standard_error", mu, logvar, eps, shapes=shapes)
        _judge_estimate(kl, error, mu, logvar, eps)
    kl, error = judge.call(estimate, "kl, standard_error", 1.5, -1.2, judge.draw((400,))[0])
    exact = latent.kl(np.array(1.5), np.array(-1.2))
    return (
        f"for mu = 1.5 and logvar = −1.2, 400 draws give {kl:.2f} ± {error:.2f}; the exact value, "
        f"which comes next, is {exact:.2f}"
    )


def _judge_estimate(kl, error, mu: float, logvar: float, eps: np.ndarray) -> None:
    S, sigma, too_wide = len(eps), np.exp(0.5 * logvar), np.exp(logvar)
    z = mu + sigma * eps
    ratios = _log_ratio(z, mu, sigma)
    if np.allclose((error, kl), (ratios.mean(), ratios.std() / np.sqrt(S)), rtol=0.02):
        raise Wrong("kl and standard_error come in the wrong order: return kl first")
    judge.named_mistake(kl, _wrong_estimates(mu, logvar, eps))
    for drawn, inserted in ((too_wide, sigma), (sigma, too_wide), (too_wide, too_wide)):
        wide = _log_ratio(mu + drawn * eps, mu, inserted).mean()
        judge.named_mistake(kl, {f"somewhere σ is exp(logvar): {WIDTH}": wide})
    if abs(kl - ratios.mean()) < 6 * ratios.std() / np.sqrt(S):
        judge.same(
            "kl, near but not the mean of log q − log p over these S draws,", kl, ratios.mean()
        )
    judge.same("kl", kl, ratios.mean(), sizes={"S": S})
    if np.isclose(error, ratios.std(ddof=1) / np.sqrt(S), rtol=1e-6):
        return
    single = "this is the standard deviation of one value; the mean of S of them wavers less: /√S"
    wrong_errors = {
        "the standard error is the square root of variance/S": ratios.var() / S,
        "variances fall with S, so the standard deviation with √S, not S": ratios.std() / S,
        "this is the standard error of the mean of z; log q(z) − log p(z) is what you average": (
            z.std() / np.sqrt(S)
        ),
        "the standard deviation is multiplied by √S; the mean of S values wavers less: /√S": (
            ratios.std() * np.sqrt(S)
        ),
        "1.96 standard errors are asked for nowhere: return one": 1.96 * ratios.std() / np.sqrt(S),
    }
    for value in (ratios.std(), ratios.std(ddof=1)):
        judge.named_mistake(error, {f"standard_error: {single}": value})
    judge.named_mistake(error, {f"standard_error: {k}": value for k, value in wrong_errors.items()})
    judge.same("standard_error", error, ratios.std() / np.sqrt(S), sizes={"S": S})


def _wrong_estimates(mu: float, logvar: float, eps: np.ndarray) -> dict[str, float]:
    """Return what known mistakes give under the words for them."""
    sigma = np.exp(0.5 * logvar)
    z = mu + sigma * eps
    right, half_log = _log_ratio(z, mu, sigma).mean(), 0.5 * np.log(2 * np.pi)
    rest, squares = -0.5 * logvar + 0.5 * (z * z).mean(), 0.5 * ((z - mu) ** 2).mean()
    from_prior = _log_ratio(eps, mu, sigma).mean()
    one_logarithm = "½ log 2π stands in one of the two logarithms only"
    return {
        "log p(z) is missing": right - 0.5 * (z * z).mean() - half_log,
        "log p(z) is missing, and so is ½ log 2π": right - 0.5 * (z * z).mean(),
        "log q(z) is missing": half_log + 0.5 * (z * z).mean(),
        "log q(z) is missing, and so is ½ log 2π": 0.5 * (z * z).mean(),
        "it is log p − log q, the wrong way round": -right,
        "this is the mean of q(z)/p(z); the mean of its logarithm is asked for": float(
            np.exp(_log_ratio(z, mu, sigma)).mean()
        ),
        "this is the logarithm of the mean of q(z)/p(z); take the logarithm first": float(
            np.log(np.exp(_log_ratio(z, mu, sigma)).mean())
        ),
        "log_q wants logvar, and got σ": float((_log_ratio(z, mu, np.exp(0.5 * sigma))).mean()),
        "z are draws from the prior; the mean is over draws from q, z = mu + σ eps": from_prior,
        "log q(z) lacks its term −½ logvar": right + 0.5 * logvar,
        "log q(z) has −logvar where −½ logvar is right": right - 0.5 * logvar,
        one_logarithm: right - half_log,
        f"{one_logarithm}, that of p(z)": right + half_log,
        "in log q(z), (z − mu)² is not divided by σ²": rest - squares,
        "in log q(z), (z − mu)² is divided by σ instead of σ²": rest - squares / sigma,
        "these are absolute values of log q − log p; some are negative, and count as such": float(
            np.abs(_log_ratio(z, mu, sigma)).mean()
        ),
        "each draw is weighted by q(z); they come from q already, so a plain mean does it": float(
            (np.exp(-0.5 * eps**2 - half_log) / sigma * _log_ratio(z, mu, sigma)).mean()
        ),
        "this is the exact KL; the exercise asks for the mean over these draws": float(
            latent.kl(np.array(mu), np.array(logvar))
        ),
    }


def _closed(mu: Any, logvar: Any) -> Any:
    return latent.kl(mu, logvar).sum(axis=1)


@judge.check("the KL in closed form", reference=_closed)
def kl(divergence: Any) -> str:
    """Judge `divergence(mu, logvar)` (B, L) → KL of each example (B,)."""
    for B, L in ((5, 3), (1, 1)):
        mu, logvar = judge.draw((B, L), (B, L))
        given = judge.call(divergence, "kl", mu, logvar, shapes={"kl": (B,)})
        if np.isnan(given).any():
            raise Wrong("kl is nan: is there a np.log(logvar)? logvar is a logarithm already")
        judge.named_mistake(given, _wrong_kls(mu, logvar))
        judge.same("kl", given, latent.kl(mu, logvar).sum(axis=1), sizes={"B": B, "L": L})
    away = _monte_carlo_distance(divergence)
    zero = judge.call(divergence, "kl", np.zeros((2, 3)), np.zeros((2, 3)))
    return (
        f"it is {abs(zero).max():.0f} where q is the prior, and for 8 other q a mean over 40,000 "
        f"draws is at most {away:.1f} standard errors away"
    )


def _wrong_kls(mu: np.ndarray, logvar: np.ndarray) -> dict[str, np.ndarray]:
    """Return what known mistakes give, (B,), under the words for them."""
    var, sigma = np.exp(logvar), np.exp(0.5 * logvar)
    wrong = {
        f"exp(2 · logvar) stands in for σ²: {WIDTH}": mu**2 + var**2 - 1 - logvar,
        f"this would be right if logvar were log σ: {WIDTH}": mu**2 + var**2 - 1 - 2 * logvar,
        f"σ stands where σ² should: {WIDTH}": mu**2 + sigma - 1 - logvar,
        "the −1 is missing": mu**2 + var - logvar,
        "the term −logvar is missing": mu**2 + var - 1,
        "−½ logvar stands where −logvar belongs, inside the brackets": mu**2
        + var
        - 1
        - 0.5 * logvar,
        "logvar has the wrong sign": mu**2 + var - 1 + logvar,
        "the 1 has the wrong sign": mu**2 + var + 1 - logvar,
        "the term σ² is missing": mu**2 - 1 - logvar,
        "the term mu² is missing": var - 1 - logvar,
        "mu must be squared": mu + var - 1 - logvar,
        "the ½ belongs to all four terms": mu**2 + 2 * (var - 1 - logvar),
        "q and p are swapped: this is KL(N(0, 1) ‖ q)": (mu**2 + 1) / var - 1 + logvar,
    }
    wrong = {words: 0.5 * value.sum(axis=1) for words, value in wrong.items()}
    rest = 0.5 * (mu**2 + var - logvar).sum(axis=1)
    if mu.shape[1] > 1:
        words = "the −1 stands outside the sum: it belongs to each of the L dimensions"
        wrong |= {words: rest - 0.5, f"{words}, with its ½": rest - 1}
    return wrong


def _monte_carlo_distance(divergence: Any, S: int = 40_000) -> float:
    """Return how many standard errors the KLs of 8 q are from their estimates, at most."""
    mu, logvar = judge.draw((8, 1), (8, 1), seed=5)
    eps = judge.draw((8, S), seed=6)[0]
    ratios = _log_ratio(mu + np.exp(0.5 * logvar) * eps, mu, np.exp(0.5 * logvar))  # (8, S)
    off = judge.call(divergence, "kl", mu, logvar) - ratios.mean(axis=1)
    return float(np.abs(off / (ratios.std(axis=1) / np.sqrt(S))).max())


def _batch_mean(mu: Any, logvar: Any) -> float:
    return float(latent.kl(mu, logvar).sum() / len(mu))


def _gradient(mu: Any, logvar: Any) -> tuple:
    return latent.kl_backward(1 / len(mu), mu, logvar)


@judge.check("the gradient of the KL", reference=_gradient)
def kl_backward(backward: Any) -> str:
    """Judge `backward(mu, logvar)` → dmu, dlogvar of the batch's mean KL."""
    for B, L in ((5, 3), (2, 4)):
        mu, logvar = judge.draw((B, L), (B, L))
        _judge_gradient(backward, mu, logvar, B, L)

    def gradient(mu: Any, logvar: Any) -> tuple:
        return tuple(judge.call(backward, "dmu, dlogvar", mu, logvar))

    report = gradcheck.check(
        _batch_mean, gradient, *judge.draw((5, 3), (5, 3)), tolerance=judge.TOLERANCE
    )
    return f"each of {report.size} slopes {judge.by_differences(report)}"


def _judge_gradient(backward: Any, mu: np.ndarray, logvar: np.ndarray, B: int, L: int) -> None:
    shapes = {"dmu": mu.shape, "dlogvar": logvar.shape}
    dmu, dlogvar = judge.call(backward, "dmu, dlogvar", mu, logvar, shapes=shapes)
    right = latent.kl_backward(1 / B, mu, logvar)
    if np.allclose(dmu, right[1]) and np.allclose(dlogvar, right[0]):
        raise Wrong("dmu and dlogvar come in the wrong order")
    if np.allclose(dmu * L, B * right[0]) and B != L:
        raise Wrong(f"dmu is divided by L = {L}; the mean is over the batch, B = {B}: len(mu)")
    judge.same("dmu", dmu, right[0], sizes={"B": B, "L": L}, relatives={"mu": mu})
    var, sigma = np.exp(logvar), np.exp(0.5 * logvar)
    along = "dlogvar is the slope along {}; one factor of the chain rule is missing: ∂{}/∂logvar"
    wrong = {
        f"in dlogvar, exp(2 · logvar) stands for σ²: {WIDTH}": 0.5 * (var**2 - 1),
        "this dlogvar would be right if logvar were log σ, but it is log σ²": var**2 - 1,
        "the slope of −logvar along logvar is −1": 0.5 * (var - logvar),
        f"in dlogvar, σ stands where σ² should: {WIDTH}": 0.5 * (sigma - 1),
        along.format("σ²", "σ²") + " = σ²": 0.5 * (1 - 1 / var),
        along.format("σ", "σ") + " = ½ σ": sigma - 1 / sigma,
        "in dlogvar the −1 is missing: −logvar has a slope too": 0.5 * var,
        "in dlogvar the 1 has the wrong sign": 0.5 * (var + 1),
        "in dlogvar σ² is missing: its slope along logvar is σ² itself": np.full_like(var, -0.5),
        "in dlogvar the ½ belongs to both terms, ½ (σ² − 1)": 0.5 * var - 1,
    }
    judge.named_mistake(dlogvar * B, wrong)
    judge.named_mistake(
        dlogvar, {f"{words}; and the 1/B is missing": v for words, v in wrong.items()}
    )
    judge.same("dlogvar", dlogvar, right[1], sizes={"B": B, "L": L}, relatives={"σ²": var})


def _wider(
    mu: Any, logvar: Any, tau: float, power: float = 2.0, of_mu: float = 2.0, constant: float = 2.0,
    once: bool = False, one: float = 1.0, half: float = 0.5, width: float = 1.0,
) -> Any:  # fmt: skip
    """Return KL(N(mu, σ²) ‖ N(0, τ²)) of each example (B,), or what slips make of it."""
    log_tau = constant * np.log(tau)
    terms = mu**2 / tau**of_mu + np.exp(logvar) / tau**power - one - width * logvar
    return half * ((terms + (0 if once else log_tau)).sum(axis=1) + (log_tau if once else 0))


@judge.check("the KL to a wider prior, without a word of help")
def wider(divergence: Any) -> str:
    """Judge `divergence(mu, logvar, tau)` → KL(N(mu, σ²) ‖ N(0, τ²)) of each example (B,)."""
    for B, L, tau in ((5, 3, 2.0), (2, 4, 0.5), (3, 2, 1.0)):
        mu, logvar = judge.draw((B, L), (B, L))
        given = judge.call(divergence, "kl", mu, logvar, tau, shapes={"kl": (B,)})
        swapped = (mu**2 + tau**2) / np.exp(logvar) - 1 + logvar - 2 * np.log(tau)
        q_p = "q and p are swapped: this is KL(N(0, τ²) ‖ q)"
        judge.named_mistake(given, {q_p: 0.5 * swapped.sum(axis=1)})
        slips = {
            "τ stands where τ² belongs, under the fraction": {"power": 1.0, "of_mu": 1.0},
            "the term log τ² is missing": {"constant": 0.0},
            "log τ stands where log τ² belongs": {"constant": 1.0},
            "log τ² has the wrong sign": {"constant": -2.0},
            "log τ² counts once for each of the L dimensions": {"once": True},
            "mu² is not divided by τ²": {"of_mu": 0.0},
            "σ² is not divided by τ²": {"power": 0.0},
            "tau has no effect: this is the KL to N(0, 1)": {
                "power": 0.0, "of_mu": 0.0, "constant": 0.0
            },
            "the −1 is missing": {"one": 0.0},
            "the ½ is missing": {"half": 1.0},
            "the term −logvar is missing": {"width": 0.0},
            "logvar has the wrong sign": {"width": -1.0},
        }  # fmt: skip
        formula = partial(_wider, mu, logvar, tau)
        if tau != 1:
            judge.named_slip(given, formula, slips)
        judge.same("kl", given, formula(), sizes={"B": B, "L": L})
    return "for τ = 2, 0.5 and 1, where it is the KL that you know"
