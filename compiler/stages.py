"""Stages: who is trained on what, by which objective, for how long, and what it claims."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ptc.compiler import core
from ptc.compiler.arguments import Parameter, listed
from ptc.compiler.evals import Evals
from ptc.compiler.findings import Findings, at
from ptc.compiler.flows import Flows
from ptc.compiler.gates import Gates
from ptc.compiler.graph import Json
from ptc.compiler.models import Models
from ptc.compiler.names import hint, known_elsewhere
from ptc.compiler.objectives import Objectives
from ptc.compiler.optimizers import Optimizers
from ptc.compiler.scope import Entry, Poison, Scope
from ptc.compiler.values import Unknown, constant, count, read
from ptc.lang import ast
from ptc.lang.source import Span
from ptc.lang.suggest import closest

EXAMPLES = {
    "batch": ["batch = 64 samples", "batch = 32 prompts"],
    "budget": ["budget = 2 epochs", "budget = 100 steps"],
    "optimizer": ["optimizer = adamw(lr = 1e-6)"],
    "adamw": ["optimizer = adamw(lr = 1e-6, …)"],
    "sample": ["|> sample(policy, …)"],
}
"""A setting as a program writes it, for those who know it under another name."""

SETTINGS = ("batch", "budget", "optimizer", "max_length", "seed")


@dataclass
class _Draft:
    """A stage while it is read."""

    declaration: ast.Stage
    scope: Scope
    roles: list[core.Role] = field(default_factory=list)
    sources: list[core.Source] = field(default_factory=list)
    terms: list[core.Term] = field(default_factory=list)
    settings: dict[str, ast.Setting] = field(default_factory=dict)
    batches: dict[str, ast.Setting] = field(default_factory=dict)
    gates: list[core.Gate] = field(default_factory=list)
    watches: list[core.Watch] = field(default_factory=list)
    meant: set[str] = field(default_factory=set)
    """Settings that a misspelled one probably meant."""
    sound: bool = True
    readable: bool = True
    """False if a statement of the stage could not be parsed: then nothing is said of what is missing."""

    def lacks(self, setting: str) -> bool:
        """Whether to say that a setting is missing."""
        return self.readable and setting not in self.meant


@dataclass(frozen=True)
class Stages:
    """Elaborates stages."""

    findings: Findings
    flows: Flows
    models: Models
    evals: Evals
    objectives: Objectives
    optimizers: Optimizers

    def stage(self, declaration: ast.Stage, scope: Scope) -> core.Stage | None:
        """The typed stage; None after a report."""
        draft = _Draft(declaration, scope.inner())
        if not self._trains(draft):
            draft.scope.unread |= {name.id for name in _mentioned(declaration)}
        minimized: list[ast.Minimize] = []
        for statement in declaration.body.statements:
            match statement:
                case ast.Role():
                    self._role(draft, statement)
                case ast.Define(keyword="source"):
                    self._source(draft, statement)
                case ast.Minimize():
                    minimized.append(statement)
                case ast.Setting():
                    self._setting(draft, statement)
                case ast.Gate() | ast.Watch() | ast.Allow():
                    pass
                case ast.Unreadable():
                    draft.readable = draft.sound = False
                    for name in statement.names:
                        draft.scope.entries.setdefault(name, _poisoned(statement.span))
                case _:
                    self._misplaced(statement)
        if minimized and self._trains(draft):
            self._minimize(draft, minimized[0].loss, 1.0)
        for statement in minimized[1:]:
            self.findings.add(
                "N102",
                "a stage minimizes one sum",
                [at(statement.span, "a second one"), at(minimized[0].span, "the first one")],
                helps=["minimize first(…) + 0.1 * second(…)"],
            )
        for statement in declaration.body.statements:
            if isinstance(statement, ast.Gate):
                self._gate(draft, statement)
            elif isinstance(statement, ast.Watch):
                self._watch(draft, statement)
        return self._finished(draft, bool(minimized))

    def _trains(self, draft: _Draft) -> bool:
        """Whether a model is trained, or may be in a statement that could not be parsed."""
        roles = (s for s in draft.declaration.body.statements if isinstance(s, ast.Role))
        return not draft.readable or any(role.verb.id == "train" for role in roles)

    # Statements -------------------------------------------------------------------------------------------------------

    def _role(self, draft: _Draft, statement: ast.Role) -> None:
        verb = statement.verb.id
        if verb == "track":
            self.findings.add(
                "N110",
                "`track` is not in this version",
                [at(statement.span, "use `freeze` for a model that stands still")],
            )
        model = self.models.model(statement.value, draft.scope) if verb != "track" else None
        if model is None:
            draft.sound = False
            draft.scope.entries.setdefault(statement.name.id, _poisoned(statement.name.span))
            return
        trained = next((role for role in draft.roles if role.verb == "train"), None)
        if verb == "train" and trained is not None:
            self.findings.add(
                "N110",
                "a stage with two trained models is not in this version",
                [at(statement.span, "trained too"), at(trained.span, "trained here")],
            )
            draft.sound = False
            return
        role = core.Role(
            verb, statement.name.id, model, statement.span, draft.declaration.name.id, statement.value.span
        )
        draft.roles.append(role)
        draft.scope.declare(statement.name, role)

    def _source(self, draft: _Draft, statement: ast.Define) -> None:
        source = self.flows.source(statement.value, draft.scope)
        if source is None:
            draft.sound = False
            draft.scope.entries.setdefault(statement.name.id, _poisoned(statement.name.span))
            return
        named = renamed(source, statement.name.id)
        draft.sources.append(named)
        draft.scope.declare(statement.name, named)

    def _setting(self, draft: _Draft, statement: ast.Setting) -> None:
        name = statement.name
        if name.id not in SETTINGS:
            draft.sound = False
            draft.meant |= self._unknown_setting(name)
            return
        if statement.target is not None and name.id == "batch":
            draft.batches[statement.target.id] = statement
            return
        draft.settings.setdefault(name.id, statement)  # a second one is reported by the parser

    def _unknown_setting(self, name: ast.Name) -> set[str]:
        """Reports a setting that is not there; the settings that it probably meant."""
        from_trl, row = hint(name.id, "stage"), known_elsewhere(name.id, "stage")
        guess = closest(name.id, SETTINGS)
        title = from_trl or f"a stage has no setting `{name.id}`"
        helps = [f"did you mean `{guess}`?"] if guess and not from_trl else []
        if row is not None:
            helps += EXAMPLES.get(row.ours if row.where == "stage" else row.where, [])
        notes = [f"its settings are {', '.join(f'`{word}`' for word in SETTINGS)}"]
        self.findings.add("N105", title, [at(name.span, "not a setting")], notes, helps)
        return {row.ours if row is not None else guess or ""}

    def _misplaced(self, statement: ast.Statement) -> None:
        word = statement.keyword if isinstance(statement, ast.Define) else type(statement).__name__.lower()
        self.findings.add(
            "N107",
            f"`{word}` stands outside stages",
            [at(statement.span, "inside a stage")],
            ["a stage holds roles, sources, `minimize`, settings, gates and `watch`"],
        )

    def _minimize(self, draft: _Draft, expr: ast.Expr, weight: float) -> None:
        """A weighted sum of objectives."""
        match expr:
            case ast.Binary(op="+", left=left, right=right):
                self._minimize(draft, left, weight)
                self._minimize(draft, right, weight)
            case ast.Binary(op="*", left=factor, right=call) if isinstance(call, ast.Call):
                value = constant(factor, draft.scope)
                if isinstance(value, int | float):
                    self._minimize(draft, call, weight * value)
                else:
                    draft.sound = False
            case _:
                term = self.objectives.term(expr, weight, draft.scope, draft.declaration)
                draft.sound &= term is not None
                if term is not None:
                    draft.terms.append(term)

    def _gate(self, draft: _Draft, statement: ast.Gate) -> None:
        gate = Gates(self.findings, self.flows, self.evals).gate(statement, draft.scope)
        draft.sound &= gate is not None
        if gate is not None:
            draft.gates.append(gate)

    def _watch(self, draft: _Draft, statement: ast.Watch) -> None:
        watched = self.evals.named(statement.eval, draft.scope)
        every = core.Count(50, "steps")
        if statement.every is not None:
            read_every = count(statement.every, draft.scope, ("steps",), "`every`", 50)
            if read_every is None:
                draft.sound = False
                return
            every = read_every
        if watched is None:
            draft.sound = False
        else:
            draft.watches.append(core.Watch(watched, every.count, statement.span))

    # The whole --------------------------------------------------------------------------------------------------------

    def _finished(self, draft: _Draft, minimizes: bool) -> core.Stage | None:
        declaration = draft.declaration
        learner = next((role for role in draft.roles if role.verb == "train"), None)
        trains = self._trains(draft)
        if not trains:
            self.findings.add(
                "R308",
                f"stage `{declaration.name.id}` trains nothing",
                [at(declaration.name.span, "no model receives gradient")],
                helps=["train policy = …"],
            )
        if draft.readable and trains and not minimizes:
            self.findings.add(
                "L504",
                f"stage `{declaration.name.id}` minimizes nothing",
                [at(declaration.name.span, "no objective")],
                helps=["minimize sft(demos, policy)"],
            )
        budget = self._budget(draft)
        optimizer = self._optimizer(draft)
        batch = self._batches(draft)
        settings = self._other_settings(draft)
        claims = self._claims(draft, learner)
        if budget is None or optimizer is None or batch is None or settings is None or claims is None:
            return None
        if learner is None or not draft.sound or not draft.terms:
            return None
        kind = core.ModelType(
            learner.type.tokenizer,
            learner.type.context,
            learner.type.parameters,
            (learner.init, *learner.init.type.ancestry),
        )
        name = declaration.name.id
        model = core.Model("train", {}, {"init": learner.init}, kind, declaration.name.span, name)
        stage = core.Stage(
            name,
            tuple(draft.roles),
            tuple(draft.terms),
            batch,
            budget,
            optimizer,
            settings,
            tuple(claims),
            tuple(draft.gates),
            tuple(draft.watches),
            model,
            declaration.name.span,
            places={name: setting.span for name, setting in draft.settings.items()},
        )
        self._fits_together(stage, draft)
        return stage

    def _budget(self, draft: _Draft) -> core.Count | None:
        setting = draft.settings.get("budget")
        if setting is None:
            if draft.lacks("budget"):
                self.findings.add(
                    "L501",
                    f"stage `{draft.declaration.name.id}` has no budget",
                    [at(draft.declaration.name.span, "would never end")],
                    helps=["budget = 2 epochs", "budget = 100 steps"],
                )
            return None
        return count(setting.value, draft.scope, ("steps", "epochs"), "`budget`", 100)

    def _optimizer(self, draft: _Draft) -> dict[str, Json] | None:
        setting = draft.settings.get("optimizer")
        if setting is None:
            if draft.lacks("optimizer"):
                self.findings.add(
                    "N104",
                    f"stage `{draft.declaration.name.id}` has no optimizer",
                    [at(draft.declaration.name.span, "no learning rate")],
                    helps=["optimizer = adamw(lr = 1e-6)"],
                )
            return None
        budget = draft.settings.get("budget")
        return self.optimizers.optimizer(setting.value, budget.value if budget is not None else None, draft.scope)

    def _batches(self, draft: _Draft) -> dict[core.Source, core.Count] | None:
        setting = draft.settings.get("batch")
        common = None
        if setting is not None:
            common = count(setting.value, draft.scope, ("prompts", "samples"), "`batch`", 64)
            if common is None:
                return None
        batches: dict[core.Source, core.Count] = {}
        for term in draft.terms:
            own = draft.batches.get(term.source.name)
            size = common
            if own is not None:
                size = count(own.value, draft.scope, ("prompts", "samples"), "`batch`", 64)
                if size is None:
                    return None
            if size is None:
                self._no_batch(draft)
                return None
            batches[term.source] = size
            self._whole_groups(term.source, size, own or setting)
        if not draft.terms and setting is None and not draft.batches:
            self._no_batch(draft)
        return batches

    def _no_batch(self, draft: _Draft) -> None:
        if not draft.lacks("batch"):
            return
        name = draft.declaration.name
        self.findings.add(
            "L502",
            f"stage `{name.id}` has no batch",
            [at(name.span, "how much does one optimizer step draw?")],
            helps=["batch = 64 samples", "batch = 32 prompts"],
        )

    def _whole_groups(self, source: core.Source, size: core.Count, setting: ast.Setting | None) -> None:
        sampling = source.type.sampling
        if sampling is None or size.unit != "samples" or size.count % sampling.n == 0 or setting is None:
            return
        prompts = max(1, round(size.count / sampling.n))
        sample = next(step for step in source.upstream() if step.kind == "sample")
        self.findings.add(
            "L503",
            f"a batch of {size.count} samples splits groups of {sampling.n}",
            [at(setting.value.span, "not a multiple"), at(sample.span, f"n = {sampling.n}")],
            helps=[f"batch = {prompts} prompts"],
        )

    def _other_settings(self, draft: _Draft) -> dict[str, Json] | None:
        values: dict[str, Json] = {}
        for parameter in (listed("stage", "max_length", "tokens", least=2), Parameter("seed", "int", 0, least=0)):
            setting = draft.settings.get(parameter.name)
            value = parameter.default if setting is None else read(parameter, setting.value, draft.scope)
            if isinstance(value, Unknown):
                return None
            values[parameter.name] = value
        return values

    def _claims(self, draft: _Draft, learner: core.Role | None) -> list[core.Claim] | None:
        claims: list[core.Claim] = []
        sound = True
        for claim in draft.declaration.claims:
            for name in claim.evals:
                found = self.evals.named(name, draft.scope)
                if found is None:
                    sound = False
                    continue
                carrier = None
                if claim.carrier is not None:
                    carrier = self.models.model(claim.carrier, draft.scope)
                    sound &= carrier is not None
                elif claim.role.id == "consolidates":
                    carrier, unambiguous = self._carrier(draft, learner, name)
                    sound &= unambiguous
                stated = claim.carrier is not None
                claims.append(core.Claim(claim.role.id, found, carrier, claim.span, stated))
        return claims if sound else None

    def _carrier(self, draft: _Draft, learner: core.Role | None, place: ast.Name) -> tuple[core.Model | None, bool]:
        """What a consolidation is measured against: the one teacher, else the one model that was sampled from."""
        teachers = [role.init for role in draft.roles if role.verb == "freeze"]
        sampled = [
            source.type.provenance.model
            for term in draft.terms
            for source in term.source.upstream()
            if isinstance(source.type.provenance, core.Fixed)
        ]
        for candidates in (teachers, sampled):
            distinct = list({id(model): model for model in candidates}.values())
            if len(distinct) == 1:
                return distinct[0], True
            if len(distinct) > 1:
                names = " or ".join(f"`{model.name}`" for model in distinct)
                self.findings.add(
                    "R311",
                    f"what does this consolidate: {names}?",
                    [at(place.span, "more than one model could be meant")],
                    helps=[f"consolidates {place.id} from {model.name}" for model in distinct],
                )
                return None, False
        return None, True

    def _fits_together(self, stage: core.Stage, draft: _Draft) -> None:
        used = {id(role) for term in stage.terms for e in term.loss.walk() for role in e.models}
        for term in stage.terms:
            for source in term.source.upstream():
                used.update(id(value) for value in source.inputs.values() if isinstance(value, core.Role))
        for role in stage.roles:
            if role.verb != "train" and id(role) not in used:
                self.findings.add(
                    "R302",
                    f"`{role.name}` is frozen and nothing uses it",
                    [at(role.span, "no objective and no source reads it")],
                    helps=["delete the line"],
                )


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
