"""Checks of notebook 8: two remedies for a collapse, free bits and a target for the KL."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from tinyvae.exercises import judge
from tinyvae.exercises.judge import Wrong


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
    if np.allclose(dkl, 1) and not counts.all():
        raise Wrong(
            "dkl: it is 1 everywhere: the factor 1/B is missing, and in the dimensions that "
            "still have free bits it must be 0"
        )
    for words, mask in mistakes.items():
        if not np.array_equal(mask, counts) and np.allclose(dkl, mask / B):
            raise Wrong(f"dkl: {words}")
    if np.allclose(dkl, counts) and counts.any():
        raise Wrong(
            f"dkl: the factor 1/B is missing: the mean over B = {B} examples moves by 1/B when one "
            "of them moves by 1"
        )
    judge.same("dkl", dkl, counts / B, sizes={"B": B, "L": kl.shape[1]})


def _to_target(
    kl: np.ndarray, target: float, weight: float, over: Any = lambda kl: kl.sum(axis=1).mean(),
    shape: Any = abs, factor: bool = True,
) -> float:  # fmt: skip
    """Return weight · |k − target|, or what slips make of it."""
    return float((weight if factor else 1.0) * shape(over(kl) - target))


@judge.check("a target for the KL, without a word of help")
def kl_target(function: Any) -> str:
    """Judge `function(kl, target, weight)` → loss, dkl, for kl (B, L)."""
    for B, L, part, weight in ((5, 3, 0.9, 2.5), (4, 2, 1.2, 7.0), (5, 3, 0.0, 0.5)):
        kl = np.abs(judge.draw((B, L))[0])
        target = part * float(kl.sum(axis=1).mean())
        shapes = {"loss": (), "dkl": (B, L)}
        loss, dkl = judge.call(function, "loss, dkl", kl, target, weight, shapes=shapes)
        slips = {
            "loss: the batch is summed; k is its mean": {"over": np.sum},
            "loss: averaged over the L dimensions too; they are summed": {"over": np.mean},
            "loss: summed over the batch and averaged over L; it is the other way round": {
                "over": lambda kl: kl.sum(axis=0).mean()
            },
            "loss: the bars are missing: below the target it would fall without end": {
                "shape": lambda k: k
            },
            "loss: the sign is flipped": {"shape": lambda k: -k},
            "loss: it is squared; the absolute value is asked for": {"shape": np.square},
            "loss: below the target it is 0 here; it rises on both sides": {
                "shape": lambda k: max(k, 0)
            },
            "loss: weight is not used": {"factor": False},
            "loss: it is the root of |k − target|": {"shape": lambda k: abs(k) ** 0.5},
        }
        judge.named_slip(loss, partial(_to_target, kl, target, weight), slips)
        each = {
            "loss: |k − target| is taken for each picture; take the mean over the batch first": (
                weight * np.abs(kl.sum(axis=1) - target).mean()
            ),
            "loss: |k − target| is taken for each dimension; the target is for their sum": (
                weight * np.abs(kl.mean(axis=0) - target).sum()
            ),
            "loss: weight multiplies k inside the bars; it stands before them": (
                abs(weight * kl.sum(axis=1).mean() - target)
            ),
            "loss: this is max(k, target), as of free bits; |k − target| is asked for": (
                weight * max(kl.sum(axis=1).mean(), target)
            ),
        }
        right = _to_target(kl, target, weight)
        judge.named_mistake(loss, {k: v for k, v in each.items() if not np.isclose(v, right)})
        judge.same("loss", loss, right, sizes={"B": B, "L": L})
        distance = kl.sum(axis=1).mean() - target
        sign = np.sign(distance)
        slips = {
            "dkl: the factor 1/B is missing: k is a mean over the batch": {"under": 1},
            "dkl: divided by L too: k is a sum over the dimensions": {"under": B * L},
            "dkl: divided by L; the mean is over the batch, B": {"under": L},
            "dkl: the slope of |k − target| is −1 below the target": {"sign": 1.0},
            "dkl: the sign is flipped": {"sign": -sign},
            "dkl: this is the slope of a square; that of |u| is 1 or −1": {"sign": 2 * distance},
            "dkl: |u| has the slope 1 or −1, not u itself": {"sign": distance},
            "dkl: weight is missing": {"weight": 1.0},
            "dkl: below the target it is 0 here; the slope there is −weight/B": {
                "sign": max(sign, 0)
            },
        }

        def slope(sign: float = sign, weight: float = weight, under: int = B, of: Any = kl) -> Any:
            return np.full_like(of, sign * weight / under)

        judge.named_slip(dkl, slope, slips)
        each = {
            "dkl: the sign is that of each entry; one k decides for all of them": kl,
            "dkl: the sign is that of each picture; one k decides for all of them": (
                kl.sum(axis=1, keepdims=True) + 0 * kl
            ),
        }
        signs = {words: np.sign(values - target) for words, values in each.items()}
        mixed = {k: weight / B * v for k, v in signs.items() if (v != sign).any()}
        judge.named_mistake(dkl, mixed)
        judge.same("dkl", dkl, slope(), sizes={"B": B, "L": L})
    return "above the target the slope is weight/B, below it −weight/B"
