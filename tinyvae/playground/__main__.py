"""`python -m tinyvae.playground`, the same as `python -m tinyvae playground`."""

import sys

from tinyvae.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["playground", *sys.argv[1:]]))
