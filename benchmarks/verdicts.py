"""How often the intervals hold the truth, and how often a verdict is right: `python benchmarks/verdicts.py`.

The truths are those of `populations.py`. For each statistic behind a claim, for populations of four difficulties and
effects of 0, ±0.5, ±1, ±2 and ±4 half-widths, many eval sets of 30, 100 and 500 prompts are drawn, each is given to
what `ptc` gives its own measurements to, and what it says is compared with what is so. Exit code 1 if something is off
that is not called approximate.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from populations import ATTEMPTS, DIFFICULTIES, EFFECTS, RATIOS, Population, draw, with_effect
from simulation import DRAWS, SIZES, TESTED, Cell, cells

from ptc.runtime.nodes.claims import JUDGES, Paired

PAGE = Path(__file__).resolve().parent.parent / "docs" / "verdicts.md"
INTRODUCTION = """\
# Whether verdicts are right

A verdict is about all prompts that an eval could have been made of, and is given on those that it was made of. Here
the whole population is known: 4,000 prompts with a chance of success each, before a stage and after it, of four kinds
(known or not, middling, hard, easy), or texts and scores of several kinds, and stages that move them by an effect of
wanted size (`benchmarks/populations.py` and `score_populations.py`, each written before what is tested here). 2,000
eval sets are drawn from each (400 for whole verdicts on something moved) and judged by the code that judges a run.

*Coverage*: how often the 95 % interval holds the truth. *Supported at no effect*: how often a claim would be called
supported though its statistic lies at its limit. *Right*: how often an effect of four half-widths lies on its side of
the limit (–: no population has one). Each is the worst over all populations. From 100 prompts on, a coverage of less
than 0.93 makes a statistic an approximate one; what *decides* something must besides be supported at no effect in at
most 0.035 and be right in at least 0.95. What decides nothing is told with its interval: a `require` or an `ensure` is
decided by the estimate. Of the attrition, "supported" means that support was lost for sure, which refutes `reshapes`.

This page is written by `python benchmarks/verdicts.py --write`.

## What it means

- **30 prompts** are few: nothing is called supported that is not so, but an effect of four half-widths is often left
  undecided, for retention most often. What is promised here is promised from 100 prompts on.
- **SRR** decides nothing, and no interval could make it: on the eval of hard prompts 27 of 100 are solved at entry, and
  a stage that loses a tenth of what is solved loses none of 27 in 0.9^27 = 5.8 % of all sets. Whoever calls "nothing
  lost" supported there is wrong more often than 3.5 %. The half-width of so skewed an estimate says little: it is taken
  where hardly anything is lost, not at the limit. `reshapes` therefore asks whether more is lost than may be for sure.
- **Scores without bounds** that are nothing at nine prompts of ten, and texts a few of which are very hard to foresee,
  are *approximate* at 100 prompts: what an eval set has not seen of a long tail, no interval over prompts knows.
- The **amortisation gap** (plain less scaffolded) is what a comparison with a scaffold would be judged by. No claim is
  yet: it is told here for the interval's sake.
- The retention's made-up prompts and the doubled ends of scores were chosen among a few rules by these populations.
  `retention` at 100 prompts is right by little: in 24,000 draws of its worst population, in 0.958. At 500 prompts
  `consolidates` was supported at no effect in 0.038 of the 2,000 sets below, which is more than 0.035; in 24,000 others
  of that population its interval was so in 0.031. That is at the edge, and is not called kept.
  On four populations of other shapes, tried once and after the choice (Beta(0.3, 0.7), Beta(8, 5), and seven tenths of
  no chance, or of certainty, beside Beta(0.6, 4) or its mirror), the retention of 100 prompts was right in 0.916 and
  the attrition in 0.949, and the retention of 500 was supported at no effect in 0.039; everything else that decides a
  claim of a pass rate held. Where most of an eval is out of reach or certain, take more prompts.

## What an eval can decide

