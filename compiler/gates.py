"""Gates: `require` and `ensure` compare something measured with a limit."""

from __future__ import annotations

from dataclasses import dataclass

from ptc.compiler import core
from ptc.compiler.evals import Evals
from ptc.compiler.findings import Findings, at
from ptc.compiler.flows import Flows
from ptc.compiler.rows import check_column
from ptc.compiler.scope import Scope
from ptc.compiler.values import constant
from ptc.lang import ast
from ptc.lang.suggest import closest

COMPARISONS = {">=": "ge", ">": "gt", "<=": "le", "<": "lt"}
MEASURES = {"informative_rate": "informative_rate(rollouts)", "kl": "kl(base)"}
SYNONYMS = {
    "frac_reward_zero_std": "informative_rate",
    "kl_divergence": "kl",
}
RATES = ("informative_rate", "pass_rate", "win_rate")
"""What is measured in shares of 1."""

Subject = core.Source | core.Eval | core.Model


@dataclass(frozen=True)
class Gates:
    """Elaborates gates in the scope of a stage."""

    findings: Findings
    flows: Flows
    evals: Evals

    def gate(self, statement: ast.Gate, scope: Scope) -> core.Gate | None:
        """``require informative_rate(rollouts) >= 10%``, ``ensure skill >= 60%``, ``ensure kl(base) <= 0.2``."""
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
        if not self._possible(subject, measure, float(limit), condition.right):
            return None
        what = subject.name if measure == "value" else f"{measure}({subject.name or 'rows'})"
        word = statement.keyword.id
        text = f"{word} {what} {condition.op} {limit:g}"
        return core.Gate(word, measure, subject, COMPARISONS[condition.op], float(limit), text, statement.span)

    def _possible(self, subject: Subject, measure: str, limit: float, place: ast.Expr) -> bool:
        """Whether the limit is a number that the measure can reach."""
        kind = subject.kind if isinstance(subject, core.Eval) else measure
        if kind in RATES and not 0 <= limit <= 1:
            self.findings.add(
                "U204",
                "a rate lies between 0% and 100%",
                [at(place.span, f"{limit:g} is {limit:.0%}")],
                helps=[f"{limit:g}%"] if 1 < limit <= 100 else [],
            )
            return False
        if kind in ("kl", "bits_per_character") and limit < 0:
            what = "a divergence" if kind == "kl" else "a number of bits"
            self.findings.add("U204", f"{what} is never negative", [at(place.span, f"{limit:g} is")])
            return False
        return True

    def _subject(self, expr: ast.Expr, scope: Scope) -> tuple[Subject | None, str]:
        match expr:
            case ast.Name():
                return self.evals.named(expr, scope), "value"
            case ast.Call(callee=ast.Name(id="informative_rate"), arguments=(ast.Argument(name=None, value=value),)):
                return self._groups(value, scope), "informative_rate"
            case ast.Call(callee=ast.Name(id="kl"), arguments=(ast.Argument(name=None, value=value),)):
                model = self.flows.model_or_role(value, scope)
                return model.init if isinstance(model, core.Role) else model, "kl"
            case ast.Missing():
                return None, ""
            case _:
                self._no_measure(expr)
                return None, ""

    def _groups(self, expr: ast.Expr, scope: Scope) -> core.Source | None:
        """The scored groups whose spread is measured."""
        source = self.flows.source(expr, scope)
        if source is None:
            return None
        wanted = ("group", "reward")
        return source if all(check_column(name, expr.span, source, self.findings) for name in wanted) else None

    def _no_measure(self, expr: ast.Expr) -> None:
        name = expr.callee.id if isinstance(expr, ast.Call) and isinstance(expr.callee, ast.Name) else ""
        guess = SYNONYMS.get(name) or closest(name, MEASURES)
        self.findings.add(
            "N101",
            "nothing is measured under this name",
            [at(expr.span, "not a measure")],
            [f"a gate measures an eval, or {' or '.join(f'`{form}`' for form in MEASURES.values())}"],
            [f"did you mean `{MEASURES[guess]}`?"] if guess else [],
        )
