"""`extern`: verifiers, sources and objectives that are written in Python, with the heads that the checker needs.

Nothing of them is loaded here; a run asks whether they are allowed (`ptc.running`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ptc.compiler import borders
from ptc.compiler.arguments import Parameter, Signature
from ptc.compiler.borders import Borders
from ptc.compiler.findings import Findings, at
from ptc.compiler.parameters import filled
from ptc.compiler.scope import ExternSource, ExternVerifier, Objective, Scope, Thing
from ptc.compiler.values import Unknown
from ptc.lang import ast


@dataclass(frozen=True)
class Externs:
    """Elaborates declarations of what is written in Python."""

    findings: Findings
    borders: Borders

    def extern(self, statement: ast.Extern, scope: Scope) -> Thing | None:
        """What the declaration declares; None after a report."""
        make = {"verifier": self._verifier, "source": self._source, "objective": self._objective}
        return make[statement.kind.id](statement, scope)

    def _parameters(
        self, statement: ast.Extern, scope: Scope, allowed: tuple[str, ...], what: str
    ) -> list[ast.Parameter] | None:
        found = []
        for parameter in statement.parameters:
            type_ = self.borders.read(parameter.type, scope, allowed, what)
            found += [replace(parameter, type=type_)] if type_ is not None else []
        return found if len(found) == len(statement.parameters) else None

    def _result(self, statement: ast.Extern, scope: Scope, allowed: tuple[str, ...]) -> ast.Type | None:
        """What it gives; the parser has reported where nothing is said."""
        what = f"what a {statement.kind.id} gives"
        return self.borders.read(statement.result, scope, allowed, what) if statement.result is not None else None

    def _verifier(self, statement: ast.Extern, scope: Scope) -> Thing | None:
        parameters = self._parameters(statement, scope, borders.EXTERN_VERIFIER, "what a verifier reads")
        result = self._result(statement, scope, ("Real", "Bool"))
        if parameters is None or result is None:
            return None
        columns = tuple((each.name.id, each.type.name) for each in parameters)
        if "response" not in (name for name, _ in columns):
            self.findings.add(
                "N104",
                f"`{statement.name.id}` judges responses and reads none",
                [at(statement.name.span, "no parameter `response`")],
                helps=["response: Text"],
            )
            return None
        beside = tuple(column for column in columns if column[0] != "response")
        name = statement.name
        return ExternVerifier(name.id, beside, result.name, statement.target.value, name.span)

    def _source(self, statement: ast.Extern, scope: Scope) -> Thing | None:
        parameters = self._parameters(statement, scope, borders.EXTERN_SOURCE, "a parameter of a source")
        result = self._result(statement, scope, (borders.ROWS,))
        if parameters is None or result is None:
            return None
        found = []
        for each in parameters:
            default: object = ...
            if each.default is not None:
                default = filled(each.name.id, each.type.name, each.default, scope)
            if isinstance(default, Unknown):
                return None
            found.append(Parameter(each.name.id, borders.CONSTANTS[each.type.name], default))
        name = statement.name
        signature = Signature(name.id, tuple(found))
        return ExternSource(name.id, signature, borders.rows_from_outside(result), statement.target.value, name.span)

    def _objective(self, statement: ast.Extern, scope: Scope) -> Thing | None:
        parameters = self._parameters(statement, scope, borders.OBJECTIVE, "a parameter of an objective")
        if parameters is None:
            return None
        return Objective(replace(statement, parameters=tuple(parameters)))
