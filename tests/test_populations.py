"""The populations whose statistics are known: what is written down is what drawing without end would give."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))

import populations
import score_populations
from populations import ATTEMPTS, RATIOS, Population, Ratio
from score_populations import CASES, Case


@pytest.mark.parametrize("ratio", RATIOS.values(), ids=RATIOS.keys())
def test_the_truth_is_what_many_draws_come_to(ratio: Ratio) -> None:
    population = populations.moved(populations.DIFFICULTIES["known or not"], 0.7, seed=3)
    drawn = populations.draw(population, 400_000, 1, np.random.default_rng(5))
    columns = [populations.seen(counts[0], ratio.k) for counts in (drawn.before, drawn.again, drawn.after)]
    estimate = ratio.numerator(*columns).mean() / ratio.denominator(*columns).mean()
    assert estimate == pytest.approx(ratio.truth(population), abs=0.005)


def test_an_effect_lies_as_many_half_widths_from_the_limit_as_was_asked() -> None:
    ratio = RATIOS["Δpass@1"]
    population = populations.with_effect(ratio, "middling", 2.0, 100)
    assert population is not None
    measured = populations.half_width(ratio, population, 100)
    assert (ratio.truth(population) - ratio.limit) / measured == pytest.approx(2.0, abs=0.05)


def test_the_half_width_is_that_of_the_estimate_over_eval_sets() -> None:
    ratio = RATIOS["retention"]
    population = populations.moved(populations.DIFFICULTIES["middling"], -0.2, seed=1)
    drawn = populations.draw(population, 200, 4_000, np.random.default_rng(2))
    before, after = drawn.before / ATTEMPTS, drawn.after / ATTEMPTS
    spread = (after.mean(axis=1) / before.mean(axis=1)).std()
    assert 1.96 * spread == pytest.approx(populations.half_width(ratio, population, 200), rel=0.05)


def test_no_effect_is_no_change_whatever_comes_and_goes_between_two_draws() -> None:
    same: Population = populations.unchanged("hard")
    assert RATIOS["newly solved"].truth(same) == RATIOS["attrition"].truth(same) == 0.0
    assert RATIOS["SRR"].truth(same) < 1.0


def estimate(case: Case, columns: tuple[populations.Reals, ...]) -> populations.Reals:
    plain = case.numerator(*columns).mean(axis=-1) / case.denominator(*columns).mean(axis=-1)
    return plain / columns[0].std(axis=-1) if case.in_spreads else plain


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_truth_of_scores_is_what_many_draws_come_to(case: Case) -> None:
    for difficulty in case.kind.entries:
        found = score_populations.population(case.name, difficulty, 0.4)
        drawn = case.draw(found, 400_000, 1, np.random.default_rng(5))
        error = case.influence(found, drawn).std() / np.sqrt(400_000)
        assert estimate(case, drawn)[0] == pytest.approx(case.truth(found), abs=4 * error)


@pytest.mark.parametrize("name", ["Δreward in spreads", "retention of bits", "amortisation, plain less scaffolded"])
def test_the_half_width_of_scores_is_that_of_the_estimate_over_eval_sets(name: str) -> None:
    case = CASES[name]
    difficulty = next(iter(case.kind.entries))
    found = score_populations.with_effect(name, difficulty, 2.0, 200)
    assert found is not None
    drawn = case.draw(found, 200, 4_000, np.random.default_rng(2))
    half_width = (case.truth(found) - case.limit) / 2.0
    assert 1.96 * estimate(case, drawn).std() == pytest.approx(half_width, rel=0.07)
