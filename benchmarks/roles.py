"""Verdicts on a hundred stages that are really trained, beside what is so: `python benchmarks/roles.py`.

Ten designs in ten doses, from one base, by real programs, the real executor and the real node `train`, on prompts so
few that every chance of success is known exactly, and so what each stage did. Each claims every role that it may.
`--stages N` trains fewer, `--only DESIGN …` some designs, `--write` makes `docs/roles-measured.md` anew. Exit code 1
if the verdicts are worse than what is promised of them.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from trained import confusion
from trained.recipes import ATTEMPTS, DESIGNS, PROMPTS, Design, program
from trained.stages import Claimed, Laboratory
from trained.words import POPULATION
from transformers.utils.logging import disable_progress_bar

PAGE = Path(__file__).resolve().parent.parent / "docs" / "roles-measured.md"
INTRODUCTION = f"""\
# Roles that are measured, and what they are

Verdicts on stages that are really trained, where what each stage did is known. The world has {len(POPULATION):,}
prompts: words of three letters out of twelve, to be copied, mirrored or shifted by a letter. A model of two layers has
learned from others of such words to copy mostly and to mirror now and then. From there ten designs set out, in ten
doses each: by demonstrations, by rewards, by its own right attempts, from copies of one skill only, from wrong answers,
into smaller students, or with a learning rate that moves nothing. One program trains ten of them, by the ordinary
executor; all share the base in one store.

An attempt is as long as the answer, so one sequence of tokens is right and its probability is the chance of success.
With the chances of all prompts before and after a stage every statistic of the population is known, and so is whether
the stage *expands* (NSCR and newly solved prompts above 0), *reshapes* (pass@1 rises, attrition at most 5 %) or
*consolidates* (at least 95 % of pass@1 retained). Each stage claims all of these that it may, on an eval of its own:
{PROMPTS} prompts drawn from the population, {ATTEMPTS} attempts each. How far a truth lies from its limit is counted in
half-widths of a 95 % interval on so many prompts (`benchmarks/populations.py`, no code of `ptc`).

This page is written by `python benchmarks/roles.py --write`. The designs were written down before their verdicts; other
machines round otherwise, and train other stages.
"""


def trained(stages: int, designs: Sequence[Design], folder: Path) -> Iterator[Claimed]:
    """The claims of so many stages: one of each design, then the next dose."""
    laboratory = Laboratory(folder)
    for place in range(-(-stages // len(designs))):
        with contextlib.redirect_stdout(io.StringIO()):
            found = list(laboratory.claims(place, designs[: stages - place * len(designs)]))
        yield from found


def report(claims: Sequence[Claimed]) -> Iterator[str]:
    """The page but for its introduction."""
    unsure = [abs(each.truth.distance) for each in claims if each.verdict == "undecided"]
    yield "\n## Verdicts and truth\n"
    yield from confusion.by_role(claims)
    yield ""
    yield from (f"* {promise}" for promise in confusion.promises(claims))
    if unsure:
        middle, most = sorted(unsure)[len(unsure) // 2], max(unsure)
        yield f"* undecided: {len(unsure)} of {len(claims)}; their truths lie {middle:.1f} half-widths from the limit"
        yield f"  (median), {most:.1f} at most"
    yield "\nBy how far the truth lies from the limit; below 0 a claim does not hold:\n"
    yield from confusion.by_distance(claims)
    yield "\n## Wrong verdicts\n"
    yield from confusion.wrong(claims)
    yield f"\nClaims to reshape where pass@1 rises and attrition is above its limit: {confusion.lost_support(claims)}."
    yield "A loss that is sure refutes them; one that may be does not hold them up."
    yield "\n## Why entries are drawn twice\n"
    yield f"Newly solved prompts, of {PROMPTS}, by the use of the second draw, over all claims to expand. Entry and"
    yield "exit are sampled from the same seeds, the second draw is not:\n"
    yield from confusion.by_draws(claims)
    yield "\n## In words\n\nWhat stages did, and what their claim to expand says that was measured:\n"
    yield from confusion.by_word(claims)
    yield "\n## Stage by stage\n\nHalf-widths from the limit, and the verdict:\n"
    yield from confusion.by_stage(claims)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    names = [design.name for design in DESIGNS]
    parser.add_argument("--stages", type=int, help="how many; all of them by default")
    parser.add_argument("--only", nargs="*", metavar="DESIGN", choices=names, help="designs to train")
    parser.add_argument("--write", action="store_true", help="write the page of the documentation")
    arguments = parser.parse_args()
    disable_progress_bar()
    designs = [design for design in DESIGNS if design.name in (arguments.only or names)]
    most = sum(len(design.doses) for design in designs)
    stages = min(arguments.stages or most, most)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        claims = list(trained(stages, designs, Path(folder)))
    text = "\n".join(report(claims)) + "\n"
    print(text)
    print(f"{len(claims)} claims of {stages} stages in {time.monotonic() - started:.0f} s")
    if arguments.write:
        example = f"\n## One of the programs\n\n```\n{program(0, designs)}```\n"
        PAGE.write_text(INTRODUCTION + text + example, encoding="utf-8")
    return 0 if all(promise.kept for promise in confusion.promises(claims)) else 1


if __name__ == "__main__":
    sys.exit(main())
