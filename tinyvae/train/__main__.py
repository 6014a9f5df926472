"""`python -m tinyvae.train`, the same as `python -m tinyvae train`."""

import sys

from tinyvae.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
