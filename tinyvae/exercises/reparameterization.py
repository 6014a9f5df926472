"""Checks of notebook 4: the reparameterization, its gradient, and the error that a gradient check
cannot see, planted in one of three samplers."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyvae import gradcheck
from tinyvae.core import latent
from tinyvae.exercises import judge
from tinyvae.exercises.judge import Wrong
from tinyvae.figures.picture import ACCENT, GREY, INK, Picture, page, panel, styled

LOGVAR_AS_LOG_SIGMA = (
    "σ is exp(logvar) here. But logvar = log σ², so σ = √(exp(logvar)) = exp(½ logvar)"
)


@judge.check("z from mu, logvar and eps", reference=latent.reparameterize)
def reparameterize(function: Any) -> str:
    """Judge `reparameterize(mu, logvar, eps)` → z (B, L)."""
    mu, logvar, eps = judge.draw((5, 3), (5, 3), (5, 3))
    z = judge.call(function, "z", mu, logvar, eps, shapes={"z": mu.shape})
    half, whole = np.exp(0.5 * logvar), np.exp(logvar)
    mistakes = {
        LOGVAR_AS_LOG_SIGMA: mu + whole * eps,
        "logvar itself stands where σ belongs": mu + logvar * eps,
        "½ logvar itself stands where σ belongs; exp is missing": mu + 0.5 * logvar * eps,
        "σ is exp(¼ logvar): either the root or the ½ undoes the square, not both": (
            mu + half**0.5 * eps
        ),
        "σ is exp(2 logvar); undo the square with ½, not with 2": mu + whole**2 * eps,
        "σ is exp(−½ logvar): the exponent's sign is wrong": mu + eps / half,
        "σ is ½ exp(logvar); the ½ belongs into the exponent": mu + 0.5 * whole * eps,
        "mu is missing": half * eps,
        "mu is subtracted": half * eps - mu,
        "the noise is missing: z = mu + σ eps": mu,
        "eps is missing: z = mu + σ has no randomness": mu + half,
        "σ is missing: z = mu + σ eps": mu + eps,
        "mu and eps are swapped: z = mu + σ eps": eps + half * mu,
        "σ eps is subtracted: z = mu + σ eps": mu - half * eps,
        "σ and eps are added; multiply them: z = mu + σ eps": mu + half + eps,
        "mu is stretched too: z = mu + σ eps": half * (mu + eps),
        "eps stands in the exponent; it is a factor: exp(½ logvar) · eps": (
            mu + np.exp(0.5 * logvar * eps)
        ),
        "σ is averaged; each entry has its own": mu + half.mean() * eps,
        "σ is averaged over the batch; each example has its own": mu + half.mean(axis=0) * eps,
    }
    with np.errstate(invalid="ignore"):
        mistakes["σ is the root of logvar; logvar = log σ², so undo the logarithm first"] = (
            mu + np.sqrt(logvar) * eps
        )
        mistakes["σ is the root of |logvar|; logvar = log σ², so undo the logarithm first"] = (
            mu + np.sqrt(np.abs(logvar)) * eps
        )
    judge.named_mistake(z, mistakes)
    again, other = (judge.call(function, "z", mu, logvar, noise) for noise in (eps, -eps))
    if not np.array_equal(z, again, equal_nan=True) or np.array_equal(z, other):
        raise Wrong("the noise is not that of eps: draw none, eps is an argument")
    judge.same("z", z, latent.reparameterize(mu, logvar, eps), relatives={"eps": eps, "mu": mu})
    return "15 values agree"


def _backward(dz: Any, logvar: Any, eps: Any) -> tuple:
    return dz, 0.5 * dz * eps * np.exp(0.5 * logvar)


@judge.check("the gradient of the reparameterization", reference=_backward)
def backward(function: Any) -> str:
    """Judge `reparameterize_backward(dz, logvar, eps)` → dmu, dlogvar."""
    mu, logvar, eps, dz = judge.draw((5, 3), (5, 3), (5, 3), (5, 3))
    shapes = {"dmu": mu.shape, "dlogvar": mu.shape}
    dmu, dlogvar = judge.call(function, "dmu, dlogvar", dz, logvar, eps, shapes=shapes)
    half, whole = np.exp(0.5 * logvar), np.exp(logvar)
    if np.allclose(dlogvar, dz) and not np.allclose(dmu, dz):
        raise Wrong("dmu and dlogvar are swapped: return dmu first")
    mistakes = {
        "dlogvar: " + LOGVAR_AS_LOG_SIGMA: dz * eps * whole,
        "dlogvar: the factor σ = exp(½ logvar) is missing": 0.5 * dz * eps,
        "dlogvar: the factors ½ and σ are missing": dz * eps,
        "dlogvar: exp(logvar) stands where exp(½ logvar) belongs": 0.5 * dz * eps * whole,
        "dlogvar: σ is exp(−½ logvar) here: the exponent's sign is wrong": 0.5 * dz * eps / half,
        "dlogvar: the factors dz and ½ are missing": eps * half,
        "dlogvar: the factor dz is missing": 0.5 * eps * half,
        "dlogvar: the factor eps is missing": 0.5 * dz * half,
        "dlogvar: the ½ that comes out of the exponent is missing, so it is 2 times the right "
        "value": dz * eps * half,
    }
    judge.named_mistake(dlogvar, mistakes)
    mistakes = {
        "dmu: the factor dz is missing": np.ones_like(dz),
        "dmu: ∂z/∂mu is 1, not σ": dz * half,
        "dmu: ∂z/∂mu is 1, not eps": dz * eps,
    }
    judge.named_mistake(dmu, mistakes)

    def given(dz: Any, mu: Any, logvar: Any, eps: Any) -> Any:
        return tuple(judge.call(function, "dmu, dlogvar", dz, logvar, eps))

    report = gradcheck.check(
        latent.reparameterize, given, mu, logvar, eps=eps, tolerance=judge.TOLERANCE
    )
    return judge.by_differences(report, dy="dz").replace("agrees", "dmu and dlogvar agree")


@judge.check("the standard deviation of a sampler")
def spread(function: Any) -> str:
    """Judge `spread(sample, logvar, n)` → the standard deviation of n draws, a number."""
    rng, scale = np.random.default_rng(3), 1.0

    def sample(mu: Any, logvar: Any) -> Any:
        if np.ndim(mu) == 0 or np.shape(mu) != np.shape(logvar):
            raise ValueError(
                f"sample takes arrays of one shape, and got {np.shape(mu)} and {np.shape(logvar)}"
            )
        mu = np.asarray(mu, dtype=float)
        return mu + scale * np.exp(0.5 * np.asarray(logvar)) * rng.standard_normal(mu.shape)

    for logvar in (-2.0, 0.0, 3.0):
        given = judge.call(function, "the result", sample, logvar, 50_000)
        right = np.exp(0.5 * logvar)
        judge.same_shape("the result", given, ())
        if np.isclose(given, right**2, rtol=0.05) and logvar:
            raise Wrong("this is the variance; the standard deviation is its square root (std)")
        if given == 0:
            raise Wrong("all draws are equal: let mu have n entries, so that n draws are made")
        if not np.isclose(given, right, rtol=0.05):
            raise Wrong(f"at logvar = {logvar:g} it says {given:.3f}; right is about {right:.3f}")
    scale = 2.0
    given = judge.call(function, "the result", sample, 0.0, 50_000)
    if not np.isclose(given, 2, rtol=0.05):
        raise Wrong(f"a sampler with twice the noise must give about 2, not {given:.3f}: measure z")
    return "measured on draws: 0.37, 1.00 and 4.48 at logvar = −2, 0 and 3"


@judge.check("the guilty sampler")
def guilty(answer: Any) -> str:
    """Judge which of `suspects` is wrong."""
    found = "measure its draws at logvar = 2: they have the standard deviation e^1 = 2.72, as right"
    return judge.prediction(
        answer,
        right="b",
        replies={
            "a": found,
            "b": "at logvar = 2 its draws have the standard deviation e^2 = 7.39, not e^1 = 2.72",
            "c": found,
        },
    )


@judge.check("a sampler with logsigma, without a word of help")
def log_sigma(function: Any) -> str:
    """Judge `function(dz, logsigma, eps)` → dmu, dlogsigma of z = mu + exp(logsigma) eps."""
    mu, log_sigma, eps, dz = judge.draw((5, 3), (5, 3), (5, 3), (5, 3))
    shapes = {"dmu": mu.shape, "dlogsigma": mu.shape}
    _, given = judge.call(function, "dmu, dlogsigma", dz, log_sigma, eps, shapes=shapes)
    mistakes = {
        "dlogsigma: a ½ too many: it belonged to logvar = 2 logsigma": (
            0.5 * dz * eps * np.exp(log_sigma)
        ),
        "dlogsigma: σ is exp(logsigma), not exp(½ logsigma)": dz * eps * np.exp(0.5 * log_sigma),
        "dlogsigma: the factor σ is missing": dz * eps,
        "dlogsigma: divided by σ; the slope of e^u is e^u": dz * eps / np.exp(log_sigma),
        "dlogsigma: logsigma itself stands where σ belongs": dz * eps * log_sigma,
        "dlogsigma: this is σ²; z has σ": dz * eps * np.exp(2 * log_sigma),
        "dlogsigma: the factor eps is missing": dz * np.exp(log_sigma),
        "dlogsigma: the factor dz is missing": eps * np.exp(log_sigma),
    }
    judge.named_mistake(given, mistakes)

    def value(mu: Any, logsigma: Any, eps: Any) -> Any:
        return mu + np.exp(logsigma) * eps

    def slopes(dz: Any, mu: Any, logsigma: Any, eps: Any) -> Any:
        return tuple(judge.call(function, "dmu, dlogsigma", dz, logsigma, eps))

    report = gradcheck.check(value, slopes, mu, log_sigma, eps=eps, tolerance=judge.TOLERANCE)
    return judge.by_differences(report, dy="dz").replace("agrees", "dmu and dlogsigma agree")


def _a(mu: Any, logvar: Any, eps: Any) -> Any:
    return mu + np.sqrt(np.exp(logvar)) * eps


def _a_backward(dz: Any, mu: Any, logvar: Any, eps: Any) -> Any:
    return dz, dz * 0.5 * np.sqrt(np.exp(logvar)) * eps


def _b(mu: Any, logvar: Any, eps: Any) -> Any:
    return mu + np.exp(logvar) * eps


def _b_backward(dz: Any, mu: Any, logvar: Any, eps: Any) -> Any:
    return dz, dz * np.exp(logvar) * eps


def _c(mu: Any, logvar: Any, eps: Any) -> Any:
    return mu + eps * np.exp(logvar / 2)


def _c_backward(dz: Any, mu: Any, logvar: Any, eps: Any) -> Any:
    z = _c(mu, logvar, eps)
    return dz, 0.5 * (z - mu) * dz


# Name → forward(mu, logvar, eps), backward(dz, mu, logvar, eps). One of the three is wrong.
suspects: dict[str, tuple[Callable, Callable]] = {
    "A": (_a, _a_backward),
    "B": (_b, _b_backward),
    "C": (_c, _c_backward),
}


@styled
def spreads(samplers: dict[str, Callable]) -> Picture:
    """The measured standard deviation of samplers (mu, logvar) → z over logvar."""
    subtitle = "Each point is measured on 20,000 draws. The line is exp(½ logvar)."
    fig = page(8.0, 4.2, "How wide do they draw?", subtitle)
    ax = panel(fig, 0.8, 0.95, 6.4, 2.65)
    at = np.linspace(-4, 2, 7)
    ax.plot(at, np.exp(0.5 * at), color=GREY, lw=1.2)
    marks = zip(samplers.items(), ("o", "s", "x"), (INK, ACCENT, INK), strict=True)
    for (name, sample), marker, color in marks:
        measured = [sample(np.zeros(20_000), np.full(20_000, v)).std() for v in at]
        ax.plot(at, measured, marker, color=color, ms=6, mfc="none", mew=1.4, label=name)
    ax.set(xlabel="logvar", ylabel="standard deviation of z", yscale="log")
    ax.set_yticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
    ax.legend(loc="upper left")
    return fig
