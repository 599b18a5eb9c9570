"""Eval sets drawn from populations that are known, given to what `ptc` gives its own measurements to."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import score_populations
from populations import DIFFICULTIES, EFFECTS, RATIOS, Population, Reals, draw, seen, unchanged, with_effect
from score_populations import CASES

from ptc.runtime import intervals
from ptc.runtime.intervals import Statistic, limits

SIZES = (30, 100, 500)
DRAWS = 2_000

Columns = tuple[Reals, ...]
Rng = np.random.Generator


@dataclass(frozen=True)
class Tested:
    """What `ptc` computes where the generator speaks of a statistic, and of which of the generator's columns."""

    statistic: Statistic
    of: Callable[..., Columns]
    decides: str = ""
    """What it decides; nothing where it is told and decides nothing."""


def _exit(before: Reals, again: Reals, after: Reals) -> Columns:
    return (after,)


def _entry_and_exit(before: Reals, again: Reals, after: Reals) -> Columns:
    return before, after


def _all(*columns: Reals) -> Columns:
    return columns


TESTED: Mapping[str, Tested] = {
    "pass@1": Tested(intervals.RATE, _exit),
    "pass@16": Tested(intervals.RATE, _exit),
    "Δpass@1": Tested(intervals.RATE_DIFFERENCE, _entry_and_exit, "`reshapes`"),
    "Δpass@16": Tested(intervals.RATE_DIFFERENCE, _entry_and_exit),
    "NSCR": Tested(intervals.NET_SUPPORT_CHANGE, _entry_and_exit, "`expands`"),
    "SRR": Tested(intervals.SUPPORT_RETENTION, _entry_and_exit),
    "newly solved": Tested(intervals.NEWLY_SOLVED, _all, "`expands`"),
    "attrition": Tested(intervals.ATTRITION, _all, "`reshapes`"),
    "retention": Tested(intervals.RETENTION, _entry_and_exit, "`consolidates`"),
    "reward": Tested(intervals.MEAN, lambda b, a, s: (a,)),
    "reward of both signs": Tested(intervals.MEAN, lambda b, a, s: (a,)),
    "Δreward": Tested(intervals.DIFFERENCE, lambda b, a, s: (b, a), "`expands`, `reshapes`"),
    "Δreward of both signs": Tested(intervals.DIFFERENCE, lambda b, a, s: (b, a), "`expands`, `reshapes`"),
    "Δreward in spreads": Tested(intervals.MEAN, lambda b, a, s: (intervals.in_spreads(b, a),), "`consolidates`"),
    "Δreward of both signs in spreads": Tested(
        intervals.MEAN, lambda b, a, s: (intervals.in_spreads(b, a),), "`consolidates`"
    ),
    "bits per character": Tested(intervals.RATIO, lambda b, a, s: (a * s, s)),
    "Δbits per character": Tested(
        intervals.CHANGE_OF_RATIO, lambda b, a, s: (b * s, a * s, s), "`expands`, `reshapes`"
    ),
    "retention of bits": Tested(intervals.RATIO, lambda b, a, s: (b * s, a * s), "`consolidates`"),
    "win rate": Tested(intervals.RATE, lambda b, a, s: (a,)),
    "Δwin rate": Tested(intervals.RATE_DIFFERENCE, lambda b, a, s: (b, a), "`expands`, `reshapes`"),
    "retention of a win rate": Tested(intervals.RETENTION, lambda b, a, s: (b, a), "`consolidates`"),
    "informative rate": Tested(intervals.RATE, lambda b, a, s: (a,)),
    "amortisation, plain less scaffolded": Tested(intervals.RATE_DIFFERENCE, lambda b, a, s: (b, a)),
    "protect's change": Tested(intervals.RATE_DIFFERENCE, lambda b, a, s: (b, a), "`protect`"),
}
DECIDES_BELOW = frozenset({"Δbits per character"})
"""A claim is supported by these where they lie below their limit; attrition, above its limit, refutes one."""


@dataclass(frozen=True)
class Cell:
    """What became of the eval sets drawn from one population: shares of them."""

    statistic: str
    effect: float | None
    """Half-widths from the limit, to the side that a claim hopes for; None where the stage did nothing."""
    prompts: int
    coverage: float
    supported: float
    """Intervals on the side of the limit that a claim hopes for."""
    refuted: float
    null: bool
    """Nothing moved, or no further than the limit."""

    @property
    def right(self) -> float:
        return self.supported if self.effect is not None and self.effect > 0 else self.refuted


@dataclass(frozen=True)
class Asked:
    """A statistic of one population: its truth, what it is compared with, and what eval sets show."""

    name: str
    effect: float | None
    truth: float
    limit: float
    draw: Callable[[int, int, Rng], Columns]
    """Columns of shape [draws, prompts] of so many eval sets, of so many prompts each."""


def asked(name: str, prompts: int) -> Iterator[Asked]:
    """A statistic of all populations that there are of it."""
    if name in CASES:
        for _, effect, found in score_populations.with_effects(name, prompts):
            yield of_scores(name, effect, found)
        return
    for difficulty in DIFFICULTIES:
        yield of_population(name, None, unchanged(difficulty))
        for effect in EFFECTS:
            population = with_effect(RATIOS[name], difficulty, effect, prompts)
            if population is not None:
                yield of_population(name, effect, population)


def of_scores(name: str, effect: float, found: score_populations.Population) -> Asked:
    return Asked(name, effect, CASES[name].truth(found), CASES[name].limit, partial(CASES[name].draw, found))


def of_population(name: str, effect: float | None, population: Population) -> Asked:
    ratio = RATIOS[name]

    def drawn(prompts: int, draws: int, rng: Rng) -> Columns:
        sets = draw(population, prompts, draws, rng)
        return tuple(seen(counts, ratio.k) for counts in (sets.before, sets.again, sets.after))

    return Asked(name, effect, ratio.truth(population), ratio.limit, drawn)


def cells(name: str, draws: int = DRAWS) -> Iterator[Cell]:
    """All populations of a statistic, at all numbers of prompts."""
    for prompts in SIZES:
        yield from (simulated(each, prompts, draws) for each in asked(name, prompts))


def simulated(asked: Asked, prompts: int, draws: int = DRAWS) -> Cell:
    """Many eval sets of one population, and their intervals."""
    tested, sign, hair = TESTED[asked.name], -1.0 if asked.name in DECIDES_BELOW else 1.0, 1e-9
    columns = asked.draw(prompts, draws, np.random.default_rng([prompts, zlib.crc32(asked.name.encode())]))
    _, low, high = limits(tested.statistic, *tested.of(*columns))
    held = (low <= asked.truth + hair) & (asked.truth - hair <= high)
    beyond = [low > asked.limit + hair, high < asked.limit - hair]
    supported, refuted = (float(each.mean()) for each in (beyond if sign > 0 else reversed(beyond)))
    null = asked.effect == 0.0 or (asked.effect is None and sign * (asked.truth - asked.limit) <= hair)
    effect = None if asked.effect is None else sign * asked.effect
    return Cell(asked.name, effect, prompts, float(held.mean()), supported, refuted, null)
