"""`python -m tinyvae.explore`, the same as `python -m tinyvae explore`."""

import sys

from tinyvae.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["explore", *sys.argv[1:]]))
