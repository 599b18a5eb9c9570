"""The program as a graph of what its author named: sources, models, stages, evals, exports.

Steps without a name of their own are folded into the edges; gates and claims into the stages that they are about.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Literal

from ptc.compiler.graph import Graph, Node
from ptc.report.section import Section
from ptc.report.sections.claims import Claims, claims
from ptc.report.sections.measurements import EVALS
from ptc.runtime.history import History

Form = Literal["source", "model", "stage", "eval", "export"]
Relation = Literal["weights", "teacher", "rows", "sampled from", "measured"]
State = Literal["computed", "reused", "running", "failed", "waiting"]

OUTSIDE = frozenset({"gym", "file", "hub_dataset", "extern_source"})
MODELS = frozenset({"new_model", "local_model", "hub_model", "merge", "checkpoint"})
TOKENIZERS = frozenset({"characters", "bpe", "tokenizer_of"})
MANY = 40
"""Boxes beyond which sources that only pass on another's rows are folded too."""


class Box(Section):
    """A node of the picture."""

    id: str
    form: Form
    title: str
    lines: tuple[str, ...]
    """Below the title: what it is, or claims."""
    roles: tuple[str, ...]
    """What the stage claims to do: `expands`, …"""
    verdicts: tuple[str, ...]
    """Of each of `roles`."""
    state: State


class Edge(Section):
    source: str
    target: str
    relation: Relation


class Dag(Section):
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
    regimes: tuple[str, ...]
    """Per stage, source and learner what the one is to the other, as the checker inferred it."""


def dag(history: History) -> Dag:
    fold = Fold(history.graph)
    if len(fold.shown) > MANY:
        fold = Fold(history.graph, few=True)
    found = claims(history)
    used = {end for edge in fold.edges for end in (edge.source, edge.target)}
    boxes = [_box(history, meaning, found) for meaning in fold.shown if meaning in used]
    return Dag(boxes=(*boxes, *fold.evals), edges=tuple(fold.edges), regimes=tuple(history.info.get("regimes", ())))


class Fold:
    """A graph with what nobody named folded away."""

    def __init__(self, graph: Graph, few: bool = False) -> None:
        self._graph = graph
        self._few = few

    @cached_property
    def shown(self) -> dict[str, Node]:
        return {meaning: node for meaning, node in self._graph.nodes.items() if self._shows(node)}

    def _shows(self, node: Node) -> bool:
        if node.kind in ("train", "export") or node.kind in MODELS:
            return True
        if node.kind in TOKENIZERS or node.kind in EVALS or node.kind in ("claim", "gate"):
            return False
        return node.label.isidentifier() and not (self._few and node.inputs)

    @cached_property
    def edges(self) -> list[Edge]:
        found = [
            Edge(source=source, target=meaning, relation=relation)
            for meaning, node in self.shown.items()
            for source, relation in self._sources(meaning, node)
        ]
        return list(dict.fromkeys([*found, *self._measuring]))

    def _sources(self, meaning: str, node: Node) -> Iterator[tuple[str, Relation]]:
        for role, source in node.inputs.items():
            direct = _relation(node, role)
            for end, model in self._ends(source):
                yield end, direct if direct != "rows" or not model else "sampled from"

    def _ends(self, meaning: str) -> Iterator[tuple[str, bool]]:
        """The nearest shown nodes behind a node, itself included, and whether each is a model."""
        node = self._graph.nodes[meaning]
        if meaning in self.shown:
            yield meaning, node.kind == "train" or node.kind in MODELS
        elif node.kind not in TOKENIZERS:
            for source in node.inputs.values():
                yield from self._ends(source)

    # Evals ------------------------------------------------------------------------------------------------------------

    @cached_property
    def evals(self) -> list[Box]:
        names = {node.names["eval"]: node for node in self._graph.nodes.values() if node.kind in EVALS and node.names}
        return [
            Box(
                id=f"eval {name}",
                form="eval",
                title=name,
                lines=(node.kind.replace("_", " "),),
                roles=(),
                verdicts=(),
                state="computed",
            )
            for name, node in names.items()
        ]

    @cached_property
    def _measuring(self) -> list[Edge]:
        found = []
        for node in self._graph.nodes.values():
            if node.kind in EVALS and node.names:
                role = "rows" if "rows" in node.inputs else "prompts"
                for end, _ in self._ends(node.inputs[role]):
                    found.append(Edge(source=end, target=f"eval {node.names['eval']}", relation="measured"))
        return found


def _relation(node: Node, role: str) -> Relation:
    if node.kind == "train":
        how = node.settings["models"].get(role, {}).get("as")
        return {"train": "weights", "freeze": "teacher", "track": "teacher"}.get(how, "rows")  # type: ignore[return-value]
    return "weights" if node.kind in MODELS or node.kind == "export" else "rows"


def _box(history: History, meaning: str, found: Claims) -> Box:
    node = history.graph.nodes[meaning]
    form = _form(node)
    mine = [each for each in found.claims if form == "stage" and each.stage == node.label]
    return Box(
        id=meaning,
        form=form,
        title=_title(node),
        lines=tuple(_lines(node)),
        roles=tuple(each.role for each in mine),
        verdicts=tuple(each.verdict for each in mine),
        state=state_of(history, meaning),
    )


def _title(node: Node) -> str:
    if node.kind == "export":
        return str(node.settings["path"]).rstrip("/").rsplit("/", 1)[-1]
    return node.label.split(": ")[0] or node.kind


def _form(node: Node) -> Form:
    if node.kind in MODELS:
        return "model"
    forms: dict[str, Form] = {"train": "stage", "export": "export"}
    return forms.get(node.kind, "source")


def state_of(history: History, meaning: str) -> State:
    if history.running is not None and history.running.meaning == meaning:
        return "running"
    if meaning == history.failed:
        return "failed"
    if meaning not in history.keys:
        return "waiting"
    return "reused" if meaning in history.reused else "computed"


def origin(node: Node) -> str:
    """The name of what is read from outside."""
    return str(node.settings.get("name") or node.settings.get("task") or node.settings.get("path") or node.kind)


def _lines(node: Node) -> Iterator[str]:
    if node.kind in OUTSIDE or node.kind in ("hub_model", "local_model"):
        yield origin(node)
    elif node.kind == "train":
        budget = node.settings["budget"]
        yield f"{budget['count']:,} {budget['unit']}"
    elif node.kind == "new_model":
        yield f"{node.settings['family']}, {node.settings['layers']} × {node.settings['hidden']}"
    else:
        yield node.kind.replace("_", " ")
