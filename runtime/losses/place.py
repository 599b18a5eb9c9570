"""Where expressions are evaluated: a micro-batch of each source, in view of the counts of the whole batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from ptc.runtime.batches import Batch
from ptc.runtime.losses.totals import Totals
from ptc.runtime.losses.tree import ONE, PROMPT, SAMPLE, STEP, TOKEN, Expression


@dataclass(frozen=True)
class Place:
    batches: Mapping[str, Batch]
    """The micro-batch of each source."""
    totals: Mapping[str, Totals]
    """Of the global batch of each source."""
    step: int
    """Optimizer steps that are completed."""
    wholes: Mapping[str, Batch] = field(default_factory=dict)
    """The global batch of each source, where there is one, …"""
    starts: Mapping[str, int] = field(default_factory=dict)
    """… and the sample of it with which the micro-batch begins."""

    @property
    def device(self) -> torch.device:
        return next(iter(self.batches.values())).prompt.device

    def size(self, node: Expression) -> int:
        """How many values a value with axes has, the vocabulary apart."""
        batch = self.batches[node.source]
        if node.layout == TOKEN:
            return len(batch.sequences[node.column].tokens)
        if node.layout == STEP:
            return batch.step_bounds[-1]
        return batch.samples if node.layout == SAMPLE else batch.prompts

    def rows(self, node: Expression, layout: int) -> torch.Tensor:
        """For each value of `node` the value of a coarser layout to which it belongs.

        A token that lies in no step belongs to one behind the last.
        """
        batch = self.batches[node.source]
        if node.layout == SAMPLE:
            return batch.prompt
        if layout == STEP:
            return self.step_of_tokens(node)
        owner = batch.step_owner if node.layout == STEP else batch.sequences[node.column].owner
        return owner if layout == SAMPLE else batch.prompt[owner]

    def step_of_tokens(self, node: Expression) -> torch.Tensor:
        batch = self.batches[node.source]
        sequences = batch.sequences[node.column]
        first = batch.step_lengths.cumsum(0) - batch.step_lengths
        return torch.where(sequences.steps < 0, batch.step_bounds[-1], first[sequences.owner] + sequences.steps)

    def met(self, reading: str, node: Expression) -> torch.Tensor:
        """For each token of a reading of `node`'s text the token of `node` at which the same has been said."""
        sequences, own = (self.batches[node.source].sequences[name] for name in (node.column, reading))
        if own.met is None:  # the same tokens
            return torch.arange(len(own.tokens), device=self.device)
        first = sequences.lengths.cumsum(0) - sequences.lengths
        return first[own.owner] + own.met

    def lift(self, value: torch.Tensor, arg: Expression, node: Expression) -> torch.Tensor:
        """A value of `arg` laid out like `node`, which has all of its axes."""
        if ONE < arg.layout < node.layout:
            if arg.layout == STEP:  # what lies in no step takes 0
                value = torch.cat([value, value.new_zeros(1, *value.shape[1:])])
            value = value[self.rows(node, arg.layout)]
        if "vocab" in node.axes and "vocab" not in arg.axes and arg.layout != ONE:
            value = value.unsqueeze(-1)
        return value

    def count(self, arg: Expression, layout: int) -> torch.Tensor:
        """How many of `arg`'s values fall into each value of a coarser layout, at least 1; the vocabulary apart."""
        if arg.layout == layout:
            found = torch.tensor(1)
        elif layout == SAMPLE:
            batch = self.batches[arg.source]
            found = batch.sequences[arg.column].lengths if arg.layout == TOKEN else batch.step_lengths
        elif layout == PROMPT:
            found = self.totals[arg.source].of_prompt(arg)
        else:
            found = torch.tensor(self.totals[arg.source].in_all(arg))
        return found.clamp(min=1).to(self.device)
