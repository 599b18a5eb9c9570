"""What was claimed, and what was measured; and the gates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from ptc.compiler.graph import Node
from ptc.report import artifacts
from ptc.report.section import Estimate, Section
from ptc.runtime.history import History

Verdict = Literal["supported", "refuted", "undecided", "pending"]

DECISIVE = {"expands": ("NSCR", 0.0), "reshapes": ("Δpass@1", 0.0), "consolidates": ("retention", 1.0)}
"""The interval that a verdict on each role rests on first, and the value that says no change."""


class Claim(Section):
    """A stage's claim. `pending`: not measured (yet)."""

    stage: str
    role: str
    eval: str
    verdict: Verdict
    words: str
    k: int | None
    tolerance: float | None
    prompts: int | None
    statistic: str | None
    """The name of the interval that the verdict rests on first."""
    limit: float | None
    """What that interval is held against."""
    intervals: dict[str, Estimate]
    numbers: dict[str, float | None]
    method: str


class Gate(Section):
    """A condition that stops the run where it does not hold."""

    label: str
    stage: str
    verdict: Verdict | Literal["failed"]
    words: str
    statistic: str | None
    limit: float | None
    value: Estimate | None


class Claims(Section):
    claims: tuple[Claim, ...]
    gates: tuple[Gate, ...]


def claims(history: History) -> Claims:
    return Claims(claims=tuple(_claims(history)), gates=tuple(_gates(history)))


def _claims(history: History) -> Iterator[Claim]:
    for meaning, node in history.graph.nodes.items():
        if node.kind == "claim":
            artifact = history.artifacts.get(meaning)
            yield _claim(node, {} if artifact is None else artifacts.verdict(artifact))


def _claim(node: Node, found: Mapping[str, Any]) -> Claim:
    intervals = {name: Estimate.of(each) for name, each in found.get("intervals", {}).items()}
    role, tolerance = str(node.names["role"]), node.settings["tolerance"]
    statistic, limit = _decisive(role, intervals, tolerance)
    return Claim(
        stage=node.names["stage"],
        role=role,
        eval=node.names["eval"],
        verdict=found.get("verdict", "pending"),
        words=found.get("words", "not measured"),
        k=node.settings["k"],
        tolerance=tolerance,
        prompts=found.get("prompts"),
        statistic=statistic,
        limit=limit,
        intervals=intervals,
        numbers=found.get("numbers", {}),
        method=found.get("method", ""),
    )


def _decisive(role: str, intervals: dict[str, Estimate], tolerance: float) -> tuple[str | None, float | None]:
    name, limit = DECISIVE[role]
    if name not in intervals:  # of bits and scores, the first is what is asked
        name = next(iter(intervals), "")
    if role == "consolidates":
        limit = 1 - tolerance
    return (name, limit) if name else (None, None)


def _gates(history: History) -> Iterator[Gate]:
    for meaning, node in history.graph.nodes.items():
        if node.kind != "gate":
            continue
        artifact = history.artifacts.get(meaning)
        found = {} if artifact is None else artifacts.verdict(artifact)
        value = next(iter(found.get("intervals", {}).items()), None)
        failed = meaning == history.failed
        yield Gate(
            label=node.label,
            stage=node.names.get("stage", ""),
            verdict="failed" if failed else found.get("verdict", "pending"),
            words=history.message if failed else found.get("words", "not measured"),
            statistic=None if value is None else value[0],
            limit=found.get("numbers", {}).get("limit"),
            value=None if value is None else Estimate.of(value[1]),
        )
