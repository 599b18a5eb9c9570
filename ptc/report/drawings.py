"""The figures of a report, by what they show: for the page, and as files for papers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ptc.report.document import Report
from ptc.report.figures.canvas import Drawing, word
from ptc.report.figures.claims import forest, strip
from ptc.report.figures.curves import curve
from ptc.report.figures.dag import dag
from ptc.report.figures.ledger import line
from ptc.report.figures.monitors import guarded
from ptc.report.figures.training import metric


@dataclass(frozen=True)
class Drawings:
    """All figures. What has nothing to show is None or left out."""

    dag: Drawing | None
    forest: Drawing | None
    strips: tuple[Drawing | None, ...]
    """One for each claim."""
    curves: tuple[Drawing, ...]
    ledgers: tuple[Drawing, ...]
    metrics: tuple[tuple[Drawing, ...], ...]
    """For each stage, of the metrics that change."""
    monitors: tuple[tuple[Drawing, ...], ...]
    """For each stage, of what its guards compare."""

    def __iter__(self) -> Iterator[Drawing]:
        """Those that stand on their own."""
        yield from (each for each in (self.dag, self.forest) if each is not None)
        yield from (*self.curves, *self.ledgers, *(each for stage in self.metrics for each in stage))
        yield from (each for stage in self.monitors for each in stage)


def drawings(report: Report) -> Drawings:
    stages = report.training.stages
    return Drawings(
        dag=dag(report.dag) if report.dag.boxes else None,
        forest=forest(report.claims),
        strips=tuple(strip(f"claim-{place}", claim) for place, claim in enumerate(report.claims.claims)),
        curves=tuple(curve(word("curve", pair.stage, pair.role, pair.eval), pair) for pair in report.curves.pairs),
        ledgers=tuple(line(word("eval", eval.eval), eval) for eval in report.ledger.evals),
        metrics=tuple(
            tuple(
                metric(word("training", stage.stage, series.name), stage.stage, series, stage.firings)
                for series in stage.series
                if len(series.values) > 1
            )
            for stage in stages
        ),
        monitors=tuple(
            tuple(
                guarded(word("monitor", stage.stage, guard.name, str(place)), stage.stage, guard)
                for place, guard in enumerate(stage.guards)
            )
            for stage in report.monitors.stages
        ),
    )


def save(report: Report, folder: Path) -> list[Path]:
    """Every figure as PNG and SVG; what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    return [path for drawing in drawings(report) for path in drawing.save(folder)]
