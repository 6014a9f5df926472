"""`python -m tinyvae.gradcheck`."""

import sys

from tinyvae.gradcheck.command import main

sys.exit(main())
