"""What the compiler makes of the library is what the trees written by hand say, which TRL and references check."""

from __future__ import annotations

from typing import Any

import loss_expressions as expressions
import pytest
from loss_cases import assert_same, evaluate, pairs, rollouts
from transformers import Qwen3ForCausalLM

from ptc import api
from ptc.runtime.batches import collate

PROGRAM = """edition 2026
from std.objectives import sft, grpo, dpo, reverse_kl
from std.verifiers import exact
source tasks = gym("chain_sum", size = 100) |> prompts(.question, answer = .answer)
source demos = tasks |> respond(.answer)
source pairs = jsonl("pairs.jsonl")
model base = new.model("qwen3", hidden = 32, layers = 1, tokenizer = characters(tasks))
model other = new.model("qwen3", hidden = 32, layers = 2, tokenizer = characters(tasks))
stage learner {
  train policy = base
  freeze reference = base
  freeze teacher = other
  source rollouts = tasks |> sample(policy, n = 4, temperature = TEMPERATURE, max_tokens = 4) |> score(exact)
  minimize LOSS
  optimizer = adamw(lr = 1e-3)
  batch = 4 prompts
  budget = 1 steps
}
"""


def compiled(loss: str, temperature: float = 1.0) -> Any:
    """The expression of the one term of a stage that minimizes `loss`."""
    text = PROGRAM.replace("LOSS", loss).replace("TEMPERATURE", str(temperature))
    graph = api.compiled(api.check_text(text))
    [stage] = [node for node in graph.nodes.values() if node.kind == "train"]
    [term] = stage.settings["terms"]
    return term["loss"]


@pytest.mark.parametrize(
    ("loss", "by_hand"),
    [
        ("sft(demos, policy)", expressions.sft()),
        ("grpo(rollouts, policy, clip_high = 0.28)", expressions.grpo()),
        ("grpo(rollouts, policy, clip_high = 0.28, reference = reference, kl = 0.05)", expressions.grpo(kl=0.05)),
        ("dpo(pairs, policy, reference, beta = 0.3)", expressions.dpo(beta=0.3)),
        ("reverse_kl(rollouts, policy, teacher)", expressions.reverse_kl()),
    ],
)
def test_the_library_says_what_is_tested(
    loss: str, by_hand: Any, policy: Qwen3ForCausalLM, reference: Qwen3ForCausalLM
) -> None:
    batch = collate(pairs(11) if "dpo" in loss else rollouts(11))
    value, gradient = evaluate(compiled(loss), batch, policy, reference)
    expected, other = evaluate(by_hand, batch, policy, reference)
    assert value == pytest.approx(expected, rel=1e-6)
    assert any(tensor.abs().max() > 0 for tensor in other.values())
    assert_same(gradient, other, 1e-6)


def test_a_ratio_is_taken_at_the_temperature_of_the_sampler(
    policy: Qwen3ForCausalLM, reference: Qwen3ForCausalLM
) -> None:
    batch = collate(rollouts(12))
    value, gradient = evaluate(compiled("grpo(rollouts, policy, clip_high = 0.28)", 0.7), batch, policy)
    expected, other = evaluate(expressions.grpo(temperature=0.7), batch, policy)
    assert value == pytest.approx(expected, rel=1e-6)
    assert_same(gradient, other, 1e-6)
