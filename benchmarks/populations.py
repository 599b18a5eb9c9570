"""Populations of prompts whose every statistic is known exactly, and effects of a wanted size in them.

An eval set is a draw of prompts from a population, and each prompt's attempts are draws from the model; what a verdict
is about is the population. Here a population is a list of prompts with the chance of success at each, before a stage
and after it, so what `ptc` estimates from a few prompts and attempts can be written down: `truth`. `with_effect` makes
the population in which a statistic lies a wanted number of half-widths from its limit, at a given number of prompts.

The half-width is 1.96 standard deviations of the plain estimate over draws of prompts and attempts. It is computed
here, by no code of `ptc`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

Reals = NDArray[np.float64]
Counts = NDArray[np.int64]

PROMPTS = 4_000
"""Prompts of a population."""
ATTEMPTS = 16
"""Attempts at a prompt in each measurement; pass@k is read at this k, where counts say least."""


@dataclass(frozen=True)
class Population:
    """The chance of success at each prompt, before and after; shape [prompts]."""

    before: Reals
    after: Reals


@dataclass(frozen=True)
class Drawn:
    """Right attempts, of `ATTEMPTS` each: at entry, in a second draw at entry, at exit; shape [draws, prompts]."""

    before: Counts
    again: Counts
    after: Counts


def draw(population: Population, prompts: int, draws: int, rng: np.random.Generator) -> Drawn:
    """Eval sets of `prompts` prompts each, drawn from the population with replacement, and attempts at them."""
    chosen = rng.integers(len(population.before), size=(draws, prompts))
    before, after = population.before[chosen], population.after[chosen]
    return Drawn(*(rng.binomial(ATTEMPTS, chance) for chance in (before, before, after)))


# What is asked of a population ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ratio:
    """A statistic of the population: mean numerator over mean denominator, each a function of one prompt's draws.

    Both are exact as expectations over a prompt's independent draws, `before`, `again` and `after`: functions of the
    chances of at least one success in `k` attempts, or of the rates.
    """

    name: str
    k: int
    numerator: Callable[[Reals, Reals, Reals], Reals]
    denominator: Callable[[Reals, Reals, Reals], Reals]
    limit: float
    """What a claim compares it with."""

    def truth(self, population: Population) -> float:
        """The exact value: draws are independent given the prompt, so expectations of products are products."""
        before, after = (solved(chance, self.k) for chance in (population.before, population.after))
        return float(self.numerator(before, before, after).sum() / self.denominator(before, before, after).sum())


def solved(chance: Reals, k: int) -> Reals:
    """The chance of at least one success in k attempts."""
    return 1.0 - (1.0 - chance) ** k


def seen(counts: Counts, k: int) -> Reals:
    """The share of choices of k of the attempts that hold a success: 1 - C(n - c, k) / C(n, k)."""
    failures = ATTEMPTS - np.arange(ATTEMPTS + 1)
    by_count = np.asarray(1.0 - special.binom(failures, k) / special.binom(ATTEMPTS, k), dtype=np.float64)
    return by_count[counts]


def _one(before: Reals, again: Reals, after: Reals) -> Reals:
    return np.ones_like(before)


RATIOS: Mapping[str, Ratio] = {
    ratio.name: ratio
    for ratio in (
        Ratio("pass@1", 1, lambda b, g, a: a, _one, 0.5),
        Ratio("pass@16", 16, lambda b, g, a: a, _one, 0.5),
        Ratio("Δpass@1", 1, lambda b, g, a: a - b, _one, 0.0),
        Ratio("Δpass@16", 16, lambda b, g, a: a - b, _one, 0.0),
        Ratio("NSCR", 16, lambda b, g, a: a - b, lambda b, g, a: a + b - a * b, 0.0),
        Ratio("SRR", 16, lambda b, g, a: a * b, lambda b, g, a: b, 0.9),
        Ratio("newly solved", 16, lambda b, g, a: (1 - b) * (a - g), _one, 0.0),
        Ratio("attrition", 16, lambda b, g, a: b * (g - a), lambda b, g, a: b, 0.05),
        Ratio("retention", 1, lambda b, g, a: a, lambda b, g, a: b, 0.95),
    )
}
"""The statistics behind the claims. In `newly solved` and `attrition` a second draw at entry takes away what comes and
goes between two draws of the same weights."""


# Populations ----------------------------------------------------------------------------------------------------------


def _difficulties() -> Mapping[str, Reals]:
    """Chances of success at entry, from quantiles of Beta distributions."""
    half = PROMPTS // 2
    hard = np.concatenate([np.zeros(half), _beta(0.4, 3.0, PROMPTS - half)])
    return {
        "known or not": _beta(0.5, 0.5, PROMPTS),
        "middling": _beta(3.0, 3.0, PROMPTS),
        "hard": hard,
        "easy": 1.0 - hard,
    }


def _beta(a: float, b: float, prompts: int) -> Reals:
    return np.asarray(special.betaincinv(a, b, (np.arange(prompts) + 0.5) / prompts), dtype=np.float64)


DIFFICULTIES = _difficulties()

CHURN = 1.0
"""Standard deviation, in logits, of what training does to a prompt besides what it does to all."""
OPENED = 0.3
"""The share of prompts out of reach that training may open, and of prompts within reach that it may close."""


def moved(before: Reals, shift: float, seed: int) -> Population:
    """The population after a stage that moves every logit by `shift` and by noise of its own.

    Prompts with no chance gain one in proportion to a positive shift, and others lose theirs in proportion to a
    negative one: a stage opens and closes what no shift of logits reaches.
    """
    rng = np.random.default_rng(seed)
    noise, luck = rng.normal(0.0, CHURN, len(before)), rng.random(len(before))
    inside = np.clip(before, 1e-9, 1 - 1e-9)
    after = special.expit(special.logit(inside) + noise + shift)
    reached = OPENED * np.tanh(abs(shift))
    opened = np.where(luck < reached, special.expit(noise + shift), before)
    after = np.where((before == 0.0) & (shift > 0), opened, np.where(before == 0.0, 0.0, after))
    closed = np.where(luck < reached, 0.0, after)
    return Population(before, closed if shift < 0 else after)


def half_width(ratio: Ratio, population: Population, prompts: int) -> float:
    """1.96 standard deviations of the plain estimate over eval sets of that many prompts, to first order.

    A ratio of means varies as the mean of `numerator - ratio * denominator` over the mean denominator.
    """
    return _spread(ratio, population) / math.sqrt(prompts)


def _spread(ratio: Ratio, population: Population) -> float:
    columns = [seen(counts[0], ratio.k) for counts in _attempts_at(population)]
    rest = ratio.numerator(*columns) - ratio.truth(population) * ratio.denominator(*columns)
    return float(1.96 * rest.std() / ratio.denominator(*columns).mean())


def _attempts_at(population: Population) -> tuple[Counts, Counts, Counts]:
    drawn = draw(population, 20_000, 1, np.random.default_rng(0))
    return drawn.before, drawn.again, drawn.after


EFFECTS = (-4.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 4.0)
"""Half-widths from the limit."""
SHIFTS = np.linspace(-8.0, 8.0, 65)
STILL = 1e-3


def with_effect(ratio: Ratio, difficulty: str, effect: float, prompts: int) -> Population | None:
    """The population in which the statistic lies `effect` half-widths from its limit.

    None, if no shift reaches that, or if the statistic hardly varies there.
    """

    def beyond(shift: float) -> float:
        truth, spread = _at(ratio.name, difficulty, shift)
        return truth - ratio.limit - effect * spread / math.sqrt(prompts)

    found = [beyond(float(shift)) for shift in SHIFTS]
    for left, right, low, high in zip(SHIFTS, SHIFTS[1:], found, found[1:], strict=False):
        if low < 0 <= high or high < 0 <= low:
            shift = float(optimize.brentq(beyond, left, right, xtol=1e-4))
            population = moved(DIFFICULTIES[difficulty], shift, seed=1)
            return population if half_width(ratio, population, prompts) > STILL else None
    return None


@cache
def _at(name: str, difficulty: str, shift: float) -> tuple[float, float]:
    """Truth and spread of a statistic at a shift: they are asked for at every effect and number of prompts."""
    population = moved(DIFFICULTIES[difficulty], shift, seed=1)
    return RATIOS[name].truth(population), _spread(RATIOS[name], population)


def unchanged(difficulty: str) -> Population:
    """A stage that did nothing."""
    return Population(DIFFICULTIES[difficulty], DIFFICULTIES[difficulty])
