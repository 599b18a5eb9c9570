"""What each node cost, training apart from measuring."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from ptc.report.section import Section
from ptc.report.sections.measurements import EVALS
from ptc.runtime.history import History

Purpose = Literal["training", "measuring", "data", "models"]
PURPOSES: dict[str, Purpose] = {
    "train": "training",
    **dict.fromkeys((*EVALS, "claim", "gate", "evidence"), "measuring"),
    **dict.fromkeys(("new_model", "local_model", "hub_model", "merge", "export", "checkpoint", "result"), "models"),
}


class NodeCost(Section):
    """One node, whoever computed it."""

    node: str
    kind: str
    purpose: Purpose
    seconds: float | None
    amounts: dict[str, float]
    """Tokens and operations, where they were counted."""
    reused: bool


class Costs(Section):
    nodes: tuple[NodeCost, ...]
    totals: dict[Purpose, float]
    """Seconds."""


def cost(history: History) -> Costs:
    nodes = tuple(_nodes(history))
    totals: dict[Purpose, float] = {}
    for each in nodes:
        totals[each.purpose] = round(totals.get(each.purpose, 0.0) + (each.seconds or 0.0), 3)
    return Costs(nodes=nodes, totals=totals)


def _nodes(history: History) -> Iterator[NodeCost]:
    for meaning, node in history.graph.nodes.items():
        if meaning not in history.keys:
            continue
        provenance = history.provenance[meaning]
        amounts = dict(provenance.get("cost", {}))
        if node.kind == "train" and not amounts:
            trained = [row["num_tokens"] for row in history.rows(meaning) if "num_tokens" in row]
            amounts = {"trained_tokens": max(trained)} if trained else {}
        yield NodeCost(
            node=node.label or node.kind,
            kind=node.kind,
            purpose=PURPOSES.get(node.kind, "data"),
            seconds=provenance.get("seconds"),
            amounts=amounts,
            reused=meaning in history.reused,
        )
