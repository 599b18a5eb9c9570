"""One batch for TRL and for us: unequal lengths, a policy that has left its sampler and its reference, clips on both
sides."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from loss_cases import random_ids, tiny_model
from loss_references import token_logps
from transformers import PreTrainedModel, Qwen3ForCausalLM, Qwen3ForSequenceClassification

from ptc.runtime.batches import Sample

Groups = list[list[Sample]]
TRANSLATED = "response by m1"
"""A response in the tokens of the teacher."""


def moved(model: PreTrainedModel, seed: int, width: float) -> PreTrainedModel:
    """The model with noise on every weight."""
    generator = torch.Generator().manual_seed(seed)
    other = type(model)(model.config).eval()
    weights = {
        name: tensor + width * torch.randn(tensor.shape, generator=generator)
        for name, tensor in model.state_dict().items()
    }
    other.load_state_dict(weights)
    return other.requires_grad_(False)


def tiny_judge(seed: int) -> PreTrainedModel:
    """A reward model of the size of `tiny_model`."""
    torch.manual_seed(seed)
    config = copy.deepcopy(tiny_model(seed).config)
    config.num_labels, config.pad_token_id = 1, 0
    return Qwen3ForSequenceClassification(config).eval()


def larger(seed: int, vocabulary: int) -> PreTrainedModel:
    """A model of the size of `tiny_model`, with more tokens."""
    config = copy.deepcopy(tiny_model(seed).config)
    config.vocab_size = vocabulary
    torch.manual_seed(seed)
    return Qwen3ForCausalLM(config).eval().requires_grad_(False)


class Models:
    """The policy, what it was when the responses were drawn, its reference, a teacher, and a judge."""

    def __init__(self) -> None:
        self.policy = tiny_model(1)
        self.sampler = moved(self.policy, 7, 0.03)
        self.reference = moved(self.policy, 3, 0.05)
        self.teacher = tiny_model(4).requires_grad_(False)
        self.judge = tiny_judge(5)
        self.stranger = larger(6, 23)
        """A teacher with tokens of its own."""


def rollouts(sampler: PreTrainedModel, temperature: float = 1.0, groups: int = 4, attempts: int = 4) -> Groups:
    """Groups of responses with rewards, and the sampler's log-probabilities."""
    generator = torch.Generator().manual_seed(4)
    drawn: Groups = []
    for _ in range(groups):
        prompt = random_ids(generator, 2, 6)
        group = []
        for _ in range(attempts):
            sample = Sample({"response": (prompt, random_ids(generator, 1, 7))})
            with torch.no_grad():
                logprobs = token_logps(sampler, sample, temperature=temperature).tolist()
            reward = float(torch.rand(1, generator=generator))
            group.append(Sample(sample.sequences, {"reward": reward}, {"logprobs": logprobs}))
        drawn.append(group)
    return drawn


def pairs(prompt_tokens: int = 0, count: int = 8) -> Groups:
    """No response holds the token that pads: TRL's reward models take it for the end."""
    generator = torch.Generator().manual_seed(5)
    drawn: Groups = []
    for _ in range(count):
        prompt = random_ids(generator, prompt_tokens or 2, prompt_tokens or 6)
        sides = {name: (prompt, [max(1, i) for i in random_ids(generator, 1, 7)]) for name in ("chosen", "rejected")}
        drawn.append([Sample(sides)])
    return drawn


def rows(count: int = 8) -> Groups:
    """Responses with a label, each a prompt of its own."""
    generator = torch.Generator().manual_seed(11)
    return [
        [
            Sample(
                {"response": (random_ids(generator, 2, 6), random_ids(generator, 1, 7))},
                {"label": float(number % 3 != 0)},
            )
        ]
        for number in range(count)
    ]


def translated(groups: Groups) -> Groups:
    """The same responses in the tokens of a model that has others for the same texts, behind a prompt of its own."""
    generator = torch.Generator().manual_seed(12)
    return [[_translated(sample, random_ids(generator, 2, 6)) for sample in group] for group in groups]


def _translated(sample: Sample, prompt: list[int]) -> Sample:
    _, ids = sample.sequences["response"]
    other = [(5 * token + 3) % 23 for token in ids]
    met = {TRANSLATED: list(range(len(ids)))}
    return Sample({**sample.sequences, TRANSLATED: (prompt, other)}, sample.numbers, met=met)


def shifted(groups: Groups) -> Groups:
    """Each prompt with the response of the row before it, as TRL shifts a batch."""
    samples = flat(groups)
    return [
        [Sample({"response": (own.sequences["response"][0], other.sequences["response"][1])})]
        for own, other in zip(samples, samples[-1:] + samples[:-1], strict=True)
    ]


def chosen(groups: Groups) -> Groups:
    """The chosen responses of pairs."""
    return [[Sample({"response": sample.sequences["chosen"]}) for sample in group] for group in groups]


def flat(groups: Groups) -> list[Sample]:
    return [sample for group in groups for sample in group]


def sequences(samples: Sequence[Sample], column: str = "response") -> list[tuple[list[int], list[int]]]:
    """(prompt ids, response ids) of each."""
    return [(list(sample.sequences[column][0]), list(sample.sequences[column][1])) for sample in samples]


def padded(ids: Sequence[Sequence[int]], fill: int = 0, left: bool = False) -> torch.Tensor:
    """(rows, longest)"""
    width = max(map(len, ids))
    return torch.tensor(
        [[fill] * (width - len(row)) + list(row) if left else list(row) + [fill] * (width - len(row)) for row in ids]
    )
