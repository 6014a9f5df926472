"""`tinyvae interpolate RUN DATA I J`: the steps between two examples."""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyvae.cli import inputs, outputs, terminal
from tinyvae.cli.reconstruct import REMEDY
from tinyvae.evaluate.passes import by_blocks

IN_A_ROW = 12  # steps that stand side by side and have room for their t


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    what = "Walk from one example of DATA to another, along a straight line between their codes."
    p = inputs.parser("interpolate", what)
    inputs.add_data(p)
    for name in ("i", "j"):
        p.add(name, terminal.whole(0), name.upper(), text="row, from 0")
    outputs.add_out(p, "walk.png, .npy or .csv")
    p.add("--steps", terminal.whole(2, largest=terminal.LARGEST), "N", 10)
    return terminal.run(p, _interpolate, argv)


def _interpolate(given: argparse.Namespace) -> None:
    with inputs.opened(given) as run:
        x, labels = inputs.read(run, given.data, given.data_dir)
        for row in (given.i, given.j):
            if row >= len(x):
                raise ValueError(f"{given.data} has the rows 0 … {len(x) - 1}, not {row}")
        ends = np.array([given.i, given.j])
        ends_labels = None if labels is None else labels[ends]
        z = by_blocks(run.model, run.model.encode, x[ends], ends_labels)[0]
        part = np.linspace(0, 1, given.steps, dtype=z.dtype)[:, None]  # (steps, 1)
        path = (1 - part) * z[0] + part * z[1]  # (steps, L)
        # As in the figure of interpolations, the label changes halfway.
        path_labels = None if labels is None else ends_labels[(part[:, 0] > 0.5).astype(int)]
        (x_hat,) = by_blocks(run.model, run.model.decode, path, path_labels)
        what = f"{given.steps} steps from row {given.i} to row {given.j}"
        outputs.write(given.out, run, x_hat, what, REMEDY, _walk(x[ends]))


def _walk(ends: np.ndarray) -> outputs.Draw:
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
