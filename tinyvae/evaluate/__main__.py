"""`python -m tinyvae.evaluate`, the same as `python -m tinyvae evaluate`."""

import sys

from tinyvae.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
