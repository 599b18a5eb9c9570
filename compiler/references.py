"""What a dotted path stands for: `tuned`, `tuned.critic`, `r1.tuned`, and `tuned @ best(skill)` after it.

A stage, where a model is expected, is the final weights of the one role that it trains; with several trained roles the
path must say which is meant. What was made inside a recipe is reached through the name of its call.
"""

from __future__ import annotations

from ptc.compiler import core
from ptc.compiler.calls import dotted
from ptc.compiler.findings import Findings, at
from ptc.compiler.scope import Poison, Recipe, Scope, Thing, kind_of
from ptc.lang import ast
from ptc.lang.suggest import closest


def model(expr: ast.Expr, scope: Scope) -> core.Model | core.Role | None:
    """The model or the role of this stage that a path names; None after a report."""
    found = thing(expr, scope, (core.Model, core.Stage, core.Role), "a model")
    if isinstance(found, core.Stage):
        return whole(found, expr, scope.findings)
    return found if isinstance(found, core.Model | core.Role) else None


def is_path(expr: ast.Expr) -> bool:
    """Whether an expression is a name or a dotted path."""
    return isinstance(expr, ast.Name) or (isinstance(expr, ast.Member) and is_path(expr.base))


def thing(expr: ast.Expr, scope: Scope, wanted: tuple[type, ...], wanted_text: str) -> Thing | None:
    """What a path stands for, if it is one of `wanted`; otherwise None, and the user has been told."""
    match expr:
        case ast.Name():
            return scope.look_up(expr, wanted, wanted_text)
        case ast.Member(base=base, name=name) if is_path(base):
            found = _member(base, name, scope)
            if found is None or isinstance(found, Poison):
                return None
            if not isinstance(found, wanted):
                scope.findings.add(
                    "N107",
                    f"`{dotted(expr)}` is {kind_of(found)}, and {wanted_text} is needed here",
                    [at(expr.span, f"{wanted_text} is needed")],
                )
                return None
            return found
        case ast.Missing():
            return None
        case _:
            scope.findings.add("N107", f"{wanted_text} is needed here", [at(expr.span, "not a name")])
            return None


def calls_recipe(expr: ast.Expr, scope: Scope) -> bool:
    """Reports a recipe that is called inside of something else: what it makes would have no name."""
    if not isinstance(expr, ast.Call) or not isinstance(expr.callee, ast.Name):
        return False
    entry = scope.find(expr.callee.id)
    if entry is None or not isinstance(entry.thing, Recipe):
        return False
    name, result = expr.callee.id, entry.thing.declaration.result
    keyword = {"Model": "model", "Eval": "eval"}.get(result.name if result is not None else "", "source")
    scope.findings.add(
        "N107",
        f"a call of the recipe `{name}` is a declaration of its own",
        [at(expr.span, "what it makes needs a name"), at(entry.span, "a recipe")],
        helps=[f"{keyword} r1 = {name}(…)"],
    )
    return True


def _member(base: ast.Expr, name: ast.Name, scope: Scope) -> Thing | None:
    """What a name stands for inside of what `base` names: a stage's role, or a part of a recipe's call."""
    if isinstance(base, ast.Name):
        entry = scope.find(base.id)
        if entry is not None and entry.members is not None:
            return _part(base, name, entry.members, scope)
    stage = thing(base, scope, (core.Stage,), "a stage")
    return _role(stage, name, scope.findings) if isinstance(stage, core.Stage) else None


def _part(base: ast.Name, name: ast.Name, members: Scope, scope: Scope) -> Thing | None:
    entry = members.entries.get(name.id)
    if entry is not None:
        return entry.thing
    if members.may_be_unread(name.id):
        return None
    guess = closest(name.id, members.entries)
    scope.findings.add(
        "N101",
        f"`{base.id}` has no part `{name.id}`",
        [at(name.span, "not known")],
        [f"its parts are {', '.join(f'`{part}`' for part in members.entries)}"] if members.entries else [],
        [f"did you mean `{guess}`?"] if guess else [],
    )
    return None


def _role(stage: core.Stage, name: ast.Name, findings: Findings) -> core.Model | None:
    """``stage.policy``: what a role has become; of a frozen one, the model that it is."""
    if name.id in stage.results:
        return stage.results[name.id]
    bound = next((role for role in stage.roles if role.name == name.id), None)
    if bound is not None:
        return bound.init
    guess = closest(name.id, [role.name for role in stage.roles])
    findings.add(
        "N101",
        f"stage `{stage.name}` has no role `{name.id}`",
        [at(name.span, "not known"), at(stage.span, "the stage")],
        [f"its roles are {', '.join(f'`{role.name}`' for role in stage.roles)}"],
        [f"did you mean `{guess}`?"] if guess else [],
    )
    return None


def whole(stage: core.Stage, expr: ast.Expr, findings: Findings) -> core.Model | None:
    """R315: the model that a stage stands for, where it trains one."""
    if len(stage.learners) == 1:
        return stage.model
    first, second = stage.learners[:2]
    path = dotted(expr)
    findings.add(
        "R315",
        f"`{path}` trains {len(stage.learners)} models: which of them?",
        [at(expr.span, "one model is needed"), at(second.span, "trained too"), at(first.span, "trained here")],
        helps=[f"{path}.{role.name}" for role in stage.learners],
    )
    return None
