"""`protect`: gates at the end of every stage that descends from the model, and of no other."""

from __future__ import annotations

import pytest
from graph_programs import HEAD, graph, named, of_kind, stage

WARM = stage("warm", "train policy = base minimize sft(demos, policy)", "expands skill")
LATER = stage("later", "train policy = warm minimize sft(demos, policy)")
LAST = stage("last", "train policy = later minimize sft(demos, policy)")
PUPIL = stage(
    "pupil",
    "train policy = base\nsource told = problems |> sample(warm, n = 1, max_tokens = 8)\nminimize sft(told, policy)",
)
STRANGER = stage("stranger", "train policy = base minimize sft(demos, policy) seed = 3")
PROGRAM = HEAD + WARM + LATER + LAST + PUPIL + STRANGER


@pytest.mark.parametrize("beginning", ["", " from warm"])
def test_every_stage_that_descends_by_weights_or_samples_is_bound(beginning: str) -> None:
    whole = graph(f"{PROGRAM}protect skill within 2 points{beginning}\n")
    gates = of_kind(whole, "gate")
    assert sorted(gate.names["stage"] for gate in gates) == ["last", "later", "pupil"]
    before = whole.nodes[gates[0].inputs["before"]]
    assert before.inputs["model"] == named(whole, "warm").meaning
    for gate in gates:
        assert gate.inputs["before"] == gates[0].inputs["before"]
        assert whole.nodes[gate.inputs["counts"]].inputs["model"] == named(whole, gate.names["stage"]).meaning
        assert (gate.settings["op"], gate.settings["limit"]) == ("ge", -0.02)
        assert gate.label == "protect skill within 2 points from warm"


def test_what_comes_after_waits_for_the_protection() -> None:
    whole = graph(f"{PROGRAM}protect skill within 2 points from warm\n")
    (gate,) = (gate for gate in of_kind(whole, "gate") if gate.names["stage"] == "later")
    assert gate.meaning in named(whole, "last").after
    assert gate.meaning not in named(whole, "stranger").after
