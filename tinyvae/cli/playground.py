"""`python -m tinyvae playground`: write a page in which a VAE trains, and open it if asked to."""

import sys
import webbrowser
from pathlib import Path

from tinyvae.cli import terminal

PROG = "tinyvae playground"
DEFAULT = ("digits", "shapes")


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return terminal.run(_playground, argv, PROG)


def _parser() -> terminal.Parser:
    parser = terminal.Parser(
        prog=PROG,
        description="Write one HTML file in which a VAE trains before your eyes: open it in a"
        " browser, offline, and take the terms of the loss away.",
    )
    parser.add_argument(
        "--dataset",
        metavar="NAME|PATH",
        action="append",
        help="digits, shapes, mnist, fashion-mnist, or a path; give it twice for two to choose"
        " from (default: digits and shapes)",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="folder with the files of mnist")
    parser.add_argument(
        "--run", metavar="RUN", help="start from a run's weights, on the data it was trained on"
    )
    parser.add_argument(
        "--out",
        metavar="FILE.html",
        type=terminal.path,
        help="default: playground.html, or RUN/playground.html",
    )
    parser.add_argument("--title", default="Watch a VAE learn", help="heading of the page")
    parser.add_argument("--open", action="store_true", help="show it in the browser at once")
    return parser


def _playground(argv: list[str] | None) -> int:
    from tinyvae.data import load_dataset
    from tinyvae.playground.page import build, left_out, write
    from tinyvae.train.runs import open_run

    options = _parser().parse_args(argv)
    if options.run and options.dataset:
        raise ValueError("--run and --dataset exclude each other: a run brings its own data")
    folder = Path(options.run) if options.run else Path()
    out = options.out or folder / "playground.html"
    run = open_run(options.run) if options.run else None
    if out.is_dir() or not out.parent.is_dir():
        problem = "it is a folder" if out.is_dir() else f"there is no folder {out.parent}"
        raise ValueError(f"--out {out}: {problem}; name a file that can be written")
    if out.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--out {out}: the name must end in .html")
    names = options.dataset or DEFAULT
    datasets = [run.dataset] if run else [load_dataset(name, options.data_dir) for name in names]
    page = build(datasets, model=run.model if run else None, title=options.title)
    write(out, page)
    for dataset in datasets:
        if words := left_out(dataset):
            terminal.note(words)
    print(f"wrote {out} ({len(page.encode()) / 1e6:.1f} MB): open it in a browser, and watch")
    if options.open and not webbrowser.open(out.resolve().as_uri()):
        print("no browser found here: open the file yourself", file=sys.stderr)
    return 0
