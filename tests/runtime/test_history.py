"""A run read afterwards: whatever state it is in, whatever the program and the store have become."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from test_executor import IMPLEMENTATIONS, Profile, model, program, run

from ptc.compiler.graph import Graph, Node
from ptc.runtime.artifacts import Artifact, Context, Implementation, InputWrong, Interrupted, InvariantBroken, Progress
from ptc.runtime.executor import Outcome, execute
from ptc.runtime.history import History, find, history
from ptc.runtime.signals import Stop
from ptc.runtime.store import Store


def labels(found: History, meanings: Mapping[str, object] | frozenset[str]) -> list[str]:
    return [node.label for meaning, node in found.graph.nodes.items() if meaning in meanings]


def of(root: Path, outcome: Outcome) -> History:
    return history(Store(root / "store"), outcome.folder)


def meaning_of(found: History, label: str) -> str:
    return next(meaning for meaning, node in found.graph.nodes.items() if node.label == label)


def with_train(implementation: Implementation) -> dict[str, Implementation]:
    return {**IMPLEMENTATIONS, "train": implementation}


def test_a_run_that_is_done(tmp_path: Path) -> None:
    graph = program()
    found = of(tmp_path, run(tmp_path, graph))
    assert found.graph == graph and list(found.graph.nodes) == list(graph.nodes)
    assert (found.state, found.exit_code, found.message, found.failed, found.running) == ("done", 0, "", "", None)
    assert found.artifacts.keys() == graph.nodes.keys() and not found.lost and not found.reused
    assert found.info["environment"]["python"] and found.started <= (found.ended or 0)
    assert [row["loss"] for row in found.rows(meaning_of(found, "policy"))] == [0.5]


def test_what_another_run_made_keeps_its_rows_and_seconds(tmp_path: Path) -> None:
    first = run(tmp_path, program())
    found = of(tmp_path, run(tmp_path, program()))
    policy = meaning_of(found, "policy")
    assert found.reused == found.graph.nodes.keys()
    assert found.provenance[policy]["run"] == first.run_id and found.rows(policy)[0]["loss"] == 0.5


def test_rows_are_found_where_the_other_run_knew_the_node_by_another_meaning(tmp_path: Path) -> None:
    run(tmp_path, program())
    found = of(tmp_path, run(tmp_path, program(to=0.7)))  # other rows, the same bytes: the stage is reused
    assert labels(found, found.reused) == ["tasks", "base", "policy", "out"]
    assert found.rows(meaning_of(found, "policy"))[0]["loss"] == 0.5


def test_a_run_that_failed_says_where_and_why(tmp_path: Path) -> None:
    def broken(node: Node, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> None:
        raise InvariantBroken("skill fell")

    found = of(tmp_path, run(tmp_path, program(), with_train(broken)))
    assert (found.state, found.exit_code) == ("failed", 4) and "skill fell" in found.message
    assert found.graph.nodes[found.failed].label == "policy" and labels(found, found.artifacts)[-1] == "base"


def interrupted(root: Path, graph: Graph) -> Outcome:
    def stops(node: Node, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> None:
        for step in (1, 2, 3):
            context.log({"step": step, "loss": 1.0 / step})
        context.heartbeat(Progress(3, 10, "steps", {}))
        raise Interrupted

    return execute(graph, Store(root / "store"), Profile(), with_train(stops), base=root, out=root, stop=Stop())


def test_a_run_that_was_interrupted_and_gone_on_with_has_each_step_once(tmp_path: Path) -> None:
    stopped = of(tmp_path, interrupted(tmp_path, program()))
    assert stopped.state == "interrupted" and stopped.graph.nodes[stopped.failed].label == "policy"
    assert [row["step"] for row in stopped.rows(stopped.failed)] == [1, 2, 3]

    def goes_on(node: Node, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> None:
        context.log({"event": "resumed", "step": 2})
        for step in (3, 4):
            context.log({"step": step, "loss": 2.0})
        model(node, inputs, folder, context)

    found = of(tmp_path, run(tmp_path, program(), with_train(goes_on)))
    assert found.id == stopped.id and found.summary.attempts == 2 and not found.reused and not found.failed
    rows = found.rows(meaning_of(found, "policy"))
    assert [(row["step"], row["loss"]) for row in rows if "loss" in row and "step" in row] == [
        (1, 1.0),
        (2, 0.5),
        (3, 2.0),
        (4, 2.0),
    ]


def test_a_run_read_while_it_goes_on_says_how_far_it_is(tmp_path: Path) -> None:
    seen: list[History] = []

    def looks(node: Node, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> None:
        context.heartbeat(Progress(2, 10, "steps", {}))
        store = Store(tmp_path / "store")
        seen.append(history(store, find(store, None)))
        model(node, inputs, folder, context)

    run(tmp_path, program(), with_train(looks))
    (found,) = seen
    assert found.state == "running" and found.ended is None and found.running is not None
    assert (found.graph.nodes[found.running.meaning].label, found.running.done, found.running.total) == (
        "policy",
        2,
        10,
    )
    assert labels(found, found.artifacts) == ["tasks", "train part", "base"]


def test_what_the_store_lost_is_said(tmp_path: Path) -> None:
    outcome = run(tmp_path, program())
    policy = meaning_of(of(tmp_path, outcome), "policy")
    shutil.rmtree(outcome.artifacts[policy].path)
    found = of(tmp_path, outcome)
    assert policy in found.lost and policy not in found.artifacts and policy in found.provenance
    rows = meaning_of(found, "tasks")
    path = found.artifacts[rows].path / "rows.parquet"
    path.chmod(0o644)
    path.write_text("swor")
    assert "altered" in of(tmp_path, outcome).lost[rows]


def test_a_run_of_before_is_refused_with_a_remedy(tmp_path: Path) -> None:
    outcome = run(tmp_path, program())
    (outcome.folder / "graph.json").unlink()
    with pytest.raises(InputWrong, match=r"kept no graph.*`ptc run`"):
        of(tmp_path, outcome)


def test_runs_are_found_by_what_people_call_them(tmp_path: Path) -> None:
    first, second = run(tmp_path, program()), run(tmp_path, program(budget=20))
    store = Store(tmp_path / "store")
    assert find(store, None) == find(store, second.run_id) == find(store, str(second.folder)) == second.folder
    assert find(store, first.run_id) == first.folder
    assert find(store, "program.pt") == second.folder
    with pytest.raises(InputWrong, match="2 runs begin with `2`"):
        find(store, "2")
    with pytest.raises(InputWrong, match="there is no run `nosuch`"):
        find(store, "nosuch")
    with pytest.raises(InputWrong, match=r"no run of other\.pt"):
        find(store, "other.pt")
    with pytest.raises(InputWrong, match="no runs in"):
        find(Store(tmp_path / "empty"), None)


def test_labels_of_a_resumed_run_are_those_of_the_program_now(tmp_path: Path) -> None:
    interrupted(tmp_path, program())
    graph = program()
    renamed = Graph({each: replace(node, label=f"new {node.label}") for each, node in graph.nodes.items()}, graph.roots)
    found = of(tmp_path, run(tmp_path, renamed))
    assert found.graph == renamed
