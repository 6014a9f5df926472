"""`python -m tinyvae.explore`, the same as `python -m tinyvae explore`."""

import sys

from tinyvae.cli.main import command

if __name__ == "__main__":
    command(["explore", *sys.argv[1:]])
