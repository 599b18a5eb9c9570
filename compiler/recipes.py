"""Recipes: a piece of a program with a head, written out anew at every call.

What is made by a call is named by its path, `r1.tuned`: a label, never an identity. The body sees its parameters and
the names that stand above the recipe in its file, and nothing of the place where it is called.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ptc.compiler import borders, core
from ptc.compiler.arguments import Bound, Parameter, Signature, bind
from ptc.compiler.borders import Borders, spelled, type_of_rows
from ptc.compiler.findings import Findings, at
from ptc.compiler.parameters import filled
from ptc.compiler.scope import Constant, Entry, Poison, Recipe, Scope, Scorers, Thing, kind_of
from ptc.compiler.scorers import documents
from ptc.compiler.stages import renamed
from ptc.compiler.uncalled import read_uncalled
from ptc.compiler.unread import unread_words
from ptc.compiler.values import Unknown
from ptc.lang import ast
from ptc.lang.again import again
from ptc.lang.diagnostic import Label
from ptc.lang.source import Via

if TYPE_CHECKING:
    from ptc.compiler.declarations import Declarations

KEYWORDS = {"Model": "model", borders.ROWS: "source", "Eval": "eval"}
"""How what a recipe gives is declared."""
REMEDIES = {
    "reward": "|> score(exact)",
    "response": "|> respond(.answer)",
    "group": "|> sample(policy, n = 8)",
    "answer": "|> prompts(.question, answer = .answer)",
    "chosen": "|> best_and_worst()",
    "rejected": "|> best_and_worst()",
}


@dataclass
class Recipes:
    """Elaborates calls of recipes."""

    findings: Findings
    borders: Borders
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
        given = self._arguments(recipe, call, bound, declarations)
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
        word = at(statement.name.span, f"declared as {_article(statement.keyword)}")
        self.findings.add(
            "N107",
            f"`{recipe.name}` gives {_article(keyword)}",
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
                if source is None or not self._fits_rows(f"`{recipe.name}`", "gives", result, source, returned.value):
                    return None
                named = renamed(source, path)
                inside.made.sources.append(named)
                return named

    def read_uncalled(self, declarations: Declarations) -> None:
        """Reads the recipes of the program that nothing has written out."""
        for recipe in self.declared:
            if id(recipe.declaration) not in self._written:
                read_uncalled(recipe, declarations)

    # Arguments --------------------------------------------------------------------------------------------------------

    def _arguments(
        self, recipe: Recipe, call: ast.Call, bound: Bound, declarations: Declarations
    ) -> dict[str, Thing] | None:
        """What fills each parameter; None after a report. Defaults are read where the recipe stands."""
        found: dict[str, Thing] = {}
        missing = False
        for parameter in recipe.declaration.parameters:
            name = parameter.name.id
            expr = bound.given.get(name)
            scope = declarations.scope if expr is not None else recipe.outer
            expr = expr if expr is not None else parameter.default
            thing = self._argument(recipe, parameter, expr, scope, declarations) if expr is not None else None
            if thing is None:
                missing |= expr is not None
            else:
                found[name] = thing
        return None if missing else found if self._by_whom(recipe, call, bound, found) else None

    def _argument(
        self, recipe: Recipe, parameter: ast.Parameter, expr: ast.Expr, scope: Scope, declarations: Declarations
    ) -> Thing | None:
        shop, kind = declarations.shop, parameter.type.name
        if not self._right_kind(recipe, parameter, expr, scope):
            return None
        match kind:
            case "Model":
                return shop.models.model(expr, scope)
            case "Verifier":
                scorers = shop.flows.scorings.read(expr, scope)
                return Scorers(scorers) if scorers is not None else None
            case "Eval":
                return shop.evals.named(expr, scope)
            case borders.ROWS:
                source = shop.flows.source(expr, scope)
                if source is None:
                    return None
                who = f"`{recipe.name}`"
                return source if self._fits_rows(who, "needs", parameter.type, source, expr, parameter) else None
            case _:
                value = filled(parameter.name.id, kind, expr, scope)
                return None if isinstance(value, Unknown) else Constant(value)

    def _right_kind(self, recipe: Recipe, parameter: ast.Parameter, expr: ast.Expr, scope: Scope) -> bool:
        """T111: a name that stands for something else than the head asks for."""
        entry = scope.find(expr.id) if isinstance(expr, ast.Name) else None
        if entry is None or isinstance(entry.thing, Poison) or _may_fill(entry.thing, parameter.type.name):
            return True
        name = parameter.name.id
        self.findings.add(
            "T111",
            f"`{name}` of `{recipe.name}` is {_article(parameter.type.name)}, and {kind_of(entry.thing)} is given",
            [at(expr.span, "given here"), at(parameter.span, "wanted here")],
            [f"wanted: {spelled(parameter.type)}", f"   has: {_type_of(entry.thing)}"],
        )
        return False

    def _fits_rows(
        self,
        who: str,
        verb: str,
        type_: ast.Type,
        source: core.Source,
        expr: ast.Expr,
        parameter: ast.Parameter | None = None,
    ) -> bool:
        """T111: rows that lack a column, or have one of another type."""
        missing = [each.name.id for each in type_.columns or () if not source.type.has(each.name.id)]
        odd = [
            each.name.id
            for each in type_.columns or ()
            if each.type is not None and source.type.type_of(each.name.id) not in (None, each.type.id)
        ]
        if not missing and not odd:
            return True
        listed = " and ".join(f"`{column}`" for column in missing or odd)
        title = f"{who} {verb} {listed}, which these rows do not have"
        if not missing:
            title = f"{who} {verb} {listed} of another type than these rows have"
        labels: list[Label] = [at(expr.span, "given here"), at(source.span, "the rows come from here")]
        has = {name: f"{name}: {source.type.type_of(name)}" for name in odd}
        columns = ", ".join(has.get(name, name) for name in source.type.columns)
        self.findings.add(
            "T111",
            title,
            [*labels, *([at(parameter.span, "wanted here")] if parameter is not None else [])],
            [f"wanted: {spelled(type_)}", f"   has: Trajectories{{{columns}}}"],
            list(dict.fromkeys(REMEDIES[column] for column in missing if column in REMEDIES)),
        )
        return False

    def _by_whom(self, recipe: Recipe, call: ast.Call, bound: Bound, given: dict[str, Thing]) -> bool:
        """T111: rows that are by another model than the head says."""
        for parameter in recipe.declaration.parameters:
            by, source = parameter.type.by, given.get(parameter.name.id)
            if by is None or not isinstance(source, core.Source):
                continue
            author, provenance = given.get(by.id), source.type.provenance
            if isinstance(provenance, core.Fixed) and provenance.model is author:
                continue
            if source.type.open and not isinstance(provenance, core.Fixed):
                continue
            expr = bound.given.get(parameter.name.id)
            author_name = author.name if isinstance(author, core.Model) else by.id
            self.findings.add(
                "T111",
                f"`{parameter.name.id}` of `{recipe.name}` are samples of `{by.id}`",
                [at(expr.span if expr else call.span, "given here"), at(source.span, "the rows come from here")],
                [f"wanted: {spelled(parameter.type)}", f"   has: {type_of_rows(source)}{_author(provenance)}"],
                [f"|> sample({author_name}, n = 8)"],
            )
            return False
        return True

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


# Things and types -----------------------------------------------------------------------------------------------------

_FILLS: dict[str, tuple[str, ...]] = {
    "Model": ("a model", "a stage", "a model role"),
    borders.ROWS: ("a source",),
    "Verifier": ("a verifier", "a model", "a stage", "a model role"),
    "Eval": ("an eval",),
}


def _may_fill(thing: Thing, kind: str) -> bool:
    """Whether a thing may be of a type, as far as its kind says."""
    return kind_of(thing) in _FILLS.get(kind, ("a parameter",))


def _type_of(thing: Thing) -> str:
    match thing:
        case core.Source():
            return type_of_rows(thing)
        case Constant(value=core.Count(count=number, unit=unit)):
            return f"Count ({number} {unit})"
        case Constant(value=value):
            return {bool: "Bool", int: "Int", float: "Real", str: "Text"}.get(type(value), "none")
        case core.Stage() | core.Model() | core.Role():
            return "Model"
        case _:
            return kind_of(thing).split(" ", 1)[1].capitalize()


def _article(word: str) -> str:
    return f"{'an' if word[0] in 'aeiouAEIO' else 'a'} {word}"


def _author(provenance: core.Provenance | None) -> str:
    match provenance:
        case core.Fixed(model=model):
            return f" by {model.name or 'a model'}"
        case core.External(by=str(by)):
            return f" by {by}"
        case _:
            return ""


def _identity(thing: Thing) -> object:
    """What two arguments must have in common to be the same."""
    match thing:
        case Constant(value=value):
            return repr(value)
        case Scorers(scorers=scorers):
            return repr(documents(scorers)), tuple(id(scorer.model) for scorer in scorers)
        case _:
            return id(thing)
