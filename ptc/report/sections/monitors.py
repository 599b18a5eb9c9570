"""Monitors: what each guard of a stage compared, its limit, and where it was not kept."""

from __future__ import annotations

from collections.abc import Iterator

from ptc.report.section import Section
from ptc.runtime.history import History
from ptc.runtime.monitors.monitors import BROKEN
from ptc.runtime.monitors.record import Curve, curves

POINTS = 240
"""Of a curve that are kept at most: every second, every third, …, and those at which it fired."""


class Guarded(Section):
    """One measure of one stage against its limit."""

    name: str
    monitor: str
    limit: float
    broken: str
    """How what is measured stands to a limit that is not kept: ``<``, ``>``, …"""
    over: int
    stops: bool
    steps: tuple[int, ...]
    values: tuple[float, ...]
    """Medians over so many steps."""
    fired: tuple[int, ...]
    """The steps at which it was not kept any more."""


class StageMonitors(Section):
    """The guards of one stage that were ever answered."""

    stage: str
    guards: tuple[Guarded, ...]


class Monitors(Section):
    stages: tuple[StageMonitors, ...]


def monitors(history: History) -> Monitors:
    return Monitors(stages=tuple(_stages(history)))


def _stages(history: History) -> Iterator[StageMonitors]:
    for meaning, node in history.graph.nodes.items():
        if node.guards:
            found = [_guarded(curve) for curve in curves(node, history.rows(meaning)) if curve.points]
            if found:
                yield StageMonitors(stage=node.label, guards=tuple(sorted(found, key=lambda each: not each.fired)))


def _guarded(curve: Curve) -> Guarded:
    fired = {int(row["step"]) for row in curve.fired}
    size = -(-len(curve.points) // POINTS)
    kept = [point for place, point in enumerate(curve.points) if place % size == 0 or point[0] in fired]
    guard = curve.guard
    return Guarded(
        name=curve.name,
        monitor=guard.monitor,
        limit=guard.limit,
        broken=BROKEN[guard.op],
        over=guard.over,
        stops=guard.stops,
        steps=tuple(step for step, _ in kept),
        values=tuple(value for _, value in kept),
        fired=tuple(sorted(fired)),
    )
