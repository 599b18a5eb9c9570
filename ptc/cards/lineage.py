"""Where the weights of a model come from: models, stages with their objectives, and data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from ptc.compiler.graph import Graph, Json, Node
from ptc.lang import ast
from ptc.lang.parse import parse
from ptc.lang.source import Source
from ptc.runtime.history import History

SOURCES = frozenset({"gym", "file", "hub_dataset", "extern_source"})
GIVEN = frozenset({"new_model", "local_model", "hub_model"})


def weights(graph: Graph, meaning: str) -> list[str]:
    """What these weights have been, the first model first: one line, or several where models were merged."""
    found: list[str] = []
    waiting = [meaning]
    while waiting:
        here = waiting.pop()
        if here not in found:
            found.append(here)
            waiting.extend(_before(graph.nodes[here]))
    return found[::-1]


def _before(node: Node) -> Iterator[str]:
    """What a node changed the weights of."""
    if node.kind == "train":
        result, models = node.settings["result"], node.settings["models"]
        # A model that is tracked begins as the one that it follows.
        begins = [result] if result in node.inputs else [role for role in models if models[role]["as"] == "train"]
        yield from (node.inputs[role] for role in begins)
    elif node.kind not in GIVEN:
        yield from (source for role, source in node.inputs.items() if role not in ("tokenizer", "prompts", "rows"))


def bases(graph: Graph, meaning: str) -> list[str]:
    """Names on the hub of the models that these weights began as."""
    nodes = [graph.nodes[each] for each in weights(graph, meaning)]
    return [str(node.settings["name"]) for node in nodes if node.kind == "hub_model"]


def models(graph: Graph, meaning: str) -> Iterator[tuple[str, Node]]:
    """Every model that went into one, in the order of the run: its weights, its teachers, who wrote its data."""
    wanted = {"train", *GIVEN}.union(graph.nodes[each].kind for each in weights(graph, meaning))
    seen = _upstream(graph, meaning)
    yield from ((each, node) for each, node in graph.nodes.items() if each in seen and node.kind in wanted)


def data(graph: Graph, meaning: str) -> list[Node]:
    """Rows from outside that went into a model, by whatever way."""
    seen = _upstream(graph, meaning)
    return [node for each, node in graph.nodes.items() if each in seen and node.kind in SOURCES]


def _upstream(graph: Graph, meaning: str) -> set[str]:
    seen, waiting = set[str](), [meaning]
    while waiting:
        here = waiting.pop()
        if here not in seen:
            seen.add(here)
            waiting.extend(graph.nodes[here].inputs.values())
    return seen


def origin(node: Node) -> str:
    """What a source or a model is, without the machine's paths."""
    settings = {name: _portable(value) for name, value in node.settings.items()}
    match node.kind:
        case "hub_dataset" | "hub_model":
            name, revision = settings.pop("name"), settings.pop("revision", None)
            more = {key: value for key, value in settings.items() if value is not None}
            return f"{name} @ {revision or 'newest'}" + (f" {_short(more)}" if more else "")
        case "file" | "local_model":
            return PurePath(str(node.settings["path"])).name
        case "gym":
            return f"Reasoning Gym: {settings.pop('task')} {_short(settings)}"
        case "extern_source":
            return f"{settings['target']} {_short(settings.get('arguments') or {})}"
    return _short({name: value for name, value in settings.items() if name != "seed"})


def pinned(node: Node, digest: str | None) -> str:
    """Revision or digest that a source is bound to; else the digest of what was made of it."""
    return str(node.settings.get("revision") or node.settings.get("sha256") or digest or "")


def learned_from(graph: Graph, node: Node) -> list[str]:
    """The sources of a stage, by their names in it."""
    return [name(graph, node, role) for role in node.settings["flows"]]


def beside(graph: Graph, node: Node) -> list[str]:
    """Frozen models of a stage: references, teachers, judges."""
    models: Mapping[str, Any] = node.settings["models"]
    return [name(graph, node, role) for role, about in models.items() if about["as"] == "freeze"]


def name(graph: Graph, node: Node, role: str) -> str:
    """What fills a role of a stage: as the program names it there, and what it is where it is called otherwise."""
    here, there = node.names.get(role, role), graph.nodes[node.inputs[role]].label if role in node.inputs else ""
    return here if there in ("", here) else f"{here} = {there}"


def objectives(history: History) -> dict[str, list[str]]:
    """What each stage minimizes, as the program says it, by the stage's name."""
    found: dict[str, list[str]] = {}
    for path, text in history.info.get("files", {}).items():
        for statement in parse(Source(path, text))[0].statements:
            if isinstance(statement, ast.Stage):
                found[statement.name.id] = [
                    " ".join(text[each.span.start : each.span.end].split())
                    for each in statement.body.statements
                    if isinstance(each, ast.Minimize)
                ]
    return found


def _portable(value: Json) -> Json:
    """A path of the machine by its last part."""
    return PurePath(value).name if isinstance(value, str) and PurePath(value).is_absolute() else value


def _short(settings: Mapping[str, Json]) -> str:
    return ", ".join(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in settings.items())
