"""The pictures of `reconstruct` and `interpolate`: what is decoded, with what it was made from.

Each function returns one that draws decoded rows: `run_files.write` calls it where the file is a
picture, with the data's `to_picture`, which turns a model's values into images.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyvae.data.rows import Rows

IN_A_ROW = 12  # steps that stand side by side and have room for their t
Draw = Callable[[np.ndarray, tuple[int, ...], Callable], Any]


def reconstructions(x: Rows) -> Draw:
    """Return what draws the originals x (N, D) over their reconstructions (N, D)."""

    def draw(x_hat: np.ndarray, image_shape: tuple[int, ...], to_picture: Callable) -> Any:
        from tinyvae import figures

        figures.picture.check_sheet(len(x), image_shape, each=2)
        columns = figures.picture.columns_for(2 * len(x), image_shape)
        images = to_picture(x[:]), to_picture(x_hat)
        return figures.reconstructions(*images, image_shape, max(10, columns))

    return draw


def walk(ends: np.ndarray) -> Draw:
    """Return what draws two originals (2, D), and between them a walk's steps (S, D), in rows if
    they are many."""

    def draw(steps: np.ndarray, image_shape: tuple[int, ...], to_picture: Callable) -> Any:
        from tinyvae import figures

        first, last = to_picture(ends[:1]), to_picture(ends[1:])
        steps = to_picture(steps)
        if len(steps) <= IN_A_ROW:
            return figures.interpolations(first, steps[None], last, image_shape)
        images = np.concatenate([first, steps, last])
        subtitle = "The first image and the last are originals, those between are decoded."
        return figures.image_grid(images, image_shape, None, "Interpolation", subtitle)

    return draw
