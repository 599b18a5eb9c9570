"""pass@k before and after each stage that claims something."""

from __future__ import annotations

from collections.abc import Iterator

from ptc.report import artifacts
from ptc.report.section import Section
from ptc.runtime.artifacts import Artifact
from ptc.runtime.history import History


class Curve(Section):
    """pass@k of one model, by k."""

    model: str
    points: dict[int, float]


class CurvePair(Section):
    """pass@k of an eval before and after a stage. `before` is the stage's entry, or the carrier of a consolidation."""

    stage: str
    role: str
    eval: str
    before: Curve
    after: Curve


class Curves(Section):
    pairs: tuple[CurvePair, ...]


def curves(history: History) -> Curves:
    return Curves(pairs=tuple(_pairs(history)))


def _pairs(history: History) -> Iterator[CurvePair]:
    for node in history.graph.nodes.values():
        if node.kind != "claim":
            continue
        ends = node.inputs.get("entry") or node.inputs["carrier"], node.inputs["exit"]
        if all(end in history.artifacts and history.graph.nodes[end].kind == "pass_rate" for end in ends):
            before, after = (_curve(history, end) for end in ends)
            yield CurvePair(
                stage=node.names["stage"], role=node.names["role"], eval=node.names["eval"], before=before, after=after
            )


def _curve(history: History, meaning: str) -> Curve:
    node = history.graph.nodes[meaning]
    return Curve(model=node.names.get("model") or node.label, points=pass_at(history.artifacts[meaning]))


def pass_at(artifact: Artifact) -> dict[int, float]:
    """pass@k by k, of a measurement's summary."""
    found = artifacts.summary(artifact)
    return {int(name[5:]): value for name, value in found.items() if name.startswith("pass@") and name[5:].isdecimal()}
