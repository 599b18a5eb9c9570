"""P201 and P202: who must have generated the rows of an objective, and how fresh they must be."""

from __future__ import annotations

from dataclasses import dataclass

from ptc.compiler import core
from ptc.compiler.findings import Findings, at
from ptc.compiler.objectives.call import Call, Given
from ptc.compiler.objectives.columns import sampled
from ptc.lang.diagnostic import Label
from ptc.lang.source import Span


def bound_of(call: Call, parameter: str) -> int | None:
    """The lag that the signature bears, in steps; None where it does not say who generates."""
    kind = call.types[parameter]
    if kind.by is None:
        return None
    return int(kind.within.value) if kind.within is not None else 0


@dataclass(frozen=True)
class Provenance:
    """Checks that rollouts come from whom an objective's signature says, and as fresh."""

    findings: Findings

    def fit(self, call: Call, parameter: str, given: Given) -> bool:
        """Whether rollouts are live, of the learner, and fresh enough."""
        by, bound = call.types[parameter].by, bound_of(call, parameter)
        learner = given.models.get(by.id) if by is not None else None
        if learner is None or bound is None:
            return True
        source, place = given.sources[parameter], call.place(parameter)
        provenance = source.type.provenance
        if not isinstance(provenance, core.Live) or provenance.role is not learner:
            if provenance is None and source.type.open:
                return True
            self._false_on_policy(call, place, source, learner)
            return False
        if provenance.lag > bound:
            self._too_stale(call, place, source, provenance.lag, bound)
            return False
        return True

    def _too_stale(self, call: Call, place: Span, source: core.Source, lag: int, bound: int) -> None:
        sample = sampled(source)
        late = sample.places.get("max_lag", sample.span)
        replay = next((step for step in source.upstream() if step.kind == "replay"), None)
        if replay is not None:
            late = replay.places.get("window", replay.span)
        self.findings.add(
            "P202",
            f"these rollouts may be {lag} steps old, and `{call.name}` learns from {bound} at most",
            [at(place, f"within {bound} steps"), at(late, f"up to {lag} steps old")],
            helps=[f"max_lag = {bound} steps" if replay is None else f"window = {bound} steps"],
        )

    def _false_on_policy(self, call: Call, place: Span, source: core.Source, learner: core.Role) -> None:
        who, labels, notes, helps = _explained(call, source, learner)
        self.findings.add(
            "P201",
            f"`{call.name}` must learn from rollouts of the policy it trains",
            [at(place, who), at(learner.span, f"this stage trains `{learner.name}`"), *labels],
            notes,
            helps,
        )


def _explained(call: Call, source: core.Source, learner: core.Role) -> tuple[str, list[Label], list[str], list[str]]:
    """Whose the rows are, where they come from, why that is not the same, and what to do."""
    match source.type.provenance:
        case core.Fixed(model):
            same = model is learner.init
            n = source.type.sampling.n if source.type.sampling else 8
            return (
                f"these rollouts are by `{model.name or 'another model'}`",
                [at(sampled(source).span, "generated here, with weights that never change")],
                ["the two weights are equal at step 0 and drift apart from step 1 on"] if same else [],
                [
                    f"sample from the role instead:  |> sample({learner.name}, n = {max(n, 2)})",
                    f"or, to imitate these samples:  minimize sft({source.name or 'rows'}, {learner.name})",
                ],
            )
        case core.Live(role):
            return f"these rollouts are by `{role.name}`", [], [], [f"|> sample({learner.name}, n = 8)"]
        case core.Mixed(parts):
            return _mixed(call, source, learner, parts)
        case provenance:
            who = "nobody has sampled from these prompts"
            if provenance is not None:
                who = "no model of this program has sampled these"
            return (
                who,
                [at(source.span, "the rows come from here")],
                [],
                [f"|> sample({learner.name}, n = 8, max_tokens = 64)"],
            )


def _mixed(
    call: Call, source: core.Source, learner: core.Role, parts: tuple[core.Provenance, ...]
) -> tuple[str, list[Label], list[str], list[str]]:
    own = any(isinstance(part, core.Live) and part.role is learner for part in parts)
    return (
        "partly by others" if own else "by several others",
        [at(source.span, "joined here")],
        ["what others wrote has no log-probabilities of the policy's to form a ratio with"],
        [
            f"give each part its own objective:  minimize {call.name}(rollouts, {learner.name}) + "
            f"sft(demos, {learner.name})",
            f"or an objective that takes them as an argument of their own:  luffy(rollouts, traces, {learner.name})",
        ],
    )
