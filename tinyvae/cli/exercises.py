"""`tinyvae exercises`: which exercises of the course are solved, and which are open."""

import argparse

from tinyvae.cli import terminal


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    p = terminal.Parser(
        "exercises",
        "Print a line for each notebook of the tutorials: how many of its exercises are solved,"
        " which are open, and the last errors made in these.",
    )
    p.add("--errors", terminal.whole(0), "N", 1, "errors to print of each open exercise")
    return terminal.run(p, _exercises, argv)


def _exercises(options: argparse.Namespace) -> None:
    from tinyvae.exercises import progress

    file = progress.path()
    recorded = progress.read(file)
    print(progress.summary(recorded, options.errors))
    if file is None:
        print("nothing is recorded: TINYVAE_PROGRESS is empty")
    elif not recorded:
        print(f"nothing recorded yet; the checks of the notebooks will write {file}")
    else:
        print(f"recorded in {file}")
