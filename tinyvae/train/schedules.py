"""Change the learning rate and the factor of the KL over a training."""

import math
import sys
from collections.abc import Callable

LR_SCHEDULES: dict[str, Callable[[float], float]] = {  # elapsed part of the training → factor
    "constant": lambda elapsed: 1.0,
    "step": lambda elapsed: 1.0 if elapsed < 2 / 3 else 0.2,
    "cosine": lambda elapsed: 0.5 * (1 + math.cos(math.pi * elapsed)),
}


def betas(
    beta: float | None, warmup: float, period: float, epoch: int, steps: int
) -> list[float] | None:
    """Return the factor of the KL in each step of an epoch, in a period that starts with a rise
    over `warmup` epochs; None where there is none."""
    if beta is None or not warmup:
        return None
    elapsed = [(epoch - 1 + step / steps) % period for step in range(steps)]
    return [beta * min(1.0, part / warmup) for part in elapsed]


def note_short(warmup: float, period: float) -> None:
    """Print a note where a period of so many epochs ends before its warm-up does."""
    if warmup > period:
        reached = f"the factor of the KL rises to {period / warmup:.2f} of beta at most"
        note = f"note: a warm-up of {warmup:g} epochs in {period:g}: {reached}"
        print(note, file=sys.stderr)
