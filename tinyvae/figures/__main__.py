"""`python -m tinyvae.figures`, the same as `python -m tinyvae figures`."""

import sys

from tinyvae.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["figures", *sys.argv[1:]]))
