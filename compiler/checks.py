"""Checks of the whole program: what no single declaration shows.

Each check is one function over the core; `check` is the list of them. None looks at a method's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ptc.compiler import core
from ptc.compiler.findings import Findings, at
from ptc.compiler.graph import canonical
from ptc.compiler.meaning import Meanings, interval


def check(program: core.Program, findings: Findings) -> None:
    """Everything that only shows in the whole."""
    for stage in program.stages:
        check_reference_lineage(stage, findings)
        check_teacher_has_something_to_teach(stage, findings)
        check_claims(program, stage, findings)
        check_context(stage, findings)
    check_eval_in_training(program, findings)
    check_split_by_seed(program, findings)
    check_twins(program, findings)
    check_something_runs(program, findings)


# Evals ----------------------------------------------------------------------------------------------------------------


def training_sources(program: core.Program) -> Iterator[tuple[core.Stage, core.Source]]:
    """Every source that reaches a `minimize`, teacher's prompts and models sampled from included."""
    for stage in program.stages:
        for term in stage.terms:
            yield stage, term.source


def judged_evals(program: core.Program) -> dict[core.Eval, object]:
    """Evals on which something depends, and the place that says so."""
    judged: dict[core.Eval, object] = {}
    for stage in program.stages:
        for claim in stage.claims:
            judged.setdefault(claim.eval, claim)
        for gate in stage.gates:
            if isinstance(gate.subject, core.Eval):
                judged.setdefault(gate.subject, gate)
    for reported in program.reports:
        judged.setdefault(reported, reported)
    return judged


def check_eval_in_training(program: core.Program, findings: Findings) -> None:
    """P204: prompts of a judged eval also reach a `minimize`."""
    for measured in judged_evals(program):
        for stage, source in training_sources(program):
            shared = _shared(source, measured.source)
            if shared is not None:
                trained, held = shared
                findings.add(
                    "P204",
                    f"prompts of the eval `{measured.name}` are trained on in stage `{stage.name}`",
                    [
                        at(source.span, "trained on"),
                        at(measured.span, f"`{measured.name}` measures on the same prompts"),
                    ],
                    [
                        f"trained on {trained.low:.0%} to {trained.high:.0%} of the prompts, "
                        f"measured on {held.low:.0%} to {held.high:.0%}"
                    ],
                    ["give each its own share:  tasks |> slice(0%, 80%)  and  tasks |> slice(80%, 90%)"],
                )


@dataclass(frozen=True)
class Strand:
    """Where a part of a source's prompts comes from: the node that brought the rows in, the step that made prompts of
    them, and the shares of the prompts' hash between which they lie."""

    origin: core.Source
    prompted: core.Source
    low: float
    high: float

    def overlaps(self, other: Strand) -> bool:
        """Whether both may hold the same prompt. Slices keep them apart only behind one step that made the prompts."""
        if _meaning(self.origin) != _meaning(other.origin):
            return False
        if _meaning(self.prompted) != _meaning(other.prompted):
            return True
        return self.low < other.high and other.low < self.high


def strands(source: core.Source) -> tuple[Strand, ...]:
    """The strands of a source: one, or those of all the sources that were joined."""
    below = [value for value in source.inputs.values() if isinstance(value, core.Source)]
    if not below:
        return (Strand(source, source, 0.0, 1.0),)
    found = tuple(strand for rows in below for strand in strands(rows))
    match source.kind:
        case "prompts":
            return tuple(Strand(strand.origin, source, 0.0, 1.0) for strand in found)
        case "slice":
            low, high = interval(source)
            cut = (replace(strand, low=max(low, strand.low), high=min(high, strand.high)) for strand in found)
            return tuple(strand for strand in cut if strand.low < strand.high)
        case _:
            return found


