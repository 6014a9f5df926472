"""`tinyvae figures RUN`: a run's figures, drawn again."""

import argparse

from tinyvae.cli import inputs, terminal
from tinyvae.figures import gallery


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    p = inputs.parser("figures", "Draw a run's figures again.")
    inputs.add_moved(p)
    p.add("--only", metavar="NAME", text=", ".join(gallery.NAMES), action="append")
    p.add("--out", terminal.path, "DIR", text="(default: RUN/figures)")
    p.add("--dpi", terminal.DPI, "N", 150)
    p.add("--format", ("png", "svg", "pdf"), default="png")
    return terminal.run(p, _figures, argv)


def _figures(given: argparse.Namespace) -> None:
    with inputs.opened(given) as run:
        history, kl_history = run.histories
        folder = given.out or run.path / "figures"
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"--out {folder} is a file: name a folder")
        how = {"only": given.only, "dpi": given.dpi, "format": given.format}
        kl = kl_history or None
        for path in gallery.draw(run.model, run.dataset, folder, history, kl, **how):
            print(f"{path}: {gallery.DESCRIPTIONS[path.stem]}")
