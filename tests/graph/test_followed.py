"""A claimed eval is measured again at the end of every stage that descends from the claimant, and of no other."""

from __future__ import annotations

import pytest
from graph_programs import HEAD, graph, named, of_kind, stage

from ptc.compiler.graph import Graph

CLAIMED = "expands skill"
LATER = stage("later", "train policy = warm minimize sft(demos, policy)")
LAST = stage("last", "train policy = later minimize sft(demos, policy)")
STRANGER = stage("stranger", "train policy = base minimize sft(demos, policy) seed = 3")
TAUGHT = stage(
    "taught",
    "train policy = base freeze teacher = warm\n"
    "source told = problems |> sample(policy, n = 1, max_tokens = 8)\nminimize reverse_kl(told, policy, teacher)",
)
TOLD = stage(
    "told",
    "train policy = base\nsource told = problems |> sample(warm, n = 1, max_tokens = 8)\nminimize sft(told, policy)",
)


def warm(claims: str) -> str:
    return stage("warm", "train policy = base minimize sft(demos, policy)", claims)


def measured(found: Graph) -> set[str]:
    """The labels of the models that some eval is taken of."""
    return {found.nodes[node.inputs["model"]].label for node in found.nodes.values() if node.kind == "pass_rate"}


@pytest.mark.parametrize(
    ("stages", "models"),
    [
        (LATER + LAST, {"base", "warm", "later", "last"}),
        (TAUGHT, {"base", "warm", "taught"}),
        (TOLD, {"base", "warm", "told"}),
        (STRANGER, {"base", "warm"}),
    ],
)
def test_what_descends_by_weights_teachers_or_samples_is_measured(stages: str, models: set[str]) -> None:
    assert measured(graph(HEAD + warm(CLAIMED) + stages)) == models


def test_without_a_claim_nothing_is_measured() -> None:
    assert measured(graph(HEAD + warm("") + LATER)) == set()


def test_each_model_is_measured_once_and_only_for_what_is_needed() -> None:
    whole = graph(
        HEAD
        + warm(CLAIMED)
        + LATER
        + stage("side", "train policy = warm minimize sft(demos, policy) seed = 3")
        + 'report skill\nexport later to "later"\n'
    )
    first = [node for node in whole.nodes.values() if node.kind == "pass_rate" and node.settings["draw"] == 1]
    assert sorted(whole.nodes[node.inputs["model"]].label for node in first) == ["base", "later", "warm"]


def test_a_first_claim_to_consolidate_begins_with_the_model_that_it_starts_from() -> None:
    claims = "consolidates skill from stronger"
    text = HEAD + 'model stronger = local.model("stronger")\n' + warm(claims)
    assert measured(graph(text)) == {"stronger", "base", "warm"}


def test_measuring_changes_no_stage() -> None:
    plain, claimed = (graph(HEAD + warm(claims) + LATER + LAST) for claims in ("", CLAIMED))
    for name in ("warm", "later", "last"):
        assert named(plain, name).meaning == named(claimed, name).meaning


def test_evidence_compares_with_the_start_of_the_stage_and_of_the_line() -> None:
    second = stage("second", "train policy = warm minimize sft(demos, policy)", "reshapes skill")
    found = graph(HEAD + warm(CLAIMED) + second)
    taken = {found.nodes[node.inputs["model"]].label: node for node in of_kind(found, "evidence")}
    compared = {
        label: tuple(found.nodes[node.inputs[name]].label for name in ("start", "root"))
        for label, node in taken.items()
    }
    assert compared == {"base": ("base", "base"), "warm": ("base", "base"), "second": ("warm", "base")}
    assert len(of_kind(found, "evidence")) == 3  # the exit of one stage is the entry of the next
    for node in taken.values():
        assert found.nodes[node.inputs["counts"]].inputs["model"] == node.inputs["model"]
        assert found.nodes[node.inputs["counts"]].settings["seed"] == node.settings["seed"]


def test_there_is_no_evidence_without_attempts_that_are_scored_one_by_one() -> None:
    bits = "eval likely = bits_per_character(tasks |> slice(80%, 100%) |> respond(.answer))\n"
    found = graph(HEAD + bits + warm("expands likely") + LATER)
    assert of_kind(found, "evidence") == []
    assert len(of_kind(found, "bits_per_character")) == 3
