"""`python -m tinyvae.audit …`, the same as `python -m tinyvae audit …`."""

import sys

from tinyvae.audit.cli import main

sys.exit(main())
