"""Objectives at work: what a call such as `grpo(rollouts, policy)` is given, against what its signature asks for.

The signature says which columns each source must have, who must have generated it and how fresh it must be, and what
each model is: `Trained` receives gradient, `Anchor` is what the learner is held to, `Frozen` is any model that stands
still. No method name decides anything here.

    call.py           how an objective may be called
    given.py          reading the arguments
    roles.py          R301, R303, R310: models
    columns.py        T102, T108, T110: columns
    provenance.py     P201, P202: who generated the rows, and when
    transforms.py     P203: the sampling distribution under a ratio
    preconditions.py  T115, D401: `where`
"""

from __future__ import annotations

from dataclasses import dataclass

from ptc.compiler import core, mathematics
from ptc.compiler.arguments import bind
from ptc.compiler.findings import Findings, at
from ptc.compiler.flows import Flows
from ptc.compiler.objectives.call import SOURCE_TYPE, Call, Given, columns_of, signature_of
from ptc.compiler.objectives.columns import Columns
from ptc.compiler.objectives.given import Arguments
from ptc.compiler.objectives.preconditions import Preconditions
from ptc.compiler.objectives.provenance import Provenance, bound_of
from ptc.compiler.objectives.roles import Roles
from ptc.compiler.objectives.transforms import Transforms
from ptc.compiler.objectives.types import Types
from ptc.compiler.scope import Objective, Scope
from ptc.lang import ast
from ptc.lang.source import Span


@dataclass(frozen=True)
class Objectives:
    """Elaborates calls of objectives inside a stage."""

    findings: Findings
    flows: Flows

    def term(
        self,
        expr: ast.Expr,
        weight: float | core.Anneal,
        scope: Scope,
        stage: ast.Stage,
        weighed: Span | None = None,
    ) -> core.Term | None:
        """One summand of `minimize`, its weight written at `weighed`; None after a report."""
        if not isinstance(expr, ast.Call) or not isinstance(expr.callee, ast.Name):
            if not isinstance(expr, ast.Missing):
                self.findings.add(
                    "N107",
                    "`minimize` takes objectives",
                    [at(expr.span, "not a call of an objective")],
                    helps=["minimize sft(demos, policy)"],
                )
            return None
        objective = scope.look_up(expr.callee, (Objective,), "an objective")
        if not isinstance(objective, Objective):
            return None
        types = Types(self.findings).of(objective, expr.span)
        if types is None:
            return None
        call = Call(
            objective, bind(signature_of(objective, types), expr.arguments, expr.span, self.findings), expr.span, types
        )
        given = Arguments(self.findings, self.flows).given(call, scope)
        if not given.sound or not call.bound.whole or not self._fits(call, given):
            return None
        loss = self._loss(call, given, stage)
        if loss is None or not Preconditions(self.findings).one_tokenizer(call, given, loss):
            return None
        if not self._sampled_for(call, given, loss):
            return None
        return _term(call, given, loss, weight, weighed)

    def _fits(self, call: Call, given: Given) -> bool:
        """Whether the arguments are what the head asks for."""
        if not Roles(self.findings).fit(call, given):
            return False
        provenance, columns = Provenance(self.findings), Columns(self.findings)
        sources = [
            provenance.fit(call, name, given) and columns.fit(call, name, source)
            for name, source in given.sources.items()
        ]
        return all(sources) and Preconditions(self.findings).hold(call, given)

    def _sampled_for(self, call: Call, given: Given, loss: core.Expression) -> bool:
        """Whether the rows were sampled in a way that the loss can use."""
        columns, several = Columns(self.findings), len(given.sources) > 1
        grouped = [columns.grouped(call, name, source, loss, several) for name, source in given.sources.items()]
        return all(grouped) and Transforms(self.findings).fit(call, given, loss)

    def _loss(self, call: Call, given: Given, stage: ast.Stage) -> core.Expression | None:
        tables = {
            name: mathematics.Table(name, source, columns_of(call.types[name]))
            for name, source in given.sources.items()
        }
        bindings = mathematics.Bindings(tables, given.models, given.numbers)
        declaration = call.objective.declaration
        if isinstance(declaration, ast.Extern):
            return mathematics.opaque(declaration, bindings)
        try:
            return mathematics.elaborate(declaration, bindings)
        except mathematics.Problem as problem:
            self._in_objective(call, problem)
        except mathematics.MissingModel as missing:
            Roles(self.findings).missing(call, missing.name, stage)
        return None

    def _in_objective(self, call: Call, problem: mathematics.Problem) -> None:
        labels = [at(problem.span, problem.label)]
        if not _inside(problem.span, call.span):
            labels.append(at(call.span, f"`{call.name}` is used here"))
        self.findings.add(problem.code, problem.title, labels, problem.notes, problem.helps)


def _term(
    call: Call, given: Given, loss: core.Expression, weight: float | core.Anneal, weighed: Span | None
) -> core.Term:
    sources = list(call.of_type(SOURCE_TYPE))
    return core.Term(
        call.name,
        weight,
        next(iter(given.sources.values())),
        loss,
        call.span,
        anchors=tuple(given.roles[name] for name in call.of_type("Anchor") if name in given.roles),
        sources=dict(given.sources),
        roles=given.roles,
        numbers=dict(given.numbers),
        places={**call.bound.spans, **({"weight": weighed} if weighed is not None else {})},
        wanted={name: tuple(columns_of(call.types[name])) for name in sources},
        on_policy={name: bound for name in sources if (bound := bound_of(call, name)) is not None},
    )


def _inside(inner: Span, outer: Span) -> bool:
    return inner.text is outer.text and outer.start <= inner.start and inner.end <= outer.end
