"""Start-up of `ptc check`, against the cost of importing its parser library: `python benchmarks/startup.py`.

Both are whole processes of the same interpreter, run in turns, so that a busy neighbour slows both alike.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 3.0
"""How many times `import lark` a check may take."""
AS_INSTALLED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Installed modules have their bytecode beside them; without it every start compiles them anew."""
MUST_STAY_OUT = ("torch", "transformers", "networkx", "pydantic", "rich", "numpy", "pyarrow")


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, cwd=ROOT, env=AS_INSTALLED, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def imported(command: list[str]) -> set[str]:
    """Top-level packages that a command imports, by `-X importtime`."""
    traced = [command[0], "-X", "importtime", *command[1:]]
    done = subprocess.run(traced, check=True, cwd=ROOT, env=AS_INSTALLED, capture_output=True, text=True)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in lines}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", nargs="?", default="examples/spelling.pt")
    parser.add_argument("--rounds", type=int, default=10)
    found = parser.parse_args()
    check = [sys.executable, "-m", "ptc", "check", found.program]
    lark = [sys.executable, "-c", "import lark"]
    seconds(check), seconds(lark)  # bytecode and the parser's cache are written once, by the first run ever
    times = [(seconds(check), seconds(lark)) for _ in range(found.rounds)]
    checking = statistics.median(first for first, _ in times)
    importing = statistics.median(second for _, second in times)
    heavy = sorted(imported(check).intersection(MUST_STAY_OUT))
    print(f"ptc check {found.program}   median of {found.rounds}: {checking * 1000:6.0f} ms")
    print(f'python -c "import lark"     median of {found.rounds}: {importing * 1000:6.0f} ms')
    print(f"ratio {checking / importing:.2f} (limit {LIMIT:g})")
    print(f"imported by check: {', '.join(heavy)}" if heavy else f"not imported by check: {', '.join(MUST_STAY_OUT)}")
    return 1 if heavy or checking / importing > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
