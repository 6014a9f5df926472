"""`python -m tinyvae exercises`: which exercises of the course are solved, and which are open."""

from __future__ import annotations

from tinyvae.cli import terminal

PROG = "tinyvae exercises"


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return terminal.run(_exercises, argv, PROG)


def _exercises(argv: list[str] | None) -> int:
    from tinyvae.exercises import progress

    parser = terminal.Parser(
        prog=PROG,
        description="Print a line for each notebook of the tutorials: how many of its exercises are"
        " solved, which are open, and the last errors made in these.",
    )
    parser.add_argument(
        "--errors", metavar="N", type=terminal.whole(0), default=1,
        help="errors to print of each open exercise (default: 1)",
    )  # fmt: skip
    options = parser.parse_args(argv)
    file = progress.path()
    recorded = progress.read(file)
    print(progress.summary(recorded, options.errors))
    if file is None:
        print("nothing is recorded: TINYVAE_PROGRESS is empty")
    elif not recorded:
        print(f"nothing recorded yet; the checks of the notebooks will write {file}")
    else:
        print(f"recorded in {file}")
    return 0
