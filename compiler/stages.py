"""Stages: who is trained on what, by which objective, for how long, and what it claims."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ptc.compiler import core
from ptc.compiler.anneal import read_number
from ptc.compiler.arguments import Parameter
from ptc.compiler.claims import Claims
from ptc.compiler.constants import fixed
from ptc.compiler.drafts import Draft
from ptc.compiler.evals import Evals
from ptc.compiler.findings import Findings, at
from ptc.compiler.flows import Flows
from ptc.compiler.gates import Gates
from ptc.compiler.guards import Guards
from ptc.compiler.objectives import Objectives
from ptc.compiler.roles import Roles, results
from ptc.compiler.scope import Constant, Entry, Poison, Scope
from ptc.compiler.settings import Settings, Settled
from ptc.compiler.values import Unknown, count
from ptc.lang import ast
from ptc.lang.source import Span

WATCH_EVERY = core.Count(50, "steps")


@dataclass(frozen=True)
class Stages:
    """Elaborates stages."""

    findings: Findings
    flows: Flows
    evals: Evals
    objectives: Objectives
    roles: Roles
    settings: Settings
    claims: Claims

    def stage(self, declaration: ast.Stage, scope: Scope) -> core.Stage | None:
        """The typed stage; None after a report."""
        draft = Draft(declaration, scope.inner(), scope.path_of(declaration.name.id))
        if not draft.trains:
            draft.scope.unread |= {name.id for name in _mentioned(declaration)}
        minimized = [each for each in declaration.body.statements if isinstance(each, ast.Minimize)]
        for statement in declaration.body.statements:
            self._statement(draft, statement)
        if minimized and draft.trains:
            self._minimize(draft, minimized[0].loss, 1.0, None)
        for statement in minimized[1:]:
            self.findings.add(
                "N102",
                "a stage minimizes one sum",
                [at(statement.span, "a second one"), at(minimized[0].span, "the first one")],
                helps=["minimize first(…) + 0.1 * second(…)"],
            )
        for statement in declaration.body.statements:
            if isinstance(statement, ast.Gate) and statement.keyword.id != "guard":
                self._gate(draft, statement)
            elif isinstance(statement, ast.Watch):
                self._watch(draft, statement)
        for statement in declaration.body.statements:
            if isinstance(statement, ast.Gate) and statement.keyword.id == "guard":
                self._guard(draft, statement)
        return self._finished(draft, bool(minimized))

    # Statements -------------------------------------------------------------------------------------------------------

    def _statement(self, draft: Draft, statement: ast.Statement) -> None:
        """What a statement adds to the draft; the sum, gates and watches come when all names are known."""
        match statement:
            case ast.Role():
                self.roles.role(draft, statement)
            case ast.Define(keyword="source"):
                self._source(draft, statement)
            case ast.Define(keyword="let"):
                self._let(draft, statement)
            case ast.Setting():
                self.settings.add(draft, statement)
            case ast.Minimize() | ast.Gate() | ast.Watch() | ast.Allow():
                pass
            case ast.Unreadable():
                draft.readable = draft.sound = False
                for name in statement.names:
                    draft.scope.entries.setdefault(name, _poisoned(statement.span))
            case _:
                self._misplaced(statement)

    def _source(self, draft: Draft, statement: ast.Define) -> None:
        source = self.flows.source(statement.value, draft.scope)
        if source is None:
            draft.sound = False
            draft.scope.entries.setdefault(statement.name.id, _poisoned(statement.name.span))
            return
        named = renamed(source, statement.name.id)
        draft.sources.append(named)
        draft.scope.declare(statement.name, named)

    def _let(self, draft: Draft, statement: ast.Define) -> None:
        value = fixed(statement.value, draft.scope)
        if isinstance(value, Unknown):
            draft.sound = False
            draft.scope.entries.setdefault(statement.name.id, _poisoned(statement.name.span))
            return
        draft.scope.declare(statement.name, Constant(value))

    def _misplaced(self, statement: ast.Statement) -> None:
        word = statement.keyword if isinstance(statement, ast.Define) else type(statement).__name__.lower()
        self.findings.add(
            "N107",
            f"`{word}` stands outside stages",
            [at(statement.span, "inside a stage")],
            ["a stage holds roles, sources, `let`, `minimize`, settings, gates and `watch`"],
        )

    def _minimize(self, draft: Draft, expr: ast.Expr, weight: float | core.Anneal, place: Span | None) -> None:
        """A weighted sum of objectives; `place` is where the weight is written."""
        match expr:
            case ast.Binary(op="+", left=left, right=right):
                self._minimize(draft, left, weight, place)
                self._minimize(draft, right, weight, place)
            case ast.Binary(op="*", left=left, right=right):
                factor, rest = (right, left) if _is_loss(left) and not _is_loss(right) else (left, right)
                value = read_number(Parameter("weight", "real"), factor, draft.scope)
                product = None if isinstance(value, Unknown) or value is None else _product(weight, value)
                if product is not None:
                    self._minimize(draft, rest, product, factor.span)
                    return
                draft.sound = False
                if isinstance(value, core.Anneal):
                    self.findings.add(
                        "T105",
                        "a weight is annealed once",
                        [at(factor.span, "a second course")],
                        helps=["anneal(0.9, 0.05, over = 200 steps) * sft(demos, policy)"],
                    )
            case _:
                term = self.objectives.term(expr, 1.0, draft.scope, draft.declaration)
                draft.sound &= term is not None
                if term is not None:
                    places = {**term.places, "weight": place} if place is not None else term.places
                    draft.terms.append(replace(term, weight=weight, places=places))

    def _gate(self, draft: Draft, statement: ast.Gate) -> None:
        gate = Gates(self.findings, self.flows, self.evals).gate(statement, draft.scope)
        draft.sound &= gate is not None
        if gate is not None:
            draft.gates.append(gate)

    def _guard(self, draft: Draft, statement: ast.Gate) -> None:
        guard = Guards(self.findings, self.evals, draft.terms, draft.watches).guard(statement, draft.scope)
        draft.sound &= guard is not None
        if guard is not None:
            draft.guards.append(guard)

    def _watch(self, draft: Draft, statement: ast.Watch) -> None:
        watched = self.evals.named(statement.eval, draft.scope)
        every: core.Count | None = WATCH_EVERY
        if statement.every is not None:
            every = count(statement.every, draft.scope, ("steps",), "`every`", 50)
        if watched is None or every is None:
            draft.sound = False
        elif every.count < 1:
            draft.sound = False
            place = statement.every.span if statement.every is not None else statement.span
            self.findings.add("U204", "`every` must be at least 1 step", [at(place, "would never be done")])
        else:
            draft.watches.append(core.Watch(watched, every.count, statement.span))

    # The whole --------------------------------------------------------------------------------------------------------

    def _finished(self, draft: Draft, minimizes: bool) -> core.Stage | None:
        self._something_to_do(draft, minimizes)
        settled = self.settings.settled(draft)
        claims = self.claims.claims(draft)
        if settled is None or claims is None:
            return None
        if not draft.trained or not draft.sound or not draft.terms:
            return None
        stage = _stage(draft, settled, claims)
        self._nothing_idle(stage)
        return stage

    def _something_to_do(self, draft: Draft, minimizes: bool) -> None:
        name = draft.declaration.name
        if not draft.trains:
            self.findings.add(
                "R308",
                f"stage `{draft.name}` trains nothing",
                [at(name.span, "no model receives gradient")],
                helps=["train policy = …"],
            )
        if draft.readable and draft.trains and not minimizes:
            self.findings.add(
                "L504",
                f"stage `{draft.name}` minimizes nothing",
                [at(name.span, "no objective")],
                helps=["minimize sft(demos, policy)"],
            )

    def _nothing_idle(self, stage: core.Stage) -> None:
        """R302: a role that nothing in the stage reads. What is tracked may be wanted for itself, afterwards."""
        used = {id(role) for role in _used(stage)}
        for role in stage.roles:
            if id(role) in used or role.verb == "track" or stage.learners == (role,):
                continue
            word = {"train": "trained, and no objective trains it", "freeze": "frozen and nothing uses it"}[role.verb]
            self.findings.add(
                "R302",
                f"`{role.name}` is {word}",
                [at(role.span, "no objective and no source reads it")],
                helps=["delete the line"],
            )


def _stage(draft: Draft, settled: Settled, claims: list[core.Claim]) -> core.Stage:
    made = results(draft)
    return core.Stage(
        draft.name,
        tuple(draft.roles),
        tuple(draft.terms),
        settled.batch,
        settled.budget,
        settled.optimizer.settings,
        settled.others,
        tuple(claims),
        tuple(draft.gates),
        tuple(draft.watches),
        made[draft.learner.name],
        draft.declaration.name.span,
        results=made,
        optimizers={name: each.settings for name, each in settled.optimizers.items()},
        rollout=settled.rollout,
        passes=settled.passes,
        guards=tuple(draft.guards),
        places={**settled.places, **{name: setting.span for name, setting in draft.settings.items()}},
    )


def _used(stage: core.Stage) -> Iterator[core.Role]:
    """The roles that a loss, a source, a judge or another role reads."""
    for term in stage.terms:
        for part in term.loss.walk():
            yield from part.models
        for source in term.sources.values() or (term.source,):
            for step in source.upstream():
                yield from (value for value in step.inputs.values() if isinstance(value, core.Role))
                yield from (scorer.model for scorer in step.type.scorers if isinstance(scorer.model, core.Role))


def _is_loss(expr: ast.Expr) -> bool:
    """Whether an expression holds the call of an objective."""
    match expr:
        case ast.Binary(left=left, right=right):
            return _is_loss(left) or _is_loss(right)
        case ast.Call(callee=ast.Name(id=name)):
            return name != "anneal"
        case _:
            return False


def _product(one: float | core.Anneal, other: float | core.Anneal) -> float | core.Anneal | None:
    """The product of two weights; None if both are annealed."""
    if isinstance(other, core.Anneal):
        one, other = other, one
    if isinstance(other, core.Anneal):
        return None
    if isinstance(one, core.Anneal):
        return core.Anneal(one.start * other, one.end * other, one.over)
    return one * other


def renamed(source: core.Source, name: str) -> core.Source:
    """The source under a name: a source that has one already keeps its node, and the name is a second one for it."""
    return replace(source, name=name)


def _mentioned(declaration: ast.Stage) -> Iterator[ast.Name]:
    """The names that a stage hands to its objectives."""
    for statement in declaration.body.statements:
        if isinstance(statement, ast.Minimize) and isinstance(statement.loss, ast.Call):
            yield from (a.value for a in statement.loss.arguments if isinstance(a.value, ast.Name))


def _poisoned(span: Span) -> Entry:
    return Entry(Poison(), span)
