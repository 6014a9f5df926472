"""`python -m tinyvae.gradcheck`, the same as `python -m tinyvae gradcheck`."""

import sys

from tinyvae.cli.main import command

if __name__ == "__main__":
    command(["gradcheck", *sys.argv[1:]])
