"""How much a program would do, counted before it runs: rows, steps, sampled tokens, parameters."""

from __future__ import annotations

import math

from ptc.compiler.graph import Graph, Node
from ptc.powers import METRICS

_NO_ROWS = frozenset(("model", "tokenizer", "other", "partner"))
"""Inputs of a step that bring none of its rows."""


def rows(graph: Graph, meaning: str) -> int | None:
    """How many rows a source has at most; None where a file must be read to know."""
    node = graph.nodes[meaning]
    inputs = [rows(graph, source) for role, source in node.inputs.items() if role not in _NO_ROWS]
    if node.kind == "gym":
        return int(node.settings["size"])
    if not inputs or None in inputs:
        return None
    total = sum(count for count in inputs if count is not None)
    if node.kind == "slice":
        return math.ceil(total * float(node.settings["to"] - node.settings["from"]))
    if node.kind == "take":
        return min(total, int(node.settings["count"]))
    if node.kind == "sample":
        return total * int(node.settings["n"])
    return total


def steps_of(graph: Graph, node: Node) -> int | None:
    budget = node.settings["budget"]
    if budget["unit"] == "steps":
        return int(budget["count"])
    first = node.settings["terms"][0]["source"]
    available = rows(graph, node.inputs[first])
    if available is None:
        return None
    return math.ceil(float(budget["count"]) * math.ceil(available / int(node.settings["batch"][first]["count"])))


def sampled_tokens(node: Node, updates: int | None) -> int | None:
    if updates is None:
        return None
    total = 0
    for source, flow in node.settings["flows"].items():
        for step in flow:
            if step["op"] == "sample":
                total += updates * node.settings["batch"][source]["count"] * step["n"] * step["max_tokens"]
    return total


def measuring_share(graph: Graph) -> float | None:
    """Tokens sampled at most by evals, over those sampled at most by anything."""
    sampled = {meaning: _sampled_by(graph, meaning) for meaning in graph.nodes}
    if None in sampled.values():
        return None
    total = sum(count or 0 for count in sampled.values())
    looked = sum(count or 0 for meaning, count in sampled.items() if graph.nodes[meaning].kind in METRICS)
    return looked / total if total else None


def _sampled_by(graph: Graph, meaning: str) -> int | None:
    node = graph.nodes[meaning]
    if node.kind == "train":
        return sampled_tokens(node, steps_of(graph, node))
    if node.kind not in ("sample", "pass_rate", "reward", "win_rate"):
        return 0
    asked = rows(graph, node.inputs["prompts"])
    if asked is None:
        return None
    attempts = {"pass_rate": int(node.settings["n"]) + 1, "win_rate": 2 * int(node.settings["n"])}
    return asked * attempts.get(node.kind, int(node.settings["n"])) * int(node.settings["max_tokens"])


def parameters(graph: Graph, meaning: str) -> int | None:
    """Parameters of a model, from the shape it is made with; None where a checkpoint must be read to know."""
    node = graph.nodes[meaning]
    if node.kind == "train":
        return parameters(graph, node.inputs[node.settings["result"]])
    if node.kind != "new_model":
        return None
    shape = node.settings
    hidden, heads, kv_heads, head = shape["hidden"], shape["heads"], shape["kv_heads"], shape["head_dim"]
    attention = 2 * hidden * heads * head + 2 * hidden * kv_heads * head
    norms = 2 * hidden + (2 * head if shape["family"] == "qwen3" else 0)
    return int(shape["layers"] * (attention + 3 * hidden * shape["intermediate"] + norms) + hidden)
