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


def test_values_without_bounds_have_students_own_interval() -> None:
    values = np.random.default_rng(3).normal(7.0, 2.0, 12)
    found = interval(intervals.MEAN, values)
    assert found.half_width == pytest.approx(2.20099 * values.std(ddof=1) / np.sqrt(12), rel=1e-5)
    assert found.value == pytest.approx((found.low + found.high) / 2)


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


@pytest.mark.parametrize("name", verdicts.STATISTICS)
def test_an_interval_holds_the_truth_as_often_as_it_says(name: str) -> None:
    ratio = populations.RATIOS[name]
    population = populations.moved(populations.DIFFICULTIES["known or not"], -0.4, seed=1)
    cell = verdicts.simulated(ratio, population, "known or not", None, prompts=100, draws=1_000)
    assert cell.coverage >= 0.93
