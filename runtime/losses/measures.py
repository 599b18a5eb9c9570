"""What can be measured of a step because its loss computes it, under TRL's names: read off the form of the expression.

| measured | where the loss holds |
|---|---|
| ``kl`` | ``exp(q) - q - 1`` with q a difference of log-probabilities, or what sampled the tokens less a model that does not learn; the mean over tokens |
| | ``max(0, mean(q))`` with q such a difference, summed over tokens |
| ``clip_ratio/low_mean``, ``high_mean``, ``region_mean`` | ``min(r * a, clamp(r, low, high) * a)``, the first r capped or not: how often the clipped side was taken, over tokens or over samples |
| ``clip_ratio/low_min``, ``high_max`` | the same: in the sample in which least, or most, was clipped |
| ``cispo_clip_ratio`` | ``stop(min(exp(q), cap)) * a`` with the learner in q: how often the cap held a gain back |
| ``sampling/sampling_logp_difference/mean``, ``max`` | what the learner said when the batch was taken up less what the engine said, without sign |
| ``sampling/importance_sampling_ratio/min``, ``mean``, ``max`` | a weight without gradient in which such a difference stands |
| ``importance_ratio/mean``, ``squared``, ``min``, ``max`` | ``exp(…)`` of what the learner says now against what sampled the tokens, or it said when it took them up; the first two become ``effective_sample_size`` |
| ``rewards/chosen``, ``rejected``, ``margins``, ``accuracies`` | ``better - worse``, which read ``.chosen`` and ``.rejected``, with the factor before it |
| the same | a difference of log-probabilities of ``.chosen`` and one of ``.rejected``, with their factors |
| ``rewards/chosen``, ``rejected``, ``logps/chosen``, ``rejected`` | ``where(.label, …, …)``, both sides of one difference of log-probabilities, with the factor before it: of the rows on either side; ``rewards/margins`` is how far their means are apart |
| ``mean_reward``, ``min_reward``, ``max_reward``, ``margin``, ``accuracy`` | ``better - worse`` of a reward head |
| ``logps/chosen``, ``logps/rejected`` | a log-probability of the learner of those columns, summed over tokens |

Each is a mean over the tokens or samples of the global batch: a sum and a count, which add up over its parts; or the least
or the greatest of them.
"""  # noqa: E501  a table

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import torch

from ptc.runtime.losses.forms_of_pairs import compared, labelled, log_probabilities, rewarded
from ptc.runtime.losses.forms_of_rollouts import capped, clipped, divergences, drifts, ratios
from ptc.runtime.losses.measure import Measure, Taken
from ptc.runtime.losses.tree import ONE, SAMPLE, TOKEN, Expression, walked

__all__ = ["Measure", "Measured", "measured", "measures"]


class Measured(NamedTuple):
    """Of a part of a batch."""

    value: float
    """The sum of so many values, or the least or the greatest of them."""
    values: int


TAKEN: Mapping[Taken, Callable[[torch.Tensor], torch.Tensor]] = {
    "mean": torch.sum,
    "least": torch.min,
    "greatest": torch.max,
}


@cache
def measures(roots: tuple[Expression, ...], learners: frozenset[str]) -> list[Measure]:
    """What is measured of a loss; of two of one name the one that is written first."""
    nodes = list(walked(roots))[::-1]
    found = [
        *divergences(nodes, learners),
        *clipped(nodes),
        *capped(nodes),
        *drifts(nodes),
        *ratios(nodes, learners),
        *compared(nodes),
        *rewarded(nodes, learners),
        *log_probabilities(nodes, learners),
        *labelled(nodes, learners),
    ]
    first: dict[str, Measure] = {}
    for measure in found:
        if measure.of.layout in (TOKEN, SAMPLE, ONE):
            first.setdefault(measure.name, measure)
    return list(first.values())


@torch.no_grad()
def measured(found: Sequence[Measure], value: Callable[[Expression], torch.Tensor]) -> dict[str, Measured]:
    """Each on a part of a batch; without an entry where there are no values of it."""
    result = {}
    for measure in found:
        values = value(measure.of)
        if measure.among is not None:
            values = values[value(measure.among) != 0]
        if count := values.numel():
            result[measure.name] = Measured(float(TAKEN[measure.taken](values)), count)
    return result
