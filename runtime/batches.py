"""Rows of token ids become the tensors of one optimizer step, and a step's number becomes the rows that it draws.

Legend: P prompts, S samples, T steps of a process, N tokens that bear loss. A sample is one attempt at a prompt (or one
pair, or one row of a fixed source). What a sample has several of (tokens, steps) is packed: one row for each, sample
after sample, without padding.
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

from ptc.runtime.distributions import Kept, read
from ptc.runtime.sampling import seed_of

TokenIds = Sequence[int]
Item = TypeVar("Item")


def reading(column: str, given: str = "", tokenizer: str = "") -> str:
    """The name of the token sequences of a column, as a model reads them that is given a context before the prompt, or
    as the tokenizer of a model has them."""
    if tokenizer:
        return f"{column} by {tokenizer}"
    return f"{column} given {given}" if given else column


@dataclass(frozen=True)
class Sample:
    """One row as token ids. `sequences` maps `response`, `chosen`, … to (prompt ids, ids that bear loss)."""

    sequences: Mapping[str, tuple[TokenIds, TokenIds]]
    """By `reading`: of a column that a model reads behind a context of its own, once more with that prompt."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """Columns with one number per sample, such as `reward`."""
    token_numbers: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Columns with one number per token of `response` that bears loss, such as `logprobs`."""
    masks: Mapping[str, Sequence[bool]] = field(default_factory=dict)
    """Of a sequence in which not all ids behind the prompt bear loss: which do."""
    step_numbers: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Columns with one number per step, such as `step_rewards`."""
    steps: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Of a sequence in which steps are told apart: the step of each id behind the prompt, from 0 on."""
    ends: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Of a sequence of which a reward head is asked: the ids, counted from the first of the prompt, at which it is."""
    kept: Mapping[str, Mapping[str, Kept]] = field(default_factory=dict)
    """By sequence and name: what a model said when the rollout batch was taken up, per token that bears loss, …"""
    kept_ends: Mapping[str, Mapping[str, Kept]] = field(default_factory=dict)
    """… or per reading of its reward head."""
    met: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Of a sequence in another tokenizer, per token that bears loss: at which of those of the column, from 0 on, the
    same has been said."""

    @property
    def length(self) -> int:
        """Tokens of its longest sequence."""
        return max(len(prompt) + len(ids) for prompt, ids in self.sequences.values())


@dataclass(frozen=True)
class Draw:
    """What a step learns from: the samples of each prompt, and what is known about them, under TRL's metric names."""

    groups: Sequence[Sequence[Sample]]
    metrics: Mapping[str, float] = field(default_factory=dict)
    prompts: Sequence[str] = ()
    """The prompt of each group, by which sources that share their prompts are brought together."""


