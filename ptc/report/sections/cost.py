"""What each node cost, training apart from measuring."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from ptc.report.section import Section
from ptc.report.sections.measurements import EVALS
from ptc.runtime import bills
from ptc.runtime.costs import NOTHING, Cost
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


class Amounts(Section):
    """What was spent, as `docs/cost.md` counts it."""

    device_seconds: float
    sampled_tokens: int
    read_tokens: int
    trained_tokens: int
    flops: int


class Measuring(Section):
    """What of the run was measuring, watches included."""

    cost: Amounts
    share: float
    """Of device time."""
    share_of_flops: float
    by_kind: dict[str, Amounts]


class Gain(Section):
    """What a claim measured, over what its stage cost. Rates are in points of pass@1; None where that is not asked."""

    stage: str
    eval: str
    points: float | None
    cost: Amounts
    per_million_tokens: float | None
    per_petaflop: float | None
    per_device_minute: float | None


class Costs(Section):
    nodes: tuple[NodeCost, ...]
    totals: dict[Purpose, float]
    """Seconds."""
    whole: Amounts | None = None
    """None where nothing has been taken down."""
    measuring: Measuring | None = None
    gains: tuple[Gain, ...] = ()
    words: tuple[str, ...] = ()
    """The same, as the run says it at its end."""


def cost(history: History) -> Costs:
    nodes = tuple(_nodes(history))
    totals: dict[Purpose, float] = {}
    for each in nodes:
        totals[each.purpose] = round(totals.get(each.purpose, 0.0) + (each.seconds or 0.0), 3)
    bill = bills.measuring(history.graph, history.provenance)
    if bill.whole == NOTHING:
        return Costs(nodes=nodes, totals=totals)
    return Costs(
        nodes=nodes,
        totals=totals,
        whole=_amounts(bill.whole),
        measuring=Measuring(
            cost=_amounts(bill.measuring),
            share=bill.share,
            share_of_flops=bill.share_of_flops,
            by_kind={kind: _amounts(each) for kind, each in bill.by_kind.items()},
        ),
        gains=tuple(map(_gain, bills.gains(history.graph, history.artifacts, history.provenance))),
        words=tuple(bills.lines(history.graph, history.artifacts, history.provenance)),
    )


def _amounts(spent: Cost) -> Amounts:
    return Amounts(**spent.document)


def _gain(gain: bills.Gain) -> Gain:
    return Gain(
        stage=gain.stage,
        eval=gain.eval,
        points=gain.points,
        cost=_amounts(gain.cost),
        per_million_tokens=gain.per_million_tokens,
        per_petaflop=gain.per_petaflop,
        per_device_minute=gain.per_device_minute,
    )


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
