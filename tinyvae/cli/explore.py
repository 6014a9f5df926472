"""`python -m tinyvae explore RUN`: write the explorer of a trained run, and open it if asked to."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from tinyvae.cli import terminal

if TYPE_CHECKING:
    from argparse import Namespace

    from tinyvae.core.model import Autoencoder
    from tinyvae.data import Dataset

PROG = "tinyvae explore"


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return terminal.run(_explore, argv, PROG)


def _parser() -> terminal.Parser:
    parser = terminal.Parser(
        prog=PROG,
        description="Write a run's latent space as one HTML file: open it in a browser, offline,"
        " and move about in it.",
    )
    parser.add_argument(
        "run",
        metavar="RUN",
        help="a run folder, such as runs/digits; or, with --dataset, a file of weights (.npz), such"
        " as the playground's",
    )
    parser.add_argument(
        "--dataset", metavar="NAME|PATH", help="what a file of weights was trained on"
    )
    parser.add_argument("--data-dir", metavar="DIR", help="folder with the files of mnist")
    parser.add_argument(
        "--out",
        metavar="FILE.html",
        type=terminal.path,
        help="default: RUN/explorer.html, or FILE.html beside FILE.npz",
    )
    parser.add_argument("--open", action="store_true", help="show it in the browser at once")
    parser.add_argument("--title", help="heading of the page")
    parser.add_argument(
        "--points",
        metavar="N",
        type=terminal.whole(2),
        default=300,
        help="test examples in it (default: 300)",
    )
    parser.add_argument(
        "--float16", action="store_true", help="weights in half precision: half the file"
    )
    parser.add_argument(
        "--max-mb",
        metavar="MB",
        type=terminal.real(above=True),
        help="largest file accepted (default: 32)",
    )
    return parser


def _explore(argv: list[str] | None) -> int:
    from tinyvae.core.model import VAE
    from tinyvae.explore.page import MAX_BYTES, build, write

    options = _parser().parse_args(argv)
    given = Path(options.run)
    out = options.out or (
        given.with_suffix(".html") if given.is_file() else given / "explorer.html"
    )
    model, dataset = _opened(given, options)
    if out.is_dir() or not out.parent.is_dir():
        problem = "it is a folder" if out.is_dir() else f"there is no folder {out.parent}"
        raise ValueError(f"--out {out}: {problem}; name a file that can be written")
    if out.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--out {out}: the name must end in .html")
    page = build(
        model,
        dataset,
        title=options.title,
        n_points=options.points,
        precision="float16" if options.float16 else "float32",
        max_bytes=int(1e6 * options.max_mb) if options.max_mb else MAX_BYTES,
    )
    write(out, page)
    if not isinstance(model, VAE):
        print("a plain autoencoder: the page has no prior, sigma, samples or KL", file=sys.stderr)
    print(f"wrote {out} ({len(page.encode()) / 1e6:.1f} MB): open it in a browser")
    if options.open and not webbrowser.open(out.resolve().as_uri()):
        print("no browser found here: open the file yourself", file=sys.stderr)
    return 0


def _opened(given: Path, options: Namespace) -> tuple[Autoencoder, Dataset]:
    """Return the model and the data set of a run, or of a file of weights and --dataset."""
    from tinyvae.data import load_dataset
    from tinyvae.train.checkpoint import load
    from tinyvae.train.runs import open_run

    if not given.is_file():
        if options.dataset:
            raise ValueError(f"--dataset {options.dataset}: {given} is a run, and knows its data")
        run = open_run(given)
        return run.model, run.dataset
    if not options.dataset:
        raise ValueError(f"{given} is a file of weights: name their data with --dataset")
    return load(given), load_dataset(options.dataset, options.data_dir)
