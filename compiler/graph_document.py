"""A graph as a JSON document that reads back as the same graph: what a run's folder keeps, and `ptc graph` prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from ptc.compiler.graph import Graph, Guard, Json, Node, Watch

SCHEMA = 1


def to_document(graph: Graph) -> dict[str, Json]:
    """Every node's document by meaning, with what stands beside it, in the order of the run; and the roots."""
    return {
        "schema": SCHEMA,
        "nodes": {meaning: _node_document(node) for meaning, node in graph.nodes.items()},
        "roots": list(graph.roots),
    }


def from_document(document: Mapping[str, Json]) -> Graph:
    """The graph of a document of `to_document`. Raises `ValueError` for one of another schema."""
    if document.get("schema") != SCHEMA:
        raise ValueError(f"a graph of schema {document.get('schema')!r}; this version of ptc reads {SCHEMA}")
    nodes = {meaning: _node(each) for meaning, each in document["nodes"].items()}
    return Graph(nodes, tuple(document["roots"]))


def _node_document(node: Node) -> dict[str, Json]:
    return {
        **node.document,
        "label": node.label,
        "place": node.place,
        "names": dict(node.names),
        "after": list(node.after),
        "watches": [_watch_document(watch) for watch in node.watches],
        "guards": [asdict(guard) for guard in node.guards],
    }


def _watch_document(watch: Watch) -> dict[str, Json]:
    return {
        "name": watch.name,
        "every": watch.every,
        "prompts": watch.prompts,
        "settings": dict(watch.settings),
        "models": dict(watch.models),
    }


def _node(document: Mapping[str, Json]) -> Node:
    return Node(
        kind=document["kind"],
        semantics=document["semantics"],
        settings=document["settings"],
        inputs=document["inputs"],
        label=document["label"],
        place=document["place"],
        names=document["names"],
        after=tuple(document["after"]),
        watches=tuple(Watch(**watch) for watch in document["watches"]),
        guards=tuple(Guard(**guard) for guard in document["guards"]),
    )
