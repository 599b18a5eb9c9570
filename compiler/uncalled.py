"""A recipe that nothing calls is read once with stand-ins for its arguments, so that its mistakes show.

Only what holds for every argument is said: names, columns that its head does not promise, what a stage lacks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ptc.compiler import borders, core
from ptc.compiler.findings import Findings
from ptc.compiler.parameters import filled
from ptc.compiler.scope import Constant, Entry, Recipe, Scope, Scorers, Thing
from ptc.compiler.unread import unread_words
from ptc.compiler.values import Unknown
from ptc.lang import ast

if TYPE_CHECKING:
    from ptc.compiler.declarations import Declarations

SAID = ("N", "T")
"""Families of what is wrong whatever the arguments are."""
ALSO = frozenset(("L501", "L502", "L504", "R308", "U201"))
SOME: dict[str, float | int | str | bool | core.Count] = {
    "Real": 0.5,
    "Int": 8,
    "Text": "text",
    "Bool": True,
    "Count": core.Count(8, "steps"),
}
"""Constants for parameters without a default."""


def read_uncalled(recipe: Recipe, declarations: Declarations) -> None:
    """Elaborates the body of a recipe with stand-ins, and keeps what would be wrong at any call."""
    findings = declarations.findings
    before, absent = len(findings.found), len(findings.absent)
    scope = Scope(findings, recipe.outer, path=f"{recipe.name}.")
    scope.unread = recipe.outer.unread | frozenset(unread_words(recipe.declaration.body.statements))
    for parameter in recipe.declaration.parameters:
        scope.entries[parameter.name.id] = Entry(_stand_in(parameter, recipe), parameter.name.span)
    declarations.for_nothing(scope, recipe.declaration.body.span).all(recipe.declaration.body.statements)
    _keep(findings, before)
    del findings.absent[absent:]


def _keep(findings: Findings, before: int) -> None:
    """Takes back what depends on the arguments."""
    found = findings.found[before:]
    findings.found[before:] = [each for each in found if each.code[0] in SAID or each.code in ALSO]


def _stand_in(parameter: ast.Parameter, recipe: Recipe) -> Thing:
    """Something of the type of a parameter of which nothing else is known."""
    name, span = parameter.name.id, parameter.span
    match parameter.type.name:
        case "Model":
            return core.Model("parameter", {}, {}, core.ModelType(None, None, None, ()), span, name)
        case borders.ROWS:
            kind = borders.rows_from_outside(parameter.type)
            return core.Source("parameter", {}, {}, kind, span, name)
        case "Verifier":
            scorer = core.Scorer("verifier", name, {"name": name, "options": {}}, 1.0, span, least=None, most=None)
            return Scorers((scorer,))
        case "Eval":
            rows = core.Source("parameter", {}, {}, core.Trajectories(("prompt",), open=True), span, name)
            return core.Eval("pass_rate", {"n": 8}, rows, name, span)
        case kind_of_constant:
            default = parameter.default
            value = filled(name, kind_of_constant, default, recipe.outer) if default is not None else None
            known = value is not None and not isinstance(value, Unknown)
            return Constant(value if known else SOME[kind_of_constant])  # type: ignore[arg-type]
