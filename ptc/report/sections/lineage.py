"""Lineage: every node with its artifact and who made it, which model came from which, and where data came from."""

from __future__ import annotations

from collections.abc import Iterator

from ptc.compiler.graph import Node
from ptc.report.section import Section
from ptc.report.sections.dag import OUTSIDE, State, origin, state_of
from ptc.runtime.history import History


class Made(Section):
    """One node: its key, its artifact, and the run that made it."""

    node: str
    kind: str
    place: str
    state: State
    meaning: str
    key: str | None
    artifact: str | None
    run: str
    seconds: float | None


class Model(Section):
    """A model, and what it was made from."""

    name: str
    kind: str
    artifact: str | None
    parents: tuple[str, ...]
    teachers: tuple[str, ...]
    data: tuple[str, ...]


class Source(Section):
    """Rows or weights from outside, pinned by what they hold."""

    name: str
    kind: str
    origin: str
    pinned: str
    """Revision or digest that the program is bound to; else the digest of the artifact that was made of it."""


class Lineage(Section):
    models: tuple[Model, ...]
    sources: tuple[Source, ...]
    nodes: tuple[Made, ...]


def lineage(history: History) -> Lineage:
    return Lineage(models=tuple(_models(history)), sources=tuple(_sources(history)), nodes=tuple(_nodes(history)))


def _nodes(history: History) -> Iterator[Made]:
    for meaning, node in history.graph.nodes.items():
        provenance = history.provenance.get(meaning, {})
        yield Made(
            node=node.label or node.kind,
            kind=node.kind,
            place=node.place,
            state=state_of(history, meaning),
            meaning=meaning,
            key=history.keys.get(meaning),
            artifact=_artifact(history, meaning),
            run=str(provenance.get("run", "")),
            seconds=provenance.get("seconds"),
        )


def _artifact(history: History, meaning: str) -> str | None:
    found = history.artifacts.get(meaning)
    return None if found is None else found.digest


def _models(history: History) -> Iterator[Model]:
    nodes = history.graph.nodes
    for meaning, node in nodes.items():
        if node.kind != "train":
            continue
        how = {role: node.settings["models"].get(role, {}).get("as") for role in node.inputs}
        yield Model(
            name=node.label,
            kind=node.kind,
            artifact=_artifact(history, meaning),
            parents=tuple(_named(nodes[each]) for role, each in node.inputs.items() if how[role] == "train"),
            teachers=tuple(_named(nodes[each]) for role, each in node.inputs.items() if how[role] == "freeze"),
            data=tuple(_named(nodes[each]) for role, each in node.inputs.items() if how[role] is None),
        )


def _named(node: Node) -> str:
    return node.label or node.kind


def _sources(history: History) -> Iterator[Source]:
    for meaning, node in history.graph.nodes.items():
        if node.kind in OUTSIDE or node.kind in ("hub_model", "local_model"):
            pinned = node.settings.get("revision") or node.settings.get("sha256") or _artifact(history, meaning)
            yield Source(name=_named(node), kind=node.kind, origin=origin(node), pinned=str(pinned or ""))
