"""Whether the terms of a joint objective pull the same way: the gradients of its parts, one against another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

import torch

EVERY = 5
"""Steps between two looks: each keeps a copy of the gradient for every part."""


class Interference:
    """Told after each part of a step that its gradient has been added, to parameters that had none before."""

    def __init__(self, models: Iterable[torch.nn.Module]) -> None:
        self._parameters = [p for model in models for p in model.parameters() if p.requires_grad]
        self._sums: list[list[torch.Tensor]] = []

    def mark(self) -> None:
        """The gradients of all parts so far."""
        self._sums.append([torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in self._parameters])

    @property
    def metrics(self) -> dict[str, float]:
        """The least cosine of two parts, and how many times as long as the shortest gradient the longest is."""
        zeros = [torch.zeros_like(p) for p in self._parameters]
        before = [zeros, *self._sums]
        parts = [_less(now, then) for then, now in zip(before, self._sums, strict=False)]
        norms = [_dot(part, part) ** 0.5 for part in parts]
        if len(parts) < 2 or min(norms) == 0:
            return {}
        pairs = combinations(range(len(parts)), 2)
        cosines = [_dot(parts[i], parts[j]) / (norms[i] * norms[j]) for i, j in pairs]
        return {"gradients/cosine": min(cosines), "gradients/norm_ratio": max(norms) / min(norms)}


def _less(now: Sequence[torch.Tensor], then: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    return [a - b for a, b in zip(now, then, strict=True)]


def _dot(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> float:
    return float(sum(torch.sum(a.double() * b.double()) for a, b in zip(one, other, strict=True)))
