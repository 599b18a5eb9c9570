"""What is measured of a step beside its loss: sums, which add up over micro-batches and processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ptc.runtime.loss import Loss, Part
from ptc.runtime.losses.measures import measured, measures

TOKENS = ("tokens", "correct", "entropy")
"""Of the tokens that bear loss: how many, how many were the likeliest, and the entropy from which they were drawn."""


class Measurements:
    """Sums over the parts of a step that this process computes."""

    def __init__(self, losses: Sequence[Loss], learners: Sequence[str]) -> None:
        self._learners = frozenset(learners)
        names = {each.name for loss in losses for each in measures(loss.roots, self._learners)}
        self._names = sorted(names)
        self._sums = dict.fromkeys((*TOKENS, *self._keys()), 0.0)

    def add(self, part: Part) -> None:
        for (_, column), statistics in part.statistics.items():
            if column != "rejected":
                for name in TOKENS:
                    self._sums[name] += getattr(statistics, name)
        # A part may hold parts of the loss with the models standing still: of these nothing is measured.
        found = [each for each in measures(part.roots, self._learners) if each.name in self._sums]
        for name, (total, count) in measured(found, part.value).items():
            self._sums[name] += total
            self._sums[_count(name)] += count

    @property
    def sums(self) -> list[float]:
        """In an order that all processes share."""
        return list(self._sums.values())

    def metrics(self, sums: Sequence[float]) -> dict[str, float]:
        """What the sums of all processes say, under TRL's names."""
        found = dict(zip(self._sums, sums, strict=True))
        metrics = {name: found[name] / found[_count(name)] for name in self._names if found[_count(name)]}
        return {**_of_tokens(found), **metrics}

    def _keys(self) -> list[str]:
        return [key for name in self._names for key in (name, _count(name))]


def _count(name: str) -> str:
    return f"{name} (values)"


def _of_tokens(found: Mapping[str, float]) -> dict[str, float]:
    tokens, correct, entropy = (found[name] for name in TOKENS)
    return {"mean_token_accuracy": correct / tokens, "entropy": entropy / tokens} if tokens else {}
