"""`tinyvae three-panels`: the picture that explains the VAE, from three trainings."""

import argparse
import tempfile
from pathlib import Path

from tinyvae import checks
from tinyvae.cli import terminal
from tinyvae.data import load_dataset
from tinyvae.figures import panels
from tinyvae.figures.panels import PANELS, figure, train_three
from tinyvae.train.files import write_atomically


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    p = terminal.Parser("three-panels", panels.__doc__)
    out, text = Path("three-panels.png"), "a .png, .svg or .pdf file"
    p.add("--out", terminal.path, "FILE", out, text)
    p.add("--epochs", terminal.whole(1), "N", 30, "of each model")
    p.add("--seed", terminal.SEED, "N", 0)
    p.add("--dpi", terminal.DPI, "N", 150, "resolution")
    p.add("--quiet", None, text="print nothing")
    return terminal.run(p, _three_panels, argv)


def _three_panels(given: argparse.Namespace) -> None:
    _check_writable(given.out)

    dataset = load_dataset("digits")
    models = train_three(dataset.x_train, given.epochs, given.seed, progress=not given.quiet)
    picture = figure(models, dataset.x_test, dataset.y_test, dataset.image_shape, given.seed)
    try:
        form = given.out.suffix[1:].lower()
        write_atomically(given.out, lambda f: picture.savefig(f, format=form, dpi=given.dpi))
    except OSError as error:
        raise terminal.Failure(error, 1) from None
    if not given.quiet:
        print(f"{given.out}: {'; '.join(f'{name}: {remark}' for name, remark, _ in PANELS)}")


def _check_writable(out: Path) -> None:
    """Raise ValueError or OSError before the training if its picture could not be written."""
    checks.choice(f"the ending of --out {out}", out.suffix.lower(), [".png", ".svg", ".pdf"])
    if out.is_dir():
        raise ValueError(f"--out {out} is a folder; name a file")
    try:
        tempfile.TemporaryFile(dir=out.parent).close()
    except OSError as error:
        raise OSError(f"cannot write --out {out}: {error.strerror}: {out.parent}") from None
