"""`python -m tinyvae COMMAND`."""

import sys

from tinyvae.cli import main

if __name__ == "__main__":
    sys.exit(main())
