"""`tinyvae explore RUN`: write the explorer of a trained run, and open it if asked to."""

import argparse
import math
from pathlib import Path

from tinyvae.cli import outputs, terminal

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
    p.add_argument("run", metavar="RUN", help="a run folder, such as runs/digits")
    p.add("--out", terminal.path, "FILE.html", text="(default: RUN/explorer.html)")
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
    from tinyvae.train.runs import open_run

    out = options.out or Path(options.run) / "explorer.html"
    run = open_run(options.run)
    outputs.check_page(out)
    page = build(
        run.model,
        run.dataset,
        title=options.title,
        n_points=options.n_points,
        precision=options.precision,
        max_bytes=math.ceil(1e6 * options.max_bytes),
    )
    if not isinstance(run.model, VAE):
        terminal.note("a plain autoencoder: the page has no prior, sigma, samples or KL")
    outputs.write_page(out, page, options.open)
