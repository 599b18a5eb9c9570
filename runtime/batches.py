"""Rows of token ids become the tensors of one optimizer step, and a step's number becomes the rows that it draws.

Legend: P prompts, S samples, N tokens that bear loss. A sample is one attempt at a prompt (or one pair, or one row of a
fixed source). Token-level tensors are packed: one row per token, sample after sample, without padding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import compress
from math import ceil
from typing import TypeVar

import numpy as np
import torch

from ptc.runtime.sampling import seed_of

TokenIds = Sequence[int]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Sample:
    """One row as token ids. `sequences` maps `response`, `chosen`, … to (prompt ids, ids that bear loss)."""

    sequences: Mapping[str, tuple[TokenIds, TokenIds]]
    numbers: Mapping[str, float] = field(default_factory=dict)
    """Columns with one number per sample, such as `reward`."""
    token_numbers: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Columns with one number per token of `response` that bears loss, such as `logprobs`."""
    masks: Mapping[str, Sequence[bool]] = field(default_factory=dict)
    """Of a sequence in which not all ids behind the prompt bear loss: which do."""

    @property
    def length(self) -> int:
        """Tokens of its longest sequence."""
        return max(len(prompt) + len(ids) for prompt, ids in self.sequences.values())


@dataclass(frozen=True)
class Draw:
    """What a step learns from: the samples of each prompt, and what is known about them, under TRL's metric names."""

    groups: Sequence[Sequence[Sample]]
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Sequences:
    """The token sequences of one column, packed."""

    inputs: torch.Tensor
    """Ids that a model reads, packed sample after sample: prompt and response without the response's last token."""
    input_lengths: torch.Tensor
    """(S,)"""
    tokens: torch.Tensor
    """(N,) ids of the tokens that bear loss: what the inputs predict of which `predicts` says so."""
    lengths: torch.Tensor
    """(S,) tokens of each sample that bear loss, 0 allowed."""
    predicts: torch.Tensor
    """As long as `inputs`: whether the token behind it bears loss."""

    @cached_property
    def owner(self) -> torch.Tensor:
        """(N,) the sample of each token."""
        samples = torch.arange(len(self.lengths), device=self.lengths.device)
        return samples.repeat_interleave(self.lengths, output_size=len(self.tokens))

    @cached_property
    def input_bounds(self) -> list[int]:
        """S + 1 positions in `inputs`: where each sample begins, and the end."""
        return _bounds(self.input_lengths)

    @cached_property
    def token_bounds(self) -> list[int]:
        """S + 1 positions in `tokens`: where each sample begins, and the end."""
        return _bounds(self.lengths)

    def slice(self, start: int, stop: int) -> Sequences:
        return Sequences(
            inputs=self.inputs[self.input_bounds[start] : self.input_bounds[stop]],
            input_lengths=self.input_lengths[start:stop],
            tokens=self.tokens[self.token_bounds[start] : self.token_bounds[stop]],
            lengths=self.lengths[start:stop],
            predicts=self.predicts[self.input_bounds[start] : self.input_bounds[stop]],
        )

    def to(self, device: torch.device) -> Sequences:
        return Sequences(
            inputs=self.inputs.to(device),
            input_lengths=self.input_lengths.to(device),
            tokens=self.tokens.to(device),
            lengths=self.lengths.to(device),
            predicts=self.predicts.to(device),
        )


