"""What the checker said of the program when it was run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ptc.report.section import Section
from ptc.runtime.history import History


class Finding(Section):
    code: str
    name: str
    severity: str
    title: str
    place: str
    helps: tuple[str, ...]
    accepted: bool
    """Whether the program says `allow`."""


class Findings(Section):
    findings: tuple[Finding, ...]


def findings(history: History) -> Findings:
    said = [_finding(each, False) for each in history.info.get("findings", ())]
    return Findings(findings=(*said, *(_finding(each, True) for each in history.info.get("accepted", ()))))


def _finding(document: Mapping[str, Any], accepted: bool) -> Finding:
    labels = document["labels"]
    place = f"{labels[0]['path']}:{labels[0]['line']}" if labels else ""
    return Finding(
        code=document["code"],
        name=document["name"],
        severity=document["severity"],
        title=document["title"],
        place=place,
        helps=tuple(document["helps"]),
        accepted=accepted,
    )
