"""Populations for the statistics that are no pass@k: scores, bits, win rates, informative groups, gaps, protection.

As in `populations.py`, the population is a list of prompts, or of texts, of which everything is known; what is asked of
it is an exact number; an eval set is a draw from it; and an effect is a wanted number of half-widths from a limit. The
truths are computed here, by no code of `ptc`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from populations import ATTEMPTS, DIFFICULTIES, PROMPTS, moved, solved
from scipy import optimize

Reals = NDArray[np.float64]
Rng = np.random.Generator

GROUP = 8
"""Attempts of a group that is informative if not all have the same reward."""
TIES = 0.2
"""The share of comparisons that nobody wins, of those that are not lost or won for sure."""


@dataclass(frozen=True)
class Kind:
    """Prompts before a stage and after it, and what an eval sees of each: columns of shape [..., prompts].

    What is expected of a column is exact, whatever noise there is in what is seen.
    """

    entries: Mapping[str, Reals]
    """What the model is worth at each prompt before the stage, by the name of a difficulty; shape [prompts]."""
    after: Callable[[Reals, float], Reals]
    """What it is worth after a stage of a given shift."""
    expected: Callable[[Reals], Reals]
    """The mean of what is seen of a prompt, given what the model is worth at it."""
    seen: Callable[[Reals, Rng], Reals]
    noise: Callable[[Reals], Reals] = np.zeros_like
    """The variance of what is seen of a prompt, given what the model is worth at it."""


@dataclass(frozen=True)
class Case:
    """A statistic of a kind: mean numerator over mean denominator of the columns before, after and size.

    Or that in standard deviations of what is seen before, over prompts.
    """

    name: str
    kind: Kind
    limit: float
    """What a claim or a gate compares it with."""
    numerator: Callable[[Reals, Reals, Reals], Reals]
    denominator: Callable[[Reals, Reals, Reals], Reals]
    before: Kind | None = None
    """What is seen before, where that is seen otherwise than what comes after: a scaffold of attempts."""
    in_spreads: bool = False

    def truth(self, population: Population) -> float:
        """Numerators and denominators are linear in their columns, so their expectations are those of expectations."""
        columns = self._first.expected(population.before), self.kind.expected(population.after), population.size
        ratio = float(self.numerator(*columns).mean() / self.denominator(*columns).mean())
        if not self.in_spreads:
            return ratio
        return ratio / float(np.sqrt(columns[0].var() + self._first.noise(population.before).mean()))

    def influence(self, population: Population, columns: tuple[Reals, Reals, Reals]) -> Reals:
        """How far each prompt, added to all, moves the plain estimate: its variance is that of a set of one prompt."""
        truth, bottom = self.truth(population), self.denominator(*columns)
        if not self.in_spreads:
            return (self.numerator(*columns) - truth * bottom) / bottom.mean()
        spread = columns[0].std()
        off = (columns[0] - columns[0].mean()) / spread
        return self.numerator(*columns) / bottom.mean() / spread - truth * (1 + (off**2 - 1) / 2)

    def draw(self, population: Population, prompts: int, draws: int, rng: Rng) -> tuple[Reals, Reals, Reals]:
        """What eval sets of so many prompts show: columns of shape [draws, prompts]."""
        chosen = rng.integers(len(population.before), size=(draws, prompts))
        before = self._first.seen(population.before[chosen], rng)
        return before, self.kind.seen(population.after[chosen], rng), population.size[chosen]

    @property
    def _first(self) -> Kind:
        return self.before or self.kind


@dataclass(frozen=True)
class Population:
    """What the model is worth at each prompt before and after, and the prompt's size; shape [prompts]."""

    before: Reals
    after: Reals
    size: Reals


# Kinds ----------------------------------------------------------------------------------------------------------------


def _quantiles() -> Reals:
    return (np.arange(PROMPTS) + 0.5) / PROMPTS


def _shuffled(values: Reals, seed: int) -> Reals:
    return np.random.default_rng(seed).permutation(values)


def _normal(seed: int) -> Reals:
    return _shuffled(np.sqrt(2.0) * _inverse_error(2 * _quantiles() - 1), seed)


