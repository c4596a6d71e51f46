"""`python -m pipeline`, the same as `pipeline`."""

import sys

from pipeline.cli import main

sys.exit(main())
