"""`python -m tinyvae.gradcheck`, the same as `python -m tinyvae gradcheck`."""

import sys

from tinyvae.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["gradcheck", *sys.argv[1:]]))
