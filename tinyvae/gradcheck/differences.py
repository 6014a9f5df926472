"""Central differences: the slope of a number along each entry of an array, without calculus.

f'(a) ≈ (f(a + h) − f(a − h)) / 2h is off by h² f'''(a) / 6. The same with h / 2 is off by a quarter
of that, so a combination of the two cancels it (Richardson 1911): what remains is of order h⁴, and
rounding of order 1e-16 |f| / h. At h = 2⁻¹² both stay far below 1e-7 for functions of scale 1.

The five points also tell whether f is smooth between them. Where it is not, h shrinks; where it
still is not at the smallest h, the point lies on a kink such as ReLU's at 0, and has no derivative.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tinyvae.core.arrays import Array
from tinyvae.device import to_numpy

STEPS = {"float64": (2**-12, 2**-15, 2**-18, 2**-21), "float32": (2**-5, 2**-7)}


class Slopes(NamedTuple):
    """For each entry: slope, its likely rounding error, whether it is a kink, one-sided slopes."""

    slope: np.ndarray
    rounding: np.ndarray
    kink: np.ndarray
    left: np.ndarray
    right: np.ndarray


def slopes(
    change: Callable[[], float],
    array: Array,
    indices: list[tuple[int, ...]],
    magnitude: float,
    tolerance: float,
) -> Slopes:
    """Return the slope of f along each entry of `array` in `indices`; `array` ends as it was.

    `change()` returns f now minus f at the start, and `magnitude` the size of f, which tells how
    much of the difference is rounding.
    """
    dtype = str(array.dtype)
    epsilon = float(np.finfo(dtype).eps)
    rounding = np.zeros(len(indices))
    points = np.zeros((len(indices), 4))  # slope, roughness, left, right
    rough = np.arange(len(indices))
    for step in STEPS[dtype]:
        before = points[:, 1].copy()
        for i in rough:
            h = step * max(1.0, abs(float(to_numpy(array[indices[i]]))))
            points[i] = _five_points(change, array, indices[i], h)
            rounding[i] = 4 * epsilon * magnitude / h
        scale = np.nanmax(np.abs(points[:, 0]), initial=0.0)
        # Where f is smooth, its roughness is h² f''' / 4: small, or a 64th of what it was with h
        # eight times as large. (NaN, from a step out of f's domain, is not smooth.)
        roughness = points[:, 1]
        smooth = roughness <= 0.1 * tolerance * scale + 3 * rounding
        smooth |= (roughness <= before / 8) & (roughness <= 0.1 * tolerance**0.5 * scale)
        rough = np.flatnonzero(~smooth)
    return Slopes(points[:, 0], rounding, ~smooth, points[:, 2], points[:, 3])


def _five_points(
    change: Callable[[], float], array: Array, index: tuple[int, ...], h: float
) -> tuple[float, float, float, float]:
    """Return the slope along one entry, how far f is from a parabola, and the one-sided slopes."""
    start = float(to_numpy(array[index]))
    f = {}
    try:
        for k in (-2, -1, 1, 2):
            array[index] = start + k * (h / 2)
            f[k] = change()  # f(a + k h/2) − f(a)
    finally:
        array[index] = start
    wide, narrow = (f[2] - f[-2]) / (2 * h), (f[1] - f[-1]) / h
    roughness = max(abs(wide - narrow), abs(f[2] + f[-2] - 4 * (f[1] + f[-1])) / h)
    return narrow + (narrow - wide) / 3, roughness, -f[-1] * 2 / h, f[1] * 2 / h
