"""Loss and gradient of the four objectives against row-by-row references."""

from __future__ import annotations

import loss_expressions as expressions
import loss_references as references
import pytest
import torch
from loss_cases import assert_same, evaluate, gradient_of, pairs, rollouts
from transformers import Qwen3ForCausalLM

from ptc.runtime.batches import collate


def test_sft(policy: Qwen3ForCausalLM) -> None:
    groups = [[sample] for group in rollouts(3) for sample in group]
    loss, gradient = evaluate(expressions.sft(), collate(groups), policy)
    expected = references.sft(groups, policy)
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    assert_same(gradient, gradient_of(expected, policy))


@pytest.mark.parametrize("kl", [0.0, 0.05])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_grpo(policy: Qwen3ForCausalLM, reference: Qwen3ForCausalLM, kl: float, temperature: float) -> None:
    groups = rollouts(4)
    loss, gradient = evaluate(expressions.grpo(kl=kl, temperature=temperature), collate(groups), policy, reference)
    expected = references.grpo(groups, policy, reference if kl else None, kl=kl, temperature=temperature)
    assert loss == pytest.approx(expected.item(), rel=1e-4)
    assert_same(gradient, gradient_of(expected, policy))


def test_dpo(policy: Qwen3ForCausalLM, reference: Qwen3ForCausalLM) -> None:
    groups = pairs(5)
    loss, gradient = evaluate(expressions.dpo(), collate(groups), policy, reference)
    expected = references.dpo(groups, policy, reference)
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    assert_same(gradient, gradient_of(expected, policy))


def test_reverse_kl(policy: Qwen3ForCausalLM, reference: Qwen3ForCausalLM) -> None:
    groups = rollouts(6)
    loss, gradient = evaluate(expressions.reverse_kl(), collate(groups), policy, reference)
    expected = references.reverse_kl(groups, policy, reference)
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    assert_same(gradient, gradient_of(expected, policy))


@pytest.mark.parametrize("objective", ["sft", "grpo", "dpo", "reverse_kl"])
def test_gradient_is_the_slope_of_the_loss(
    policy: Qwen3ForCausalLM, reference: Qwen3ForCausalLM, objective: str
) -> None:
    """Central differences along random directions; the model normalises in float32, which bounds their precision."""
    student, teacher = policy.double(), reference.double()
    batch = collate(pairs(7) if objective == "dpo" else rollouts(7))
    expression = getattr(expressions, objective)()
    _, gradient = evaluate(expression, batch, student, teacher)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        direction = {
            name: torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            for name, parameter in student.named_parameters()
        }
        slope = sum(float((gradient[name] * direction[name]).sum()) for name in gradient)
        assert _slope(expression, batch, student, teacher, direction) == pytest.approx(slope, rel=2e-3, abs=1e-4)


def _slope(
    expression: dict[str, object],
    batch: object,
    student: Qwen3ForCausalLM,
    teacher: Qwen3ForCausalLM,
    direction: dict[str, torch.Tensor],
    width: float = 1e-4,
) -> float:
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            for name, parameter in student.named_parameters():
                parameter.add_(direction[name], alpha=sign * width)
        values.append(evaluate(expression, batch, student, teacher)[0])  # type: ignore[arg-type]
        with torch.no_grad():
            for name, parameter in student.named_parameters():
                parameter.sub_(direction[name], alpha=sign * width)
    return (values[0] - values[1]) / (2 * width)
