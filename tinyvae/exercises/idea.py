"""Checks of notebook 3: a normal log density, the Bernoulli loss, and the ELBO of a small model
whose log p(x) is known exactly. Its pictures stand here too."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from tinyvae.core.arrays import softplus
from tinyvae.exercises import judge
from tinyvae.exercises.judge import Wrong
from tinyvae.figures.picture import ACCENT, COLORS, GREY, INK, Picture, page, panel, styled


def log_density(x: Any, mu: Any, sigma: Any) -> Any:
    """Return log N(x; mu, σ²) of each number."""
    return -0.5 * np.log(2 * np.pi * sigma**2) - 0.5 * (x - mu) ** 2 / sigma**2


def log_joint(x: float, z: Any) -> Any:
    """Return log p(x|z) + log p(z) of the small model: z ~ N(0, 1), x ~ N(2z, 1)."""
    return log_density(x, 2 * z, 1.0) + log_density(z, 0.0, 1.0)


@judge.check("the logarithm of the normal density", reference=log_density)
def normal(function: Any) -> str:
    """Judge `log_density(x, mu, sigma)`."""
    x, mu, sigma = judge.draw((5, 3), (5, 3), (5, 3))
    sigma = 0.3 + np.abs(sigma)
    given = judge.call(function, "the result", x, mu, sigma)
    if given.shape != x.shape:
        raise Wrong(f"the result has the shape {given.shape}; one number for each x is {x.shape}")
    log_sigma, square = np.log(sigma), (x - mu) ** 2
    half_log_2pi = 0.5 * math.log(2 * math.pi)
    mistakes = {
        "this is the density itself; its logarithm is asked for": np.exp(log_density(x, mu, sigma)),
        "½ is missing before the square": -half_log_2pi - log_sigma - square / sigma**2,
        "½ is missing before log 2πσ²": -2 * half_log_2pi - 2 * log_sigma - 0.5 * square / sigma**2,
        "the term −½ log 2πσ² is missing": -0.5 * square / sigma**2,
        "½ is missing before log 2πσ², and σ stands where σ² belongs": -2 * half_log_2pi
        - log_sigma
        - 0.5 * square / sigma**2,
        "2π is missing: −½ log 2πσ², not −½ log σ²": -log_sigma - 0.5 * square / sigma**2,
        "log 2πσ stands where log 2πσ² belongs": -half_log_2pi
        - 0.5 * log_sigma
        - 0.5 * square / sigma**2,
        "the square is divided by σ, not by σ²": -half_log_2pi - log_sigma - 0.5 * square / sigma,
        "the square is divided by σ⁴: sigma is σ, so σ² is sigma**2": -half_log_2pi
        - log_sigma
        - 0.5 * square / sigma**4,
        "the square is multiplied by σ²: / 2 * sigma**2 needs brackets, / (2 * sigma**2)": (
            -half_log_2pi - log_sigma - 0.5 * square * sigma**2
        ),
        "σ stands where σ² belongs, in both terms: sigma is σ, so σ² is sigma**2": -half_log_2pi
        - 0.5 * log_sigma
        - 0.5 * square / sigma,
        "sigma is σ itself, not log σ²": -half_log_2pi - 0.5 * sigma - 0.5 * square / np.exp(sigma),
        "the sign before ½ log 2πσ² is wrong: it is minus": half_log_2pi
        + log_sigma
        - 0.5 * square / sigma**2,
        "np.log10 stands where np.log, the natural logarithm, belongs": -(half_log_2pi + log_sigma)
        / math.log(10)
        - 0.5 * square / sigma**2,
        "the sign before the square is wrong: it is minus": -half_log_2pi
        - log_sigma
        + 0.5 * square / sigma**2,
        "mu and sigma are swapped": log_density(x, sigma, mu),
        "log is the natural logarithm, np.log, not log10": log_density(x, mu, sigma) / math.log(10),
        "the difference is not squared": -half_log_2pi - log_sigma - 0.5 * (x - mu) / sigma**2,
        "the square is not divided by σ²": -half_log_2pi - log_sigma - 0.5 * square,
    }
    judge.named_mistake(given, mistakes)
    judge.same("the result", given, log_density(x, mu, sigma))
    return "15 values agree"


def _bernoulli(y: Any, x: Any) -> Any:
    return (softplus(y) - x * y).sum(axis=1)


@judge.check("the Bernoulli loss on logits", reference=_bernoulli)
def bernoulli(function: Any) -> str:
    """Judge `bernoulli_nll(y, x)` → (B,), also where the logits y are large."""
    y, x = judge.draw((5, 4), (5, 4))
    x = (x > 0).astype(float)
    terms = softplus(y) - x * y
    given = judge.call(function, "nll", y, x)
    mistakes = {
        "this is log p; the loss is −log p (the sign is flipped)": -terms.sum(axis=1),
        "nll is the mean over the pixels; the logarithms add up: sum": terms.mean(axis=1),
        "softplus(−y) stands where softplus(y) belongs": (softplus(-y) - x * y).sum(axis=1),
        "the term − x y is missing": softplus(y).sum(axis=1),
        "x y is added; it must be subtracted": (softplus(y) + x * y).sum(axis=1),
        "max(y, 0) is missing in softplus(y)": (softplus(-np.abs(y)) - x * y).sum(axis=1),
        "log(1 + e^(−|y|)) is missing: max(y, 0) alone is not softplus(y)": (
            np.maximum(y, 0) - x * y
        ).sum(axis=1),
        "x is subtracted; the term is x y, the pixel times the logit": (softplus(y) - x).sum(
            axis=1
        ),
        "x and 1 − x are swapped": (softplus(y) - (1 - x) * y).sum(axis=1),
    }
    judge.named_mistake(given, mistakes)
    judge.same("nll", given, terms.sum(axis=1), sizes={"B": 5, "D": 4})
    large = np.array([[-1000.0, -50.0], [1000.0, 50.0]])
    for x in (np.zeros((2, 2)), np.ones((2, 2))):
        given = judge.call(function, "nll", large, x)
        right = (softplus(large) - x * large).sum(axis=1)
        if not np.isfinite(given).all():
            y = "−1000 (e^1000 overflows, p is rounded to 0, and log 0 is −inf)"
            if np.isfinite(given[0]):
                y = "1000 (e^1000 is too large for a float)"
            raise Wrong(f"right for small y, but {given[~np.isfinite(given)][0]} at y = {y}")
        if not np.allclose(given, right, rtol=1e-6, atol=1e-9):
            raise Wrong(
                f"right for small y, but {given[0]:.6g}, {given[1]:.6g} where {right[0]:.6g}, "
                f"{right[1]:.6g} is right, at y = −1000, −50 and 1000, 50"
            )
    return "right for 20 random logits, and finite from y = −1000 to 1000"


def _laplace(
    x: Any, x_hat: Any, scale: float, add: Any = np.sum, sign: float = 1.0, two: float = 2.0,
    constant: float = 1.0, once: bool = False, away: Any = np.abs, root: float = 1.0,
    each: bool = True,
) -> Any:  # fmt: skip
    """Return the nll (B,) of a Laplace density, Σ |x − x_hat| / b + log 2b, or what slips make."""
    term = constant * math.log(two * scale)
    distance = away(x - x_hat) if each else away((x - x_hat).sum(axis=1, keepdims=True)) / 4
    distance = np.broadcast_to(distance, x.shape) * (1 if each else 4 / x.shape[1])
    return sign * (add(root * distance / scale + (0 if once else term), axis=1) + once * term)


@judge.check("the Laplace loss, without a word of help")
def laplace(function: Any) -> str:
    """Judge `laplace_nll(x, x_hat, scale)` → (B,), for x, x_hat (B, D) and a number."""
    for B, D, scale in ((5, 4, 0.7), (3, 6, 2.0)):
        x, x_hat = judge.draw((B, D), (B, D))
        given = judge.call(function, "nll", x, x_hat, scale)
        slips = {
            "nll is the mean over the pixels; the logarithms add up: sum": {"add": np.mean},
            "this is log p; the loss is −log p": {"sign": -1.0},
            "the constant log 2b is missing: without it a wide density costs nothing": {
                "constant": 0.0
            },
            "the constant is log b; a Laplace density has 1/(2b) before it": {"two": 1.0},
            "the constant is log(b/2); a Laplace density has 1/(2b) before it": {"two": 0.5},
            "log 2b has the wrong sign: −log of 1/(2b) is + log 2b": {"constant": -1.0},
            "the constant log 2b counts once for each pixel, D times": {"once": True},
            "the difference is squared; here its absolute value counts": {"away": np.square},
            "the absolute value is missing: differences of both signs cancel": {
                "away": lambda u: u
            },
            "the absolute value comes too late: take it of each pixel's difference": {
                "each": False
            },
            "√2 belongs to a density with the standard deviation b; this one falls as e^(−|…|/b)": {
                "root": math.sqrt(2)
            },
            "½ belongs to the normal density; here |x − x_hat| / b stands alone": {"root": 0.5},
        }
        formula = partial(_laplace, x, x_hat, float(scale))
        normal_density = -log_density(x, x_hat, float(scale)).sum(axis=1)
        judge.named_mistake(given, {"this is the normal density's": normal_density})
        judge.named_slip(given, formula, slips)
        judge.same("nll", given, formula(), sizes={"D": D})
    return "the sum over pixels of |x − x_hat| / b + log 2b"


def _elbo(x: float, mu: float, sigma: float, eps: Any) -> Any:
    z = mu + sigma * eps
    return (log_joint(x, z) - log_density(z, mu, sigma)).mean()


@judge.check("the ELBO from draws", reference=_elbo)
def elbo(function: Any) -> str:
    """Judge `elbo(x, mu, sigma, eps)` → the mean over the draws eps (S,), a number."""
    (eps,) = judge.draw((1000,))
    x, mu, sigma = 3.0, 0.7, 0.6
    z = mu + sigma * eps
    log_q = log_density(z, mu, sigma)
    right = (log_joint(x, z) - log_q).mean()
    given = judge.call(function, "the ELBO", x, mu, sigma, eps)
    if given.shape == (1000,):
        raise Wrong("the result has one number for each draw; take their mean")
    judge.same_shape("the ELBO", given, ())
    mistakes = {
        "log q(z) is added; it must be subtracted": (log_joint(x, z) + log_q).mean(),
        "log q(z) is missing": log_joint(x, z).mean(),
        "log p(z) is missing": (log_density(x, 2 * z, 1.0) - log_q).mean(),
        "the draws are summed; take their mean": right * len(eps),
        "this is −ELBO, a loss (the sign is flipped)": -right,
        "z is stretched by sigma², not by sigma": (
            log_joint(x, mu + sigma**2 * eps) - log_density(mu + sigma**2 * eps, mu, sigma)
        ).mean(),
        "log_density wants sigma, not its square": (
            log_joint(x, z) - log_density(z, mu, sigma**2)
        ).mean(),
        "the mean of the logarithms is asked for, not the logarithm of the mean": np.log(
            np.exp(log_joint(x, z) - log_q).mean()
        ),
        "z is sigma · eps, without mu": (
            log_joint(x, sigma * eps) - log_density(sigma * eps, mu, sigma)
        ).mean(),
        "z is eps, a draw from the prior, not from q": (
            log_joint(x, eps) - log_density(eps, mu, sigma)
        ).mean(),
        "log p(z) is that of N(mu, σ²); the prior is N(0, 1)": log_density(x, 2 * z, 1.0).mean(),
        "z is sigma + mu · eps: stretch by sigma, move by mu": (
            log_joint(x, sigma + mu * eps) - log_density(sigma + mu * eps, mu, sigma)
        ).mean(),
        "log_density(mu, z, sigma) and log_joint(z, x) have their arguments in another order": (
            log_joint(z, x) - log_q
        ).mean(),
        "this is one draw, the first; take the mean over all": (log_joint(x, z) - log_q)[0],
        "this is one draw, the last; take the mean over all": (log_joint(x, z) - log_q)[-1],
        "log q is taken at x; it is the density of z": (
            log_joint(x, z) - log_density(x, mu, sigma)
        ).mean(),
        "log q is taken at eps; it is the density of z": (
            log_joint(x, z) - log_density(eps, mu, sigma)
        ).mean(),
        "log q is that of N(0, 1); it is N(mu, sigma²)": (
            log_joint(x, z) - log_density(z, 0.0, 1.0)
        ).mean(),
    }
    judge.named_mistake(given, mistakes)
    entropy = 0.5 * math.log(2 * math.pi * math.e * sigma**2)  # the mean of −log q, exactly
    if np.isclose(given, log_joint(x, z).mean() + entropy):
        return (
            "with the mean of −log q by its formula, which is right too, "
            f"{given:.3f} at mu = 0.7, sigma = 0.6; the exact log p(3) is {log_evidence(x):.3f}"
        )
    kl = 0.5 * (mu**2 + sigma**2 - 1) - math.log(sigma)
    found = f"{given:.3f} at mu = 0.7, sigma = 0.6; the exact log p(3) is {log_evidence(x):.3f}"
    if np.isclose(given, log_density(x, 2 * z, 1.0).mean() - kl):
        return f"with the KL by its formula, which is right too, {found}"
    fit = log_density(x, 2 * z, 1.0).mean()
    more = {
        "the KL is added; it is subtracted": fit + kl,
        "the KL has no ½": fit - 2 * kl,
        "this is the median; a mean is asked for": np.median(log_joint(x, z) - log_q),
    }
    judge.named_mistake(given, more)
    exact = log_density(x, 2 * mu, 1.0) - 0.5 * 4 * sigma**2 - kl
    if not np.isclose(given, right) and abs(given - exact) < 0.04:
        raise Wrong(f"{given:.3f} is near the ELBO, but not from the draws eps: z = mu + sigma eps")
    judge.same("the ELBO", given, right)
    return found


@styled
def gap(x: float, answers: Sequence[tuple[float, float]]) -> Picture:
    """Bars of log p(x) of the small model as the ELBO and the gap below it, for q = N(mu, σ²)."""
    subtitle = (
        f"The small model at x = {x:g}, for several q(z|x). Blue: the ELBO, from 0 to the left. "
        "Red: the gap, from there back to log p(x), the line."
    )
    fig = page(8.0, 1.5 + 0.42 * len(answers), "log p(x) = ELBO + gap", subtitle)
    ax = panel(fig, 1.6, 0.9, 5.8, 0.42 * len(answers))
    evidence = log_evidence(x)
    for row, (mu, sigma) in enumerate(answers):
        kl = 0.5 * (mu**2 + sigma**2 - 1) - math.log(sigma)
        bound = log_density(x, 2 * mu, 1.0) - 0.5 * 4 * sigma**2 - kl
        ax.barh(row - 0.18, bound, color="#7fb2d0", height=0.36)
        ax.barh(row + 0.18, evidence - bound, left=bound, color=ACCENT, alpha=0.6, height=0.36)
        parts = f"ELBO {bound:.2f}, gap {evidence - bound:.2f}".replace("-", "−")
        ax.text(0.15, row, parts, color=INK, size=8, va="center")
    ax.axvline(evidence, color=ACCENT, lw=1.6)
    names = [f"mu {mu:g}, sigma {sigma:.2f}" for mu, sigma in answers]
    ax.set(yticks=range(len(answers)), yticklabels=names, xlabel="nats")
    ax.set_xticks([tick for tick in ax.get_xticks() if tick <= 0])
    ax.set_xlim(None, 3)
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    return fig


def log_evidence(x: float) -> float:
    """Return the exact log p(x) of the small model: x = 2z + noise has the variance 2² + 1."""
    return float(log_density(x, 0.0, math.sqrt(5)))


@styled
def bell(draws: np.ndarray, mu: float, sigma: float) -> Picture:
    """Draws of a normal distribution as a histogram, and its density as a line."""
    fig = page(8.0, 3.6, "Draws, and the density they follow", f"{len(draws):,} draws.")
    ax = panel(fig, 0.6, 0.95, 7.0, 2.1)
    ax.hist(draws, bins=80, density=True, color="#cfe3ee")
    at = np.linspace(draws.min(), draws.max(), 300)
    ax.plot(at, np.exp(log_density(at, mu, sigma)), color=INK, lw=1.6)
    ax.set(xlabel="x", yticks=[0, 0.2, 0.4, 0.6, 0.8])
    return fig


@styled
def bound(x: float) -> Picture:
    """The ELBO of the small model over mu, for three sigmas, under the exact log p(x)."""
    subtitle = f"The small model at x = {x:g}. Each curve is the ELBO for one sigma of q."
    fig = page(8.0, 4.4, "The ELBO stays below log p(x), and can touch it", subtitle)
    ax = panel(fig, 0.8, 0.95, 6.6, 2.85)
    mu = np.linspace(-0.4, 2.8, 200)
    ax.axhline(log_evidence(x), color=ACCENT, lw=1.6)
    ax.text(-0.4, log_evidence(x) + 0.12, "log p(x)", color=ACCENT, size=9)
    for sigma, color in ((1.5, COLORS[3]), (0.1, COLORS[8]), (0.2**0.5, INK)):
        fit = log_density(x, 2 * mu, 1.0) - 0.5 * 4 * sigma**2  # E_q[(x − 2z)²]
        kl = 0.5 * (mu**2 + sigma**2 - 1) - math.log(sigma)
        ax.plot(mu, fit - kl, color=color, lw=1.6)
        at = int(np.argmax(fit - kl))
        label = f"sigma {sigma:.2f}"
        ax.text(mu[at], (fit - kl)[at] - 0.5, label, color=color, size=9, ha="center")
        ax.plot(mu[at], (fit - kl)[at], "o", color=color, ms=4)
    ax.set(xlabel="mu of q(z|x)", ylabel="nats", ylim=(-12, -1.5), xlim=(-0.4, 2.8))
    ax.yaxis.label.set_color(GREY)
    return fig
