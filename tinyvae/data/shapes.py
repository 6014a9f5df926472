"""A data set whose true factors are known: shapes drawn at every point of a grid of five factors.
It asks of a model which latent dimension follows which factor. NumPy draws it; there is no file.

In the manner of dSprites (Matthey et al. 2017), with one difference: the shapes are elongated and
turn through a quarter only, so that no two orientations look alike and each factor is an interval.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np

IMAGE_SHAPE = (28, 28)
SHAPES = ("rectangle", "ellipse", "triangle")
FACTORS = ("shape", "scale", "orientation", "x", "y")
SCALES = (4.0, 5.0, 6.0, 7.0)  # half the length, in pixels; a shape is half as wide as long
ORIENTATIONS = tuple(range(0, 91, 15))  # degrees, counter-clockwise
POSITIONS = tuple(np.linspace(9, 19, 8).tolist())  # of the centre, in pixels from the left or top
TEST_ROWS = 500
SPLIT_SEED = 0  # of which images are the test's: the data set is the same for everyone


class Shapes(NamedTuple):
    """Images (N, 784) float32 in [0, 1] and the factors (N, 5) that they were drawn from."""

    x_train: np.ndarray
    x_test: np.ndarray
    factors_train: np.ndarray
    factors_test: np.ndarray


def draw() -> Shapes:
    """Return all 5,376 images, of which 500 are set apart as the test's; the same in every call.

    The columns of the factors are `FACTORS`: index of the shape, half length in pixels, degrees,
    and the centre's distance in pixels from the left and from the top.
    """
    centres = np.array(list(itertools.product(POSITIONS, POSITIONS)))  # (P, 2): x, y
    images, factors = [], []
    for kind, scale, degrees in itertools.product(range(3), SCALES, ORIENTATIONS):
        images.append(_images(SHAPES[kind], scale, math.radians(degrees), centres))
        fixed = np.tile([kind, scale, degrees], (len(centres), 1))
        factors.append(np.hstack([fixed, centres]))
    images, factors = np.concatenate(images), np.concatenate(factors)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
    test, train = np.sort(order[:TEST_ROWS]), np.sort(order[TEST_ROWS:])
    return Shapes(images[train], images[test], factors[train], factors[test])


def _images(shape: str, scale: float, angle: float, centres: np.ndarray) -> np.ndarray:
    """Return one shape at many centres (P, 2), as rows (P, 784) of grey values, edges smooth."""
    height, width = IMAGE_SHAPE
    right = np.arange(width) + 0.5 - centres[:, 0, None]  # (P, W): from the centre to pixels
    up = centres[:, 1, None] - np.arange(height) - 0.5  # (P, H)
    right, up = right[:, None, :], up[:, :, None]
    along = right * math.cos(angle) + up * math.sin(angle)  # (P, H, W), in the shape's own axes
    across = up * math.cos(angle) - right * math.sin(angle)
    distance = _distance(shape, along, across, scale)
    # A pixel is covered by about ½ − distance: this is the anti-aliasing.
    covered = np.clip(0.5 - distance, 0, 1)
    return covered.astype(np.float32).reshape(len(centres), -1)


def _distance(shape: str, along: np.ndarray, across: np.ndarray, scale: float) -> np.ndarray:
    """Return the signed distance in pixels from a shape's edge, negative inside."""
    across = np.abs(across)  # all three are symmetric about their long axis
    half_width = scale / 2
    if shape == "rectangle":
        return np.maximum(np.abs(along) - scale, across - half_width)
    if shape == "ellipse":
        # To first order the distance is f / |∇f|, here with f = radius − 1.
        radius = np.hypot(along / scale, across / half_width)
        slope = np.hypot(along / scale**2, across / half_width**2)
        return (radius - 1) * radius / np.maximum(slope, 1e-9)
    # Triangle: the base stands at −scale, the apex at +scale; its sides fall by half_width over
    # 2 · scale, so their outward normal is (half_width, 2 · scale) / its length.
    side = (half_width * (along - scale) + 2 * scale * across) / math.hypot(half_width, 2 * scale)
    return np.maximum(-along - scale, side)
