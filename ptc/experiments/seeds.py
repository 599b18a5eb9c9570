"""Intervals of several training runs: over seeds first, then over prompts.

The runs are crossed: every seed answers the same prompts. The variance of the mean is at most that of the seeds' values
over their number plus that of the prompts' values over theirs (each already holds the share that is due to both). Each
part has Student's quantile of its own, and their reaches are added in squares: two seeds may agree by chance, and must
not look sure for it. With one seed there is nothing to see of training: the interval is that of the prompts alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from ptc.runtime.intervals import LEVEL, Interval, Statistic, interval

Reals = NDArray[np.float64]


def of_seeds(statistic: Statistic, *values: Reals, level: float = LEVEL) -> Interval:
    """A statistic of values of shape [seeds, prompts]: its value for the means over seeds, and its interval."""
    mean = interval(statistic, *(each.mean(axis=0) for each in values), level=level)
    seeds, prompts = values[0].shape
    if seeds < 2:
        return mean
    single = np.array([interval(statistic, *(each[seed] for each in values)).value for seed in range(seeds)])
    over_seeds = float(single.var(ddof=1)) / seeds
    quantile = float(stdtrit(max(prompts - 1, 1), (1 + level) / 2))
    over_prompts = (mean.half_width / quantile) ** 2
    return _combined(mean.value, statistic, [(over_seeds, seeds - 1), (over_prompts, max(prompts - 1, 1))], level)


def of_unlike_seeds(statistic: Statistic, before: Reals, after: Reals, *sizes: Reals, level: float = LEVEL) -> Interval:
    """A change between runs of which no two have the same seed; each of shape [seeds, prompts]."""
    mean = interval(statistic, *(each.mean(axis=0) for each in (before, after, *sizes)), level=level)
    prompts = before.shape[-1]
    quantile = float(stdtrit(max(prompts - 1, 1), (1 + level) / 2))
    parts = [((mean.half_width / quantile) ** 2, max(prompts - 1, 1))]
    for side in (before, after):
        if len(side) > 1:
            parts.append((float(side.mean(axis=1).var(ddof=1)) / len(side), len(side) - 1))
    return _combined(mean.value, statistic, parts, level) if len(parts) > 1 else mean


def _combined(value: float, statistic: Statistic, parts: Sequence[tuple[float, int]], level: float) -> Interval:
    """The interval of variances with their degrees of freedom."""
    squares = (variance * float(stdtrit(degrees, (1 + level) / 2)) ** 2 for variance, degrees in parts)
    reach = sum(squares) ** 0.5
    return Interval(value, max(value - reach, statistic.least), min(value + reach, statistic.most), level)
