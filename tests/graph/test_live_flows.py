"""Live flows with several sources, as a stage's document spells them: one chain, and what it takes besides."""

from __future__ import annotations

from typing import Any

from graph_programs import HEAD, WARM, graph, named, stage

from ptc.compiler.graph import Graph, Node

TRIES = "source tries = problems |> sample(policy, n = 4) |> score(exact)\n"


def learned(body: str) -> tuple[Graph, Node]:
    found = graph(HEAD + WARM + stage("a", f"train policy = warm {body}"))
    return found, named(found, "a")


def kinds(flow: Any) -> list[str]:
    return [step["op"] for step in flow]


def test_joined_rows_name_the_flow_of_their_partner() -> None:
    body = TRIES + "source rescue = demos |> join(tries, on = .prompt) |> only(max(.reward, over = group) == 0)\n"
    found, node = learned(body + "minimize grpo(tries, policy) + sft(rescue, policy)")
    flows = node.settings["flows"]
    assert kinds(flows["s0"]) == ["sample", "score"]
    join, only = flows["s1"]
    assert (join["op"], join["on"], join["with"]) == ("join", "prompt", {"partner": {"flow": "s0"}})
    assert only["where"]["args"][0]["of"] == "partner"
    assert found.nodes[node.inputs["s1"]].kind == "respond"


def test_a_mixture_flows_through_its_live_part_and_takes_the_rest_besides() -> None:
    found, node = learned(TRIES + "minimize sft(mix([demos, tries], weights = [1, 3]), policy)")
    (flow,) = node.settings["flows"].values()
    assert kinds(flow) == ["sample", "score", "mix"]
    assert (flow[-1]["of"], flow[-1]["weights"]) == ("1", [0.25, 0.75])
    beside = flow[-1]["with"]["0"]
    assert beside["steps"] == []
    assert found.nodes[node.inputs[beside["base"]]].kind == "respond"
    assert found.nodes[node.inputs["s0"]].kind == "slice"


def test_a_gate_draws_a_mixture_once() -> None:
    body = (
        "source both = tries + (problems |> sample(base, n = 4) |> score(exact)) require informative_rate(both) >= 1%"
    )
    found, _ = learned(f"{TRIES} {body} minimize grpo(tries, policy)")
    (gate,) = (node for node in found.nodes.values() if node.kind == "gate")
    drawn = found.nodes[gate.inputs["rows"]]
    assert drawn.kind == "concat"
    assert {found.nodes[meaning].kind for meaning in drawn.inputs.values()} == {"score", "take"}


def test_what_a_filter_or_a_replay_draws_again_is_no_part_of_a_gate() -> None:
    thin = "source thin = tries |> keep(.reward > 0) |> refill(max = 2) |> replay(window = 2 steps)"
    found, node = learned(f"{TRIES} {thin} require informative_rate(thin) >= 1% minimize sft(thin, policy)")
    assert kinds(node.settings["flows"]["s0"]) == ["sample", "score", "keep", "refill", "replay"]
    assert not {node.kind for node in found.nodes.values()} & {"refill", "replay"}


def test_an_eval_s_tag_is_no_part_of_what_is_measured() -> None:
    watched = "eval {} = pass_rate(tasks |> slice(80%, 100%), exact, n = 4{})\n"
    text = (
        HEAD + watched.format("plain", "") + watched.format("safe", ', tag = "safety"') + WARM + "report plain, safe\n"
    )
    measured = [node for node in graph(text).nodes.values() if node.kind == "pass_rate"]
    assert len(measured) == 1


def test_one_plain_verifier_is_spelled_as_itself_and_a_sum_as_a_list() -> None:
    text = HEAD.replace("import exact", "import exact, format_tags")
    tail = "minimize sft(tried, policy)"
    before = "source tried = problems |> sample(warm, n = 4) |> score({})\n"

    def settings(reward: str) -> Any:
        found = graph(text + WARM + before.format(reward) + stage("a", f"train policy = warm {tail}"))
        (node,) = (node for node in found.nodes.values() if node.kind == "score")
        return node.settings

    plain = {"name": "exact", "options": {}}
    tags = {"name": "format_tags", "options": {"tags": ["think", "answer"]}}
    assert settings("exact") == {"verifier": plain}
    assert settings("exact - 0.5 * format_tags()") == {
        "scorers": [
            {"kind": "verifier", "weight": 1.0, "verifier": plain},
            {"kind": "verifier", "weight": -0.5, "verifier": tags},
        ]
    }
