"""Checks and pictures of notebook 8: active units, the effective beta of a loss, free bits."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinyvae.exercises import judge
from tinyvae.exercises.judge import NotYet, Wrong


@judge.check("which dimensions are active")
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


@judge.check("free bits")
def free_bits(function: Any) -> str:
    """Judge `function(kl, free)` → loss, dkl."""
    (kl,) = judge.draw((5, 3))
    kl = np.abs(kl)
    kl *= np.array([0.3, 0.8, 1.6]) / kl.mean(axis=0)  # (B, L), some examples beyond their mean
    frees = (0.5, 0.0, 1.0, 4.0)
    shapes = {"loss": (), "dkl": kl.shape}
    given = [judge.call(function, "loss, dkl", kl, free, shapes=shapes) for free in frees]
    _judge_loss(np.array([float(loss) for loss, _ in given]), kl, frees)
    for free, (_, dkl) in zip(frees, given, strict=True):
        _judge_dkl(dkl, kl, free)
    return "the loss, and a gradient that is 0 while a dimension has free bits left"


# What is wrong, and the loss that it gives, from kl (B, L), its mean over the batch (L,), and free.
LOSSES = {
    "the maximum is taken for each picture; take the mean over the batch first": (
        lambda kl, mean, free: np.maximum(kl, free).sum(axis=1).mean()
    ),
    "this is the minimum: it would count no KL above free at all": (
        lambda kl, mean, free: np.minimum(mean, free).sum()
    ),
    "all dimensions share one allowance; each has its own: take the maximum, then the sum": (
        lambda kl, mean, free: max(mean.sum(), free)
    ),
    "all dimensions share one allowance of L · free; each has its own": (
        lambda kl, mean, free: max(mean.sum(), free * len(mean))
    ),
    "this is max(KL − free, 0), lower by L · free. Its gradient is the same, but the loss here is "
    "max(KL, free)": lambda kl, mean, free: np.maximum(mean - free, 0).sum(),
    "the batch is summed: take the mean over B": (
        lambda kl, mean, free: np.maximum(kl.sum(axis=0), free).sum()
    ),
    "the batch is summed: take the mean over B of each dimension first": (
        lambda kl, mean, free: np.maximum(kl, free).sum()
    ),
    "averaged over L: the dimensions are summed": (
        lambda kl, mean, free: np.maximum(mean, free).mean()
    ),
    "a dimension below free costs nothing here; it costs free: take the larger of the two": (
        lambda kl, mean, free: np.where(mean > free, mean, 0).sum()
    ),
    "the mean is taken over the L dimensions; take it over the batch, axis=0": (
        lambda kl, mean, free: np.maximum(kl.mean(axis=1), free).sum()
    ),
    "this is the plain KL: nothing is free": lambda kl, mean, free: mean.sum(),
}


def _judge_loss(given: np.ndarray, kl: np.ndarray, frees: Sequence[float]) -> None:
    mean = kl.mean(axis=0)  # (L,)
    for words, formula in LOSSES.items():
        if np.allclose(given, [formula(kl, mean, free) for free in frees]):
            raise Wrong(f"loss: {words}")
    for loss, free in zip(given, frees, strict=True):
        right = np.maximum(mean, free).sum()
        judge.same("loss", loss, right, sizes={"B": len(kl), "L": len(mean)})


def _judge_dkl(dkl: np.ndarray, kl: np.ndarray, free: float) -> None:
    B, mean = len(kl), kl.mean(axis=0)
    counts = np.broadcast_to(mean > free, kl.shape)
    mistakes = {
        "it must be 0 in the dimensions that still have free bits": np.ones_like(kl),
        "it is 0 for single pictures; what counts is the mean of a dimension over the batch": (
            kl > free
        ),
        "it is 0 in the wrong dimensions: those above free are paid for": ~counts,
    }
    for words, mask in mistakes.items():
        if not np.array_equal(mask, counts) and np.allclose(dkl, mask / B):
            raise Wrong(f"dkl: {words}")
    if np.allclose(dkl, counts) and counts.any():
        raise Wrong(
            f"dkl: the factor 1/B is missing: the mean over B = {B} examples moves by 1/B when one "
            "of them moves by 1"
        )
    judge.same("dkl", dkl, counts / B, sizes={"B": B, "L": kl.shape[1]})


def planes(
    models: Mapping[str, Any], x: np.ndarray, labels: np.ndarray, image_shape: tuple[int, ...]
) -> Any:
    """Draw the latent planes of several models of L = 2, with one draw of z for each of x (N, D).

    `models` goes from a name to a model; the columns state what z tells, the KL.
    """
    from tinyvae import evaluate, figures
    from tinyvae.core.latent import reparameterize

    eps = np.random.default_rng(0).standard_normal((len(x), 2))
    grid = figures.plane_grid(figures.NEAR_PRIOR, 14)
    columns = []
    for name, model in models.items():
        z = reparameterize(*model.encode(x), eps)  # (N, 2)
        remark = f"a KL of {evaluate.elbo(model, x).kl:.1f} nats"
        columns.append((name, remark, z, model.decode(grid), None))
    title = "What beta does to the latent plane"
    subtitle = "Above: draws of z for the test images, coloured by digit, on the prior's circles."
    return figures.three_panels(columns, labels, image_shape, title, subtitle)


def kl_by_epoch(histories: Mapping[str, Sequence[dict]]) -> Any:
    """Draw the KL of several trainings by epoch, each under its name, as far as 4 nats."""
    from tinyvae.figures.picture import COLORS, MARGIN, page, panel, styled

    @styled
    def draw() -> Any:
        fig = page(8.4, 3.7, "The KL in three trainings", "Nats per picture, by epoch.")
        ax = panel(fig, MARGIN + 0.35, 0.95, 5.6, 2.1)
        at = -1.0
        by_end = sorted(histories.items(), key=lambda item: item[1][-1]["kl"])
        for color, (name, history) in zip(COLORS, by_end, strict=False):
            epochs, kl = zip(*((row["epoch"], row["kl"]) for row in history), strict=True)
            ax.plot(epochs, kl, color=color, lw=1.8)
            at = max(kl[-1], at + 0.32)  # names that would overlap move up
            ax.text(epochs[-1] + 0.25, at, name, color=color, va="center", size=9)
        ax.set(xlabel="epoch", ylim=(-0.1, 4))
        ax.grid(axis="y", color="#eceef1", lw=0.8)
        return fig

    return draw()
