"""Sums over the vocabulary, piece by piece of the tokens, so that (N, V) is never kept.

Each piece is checkpointed: its logits live while it is summed, and once more while its gradient is taken. With a
vocabulary of 151,936 and 8,192 tokens a tensor of all logits has 5 GB in float32, and a softmax with its gradient needs
several; a piece has 0.13 GB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from ptc.runtime.forward import Predictions

PIECE = 1 << 25
"""Logits that are held at a time."""


@dataclass(frozen=True)
class Statistics:
    """Of the tokens of one column under one model, summed."""

    tokens: int
    correct: float
    """Tokens that were the likeliest."""
    entropy: float
    """Of the distributions from which they were predicted, in nats."""

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(self.tokens + other.tokens, self.correct + other.correct, self.entropy + other.entropy)


def log_softmax(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Log-probabilities at a temperature, in float32 or, if the logits are wider, as wide as they are."""
    wide = logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits
    return torch.log_softmax(wide / temperature if temperature != 1 else wide, dim=-1)


def of_tokens(
    predictions: Predictions, tokens: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, Statistics | None]:
    """Log-probabilities (N,) of the tokens; of a model that learns, statistics beside them."""
    learns = predictions.hidden.requires_grad

    def piece(states: torch.Tensor, own: torch.Tensor) -> tuple[torch.Tensor, ...]:
        all_of_them = log_softmax(predictions.head(states), temperature)
        chosen = all_of_them.gather(-1, own.unsqueeze(-1)).squeeze(-1)
        return (chosen, measured(all_of_them, own)) if learns else (chosen,)

    values, *sums = in_pieces(piece, [predictions.hidden, tokens], predictions.vocabulary)
    return torch.cat(values), statistics(len(tokens), sums[0]) if learns else None


def in_pieces(
    function: Callable[..., tuple[torch.Tensor, ...]], tensors: Sequence[torch.Tensor], vocabulary: int
) -> list[tuple[torch.Tensor, ...]]:
    """A function of some tensors (N, …) on so many tokens at a time: each of its results, by piece."""
    rows = max(1, PIECE // vocabulary)
    pieces = list(zip(*(torch.split(tensor, rows) for tensor in tensors), strict=True))
    if len(pieces) == 1:
        found = [function(*pieces[0])]
    else:
        found = [checkpoint(function, *piece, use_reentrant=False, preserve_rng_state=False) for piece in pieces]
    return list(zip(*found, strict=True))


def transport(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """(N,) the L1 distance of probabilities, given as logarithms (N, V) and (N, V'), from the largest to the least."""
    width = max(one.shape[-1], other.shape[-1])
    first, second = (
        functional.pad(each.exp().sort(-1, descending=True).values, (0, width - each.shape[-1]))
        for each in (one, other)
    )
    return (first - second).abs().sum(-1)


@torch.no_grad()
def measured(log_probabilities: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """(2,) how many of the tokens were the likeliest, and the sum of the distributions' entropies."""
    correct = (log_probabilities.argmax(-1) == tokens).sum().to(log_probabilities.dtype)
    return torch.stack([correct, -(log_probabilities.exp() * log_probabilities).sum()])


def statistics(tokens: int, sums: Sequence[torch.Tensor]) -> Statistics:
    correct, entropy = torch.stack(list(sums)).sum(0).tolist()
    return Statistics(tokens, correct, entropy)
