"""How sure a measured number is: intervals over prompts.

The prompts of an eval stand for all that it could have been made of, so that is what an interval is about: what another
draw of prompts, and other attempts at them, would have given. Prompts are the unit: all values of one prompt, before
and after a stage, go together.

Every statistic here is a ratio of two means over prompts (a mean is a ratio to 1). Its interval is Fieller's (1954),
which for a mean is Student's, after two made-up prompts have been added to the measured ones: one that went as well as
can be, one that went as badly. They keep a set in which nothing spoke against a change from being called certain; for
shares and for differences of paired shares they are the intervals of Agresti and Coull (1998) and of Bonett and Price
(2012). Values without bounds have no worst prompt: of them, the prompt that speaks most for more and the one that
speaks most for less count twice, as what is skewed hides the longer part of its tail. `benchmarks/verdicts.py` measures
how often these intervals hold the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Reals = NDArray[np.float64]

LEVEL = 0.95
METHOD = f"Fieller's interval over prompts, paired, with two prompts added, {LEVEL:.0%}"


@dataclass(frozen=True)
class Interval:
    """A statistic, and where it lies at the given level over draws of prompts."""

    value: float
    low: float
    high: float
    level: float = LEVEL

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Statistic:
    """Mean `numerator` over mean `denominator`: functions of the values of a prompt, each of shape [..., prompts]."""

    numerator: Callable[..., Reals]
    denominator: Callable[..., Reals]
    made_up: tuple[tuple[float, ...], ...] = ()
    """The values of the worst prompt there could be, and of the best; none where there is no bound."""
    least: float = -np.inf
    most: float = np.inf
    otherwise: float = 0.0
    """What it is where the denominator is 0 for every prompt."""
    units: Callable[..., tuple[Reals, ...]] | None = None
    """What made-up values are counted in, each of shape [..., 1], where that is not 1."""


def interval(statistic: Statistic, *values: Reals, level: float = LEVEL) -> Interval:
    """The statistic of values of shape [prompts], and its interval."""
    value, low, high = (float(each) for each in limits(statistic, *values, level=level))
    return Interval(value, low, high, level)


def limits(statistic: Statistic, *values: Reals, level: float = LEVEL) -> tuple[Reals, Reals, Reals]:
    """The statistic, and the ends of its interval, of values of shape [..., prompts]; each of shape [...].

    The interval of a single prompt without bounds is the whole line.
    """
    value = _ratio(statistic, *values)
    prompts = values[0].shape[-1]
    if prompts < 2:
        return value, np.full_like(value, statistic.least), np.full_like(value, statistic.most)
    tops, bottoms = _with_two_more(statistic, value, *values)
    low, high = _fieller(tops, bottoms, prompts, level)
    low, high = np.minimum(low, value), np.maximum(high, value)
    return value, np.maximum(low, statistic.least), np.minimum(high, statistic.most)


def _fieller(top: Reals, bottom: Reals, prompts: int, level: float) -> tuple[Reals, Reals]:
    """The ratios r for which the mean of top - r * bottom is no further from 0 than Student's quantile allows.

    They lie between the roots of a quadratic; where the denominator may be 0, every ratio is possible.
    """
    share = stdtrit(prompts - 1, (1 + level) / 2) ** 2 / top.shape[-1]
    tops, bottoms = top.mean(axis=-1), bottom.mean(axis=-1)
    squares = bottoms**2 - share * _covariance(bottom, bottom)
    cross = tops * bottoms - share * _covariance(top, bottom)
    rest = tops**2 - share * _covariance(top, top)
    sure = squares > 0
    squares = np.where(sure, squares, 1.0)
    reach = np.sqrt(np.maximum(cross**2 - squares * rest, 0.0))
    return np.where(sure, (cross - reach) / squares, -np.inf), np.where(sure, (cross + reach) / squares, np.inf)


def _covariance(one: Reals, other: Reals) -> Reals:
    centred = (one - one.mean(axis=-1, keepdims=True)) * (other - other.mean(axis=-1, keepdims=True))
    covariance: Reals = centred.sum(axis=-1) / (one.shape[-1] - 1)
    return covariance


def _ratio(statistic: Statistic, *values: Reals) -> Reals:
    top, bottom = (side(*values).mean(axis=-1) for side in (statistic.numerator, statistic.denominator))
    return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), statistic.otherwise)


def _with_two_more(statistic: Statistic, ratio: Reals, *values: Reals) -> tuple[Reals, Reals]:
    """Numerators and denominators of all prompts and of the two that are added to them."""
    if not statistic.made_up:
        top, bottom = statistic.numerator(*values), statistic.denominator(*values)
        rest = top - ratio[..., None] * bottom
        ends = np.stack([rest.argmin(axis=-1), rest.argmax(axis=-1)], axis=-1)
        twice = (np.concatenate([each, np.take_along_axis(each, ends, axis=-1)], axis=-1) for each in (top, bottom))
        return next(twice), next(twice)
    units = statistic.units(*values) if statistic.units else (np.ones(1),) * len(values)
    made_up = (np.array(each) * unit for each, unit in zip(zip(*statistic.made_up, strict=True), units, strict=True))
    padded = [_followed_by(each, more) for each, more in zip(values, made_up, strict=True)]
    return statistic.numerator(*padded), statistic.denominator(*padded)


def _followed_by(values: Reals, more: Reals) -> Reals:
    return np.concatenate([values, np.broadcast_to(more, (*values.shape[:-1], more.shape[-1]))], axis=-1)


# Statistics -----------------------------------------------------------------------------------------------------------


def _one(value: Reals, *_: Reals) -> Reals:
    return np.ones_like(value)


RATE = Statistic(lambda rate: rate, _one, ((0.0,), (1.0,)), 0.0, 1.0)
"""Mean of a rate between 0 and 1: pass@k, a win rate, the share of informative groups."""
RATE_DIFFERENCE = Statistic(lambda before, after: after - before, _one, ((1.0, 0.0), (0.0, 1.0)), -1.0, 1.0)
"""Mean of after - before, of rates."""
NET_SUPPORT_CHANGE = Statistic(
    lambda before, after: after - before,
    lambda before, after: after + before - after * before,
    ((1.0, 0.0), (0.0, 1.0)),
    -1.0,
    1.0,
)
"""NSCR = (E - S) / (P + E + S), of chances to be solved before and after (arXiv 2507.14843)."""
SUPPORT_RETENTION = Statistic(
    lambda before, after: before * after, lambda before, after: before, ((1.0, 0.0), (1.0, 1.0)), 0.0, 1.0, 1.0
)
"""SRR = P / (P + S): 1 where nothing was solved before."""
NEWLY_SOLVED = Statistic(
    lambda before, again, after: (1 - before) * (after - again), _one, ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), -1.0, 1.0
)
"""Of all prompts, the share that a first draw at entry does not solve and the exit does, less the share that a second
draw at entry would have solved anyhow: choosing prompts for having failed makes any other draw of the same weights look
better (regression to the mean). What is compared, the last two, may share their luck; what chooses must share none."""
ATTRITION = Statistic(
    lambda before, again, after: before * (again - after),
    lambda before, again, after: before,
    ((1.0, 0.0, 1.0), (1.0, 1.0, 0.0)),
    -1.0,
    1.0,
)
"""Of what a first draw at entry solves, the share that the exit loses, less the share that a second draw at entry loses
as well. Positive: support was lost."""


def _greatest(before: Reals, after: Reals) -> tuple[Reals, Reals]:
    """The greatest rate of a prompt before, and after; but neither is less than half of the other."""
    first, second = (each.max(axis=-1, keepdims=True) for each in (before, after))
    return np.maximum(first, second / 2), np.maximum(second, first / 2)


RETENTION = Statistic(
    lambda before, after: after, lambda before, after: before, ((1.0, 0.0), (0.0, 1.0)), 0.0, units=_greatest
)
"""after / before over prompts, of rates, with a chance level of 0; 0 where nothing was right before.

