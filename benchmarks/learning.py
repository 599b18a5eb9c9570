"""What every objective of the library learns on a world that can be written out: `python benchmarks/learning.py`.

Real programs, trained by the real node, with attempts by the real engine; beside each quantity what it should be by
the objective's own mathematics. Takes some minutes on one thread. `--only NAME …` runs some. Exit code 1 if a quantity
is off.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import transformers
from enumerable import {modules}
from enumerable.table import CASES, Row, markdown
from enumerable.world import World
