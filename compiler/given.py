"""What is given to a recipe, against what its head asks for: T111, the two types one under the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ptc.compiler import borders, core
from ptc.compiler.arguments import Bound
from ptc.compiler.borders import spelled, type_of_rows
from ptc.compiler.findings import Findings, at
from ptc.compiler.parameters import filled
from ptc.compiler.scope import Constant, Poison, Recipe, Scope, Scorers, Thing, kind_of
from ptc.compiler.values import Unknown
from ptc.lang import ast
from ptc.lang.diagnostic import Label

if TYPE_CHECKING:
    from ptc.compiler.declarations import Declarations

REMEDIES = {
    "reward": "|> score(exact)",
    "response": "|> respond(.answer)",
    "group": "|> sample(policy, n = 8)",
    "answer": "|> prompts(.question, answer = .answer)",
    "chosen": "|> best_and_worst()",
    "rejected": "|> best_and_worst()",
}


@dataclass(frozen=True)
class Given:
    """Reads the arguments of a recipe's call."""

    findings: Findings

    def arguments(
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
                return source if self.fits_rows(who, "needs", parameter.type, source, expr, parameter) else None
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
            f"`{name}` of `{recipe.name}` is {article(parameter.type.name)}, and {kind_of(entry.thing)} is given",
            [at(expr.span, "given here"), at(parameter.span, "wanted here")],
            [f"wanted: {spelled(parameter.type)}", f"   has: {_type_of(entry.thing)}"],
        )
        return False

    def fits_rows(
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


def article(word: str) -> str:
    return f"{'an' if word[0] in 'aeiouAEIO' else 'a'} {word}"


def _author(provenance: core.Provenance | None) -> str:
    match provenance:
        case core.Fixed(model=model):
            return f" by {model.name or 'a model'}"
        case core.External(by=str(by)):
            return f" by {by}"
        case _:
            return ""
