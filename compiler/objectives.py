"""Objectives at work: what a call such as `grpo(rollouts, policy)` is given, against what its signature asks for.

The signature says which columns the source must have, who must have generated it and how fresh it must be, and what
each model is: `Trained` receives gradient, `Anchor` is what the learner is held to, `Frozen` is any model that stands
still. No method name decides anything here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ptc.compiler import core, mathematics
from ptc.compiler.arguments import Bound, Parameter, Signature, bind
from ptc.compiler.findings import Findings, at
from ptc.compiler.flows import Flows
from ptc.compiler.meaning import same_tokenizer
from ptc.compiler.scope import Objective, Scope
from ptc.compiler.values import read
from ptc.lang import ast
from ptc.lang.source import Span

MODEL_TYPES = ("Trained", "Anchor", "Frozen")


@dataclass(frozen=True)
class Call:
    """An objective's call: the places that its diagnostics point at."""

    objective: Objective
    bound: Bound
    span: Span

    def place(self, parameter: str) -> Span:
        given = self.bound.given.get(parameter)
        return given.span if given is not None else self.span


def signature_of(objective: Objective) -> Signature:
    """How an objective may be called."""
    parameters = []
    for parameter in objective.declaration.parameters:
        default: object = ...
        if parameter.default is not None:
            default = None if isinstance(parameter.default, ast.Name) else parameter.default
        kind = "real" if parameter.type.name == "Real" else parameter.type.name
        parameters.append(Parameter(parameter.name.id, kind, default))
    return Signature(objective.name, tuple(parameters))


