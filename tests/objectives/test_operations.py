"""Operations of a loss that only few objectives use, each against a loop in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import loss_expressions as e
import numpy as np
import pytest
import torch
from loss_cases import evaluate, rollouts, tiny_model

from ptc.runtime import running
from ptc.runtime.batches import Sample, collate
from ptc.runtime.loss import Loss

GROUPS = rollouts(21, sizes=(4, 1, 3))
SAMPLES = [sample for group in GROUPS for sample in group]
REWARD, LOGPROBS = e.column("reward", e.SAMPLES), e.column("logprobs", e.TOKENS)


def tokens(sample: Sample) -> np.ndarray:
    return np.array(sample.token_numbers["logprobs"])


def rewards(samples: list[Sample] = SAMPLES) -> np.ndarray:
    return np.array([sample.numbers["reward"] for sample in samples])


def value(document: dict[str, Any]) -> float:
    loss = Loss([(1.0, document)])
    batch = collate(GROUPS)
    return float(loss.part(loss.prepare(batch), 0, batch.samples, lambda *_: []).loss)


def of_tokens(op: str, *args: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A running operation, squared and summed over its sample, averaged over samples."""
    run = {"op": op, "args": list(args), "axes": e.TOKENS, "tokens": "response", **fields}
    return e.reduce("mean", e.reduce("sum", e.apply("mul", run, run), "token"), "group", "prompt")


def looped(function: Callable[[Sample], np.ndarray]) -> float:
    return float(np.mean([(function(sample) ** 2).sum() for sample in SAMPLES]))


@pytest.mark.parametrize("discount", [1.0, 0.9, 0.0])
def test_suffix_sum(discount: float) -> None:
    def by_hand(sample: Sample) -> np.ndarray:
        x = tokens(sample)
        return np.array([sum(discount ** (j - t) * x[j] for j in range(t, len(x))) for t in range(len(x))])

    assert value(of_tokens("suffix_sum", LOGPROBS, discount=discount)) == pytest.approx(looped(by_hand), rel=1e-5)


def test_suffix_min() -> None:
    def by_hand(sample: Sample) -> np.ndarray:
        return np.array([tokens(sample)[t:].min() for t in range(len(tokens(sample)))])

    assert value(of_tokens("suffix_min", LOGPROBS)) == pytest.approx(looped(by_hand), rel=1e-5)


def test_at_end() -> None:
    def by_hand(sample: Sample) -> np.ndarray:
        return np.array([0.0] * (len(tokens(sample)) - 1) + [sample.numbers["reward"]])[: len(tokens(sample))]

    assert value(of_tokens("at_end", REWARD)) == pytest.approx(looped(by_hand), rel=1e-5)


def test_gae() -> None:
    def by_hand(sample: Sample) -> np.ndarray:
        v = tokens(sample)
        reward = np.zeros(len(v))
        reward[-1:] = sample.numbers["reward"]
        delta = [reward[t] + 0.9 * (v[t + 1] if t + 1 < len(v) else 0.0) - v[t] for t in range(len(v))]
        return np.array([sum((0.9 * 0.8) ** (j - t) * delta[j] for j in range(t, len(v))) for t in range(len(v))])

    end = {"op": "at_end", "args": [REWARD], "axes": e.TOKENS, "tokens": "response"}
    found = value(of_tokens("gae", end, LOGPROBS, discount=0.9, **{"lambda": 0.8}))
    assert found == pytest.approx(looped(by_hand), rel=1e-5)


def test_length_counts_the_tokens_that_bear_loss() -> None:
    length = {"op": "length", "column": "response", "axes": e.SAMPLES}
    expected = np.mean([len(tokens(sample)) * sample.numbers["reward"] for sample in SAMPLES])
    assert value(e.reduce("mean", e.apply("mul", length, REWARD), "group", "prompt")) == pytest.approx(expected)


def test_least_greatest_and_count_of_a_group() -> None:
    for op, function in (("min_over", np.min), ("max_over", np.max), ("count", len)):
        squared = e.apply("mul", e.reduce(op, REWARD, "group"), e.reduce(op, REWARD, "group"))
        expected = np.mean([function(rewards(list(group))) ** 2 for group in GROUPS])
        assert value(e.reduce("mean", squared, "prompt")) == pytest.approx(expected, rel=1e-5), op


def test_least_of_a_sample_without_tokens_is_0() -> None:
    assert any(not len(tokens(sample)) for sample in SAMPLES)
    expected = np.mean([tokens(sample).min() if len(tokens(sample)) else 0.0 for sample in SAMPLES])
    found = value(e.reduce("mean", e.reduce("min_over", LOGPROBS, "token"), "group", "prompt"))
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("op", "compare"),
    [
        ("eq", np.equal),
        ("ne", np.not_equal),
        ("lt", np.less),
        ("le", np.less_equal),
        ("gt", np.greater),
        ("ge", np.greater_equal),
    ],
)
def test_comparisons_are_0_or_1(op: str, compare: Callable[..., np.ndarray]) -> None:
    middle = float(np.float32(np.sort(rewards())[len(SAMPLES) // 2]))
    chosen = e.apply("where", e.apply(op, REWARD, e.constant(middle)), e.constant(2.0), REWARD)
    expected = np.mean(np.where(compare(np.float32(rewards()), middle), 2.0, rewards()))
    assert value(e.reduce("mean", chosen, "group", "prompt")) == pytest.approx(expected, rel=1e-5)


def test_a_spread_without_gradient_is_that_of_the_whole_batch_however_it_is_cut() -> None:
    fit = e.reduce("mean", e.logp("m0"), "token")
    spread = e.apply("stop", e.reduce("std", fit, "group", "prompt"))
    document = e.apply("div", e.reduce("mean", fit, "group", "prompt"), e.apply("exp", spread))
    assert not Loss([(1.0, document)]).splits
    assert Loss([(1.0, e.reduce("mean", fit, "group", "prompt"))]).splits


def test_running_sums_carry_gradient_to_the_right_tokens() -> None:
    lengths = torch.tensor([3, 0, 2])
    values = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], requires_grad=True)
    running.suffix_sum(values, lengths, 0.5)[torch.tensor([0, 3])].sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [1.0, 0.5, 0.25, 1.0, 0.5]
    assert running.at_end(torch.tensor([7.0, 8.0, 9.0]), lengths).tolist() == [0.0, 0.0, 7.0, 0.0, 9.0]


def test_a_running_sum_of_log_probabilities_is_the_same_however_the_batch_is_cut() -> None:
    policy, batch = tiny_model(1), collate(GROUPS)
    document = of_tokens("suffix_sum", e.logp("m0"), discount=0.9)
    whole, gradient = evaluate(document, batch, policy)
    cut, same = evaluate(document, batch, policy, slices=[(0, 3), (3, batch.samples)])
    assert cut == pytest.approx(whole, rel=1e-4)
    for name, tensor in gradient.items():
        torch.testing.assert_close(same[name], tensor, rtol=1e-3, atol=1e-5)