def _shared(first: core.Source, second: core.Source) -> tuple[Strand, Strand] | None:
    """Two strands that may hold the same prompt, if there are any."""
    pairs = ((one, other) for one in strands(first) for other in strands(second))
    return next(((one, other) for one, other in pairs if one.overlaps(other)), None)


def _meaning(source: core.Source) -> str:
    return Meanings(0).of(source)


def check_split_by_seed(program: core.Program, findings: Findings) -> None:
    """P205: a generator's rows under two seeds are not two disjoint sets."""
    for measured in judged_evals(program):
        for held, other in _origins(measured.source, program):
            same = held.kind == other.kind == "gym" and _without_seed(other) == _without_seed(held)
            if same and other.settings["seed"] != held.settings["seed"]:
                findings.add(
                    "P205",
                    "two seeds of one generator do not make disjoint sets",
                    [
                        at(held.span, f"`{measured.name}` is drawn with seed {held.settings['seed']}"),
                        at(other.span, f"training rows are drawn with seed {other.settings['seed']}"),
                    ],
                    ["row i of one seed can be row i-1 of the next"],
                    ["draw once and slice:  tasks |> slice(80%, 90%)"],
                )


def _origins(measured: core.Source, program: core.Program) -> Iterator[tuple[core.Source, core.Source]]:
    """What an eval's rows come from, with everything that rows to learn from come from."""
    for _, source in training_sources(program):
        for strand in strands(source):
            yield from ((held.origin, strand.origin) for held in strands(measured))


def _without_seed(source: core.Source) -> str:
    return canonical({key: value for key, value in source.settings.items() if key not in ("seed", "size")})


# Models ---------------------------------------------------------------------------------------------------------------


def check_reference_lineage(stage: core.Stage, findings: Findings) -> None:
    """R304: the anchor of a learner is what the learner starts from, or at least related to it."""
    init = stage.learner.init
    family = (init, *init.type.ancestry)
    for role in _anchors(stage):
        if role.init is init or role.init in family:
            if role.init is not init:
                findings.add(
                    "R312",
                    f"`{role.name}` is an ancestor of what `{stage.learner.name}` starts from",
                    [at(role.span, f"`{role.init.name}`"), at(stage.learner.span, f"starts from `{init.name}`")],
                    ["the divergence is not 0 at the first step, and pulls back towards the older model"],
                    [f"freeze {role.name} = {init.name}"],
                )
            continue
        findings.add(
            "R304",
            f"`{role.name}` is no relative of what `{stage.learner.name}` starts from",
            [at(role.span, f"`{role.init.name}`"), at(stage.learner.span, f"starts from `{init.name}`")],
            ["a reference says where the policy came from; the loss would pull it towards a stranger"],
            [f"freeze {role.name} = {init.name}"],
        )


def _anchors(stage: core.Stage) -> list[core.Role]:
    """The references of a stage, each once."""
    return list(dict.fromkeys(anchor for term in stage.terms for anchor in term.anchors))


def check_teacher_has_something_to_teach(stage: core.Stage, findings: Findings) -> None:
    """R307: a teacher equal to its student gives no signal."""
    anchors = _anchors(stage)
    compared = dict.fromkeys(role for term in stage.terms for part in term.loss.walk() for role in part.models)
    for role in compared:
        if role.verb == "freeze" and role not in anchors and role.init is stage.learner.init:
            findings.add(
                "R307",
                f"`{role.name}` and `{stage.learner.name}` start from the same weights",
                [at(role.span, "the same model"), at(stage.learner.span, "the same model")],
                ["the loss is 0 and its gradient too at the first step: there is nothing to learn"],
                ["freeze teacher = another_model"],
            )


