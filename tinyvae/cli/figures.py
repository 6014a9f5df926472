"""`tinyvae figures RUN`: a run's figures, drawn again."""

import argparse

from tinyvae.cli import inputs, terminal
from tinyvae.figures import gallery


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    p = inputs.parser("figures", "Draw a run's figures again.")
    p.add_argument("--only", metavar="NAME", action="append", help=", ".join(gallery.NAMES))
    p.add_argument("--out", metavar="DIR", type=terminal.path, help="(default: RUN/figures)")
    p.add_argument("--dpi", type=terminal.DPI, default=150, help="(default: 150)")
    p.add_argument("--format", choices=["png", "svg", "pdf"], default="png")
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