`ptc plan` says it before a run, in half-widths of the same intervals: a change that is *measured* greater than that is
told from none, a true change of that size in every other run. *At worst* supposes prompts that are each known or not,
half of them, and a stage that has nothing to do with what was known before; a stage that turned every prompt into its
opposite would be worse still. *As measured* takes what the store has of the same eval on the same prompts: two models'
rates in pairs, the widest pair of them, or one model's rates shuffled against themselves, as if pairing helped nothing.
Both suppose that the same prompts are measured before and after, which is what a claim does. A verdict that is
undecided names the half-width that it was left with.
"""

COVERED = 0.93
FALSELY_SUPPORTED = 0.035
RIGHT = 0.95
SURE_FROM = 100
"""Prompts from which a statistic whose interval holds the truth less often is called approximate."""

# The verdicts themselves ----------------------------------------------------------------------------------------------

TOLERANCE = 0.05
CLAIMS: Mapping[str, str] = {"expands": "NSCR", "reshapes": "Δpass@1", "consolidates": "retention"}
"""The statistic whose effect is dialled for each claim: its limit is that of the claim at this tolerance."""


@dataclass(frozen=True)
class Judged:
    """Shares of the verdicts on eval sets drawn from populations at one effect: the mean of all, and the worst."""

    role: str
    prompts: int
    effect: float
    supported: float
    refuted: float
    most_supported: float
    populations: int

    @property
    def off(self) -> bool:
        return self.effect == 0.0 and self.prompts >= SURE_FROM and self.most_supported > FALSELY_SUPPORTED


def judged(role: str, effect: float, prompts: int, draws: int) -> Judged | None:
    """None where no population has such an effect."""
    of = (with_effect(RATIOS[CLAIMS[role]], difficulty, effect, prompts) for difficulty in DIFFICULTIES)
    found = [_verdicts(role, population, prompts, draws) for population in of if population is not None]
    if not found:
        return None
    supported, refuted = ([each.count(verdict) / draws for each in found] for verdict in ("supported", "refuted"))
    return Judged(role, prompts, effect, float(np.mean(supported)), float(np.mean(refuted)), max(supported), len(found))


def _verdicts(role: str, population: Population, prompts: int, draws: int) -> list[str]:
    drawn = draw(population, prompts, draws, np.random.default_rng(prompts + 1))
    attempts = np.full(prompts, ATTEMPTS)
    sets = zip(drawn.before, drawn.again, drawn.after, strict=True)
    pairs = (Paired(attempts, before, attempts, after, attempts, again) for before, again, after in sets)
    return [JUDGES[role](paired, ATTEMPTS, TOLERANCE).verdict for paired in pairs]


# What is printed ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """The worst of all populations, for one statistic at one number of prompts."""

    statistic: str
    prompts: int
    coverage: float
    falsely_supported: float
    right: float | None
    """Where the effect is 4 half-widths: shares of intervals on its side of the limit; None if nothing moves so far."""
    populations: int

    @property
    def approximate(self) -> bool:
        return self.prompts >= SURE_FROM and self.coverage < COVERED

    @property
    def off(self) -> bool:
        wrong = self.falsely_supported > FALSELY_SUPPORTED or (self.right is not None and self.right < RIGHT)
        return self.prompts >= SURE_FROM and bool(TESTED[self.statistic].decides) and wrong


def line(some: list[Cell]) -> Line:
    return Line(
        some[0].statistic,
        some[0].prompts,
        min(each.coverage for each in some),
        max(each.supported for each in some if each.null),
        min((each.right for each in some if each.effect in (-4.0, 4.0)), default=None),
        len(some),
    )


STATISTICS_HEAD = """\
| statistic | decides | prompts | populations | coverage | supported at no effect | right |
| --- | --- | --- | --- | --- | --- | --- |
"""
VERDICTS_HEAD = """
| claim | prompts | effect | populations | supported | refuted | supported, most |
| --- | --- | --- | --- | --- | --- | --- |
"""


def spelled(each: Line | Judged) -> str:
    if isinstance(each, Judged):
        figures = f"{each.supported:.3f} | {each.refuted:.3f} | {each.most_supported:.3f}"
        return f"| {each.role} | {each.prompts} | {each.effect:+g} | {each.populations} | {figures} |\n"
    mark = " (approximate)" if each.approximate else ""
    right = "–" if each.right is None else f"{each.right:.3f}"
    decides = TESTED[each.statistic].decides or "–"
    figures = f"{each.coverage:.3f}{mark} | {each.falsely_supported:.3f} | {right}"
    return f"| {each.statistic} | {decides} | {each.prompts} | {each.populations} | {figures} |\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--draws", type=int, default=DRAWS, help="eval sets per population")
    parser.add_argument("--only", nargs="*", metavar="NAME", choices=[*TESTED, *CLAIMS], help="statistics, claims")
    parser.add_argument("--write", action="store_true", help="write the page of the documentation")
    arguments = parser.parse_args()
    wanted, started = arguments.only or [*TESTED, *CLAIMS], time.monotonic()
    off, printed = 0, ""
    for part in parts(wanted, arguments.draws):
        off += 0 if isinstance(part, str) else part.off
        printed += part if isinstance(part, str) else spelled(part)
        print(part if isinstance(part, str) else spelled(part), end="", flush=True)
    print(f"\n{off} off, in {time.monotonic() - started:.0f} s")
    if arguments.write:
        PAGE.write_text(f"{INTRODUCTION}\n{printed}", encoding="utf-8")
    return 1 if off else 0


def parts(wanted: Sequence[str], draws: int) -> Iterator[str | Line | Judged]:
    """What is printed, as it is found."""
    yield STATISTICS_HEAD
    for name in wanted:
        if name in TESTED:
            found = list(cells(name, draws))
            yield from (line([each for each in found if each.prompts == prompts]) for prompts in SIZES)
    yield VERDICTS_HEAD
    for role in wanted:
        if role in CLAIMS:
            judgements = (
                judged(role, effect, prompts, draws if effect == 0 else draws // 5)
                for prompts in SIZES
                for effect in EFFECTS
            )
            yield from (each for each in judgements if each is not None)


if __name__ == "__main__":
    sys.exit(main())
