"""`ptc report`: what it writes of runs in every state, where, and what it says where there is nothing to write of."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "runtime"))
from test_executor import IMPLEMENTATIONS, Profile, program, run

from ptc.compiler.graph import Graph, Node
from ptc.report.command import Wish, command
from ptc.report.document import Report
from ptc.report.live import follow
from ptc.runtime.artifacts import Artifact, Context, Interrupted, InvariantBroken
from ptc.runtime.executor import execute
from ptc.runtime.history import find
from ptc.runtime.signals import Stop
from ptc.runtime.store import Store


def runnable(graph: Graph) -> Graph:
    """The graph with what a report reads of a stage."""
    settings = {"models": {"m0": {"as": "train"}}, "flows": {"s0": []}}
    shape = {"family": "qwen3", "layers": 2, "hidden": 8}
    nodes: dict[str, Node] = {}
    moved: dict[str, str] = {}
    for meaning, node in graph.nodes.items():
        more = {"train": settings, "new_model": shape}.get(node.kind, {})
        inputs = {role: moved[source] for role, source in node.inputs.items()}
        new = replace(node, settings={**node.settings, **more}, inputs=inputs)
        moved[meaning] = new.meaning
        nodes[new.meaning] = new
    return Graph(nodes, tuple(moved[root] for root in graph.roots))


def reported(root: Path, *, json_too: bool = True) -> tuple[str, Report]:
    assert command(Wish(store=str(root / "store"), out=str(root / "out"), json=json_too)) == 0
    document = Report.model_validate_json((root / "out" / "report.json").read_text())
    return (root / "out" / "report.html").read_text(), document


def test_a_run_that_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, runnable(program()))
    text, made = reported(tmp_path)
    assert "✓ done" in text and 'http-equiv="Content-Security-Policy"' in text
    assert [box.title for box in made.dag.boxes] == ["tasks", "base", "policy", "out"]
    assert (made.run.computed, made.run.reused, made.run.exit_code) == (5, 0, 0)
    assert capsys.readouterr().out.split() == [str(tmp_path / "out" / name) for name in ("report.html", "report.json")]
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


def test_the_page_goes_into_the_folder_of_its_run(tmp_path: Path) -> None:
    outcome = run(tmp_path, runnable(program()))
    assert command(Wish(run=outcome.run_id[:18], store=str(tmp_path / "store"))) == 0
    assert (outcome.folder / "report.html").is_file() and not (outcome.folder / "report.json").exists()
    assert command(Wish(store=str(tmp_path / "store"), out=str(tmp_path / "a" / "page.html"))) == 0
    assert (tmp_path / "a" / "page.html").is_file()


def test_a_run_that_failed_says_what_to_do(tmp_path: Path) -> None:
    def broken(node: Node, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> None:
        raise InvariantBroken("skill fell by <b>9</b> points")

    run(tmp_path, runnable(program()), {**IMPLEMENTATIONS, "train": broken})
    text, made = reported(tmp_path)
    assert "✗ failed, exit 4" in text and "skill fell by &lt;b&gt;9&lt;/b&gt; points" in text
    assert made.run.failed == "policy" and "gate or a promise" in made.run.remedy
    assert [box.state for box in made.dag.boxes if box.title in ("policy", "out")] == ["failed", "waiting"]
    assert made.attention.remarks[0].level == "stop"


def test_a_run_that_was_interrupted_and_one_whose_store_lost_something(tmp_path: Path) -> None:
    def stops(node: Node, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> None:
        raise Interrupted

    graph = runnable(program())
    implementations = {**IMPLEMENTATIONS, "train": stops}
    stopped = execute(
        graph, Store(tmp_path / "store"), Profile(), implementations, base=tmp_path, out=tmp_path, stop=Stop()
    )
    # Two nodes with the same bytes have one artifact.
    (stopped.artifacts[next(iter(graph.nodes))].path / "rows.parquet").unlink()
    text, made = reported(tmp_path)
    assert made.run.state == "interrupted" and "Run the same command again" in text
    assert list(made.run.lost) == ["tasks", "train part"] and "The store has lost tasks" in text


def test_figures(tmp_path: Path) -> None:
    run(tmp_path, runnable(program()))
    assert command(Wish(store=str(tmp_path / "store"), figures=str(tmp_path / "figures"))) == 0
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["dag.png", "dag.svg"]


def test_following_a_run_that_has_ended_writes_a_page_that_stands_still(tmp_path: Path) -> None:
    run(tmp_path, runnable(program()))
    store = Store(tmp_path / "store")
    assert follow(store, find(store, None), tmp_path / "page.html") == 0
    assert "data-live" not in (tmp_path / "page.html").read_text().split("<style>")[0]


def test_ctrl_c_leaves_a_page_that_stands_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def during(node: Node, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> None:
        def interrupt(seconds: float) -> None:
            seen.append((tmp_path / "page.html").read_text())
            raise KeyboardInterrupt

        monkeypatch.setattr("time.sleep", interrupt)
        store = Store(tmp_path / "store")
        assert follow(store, find(store, None), tmp_path / "page.html") == 130
        seen.append((tmp_path / "page.html").read_text())
        IMPLEMENTATIONS["train"](node, inputs, folder, context)

    run(tmp_path, runnable(program()), {**IMPLEMENTATIONS, "train": during})
    first, last = (text.split("<style>")[0] for text in seen)
    assert 'data-live="3000"' in first and "data-live" not in last and "● running" in seen[1]


@pytest.mark.parametrize(
    ("wish", "said"),
    [({"run": "nosuch"}, "there is no run `nosuch`"), ({"run": "nosuch.pt"}, "there is no run of nosuch.pt")],
)
def test_what_is_not_there_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wish: dict[str, str], said: str
) -> None:
    run(tmp_path, runnable(program()))
    assert command(Wish(store=str(tmp_path / "store"), **wish)) == 2
    assert said in capsys.readouterr().err


def test_a_run_of_before_and_a_place_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run(tmp_path, runnable(program()))
    (tmp_path / "file").write_text("")
    assert command(Wish(store=str(tmp_path / "store"), out=str(tmp_path / "file" / "x.html"))) == 2
    assert "cannot be written" in capsys.readouterr().err
    (outcome.folder / "graph.json").write_text(json.dumps({"schema": 0}))
    assert command(Wish(store=str(tmp_path / "store"))) == 2
    assert "schema 0" in capsys.readouterr().err
