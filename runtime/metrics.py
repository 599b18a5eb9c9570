"""What is measured of a step beside its loss: sums, which add up over micro-batches and processes, and extremes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ptc.runtime.loss import Loss, Part
from ptc.runtime.losses.forms_of_rollouts import RATIO, RATIO_SQUARED
from ptc.runtime.losses.measures import measured, measures

TOKENS = ("tokens", "correct", "told", "entropy")
"""Of the tokens that bear loss: how many and how many were the likeliest, of rejected texts none; how many in all, and
the entropy from which they were drawn."""


class Measurements:
    """Sums and extremes over the parts of a step that this process computes."""

    def __init__(self, losses: Sequence[Loss], learners: Sequence[str]) -> None:
        self._learners = frozenset(learners)
        found = [each for loss in losses for each in measures(loss.roots, self._learners)]
        self._taken = {each.name: each.taken for each in found}
        self._means = sorted(name for name, taken in self._taken.items() if taken == "mean")
        counted = [key for name in self._means for key in (name, _count(name))]
        self._sums = dict.fromkeys((*TOKENS, *counted), 0.0)
        self._extremes = dict.fromkeys(sorted(self._taken.keys() - set(self._means)), -math.inf)

    def add(self, part: Part) -> None:
        for (_, column), statistics in part.statistics.items():
            self._sums["told"] += statistics.tokens
            self._sums["entropy"] += statistics.entropy
            if column != "rejected":
                self._sums["tokens"] += statistics.tokens
                self._sums["correct"] += statistics.correct
        # A part may hold parts of the loss with the models standing still: of these nothing is measured.
        known = [each for each in measures(part.roots, self._learners) if each.name in self._taken]
        for name, (value, count) in measured(known, part.value).items():
            if name in self._extremes:
                self._extremes[name] = max(self._extremes[name], self._signed(name, value))
            else:
                self._sums[name] += value
                self._sums[_count(name)] += count

    @property
    def sums(self) -> list[float]:
        """In an order that all processes share."""
        return list(self._sums.values())

    @property
    def extremes(self) -> list[float]:
        """In an order that all processes share: the greatest, of the least with the sign turned."""
        return list(self._extremes.values())

    def metrics(self, sums: Sequence[float], extremes: Sequence[float]) -> dict[str, float]:
        """What the sums and extremes of all processes say, under TRL's names."""
        found = dict(zip(self._sums, sums, strict=True))
        means = {name: found[name] / found[_count(name)] for name in self._means if found[_count(name)]}
        most = {
            name: self._signed(name, value)
            for name, value in zip(self._extremes, extremes, strict=True)
            if value > -math.inf
        }
        weights = _weights(means.pop(RATIO, None), means.pop(RATIO_SQUARED, None))
        return {**_of_tokens(found), **_margins(means), **means, **weights, **most}

    def _signed(self, name: str, value: float) -> float:
        return -value if self._taken[name] == "least" else value


def _count(name: str) -> str:
    return f"{name} (values)"


def _of_tokens(found: Mapping[str, float]) -> dict[str, float]:
    tokens, correct, told, entropy = (found[name] for name in TOKENS)
    accuracy = {"mean_token_accuracy": correct / tokens} if tokens else {}
    return {**accuracy, "entropy": entropy / told} if told else accuracy


def _margins(means: Mapping[str, float]) -> dict[str, float]:
    """How far the means of two sides are apart, for rows that are on one side each."""
    if {"rewards/chosen", "rewards/rejected"} <= means.keys():
        return {"rewards/margins": means["rewards/chosen"] - means["rewards/rejected"]}
    return {}


def _weights(mean: float | None, squared: float | None) -> dict[str, float]:
    """The effective sample size of importance weights, as a share of their number: (sum w)^2 / (n sum w^2)."""
    return {"importance_ratio/effective_sample_size": mean * mean / squared} if mean is not None and squared else {}
