"""Plain values of the core: counts with their units, numbers that change, the distribution that is sampled from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sampling:
    """The distribution that completions are drawn from: part of a sampled source's type."""

    n: int
    temperature: float
    top_p: float
    top_k: int
    max_tokens: int
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    stop: tuple[str, ...] = ()

    @property
    def truncated(self) -> bool:
        """Whether the distribution that was sampled from is not the model's own at its temperature."""
        return self.top_p < 1 or self.top_k > 0 or self.min_p > 0 or self.repetition_penalty != 1


@dataclass(frozen=True)
class Count:
    """``32 prompts``, ``2 epochs``."""

    count: int
    unit: str


@dataclass(frozen=True)
class Anneal:
    """``anneal(0.9, 0.05, over = 200 steps)``: linear in completed optimizer steps, constant afterwards."""

    start: float
    end: float
    over: int
