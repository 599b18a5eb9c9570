"""The four objectives once more, row by row, in plain torch: nothing shared with the code under test but the model."""

from __future__ import annotations

import torch

from ptc.runtime.batches import Sample


def distribution(
    model: torch.nn.Module, prompt: list[int], response: list[int], temperature: float = 1.0
) -> torch.Tensor:
    """(response, vocabulary) log-probabilities, from one unpadded sequence at a time."""
    logits = model(input_ids=torch.tensor([prompt + response])).logits[0] / temperature
    shifted = logits[len(prompt) - 1 : len(prompt) + len(response) - 1]
    return shifted - shifted.exp().sum(-1, keepdim=True).log()


def token_logps(
    model: torch.nn.Module, sample: Sample, column: str = "response", temperature: float = 1.0
) -> torch.Tensor:
    prompt, response = (list(ids) for ids in sample.sequences[column])
    rows = distribution(model, prompt, response, temperature)
    return torch.stack([rows[t, token] for t, token in enumerate(response)]) if response else rows.new_zeros(0)


def sft(groups: list[list[Sample]], policy: torch.nn.Module) -> torch.Tensor:
    logps = torch.cat([token_logps(policy, sample) for group in groups for sample in group])
    return -logps.sum() / len(logps)


def advantages(group: list[Sample]) -> torch.Tensor:
    rewards = torch.tensor([sample.numbers["reward"] for sample in group])
    spread = rewards.std() if len(group) > 1 else torch.tensor(0.0)
    return (rewards - rewards.mean()) / (spread + 1e-4)


def grpo(
    groups: list[list[Sample]],
    policy: torch.nn.Module,
    reference: torch.nn.Module | None = None,
    clip_low: float = 0.2,
    clip_high: float = 0.28,
    kl: float = 0.0,
    temperature: float = 1.0,
) -> torch.Tensor:
    losses = []
    for group in groups:
        for sample, advantage in zip(group, advantages(group), strict=True):
            new = token_logps(policy, sample, temperature=temperature)
            terms = []
            for t in range(len(new)):
                ratio = (new[t] - sample.token_numbers["logprobs"][t]).exp()
                gain = torch.min(ratio * advantage, ratio.clip(1 - clip_low, 1 + clip_high) * advantage)
                penalty = torch.tensor(0.0)
                if reference is not None:
                    log_ratio = token_logps(reference, sample)[t].detach() - token_logps(policy, sample)[t]
                    penalty = log_ratio.exp() - log_ratio - 1
                terms.append(kl * penalty - gain)
            losses.append(sum(terms) / len(terms) if terms else torch.tensor(0.0))
    return sum(losses) / len(losses)  # type: ignore[return-value]


def dpo(
    groups: list[list[Sample]], policy: torch.nn.Module, reference: torch.nn.Module, beta: float = 0.1
) -> torch.Tensor:
    losses = []
    for (sample,) in groups:
        gaps = [
            token_logps(policy, sample, column).sum() - token_logps(reference, sample, column).sum().detach()
            for column in ("chosen", "rejected")
        ]
        losses.append((1 + (-beta * (gaps[0] - gaps[1])).exp()).log())
    return sum(losses) / len(losses)  # type: ignore[return-value]


def reverse_kl(groups: list[list[Sample]], student: torch.nn.Module, teacher: torch.nn.Module) -> torch.Tensor:
    losses = []
    for group in groups:
        for sample in group:
            prompt, response = (list(ids) for ids in sample.sequences["response"])
            if not response:
                losses.append(torch.tensor(0.0))
                continue
            own, theirs = distribution(student, prompt, response), distribution(teacher, prompt, response).detach()
            losses.append(torch.nn.functional.kl_div(theirs, own, log_target=True, reduction="sum") / len(response))
    return sum(losses) / len(losses)  # type: ignore[return-value]
