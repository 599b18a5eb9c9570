"""Evals, and the gates that compare what is measured with a limit."""

from __future__ import annotations

from dataclasses import dataclass

from ptc.compiler import core
from ptc.compiler.arguments import Parameter, Signature, bind
from ptc.compiler.findings import Findings, at
from ptc.compiler.flows import SAMPLING, Flows, constants, dotted, verifier_document
from ptc.compiler.rows import check_column
from ptc.compiler.scope import Scope
from ptc.compiler.values import constant
from ptc.lang import ast
from ptc.lang.suggest import closest

EVALS = {
    "pass_rate": Signature(
        "pass_rate",
        (
            Parameter("source", "source"),
            Parameter("verifier", "verifier"),
            Parameter("n", "int", 8, least=1),
            *SAMPLING,
            Parameter("seed", "int", 0, least=0),
        ),
    ),
    "bits_per_character": Signature("bits_per_character", (Parameter("source", "source"),)),
}

COMPARISONS = {">=": "ge", ">": "gt", "<=": "le", "<": "lt"}
MEASURES = ("informative_rate",)


@dataclass(frozen=True)
class Evals:
    """Elaborates evals and gates in a scope."""

    findings: Findings
    flows: Flows

    def eval(self, expr: ast.Expr, name: str, scope: Scope) -> core.Eval | None:
        """The eval that an expression declares."""
        kind = dotted(expr.callee) if isinstance(expr, ast.Call) else ""
        if not isinstance(expr, ast.Call) or kind not in EVALS:
            if not isinstance(expr, ast.Missing):
                guess = closest(kind, EVALS)
                self.findings.add(
                    "N101" if kind else "N107",
                    f"no eval is called `{kind}`" if kind else "an eval is needed here",
                    [at(expr.span, "not an eval")],
                    helps=[f"did you mean `{guess}`?"] if guess else ["pass_rate(held_out, exact, n = 16)"],
                )
            return None
        bound = bind(EVALS[kind], expr.arguments, expr.span, self.findings)
        settings = constants(EVALS[kind], bound, scope)
        source = self.flows.source(bound.given["source"], scope) if "source" in bound.given else None
        if kind == "bits_per_character":
            if source is None or settings is None or not self._has(("prompt", "response"), source, expr):
                return None
            return core.Eval(kind, {"columns": ["response"]}, source, name, expr.span)
        verifier = self.flows.verifier(bound.given["verifier"], scope) if "verifier" in bound.given else None
        if source is None or verifier is None or settings is None or not bound.whole:
            return None
        if not self._has(("prompt",), source, expr):
            return None
        place = bound.given["verifier"].span
        if not all([check_column(column, place, source, self.findings) for column in verifier.columns]):
            return None
        return core.Eval(kind, {**settings, "verifier": verifier_document(verifier)}, source, name, expr.span)

    def _has(self, columns: tuple[str, ...], source: core.Source, expr: ast.Call) -> bool:
        return all([check_column(column, expr.arguments[0].span, source, self.findings) for column in columns])

    def named(self, expr: ast.Expr, scope: Scope) -> core.Eval | None:
        """The eval that a claim, a watch or a report names."""
        if not isinstance(expr, ast.Name):
            if not isinstance(expr, ast.Missing):
                self.findings.add("N107", "the name of an eval is needed here", [at(expr.span, "not a name")])
            return None
        found = scope.look_up(expr, (core.Eval,), "an eval")
        return found if isinstance(found, core.Eval) else None

    def gate(self, statement: ast.Gate, scope: Scope) -> core.Gate | None:
        """``require informative_rate(rollouts) >= 10%``, ``ensure skill >= 60%``."""
        condition = statement.condition
        if not isinstance(condition, ast.Binary) or condition.op not in COMPARISONS:
            if not isinstance(condition, ast.Missing):
                self.findings.add(
                    "N107",
                    f"`{statement.keyword.id}` compares something measured with a limit",
                    [at(condition.span, "no comparison")],
                    helps=["require informative_rate(rollouts) >= 10%", "ensure skill >= 60%"],
                )
            return None
        limit = constant(condition.right, scope)
        subject, measure = self._subject(condition.left, scope)
        if subject is None or isinstance(limit, bool) or not isinstance(limit, int | float):
            return None
        if not 0 <= limit <= 1 and not (isinstance(subject, core.Eval) and subject.kind == "bits_per_character"):
            self.findings.add(
                "U204",
                "a rate lies between 0% and 100%",
                [at(condition.right.span, f"{limit:g} is {limit:.0%}")],
                helps=[f"{limit:g}%"] if 1 < limit <= 100 else [],
            )
            return None
        what = subject.name if measure == "value" else f"{measure}({subject.name or 'rows'})"
        text = f"{statement.keyword.id} {what} {condition.op} {limit:g}"
        return core.Gate(
            statement.keyword.id, measure, subject, COMPARISONS[condition.op], float(limit), text, statement.span
        )

    def _subject(self, expr: ast.Expr, scope: Scope) -> tuple[core.Source | core.Eval | None, str]:
        match expr:
            case ast.Name():
                return self.named(expr, scope), "value"
            case ast.Call(callee=ast.Name(id="informative_rate"), arguments=(ast.Argument(name=None, value=value),)):
                source = self.flows.source(value, scope)
                if source is not None and not all(
                    check_column(column, value.span, source, self.findings) for column in ("group", "reward")
                ):
                    return None, ""
                return source, "informative_rate"
            case _:
                self.findings.add(
                    "N101",
                    "nothing is measured under this name",
                    [at(expr.span, "not a measure")],
                    [f"a gate measures an eval, or {', '.join(f'`{name}(source)`' for name in MEASURES)}"],
                )
                return None, ""
