"""`python -m tinyvae.gradcheck`."""

import sys

from tinyvae import cli

sys.exit(cli.main(["gradcheck", *sys.argv[1:]]))