def check_context(stage: core.Stage, findings: Findings) -> None:
    """L507: completions longer than the model's context."""
    for term in stage.terms:
        sampling, context = term.source.type.sampling, stage.learner.type.context
        if sampling is None or context is None or sampling.max_tokens < context:
            continue
        sample = next(step for step in term.source.upstream() if step.kind == "sample")
        findings.add(
            "L507",
            f"{sampling.max_tokens:,} new tokens do not fit a context of {context:,}",
            [at(sample.span, f"max_tokens = {sampling.max_tokens}"), at(stage.learner.span, f"context {context}")],
            helps=[f"max_tokens = {max(1, context // 2)}"],
        )


# Claims ---------------------------------------------------------------------------------------------------------------


def check_claims(program: core.Program, stage: core.Stage, findings: Findings) -> None:
    """R305, R306, R309: claims that nothing in the stage could produce, or that are unlikely."""
    for claim in stage.claims:
        match claim.role:
            case "expands":
                _check_expands(stage, claim, findings)
            case "reshapes":
                _check_reshapes(stage, claim, findings)
            case _:
                _check_consolidates(program, stage, claim, findings)


def _check_expands(stage: core.Stage, claim: core.Claim, findings: Findings) -> None:
    own = [_is_own(term.source.type.provenance, stage.learner) and not term.source.type.open for term in stage.terms]
    if all(own):
        term = stage.terms[0]
        findings.add(
            "R305",
            f"`expands {claim.eval.name}` from the learner's own samples alone",
            [at(claim.span, "claims that new prompts become solvable"), at(term.source.span, "its own samples")],
            ["rewards choose among what the model already does; nothing here shows it something new"],
            [f"reshapes {claim.eval.name}"],
        )


def _is_own(provenance: core.Provenance | None, learner: core.Role) -> bool:
    match provenance:
        case core.Live(role=role):
            return role is learner
        case core.Fixed(model=model):
            return model is learner.init or model in learner.init.type.ancestry
        case core.Mixed(parts=parts):
            return all(_is_own(part, learner) for part in parts)
        case _:
            return False


def _check_reshapes(stage: core.Stage, claim: core.Claim, findings: Findings) -> None:
    if stage.learner.init.kind == "new_model":
        findings.add(
            "R309",
            f"`reshapes {claim.eval.name}` from an untrained model, which has nothing to reshape",
            [
                at(claim.span, "claims a better choice among what is reachable"),
                at(stage.learner.span, "random weights"),
            ],
            helps=[f"expands {claim.eval.name}", "train policy = cold_start"],
        )


def _check_consolidates(program: core.Program, stage: core.Stage, claim: core.Claim, findings: Findings) -> None:
    if claim.carrier is not None or _has_external_traces(stage):
        return
    findings.add(
        "R306",
        f"`consolidates {claim.eval.name}`, and nothing carries what is to be kept",
        [at(claim.span, "keeps what?"), at(stage.learner.span, "no teacher, no anchor, no samples of another model")],
        ["consolidation keeps a behaviour that some model, or its samples, brings into the stage"],
        ["freeze teacher = …", f"consolidates {claim.eval.name} from …"],
    )


def _has_external_traces(stage: core.Stage) -> bool:
    return any(isinstance(term.source.type.provenance, core.Mixed) for term in stage.terms)


# The whole ------------------------------------------------------------------------------------------------------------


def check_twins(program: core.Program, findings: Findings) -> None:
    """N111: two models under two names that are one node."""
    meanings = Meanings(program.seed)
    seen: dict[str, core.Model] = {}
    for model in program.models:
        if model.kind == "train":
            continue
        first = seen.setdefault(meanings.of(model), model)
        if first is not model and first.name != model.name:
            findings.add(
                "N111",
                f"`{first.name}` and `{model.name}` are one model",
                [at(model.span, "says the same"), at(first.span, "as this")],
                helps=["seed = 2"],
            )


def check_something_runs(program: core.Program, findings: Findings) -> None:
    """L506: a program that trains and measures nothing."""
    if not program.stages and not program.exports and program.sources and not findings.found:
        findings.add("L506", "this program has no stage: nothing would run", [at(program.sources[0].span, "only data")])
