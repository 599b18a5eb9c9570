"""Estimators against enumeration and closed forms."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptc.runtime.statistics import Support, informative_rate, pass_at_k, powers_of_two, support


def counts(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


@given(st.integers(1, 8), st.data())
def test_pass_at_k_is_the_share_of_subsets_with_a_success(n: int, data: st.DataObject) -> None:
    correct, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    subsets = list(combinations([True] * correct + [False] * (n - correct), k))
    assert pass_at_k(counts(n), counts(correct), k)[0] == pytest.approx(np.mean([any(s) for s in subsets]))


@given(st.integers(1, 8), st.data())
def test_informative_rate_is_the_share_of_mixed_subsets(n: int, data: st.DataObject) -> None:
    correct, group = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    subsets = list(combinations([True] * correct + [False] * (n - correct), group))
    mixed = np.mean([any(s) and not all(s) for s in subsets])
    assert informative_rate(counts(n), counts(correct), group)[0] == pytest.approx(mixed)


@pytest.mark.parametrize(
    ("p", "group", "rate"), [(0.001, 8, 0.008), (0.05, 8, 0.337), (0.25, 8, 0.90), (0.01, 64, 0.474)]
)
def test_informative_rate_has_its_expectation(p: float, group: int, rate: float) -> None:
    n = counts(*[256] * 40_000)
    correct = np.random.default_rng(0).binomial(256, p, size=len(n))
    assert informative_rate(n, correct, group).mean() == pytest.approx(1 - p**group - (1 - p) ** group, abs=0.005)
    assert informative_rate(n, correct, group).mean() == pytest.approx(rate, abs=0.006)


def test_pass_at_one_is_the_mean_and_pass_at_k_does_not_fall() -> None:
    n, correct = counts(16, 16, 16, 16), counts(0, 1, 8, 16)
    assert pass_at_k(n, correct, 1).tolist() == [0, 1 / 16, 0.5, 1]
    means = [pass_at_k(n, correct, k).mean() for k in range(1, 17)]
    assert means == sorted(means) and means[-1] == 0.75


def test_powers_of_two_end_with_n() -> None:
    assert powers_of_two(1) == [1]
    assert powers_of_two(12) == [1, 2, 4, 8, 12]
    assert powers_of_two(16) == [1, 2, 4, 8, 16]


def test_support_dynamics_of_the_published_vector() -> None:
    moved = Support(kept=2388, gained=48, lost=175)
    assert round(moved.retention, 3) == 0.932
    assert round(moved.discovery, 3) == 0.020
    assert round(moved.dynamic, 3) == 0.039
    assert round(moved.net_change, 3) == -0.049


def test_support_of_solved_and_unsolved_prompts() -> None:
    before, after = np.array([1.0, 1.0, 0.0, 0.0]), np.array([1.0, 0.0, 1.0, 0.0])
    moved = support(before, after)
    assert (moved.kept, moved.gained, moved.lost) == (1, 1, 1)
    assert moved.gained - moved.lost == pytest.approx((after - before).sum())


def test_ratios_without_anything_solved() -> None:
    nothing = np.zeros(3)
    moved = support(nothing, nothing)
    assert (moved.retention, moved.discovery, moved.dynamic, moved.net_change) == (1, 0, 0, 0)
