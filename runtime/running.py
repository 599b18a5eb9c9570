"""Sums that run over the tokens, or the steps, of one sample: values are packed, sample after sample.

Legend: S samples, T steps, N tokens; (N,) or (T,) values have (S,) lengths.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.utils.rnn import pad_sequence


def suffix_sum(values: torch.Tensor, lengths: torch.Tensor, discount: float = 1.0) -> torch.Tensor:
    """At each token the sum over it and all that follow in its sample, each further one discounted once more."""

    def sums(padded: torch.Tensor) -> torch.Tensor:
        if discount == 1:
            return padded.flip(1).cumsum(1).flip(1)
        columns = [padded[:, -1]]
        for position in range(padded.shape[1] - 2, -1, -1):
            columns.append(padded[:, position] + discount * columns[-1])
        return torch.stack(columns[::-1], dim=1)

    return _by_sample(sums, values, lengths, 0.0)


def suffix_min(values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """At each token the least of it and all that follow in its sample."""
    return _by_sample(lambda padded: padded.flip(1).cummin(1).values.flip(1), values, lengths, float("inf"))


def at_end(values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """(S,) values on the last tokens of their samples, 0 on all other tokens; a sample without tokens has no place."""
    ends = (lengths.cumsum(0) - 1)[lengths > 0]
    return values.new_zeros(int(lengths.sum())).index_copy(0, ends, values[lengths > 0])


def at_step_ends(
    values: torch.Tensor, step: torch.Tensor, step_owner: torch.Tensor, lengths: torch.Tensor
) -> torch.Tensor:
    """(T,) values on the last tokens of their steps, 0 on all other tokens.

    `step` (N,) is the step of each token, T where it is in none; `step_owner` (T,) is the sample of each step, and
    `lengths` (S,) are the samples' tokens. A step that has no token of its own, because the one in which it lies began
    before it, has its value on that one; a sample without tokens has no place.
    """
    steps = len(values)
    first = (lengths.cumsum(0) - lengths)[step_owner]
    last = step.new_full((steps + 1,), -1).scatter_reduce(0, step, torch.arange(len(step), device=step.device), "amax")
    ends = torch.maximum(last[:steps].cummax(0).values, first) if steps else first
    there = lengths[step_owner] > 0
    return values.new_zeros(len(step)).index_add(0, ends[there], values[there])


def generalised_advantages(
    rewards: torch.Tensor, values: torch.Tensor, lengths: torch.Tensor, discount: float, trace: float
) -> torch.Tensor:
    """GAE (Schulman et al., 2016, equation 16); the value behind a sample's last token is 0."""
    following = _by_sample(lambda padded: torch.nn.functional.pad(padded[:, 1:], (0, 1)), values, lengths, 0.0)
    return suffix_sum(rewards + discount * following - values, lengths, discount * trace)


def _by_sample(
    function: Callable[[torch.Tensor], torch.Tensor], values: torch.Tensor, lengths: torch.Tensor, fill: float
) -> torch.Tensor:
    """A function of (S, longest), padded behind with `fill`, on packed values."""
    if not len(values):
        return values
    padded = pad_sequence(list(torch.split(values, lengths.tolist())), batch_first=True, padding_value=fill)
    inside = torch.arange(padded.shape[1], device=values.device) < lengths.unsqueeze(1)
    return function(padded)[inside]
