"""What to look at: everything in a report that is not as it was hoped, gravest first, in a sentence each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from ptc.report import artifacts
from ptc.report.section import Section
from ptc.report.sections.claims import Claims
from ptc.report.sections.findings import Findings
from ptc.report.sections.measurements import measurements
from ptc.report.sections.run import Run
from ptc.report.sections.training import Training
from ptc.runtime.history import History

Level = Literal["stop", "warning", "note"]
LEVELS: tuple[Level, ...] = ("stop", "warning", "note")


class Remark(Section):
    level: Level
    text: str
    where: str
    """The section of the page that has more: its anchor."""


class Attention(Section):
    remarks: tuple[Remark, ...]


def attention(history: History, run: Run, claims: Claims, training: Training, findings: Findings) -> Attention:
    found = [
        *_of_run(run),
        *_of_claims(claims),
        *_of_training(training),
        *_of_measuring(history),
        *_of_findings(findings),
    ]
    return Attention(remarks=tuple(sorted(found, key=lambda one: LEVELS.index(one.level))))


def _of_run(run: Run) -> Iterator[Remark]:
    if run.message:
        yield Remark(level="stop", text=run.message, where="run")
    for node, why in run.lost.items():
        yield Remark(
            level="warning", text=f"The store has lost {node}: {why}. Running again makes it anew.", where="lineage"
        )


def _of_claims(claims: Claims) -> Iterator[Remark]:
    for each in claims.claims:
        if each.verdict == "refuted":
            yield Remark(level="warning", text=f"{each.stage}: {each.words}", where="claims")
        elif each.verdict == "undecided":
            yield Remark(level="note", text=f"{each.stage}: {each.words}", where="claims")
        lost = each.numbers.get("lost") or 0
        by_chance = each.numbers.get("lost by chance") or 0
        if lost > by_chance and each.k is not None and each.verdict != "refuted":
            said = f"{lost:,.0f} prompts that were solved within {each.k} attempts no longer are"
            chance = f" (by chance alone: {by_chance:,.0f})" if by_chance else ""
            yield Remark(level="note", text=f"{each.stage}: {said}{chance}.", where="prompts")


def _of_training(training: Training) -> Iterator[Remark]:
    for stage in training.stages:
        names = dict.fromkeys(each.monitor for each in stage.firings)
        for name in names:
            mine = [each for each in stage.firings if each.monitor == name]
            times = f", {len(mine)} times" if len(mine) > 1 else ""
            level: Level = "stop" if any(each.level == "stop" for each in mine) else "warning"
            text = f"{stage.stage}: {name} at step {mine[0].step}{times}. {mine[0].words}"
            yield Remark(level=level, text=text, where="training")


def _of_measuring(history: History) -> Iterator[Remark]:
    for each in measurements(history):
        missing = artifacts.summary(each.artifact).get("not_judged") or 0
        if missing:
            yield Remark(
                level="warning", text=f"{each.eval} of {each.model}: {missing:,} attempts not judged.", where="prompts"
            )


def _of_findings(findings: Findings) -> Iterator[Remark]:
    for each in findings.findings:
        if each.severity == "warning" and not each.accepted:
            yield Remark(level="warning", text=f"{each.place}: {each.title} ({each.code})", where="findings")
