"""When a training stops, and which of its epochs was the best, by rows that are held out."""

import math
import sys
from typing import Any, NamedTuple

import numpy as np


class Waited(NamedTuple):
    """What the epochs so far say: the best one (0 where none counts), how often the patience ran
    out, and whether it did in the last of them."""

    best_epoch: int
    times: int
    just_now: bool


def waited(elbos: list[float], warm: list[bool], patience: int) -> Waited:
    """Return where a training stands, from each epoch's ELBO on rows that are held out.

    Epochs that are not `warm` (the factor of the KL still rises) don't count: their ELBO is that of
    another objective. The patience runs out in the `patience`-th epoch in a row that is no better
    than the best, and begins anew. As all follows from the history, a resumed training goes on as
    an uninterrupted one.
    """
    best, since, times, just_now, highest = 0, 0, 0, False, -math.inf
    for epoch, (elbo, counts) in enumerate(zip(elbos, warm, strict=True), 1):
        just_now = False
        if not counts:
            since = epoch
        elif elbo > highest:
            best = since = epoch
            highest = elbo
        elif epoch - since >= patience:
            since, times, just_now = epoch, times + 1, True
    return Waited(best, times, just_now)


def is_warm(epoch: int, warmup: float, period: float) -> bool:
    """Return whether the factor of the KL is beta in all of an epoch (see `schedules.betas`)."""
    return (epoch - 1) % period >= warmup


def note_best(best_epoch: Any, elbos: list[float]) -> None:
    """Say on stderr which epoch's weights a model is left with."""
    worse = elbos[best_epoch - 1] - elbos[-1]
    last = f"; the last is {worse:.3g} nats worse" if best_epoch < len(elbos) else ", the last"
    print(f"note: best at epoch {best_epoch}{last}", file=sys.stderr)


def note_floor(variance: np.ndarray, floor: float, names: Any = None) -> None:
    """Say on stderr which features have their σ² at its floor."""
    columns = np.flatnonzero(variance <= floor * (1 + 1e-6)).tolist()
    if columns:
        some = ", ".join(str(names[d] if names else d) for d in columns[:10])
        some += ", …" * (len(columns) > 10) + " (counted from 0)" * (not names)
        problem = f"σ² is at its floor, {floor:g}, in column {some}"
        remedy = "fine where a column follows from others; else standardise the data"
        print(f"note: {problem}: {remedy}", file=sys.stderr)
