"""Recipes: a piece of a program with a head, written out anew at every call.

What is made by a call is named by its path, `r1.tuned`: a label, never an identity. The body sees its parameters and
the names that stand above the recipe in its file, and nothing of the place where it is called.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ptc.compiler import borders
from ptc.compiler.arguments import Parameter, Signature, bind
from ptc.compiler.borders import Borders
from ptc.compiler.findings import Findings, at
from ptc.compiler.given import Given, article
from ptc.compiler.scope import Constant, Entry, Recipe, Scope, Scorers, Thing
from ptc.compiler.scorers import documents
from ptc.compiler.stages import renamed
from ptc.compiler.uncalled import read_uncalled
from ptc.compiler.unread import unread_words
from ptc.lang import ast
from ptc.lang.again import again
from ptc.lang.source import Via

if TYPE_CHECKING:
    from ptc.compiler.declarations import Declarations

KEYWORDS = {"Model": "model", borders.ROWS: "source", "Eval": "eval"}
"""How what a recipe gives is declared."""


@dataclass
class Recipes:
    """Elaborates calls of recipes."""

    findings: Findings
    borders: Borders
    given: Given
    declared: list[Recipe] = field(default_factory=list)
    """The recipes of the program itself."""
    _written: set[int] = field(default_factory=set)
    """The declarations that have been written out."""
    _active: list[ast.Recipe] = field(default_factory=list)
    _calls: dict[object, ast.Name] = field(default_factory=dict)
    """The name under which each recipe was first called with the same arguments."""

    # Heads ------------------------------------------------------------------------------------------------------------

    def result(self, statement: ast.Recipe, scope: Scope) -> ast.Type | None:
        """What a recipe gives; None after a report."""
        returned = _returned(statement.body)
        unread = any(isinstance(each, ast.Unreadable) for each in statement.body.statements)
        if returned is None and not unread:
            stages = [each.name.id for each in statement.body.statements if isinstance(each, ast.Stage)]
            self.findings.add(
                "N117",
                f"recipe `{statement.name.id}` gives nothing back",
                [at(statement.name.span, "no `return` at its end")],
                helps=[f"return {stages[-1] if stages else '…'}"],
            )
            return None
        if statement.result is None:
            self.findings.add(
                "N104",
                f"recipe `{statement.name.id}` does not say what it gives",
                [at(statement.name.span, "no result type")],
                helps=[f"recipe {statement.name.id}(…) -> Model {{ … }}"],
            )
            return None
        return self.borders.read(statement.result, scope, borders.RESULT, "what a recipe gives")

    # Calls ------------------------------------------------------------------------------------------------------------

    def call(self, recipe: Recipe, call: ast.Call, statement: ast.Define, declarations: Declarations) -> None:
        """Writes the recipe out under the name that the statement declares."""
        name = statement.name
        if not self._may_be_called(recipe, call, statement):
            declarations.declare(name, None)
            return
        bound = bind(_signature(recipe), call.arguments, call.span, self.findings)
        given = self.given.arguments(recipe, call, bound, declarations)
        if given is None or not bound.whole:
            declarations.declare(name, None)
            return
        self._note_twin(recipe, given, name)
        path = declarations.scope.path_of(name.id)
        scope = Scope(self.findings, recipe.outer, path=f"{path}.")
        scope.unread = recipe.outer.unread | frozenset(unread_words(recipe.declaration.body.statements))
        for parameter in recipe.declaration.parameters:
            scope.entries[parameter.name.id] = Entry(given[parameter.name.id], parameter.name.span)
        via = Via(call.span, f"`{recipe.name}` is called here", f"{path}.")
        body = again(recipe.declaration.body, via)
        inside = declarations.within(scope, body.span)
        self._written.add(id(recipe.declaration))
        self._active.append(recipe.declaration)
        inside.all(body.statements)
        self._active.pop()
        result = self._given_back(recipe, body, inside, path)
        if result is not None:
            note_unused(recipe, scope)
        parts = {key: entry for key, entry in scope.entries.items() if key not in given}
        declarations.declare(name, result, Scope(self.findings, None, parts))

    def _may_be_called(self, recipe: Recipe, call: ast.Call, statement: ast.Define) -> bool:
        if any(active is recipe.declaration for active in self._active):
            self.findings.add(
                "N116",
                f"recipe `{recipe.name}` calls itself",
                [at(call.callee.span, "would never end"), at(recipe.declaration.name.span, "the recipe")],
                ["it is written out at every call: rounds are written where they are run"],
                [f"model r2 = {recipe.name}(r1, …)"],
            )
            return False
        result = recipe.declaration.result
        keyword = KEYWORDS[result.name] if result is not None else statement.keyword
        if keyword == statement.keyword:
            return True
        word = at(statement.name.span, f"declared as {article(statement.keyword)}")
        self.findings.add(
            "N107",
            f"`{recipe.name}` gives {article(keyword)}",
            [word, at(recipe.declaration.result.span if recipe.declaration.result else call.span, "says its head")],
            helps=[f"{keyword} {statement.name.id} = {recipe.name}(…)"],
        )
        return False

    def _given_back(self, recipe: Recipe, body: ast.Block, inside: Declarations, path: str) -> Thing | None:
        """What `return` gives."""
        returned, shop = _returned(body), inside.shop
        result = recipe.declaration.result
        if returned is None or result is None:
            return None
        match result.name:
            case "Model":
                model = shop.models.model(returned.value, inside.scope)
                if model is not None and not model.name:
                    model = replace(model, name=path)
                    inside.made.models.append(model)
                return model
            case "Eval":
                return shop.evals.named(returned.value, inside.scope)
            case _:
                source = shop.flows.source(returned.value, inside.scope)
                if source is None or not self.given.fits_rows(
                    f"`{recipe.name}`", "gives", result, source, returned.value
                ):
                    return None
                named = renamed(source, path)
                inside.made.sources.append(named)
                return named

    def read_uncalled(self, declarations: Declarations) -> None:
        """Reads the recipes of the program that nothing has written out."""
        for recipe in self.declared:
            if id(recipe.declaration) not in self._written:
                read_uncalled(recipe, declarations)

    def _note_twin(self, recipe: Recipe, given: dict[str, Thing], name: ast.Name) -> None:
        """N111: two calls that say the same are one."""
        key = (id(recipe.declaration), tuple((word, _identity(thing)) for word, thing in given.items()))
        first = self._calls.setdefault(key, name)
        if first is not name and (first.id, first.span) != (name.id, name.span):
            self.findings.add(
                "N111",
                f"`{first.id}` and `{name.id}` are one: the same recipe with the same arguments",
                [at(name.span, "says the same"), at(first.span, "as this")],
                helps=["seed = 2"] if "seed" in given else [],
            )


def note_unused(recipe: Recipe, scope: Scope) -> None:
    """N119: a parameter that the body, written out in `scope`, does not read."""
    named = {parameter.type.by.id for parameter in recipe.declaration.parameters if parameter.type.by is not None}
    for parameter in recipe.declaration.parameters:
        name = parameter.name.id
        if name not in scope.used and name not in named:
            scope.findings.add(
                "N119",
                f"nothing in recipe `{recipe.name}` reads `{name}`",
                [at(parameter.name.span, "changes nothing")],
                ["whoever gives it an argument believes that it does something"],
                ["delete it"],
            )


def _returned(body: ast.Block) -> ast.Return | None:
    return next((each for each in reversed(body.statements) if isinstance(each, ast.Return)), None)


def _signature(recipe: Recipe) -> Signature:
    """How a recipe may be called."""
    parameters = (
        Parameter(each.name.id, each.type.name, ... if each.default is None else each.default)
        for each in recipe.declaration.parameters
    )
    return Signature(recipe.name, tuple(parameters))


def _identity(thing: Thing) -> object:
    """What two arguments must have in common to be the same."""
    match thing:
        case Constant(value=value):
            return repr(value)
        case Scorers(scorers=scorers):
            return repr(documents(scorers)), tuple(id(scorer.model) for scorer in scorers)
        case _:
            return id(thing)