@dataclass(frozen=True)
class Batch:
    """What a loss is evaluated on: a whole global batch, or a slice of one, whose `prompt` still counts globally."""

    prompts: int
    """P of the global batch."""
    prompt: torch.Tensor
    """(S,) the prompt of each sample, 0 to P - 1, in any order."""
    numbers: Mapping[str, torch.Tensor]
    """Columns (S,)."""
    token_numbers: Mapping[str, torch.Tensor]
    """Columns (N,) over the tokens of `response`."""
    sequences: Mapping[str, Sequences]

    @property
    def samples(self) -> int:
        return len(self.prompt)

    @property
    def tokens(self) -> int:
        """Tokens of all sequences, prompts included."""
        return sum(len(sequences.inputs) + int((sequences.lengths > 0).sum()) for sequences in self.sequences.values())

    @property
    def widths(self) -> list[int]:
        """S lengths: the longest input of each sample."""
        lengths = torch.stack([sequences.input_lengths for sequences in self.sequences.values()])
        widths: list[int] = lengths.amax(0).tolist()
        return widths

    def slice(self, start: int, stop: int) -> Batch:
        """The samples from `start` to before `stop`: a micro-batch."""
        bounds = self.sequences["response"].token_bounds if self.token_numbers else []
        return replace(
            self,
            prompt=self.prompt[start:stop],
            numbers={name: column[start:stop] for name, column in self.numbers.items()},
            token_numbers={name: column[bounds[start] : bounds[stop]] for name, column in self.token_numbers.items()},
            sequences={name: sequences.slice(start, stop) for name, sequences in self.sequences.items()},
        )

    def to(self, device: torch.device) -> Batch:
        return replace(
            self,
            prompt=self.prompt.to(device),
            numbers={name: column.to(device) for name, column in self.numbers.items()},
            token_numbers={name: column.to(device) for name, column in self.token_numbers.items()},
            sequences={name: sequences.to(device) for name, sequences in self.sequences.items()},
        )


def collate(groups: Sequence[Sequence[Sample]]) -> Batch:
    """A batch of the samples of each prompt, from short to long, so that its slices carry little padding.

    Groups may differ in size; an empty one takes part as a prompt without samples.
    """
    pairs = [(number, sample) for number, group in enumerate(groups) for sample in group]
    pairs.sort(key=lambda pair: pair[1].length)
    samples = [sample for _, sample in pairs]
    columns = samples[0] if samples else Sample({})
    return Batch(
        prompts=len(groups),
        prompt=torch.tensor([number for number, _ in pairs], dtype=torch.long),
        numbers={
            name: torch.tensor([sample.numbers[name] for sample in samples], dtype=torch.float32)
            for name in columns.numbers
        },
        token_numbers={
            name: torch.tensor(_chained([sample.token_numbers[name] for sample in samples]), dtype=torch.float32)
            for name in columns.token_numbers
        },
        sequences={name: _pack(samples, name) for name in columns.sequences},
    )


@dataclass(frozen=True)
class Order:
    """Which units (samples or prompts) of a source a step draws: a pure function of seed and step.

    Each epoch is a permutation of its own; its last batch is as short as it comes out.
    """

    seed: int
    source: str
    size: int
    count: int

    @property
    def steps_per_epoch(self) -> int:
        return ceil(self.size / self.count)

    def units(self, step: int) -> list[int]:
        """The units of step 0, 1, …"""
        epoch, batch = divmod(step, self.steps_per_epoch)
        generator = np.random.Generator(np.random.Philox(key=seed_of(self.seed, "order", self.source, epoch)))
        permutation = generator.permutation(self.size)
        drawn: list[int] = permutation[batch * self.count : (batch + 1) * self.count].tolist()
        return drawn


def _pack(samples: Sequence[Sample], name: str) -> Sequences:
    pairs = [sample.sequences[name] for sample in samples]
    masks = [sample.masks.get(name) or [True] * len(ids) for sample, (_, ids) in zip(samples, pairs, strict=True)]
    inputs = [[*prompt, *ids][:-1] if ids else list(prompt) for prompt, ids in pairs]
    predicts = [
        [*[False] * (len(prompt) - 1), *mask] if ids else [False] * len(prompt)
        for (prompt, ids), mask in zip(pairs, masks, strict=True)
    ]
    borne = [list(compress(ids, mask)) for (_, ids), mask in zip(pairs, masks, strict=True)]
    return Sequences(
        inputs=torch.tensor(_chained(inputs), dtype=torch.long),
        input_lengths=torch.tensor([len(ids) for ids in inputs], dtype=torch.long),
        tokens=torch.tensor(_chained(borne), dtype=torch.long),
        lengths=torch.tensor([len(ids) for ids in borne], dtype=torch.long),
        predicts=torch.tensor(_chained(predicts), dtype=torch.bool),
    )


def _chained(lists: Sequence[Sequence[Item]]) -> list[Item]:
    return [item for items in lists for item in items]


def _bounds(lengths: torch.Tensor) -> list[int]:
    bounds: list[int] = [0, *lengths.cumsum(0).tolist()]
    return bounds
