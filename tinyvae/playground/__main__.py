"""`python -m tinyvae.playground`, the same as `python -m tinyvae playground`."""

import sys

from tinyvae.cli.main import command

if __name__ == "__main__":
    command(["playground", *sys.argv[1:]])
