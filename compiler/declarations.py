"""Declarations, one after the other: of a program, of a file that it imports, of a recipe at one of its calls.

A declaration that is wrong poisons its name: it is reported once, and whatever uses it stays silent.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ptc.compiler import borders, core
from ptc.compiler.borders import Borders
from ptc.compiler.constants import fixed
from ptc.compiler.evals import Evals
from ptc.compiler.externs import Externs
from ptc.compiler.findings import Findings, at
from ptc.compiler.flows import Flows
from ptc.compiler.imports import Imports
from ptc.compiler.models import Models
from ptc.compiler.observers import Observers
from ptc.compiler.parameters import Parameters
from ptc.compiler.recipes import Recipes
from ptc.compiler.scope import Alias, Constant, Entry, Objective, Poison, Recipe, Scope, Thing
from ptc.compiler.stages import Stages, renamed
from ptc.compiler.values import Unknown
from ptc.lang import ast
from ptc.lang.same import walk
from ptc.lang.source import Span


@dataclass
class Made:
    """What declarations have come to so far, in the order of the text."""

    sources: list[core.Source] = field(default_factory=list)
    models: list[core.Model] = field(default_factory=list)
    evals: list[core.Eval] = field(default_factory=list)
    stages: list[core.Stage] = field(default_factory=list)
    reports: list[core.Eval] = field(default_factory=list)
    exports: list[core.Export] = field(default_factory=list)
    protects: list[core.Protect] = field(default_factory=list)
    allows: list[core.Allow] = field(default_factory=list)
    whole: bool = True
    """False if a declaration was left out because it is wrong."""


@dataclass(frozen=True)
class Shop:
    """What elaborates the parts of declarations, the same for all of a program."""

    findings: Findings
    flows: Flows
    models: Models
    evals: Evals
    stages: Stages
    borders: Borders
    parameters: Parameters
    externs: Externs
    recipes: Recipes
    imports: Imports
    observers: Observers


@dataclass(frozen=True)
class Declarations:
    """Walks declarations in one scope."""

    shop: Shop
    scope: Scope
    made: Made
    block: Span | None = None
    """The body of the recipe that is written out; None at the top level of a file."""

    @property
    def findings(self) -> Findings:
        return self.shop.findings

    def all(self, statements: tuple[ast.Statement, ...]) -> None:
        """Elaborates statements in the order of the text."""
        for number, statement in enumerate(statements):
            if isinstance(statement, ast.Allow):
                behind = statements[number + 1].span if number + 1 < len(statements) else statement.span
                self._allow(statement, self.block or behind)
            else:
                self.statement(statement)

    def statement(self, statement: ast.Statement) -> None:
        match statement:
            case ast.Edition():
                self._edition(statement)
            case ast.Import():
                self.shop.imports.imported(statement, self)
            case ast.Param():
                self._param(statement)
            case ast.TypeAlias():
                type_ = self.shop.borders.read(statement.type, self.scope, borders.ANY, "a type")
                self.declare(statement.name, Alias(type_) if type_ is not None else None)
            case ast.Define():
                self._define(statement)
            case ast.Objective():
                self._objective(statement)
            case ast.Recipe():
                self._recipe(statement)
            case ast.Extern():
                self.declare(statement.name, self.shop.externs.extern(statement, self.scope))
            case ast.Stage():
                self._stage(statement)
            case ast.Report():
                self._report(statement)
            case ast.Export():
                self._export(statement)
            case ast.Unreadable():
                self.made.whole = False
                for name in statement.names:
                    self.scope.entries.setdefault(name, Entry(Poison(), statement.span))
            case ast.Protect():
                protect = self.shop.observers.protect(statement, self.scope)
                self.made.protects.extend([protect] if protect is not None else [])
                self.made.whole &= protect is not None
            case ast.Return():
                pass
            case _:
                self._only_in_stage(statement)

    def _only_in_stage(self, statement: ast.Statement) -> None:
        words = {ast.Role: "roles", ast.Minimize: "`minimize`", ast.Setting: "settings"}
        what = words.get(type(statement), "this")
        self.findings.add(
            "N107",
            f"{what} stand{'s' if what[-1] == '`' or what == 'this' else ''} inside a stage",
            [at(statement.span, "outside every stage")],
            helps=["stage name { … }"],
        )
        self.made.whole = False

    def _edition(self, statement: ast.Edition) -> None:
        if statement.year.value != 2026:
            self.findings.add(
                "N112",
                f"there is no edition {statement.year.text}",
                [at(statement.year.span, "not known")],
                helps=["edition 2026"],
            )

    def _param(self, statement: ast.Param) -> None:
        value = self.shop.parameters.value(statement, self.scope)
        self.declare(statement.name, None if isinstance(value, Unknown) else Constant(value))

    # What a run makes -------------------------------------------------------------------------------------------------

    def _define(self, statement: ast.Define) -> None:
        name, value = statement.name, statement.value
        recipe = self._called(value)
        if recipe is not None and isinstance(value, ast.Call) and statement.keyword != "let":
            self.shop.recipes.call(recipe, value, statement, self)
            return
        path = self.scope.path_of(name.id)
        match statement.keyword:
            case "source":
                source = self.shop.flows.source(value, self.scope)
                named = renamed(source, path) if source is not None else None
                self.declare(name, named)
                self.made.sources.extend([named] if named else [])
            case "model":
                model = self.shop.models.model(value, self.scope)
                if model is not None and (not model.name or model.kind == "checkpoint"):
                    model = replace(model, span=name.span, name=path)
                self.declare(name, model)
                self.made.models.extend([model] if model else [])
            case "eval":
                measured = self.shop.evals.eval(value, path, self.scope)
                self.declare(name, measured)
                self.made.evals.extend([measured] if measured else [])
            case _:
                constant = fixed(value, self.scope)
                self.declare(name, None if isinstance(constant, Unknown) else Constant(constant))

    def _called(self, value: ast.Expr) -> Recipe | None:
        """The recipe that an expression calls."""
        if not isinstance(value, ast.Call) or not isinstance(value.callee, ast.Name):
            return None
        entry = self.scope.find(value.callee.id)
        return entry.thing if entry is not None and isinstance(entry.thing, Recipe) else None

    def _stage(self, statement: ast.Stage) -> None:
        for inner in statement.body.statements:
            if isinstance(inner, ast.Allow):
                self._allow(inner, statement.span)
        stage = self.shop.stages.stage(statement, self.scope)
        self.declare(statement.name, stage)
        if stage is not None:
            self.made.stages.append(stage)
            self.shop.models.derived.learn(stage)

    def _report(self, statement: ast.Report) -> None:
        found = [self.shop.evals.named(name, self.scope) for name in statement.evals]
        self.made.reports.extend(each for each in found if each is not None)
        self.made.whole &= None not in found

    def _export(self, statement: ast.Export) -> None:
        model = self.shop.models.model(statement.value, self.scope)
        path = fixed(statement.path, self.scope)
        if model is None or not isinstance(path, str):
            self.made.whole = False
        else:
            self.made.exports.append(core.Export(model, path, statement.span))

    def _allow(self, statement: ast.Allow, scope: Span) -> None:
        allow = self.shop.observers.allow(statement, scope)
        self.made.allows.extend([allow] if allow is not None else [])
        self.made.whole &= allow is not None

    # Heads ------------------------------------------------------------------------------------------------------------

    def _objective(self, statement: ast.Objective) -> None:
        parameters = self.parameters(statement.parameters, borders.OBJECTIVE, "a parameter of an objective")
        readable = not any(isinstance(each, ast.Unreadable | ast.Missing) for each in walk(statement.body))
        sound = replace(statement, parameters=parameters) if parameters is not None and readable else None
        self.declare(statement.name, Objective(sound) if sound is not None else None)

    def _recipe(self, statement: ast.Recipe) -> None:
        parameters = self.parameters(statement.parameters, borders.RECIPE, "a parameter of a recipe")
        result = self.shop.recipes.result(statement, self.scope)
        if parameters is None or result is None:
            self.declare(statement.name, None)
            return
        inside = self.scope.inner()
        for parameter in parameters:
            inside.declare(parameter.name, Poison())  # reports a name that stands above already
        whole = replace(statement, parameters=parameters, result=result)
        recipe = Recipe(whole, self.scope.snapshot())
        self.declare(statement.name, recipe)
        recipe.outer.entries.setdefault(statement.name.id, Entry(recipe, statement.name.span))
        if not self.scope.path:
            self.shop.recipes.declared.append(recipe)

    def parameters(
        self, parameters: tuple[ast.Parameter, ...], allowed: tuple[str, ...], what: str
    ) -> tuple[ast.Parameter, ...] | None:
        """Parameters with their types read; None after a report."""
        found: list[ast.Parameter] = []
        for parameter in parameters:
            type_ = self.shop.borders.read(parameter.type, self.scope, allowed, what)
            if type_ is not None:
                found.append(replace(parameter, type=type_))
        return tuple(found) if len(found) == len(parameters) else None

    def declare(self, name: ast.Name, thing: Thing | None, members: Scope | None = None) -> None:
        """A declaration that came to nothing poisons its name."""
        if thing is None:
            self.made.whole = False
        self.scope.declare(name, thing if thing is not None else Poison(), members)

    def within(self, scope: Scope, block: Span) -> Declarations:
        """The same for the body of a recipe, in a scope of its own: it adds to the same program."""
        return Declarations(self.shop, scope, self.made, block)

    def for_nothing(self, scope: Scope, block: Span) -> Declarations:
        """The same for the body of a recipe of which nothing is made."""
        return Declarations(self.shop, scope, Made(), block)

    def elsewhere(self, scope: Scope, made: Made) -> Declarations:
        """The same for the declarations of another file."""
        return Declarations(self.shop, scope, made)
