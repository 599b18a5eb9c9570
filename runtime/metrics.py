"""What is measured of a step beside its loss."""

from __future__ import annotations

from ptc.runtime.losses.vocabulary import Statistics


class TokenStatistics:
    """Running sums over the tokens that bear loss."""

    def __init__(self) -> None:
        self._tokens = 0
        self._correct = 0.0
        self._entropy = 0.0

    def add(self, measured: Statistics) -> None:
        self._tokens += measured.tokens
        self._correct += measured.correct
        self._entropy += measured.entropy

    @property
    def sums(self) -> list[float]:
        return [float(self._tokens), self._correct, self._entropy]

    @staticmethod
    def metrics(tokens: float, correct: float, entropy: float) -> dict[str, float]:
        """What the sums, of all processes, say."""
        return {"mean_token_accuracy": correct / tokens, "entropy": entropy / tokens} if tokens else {}