def _inverse_error(share: Reals) -> Reals:
    from scipy.special import erfinv

    return np.asarray(erfinv(share), dtype=np.float64)


def _itself(value: Reals) -> Reals:
    return value


def _exactly(value: Reals, rng: Rng) -> Reals:
    return value


def _scores() -> Kind:
    """Mean scores of a prompt, at least 0 and without an upper bound: even, skewed as a logarithm's normal, rare."""
    rare = np.where(_quantiles() < 0.9, 0.0, -np.log1p(-(_quantiles() - 0.9) / 0.1 * (1 - 1e-3)))
    entries = {"even": np.exp(0.3 * _normal(1)), "skewed": np.exp(_normal(1)), "rare": rare}
    change = np.exp(0.4 * _normal(2))
    return Kind(
        entries, lambda entry, shift: entry * change * np.exp(shift), _itself, _gamma, lambda mean: mean**2 / ATTEMPTS
    )


def _gamma(mean: Reals, rng: Rng) -> Reals:
    """The mean of 16 attempts whose scores are exponentially distributed."""
    return rng.gamma(ATTEMPTS, 1.0, mean.shape) * mean / ATTEMPTS


def _signed_scores() -> Kind:
    """Scores of both signs: as a reward model gives them, and with prompts that go very wrong."""
    wrong = np.where(_quantiles() < 0.05, -8.0, 1.0)
    entries = {"reward model": _normal(1), "a few very wrong": _shuffled(wrong, 3) + 0.5 * _normal(1)}
    change = 0.5 * _normal(2)
    return Kind(
        entries,
        lambda entry, shift: entry + change + shift,
        _itself,
        _noisy,
        lambda mean: np.full_like(mean, 1 / ATTEMPTS),
    )


def _noisy(mean: Reals, rng: Rng) -> Reals:
    return mean + rng.normal(0.0, 1.0 / np.sqrt(ATTEMPTS), mean.shape)


def _bits() -> Kind:
    """Bits of a text per character of it: even, and with a few texts that are hard to foresee. Nothing is random."""
    entries = {"even": 1.5 * np.exp(0.2 * _normal(4)), "a few surprises": 0.5 + np.exp(_normal(4))}
    change = np.exp(0.15 * _normal(5))
    return Kind(entries, lambda entry, shift: entry * change * np.exp(shift / 4), _itself, _exactly)


SIZES_OF_TEXTS = np.exp(5 + 0.8 * _normal(6))
"""Characters of a text."""


def _rates(seen: Callable[[Reals, Rng], Reals], expected: Callable[[Reals], Reals]) -> Kind:
    """What is seen of a chance of success, which a stage moves as it does in `populations.py`."""
    return Kind(DIFFICULTIES, lambda entry, shift: moved(entry, shift, seed=2).after, expected, seen)


def _rate(chance: Reals, rng: Rng) -> Reals:
    return rng.binomial(ATTEMPTS, chance) / ATTEMPTS


def _wins(chance: Reals, rng: Rng) -> Reals:
    """A share of the comparisons is a tie, which is half a win."""
    ties = rng.binomial(ATTEMPTS, TIES, chance.shape)
    return (rng.binomial(ATTEMPTS - ties, chance) + ties / 2) / ATTEMPTS


def _expected_wins(chance: Reals) -> Reals:
    return (1 - TIES) * chance + TIES / 2


def _informative(chance: Reals, rng: Rng) -> Reals:
    right = rng.binomial(GROUP, chance)
    return ((right > 0) & (right < GROUP)).astype(np.float64)


def _expected_informative(chance: Reals) -> Reals:
    return 1.0 - chance**GROUP - (1.0 - chance) ** GROUP


def _best_of_n(chance: Reals, rng: Rng) -> Reals:
    """One answer a prompt, the best of all attempts: right if any is."""
    return (rng.random(chance.shape) < solved(chance, ATTEMPTS)).astype(np.float64)


def _expected_best(chance: Reals) -> Reals:
    return solved(chance, ATTEMPTS)


