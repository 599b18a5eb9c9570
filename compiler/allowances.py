"""Findings that a program accepts: `allow(check_name, "reason")` silences one check in one place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ptc.compiler import core
from ptc.compiler.findings import BY_NAME, PLACED, Findings, at
from ptc.compiler.monitors import MONITORS
from ptc.compiler.observers import JUDGEMENTS
from ptc.lang.diagnostic import Diagnostic
from ptc.lang.source import Span

LATER = ("D", "V709", "V71")
"""Checks, or families of them, that need a look at rows: an allowance of theirs may be used then."""


@dataclass(frozen=True)
class Judged:
    """Findings, and those that were accepted."""

    kept: list[Diagnostic]
    accepted: tuple[Diagnostic, ...]


def judge(found: Iterable[Diagnostic], allows: tuple[core.Allow, ...]) -> Judged:
    """Takes out what is allowed where it stands."""
    kept: list[Diagnostic] = []
    accepted: list[Diagnostic] = []
    for diagnostic in found:
        allowed = acceptable(diagnostic) and any(covers(allow, diagnostic) for allow in allows)
        (accepted if allowed else kept).append(diagnostic)
    return Judged(kept, tuple(accepted))


def acceptable(diagnostic: Diagnostic) -> bool:
    return diagnostic.severity != "error" or diagnostic.name in JUDGEMENTS


def covers(allow: core.Allow, diagnostic: Diagnostic) -> bool:
    """Whether a finding is of the check, and its first place in the scope, of an allowance."""
    return diagnostic.name == allow.check and diagnostic.span is not None and encloses(allow.scope, diagnostic.span)


def encloses(outer: Span, inner: Span) -> bool:
    return inner.text is outer.text and outer.start <= inner.start and inner.end <= outer.end


def note_unused(allows: tuple[core.Allow, ...], findings: Findings) -> None:
    """N113: an allowance of what has not been found, in a program in which everything has been looked for."""
    found = tuple(findings.found)
    if any(diagnostic.severity == "error" for diagnostic in judge(found, allows).kept):
        return
    used = {(allow.check, allow.span) for allow in allows if any(covers(allow, each) for each in found)}
    for allow in allows:
        if allow.check in MONITORS:
            continue
        code = BY_NAME[allow.check].code
        if (allow.check, allow.span) in used or code.startswith(LATER) or code in PLACED:
            continue
        findings.add(
            "N113",
            f"nothing here is found by `{allow.check.replace('-', '_')}`",
            [at(allow.span, "allows nothing")],
            ["at the top level it is for the declaration behind it, inside a stage or a recipe for all of that"],
        )
