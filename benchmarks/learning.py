"""What every objective of the library learns on a world that can be written out: `python benchmarks/learning.py`.

Real programs, trained by the real node, with attempts by the real engine; beside each quantity what it should be by
the objective's own mathematics. Takes some minutes on one thread. `--only NAME …` runs some cases, `--write` makes
`docs/objectives-learn.md` anew, `--seed N` takes other models, batches and attempts. Exit code 1 if a quantity is off.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from enumerable.table import CASES, Row, Section, markdown, page
from enumerable.world import World, quiet

PAGE = Path(__file__).resolve().parent.parent / "docs" / "objectives-learn.md"
SECTIONS = (
    "targets",
    "preferences",
    "likelihoods",
    "attempts",
    "teachers",
    "strangers",
    "processes",
    "judges",
    "contexts",
)

for section in SECTIONS:
    import_module(f"enumerable.{section}")


def taught(name: str, seed: int = 0) -> list[Row]:
    """One case, in a world of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return list(CASES[name].run(World(Path(folder), seed)))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="*", metavar="NAME", choices=CASES, help="cases to run")
    parser.add_argument("--seed", type=int, default=0, help="moves every seed of the world; the page is of seed 0")
    parser.add_argument("--write", action="store_true", help="write the page of the documentation")
    arguments = parser.parse_args()
    quiet()
    started = time.monotonic()
    found: list[tuple[Section, list[Row]]] = []
    for name in arguments.only or CASES:
        rows = taught(name, arguments.seed)
        found.append((CASES[name].section, rows))
        print(markdown(rows, head=len(found) == 1), end="", flush=True)
    rows = [row for _, several in found for row in several]
    missed = [row for row in rows if not row.holds]
    print(f"\n{len(rows)} quantities of {len({row.objective for row in rows})} objectives, ", end="")
    print(f"{len(missed)} off, in {time.monotonic() - started:.0f} s")
    print(markdown(missed, head=bool(missed)), end="")
    if arguments.write:
        PAGE.write_text(page(found), encoding="utf-8")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
