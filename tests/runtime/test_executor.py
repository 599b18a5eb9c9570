"""The executor: what runs, what is reused, how it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ptc.compiler.graph import Graph, Node
from ptc.runtime.artifacts import (
    Artifact,
    Context,
    Implementation,
    InputWrong,
    InvariantBroken,
    PlanDrift,
    Progress,
    ResourceMissing,
)
from ptc.runtime.executor import Outcome, execute
from ptc.runtime.forecast import forecast
from ptc.runtime.fsio import content_digest
from ptc.runtime.journal import read
from ptc.runtime.listening import Silent
from ptc.runtime.store import Store


@dataclass(frozen=True)
class Profile:
    engine: str = "fake"
    precision: str = "float32"
    devices: int = 1


def graph_of(*nodes: Node) -> Graph:
    return Graph({node.meaning: node for node in nodes}, (nodes[-1].meaning,))


def program(size: int = 4, to: float = 0.8, budget: int = 10, path: str = "out") -> Graph:
    source = Node("gym", 1, {"size": size}, {}, "tasks")
    part = Node("slice", 1, {"from": 0.0, "to": to}, {"rows": source.meaning}, "train part")
    model = Node("new_model", 1, {}, {}, "base")
    train = Node(
        "train",
        1,
        {"budget": {"count": budget, "unit": "steps"}},
        {"m0": model.meaning, "s0": part.meaning},
        "policy",
        names={"m0": "base", "s0": "train part"},
    )
    return graph_of(source, part, model, train, Node("export", 1, {"path": path}, {"model": train.meaning}, "out"))


def rows(node: Node, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> None:
    """Rows that a slice passes on unless it takes nothing: a changed setting may yield equal bytes."""
    (folder / "rows.parquet").write_text("rows" * int(node.settings.get("size", 4)))


def model(node: Node, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> None:
    context.log({"loss": 0.5})
    context.heartbeat(Progress(1, 1, "steps", {"loss": 0.5}))
    (folder / "model.safetensors").write_text(json.dumps(dict(node.settings)))
    (folder / "config.json").write_text("{}")


def export(node: Node, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> None:
    (folder / "model.safetensors").write_bytes((inputs["model"].path / "model.safetensors").read_bytes())


IMPLEMENTATIONS: dict[str, Implementation] = {
    "gym": rows,
    "file": rows,
    "slice": rows,
    "new_model": model,
    "train": model,
    "export": export,
}


@dataclass
class Heard(Silent):
    """What a listener was told, by label."""

    told: list[str] = field(default_factory=list)

    def reused(self, node: Node, artifact: Artifact) -> None:
        self.told.append(f"reused {node.label}")

    def started(self, node: Node, attempt: int, resumed: str | None) -> None:
        self.told.append(f"started {node.label} {attempt} {resumed}")

    def progress(self, node: Node, progress: Progress) -> None:
        self.told.append(f"progress {node.label} {progress.done}")

    def finished(self, node: Node, artifact: Artifact, seconds: float) -> None:
        self.told.append(f"finished {node.label}")

    def stopped(self, node: Node, message: str) -> None:
        self.told.append(f"stopped {node.label}: {message}")


def run(root: Path, graph: Graph, implementations: Mapping[str, Implementation] = IMPLEMENTATIONS) -> Outcome:
    return execute(graph, Store(root / "store"), Profile(), implementations, base=root, out=root)


def ran(graph: Graph, outcome: Outcome) -> list[str]:
    return [graph.nodes[meaning].label for meaning in outcome.ran]


def test_everything_runs_once(tmp_path: Path) -> None:
    graph = program()
    first, second = run(tmp_path, graph), run(tmp_path, graph)
    assert ran(graph, first) == ["tasks", "train part", "base", "policy", "out"] and first.reused == ()
    assert second.ran == () and second.reused == tuple(graph.nodes)
    assert first.artifacts == second.artifacts and (first.exit_code, second.exit_code) == (0, 0)
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_a_changed_budget_reruns_the_stage_and_what_follows(tmp_path: Path) -> None:
    run(tmp_path, program())
    graph = program(budget=20)
    assert ran(graph, run(tmp_path, graph)) == ["policy", "out"]
    assert '"count": 20' in (tmp_path / "out" / "model.safetensors").read_text()


def test_equal_bytes_stop_the_cascade(tmp_path: Path) -> None:
    run(tmp_path, program())
    graph = program(to=0.7)
    assert ran(graph, run(tmp_path, graph)) == ["train part"]


def test_labels_are_free(tmp_path: Path) -> None:
    run(tmp_path, graph_of(Node("gym", 1, {}, {}, "a", "a.pt:1")))
    assert run(tmp_path, graph_of(Node("gym", 1, {}, {}, "b", "b.pt:9"))).ran == ()


def test_a_listener_hears_it_all(tmp_path: Path) -> None:
    heard = Heard()
    graph = graph_of(Node("new_model", 1, {}, {}, "base"))
    for _ in range(2):
        execute(graph, Store(tmp_path), Profile(), IMPLEMENTATIONS, listener=heard)
    assert heard.told == ["started base 1 None", "progress base 1", "finished base", "reused base"]


def test_metrics_say_where_they_come_from(tmp_path: Path) -> None:
    outcome = run(tmp_path, graph_of(Node("new_model", 1, {}, {}, "base")))
    (row,) = [json.loads(line) for line in (outcome.folder / "metrics.jsonl").read_text().splitlines()]
    assert (row["label"], row["kind"], row["attempt"], row["loss"]) == ("base", "new_model", 1, 0.5)


def test_the_journal_has_the_states(tmp_path: Path) -> None:
    outcome = run(tmp_path, graph_of(Node("gym", 1, {}, {}, "tasks")))
    types = [event.type for event in read(outcome.folder / "events.jsonl").events]
    assert types == ["RUN_STARTED", "PLANNED", "LOCKED", "RUNNING", "SEALED", "RUN_FINISHED"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputWrong("tasks.jsonl: no such file"), 2),
        (PlanDrift("x"), 3),
        (InvariantBroken("gate: pass@1 0.2 < 0.5"), 4),
        (ResourceMissing("no GPU"), 6),
        (OSError(28, "No space left on device"), 6),
        (MemoryError(), 6),
    ],
)
def test_typed_failures_have_exit_codes_and_one_line(tmp_path: Path, error: Exception, code: int) -> None:
    def fail(node: Node, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> None:
        raise error

    outcome = run(tmp_path, program(), {**IMPLEMENTATIONS, "train": fail})
    assert outcome.exit_code == code and "\n" not in outcome.message
    assert ran(program(), outcome) == ["tasks", "train part", "base"]  # what is sealed stays
    assert not list(outcome.folder.glob("trace*")) and not (tmp_path / "out").exists()
    assert list((tmp_path / "store" / "tmp").iterdir()) == []
    types = [event.type for event in read(outcome.folder / "events.jsonl").events]
    assert types[-2:] == ["FAILED", "RUN_FINISHED"]
    assert ran(program(), run(tmp_path, program())) == ["policy", "out"]


def test_a_bug_leaves_its_trace_in_a_file(tmp_path: Path) -> None:
    def fail(node: Node, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> None:
        raise KeyError("oops")

    outcome = run(tmp_path, program(), {**IMPLEMENTATIONS, "train": fail})
    assert outcome.exit_code == 1
    (trace,) = outcome.folder.glob("trace*")
    assert str(trace) in outcome.message and "KeyError in policy" in outcome.message
    assert "oops" in trace.read_text()


def test_a_node_that_writes_nothing_is_not_published(tmp_path: Path) -> None:
    outcome = run(tmp_path, program(), {**IMPLEMENTATIONS, "train": lambda *_: None})
    said = "policy ended without writing *.safetensors, config.json: run again; if it stays so, it is a bug in ptc"
    assert (outcome.exit_code, outcome.message) == (4, said)


def test_what_is_wrong_is_said_behind_the_node_that_it_is_wrong_in(tmp_path: Path) -> None:
    def refusing(said: str) -> Any:
        def train(*_: Any) -> None:
            raise InputWrong(said)

        return train

    for said, expected in (("row 3 is empty", "policy: row 3 is empty"), ("policy has no rows", "policy has no rows")):
        outcome = run(tmp_path, program(), {**IMPLEMENTATIONS, "train": refusing(said)})
        assert (outcome.exit_code, outcome.message) == (2, expected)


class TestSources:
    def graph(self, sha256: str | None = None) -> Graph:
        return graph_of(Node("file", 1, {"path": "a.jsonl", "format": "jsonl", "sha256": sha256}, {}, "data"))

    def test_are_known_by_content(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        path.write_text("1")
        assert run(tmp_path, self.graph()).ran != ()
        path.touch()
        assert run(tmp_path, self.graph()).ran == ()
        path.write_text("2")
        assert run(tmp_path, self.graph()).ran != ()

    def test_that_are_missing_are_named(self, tmp_path: Path) -> None:
        outcome = run(tmp_path, self.graph())
        said = f"data: {tmp_path / 'a.jsonl'}: no such file or directory: name what is there and may be read"
        assert (outcome.exit_code, outcome.message) == (2, said)

    def test_that_differ_from_the_plan_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "a.jsonl").write_text("1")
        pinned = self.graph(content_digest(tmp_path / "a.jsonl"))
        assert run(tmp_path, pinned).exit_code == 0
        (tmp_path / "a.jsonl").write_text("2")
        assert run(tmp_path, pinned).exit_code == 3

    def test_that_change_while_they_are_read_are_not_published(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        path.write_text("1")

        def slow(node: Node, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> None:
            assert node.settings["path"] == str(path)  # absolute
            rows(node, inputs, folder, context)
            path.write_text("2")

        outcome = run(tmp_path, self.graph(), {"file": slow})
        assert outcome.exit_code == 4 and "changed while it was read" in outcome.message
        assert list((tmp_path / "store" / "actions").iterdir()) == []


class TestExports:
    @pytest.fixture
    def target(self, tmp_path: Path) -> Iterator[Path]:
        assert run(tmp_path, program()).exit_code == 0
        yield tmp_path / "out"

    def test_come_back_when_deleted(self, tmp_path: Path, target: Path) -> None:
        for path in target.iterdir():
            path.unlink()
        target.rmdir()
        outcome = run(tmp_path, program())
        assert outcome.ran == () and (target / "model.safetensors").exists()
        assert list(outcome.exports.values()) == [target]

    def test_are_made_whole_again(self, tmp_path: Path, target: Path) -> None:
        (target / "model.safetensors").chmod(0o644)
        (target / "model.safetensors").write_text("altered")
        run(tmp_path, program())
        assert (target / "model.safetensors").read_text() != "altered"

    def test_never_replace_what_is_not_theirs(self, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "thesis.tex").write_text("x")
        outcome = run(tmp_path, program(path="mine"))
        assert outcome.exit_code == 2 and "is no export of ptc" in outcome.message
        assert (tmp_path / "mine" / "thesis.tex").exists()

    def test_elsewhere_run_nothing(self, tmp_path: Path, target: Path) -> None:
        assert run(tmp_path, program(path="there")).ran == ()
        assert (tmp_path / "there" / "model.safetensors").exists()


class TestForecast:
    def reasons(self, root: Path, graph: Graph) -> dict[str, tuple[str, ...]]:
        """Label to reasons of the nodes that would run."""
        fates = forecast(graph, Store(root / "store", create=False), Profile(), root)
        return {graph.nodes[meaning].label: fate.reasons for meaning, fate in fates.items() if fate.action == "run"}

    def test_of_a_new_program(self, tmp_path: Path) -> None:
        assert self.reasons(tmp_path, program()) == {
            "tasks": ("it has not run yet",),
            "train part": ("its input tasks runs",),
            "base": ("it has not run yet",),
            "policy": ("its input base runs", "its input train part runs"),
            "out": ("its input policy runs",),
        }
        assert not (tmp_path / "store").exists()

    def test_of_a_finished_program(self, tmp_path: Path) -> None:
        run(tmp_path, program())
        assert self.reasons(tmp_path, program()) == {}

    def test_names_the_field_that_changed(self, tmp_path: Path) -> None:
        run(tmp_path, program())
        assert self.reasons(tmp_path, program(budget=20)) == {
            "policy": ("budget.count: 10 -> 20",),
            "out": ("its input policy runs",),
        }

    def test_names_damage(self, tmp_path: Path) -> None:
        outcome = run(tmp_path, program())
        graph = program()
        policy = next(meaning for meaning, node in graph.nodes.items() if node.label == "policy")
        (outcome.artifacts[policy].path / "config.json").unlink()
        (reason,) = self.reasons(tmp_path, graph)["policy"]
        assert "damaged" in reason and "config.json: missing" in reason

    def test_says_where_it_would_resume(self, tmp_path: Path) -> None:
        def half(node: Node, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> None:
            context.partial.write("step-00000005", lambda piece: rows(node, inputs, piece, context))
            raise ResourceMissing("no")

        graph = program()
        assert run(tmp_path, graph, {**IMPLEMENTATIONS, "train": half}).exit_code == 6
        fates = forecast(graph, Store(tmp_path / "store"), Profile(), tmp_path)
        assert [fate.resumes for fate in fates.values()] == [None, None, None, "step-00000005", None]

    def test_agrees_with_the_run(self, tmp_path: Path) -> None:
        run(tmp_path, program())
        for graph in (program(size=5), program(budget=3), program(path="there"), program()):
            expected = list(self.reasons(tmp_path, graph))
            happened = ran(graph, run(tmp_path, graph))
            assert set(happened) <= set(expected) and bool(happened) == bool(expected)


def test_minus_zero_is_zero(tmp_path: Path) -> None:
    assert run(tmp_path, graph_of(Node("gym", 1, {"options": {"a": -0.0, "b": [1.5, None]}}, {}))).ran != ()
    assert run(tmp_path, graph_of(Node("gym", 1, {"options": {"a": 0.0, "b": [1.5, None]}}, {}))).ran == ()
