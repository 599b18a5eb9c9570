"""The numeric identities of losses at the first step: what each is worth where reference and policy are one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from loss_cases import forward_of, pairs, rollouts, tiny_model
from objective_batches import groups_of, labelled
from suitable import program

from ptc import api
from ptc.compiler.graph import Node
from ptc.runtime.batches import Batch, Sample, collate
from ptc.runtime.followers import Follower
from ptc.runtime.identities import Twins, centred
from ptc.runtime.loss import Loss, losses_of
from ptc.runtime.training import Following

LN2 = math.log(2)
BETA = 0.3
AT_THE_START: dict[str, tuple[str, float]] = {
    "dpo": ("dpo(pairs, policy, reference, beta = 0.3)", LN2),
    "dpo_norm": ("dpo_norm(pairs, policy, reference, beta = 0.3)", LN2),
    "cdpo": ("cdpo(pairs, policy, reference, label_smoothing = 0.1)", LN2),
    "robust": ("robust(pairs, policy, reference, label_smoothing = 0.1)", LN2),
    "ld_dpo": ("ld_dpo(pairs, policy, reference)", LN2),
    "dpo_js": ("dpo_js(pairs, policy, reference)", LN2),
    "dpo_alpha": ("dpo_alpha(pairs, policy, reference)", LN2),
    "dpo_forward_kl": ("dpo_forward_kl(pairs, policy, reference)", LN2),
    "ipo": ("ipo(pairs, policy, reference, beta = 0.3)", 1 / (4 * BETA**2)),
    "hinge": ("hinge(pairs, policy, reference)", 1.0),
    "sppo": ("sppo(pairs, policy, reference, beta = 0.3)", 2 * (0.5 / BETA) ** 2),
    "apo_zero": ("apo_zero(pairs, policy, reference)", 1.0),
    "apo_down": ("apo_down(pairs, policy, reference)", 1.0),
    "bco": ("bco(pairs, policy, reference)", 2 * LN2),
    "nca": ("nca(pairs, policy, reference)", 2 * LN2),
    "discopop": ("discopop(pairs, policy, reference)", 0.5 + 0.5 * LN2),
    "exo": (
        "exo(pairs, policy, reference, label_smoothing = 0.1)",
        -LN2 - 0.5 * (math.log(0.9) + math.log(0.1)),
    ),
}
"""Calls whose loss is a number where the reference is the policy."""


def train_node(name: str, call: str = "") -> Node:
    graph = api.compiled(api.check_text(program(name, call)))
    [node] = [node for node in graph.nodes.values() if node.kind == "train"]
    return node


def worth(document: Any, batch: Batch, *models: torch.nn.Module) -> float:
    loss = Loss([(1.0, document)])
    with torch.no_grad():
        return float(loss.whole(loss.prepare(batch), forward_of(*models)).loss)


@pytest.mark.parametrize("name", AT_THE_START)
def test_a_preference_loss_where_the_reference_is_the_policy(name: str) -> None:
    call, expected = AT_THE_START[name]
    [term] = train_node(name, call).settings["terms"]
    policy = tiny_model(1)
    assert worth(term["loss"], collate(pairs(3)), policy, policy) == pytest.approx(expected, abs=1e-5)
    assert worth(term["loss"], collate(pairs(3)), policy, tiny_model(2)) != pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("name", ["kto", "apo_zero_unpaired"])
def test_a_loss_of_labels_where_the_reference_is_the_policy(name: str) -> None:
    """λ / 2, with the weight of each label."""
    [term] = train_node(name).settings["terms"]
    policy, groups = tiny_model(1), labelled(3)
    labels = [sample.numbers["label"] for group in groups for sample in group]
    expected = sum(0.5 if label else 0.75 for label in labels) / len(labels)
    assert worth(term["loss"], collate(groups), policy, policy) == pytest.approx(expected, abs=1e-5)


def test_a_likelihood_beside_dpo_is_added_to_ln_2() -> None:
    policy, batch = tiny_model(1), collate(pairs(3))
    terms = [train_node("rpo", f"rpo(pairs, policy, reference, nll = {nll})").settings["terms"] for nll in (1, 2)]
    once, twice = (worth(term["loss"], batch, policy, policy) for [term] in terms)
    assert once > 1 and 2 * once - twice == pytest.approx(LN2, abs=1e-5)


@pytest.mark.parametrize("name", ["reverse_kl", "gkd", "forward_kl", "self_distillation", "context_distillation"])
def test_a_teacher_that_is_the_student_leaves_nothing_to_learn(name: str) -> None:
    node = train_node(name)
    [term] = node.settings["terms"]
    [loss] = losses_of([term])
    model = tiny_model(1)
    groups = [
        [Sample({text: sample.sequences["response"] for text in ("response", "response given context")})]
        for group in rollouts(4, shortest=1)
        for sample in group
    ]
    prepared = loss.prepare(collate(groups))
    model.zero_grad()
    found = loss.whole(prepared, forward_of(model, model)).loss
    assert float(found.detach()) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("call", ["grpo(rollouts, policy)", "dr_grpo(rollouts, policy)", "lite_ppo(rollouts, policy)"])
def test_values_less_their_mean_are_found_and_sum_to_nothing(call: str) -> None:
    terms = train_node(call.split("(")[0], call).settings["terms"]
    [found] = centred(terms)
    assert worth(found.largest_sum, collate(rollouts(5))) == pytest.approx(0.0, abs=1e-5)
    shifted = {**found.value, "args": [found.value["args"][0], {"op": "constant", "value": 0.5, "axes": []}]}
    assert worth({**found.largest_sum, "args": [_with(found.largest_sum, found.value, shifted)]}, collate(rollouts(5)))


def _with(document: Any, part: Any, other: Any) -> Any:
    """The argument of a document with one part replaced."""
    [arg] = document["args"]
    return _replaced(arg, part, other)


def _replaced(document: Any, part: Any, other: Any) -> Any:
    if document == part:
        return other
    return {**document, "args": [_replaced(arg, part, other) for arg in document.get("args", ())]}


def test_rloo_is_the_distance_to_the_mean_n_over_n_minus_1_times() -> None:
    rewards = torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0])
    others = [(rewards.sum() - one) / (len(rewards) - 1) for one in rewards]
    expected = torch.stack([one - other for one, other in zip(rewards, others, strict=True)])
    torch.testing.assert_close(len(rewards) / (len(rewards) - 1) * (rewards - rewards.mean()), expected)


def test_an_average_of_decay_1_stands_still_and_of_decay_0_copies() -> None:
    for decay in (1.0, 0.0):
        followed, average = tiny_model(1), tiny_model(2)
        before = [parameter.clone() for parameter in average.parameters()]
        Follower(average, followed, Following(follows="m0", decay=decay)).follow(1)
        expected = before if decay else list(followed.parameters())
        for found, wanted in zip(average.parameters(), expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=0, atol=1e-7)


def test_a_pair_of_a_judge_whose_head_is_0_costs_ln_2() -> None:
    node = train_node("bradley_terry", "bradley_terry(pairs, judge)")
    [loss] = losses_of(node.settings["terms"])
    batch = collate(groups_of("bradley_terry")[0])

    def silent(model: str, columns: Sequence[str], part: Batch) -> list[torch.Tensor]:
        return [torch.zeros(int(part.sequences[column].end_lengths.sum())) for column in columns]

    assert float(loss.whole(loss.prepare(batch), silent).loss) == pytest.approx(LN2, abs=1e-6)


def test_twins_are_read_off_the_graph_and_not_off_names() -> None:
    node = train_node("dpo")
    terms = node.settings["terms"]
    same = Twins(node, False, {}).same(terms)
    assert sorted(one.one["column"] for one in same) == ["chosen", "rejected"]
    assert Twins(replace(node, inputs={**node.inputs, "m1": "another"}), False, {}).same(terms) == []
    assert len(Twins(replace(node, inputs={}), False, {"m1": "m0"}).same(terms)) == 2


def test_a_sampler_is_a_twin_only_where_it_draws_from_the_whole_distribution() -> None:
    def columns(**changes: Any) -> list[str]:
        node = train_node("grpo", "grpo(rollouts, policy)")
        flow = [{**step, **changes} if step["op"] == "sample" else step for step in node.settings["flows"]["s0"]]
        changed = replace(node, settings={**node.settings, "flows": {"s0": flow}})
        return [one.one["op"] for one in Twins(changed, True, {}).same(node.settings["terms"])]

    assert columns() == ["column"]
    assert columns(top_p=0.9) == columns(top_k=5) == columns(min_p=0.1) == columns(stop=["."]) == []
    assert columns(model="m1") == []