The worst prompt there could be has the greatest rate that was seen before, and 0 after; the best one the other way. On
an eval of hard prompts, made-up rates of 1 outweighed everything measured."""
MEAN = Statistic(lambda value: value, _one)
"""Mean of values without bounds: rewards, divergences."""
DIFFERENCE = Statistic(lambda before, after: after - before, _one)
"""Mean of after - before, of values without bounds."""
RATIO = Statistic(lambda top, bottom: top, lambda top, bottom: bottom)
"""Sum over sum, such as bits per character."""
CHANGE_OF_RATIO = Statistic(lambda before, after, size: after - before, lambda before, after, size: size)
"""What two sums of the same rows differ by, over their sizes: bits of a text before and after, per character."""


def in_spreads(before: Reals, after: Reals) -> Reals:
    """after - before in standard deviations of `before` over prompts, as what each prompt adds to the mean of that.

    A prompt's part in the standard deviation is counted in, to first order: with a `MEAN` of these its error is too.
    """
    spread = before.std(axis=-1, keepdims=True)
    spread = np.where(spread > 0, spread, 1.0)
    moved = (after - before) / spread
    apart = ((before - before.mean(axis=-1, keepdims=True)) / spread) ** 2 - 1
    parts: Reals = moved - moved.mean(axis=-1, keepdims=True) / 2 * apart
    return parts
