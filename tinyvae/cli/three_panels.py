"""`python -m tinyvae three-panels`: the picture that explains the VAE, from three trainings."""

import tempfile
from pathlib import Path

from tinyvae import checks
from tinyvae.cli import terminal
from tinyvae.data import load_dataset
from tinyvae.figures import panels
from tinyvae.figures.panels import PANELS, figure, train_three
from tinyvae.train.files import write_atomically


def main(argv: list[str] | None = None) -> int:
    """Run `tinyvae three-panels`; return the exit status."""
    return terminal.run(_main, argv, "tinyvae three-panels")


def _main(argv: list[str] | None) -> int:
    parser = terminal.Parser(prog="tinyvae three-panels", description=panels.__doc__)
    whole = terminal.whole
    parser.add_argument(
        "--out", metavar="FILE", type=Path, default=Path("three-panels.png"),
        help="a .png, .svg or .pdf file (default: three-panels.png)",
    )  # fmt: skip
    parser.add_argument("--epochs", type=whole(1), default=30, help="of each model (default: 30)")
    parser.add_argument("--seed", type=whole(0), default=0, help="(default: 0)")
    parser.add_argument("--dpi", type=terminal.DPI, default=150, help="resolution (default: 150)")
    parser.add_argument("--quiet", action="store_true", help="print nothing")
    given = parser.parse_args(argv)
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
    return 0


def _check_writable(out: Path) -> None:
    """Raise ValueError or OSError before the training if its picture could not be written."""
    checks.choice(f"the ending of --out {out}", out.suffix.lower(), [".png", ".svg", ".pdf"])
    if out.is_dir():
        raise ValueError(f"--out {out} is a folder; name a file")
    try:
        tempfile.TemporaryFile(dir=out.parent).close()
    except OSError as error:
        raise OSError(f"cannot write --out {out}: {error.strerror}: {out.parent}") from None
