"""How far every objective is from who says the same: `python benchmarks/objectives.py`.

First TRL's own trainers, each case of `tests/objectives/trl.toml` on one batch in float32: |L - L′| / max(1, |L′|) and
‖g - g′‖ / ‖g′‖; and the weights after twenty steps of both. Then every objective of the library against its reference
in NumPy and float64, and its slope against central differences of that reference. `--write` makes
`docs/against-trl.md` anew. Exit code 1 if one is off.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "against-trl.md"
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "objectives")]
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

import parity  # noqa: E402
from against_numpy import compared  # noqa: E402
from parity_list import CASES, DOCUMENT, OMISSIONS, Case  # noqa: E402
from parity_ours import objectives  # noqa: E402
from suitable import NAMES  # noqa: E402
from twenty_steps import RUNS  # noqa: E402

REFERENCE, DIFFERENCE = 1e-6, 1e-4
"""How far an objective may be from its reference in NumPy, and its slope from the difference of that reference."""
STEPS = 1e-4
"""How far weights may be apart after twenty steps."""

HEAD = """\
# Against TRL

What TRL {version} can minimise, and what says the same here: TRL's own trainers and the compiled objective on one
batch, with responses of unequal length, a policy that has left its sampler and its reference, and ratios on both sides
of every clip, in float32. *Loss* is |L - L′| / max(1, |L′|), *gradient* ‖g - g′‖ / ‖g′‖ over all weights; both must be
at most {tolerance:.0e} (`tests/objectives/test_against_trl.py`).

The list is `tests/objectives/trl.toml`; a test fails when the installed TRL can minimise something that stands nowhere
in it. This page is written by `python benchmarks/objectives.py --write`.

## Case by case
"""
OMITTED = """\
## Left out

"""
WRONG = """\
## Where TRL is not its paper

Each is a test with numbers (`tests/objectives/test_where_trl_is_wrong.py`).

"""
TWENTY = """\
## After twenty steps

A program by `ptc run` and TRL's own Trainer, from the same weights, on the same rows in the same order, with the same
optimizer: ‖w - w′‖ / ‖w′‖ over all weights at the end, which may be 1e-4, and how far training went itself. For GRPO
TRL is given the responses and rewards that `ptc run` drew (`tests/test_twenty_steps.py`).

"""
OTHERS = """\
## Every objective against its own formula

The compiled loss in float64 against the paper's formula in NumPy, row by row (`tests/objectives/numpy_references/`),
and its slope along a random direction of what the models say against central differences of that formula. *Loss* is
relative to the formula's value, *slope* to its difference.

"""


def against_trl(cases: Sequence[Case]) -> Iterable[tuple[tuple[str, ...], bool]]:
    """A row for each case, and whether it holds."""
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            found = parity.measured(case, Path(folder))
        holds = max(found.loss, found.gradient) <= parity.TOLERANCE
        name = f"{case.name}. {case.note}" if case.note else case.name
        yield (f"`{case.ours}`", name, spelled(found.loss), spelled(found.gradient)), holds


def after_twenty_steps() -> Iterable[tuple[tuple[str, ...], bool]]:
    for name, run in RUNS.items():
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            found = run(Path(folder))
        yield (name, spelled(found.apart), spelled(found.moved)), found.apart <= STEPS


def against_numpy(names: Sequence[str]) -> Iterable[tuple[tuple[str, ...], bool]]:
    beside = {name for case in CASES for name in objectives(case.ours)}
    for name in names:
        found = compared(name)
        value = abs(found.value - found.reference) / abs(found.reference)
        slope = abs(found.slope - found.difference) / abs(found.difference)
        holds = value <= REFERENCE and slope <= DIFFERENCE
        yield (f"`{name}`", "yes" if name in beside else "–", spelled(value), spelled(slope)), holds


def spelled(distance: float) -> str:
    return f"{distance:.0e}" if distance else "0"


def shown(head: tuple[str, ...], rows: Iterable[tuple[tuple[str, ...], bool]]) -> tuple[str, int]:
    """The table, printed as it grows, and how many rows do not hold."""
    lines = [_line(head), _line(tuple("---" for _ in head))]
    print("".join(lines), end="", flush=True)
    missed = 0
    for cells, holds in rows:
        lines.append(_line(cells))
        missed += not holds
        print(lines[-1] if holds else lines[-1].rstrip("\n") + " off\n", end="", flush=True)
    return "".join(lines), missed


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def page(cases: str, steps: str, others: str) -> str:
    head = HEAD.format(version=DOCUMENT["version"], tolerance=parity.TOLERANCE)
    omitted = "".join(f"* *{omission.name}*: {omission.why}\n" for omission in OMISSIONS)
    wrong = "".join(
        f"* *{entry['where']}*. {entry['paper']}: {entry['equation']}. {entry['said']}\n" for entry in DOCUMENT["wrong"]
    )
    elsewhere = "".join(f"* `{name}`: {said}\n" for name, said in DOCUMENT["elsewhere"].items())
    parts = (f"{head}\n{cases}", OMITTED + omitted + "\nAnother part of a program than its objective:\n\n" + elsewhere)
    return "\n".join((parts[0], TWENTY + steps, parts[1], WRONG + wrong, OTHERS + others))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="objectives to compare")
    parser.add_argument("--write", action="store_true", help="write the page of the documentation")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    only = set(arguments.only)
    cases = [case for case in CASES if not only or only & set(objectives(case.ours))]
    names = [name for name in NAMES if not only or name in only]
    table, missed = shown(("objective", "TRL", "loss", "gradient"), against_trl(cases))
    steps, far = "", 0
    if not only:
        print()
        steps, far = shown(("20 steps of", "apart", "moved"), after_twenty_steps())
    print()
    others, also = shown(("objective", "beside TRL", "loss", "slope"), against_numpy(names))
    print(f"\n{len(cases)} losses of TRL {DOCUMENT['version']}, {len(names)} objectives, {missed + far + also} off")
    if arguments.write:
        PAGE.write_text(page(table, steps, others), encoding="utf-8")
    return 1 if missed + far + also else 0


if __name__ == "__main__":
    sys.exit(main())
