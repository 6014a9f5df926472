"""The pictures of `reconstruct` and `interpolate`: what is decoded, with what it was made from."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np

from tinyvae.data.scaling import Scaling
from tinyvae.files import write_atomically
from tinyvae.run_files import check_finite
from tinyvae.runs import Run

IN_A_ROW = 12  # steps that stand side by side and have room for their t


def wanted(out: Path, run: Run) -> bool:
    """Whether a command draws: `out` is a picture's name, and the run's data are images."""
    return out.suffix != ".npy" and bool(run.config.get("data", {}).get("image_shape"))


def written(figure: Callable) -> Callable:
    """Turn a figure of images into a function that takes the model's values and writes a file."""

    @wraps(figure)
    def write(out: Path, run: Run, x: np.ndarray, x_hat: np.ndarray, what: str) -> None:
        check_finite(out, x_hat)
        data = run.config["data"]
        scaling = Scaling.from_config(data["scaling"])
        images = map(scaling.to_picture, (x, x_hat))
        picture = figure(*images, tuple(data["image_shape"]))
        write_atomically(out, lambda file: picture.savefig(file, format=out.suffix[1:]))
        print(f"{out}: {what}")

    return write


@written
def reconstructions(x: np.ndarray, x_hat: np.ndarray, image_shape: tuple[int, ...]) -> Any:
    """Originals x (N, D) over their reconstructions x_hat (N, D)."""
    from tinyvae import figures

    columns = figures.picture.columns_for(2 * len(x), image_shape)
    return figures.reconstructions(x, x_hat, image_shape, max(10, columns))


@written
def walk(ends: np.ndarray, steps: np.ndarray, image_shape: tuple[int, ...]) -> Any:
    """Two originals (2, D), and between them the steps (S, D) of the walk, in rows if many."""
    from tinyvae import figures

    if len(steps) <= IN_A_ROW:
        return figures.interpolations(ends[:1], steps[None], ends[1:], image_shape)
    images = np.concatenate([ends[:1], steps, ends[1:]])
    subtitle = "The first image and the last are originals, those between are decoded on the way."
    return figures.image_grid(images, image_shape, None, "Interpolation", subtitle)
