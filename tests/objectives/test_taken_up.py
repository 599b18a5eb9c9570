"""What a loss asks of the weights with which a batch was taken up, and what it must know before its micro-batches."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import loss_expressions as e
import pytest
import torch
from loss_cases import VOCABULARY, assert_same, evaluate, forward_of, gradient_of, rollouts, tiny_model
from suitable import NAMES, program

from ptc import api
from ptc.runtime.batches import Draw, collate
from ptc.runtime.distributions import read, written
from ptc.runtime.loss import Loss, losses_of
from ptc.runtime.ranks import Ranks
from ptc.runtime.stateless import Stateless
from ptc.runtime.supply import Supply, draw_of
from ptc.runtime.training import Training

GROUPS = rollouts(31)


def ratio(at: str) -> dict[str, Any]:
    then = {**e.logp("m0"), "at": "batch_start"} if at else e.apply("stop", e.logp("m0"))
    return e.per_sample(e.apply("exp", e.apply("sub", e.logp("m0"), then)))


def in_pairs(widths: Sequence[int]) -> Iterator[tuple[int, int]]:
    return ((start, min(start + 2, len(widths))) for start in range(0, len(widths), 2))


def moved(model: torch.nn.Module) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)


def test_a_batch_that_was_just_taken_up_has_the_weights_that_stand() -> None:
    policy = tiny_model(1)
    loss = Loss([(1.0, ratio("batch_start"))])
    taken = loss.taken_up(GROUPS, forward_of(policy), in_pairs)
    assert [len(group) for group in taken] == [len(group) for group in GROUPS]
    value, gradient = evaluate(ratio("batch_start"), collate(taken), policy)
    expected, slope = evaluate(ratio(""), collate(GROUPS), policy)
    assert value == pytest.approx(expected, rel=1e-5)
    assert_same(gradient, slope)


def test_it_keeps_them_through_later_updates_and_any_choice_of_prompts() -> None:
    policy, then = tiny_model(1), tiny_model(1)
    loss = Loss([(1.0, ratio("batch_start"))])
    taken = loss.taken_up(GROUPS, forward_of(policy), in_pairs)
    moved(policy)
    chosen = [taken[3], taken[1]]
    value, _ = evaluate(ratio("batch_start"), collate(chosen), policy, slices=[(0, 3), (3, 8)])
    frozen = e.per_sample(e.apply("exp", e.apply("sub", e.logp("m0"), e.logp("m1"))))
    expected, _ = evaluate(frozen, collate([GROUPS[3], GROUPS[1]]), policy, then)
    assert value == pytest.approx(expected, rel=1e-5)
    assert value != pytest.approx(1.0, abs=1e-3)


def divergence(then: dict[str, Any]) -> dict[str, Any]:
    """From what the policy says now to a distribution, over the whole vocabulary."""
    own = e.logp_all("m0")
    return e.per_sample(e.reduce("sum", e.apply("mul", e.apply("exp", own), e.apply("sub", own, then)), "vocab"))


AT_START = {"numbers": ratio("batch_start"), "distributions": divergence({**e.logp_all("m0"), "at": "batch_start"})}


@pytest.mark.parametrize("what", AT_START)
def test_what_was_said_then_is_written_down_with_the_samples(what: str) -> None:
    loss = Loss([(1.0, AT_START[what])])
    taken = loss.taken_up(GROUPS, forward_of(tiny_model(1)), in_pairs)
    text = json.dumps({"groups": taken, "metrics": {}, "prompts": []}, default=vars)
    [one, other] = (collate(groups).sequences["response"].kept for groups in (taken, draw_of(json.loads(text)).groups))
    assert one.keys() == other.keys() and one
    assert all(torch.equal(one[name], other[name]) for name in one)
    if what == "distributions":
        assert all(value.shape[1] == VOCABULARY for value in one.values())
        numbers = sum(value.numel() for value in one.values())
        assert len(text) < 6 * numbers + 400 * sum(map(len, GROUPS))  # in base64, not spelled out


def test_distributions_of_then_are_those_of_a_model_that_stands_still() -> None:
    policy, then = tiny_model(1), tiny_model(1)
    loss = Loss([(1.0, AT_START["distributions"])])
    taken = loss.taken_up(GROUPS, forward_of(policy), in_pairs)
    moved(policy)
    value, gradient = evaluate(
        AT_START["distributions"], collate(taken), policy, slices=[(0, 3), (3, len(collate(taken).prompt))]
    )
    expected, slope = evaluate(divergence(e.logp_all("m1")), collate(GROUPS), policy, then)
    assert value == pytest.approx(expected, rel=1e-5) and value > 0.001
    assert_same(gradient, slope)


def test_a_sample_without_a_token_brings_no_distribution() -> None:
    nothing = torch.zeros(0, 7)
    assert read(written(nothing)).shape == (0, 7)


def test_a_loss_that_asks_nothing_of_the_start_leaves_samples_as_they_are() -> None:
    loss = Loss([(1.0, e.sft())])
    assert loss.taken_up(GROUPS, forward_of(), in_pairs) is GROUPS


# Two passes -----------------------------------------------------------------------------------------------------------


def reinforce() -> dict[str, Any]:
    """The reward holds a KL without gradient, and its mean over the batch is each sample's baseline."""
    fit = e.reduce("sum", e.logp("m0"), "token")
    away = e.apply("stop", e.apply("sub", fit, e.reduce("sum", e.logp("m1"), "token")))
    reward = e.apply("sub", e.column("reward", e.SAMPLES), e.apply("mul", e.constant(0.1), away))
    advantage = e.apply("sub", reward, e.reduce("mean", reward, "group", "prompt"))
    return e.apply("neg", e.reduce("mean", e.apply("mul", advantage, fit), "group", "prompt"))


