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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from populations import ATTEMPTS, DIFFICULTIES, EFFECTS, RATIOS, Population, Ratio, draw, seen, unchanged, with_effect

from ptc.runtime import intervals
from ptc.runtime.intervals import Statistic, limits
from ptc.runtime.nodes.claims import JUDGES, Paired

PAGE = Path(__file__).resolve().parent.parent / "docs" / "verdicts.md"
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


def cells(names: list[str], draws: int) -> Iterator[Cell]:
    for name in names:
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
"""The statistic whose effect is dialled for each claim."""


@dataclass(frozen=True)
class Judged:
    """Shares of the verdicts on eval sets drawn from one population."""

    role: str
    difficulty: str
    effect: float
    prompts: int
    supported: float
    refuted: float


def judged(role: str, difficulty: str, effect: float, prompts: int, draws: int) -> Judged | None:
    population = with_effect(RATIOS[CLAIMS[role]], difficulty, effect, prompts)
    if population is None:
        return None
    drawn = draw(population, prompts, draws, np.random.default_rng(prompts + 1))
    attempts = np.full(prompts, ATTEMPTS)
    found = [
        JUDGES[role](Paired(attempts, before, attempts, after, attempts, again), ATTEMPTS, TOLERANCE).verdict
        for before, again, after in zip(drawn.before, drawn.again, drawn.after, strict=True)
    ]
    return Judged(role, difficulty, effect, prompts, found.count("supported") / draws, found.count("refuted") / draws)


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


def lines(found: list[Cell]) -> list[Line]:
    names = dict.fromkeys((each.statistic, each.prompts) for each in found)
    return [line([each for each in found if (each.statistic, each.prompts) == name]) for name in names]


HEAD = """\
| statistic | prompts | populations | coverage, least | supported at no effect, most | right at ±4 half-widths, least |
| --- | --- | --- | --- | --- | --- |
"""


def row(each: Line) -> str:
    mark = " (approximate)" if each.approximate else ""
    figures = f"{each.coverage:.3f}{mark} | {each.falsely_supported:.3f} | {each.right:.3f}"
    return f"| {each.statistic} | {each.prompts} | {each.populations} | {figures} |\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--draws", type=int, default=DRAWS, help="eval sets per population")
    parser.add_argument("--only", nargs="*", metavar="NAME", choices=[*STATISTICS], help="statistics")
    arguments = parser.parse_args()
    started = time.monotonic()
    print(HEAD, end="")
    off = 0
    for name in arguments.only or STATISTICS:
        for each in lines(list(cells([name], arguments.draws))):
            off += each.off
            print(row(each), end="", flush=True)
    print(f"\n{off} off, in {time.monotonic() - started:.0f} s")
    return 1 if off else 0


if __name__ == "__main__":
    sys.exit(main())
