"""`python -m tinyvae.train`, the same as `python -m tinyvae train`."""

import sys

from tinyvae.cli.main import command

if __name__ == "__main__":
    command(["train", *sys.argv[1:]])