SCORES, SIGNED, BITS = _scores(), _signed_scores(), _bits()
RATES, WINS = _rates(_rate, _itself), _rates(_wins, _expected_wins)
INFORMATIVE, SCAFFOLDED = _rates(_informative, _expected_informative), _rates(_best_of_n, _expected_best)

# Cases ----------------------------------------------------------------------------------------------------------------


def _one(before: Reals, after: Reals, size: Reals) -> Reals:
    return np.ones_like(after)


def _change(before: Reals, after: Reals, size: Reals) -> Reals:
    return after - before


def _after(before: Reals, after: Reals, size: Reals) -> Reals:
    return after


def _before(before: Reals, after: Reals, size: Reals) -> Reals:
    return before


def _size(before: Reals, after: Reals, size: Reals) -> Reals:
    return size


CASES: Mapping[str, Case] = {
    case.name: case
    for case in (
        Case("reward", SCORES, 1.0, _after, _one),
        Case("reward of both signs", SIGNED, 0.0, _after, _one),
        Case("Δreward", SCORES, 0.0, _change, _one),
        Case("Δreward of both signs", SIGNED, 0.0, _change, _one),
        Case("Δreward in spreads", SCORES, -0.05, _change, _one, in_spreads=True),
        Case("Δreward of both signs in spreads", SIGNED, -0.05, _change, _one, in_spreads=True),
        Case("bits per character", BITS, 1.5, lambda b, a, s: a * s, _size),
        Case("Δbits per character", BITS, 0.0, lambda b, a, s: (a - b) * s, _size),
        Case("retention of bits", BITS, 0.95, lambda b, a, s: b * s, lambda b, a, s: a * s),
        Case("win rate", WINS, 0.5, _after, _one),
        Case("Δwin rate", WINS, 0.0, _change, _one),
        Case("retention of a win rate", WINS, 0.95, _after, _before),
        Case("informative rate", INFORMATIVE, 0.1, _after, _one),
        Case("amortisation, plain less scaffolded", RATES, -0.05, _change, _one, before=SCAFFOLDED),
        Case("protect's change", RATES, -0.02, _change, _one),
    )
}
"""The statistics behind the other claims and gates. Each is good where it is above its limit, but for bits."""


# Effects --------------------------------------------------------------------------------------------------------------

EFFECTS = (-4.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 4.0)
SHIFTS = np.linspace(-8.0, 8.0, 65)
STILL = 1e-3


@cache
def population(name: str, difficulty: str, shift: float) -> Population:
    kind = CASES[name].kind
    entry = kind.entries[difficulty]
    return Population(entry, kind.after(entry, shift), SIZES_OF_TEXTS)


@cache
def spread(name: str, difficulty: str, shift: float) -> float:
    """1.96 standard deviations of the plain estimate over sets of a single prompt, to first order."""
    case, found = CASES[name], population(name, difficulty, shift)
    columns = case.draw(found, 20_000, 1, np.random.default_rng(0))
    return float(1.96 * case.influence(found, columns).std())


def with_effect(name: str, difficulty: str, effect: float, prompts: int) -> Population | None:
    """The population in which the statistic lies `effect` half-widths from its limit; None if no shift reaches that."""
    case = CASES[name]

    def beyond(shift: float) -> float:
        half_width = spread(name, difficulty, shift) / np.sqrt(prompts)
        return case.truth(population(name, difficulty, shift)) - case.limit - effect * float(half_width)

    found = [beyond(float(shift)) for shift in SHIFTS]
    for left, right, low, high in zip(SHIFTS, SHIFTS[1:], found, found[1:], strict=False):
        if low < 0 <= high or high < 0 <= low:
            shift = float(optimize.brentq(beyond, left, right, xtol=1e-4))
            still = spread(name, difficulty, shift) / np.sqrt(prompts) <= STILL
            return None if still else population(name, difficulty, shift)
    return None


def with_effects(name: str, prompts: int) -> Iterator[tuple[str, float, Population]]:
    """All that there are, by difficulty and effect."""
    for difficulty in CASES[name].kind.entries:
        for effect in EFFECTS:
            found = with_effect(name, difficulty, effect, prompts)
            if found is not None:
                yield difficulty, effect, found
