"""`tinyvae playground`: write a page in which a VAE trains, and open it if asked to."""

import argparse
from pathlib import Path

from tinyvae.cli import outputs, terminal
from tinyvae.cli.train_options import TABLE, flag

DEFAULT = ("digits", "shapes")
OWN = "data of your own"


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    p = terminal.Parser(
        "playground",
        "Write one HTML file in which a VAE trains before your eyes: open it in a browser, offline,"
        " and take the terms of the loss away.",
    )
    text = "digits, shapes, mnist, fashion-mnist, or a path; give it twice for two to choose from"
    text += " (default: digits and shapes)"
    p.add("--dataset", metavar="NAME|PATH", text=text, action="append")
    p.add("--data-dir", metavar="DIR", text="folder with the files of mnist")
    text = "start from a run's weights, on the data it was trained on"
    p.add("--run", metavar="RUN", text=text)
    text = "(default: playground.html, or RUN/playground.html)"
    p.add("--out", terminal.path, "FILE.html", text=text)
    p.add("--title", default="Watch a VAE learn", text="heading of the page")
    p.add("--open", None, text="show it in the browser at once")
    group = p.add_argument_group(OWN)
    for name, kind, metavar, default, text in TABLE[OWN]:
        p.add(flag(name), kind, metavar, default, text, to=group)
    return terminal.run(p, _playground, argv)


def _playground(given: argparse.Namespace) -> None:
    from tinyvae.data import load_dataset
    from tinyvae.playground.page import build, left_out
    from tinyvae.train.runs import open_run

    if given.run and given.dataset:
        raise ValueError("--run and --dataset exclude each other: a run brings its own data")
    out = given.out or Path(given.run or "") / "playground.html"
    run = open_run(given.run) if given.run else None
    outputs.check_page(out)
    names = given.dataset or DEFAULT
    own = {name: getattr(given, name) for name, _, _, default, _ in TABLE[OWN]
           if getattr(given, name) != default}  # fmt: skip
    if run:
        datasets = [run.dataset]
    else:
        datasets = [load_dataset(name, given.data_dir, **own) for name in names]
    page = build(datasets, model=run.model if run else None, title=given.title)
    for words in filter(None, map(left_out, datasets)):
        terminal.note(words)
    outputs.write_page(out, page, given.open)
