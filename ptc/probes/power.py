"""How small a difference an eval can show: with few prompts, none of those that a program is about."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, sqrt

from ptc.compiler import core
from ptc.compiler.findings import Findings, at
from ptc.compiler.lower import TOLERANCE
from ptc.lang.diagnostic import Severity
from ptc.lang.source import Span
from ptc.probes.view import View

Z = 1.96
"""95%, both sides."""


def check_underpowered(view: View, findings: Findings) -> None:
    """V712: a tolerance below the half-width of a mean over N prompts in the worst case, z / (2 √N)."""
    for measured, tolerance, place, what, severity in _tolerances(view.program):
        drawn = view.drawer.prompts(measured.source)
        prompts = drawn.expected if drawn is not None else None
        if not prompts or measured.kind == "bits_per_character":
            continue
        width = Z / (2 * sqrt(prompts))
        if tolerance < width:
            findings.add(
                "V712",
                f"`{measured.name}` has {prompts:,} prompts: it shows differences from {100 * width:.1f} points on",
                [at(place, f"{what} {100 * tolerance:g} points"), at(measured.source.span, f"{prompts:,} prompts")],
                [f"{ceil((Z / (2 * tolerance)) ** 2):,} prompts would show {100 * tolerance:g} points"],
                [],
                severity=severity,
            )


def _tolerances(program: core.Program) -> Iterator[tuple[core.Eval, float, Span, str, Severity | None]]:
    """Evals with what may be lost on them, as a share of 1."""
    for protect in program.protects:
        if protect.points > 0:
            yield protect.eval, protect.points / 100, protect.span, "may lose no more than", None
    for stage in program.stages:
        for claim in stage.claims:
            if claim.role != "expands":
                yield claim.eval, TOLERANCE, claim.span, "may lose no more than", "note"
