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
from populations import ATTEMPTS, DIFFICULTIES, EFFECTS, RATIOS, Population, Ratio, draw, seen, unchanged, with_effect

from ptc.runtime import intervals
from ptc.runtime.intervals import Statistic, limits
from ptc.runtime.nodes.claims import JUDGES, Paired

PAGE = Path(__file__).resolve().parent.parent / "docs" / "verdicts.md"
INTRODUCTION = """\
# Whether verdicts are right

A verdict is about all prompts that an eval could have been made of, and is given on those that it was made of. Here
the whole population is known: 4,000 prompts with a chance of success each, before a stage and after it, of four kinds
(known or not, middling, hard, easy), and stages that move them by an effect of wanted size
(`benchmarks/populations.py`, written before what is tested here). 2,000 eval sets are drawn from each (400 for whole
verdicts) and judged by the code that judges a run.

*Coverage*: how often the 95 % interval holds the truth. *Supported at no effect*: how often a claim would be called
supported though nothing moved its statistic. *Right*: how often an effect of four half-widths lies on its side of the
limit. Each is the worst over all populations. From 100 prompts on, less than 0.93 makes a statistic an approximate one.

This page is written by `python benchmarks/verdicts.py --write`.
"""
SIZES = (30, 100, 500)
DRAWS = 2_000

COVERED = 0.93
FALSELY_SUPPORTED = 0.035
RIGHT = 0.95
SURE_FROM = 100
"""Prompts from which a statistic whose interval holds the truth less often is called approximate."""

STATISTICS: Mapping[str, tuple[Statistic, tuple[int, ...]]] = {
    "pass@1": (intervals.RATE, (2,)),
    "pass@16": (intervals.RATE, (2,)),
    "Δpass@1": (intervals.RATE_DIFFERENCE, (0, 2)),
    "Δpass@16": (intervals.RATE_DIFFERENCE, (0, 2)),
    "NSCR": (intervals.NET_SUPPORT_CHANGE, (0, 2)),
    "SRR": (intervals.SUPPORT_RETENTION, (0, 2)),
    "newly solved": (intervals.NEWLY_SOLVED, (0, 1, 2)),
    "attrition": (intervals.ATTRITION, (0, 1, 2)),
    "retention": (intervals.RETENTION, (0, 2)),
}
"""What `ptc` computes for each of the generator's statistics, and of which draws: at entry, again at entry, at exit."""


@dataclass(frozen=True)
class Cell:
    """What became of the eval sets drawn from one population: shares of them."""

    statistic: str
    difficulty: str
    effect: float | None
    """Half-widths from the limit; None where the stage did nothing."""
    prompts: int
    truth: float
    coverage: float
    above: float
    """Intervals that lie above the limit: the claim is supported."""
    below: float

    @property
    def null(self) -> bool:
        return self.effect in (None, 0.0) and self.truth <= RATIOS[self.statistic].limit + 1e-9


def simulated(
    ratio: Ratio, population: Population, difficulty: str, effect: float | None, prompts: int, draws: int = DRAWS
) -> Cell:
    """Many eval sets of one population, and their intervals."""
    statistic, which = STATISTICS[ratio.name]
    drawn = draw(population, prompts, draws, np.random.default_rng(prompts))
    columns = [seen(counts, ratio.k) for counts in (drawn.before, drawn.again, drawn.after)]
    _, low, high = limits(statistic, *(columns[place] for place in which))
    truth, hair = ratio.truth(population), 1e-9
    held = (low <= truth + hair) & (truth - hair <= high)
    above, below = low > ratio.limit + hair, high < ratio.limit - hair
    shares = (float(each.mean()) for each in (held, above, below))
    return Cell(ratio.name, difficulty, effect, prompts, truth, *shares)


def cells(name: str, draws: int) -> Iterator[Cell]:
    """All populations of a statistic, at all numbers of prompts."""
    ratio = RATIOS[name]
    for prompts in SIZES:
        for difficulty in DIFFICULTIES:
            yield simulated(ratio, unchanged(difficulty), difficulty, None, prompts, draws)
            for effect in EFFECTS:
                population = with_effect(ratio, difficulty, effect, prompts)
                if population is not None:
                    yield simulated(ratio, population, difficulty, effect, prompts, draws)


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
    right: float
    """Where the effect is 4 half-widths: shares of intervals on the right side of the limit."""
    populations: int

    @property
    def approximate(self) -> bool:
        return self.prompts >= SURE_FROM and self.coverage < COVERED

    @property
    def off(self) -> bool:
        return self.prompts >= SURE_FROM and (self.falsely_supported > FALSELY_SUPPORTED or self.right < RIGHT)


def line(some: list[Cell]) -> Line:
    far = [each.above if each.effect == 4.0 else each.below for each in some if each.effect in (-4.0, 4.0)]
    return Line(
        some[0].statistic,
        some[0].prompts,
        min(each.coverage for each in some),
        max(each.above for each in some if each.null),
        min(far, default=float("nan")),
        len(some),
    )


STATISTICS_HEAD = """\
| statistic | prompts | populations | coverage, least | supported at no effect, most | right at ±4 half-widths, least |
| --- | --- | --- | --- | --- | --- |
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
    figures = f"{each.coverage:.3f}{mark} | {each.falsely_supported:.3f} | {each.right:.3f}"
    return f"| {each.statistic} | {each.prompts} | {each.populations} | {figures} |\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--draws", type=int, default=DRAWS, help="eval sets per population")
    parser.add_argument("--only", nargs="*", metavar="NAME", choices=[*STATISTICS, *CLAIMS], help="statistics, claims")
    parser.add_argument("--write", action="store_true", help="write the page of the documentation")
    arguments = parser.parse_args()
    wanted, started = arguments.only or [*STATISTICS, *CLAIMS], time.monotonic()
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
        if name in STATISTICS:
            found = list(cells(name, draws))
            yield from (line([each for each in found if each.prompts == prompts]) for prompts in SIZES)
    yield VERDICTS_HEAD
    for role in wanted:
        if role in CLAIMS:
            judgements = (judged(role, effect, prompts, draws // 5) for prompts in SIZES for effect in EFFECTS)
            yield from (each for each in judgements if each is not None)


if __name__ == "__main__":
    sys.exit(main())
