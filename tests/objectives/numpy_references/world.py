"""What a reference is told: the rows of a batch and what models say of them; and what several of them compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ptc.runtime.batches import Sample

Array = np.ndarray


@dataclass(frozen=True)
class World:
    """A batch of groups of one source, and what each model says of each column, sample after sample."""

    groups: Sequence[Sequence[Sample]]
    said: dict[tuple[str, str], Sequence[Array]]
    """By the role's name and the column: logits (tokens, vocabulary), values (tokens,), or scores (texts or steps,).

    The learner is ``now`` and ``then``; another trained model has its role's name, and behind it ``then``.
    """

    @property
    def samples(self) -> list[Sample]:
        return [sample for group in self.groups for sample in group]

    @property
    def count(self) -> int:
        return len(self.samples)

    def dist(self, model: str, i: int, column: str = "response", temperature: float = 1.0) -> Array:
        scaled = self.said[model, column][i] / temperature
        top = scaled.max(-1, keepdims=True) if len(scaled) else np.zeros((0, 1))
        return scaled - top - np.log(np.exp(scaled - top).sum(-1, keepdims=True))

    def logp(self, model: str, i: int, column: str = "response", temperature: float = 1.0) -> Array:
        tokens = np.array(self.samples[i].sequences[column][1], dtype=int)
        return self.dist(model, i, column, temperature)[np.arange(len(tokens)), tokens]

    def sampler(self, i: int) -> Array:
        return np.array(self.samples[i].token_numbers["logprobs"])

    def number(self, name: str) -> Array:
        return np.array([sample.numbers[name] for sample in self.samples])

    def step_rewards(self) -> list[list[float]]:
        return [list(sample.step_numbers["step_rewards"]) for sample in self.samples]

    def members(self) -> list[list[int]]:
        """The samples of each group."""
        ends = np.cumsum([len(group) for group in self.groups])
        return [list(range(end - len(group), end)) for group, end in zip(self.groups, ends, strict=True)]

    def per_sample(self, function: Callable[[int], float]) -> float:
        return sum(function(i) for i in range(self.count)) / self.count

    def per_token(self, function: Callable[[int], Array]) -> float:
        return float(np.concatenate([function(i) for i in range(self.count)]).mean())


def mean(values: Array) -> float:
    """Of the tokens of a sample; 0 where it has none."""
    return float(values.mean()) if len(values) else 0.0


def log_sigmoid(x: float) -> float:
    return -float(np.logaddexp(0, -x))


def sigmoid(x: float) -> float:
    return float(np.exp(log_sigmoid(x)))


def clipped(ratio: Array, advantage: Array | float, low: float = 0.2, high: float = 0.2) -> Array:
    return np.minimum(ratio * advantage, np.clip(ratio, 1 - low, 1 + high) * advantage)


def suffix(values: Array) -> Array:
    return np.array([values[t:].sum() for t in range(len(values))])


def kl(one: Array, other: Array) -> Array:
    return (np.exp(one) * (one - other)).sum(-1)