@dataclass(frozen=True)
class Sequences:
    """The token sequences of one column, packed."""

    inputs: torch.Tensor
    """Ids that a model reads, packed sample after sample: prompt and response, without the response's last token unless
    a head is read there."""
    input_lengths: torch.Tensor
    """(S,)"""
    tokens: torch.Tensor
    """(N,) ids of the tokens that bear loss: what the inputs predict of which `predicts` says so."""
    lengths: torch.Tensor
    """(S,) tokens of each sample that bear loss, 0 allowed."""
    predicts: torch.Tensor
    """As long as `inputs`: whether the token behind it bears loss."""
    ends: torch.Tensor
    """As long as `inputs`: how often a reward head is read there; mostly never, once for each step that ends there."""
    end_lengths: torch.Tensor
    """(S,) how often the head is read of each sample: once per text, or once per step."""
    steps: torch.Tensor
    """(N,) the step within its sample of each token that bears loss; -1 where there is none."""
    kept: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """What a model said when the rollout batch was taken up: one row per token that bears loss, …"""
    kept_ends: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """… or one per reading of its reward head."""
    met: torch.Tensor | None = None
    """(N,) of what is read in another tokenizer: the token of the column, counted within the sample, at which the same
    has been said."""

    @property
    def whole_lengths(self) -> torch.Tensor:
        """(S,) tokens of each sample: the last one is predicted and not read, unless a reward head is read there."""
        return self.input_lengths if bool(self.ends.any()) else self.input_lengths + (self.lengths > 0)

    @cached_property
    def owner(self) -> torch.Tensor:
        """(N,) the sample of each token."""
        return _owners(self.lengths, len(self.tokens))

    @cached_property
    def input_bounds(self) -> list[int]:
        """S + 1 positions in `inputs`: where each sample begins, and the end."""
        return _bounds(self.input_lengths)

    @cached_property
    def token_bounds(self) -> list[int]:
        """S + 1 positions in `tokens`: where each sample begins, and the end."""
        return _bounds(self.lengths)

    @cached_property
    def end_bounds(self) -> list[int]:
        """S + 1 positions among the readings of a reward head."""
        return _bounds(self.end_lengths)

    @staticmethod
    def empty(device: torch.device) -> Sequences:
        """Of no samples."""
        ids, no = (torch.zeros(0, dtype=kind, device=device) for kind in (torch.long, torch.bool))
        return Sequences(ids, ids, ids, ids, no, ids, ids, ids)

    def slice(self, start: int, stop: int) -> Sequences:
        inputs, tokens, ends = (
            slice(bounds[start], bounds[stop]) for bounds in (self.input_bounds, self.token_bounds, self.end_bounds)
        )
        return Sequences(
            inputs=self.inputs[inputs],
            input_lengths=self.input_lengths[start:stop],
            tokens=self.tokens[tokens],
            lengths=self.lengths[start:stop],
            predicts=self.predicts[inputs],
            ends=self.ends[inputs],
            end_lengths=self.end_lengths[start:stop],
            steps=self.steps[tokens],
            kept={name: value[tokens] for name, value in self.kept.items()},
            kept_ends={name: value[ends] for name, value in self.kept_ends.items()},
            met=None if self.met is None else self.met[tokens],
        )

    def to(self, device: torch.device) -> Sequences:
        return Sequences(
            inputs=self.inputs.to(device),
            input_lengths=self.input_lengths.to(device),
            tokens=self.tokens.to(device),
            lengths=self.lengths.to(device),
            predicts=self.predicts.to(device),
            ends=self.ends.to(device),
            end_lengths=self.end_lengths.to(device),
            steps=self.steps.to(device),
            kept={name: value.to(device) for name, value in self.kept.items()},
            kept_ends={name: value.to(device) for name, value in self.kept_ends.items()},
            met=None if self.met is None else self.met.to(device),
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
    step_numbers: Mapping[str, torch.Tensor]
    """Columns (T,)."""
    step_lengths: torch.Tensor
    """(S,) steps of each sample, 0 where there are none."""

    @property
    def samples(self) -> int:
        return len(self.prompt)

    @property
    def tokens(self) -> int:
        """Tokens of all sequences, prompts included."""
        return sum(int(each.whole_lengths.sum()) for each in self.sequences.values())

    @property
    def widths(self) -> list[int]:
        """S lengths: the longest input of each sample."""
        if not self.samples:
            return []
        lengths = torch.stack([sequences.input_lengths for sequences in self.sequences.values()])
        widths: list[int] = lengths.amax(0).tolist()
        return widths

    @cached_property
    def step_bounds(self) -> list[int]:
        """S + 1 positions among the steps: where each sample begins, and the end."""
        return _bounds(self.step_lengths)

    @cached_property
    def step_owner(self) -> torch.Tensor:
        """(T,) the sample of each step."""
        return _owners(self.step_lengths, self.step_bounds[-1])

    def slice(self, start: int, stop: int) -> Batch:
        """The samples from `start` to before `stop`: a micro-batch."""
        bounds = self.sequences["response"].token_bounds if self.token_numbers else []
        steps = slice(self.step_bounds[start], self.step_bounds[stop])
        return replace(
            self,
            prompt=self.prompt[start:stop],
            numbers={name: column[start:stop] for name, column in self.numbers.items()},
            token_numbers={name: column[bounds[start] : bounds[stop]] for name, column in self.token_numbers.items()},
            sequences={name: sequences.slice(start, stop) for name, sequences in self.sequences.items()},
            step_numbers={name: column[steps] for name, column in self.step_numbers.items()},
            step_lengths=self.step_lengths[start:stop],
        )

    def to(self, device: torch.device) -> Batch:
        return replace(
            self,
            prompt=self.prompt.to(device),
            numbers={name: column.to(device) for name, column in self.numbers.items()},
            token_numbers={name: column.to(device) for name, column in self.token_numbers.items()},
            sequences={name: sequences.to(device) for name, sequences in self.sequences.items()},
            step_numbers={name: column.to(device) for name, column in self.step_numbers.items()},
            step_lengths=self.step_lengths.to(device),
        )


def collate(groups: Sequence[Sequence[Sample]]) -> Batch:
    """A batch of the samples of each prompt, from short to long, so that its slices carry little padding.

    Groups may differ in size; an empty one takes part as a prompt without samples.
    """
    placed = in_order_of_length(groups)
    samples = [sample for _, sample in placed]
    columns = samples[0] if samples else Sample({})
    return Batch(
        prompts=len(groups),
        prompt=torch.tensor([number for number, _ in placed], dtype=torch.long),
        numbers={
            name: torch.tensor([sample.numbers[name] for sample in samples], dtype=torch.float32)
            for name in columns.numbers
        },
        token_numbers={
            name: torch.tensor(_chained([sample.token_numbers[name] for sample in samples]), dtype=torch.float32)
            for name in columns.token_numbers
        },
        sequences={name: _pack(samples, name) for name in columns.sequences},
        step_numbers={
            name: torch.tensor(_chained([sample.step_numbers[name] for sample in samples]), dtype=torch.float32)
            for name in columns.step_numbers
        },
        step_lengths=torch.tensor([_step_count(sample) for sample in samples], dtype=torch.long),
    )


def in_order_of_length(groups: Sequence[Sequence[Sample]]) -> list[tuple[int, Sample]]:
    """Each sample behind the number of its prompt, in the order in which they stand in a batch."""
    placed = [(number, sample) for number, group in enumerate(groups) for sample in group]
    return sorted(placed, key=lambda pair: pair[1].length)


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


def _step_count(sample: Sample) -> int:
    """Steps of a sample: as many as it has numbers for, or readings of a reward head."""
    counted = [*sample.step_numbers.values(), *(sample.ends[name] for name in sample.ends if name in sample.steps)]
    return len(counted[0]) if counted else 0


def _pack(samples: Sequence[Sample], name: str) -> Sequences:
    pairs = [sample.sequences[name] for sample in samples]
    masks = [sample.masks.get(name) or [True] * len(ids) for sample, (_, ids) in zip(samples, pairs, strict=True)]
    whole = any(name in sample.ends for sample in samples)
    inputs = [[*prompt, *ids] if whole or not ids else [*prompt, *ids][:-1] for prompt, ids in pairs]
    predicts = [
        [*[False] * (len(prompt) - 1), *mask, *[False] * whole] if ids else [False] * len(prompt)
        for (prompt, ids), mask in zip(pairs, masks, strict=True)
    ]
    borne = [list(compress(ids, mask)) for (_, ids), mask in zip(pairs, masks, strict=True)]
    steps = [
        list(compress(sample.steps.get(name, [-1] * len(mask)), mask))
        for sample, mask in zip(samples, masks, strict=True)
    ]
    ends = [sample.ends.get(name, ()) for sample in samples]
    return Sequences(
        inputs=torch.tensor(_chained(inputs), dtype=torch.long),
        input_lengths=torch.tensor([len(ids) for ids in inputs], dtype=torch.long),
        tokens=torch.tensor(_chained(borne), dtype=torch.long),
        lengths=torch.tensor([len(ids) for ids in borne], dtype=torch.long),
        predicts=torch.tensor(_chained(predicts), dtype=torch.bool),
        ends=torch.tensor(
            _chained([_counted(places, len(ids)) for places, ids in zip(ends, inputs, strict=True)]), dtype=torch.long
        ),
        end_lengths=torch.tensor([len(places) for places in ends], dtype=torch.long),
        steps=torch.tensor(_chained(steps), dtype=torch.long),
        kept=_joined([sample.kept.get(name, {}) for sample in samples]),
        kept_ends=_joined([sample.kept_ends.get(name, {}) for sample in samples]),
        met=_met([sample.met.get(name) for sample in samples]),
    )


def _met(places: Sequence[Sequence[int] | None]) -> torch.Tensor | None:
    told = [own for own in places if own is not None]
    return torch.tensor(_chained(told), dtype=torch.long) if told else None


def _joined(values: Sequence[Mapping[str, Kept]]) -> dict[str, torch.Tensor]:
    return {key: torch.cat([read(own[key]) for own in values]) for key in (values[0] if values else ())}


def _counted(places: Sequence[int], length: int) -> list[int]:
    """How often each of so many positions is among the places."""
    counted = [0] * length
    for place in places:
        counted[place] += 1
    return counted


def _chained(lists: Sequence[Sequence[Item]]) -> list[Item]:
    return [item for items in lists for item in items]


def _owners(lengths: torch.Tensor, total: int) -> torch.Tensor:
    """The sample that each of `total` packed rows belongs to."""
    return torch.arange(len(lengths), device=lengths.device).repeat_interleave(lengths, output_size=total)


def _bounds(lengths: torch.Tensor) -> list[int]:
    bounds: list[int] = [0, *lengths.cumsum(0).tolist()]
    return bounds
