"""`tinyvae reconstruct RUN DATA`: data, encoded and decoded again."""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyvae.cli import inputs, outputs, terminal
from tinyvae.data.dataset import counted
from tinyvae.data.rows import Rows
from tinyvae.evaluate.passes import by_blocks

REMEDY = "the data lie too far from those of the run, or the run's are too large"


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    p = inputs.parser("reconstruct", "Encode data and decode it again.")
    inputs.add_data(p)
    outputs.add_out(p, "x.png, .npy or .csv")
    return terminal.run(p, _reconstruct, argv)


def _reconstruct(given: argparse.Namespace) -> None:
    with inputs.opened(given) as run:
        x, labels = inputs.read(run, given.data, given.data_dir)
        (x_hat,) = by_blocks(run.model, run.model.reconstruct, x, labels)
        what = counted(len(x), "reconstruction")
        outputs.write(given.out, run, x_hat, what, REMEDY, _under(x))


def _under(x: Rows) -> outputs.Draw:
    """Return what draws the originals x (N, D) over their reconstructions (N, D)."""

    def draw(x_hat: np.ndarray, image_shape: tuple[int, ...], to_picture: Callable) -> Any:
        from tinyvae import figures
        from tinyvae.figures import picture

        picture.check_sheet(len(x), image_shape, each=2)
        columns = picture.columns_for(2 * len(x), image_shape)
        images = to_picture(x[:]), to_picture(x_hat)
        return figures.reconstructions(*images, image_shape, max(10, columns))

    return draw