def test_what_stands_inside_stop_is_known_before_the_micro_batches() -> None:
    policy, reference, batch = tiny_model(1), tiny_model(2).requires_grad_(False), collate(GROUPS)
    loss = Loss([(1.0, reinforce())])
    assert not loss.splits
    whole = loss.whole(loss.prepare(batch), forward_of(policy, reference)).loss
    expected = gradient_of(whole, policy)
    policy.zero_grad()
    prepared = loss.prepare(batch, 0, forward_of(policy, reference), in_pairs)
    assert prepared.splits
    parts = [loss.part(prepared, *span, forward_of(policy, reference)).loss for span in in_pairs(batch.widths)]
    for part in parts:
        part.backward()
    total = sum(float(part.detach()) for part in parts) - (len(parts) - 1) * loss.constant_part(prepared)
    assert total == pytest.approx(float(whole.detach()), rel=1e-5)
    assert_same({name: each.grad for name, each in policy.named_parameters() if each.grad is not None}, expected)


def test_one_micro_batch_needs_no_first_pass() -> None:
    loss, batch = Loss([(1.0, reinforce())]), collate(GROUPS)
    asked: list[str] = []

    def forward(model: str, columns: Sequence[str], batch: Any) -> list[torch.Tensor]:
        asked.append(model)
        return []

    loss.prepare(batch, 0, forward, lambda widths: [(0, len(widths))])
    assert not asked


@pytest.mark.parametrize("name", NAMES)
def test_every_objective_is_evaluated_in_micro_batches(name: str) -> None:
    [stage] = [node for node in api.compiled(api.check_text(program(name))).nodes.values() if node.kind == "train"]
    still = [model for model, bound in stage.settings["models"].items() if bound["as"] != "train"]
    [loss] = losses_of(stage.settings["terms"], still)
    assert loss.splits or loss.splits_in_two_passes


# Fixed rows -----------------------------------------------------------------------------------------------------------

AGAIN = """edition 2026
from std.objectives import proximal_sft, sft
source demos = gym("chain_sum", size = 20) |> prompts(.question, answer = .answer) |> respond(.answer)
model base = new.model("qwen3", hidden = 32, layers = 1, tokenizer = characters(demos))
stage learner {
  train policy = base
  minimize OBJECTIVE(demos, policy)
  optimizer = adamw(lr = 1e-3)
  batch = 4 samples
  passes = 3
  budget = 6 steps
}
"""


def test_fixed_rows_are_used_again_where_that_makes_a_difference() -> None:
    graph = api.compiled(api.check_text(AGAIN.replace("OBJECTIVE", "proximal_sft")))
    [stage] = [node for node in graph.nodes.values() if node.kind == "train"]
    asked = weights_of(stage.settings["terms"])
    assert asked == {"", "batch_start"}
    training = Training.of(stage.settings)
    supply = Supply(training, {"s0": Numbered()}, Ranks())
    drawn = [supply.draws(step)["s0"].prompts for step in range(6)]
    assert drawn[0] == drawn[1] == drawn[2] != drawn[3] == drawn[4] == drawn[5]
    assert supply.steps_per_epoch == 15
    refused = api.check_text(AGAIN.replace("OBJECTIVE", "sft")).diagnostics
    assert [(found.code, found.title[:24]) for found in refused] == [("N120", "`passes` is for nothing:")]


def weights_of(terms: list[dict[str, Any]]) -> set[str]:
    """Of which weights models are asked."""
    waiting, found = [term["loss"] for term in terms], set()
    while waiting:
        document = waiting.pop()
        waiting += document.get("args", ())
        if "model" in document:
            found.add(document.get("at", ""))
    return found


class Numbered(Stateless):
    """A source whose units are told apart by their prompts."""

    size = 20

    def draw(self, step: int, units: Sequence[int]) -> Draw:
        return Draw([[] for _ in units], {}, [str(unit) for unit in units])

    def at(self, step: int, drawn: Draw) -> Draw:
        raise AssertionError("it follows none")