@dataclass(frozen=True)
class Objectives:
    """Elaborates calls of objectives inside a stage."""

    findings: Findings
    flows: Flows

    def term(self, expr: ast.Expr, weight: float, scope: Scope, stage: ast.Stage) -> core.Term | None:
        """One summand of `minimize`; None after a report."""
        if not isinstance(expr, ast.Call) or not isinstance(expr.callee, ast.Name):
            if not isinstance(expr, ast.Missing):
                self.findings.add(
                    "N107",
                    "`minimize` takes objectives",
                    [at(expr.span, "not a call of an objective")],
                    helps=["minimize sft(demos, policy)"],
                )
            return None
        objective = scope.look_up(expr.callee, (Objective,), "an objective")
        if not isinstance(objective, Objective):
            return None
        signature = signature_of(objective)
        call = Call(objective, bind(signature, expr.arguments, expr.span, self.findings), expr.span)
        sources, models, numbers, sound = self._arguments(call, scope)
        if not sound or not call.bound.whole:
            return None
        return self._elaborated(call, weight, sources, models, numbers, scope, stage)

    def _arguments(
        self, call: Call, scope: Scope
    ) -> tuple[dict[str, core.Source], dict[str, core.Role | None], dict[str, float], bool]:
        sources: dict[str, core.Source] = {}
        models: dict[str, core.Role | None] = {}
        numbers: dict[str, float] = {}
        sound = True
        for parameter in call.objective.declaration.parameters:
            name, given = parameter.name.id, call.bound.given.get(parameter.name.id)
            if parameter.type.name in MODEL_TYPES:
                role = self._model(given, scope) if given is not None else None
                models[name] = role
                sound &= role is not None or given is None or _is_none(given)
            elif parameter.type.name == "Real":
                expr = given if given is not None else parameter.default
                value = read(Parameter(name, "real"), expr, scope) if expr is not None else None
                sound &= isinstance(value, float)
                numbers[name] = value if isinstance(value, float) else 0.0
            elif given is not None:
                source = self.flows.source(given, scope)
                sound &= source is not None
                if source is not None:
                    sources[name] = source
        return sources, models, numbers, sound

    def _model(self, given: ast.Expr, scope: Scope) -> core.Role | None:
        if not isinstance(given, ast.Name):
            self.findings.add("N107", "a model role is needed here", [at(given.span, "not the name of a role")])
            return None
        if _is_none(given):
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

    def _elaborated(
        self,
        call: Call,
        weight: float,
        sources: Mapping[str, core.Source],
        models: Mapping[str, core.Role | None],
        numbers: Mapping[str, float],
        scope: Scope,
        stage: ast.Stage,
    ) -> core.Term | None:
        if not self._roles_fit(call, models):
            return None
        if len(sources) != 1:
            self.findings.add(
                "N110", "an objective over several sources is not in this version", [at(call.span, "more than one")]
            )
            return None
        declared = next(p for p in call.objective.declaration.parameters if p.name.id in sources)
        source = sources[declared.name.id]
        if not self._source_fits(call, declared, source, models):
            return None
        if not self._preconditions(call, models):
            return None
        columns = tuple(column.name.id for column in declared.type.columns or ())
        bindings = mathematics.Bindings(source, columns, models, numbers)
        try:
            loss = mathematics.elaborate(call.objective.declaration, bindings)
        except mathematics.Problem as problem:
            self._in_objective(call, problem)
            return None
        except mathematics.MissingModel as missing:
            self._missing_reference(call, missing.name, stage)
            return None
        if not self._transform_fits(call, declared, source, loss):
            return None
        anchors = tuple(
            role
            for parameter in call.objective.declaration.parameters
            if parameter.type.name == "Anchor" and (role := models.get(parameter.name.id)) is not None
        )
        return core.Term(
            call.objective.name,
            weight,
            source,
            loss,
            call.span,
            anchors,
            sources=dict(sources),
            roles={name: role for name, role in models.items() if role is not None},
            numbers=dict(numbers),
            places=dict(call.bound.spans),
            wanted=_wanted(call),
            on_policy=_on_policy(call),
        )

    # Models -----------------------------------------------------------------------------------------------------------

    def _roles_fit(self, call: Call, models: Mapping[str, core.Role | None]) -> bool:
        fits = True
        for parameter in call.objective.declaration.parameters:
            role = models.get(parameter.name.id)
            if role is None:
                continue
            name, wanted = parameter.name.id, parameter.type.name
            if wanted == "Trained" and role.verb != "train":
                fits = False
                self.findings.add(
                    "R310",
                    f"`{call.objective.name}` trains its `{name}`, and `{role.name}` is frozen",
                    [at(call.place(name), "receives gradient"), at(role.span, "frozen here")],
                    helps=[f"train {role.name} = {role.init.name or '…'}"],
                )
            elif wanted in ("Anchor", "Frozen") and role.verb == "train":
                fits = False
                word = "reference" if wanted == "Anchor" else name
                self.findings.add(
                    "R303",
                    f"the {word} of `{call.objective.name}` must stand still, and `{role.name}` is trained",
                    [at(call.place(name), "moves with every step"), at(role.span, "trained here")],
                    ["the loss could fall without the policy getting better"],
                    [f"freeze {name} = {role.init.name or '…'}"],
                )
        return fits

    def _missing_reference(self, call: Call, name: str, stage: ast.Stage) -> None:
        train = next((s for s in stage.body.statements if isinstance(s, ast.Role) and s.verb.id == "train"), None)
        labels = [at(call.span, f"needs `{name}`")]
        init = "…"
        if train is not None:
            labels.append(at(train.span, "what is trained"))
            init = train.value.id if isinstance(train.value, ast.Name) else "…"
        self.findings.add(
            "R301",
            f"`{call.objective.name}` needs a {name} here",
            labels,
            ["a term that is not zero compares the policy with it"],
            [f"freeze {name} = {init}", f"{call.objective.name}(…, {name} = {name})"],
        )

    # The source -------------------------------------------------------------------------------------------------------

    def _source_fits(
        self, call: Call, declared: ast.Parameter, source: core.Source, models: Mapping[str, core.Role | None]
    ) -> bool:
        by = declared.type.by
        if by is not None and not self._generated_by(call, declared, source, models.get(by.id)):
            return False
        wanted = [column.name.id for column in declared.type.columns or ()]
        group_size = source.type.sampling.n if source.type.sampling else None
        if "group" in wanted and group_size is not None and group_size < 2:
            sample = next(step for step in source.upstream() if step.kind == "sample")
            self.findings.add(
                "T102",
                f"`{call.objective.name}` compares the attempts of a group, and each group has one",
                [at(sample.span, "one attempt per prompt"), at(call.place(declared.name.id), "needs at least two")],
                ["the advantage of a single attempt against itself is always 0: nothing would be learned"],
                ["sample(…, n = 8)"],
            )
            return False
        missing = [column for column in wanted if not source.type.has(column)]
        if missing:
            self._missing_columns(call, declared, source, missing)
        return not missing

    def _missing_columns(self, call: Call, declared: ast.Parameter, source: core.Source, missing: list[str]) -> None:
        wanted = ", ".join(column.name.id for column in declared.type.columns or ())
        listed = " and ".join(f"`{column}`" for column in missing)
        remedies = {
            "reward": "|> score(exact)",
            "response": "|> respond(.answer)",
            "group": "|> sample(policy, n = 8)",
            "logprobs": "|> sample(policy, n = 8)",
            "chosen": "pairs need a chosen and a rejected response",
        }
        helps = [remedies[column] for column in missing if column in remedies]
        self.findings.add(
            "T101",
            f"`{call.objective.name}` needs {listed}, which these rows do not have",
            [at(call.place(declared.name.id), "given here"), at(source.span, "the rows come from here")],
            [f"wanted: Trajectories{{{wanted}}}", f"   has: Trajectories{{{', '.join(source.type.columns)}}}"],
            list(dict.fromkeys(helps)),
        )

    def _generated_by(
        self, call: Call, declared: ast.Parameter, source: core.Source, learner: core.Role | None
    ) -> bool:
        """P201 and P202: rollouts must be live, of the learner, and fresh enough."""
        provenance, place = source.type.provenance, call.place(declared.name.id)
        within = declared.type.within
        bound = int(within.value) if within is not None else 0
        if learner is None:
            return True
        if not isinstance(provenance, core.Live) or provenance.role is not learner:
            if provenance is None and source.type.open:
                return True
            self._false_on_policy(call, place, source, learner)
            return False
        if provenance.lag > bound:
            sample = next(step for step in source.upstream() if step.kind == "sample")
            self.findings.add(
                "P202",
                f"these rollouts may be {provenance.lag} steps old, "
                f"and `{call.objective.name}` learns from {bound} at most",
                [at(place, f"within {bound} steps"), at(sample.span, f"up to {provenance.lag} steps old")],
                helps=[f"max_lag = {bound} steps"],
            )
            return False
        return True

    def _false_on_policy(self, call: Call, place: Span, source: core.Source, learner: core.Role) -> None:
        name = call.objective.name
        labels = [at(learner.span, f"this stage trains `{learner.name}`")]
        provenance, notes = source.type.provenance, []
        helps: list[str] = []
        if isinstance(provenance, core.Fixed):
            sample = next(step for step in source.upstream() if step.kind == "sample")
            labels.append(at(sample.span, "generated here, with weights that never change"))
            who = f"these rollouts are by `{provenance.model.name or 'another model'}`"
            if provenance.model is learner.init:
                notes.append("the two weights are equal at step 0 and drift apart from step 1 on")
            n = source.type.sampling.n if source.type.sampling else 8
            helps.append(f"sample from the role instead:  |> sample({learner.name}, n = {max(n, 2)})")
            helps.append(f"or, to imitate these samples:  minimize sft({source.name or 'rows'}, {learner.name})")
        elif isinstance(provenance, core.Live):
            who = f"these rollouts are by `{provenance.role.name}`"
            helps.append(f"|> sample({learner.name}, n = 8)")
        else:
            who = "nobody has sampled from these prompts" if provenance is None else "these are by others"
            if isinstance(provenance, core.External):
                who = "no model of this program has sampled these"
            labels.append(at(source.span, "the rows come from here"))
            helps.append(f"|> sample({learner.name}, n = 8, max_tokens = 64)")
        self.findings.add(
            "P201",
            f"`{name}` must learn from rollouts of the policy it trains",
            [at(place, who), *labels],
            notes,
            helps,
        )

    def _transform_fits(self, call: Call, declared: ast.Parameter, source: core.Source, loss: core.Expression) -> bool:
        """P203: a ratio needs both log-probabilities under one distribution."""
        sampling = source.type.sampling
        uses = {str(e.fields["name"]) for e in loss.walk() if e.op == "column"}
        if sampling is None or "logprobs" not in uses:
            return True
        temperatures = {float(e.fields["temperature"]) for e in loss.walk() if e.op == "logp"}
        sample = next(step for step in source.upstream() if step.kind == "sample")
        if sampling.truncated:
            self.findings.add(
                "P203",
                "the sampler cuts the distribution that the ratio assumes to be whole",
                [
                    at(sample.span, f"top_p = {sampling.top_p:g}, top_k = {sampling.top_k}"),
                    at(call.span, "forms a ratio with the log-probabilities of the sampler"),
                ],
                helps=["top_p = 1.0, top_k = 0"],
            )
            return False
        if sampling.temperature == 0:
            self.findings.add(
                "P203",
                "greedy samples have no log-probabilities to form a ratio with",
                [at(sample.span, "temperature 0"), at(call.span, "forms a ratio")],
                helps=["temperature = 1.0"],
            )
            return False
        if sampling.temperature not in temperatures:
            self.findings.add(
                "P203",
                "the ratio compares log-probabilities at two temperatures",
                [at(sample.span, f"sampled at {sampling.temperature:g}"), at(call.span, "taken at 1 in the loss")],
                helps=["temperature = 1.0", "logp(policy, .response, like = .logprobs)"],
            )
            return False
        return True

    # Preconditions and the objective's own text -----------------------------------------------------------------------

    def _preconditions(self, call: Call, models: Mapping[str, core.Role | None]) -> bool:
        """``where tokenizer(teacher) == tokenizer(student)``."""
        for statement in call.objective.declaration.body.statements:
            if not isinstance(statement, ast.Where) or not isinstance(statement.condition, ast.Binary):
                continue
            names = [_tokenizer_of(side) for side in (statement.condition.left, statement.condition.right)]
            roles = [models.get(name) for name in names if name]
            if len(roles) == 2 and not self._same_tokenizer(call, names, roles):
                return False
        return True

    def _same_tokenizer(self, call: Call, names: list[str | None], roles: list[core.Role | None]) -> bool:
        first, second = roles
        if first is None or second is None or same_tokenizer(first.type.tokenizer, second.type.tokenizer) is not False:
            return True
        self.findings.add(
            "D401",
            f"`{first.name}` and `{second.name}` do not share a tokenizer",
            [
                at(call.place(names[0] or ""), f"`{call.objective.name}` compares the two token by token"),
                at(first.span, f"`{first.name}` is bound here"),
                at(second.span, f"`{second.name}` is bound here"),
            ],
            ["a token of the one means something else to the other"],
            [
                f"tokenizer = tokenizer({first.init.name or first.name})",
                f"or learn from its text instead:  minimize sft(…, {second.name})",
            ],
        )
        return False

    def _in_objective(self, call: Call, problem: mathematics.Problem) -> None:
        labels = [at(problem.span, problem.label)]
        if not _inside(problem.span, call.span):
            labels.append(at(call.span, f"`{call.objective.name}` is used here"))
        self.findings.add(problem.code, problem.title, labels, problem.notes, problem.helps)


def _wanted(call: Call) -> dict[str, tuple[str, ...]]:
    """The columns that the signature names, by the parameter of the source."""
    return {
        parameter.name.id: tuple(column.name.id for column in parameter.type.columns)
        for parameter in call.objective.declaration.parameters
        if parameter.type.columns is not None
    }


def _on_policy(call: Call) -> dict[str, int]:
    """The lag in steps that the signature bears, by the parameter of each source that it wants `by` a trained role."""
    return {
        parameter.name.id: int(parameter.type.within.value) if parameter.type.within is not None else 0
        for parameter in call.objective.declaration.parameters
        if parameter.type.by is not None
    }


def _inside(inner: Span, outer: Span) -> bool:
    return inner.text is outer.text and outer.start <= inner.start and inner.end <= outer.end


def _is_none(expr: ast.Expr) -> bool:
    return isinstance(expr, ast.Name) and expr.id == "none"


def _tokenizer_of(expr: ast.Expr) -> str | None:
    """``tokenizer(teacher)`` → ``teacher``."""
    match expr:
        case ast.Call(callee=ast.Name(id="tokenizer"), arguments=(ast.Argument(value=ast.Name(id=name)),)):
            return name
        case _:
            return None
