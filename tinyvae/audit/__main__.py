"""`python -m tinyvae.audit`, the same as `python -m tinyvae audit`."""

import sys

from tinyvae.cli.main import command

if __name__ == "__main__":
    command(["audit", *sys.argv[1:]])
