"""The graph of a smoke run: node for node that of the program, small, and never found under a name of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from graph_programs import HEAD, SPELLING, graph, of_kind, stage

from ptc import api
from ptc.compiler.graph import Graph
from ptc.compiler.smoke import MADE_UP, MARK, STEPS, Smoke, smoke
from ptc.stand_ins import StandIns

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "recipes"
RECIPES = sorted(path.stem for path in FOLDER.glob("*.pt"))


def of_recipe(recipe: str) -> Graph:
    return api.compiled(api.check_file(FOLDER / f"{recipe}.pt", stand_ins=StandIns(FOLDER / "stand_ins")))


def assert_same(small: Smoke, whole: Graph) -> None:
    """Nodes and edges are the same under `stands_for`, which is one to one."""
    stands_for = small.stands_for
    assert list(stands_for.values()) == list(whole.nodes)
    assert list(stands_for) == list(small.graph.nodes)
    assert not set(small.graph.nodes) & set(whole.nodes)
    assert tuple(stands_for[root] for root in small.graph.roots) == whole.roots
    for meaning, node in small.graph.nodes.items():
        other = whole.nodes[stands_for[meaning]]
        assert meaning == node.meaning
        assert (node.kind, node.label, node.names) == (other.kind, other.label, other.names)
        assert {role: stands_for[source] for role, source in node.inputs.items()} == other.inputs
        assert tuple(stands_for[gate] for gate in node.after) == other.after
        assert [(watch.name, stands_for[watch.prompts]) for watch in node.watches] == [
            (watch.name, watch.prompts) for watch in other.watches
        ]


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_graph_of_a_recipe_is_the_same(recipe: str) -> None:
    whole = of_recipe(recipe)
    assert_same(smoke(whole), whole)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_stage_has_two_steps_in_which_all_that_it_does_happens(recipe: str) -> None:
    for node in smoke(of_recipe(recipe)).graph.nodes.values():
        if node.kind != "train":
            continue
        settings = node.settings
        assert settings["budget"] == {"count": STEPS, "unit": "steps"}
        assert all(batch["count"] <= 2 for batch in settings["batch"].values())
        assert all(model.get("every", 1) == 1 for model in settings["models"].values())
        assert all(watch.every == 1 and watch.settings["n"] == 1 for watch in node.watches)
        steps = [step for flow in settings["flows"].values() for step in flow if step["op"] == "sample"]
        assert all(step["n"] <= 2 and step["max_tokens"] <= 16 for step in steps)


TWICE = """
source few = problems |> take(500) |> respond(.answer)
source more = problems |> take(600) |> respond(.answer)
"""


def test_what_differs_only_in_size_stays_two_nodes() -> None:
    whole = graph(HEAD + TWICE + stage("warm", "train policy = base minimize sft(few + more, policy)"))
    small = smoke(whole)
    assert_same(small, whole)
    assert {node.settings["count"] for node in of_kind(whole, "take")} == {500, 600}
    assert [node.settings["count"] for node in of_kind(small.graph, "take")] == [4, 4]


def test_what_cannot_be_asked_is_made_up_and_named() -> None:
    whole = of_recipe("tulu3")
    small = smoke(whole)
    assert small.stubbed == (
        "instructions (ifeval_verifier:run: Python that is not allowed)",
        "judge “Is it helpful, honest, and does it foll…” (a model with random weights)",
    )
    text = str([node.settings for node in small.graph.nodes.values()])
    assert MADE_UP in text
    assert "ifeval_verifier" not in text
    allowed = smoke(whole, ("ifeval_verifier",))
    assert [stub.partition(" ")[0] for stub in allowed.stubbed] == ["judge"]
    assert "ifeval_verifier" in str([node.settings for node in allowed.graph.nodes.values()])


def test_steps_of_a_stage_are_cut_in_proportion() -> None:
    from ptc.compiler.smoke import in_proportion

    assert [in_proportion(step, 400) for step in (1, 100, 200, 201, 400)] == [1, 1, 1, 2, 2]
    assert in_proportion(3, None) == 1


def test_exports_lead_nowhere_outside() -> None:
    for path in ("/models/base", "../../model", "out/model", "C:\\models\\a"):
        whole = graph(SPELLING.replace("out/spelling", path.replace("\\", "\\\\")))
        small = smoke(whole)
        (export,) = of_kind(small.graph, "export")
        assert ".." not in export.settings["path"]
        assert not export.settings["path"].startswith("/")


def test_a_smoke_node_says_what_it_stands_for() -> None:
    whole = graph(SPELLING)
    small = smoke(whole)
    assert {node.settings[MARK] for node in small.graph.nodes.values()} == set(whole.nodes)
    again = smoke(whole, pinned={meaning: "other rows" for meaning, node in whole.nodes.items() if node.kind == "gym"})
    assert set(again.graph.nodes).isdisjoint(small.graph.nodes)
