"""`python -m ptc` is `ptc`."""

import sys

from ptc.cli import main

sys.exit(main())
