"""`python -m tinyvae COMMAND`."""

import sys

from tinyvae.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
