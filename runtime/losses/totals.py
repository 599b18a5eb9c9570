"""Counts of a global batch: means are taken by them, whatever the micro-batches are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ptc.runtime.batches import Batch
from ptc.runtime.losses.tree import SAMPLE, STEP, TOKEN, Expression


@dataclass(frozen=True)
class Totals:
    """Of one source."""

    prompts: int
    samples: int
    steps: int
    tokens: Mapping[str, int]
    """By column."""
    samples_of_prompt: torch.Tensor
    """(P,)"""
    steps_of_prompt: torch.Tensor
    """(P,)"""
    tokens_of_prompt: Mapping[str, torch.Tensor]
    """(P,) by column."""

    @staticmethod
    def of(batch: Batch) -> Totals:
        def by_prompt(counts: torch.Tensor) -> torch.Tensor:
            return batch.prompt.new_zeros(batch.prompts).index_add_(0, batch.prompt, counts)

        return Totals(
            prompts=batch.prompts,
            samples=batch.samples,
            steps=batch.step_bounds[-1],
            tokens={name: len(sequences.tokens) for name, sequences in batch.sequences.items()},
            samples_of_prompt=by_prompt(torch.ones_like(batch.prompt)),
            steps_of_prompt=by_prompt(batch.step_lengths),
            tokens_of_prompt={name: by_prompt(sequences.lengths) for name, sequences in batch.sequences.items()},
        )

    def in_all(self, node: Expression) -> int:
        """How many values a value of a sample, step, token or prompt has in the batch."""
        if node.layout == TOKEN:
            return self.tokens[node.column]
        if node.layout == STEP:
            return self.steps
        return self.samples if node.layout == SAMPLE else self.prompts

    def of_prompt(self, node: Expression) -> torch.Tensor:
        """(P,) how many it has at each prompt."""
        if node.layout == TOKEN:
            return self.tokens_of_prompt[node.column]
        return self.steps_of_prompt if node.layout == STEP else self.samples_of_prompt
