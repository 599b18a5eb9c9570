"""The ledger: every eval over all stages."""

from __future__ import annotations

from collections.abc import Iterator

from ptc.report import artifacts
from ptc.report.section import Section
from ptc.report.sections.measurements import Measurement, by_eval
from ptc.runtime import ledger as ledgers
from ptc.runtime.history import History


class Point(Section):
    """An eval of one model. `low` and `high` are None where the eval has no interval (bits per character)."""

    stage: str
    """The stage that made the model; empty for a model that no stage made."""
    model: str
    value: float
    low: float | None
    high: float | None
    change: str = ""
    """Since the model before on its line, in words; empty for the first."""
    undone: str = ""
    """What the stage took away for sure of what earlier ones had brought, in words."""


class EvalLine(Section):
    """One eval over the run."""

    eval: str
    kind: str
    metric: str
    prompts: int
    attempts: int | None
    """At each prompt."""
    points: tuple[Point, ...]


class Ledger(Section):
    evals: tuple[EvalLine, ...]


def ledger(history: History) -> Ledger:
    return Ledger(evals=tuple(_line(history, name, found) for name, found in by_eval(history).items()))


def _line(history: History, name: str, found: list[Measurement]) -> EvalLine:
    first, about = found[0], artifacts.summary(found[0].artifact)
    return EvalLine(
        eval=name,
        kind=first.node.kind,
        metric=first.metric,
        prompts=about["prompts"],
        attempts=about.get("n"),
        points=tuple(_points(history, found)),
    )


def _points(history: History, found: list[Measurement]) -> Iterator[Point]:
    known = {point.meaning: point for each in ledgers.ledger(history.graph, history.artifacts) for point in each.points}
    for each in found:
        summary = artifacts.summary(each.artifact)
        made = history.graph.nodes[each.node.inputs["model"]]
        value = summary[each.metric]
        if value is not None:
            yield Point(
                stage=made.label if made.kind == "train" else "",
                model=each.model,
                value=value,
                low=summary.get(f"{each.metric} low"),
                high=summary.get(f"{each.metric} high"),
                change=_words(known[each.meaning].change) if each.meaning in known else "",
                undone=_words(known[each.meaning].undone) if each.meaning in known else "",
            )


def _words(change: ledgers.Change | None) -> str:
    return "" if change is None else change.words
