"""`guard`: a gate that holds all along. It compares what a stage measures of itself with a limit, and stops it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ptc.compiler import core
from ptc.compiler.evals import Evals
from ptc.compiler.findings import Findings, at
from ptc.compiler.gates import COMPARISONS, RATES
from ptc.compiler.losses import has_clip, measures_kl, ratios, reads_chosen
from ptc.compiler.monitors import BY_NAME, EVAL, MEASURES, SYNONYMS, WITHOUT, Measure, Need
from ptc.compiler.scope import Scope
from ptc.compiler.values import constant, count
from ptc.lang import ast
from ptc.lang.suggest import closest


@dataclass(frozen=True)
class Guards:
    """Elaborates the guards of a stage whose sum and watches are known."""

    findings: Findings
    evals: Evals
    terms: Sequence[core.Term]
    watches: Sequence[core.Watch]

    def guard(self, statement: ast.Gate, scope: Scope) -> core.Guard | None:
        """``guard kl <= 0.2``, ``guard zero_advantage <= 90% over 20 steps``, ``guard skill >= 40%``."""
        condition = statement.condition
        if not isinstance(condition, ast.Binary) or condition.op not in COMPARISONS:
            if not isinstance(condition, ast.Missing):
                self.findings.add(
                    "N107",
                    "`guard` compares something that the stage measures with a limit",
                    [at(condition.span, "no comparison")],
                    helps=[BY_NAME["kl"].example, BY_NAME["zero_advantage"].example],
                )
            return None
        limit = constant(condition.right, scope)
        measure, about = self._subject(condition.left, scope)
        over = self._over(statement, scope)
        if measure is None or over is None or isinstance(limit, bool) or not isinstance(limit, int | float):
            return None
        if not self._possible(measure, about, float(limit), condition.right):
            return None
        named = about.name if measure == EVAL and about is not None else measure
        what = f"{measure}({about.name})" if about is not None and measure != EVAL else named
        text = f"guard {what} {condition.op} {limit:g}" + (f" over {over} steps" if over > 1 else "")
        return core.Guard(measure, about, COMPARISONS[condition.op], float(limit), over, text, statement.span)

    def _over(self, statement: ast.Gate, scope: Scope) -> int | None:
        if statement.over is None:
            return 1
        steps = count(statement.over, scope, ("steps",), "`over`", 20)
        if steps is not None and steps.count < 1:
            self.findings.add("U204", "`over` must be at least 1 step", [at(statement.over.span, "of nothing")])
            return None
        return None if steps is None else steps.count

    def _possible(self, measure: str, about: core.Eval | None, limit: float, place: ast.Expr) -> bool:
        """Whether the limit is a number that the measure can reach."""
        kind = BY_NAME[measure].kind if measure != EVAL else "signed"
        share = kind == "share" or (measure == EVAL and about is not None and about.kind in RATES)
        if share and not 0 <= limit <= 1:
            helps = [f"{limit:g}%"] if 1 < limit <= 100 else []
            self.findings.add(
                "U204", "a share lies between 0% and 100%", [at(place.span, f"{limit:g} is {limit:.0%}")], helps=helps
            )
            return False
        if kind == "positive" and limit < 0:
            self.findings.add("U204", f"`{measure}` is never negative", [at(place.span, f"{limit:g} is")])
            return False
        if kind == "cosine" and not -1 <= limit <= 1:
            self.findings.add("U204", "a cosine lies between -1 and 1", [at(place.span, f"{limit:g} does not")])
            return False
        return True

    def _subject(self, expr: ast.Expr, scope: Scope) -> tuple[str | None, core.Eval | None]:
        """The measure, and the eval that it is about."""
        match expr:
            case ast.Name(id=name) if name in BY_NAME and name not in scope.entries:
                return self._own(expr, BY_NAME[name])
            case ast.Call(callee=ast.Name(id=name), arguments=arguments) if name in BY_NAME:
                return self._called(expr, BY_NAME[name], arguments, scope)
            case ast.Name() if scope.find(expr.id) is not None:
                measured = self._watched(expr, scope)
                return (None, None) if measured is None else (EVAL, measured)
            case ast.Missing():
                return None, None
            case _:
                self._no_measure(expr)
                return None, None

    def _own(self, expr: ast.Expr, measure: Measure) -> tuple[str | None, core.Eval | None]:
        if measure.of_eval:
            self.findings.add(
                "N104",
                f"`{measure.name}` is measured against an eval",
                [at(expr.span, "against which?")],
                helps=[
                    *(f"{measure.name}({watch.eval.name})" for watch in self.watches[:1]),
                    *(["watch skill every 20 steps"] if not self.watches else []),
                ],
            )
            return None, None
        return (measure.name, None) if self._given(expr, measure) else (None, None)

    def _called(
        self, expr: ast.Expr, measure: Measure, arguments: tuple[ast.Argument, ...], scope: Scope
    ) -> tuple[str | None, core.Eval | None]:
        if not measure.of_eval or len(arguments) != 1 or arguments[0].name is not None:
            if not measure.of_eval:
                title, help_ = f"`{measure.name}` is measured of the stage, and asks for nothing", measure.name
            else:
                title, help_ = f"`{measure.name}` is measured against one eval", f"{measure.name}(skill)"
            self.findings.add("N109", title, [at(expr.span, "not called so")], helps=[help_])
            return None, None
        measured = self._watched(arguments[0].value, scope)
        return (measure.name, measured) if measured is not None and self._given(expr, measure) else (None, None)

    def _watched(self, expr: ast.Expr, scope: Scope) -> core.Eval | None:
        """An eval that the stage watches."""
        measured = self.evals.named(expr, scope)
        if measured is None or any(watch.eval is measured for watch in self.watches):
            return measured
        self.findings.add(
            "N124",
            f"this stage does not watch `{measured.name}`: there is nothing to guard",
            [at(expr.span, "not measured while it trains")],
            helps=[f"watch {measured.name} every 20 steps"],
        )
        return None

    def _given(self, expr: ast.Expr, measure: Measure) -> bool:
        """G801: whether the stage measures it. Of a sum that is not known nothing is said."""
        if not self.terms or has(measure.needs, self.terms):
            return True
        why, what = WITHOUT[measure.needs]
        self.findings.add(
            "G801",
            f"`{measure.name}` is not measured here: {why}",
            [at(expr.span, "would never be compared"), at(self.terms[0].span, "the loss of this stage")],
            helps=[what],
        )
        return False

    def _no_measure(self, expr: ast.Expr) -> None:
        called = expr.callee if isinstance(expr, ast.Call) else expr
        name = called.id if isinstance(called, ast.Name) else ""
        guess = SYNONYMS.get(name) or closest(name, BY_NAME)
        self.findings.add(
            "N101",
            "nothing is measured under this name while a stage runs",
            [at(expr.span, "not a measure")],
            [] if guess else [f"a guard reads a watched eval, or {', '.join(f'`{each}`' for each in BY_NAME)}"],
            [f"did you mean `{guess}`?"] if guess else [],
        )


def has(need: Need, terms: Sequence[core.Term]) -> bool:
    """Whether a stage with these terms measures what needs this."""
    match need:
        case "rollouts":
            return any(True for _ in _sampled(terms))
        case "rewards":
            return any(source.type.has("reward") and source.type.has("group") for source in _sampled(terms))
        case "kl":
            return any(measures_kl(term.loss) for term in terms)
        case "ratio":
            return any(True for term in terms for _ in ratios(term.loss))
        case "clip":
            return any(has_clip(term.loss) for term in terms)
        case "chosen":
            return any(reads_chosen(term.loss) for term in terms)
        case "joint":
            return _joint(terms)
        case _:
            return True


def usual(terms: Sequence[core.Term], watches: Sequence[core.Watch]) -> Iterator[core.Guard]:
    """The limits at which a stage warns unless it allows that."""
    for measure in MEASURES:
        limit = measure.usual
        if limit is None or not has(measure.needs, terms) or not has(limit.needs, terms):
            continue
        for about in dict.fromkeys(watch.eval for watch in watches) if measure.of_eval else (None,):
            yield core.Guard(measure.name, about, limit.op, limit.limit, limit.over, "", terms[0].span)


def _sampled(terms: Sequence[core.Term]) -> Iterator[core.Source]:
    """Sources of which attempts are drawn while the stage runs."""
    for term in terms:
        yield from (source for source in term.sources.values() or (term.source,) if source.live is not None)


def _joint(terms: Sequence[core.Term]) -> bool:
    """Whether there are terms that share no source: each such part has a gradient of its own."""
    parts: list[set[int]] = []
    for term in terms:
        own = {id(source) for source in term.sources.values() or (term.source,)}
        touched = [part for part in parts if part & own]
        parts = [part for part in parts if not part & own] + [own.union(*touched)]
    return len(parts) > 1
