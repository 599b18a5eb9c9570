"""What is measured of a step beside its loss."""

from __future__ import annotations

import torch


class TokenStatistics:
    """Running sums over the tokens that bear loss."""

    def __init__(self) -> None:
        self._tokens = 0
        self._correct = 0
        self._entropy = 0.0

    def add(self, log_probabilities: torch.Tensor, tokens: torch.Tensor) -> None:
        self._tokens += len(tokens)
        self._correct += int((log_probabilities.argmax(-1) == tokens).sum())
        self._entropy -= float((log_probabilities.exp() * log_probabilities).sum())

    @property
    def sums(self) -> list[float]:
        return [float(self._tokens), float(self._correct), self._entropy]

    @staticmethod
    def metrics(tokens: float, correct: float, entropy: float) -> dict[str, float]:
        """What the sums, of all processes, say."""
        return {"mean_token_accuracy": correct / tokens, "entropy": entropy / tokens} if tokens else {}
