"""Whether a few values go somewhere: Kendall's S with its exact distribution, and the slope of Theil and Sen."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations
from statistics import median


def rises(values: Sequence[float], alpha: float) -> bool:
    """Whether the values rise, at a level of chance: one-sided, exact where none are equal, else on the safe side."""
    return _chance(len(values), _agreement(values)) <= alpha


def falls(values: Sequence[float], alpha: float) -> bool:
    return rises([-value for value in values], alpha)


def climb(values: Sequence[float]) -> float:
    """How far the fitted line goes from the first value to the last."""
    slopes = [(later - earlier) / (j - i) for (i, earlier), (j, later) in combinations(enumerate(values), 2)]
    return median(slopes) * (len(values) - 1)


def _agreement(values: Sequence[float]) -> int:
    """Kendall's S: pairs that rise less pairs that fall."""
    return sum((later > earlier) - (later < earlier) for earlier, later in combinations(values, 2))


def _chance(n: int, agreement: int) -> float:
    """The probability of an S at least as great, of n values in random order."""
    pairs = n * (n - 1) // 2
    counts = _inversions(n)
    return sum(counts[: (pairs - agreement) // 2 + 1]) / sum(counts) if agreement > -pairs else 1.0


@cache
def _inversions(n: int) -> tuple[int, ...]:
    """How many orders of n values have 0, 1, 2, … pairs in the wrong order."""
    counts = [1]
    for size in range(2, n + 1):
        longer = [0] * (len(counts) + size - 1)
        for inversions, count in enumerate(counts):
            for more in range(size):
                longer[inversions + more] += count
        counts = longer
    return tuple(counts)
