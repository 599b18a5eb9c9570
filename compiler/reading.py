"""Which columns of its rows a source from outside is asked for, as far as the graph says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ptc.compiler.graph import Graph, Json, Node

ASKED_BY_LAYOUT: Mapping[str, tuple[str, ...]] = {
    "from_verl": ("prompt", "reward_model"),
    "from_open_instruct": ("messages", "ground_truth"),
    "from_sharegpt": ("conversations",),
}
"""The columns of the layouts that have a step of their own."""
ENDS = ("prompts", *ASKED_BY_LAYOUT)
"""Steps behind which the columns of the source are gone, or are called otherwise."""


def columns_read(graph: Graph, source: str) -> dict[str, str]:
    """The columns that are read of a source before its rows are given others, with types as far as a layout says."""
    found: dict[str, str] = {}
    waiting, seen = [source], set[str]()
    while waiting:
        meaning = waiting.pop()
        for consumer, node in graph.nodes.items():
            if meaning not in node.inputs.values() or consumer in seen:
                continue
            seen.add(consumer)
            found |= dict.fromkeys(_asked(node, meaning), "")
            if node.kind == "from_verl":
                found["prompt"] = "Messages"
            if node.kind not in ENDS and node.kind not in ("train", "sample", "claim"):
                waiting.append(consumer)
    return found


def _asked(node: Node, source: str) -> Iterator[str]:
    """What one node asks of the rows that flow into it."""
    yield from ASKED_BY_LAYOUT.get(node.kind, ())
    if node.kind == "train":
        yield from _learned(node.settings)
    elif node.kind == "bits_per_character":
        yield from ("prompt", *node.settings["columns"])
    elif node.kind in ("sample", "pass_rate", "win_rate", "reward", "evidence"):
        yield "prompt"
    else:
        yield from _columns(node.settings)


def _learned(settings: Mapping[str, Json]) -> Iterator[str]:
    """What a loss reads of rows."""
    for term in settings["terms"]:
        yield from _columns(term["loss"])
    yield "prompt"


def _columns(part: Json) -> Iterator[str]:
    if isinstance(part, list):
        for each in part:
            yield from _columns(each)
    elif isinstance(part, Mapping):
        if part.get("op") == "column":
            yield str(part["name"])
        elif isinstance(part.get("column"), str):
            yield part["column"]
        for value in part.values():
            yield from _columns(value)
