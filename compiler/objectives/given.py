"""What a call of an objective is given: sources, roles of the stage, numbers."""

from __future__ import annotations

from dataclasses import dataclass

from ptc.compiler import core
from ptc.compiler.anneal import read_number
from ptc.compiler.arguments import Parameter
from ptc.compiler.findings import Findings, at
from ptc.compiler.flows import Flows
from ptc.compiler.objectives.call import MODEL_TYPES, NUMBER_TYPES, Call, Given, is_none
from ptc.compiler.scope import Scope
from ptc.compiler.values import Unknown, read
from ptc.lang import ast


@dataclass(frozen=True)
class Arguments:
    """Reads the arguments of a call in the scope of a stage."""

    findings: Findings
    flows: Flows

    def given(self, call: Call, scope: Scope) -> Given:
        found = Given()
        for parameter in call.objective.declaration.parameters:
            name = parameter.name.id
            given, kind = call.bound.given.get(name), call.types[name].name
            if kind in MODEL_TYPES:
                role = self._model(given, scope) if given is not None else None
                found.models[name] = role
                found.sound &= role is not None or given is None or is_none(given)
            elif kind in NUMBER_TYPES:
                self._number(found, name, NUMBER_TYPES[kind], given or parameter.default, scope)
            elif given is not None:
                source = self.flows.source(given, scope)
                found.sound &= source is not None
                if source is not None:
                    found.sources[name] = source
        return found

    def _number(self, found: Given, name: str, kind: str, expr: ast.Expr | None, scope: Scope) -> None:
        if expr is None:  # a missing argument, which has been reported
            return
        parameter = Parameter(name, kind)
        value = read_number(parameter, expr, scope) if kind == "real" else read(parameter, expr, scope)
        if isinstance(value, Unknown) or not isinstance(value, int | float | core.Anneal):
            found.sound = False
        else:
            found.numbers[name] = value if isinstance(value, core.Anneal) else float(value)

    def _model(self, given: ast.Expr, scope: Scope) -> core.Role | None:
        if is_none(given):
            return None
        if not isinstance(given, ast.Name):
            if not isinstance(given, ast.Missing):
                self.findings.add("N107", "a model role is needed here", [at(given.span, "not the name of a role")])
            return None
        found = scope.find(given.id)
        if found is not None and isinstance(found.thing, core.Model | core.Stage):
            self.findings.add(
                "N107",
                f"`{given.id}` has no role in this stage",
                [at(given.span, "not bound by `train` or `freeze`"), at(found.span, "a model")],
                helps=[f"freeze reference = {given.id}"],
            )
            return None
        role = scope.look_up(given, (core.Role,), "a model role")
        return role if isinstance(role, core.Role) else None
