"""Numbers that objectives must give whatever the model, and the independence of the gradient from micro-batches."""

from __future__ import annotations

import copy
import math
import random
from itertools import pairwise

import loss_expressions as expressions
import loss_references as references
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loss_cases import assert_same, evaluate, pairs, rollouts, tiny_model
from transformers import Qwen3ForCausalLM

from ptc.runtime.batches import Sample, collate


def on_policy(groups: list[list[Sample]], policy: Qwen3ForCausalLM) -> list[list[Sample]]:
    """The same attempts, with the policy's own log-probabilities as if it had just sampled them."""
    with torch.no_grad():
        return [
            [
                Sample(sample.sequences, sample.numbers, {"logprobs": references.token_logps(policy, sample).tolist()})
                for sample in group
            ]
            for group in groups
        ]


def test_dpo_is_ln_2_where_the_policy_is_its_reference(policy: Qwen3ForCausalLM) -> None:
    twin = copy.deepcopy(policy).requires_grad_(False)
    loss, _ = evaluate(expressions.dpo(beta=0.3), collate(pairs(1)), policy, twin)
    assert loss == pytest.approx(math.log(2), abs=1e-6)
    value, _ = evaluate(
        expressions.reduce("mean", expressions.margin(0.3), "prompt", "group"), collate(pairs(1)), policy, twin
    )
    assert value == pytest.approx(0.0, abs=1e-6)


def test_advantages_of_each_group_sum_to_zero(policy: Qwen3ForCausalLM) -> None:
    total = expressions.reduce("sum", expressions.advantage(), "group")
    loss, _ = evaluate(
        expressions.reduce("mean", expressions.apply("abs", total), "prompt"), collate(rollouts(2)), policy
    )
    assert loss == pytest.approx(0.0, abs=1e-5)


def test_first_inner_step_of_grpo_has_ratio_one_and_loss_zero_but_a_gradient(policy: Qwen3ForCausalLM) -> None:
    batch = collate(on_policy(rollouts(3, shortest=1), policy))
    ratio = expressions.apply(
        "exp", expressions.apply("sub", expressions.logp("m0"), expressions.column("logprobs", expressions.TOKENS))
    )
    away = expressions.apply("abs", expressions.apply("sub", ratio, expressions.constant(1.0)))
    off, _ = evaluate(expressions.reduce("sum", away, "token", "prompt", "group"), batch, policy)
    assert off / len(batch.sequences["response"].tokens) == pytest.approx(0.0, abs=1e-5)
    loss, gradient = evaluate(expressions.grpo(), batch, policy)
    assert loss == pytest.approx(0.0, abs=1e-5)
    assert max(float(tensor.abs().max()) for tensor in gradient.values()) > 1e-3


def test_two_attempts_of_which_one_is_right_have_advantages_of_half_the_square_root_of_two(
    policy: Qwen3ForCausalLM,
) -> None:
    group = [Sample({"response": ([1, 2], [3])}, {"reward": reward}) for reward in (0.0, 1.0)]
    square = expressions.apply("mul", expressions.advantage(), expressions.advantage())
    loss, _ = evaluate(expressions.reduce("mean", square, "prompt", "group"), collate([group]), policy)
    assert math.sqrt(loss) == pytest.approx(1 / math.sqrt(2), rel=1e-3)


def test_reverse_kl_of_a_model_to_itself_is_zero(policy: Qwen3ForCausalLM) -> None:
    twin = copy.deepcopy(policy).requires_grad_(False)
    loss, gradient = evaluate(expressions.reverse_kl(), collate(rollouts(4)), policy, twin)
    assert loss == pytest.approx(0.0, abs=1e-6)
    assert max(float(tensor.abs().max()) for tensor in gradient.values()) < 1e-6


def test_a_sample_without_tokens_gives_zero_and_counts(policy: Qwen3ForCausalLM) -> None:
    full = Sample({"response": ([1, 2], [3, 4])})
    empty = Sample({"response": ([1, 2], [])})
    per_sample = expressions.per_sample(expressions.logp("m0"))
    alone, _ = evaluate(per_sample, collate([[full]]), policy)
    together, _ = evaluate(per_sample, collate([[full], [empty], [empty]]), policy)
    assert together == pytest.approx(alone / 3, rel=1e-5)


def test_an_added_constant_counts_once_however_the_batch_is_cut(policy: Qwen3ForCausalLM) -> None:
    batch = collate(rollouts(5))
    shifted = expressions.apply(
        "add",
        expressions.grpo(),
        expressions.reduce("mean", expressions.column("reward", expressions.SAMPLES), "prompt", "group"),
    )
    whole, _ = evaluate(shifted, batch, policy)
    cut, _ = evaluate(shifted, batch, policy, slices=[(0, 4), (4, 5), (5, batch.samples)])
    assert cut == pytest.approx(whole, rel=1e-4)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    objective=st.sampled_from(["sft", "grpo", "dpo", "reverse_kl"]),
    seed=st.integers(0, 10_000),
    cuts=st.sets(st.integers(1, 12), max_size=6),
)
def test_micro_batches_and_order_do_not_change_the_gradient(objective: str, seed: int, cuts: set[int]) -> None:
    policy, reference = tiny_model(1), tiny_model(2).requires_grad_(False)
    groups = pairs(seed, count=9) if objective == "dpo" else rollouts(seed)
    expression = getattr(expressions, objective)()
    batch = collate(groups)
    loss, gradient = evaluate(expression, batch, policy, reference)
    shuffled = [
        random.Random(seed).sample(group, len(group)) for group in random.Random(seed).sample(groups, len(groups))
    ]
    bounds = sorted({0, *(cut for cut in cuts if cut < batch.samples), batch.samples})
    slices = list(pairwise(bounds))
    again, same = evaluate(expression, collate(shuffled), policy, reference, slices=slices)
    assert again == pytest.approx(loss, rel=1e-4, abs=1e-6)
    assert_same(same, gradient, tolerance=2e-5)
