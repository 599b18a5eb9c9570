"""What every generation engine can do. The trainer and the nodes know engines only by this page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """The distribution a completion is drawn from, and where it ends. `top_k = 0`, `top_p = 1`, `min_p = 0` and
    `repetition_penalty = 1` leave it whole."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    """Tokens less likely than this share of the likeliest one are left out."""
    repetition_penalty: float = 1.0
    """What stands in the prompt or has been written becomes less likely: positive logits divided by it, others
    multiplied with it."""
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    """Texts behind which a completion ends; they are part of it."""


@dataclass(frozen=True)
class Request:
    """One prompt, as token ids with its template, and one seed per completion wanted from it."""

    prompt_tokens: Sequence[int]
    seeds: Sequence[int]


@dataclass(frozen=True)
class Completion:
    """What the engine sampled. `tokens` include the end-of-sequence token when `finished`."""

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Log-probability of each token under the sampling distribution, in nats."""
    finished: bool
    """Ended by an end-of-sequence token or a stop text, and not by `max_tokens`."""


@dataclass(frozen=True)
class Fingerprint:
    """Additive fingerprint of a group of tensors, in float64, of values cast to the engine's dtype."""

    total: float
    squares: float
    count: int


class Engine(Protocol):
    """Generates with the weights it was given last. All calls are synchronous."""

    @property
    def version(self) -> int:
        """The policy version of the weights it holds: the number of optimizer steps behind them."""

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Completion]]:
        """For each request one completion per seed, in order. Equal seeds and weights give equal completions."""

    def logprobs(self, sequences: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[list[float]]:
        """Log-probability, at temperature 1, of each response token of pairs (prompt, response) of token ids."""

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]], version: int) -> None:
        """Takes the full state of the policy, tied tensors under each of their names."""

    def fingerprints(self) -> Mapping[str, Fingerprint]:
        """Fingerprints of the weights as they stand in the engine, by its own tensor names (fused ones together)."""

    def close(self) -> None:
        """Frees memory and ends whatever the engine started."""
