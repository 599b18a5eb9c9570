"""A model of a few thousand parameters, random batches for it, and the loss and gradient that they give."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from ptc.runtime.batches import Batch, Sample
from ptc.runtime.forward import Answer, answers
from ptc.runtime.loss import Loss

VOCABULARY = 17
Gradient = dict[str, torch.Tensor]


def tiny_model(seed: int, dtype: torch.dtype = torch.float32) -> Qwen3ForCausalLM:
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        initializer_range=0.3,
    )
    return Qwen3ForCausalLM(config).to(dtype).eval()


def random_ids(generator: torch.Generator, low: int, high: int) -> list[int]:
    length = int(torch.randint(low, high + 1, (1,), generator=generator))
    return torch.randint(0, VOCABULARY, (length,), generator=generator).tolist()


def rollouts(seed: int, sizes: Sequence[int] = (4, 3, 1, 5), shortest: int = 0) -> list[list[Sample]]:
    """Groups of attempts of unequal size, responses of unequal length, some without any token."""
    generator = torch.Generator().manual_seed(seed)
    groups = []
    for size in sizes:
        prompt = random_ids(generator, 2, 6)
        group = []
        for _ in range(size):
            response = random_ids(generator, shortest, 7)
            logprobs = (-3 * torch.rand(len(response), generator=generator)).tolist()
            reward = float(torch.rand(1, generator=generator))
            group.append(Sample({"response": (prompt, response)}, {"reward": reward}, {"logprobs": logprobs}))
        groups.append(group)
    return groups


def pairs(seed: int, count: int = 6) -> list[list[Sample]]:
    generator = torch.Generator().manual_seed(seed)
    drawn = []
    for _ in range(count):
        prompt = random_ids(generator, 2, 6)
        columns = {name: (prompt, random_ids(generator, 1, 7)) for name in ("chosen", "rejected")}
        drawn.append([Sample(columns)])
    return drawn


def forward_of(*models: torch.nn.Module) -> Callable[[str, Sequence[str], Batch], list[Answer]]:
    """Models by the names m0, m1, …; all but m0 are frozen."""

    def forward(name: str, columns: Sequence[str], batch: Batch) -> list[Answer]:
        model = models[int(name[1:])]
        with torch.set_grad_enabled(name == "m0"):
            return answers(model, [batch.sequences[column] for column in columns])

    return forward


def evaluate(
    expression: dict[str, object],
    batch: Batch,
    *models: torch.nn.Module,
    slices: Sequence[tuple[int, int]] | None = None,
) -> tuple[float, Gradient]:
    """Loss and gradient of `models[0]`, summed over the slices."""
    loss = Loss([(1.0, expression)])
    prepared = loss.prepare(batch)
    policy = models[0]
    policy.zero_grad()
    cuts = slices or [(0, batch.samples)]
    total = -(len(cuts) - 1) * loss.constant_part(prepared)
    for start, stop in cuts:
        part = loss.part(prepared, start, stop, forward_of(*models)).loss
        if part.requires_grad:
            part.backward()
        total += float(part.detach())
    gradient = {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
        for name, parameter in policy.named_parameters()
    }
    return total, gradient


def gradient_of(loss: torch.Tensor, model: torch.nn.Module) -> Gradient:
    model.zero_grad()
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


def assert_same(one: Gradient, other: Gradient, tolerance: float = 1e-5) -> None:
    largest = max(float(tensor.abs().max()) for tensor in other.values())
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], rtol=1e-4, atol=tolerance * largest, msg=name)
