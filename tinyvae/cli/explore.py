"""`tinyvae explore RUN`: write the explorer of a trained run, and open it if asked to."""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from tinyvae.cli import outputs, terminal

if TYPE_CHECKING:
    from tinyvae.data import Dataset
    from tinyvae.models import Autoencoder

MAX_MB = 32  # what browsers open without delay


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return terminal.run(parser(), _explore, argv)


def parser() -> terminal.Parser:
    """Return the parser, whose names are those of `explore.build`'s arguments."""
    p = terminal.Parser(
        "explore",
        "Write a run's latent space as one HTML file: open it in a browser, offline, and move"
        " about in it.",
    )
    what = "a run folder, such as runs/digits; or, with --dataset, a file of weights (.npz), such"
    p.add_argument("run", metavar="RUN", help=f"{what} as the playground's")
    p.add(
        "--dataset",
        metavar="NAME|PATH",
        text="what a file of weights was trained on, or where a run's data lie now",
    )
    p.add("--data-dir", metavar="DIR", text="folder with the files of mnist")
    where = "(default: RUN/explorer.html, or FILE.html beside FILE.npz)"
    p.add("--out", terminal.path, "FILE.html", text=where)
    p.add("--open", None, text="show it in the browser at once")
    p.add("--title", text="heading of the page")
    points = terminal.whole(2, largest=terminal.LARGEST)
    p.add("--points", points, "N", 300, "test examples in it", dest="n_points")
    what = "weights in half precision: half the file"
    half = {"action": "store_const", "const": "float16", "default": "float32"}
    p.add_argument("--float16", dest="precision", help=what, **half)
    size = terminal.real(above=True)
    p.add("--max-mb", size, "MB", MAX_MB, "largest file accepted", dest="max_bytes")
    return p


def _explore(options: argparse.Namespace) -> None:
    from tinyvae.explore.page import build
    from tinyvae.models import VAE

    given = Path(options.run)
    beside = given.with_suffix(".html") if given.is_file() else given / "explorer.html"
    out = options.out or beside
    model, dataset = _opened(given, options)
    outputs.check_page(out)
    page = build(
        model,
        dataset,
        title=options.title,
        n_points=options.n_points,
        precision=options.precision,
        max_bytes=math.ceil(1e6 * options.max_bytes),
    )
    if not isinstance(model, VAE):
        terminal.note("a plain autoencoder: the page has no prior, sigma, samples or KL")
    outputs.write_page(out, page, options.open)


def _opened(given: Path, options: argparse.Namespace) -> "tuple[Autoencoder, Dataset]":
    """Return the model and the data set of a run, or of a file of weights and --dataset."""
    from tinyvae.data import load_dataset
    from tinyvae.train.checkpoint import load
    from tinyvae.train.runs import open_run

    if not given.is_file():
        run = open_run(given)
        run.moved_to = options.dataset
        return run.model, run.dataset
    if not options.dataset:
        raise ValueError(f"{given} is a file of weights: name their data with --dataset")
    return load(given), load_dataset(options.dataset, options.data_dir)
