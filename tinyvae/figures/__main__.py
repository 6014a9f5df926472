"""`python -m tinyvae.figures`, the same as `python -m tinyvae figures`."""

import sys

from tinyvae.cli.main import command

if __name__ == "__main__":
    command(["figures", *sys.argv[1:]])
