"""`python -m tinyvae.evaluate`, the same as `python -m tinyvae evaluate`."""

import sys

from tinyvae.cli.main import command

if __name__ == "__main__":
    command(["evaluate", *sys.argv[1:]])
