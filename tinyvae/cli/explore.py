"""`python -m tinyvae explore RUN`: write the explorer of a trained run, and open it if asked to."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path

from tinyvae.cli import terminal

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
    parser.add_argument("run", metavar="RUN", help="a run folder, such as runs/digits")
    parser.add_argument(
        "--out", metavar="FILE.html", type=terminal.path, help="default: RUN/explorer.html"
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
    from tinyvae.explore.page import MAX_BYTES, build, write
    from tinyvae.models import VAE
    from tinyvae.train.runs import open_run

    options = _parser().parse_args(argv)
    out = options.out or Path(options.run) / "explorer.html"
    run = open_run(options.run)
    if out.is_dir() or not out.parent.is_dir():
        problem = "it is a folder" if out.is_dir() else f"there is no folder {out.parent}"
        raise ValueError(f"--out {out}: {problem}; name a file that can be written")
    if out.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--out {out}: the name must end in .html")
    page = build(
        run.model,
        run.dataset,
        title=options.title,
        n_points=options.points,
        precision="float16" if options.float16 else "float32",
        max_bytes=int(1e6 * options.max_mb) if options.max_mb else MAX_BYTES,
    )
    write(out, page)
    if not isinstance(run.model, VAE):
        print("a plain autoencoder: the page has no prior, sigma, samples or KL", file=sys.stderr)
    print(f"wrote {out} ({len(page.encode()) / 1e6:.1f} MB): open it in a browser")
    if options.open and not webbrowser.open(out.resolve().as_uri()):
        print("no browser found here: open the file yourself", file=sys.stderr)
    return 0
