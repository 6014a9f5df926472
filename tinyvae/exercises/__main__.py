"""`python -m tinyvae.exercises`, the same as `python -m tinyvae exercises`."""

import sys

from tinyvae.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["exercises", *sys.argv[1:]]))
