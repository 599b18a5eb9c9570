"""Checks of what is measured: that nothing has learned from it, chosen by it, or been helped at it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ptc.compiler import core
from ptc.compiler.checks.view import View
from ptc.compiler.domains import Strand
from ptc.compiler.findings import Findings, at
from ptc.compiler.graph import canonical
from ptc.compiler.lineage import sources
from ptc.lang.diagnostic import Severity
from ptc.lang.source import Span


def judged(view: View) -> Mapping[core.Eval, tuple[core.Stage, ...]]:
    """Evals on which something depends, and the stages whose results they decide or describe."""
    found: dict[core.Eval, dict[core.Stage, None]] = {}
    for stage in view.program.stages:
        for claim in stage.claims:
            found.setdefault(claim.eval, {})[stage] = None
        for gate in stage.gates:
            if isinstance(gate.subject, core.Eval):
                found.setdefault(gate.subject, {})[stage] = None
    for one in (*view.program.reports, *(protect.eval for protect in view.program.protects)):
        found.setdefault(one, {}).update((stage, None) for stage in view.published)
    return {one: tuple(stages) for one, stages in found.items()}


def watched_only(view: View) -> Mapping[core.Eval, tuple[core.Stage, ...]]:
    """Evals that somebody looks at while training, and on which nothing depends."""
    known = judged(view)
    found: dict[core.Eval, tuple[core.Stage, ...]] = {}
    for stage in view.program.stages:
        for watch in stage.watches:
            if watch.eval not in known:
                found[watch.eval] = (*found.get(watch.eval, ()), stage)
    return found


Reached = dict[Strand, list[tuple[core.Stage, core.Source]]]
"""Strands of prompts, with the stages and the sources that they reach."""


def training(view: View) -> dict[str, Reached]:
    """Every strand of prompts that reaches a `minimize`, by its origin."""
    found: dict[str, Reached] = {}
    for stage in view.program.stages:
        for source in dict.fromkeys(source for term in stage.terms for source in sources(term)):
            for strand in view.domains.of(source):
                found.setdefault(strand.origin, {}).setdefault(strand, []).append((stage, source))
    return found


def check_eval_in_training(view: View, findings: Findings) -> None:
    """P204: prompts of a judged eval also reach a `minimize` that the judged model depends on."""
    trained = training(view)
    for one, stages in judged(view).items():
        for stage, source, shared in _leaks(view, trained, one, stages):
            _report_leak(one, stage, source, shared, findings)


def note_watched_eval_in_training(view: View, findings: Findings) -> None:
    """P204 as a note: an eval that is only watched may look at training prompts, as Tülu 3 and OLMo 3 do."""
    trained = training(view)
    for one, stages in watched_only(view).items():
        for stage, source, shared in _leaks(view, trained, one, stages):
            _report_leak(one, stage, source, shared, findings, "note")


def _leaks(
    view: View,
    trained: Mapping[str, Reached],
    one: core.Eval,
    stages: Iterable[core.Stage],
) -> Iterator[tuple[core.Stage, core.Source, tuple[Strand, Strand]]]:
    """The stages and sources through which prompts of an eval reach what it measures, each once."""
    held = view.domains.of(one.source)
    shared = {
        strand: (other, reached)
        for other in held
        for strand, reached in trained.get(other.origin, {}).items()
        if strand.overlaps(other)
    }
    if not shared:
        return
    depends = {behind for stage in stages for behind in (stage, *view.lineage.upstream(stage))}
    told: set[tuple[core.Stage, core.Source]] = set()
    for strand, (other, reached) in shared.items():
        for stage, source in reached:
            if stage in depends and (stage, source) not in told:
                told.add((stage, source))
                yield stage, source, (strand, other)


def _report_leak(
    one: core.Eval,
    stage: core.Stage,
    source: core.Source,
    shared: tuple[Strand, Strand],
    findings: Findings,
    severity: Severity | None = None,
) -> None:
    trained, held = shared
    rows = _common(one, source)
    findings.add(
        "P204",
        f"prompts of the eval `{one.name}` are trained on in stage `{stage.name}`",
        [at(source.span, "trained on"), at(one.span, f"`{one.name}` measures on the same prompts")],
        [f"trained on {_share(trained)} of the prompts, measured on {_share(held)}"],
        [
            *([f"|> without({one.name})"] if _before(one, source) else []),
            f"give each its own share:  {rows} |> slice(0%, 80%)  and  {rows} |> slice(80%, 90%)",
        ],
        severity=severity,
    )


def _common(one: core.Eval, source: core.Source) -> str:
    """What the program calls the rows that both are made of."""
    trained = set(source.upstream())
    return next((each.name for each in one.source.upstream() if each.name and each in trained), "tasks")


def _before(one: core.Eval, source: core.Source) -> bool:
    """Whether a source may name an eval: names are declared before they are used."""
    return one.span.text is source.span.text and one.span.start < source.span.start


def _share(strand: Strand) -> str:
    """``80% to 100%``, of the prompts as they were made last."""
    low, high = strand.interval(strand.prompted)
    return f"{low:.0%} to {high:.0%}"


def check_split_by_seed(view: View, findings: Findings) -> None:
    """P205: a generator's rows under two seeds are not two disjoint sets. Said once of each eval."""
    drawn: dict[str, dict[object, core.Source]] = {}
    for strand in (strand for reached in training(view).values() for strand in reached):
        if strand.source.kind == "gym":
            drawn.setdefault(_without_seed(strand.source), {}).setdefault(strand.source.settings["seed"], strand.source)
    for one in judged(view):
        for held in (strand.source for strand in view.domains.of(one.source) if strand.source.kind == "gym"):
            seeds = drawn.get(_without_seed(held), {})
            other = next((source for seed, source in seeds.items() if seed != held.settings["seed"]), None)
            if other is not None:
                findings.add(
                    "P205",
                    "two seeds of one generator do not make disjoint sets",
                    [
                        at(held.span, f"`{one.name}` is drawn with seed {held.settings['seed']}"),
                        at(other.span, f"training rows are drawn with seed {other.settings['seed']}"),
                    ],
                    ["row i of one seed can be row i-1 of the next"],
                    ["draw once and slice:  tasks |> slice(80%, 90%)"],
                )
                break


