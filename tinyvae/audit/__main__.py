"""`python -m tinyvae.audit`, the same as `python -m tinyvae audit`."""

import sys

from tinyvae.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["audit", *sys.argv[1:]]))
