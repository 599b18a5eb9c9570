"""Intervals over prompts, against closed forms and against populations whose statistics are known exactly."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from ptc.runtime import intervals
from ptc.runtime.intervals import Statistic, interval, limits

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

import populations
import score_populations
import simulation
import verdicts


@pytest.mark.parametrize("right", [0, 3, 17, 30])
def test_a_share_has_agresti_and_coulls_interval_with_students_quantile(right: int) -> None:
    found = interval(intervals.RATE, np.array([1.0] * right + [0.0] * (30 - right)))
    share = (right + 1) / 32
    reach = 2.04523 * np.sqrt(share * (1 - share) / 31)
    assert found.value == pytest.approx(right / 30)
    assert found.low == pytest.approx(min(max(share - reach, 0), right / 30), abs=1e-5)
    assert found.high == pytest.approx(max(min(share + reach, 1), right / 30), abs=1e-5)


def test_what_nothing_speaks_against_is_not_certain() -> None:
    solved, gained = np.ones(50), np.zeros(50)
    assert interval(intervals.RATE, solved).low < 0.97 and interval(intervals.RATE, solved).high == 1.0
    still = interval(intervals.RATE_DIFFERENCE, solved, solved)
    assert still.low < -0.03 and still.value == 0.0 and still.high > 0.03
    new = interval(intervals.NET_SUPPORT_CHANGE, gained, solved)
    assert new.value == 1.0 == new.high and 0.8 < new.low < 1.0


def test_pairing_makes_intervals_narrower() -> None:
    rng = np.random.default_rng(2)
    before = rng.random(3_000)
    after = before + 0.05 + 0.01 * rng.standard_normal(3_000)
    paired = interval(intervals.RATE_DIFFERENCE, before, after)
    apart = interval(intervals.RATE_DIFFERENCE, before, rng.permutation(after))
    assert paired.half_width < 0.1 * apart.half_width
    assert paired.low > 0


def test_values_without_bounds_have_students_interval_with_their_ends_counted_twice() -> None:
    values = np.random.default_rng(3).normal(7.0, 2.0, 12)
    found = interval(intervals.MEAN, values)
    twice = np.array([*values, values.min(), values.max()])
    assert found.value == pytest.approx(values.mean())
    assert found.half_width == pytest.approx(2.20099 * twice.std(ddof=1) / np.sqrt(14), rel=1e-5)
    assert (found.low + found.high) / 2 == pytest.approx(twice.mean())


def test_what_is_hard_for_all_is_kept_or_lost_in_its_own_measure() -> None:
    """Prompts with rates of a few percent: a made-up one that is always right would say more than all of them."""
    before = np.tile([0.0, 0.0625, 0.125, 0.1875], 25)
    found = interval(intervals.RETENTION, before, before / 2)
    assert found.value == 0.5 and found.low > 0.35 and found.high < 0.65
    assert interval(intervals.RETENTION, before * 5, before * 5 / 2).half_width == pytest.approx(found.half_width)
    nothing_left = interval(intervals.RETENTION, before, np.zeros(100))
    assert nothing_left.low == 0.0 and 0.01 < nothing_left.high < 0.1


def test_a_change_in_spreads_counts_that_the_spread_is_measured_too() -> None:
    before = np.random.default_rng(6).normal(0.0, 2.0, 200)
    spread = before.std()
    fallen = interval(intervals.MEAN, intervals.in_spreads(before, before - 3 * spread))
    assert fallen.value == pytest.approx(-3.0)
    assert fallen.half_width > 0.2  # the change is the same everywhere, but what it is counted in is not known
    assert intervals.in_spreads(np.ones(5), np.full(5, 3.0)) == pytest.approx(np.full(5, 3.0))  # nothing to count in


def test_one_prompt_says_nothing() -> None:
    assert interval(intervals.MEAN, np.array([3.0])).low == -np.inf
    one = interval(intervals.RATE, np.array([1.0]))
    assert (one.low, one.value, one.high) == (0.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("statistic", "otherwise"),
    [(intervals.NET_SUPPORT_CHANGE, 0.0), (intervals.SUPPORT_RETENTION, 1.0), (intervals.RETENTION, 0.0)],
)
def test_ratios_to_nothing(statistic: Statistic, otherwise: float) -> None:
    nothing = np.zeros(10)
    assert interval(statistic, nothing, nothing).value == otherwise


def test_many_sets_at_once_are_the_same_as_one_after_the_other() -> None:
    before, after = np.random.default_rng(4).random((2, 5, 20))
    together = limits(intervals.RETENTION, before, after)
    for place in range(5):
        alone = interval(intervals.RETENTION, before[place], after[place])
        assert [each[place] for each in together] == pytest.approx([alone.value, alone.low, alone.high])


@pytest.mark.parametrize("name", populations.RATIOS)
def test_an_interval_holds_the_truth_as_often_as_it_says(name: str) -> None:
    population = populations.moved(populations.DIFFICULTIES["known or not"], -0.4, seed=1)
    cell = simulation.simulated(simulation.of_population(name, None, population), prompts=100, draws=1_000)
    assert cell.coverage >= 0.93


@pytest.mark.parametrize("name", score_populations.CASES)
def test_an_interval_of_scores_holds_the_truth_as_often_as_it_says(name: str) -> None:
    """Of the populations that are not too skewed for any interval; `docs/verdicts.md` has all of them."""
    difficulty = next(iter(score_populations.CASES[name].kind.entries))
    found = score_populations.with_effect(name, difficulty, 0.0, 500)
    assert found is not None
    cell = simulation.simulated(simulation.of_scores(name, 0.0, found), prompts=500, draws=1_000)
    assert cell.coverage >= 0.93 and cell.supported <= 0.045 and cell.null


@pytest.mark.slow
def test_what_is_four_half_widths_off_is_seen_and_what_is_not_there_is_not() -> None:
    """The simulation of `docs/verdicts.md` for what decides claims of a pass rate, at few draws."""
    for name in ("attrition", "retention", "protect's change"):
        line = verdicts.line([simulation.simulated(each, 100, 400) for each in simulation.asked(name, 100)])
        assert line.coverage >= 0.91 and line.falsely_supported <= 0.05
        assert line.right is not None and line.right >= 0.92
