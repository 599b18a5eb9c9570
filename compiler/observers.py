"""What looks on and changes nothing: `protect` binds whatever descends from a model, `allow` accepts one finding."""

from __future__ import annotations

from dataclasses import dataclass

from ptc.compiler import core
from ptc.compiler.evals import Evals
from ptc.compiler.findings import BY_NAME, Check, Findings, at
from ptc.compiler.models import Models
from ptc.compiler.monitors import MONITORS
from ptc.compiler.scope import Scope
from ptc.lang import ast
from ptc.lang.source import Span
from ptc.lang.suggest import closest

RATES = ("pass_rate", "win_rate")
"""Evals that are measured in points."""
JUDGEMENTS = frozenset(
    (
        *("eval-in-training", "train-eval-overlap", "scaffold-at-eval", "selection-on-report"),
        *("reference-lineage", "consolidates-nothing", "ancestor-teacher-regression", "merge-strangers"),
    )
)
"""Errors that somebody may have reasons to accept: what is compared with what, and what a stage is for."""
NEVER = "SNTU"
"""Families of what makes no sense: there is nothing to accept."""


@dataclass(frozen=True)
class Observers:
    """Elaborates `protect` and `allow`."""

    findings: Findings
    models: Models
    evals: Evals

    def protect(self, statement: ast.Protect, scope: Scope) -> core.Protect | None:
        """``protect skill within 2 points from reasoner``; None after a report."""
        measured = self.evals.named(statement.eval, scope)
        points = self._points(statement)
        origin = self.models.model(statement.origin, scope) if statement.origin is not None else None
        if measured is None or points is None or (statement.origin is not None and origin is None):
            return None
        if measured.kind not in RATES:
            self.findings.add(
                "N107",
                f"`protect` counts points of a rate, and `{measured.name}` is a `{measured.kind}`",
                [at(statement.eval.span, "has no points"), at(measured.span, "declared here")],
                helps=[f"ensure {measured.name} <= …"],
            )
            return None
        return core.Protect(measured, points, origin, statement.span)

    def _points(self, statement: ast.Protect) -> float | None:
        """How many points may be lost."""
        within = statement.within
        if within is None:
            self.findings.add(
                "N104",
                "`protect` does not say how much may be lost",
                [at(statement.span, "within how many points?")],
                helps=[f"protect {_name(statement.eval)} within 2 points"],
            )
            return None
        if within.unit in ("points", "point"):
            return float(within.value)
        number = f"{within.value:g} {'point' if within.value == 1 else 'points'}"
        if within.unit is None:
            title, label = f"{within.text} of what? a loss is counted in points", "a bare number"
            self.findings.add("U201", title, [at(within.span, label)], helps=[f"within {number}"])
        else:
            share = within.unit == "%"
            self.findings.add(
                "U202",
                f"a loss is counted in points, not in `{within.unit}`",
                [at(within.unit_span or within.span, "not points")],
                ["2% of 40% would be 39.2%; 2 points below 40% are 38%"] if share else [],
                [f"within {number}"],
            )
        return None

    def allow(self, statement: ast.Allow, scope: Span) -> core.Allow | None:
        """``allow(claim_unprotected, "…")`` for what is found in `scope`; None after a report."""
        called = statement.check.id.replace("_", "-")
        if called in MONITORS:
            return core.Allow(called, statement.reason.value, statement.span, scope)
        check = BY_NAME.get(called)
        if check is None:
            checks = [name for name, each in BY_NAME.items() if may_be_allowed(each)]
            known = [name.replace("-", "_") for name in (*checks, *MONITORS)]
            guess = closest(statement.check.id, known)
            self.findings.add(
                "N112",
                f"no check is called `{statement.check.id}`",
                [at(statement.check.span, "not known")],
                ["a check goes by the name behind its code in `ptc explain`"] if not guess else [],
                [f"did you mean `{guess}`?"] if guess else [],
            )
            return None
        if not may_be_allowed(check):
            self.findings.add(
                "N122",
                f"`{statement.check.id}` cannot be allowed: with it the program makes no sense",
                [at(statement.check.span, f"{check.code}, an error")],
                ["what can be allowed are warnings, notes, and errors about what is compared with what"],
            )
            return None
        return core.Allow(check.name, statement.reason.value, statement.span, scope)


def may_be_allowed(check: Check) -> bool:
    """Whether a program may accept what a check finds."""
    return check.code[0] not in NEVER and (check.severity != "error" or check.name in JUDGEMENTS)


def _name(expr: ast.Expr) -> str:
    return expr.id if isinstance(expr, ast.Name) else "skill"