def _without_seed(source: core.Source) -> str:
    return canonical({key: value for key, value in source.settings.items() if key not in ("seed", "size")})


# What chooses -------------------------------------------------------------------------------------------------------


def check_selection_on_report(view: View, findings: Findings) -> None:
    """V702: what is reported also chooses: the best checkpoint (an error), or whether to go on (a warning)."""
    for reported in dict.fromkeys(view.program.reports):
        for model, source in _chosen_checkpoints(view):
            if view.domains.shared(reported.source, source):
                findings.add(
                    "V702",
                    f"`{reported.name}` is reported, and its rows choose the checkpoint",
                    [at(reported.span, "reported"), at(model.span, "the best of its checkpoints on the same rows")],
                    ["the best of many noisy measurements is better than the truth: report on other rows"],
                    _three_shares(reported),
                )
        for stage in view.published:
            for gate in stage.gates:
                if isinstance(gate.subject, core.Eval) and view.domains.shared(reported.source, gate.subject.source):
                    findings.add(
                        "V702",
                        f"`{reported.name}` is reported, and its rows decide whether `{stage.name}` goes on",
                        [at(reported.span, "reported"), at(gate.span, "decides")],
                        ["only results that passed are published: what is reported is a little too good"],
                        _three_shares(reported),
                        severity="warning",
                    )


def _chosen_checkpoints(view: View) -> Iterator[tuple[core.Model, core.Source]]:
    """Models that are the best of a stage's checkpoints, with the prompts on which they are."""
    named = [role.init for stage in view.program.stages for role in stage.roles]
    named += [*view.program.models, *(export.model for export in view.program.exports)]
    for model in dict.fromkeys(one for start in named for one in view.lineage.ancestors(start)):
        prompts = model.inputs.get("prompts")
        if model.kind == "checkpoint" and isinstance(prompts, core.Source):
            yield model, prompts


def _three_shares(reported: core.Eval) -> list[str]:
    """Code that gives choosing and reporting rows of their own."""
    name = next((step.name for step in reversed(list(reported.source.upstream())) if step.name), "tasks")
    return [f"source for_gates = {name} |> slice(80%, 90%)", f"source for_report = {name} |> slice(90%, 100%)"]


# What helps -----------------------------------------------------------------------------------------------------------


def check_scaffold_at_eval(view: View, findings: Findings) -> None:
    """V701: a result that is told with help, and never without (survey, Table 2)."""
    known = judged(view)
    consolidated = {claim.eval for s in view.program.stages for claim in s.claims if claim.role == "consolidates"}
    for one in known:
        if not _helped(one) or (one not in view.guarded and one not in consolidated):
            continue
        if any(not _helped(other) and _twins(view, one, other) for other in known):
            continue
        place, how = _help(one)
        findings.add(
            "V701",
            f"`{one.name}` measures with help, and nothing measures without",
            [at(one.span, "what the model reaches with it"), at(place, how)],
            ["what a model cannot do alone it has not learned"],
            [f"eval {one.name}_alone = {one.kind}({_plain(one)}, …)", f"report {one.name}, {one.name}_alone"],
        )


def _plain(one: core.Eval) -> str:
    """The name of an eval's prompts before any help."""
    steps = (step for step in one.source.upstream() if not step.type.guidance)
    return next((step.name for step in steps if step.name), "held_out")


def _helped(one: core.Eval) -> bool:
    return one.scaffold is not None or bool(one.source.type.guidance)


def _help(one: core.Eval) -> tuple[Span, str]:
    if one.scaffold is not None:
        return one.places.get("scaffold", one.span), f"helped by {one.scaffold}"
    guidance = one.source.type.guidance[0]
    return guidance.span, f"a {guidance.kind} in the prompt"


def _twins(view: View, one: core.Eval, other: core.Eval) -> bool:
    """Whether two evals judge the same prompts alike."""
    same = view.domains.of(one.source) == view.domains.of(other.source)
    return same and [s.document for s in one.scorers] == [s.document for s in other.scorers]
