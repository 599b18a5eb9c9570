"""Checks of claims: what nothing in a stage could produce, and what is unlikely.

A role is relative to a prompt distribution and is tested by measurement. Statically it is weighed in three strengths:
an error where nothing in the stage could produce the claim, a warning where the literature says it is unlikely, and
silence everywhere else. Provenance, signal and lineage decide; no name of a method does.
"""

from __future__ import annotations

from collections.abc import Iterator

from ptc.compiler import core
from ptc.compiler.checks.view import View, is_own, name_of, same_weights, teachers
from ptc.compiler.findings import Findings, at
from ptc.compiler.lineage import authors, bare, on_policy, sources
from ptc.compiler.losses import explores

READING = ("pass_rate", "win_rate", "bits_per_character", "reward")
"""Evals of a text that the model writes or reads: a model with another head writes none."""


def claims(view: View, *roles: str) -> Iterator[tuple[core.Stage, core.Claim]]:
    for stage in view.program.stages:
        for claim in stage.claims:
            if claim.role in roles:
                yield stage, claim


def learned_from(stage: core.Stage) -> tuple[core.Source, ...]:
    """The sources of a stage, each once."""
    return tuple(dict.fromkeys(source for term in stage.terms for source in sources(term)))


# Expanding and reshaping ----------------------------------------------------------------------------------------------


def check_role_claim_unsupported(view: View, findings: Findings) -> None:
    """R305: `expands` from the learner's own samples alone (support of RLVR within that of its base, 2507.14843)."""
    for stage, claim in claims(view, "expands"):
        rows = learned_from(stage)
        if imitates_itself(stage) or not all(_own_samples(view, source, stage.learner) for source in rows):
            continue
        if any(source.type.guidance for source in rows) or any(explores(term) for term in stage.terms):
            continue
        if any(not view.lineage.is_ancestor(teacher.init, stage.learner.init) for teacher in teachers(stage)):
            continue
        findings.add(
            "R305",
            f"`expands {claim.eval.name}` from the learner's own samples alone",
            [at(claim.span, "claims that new prompts become solvable"), at(rows[0].span, "its own samples")],
            ["rewards choose among what the model already does; nothing here shows it something new"],
            [f"reshapes {claim.eval.name}"],
        )


def _own_samples(view: View, source: core.Source, learner: core.Role) -> bool:
    return is_own(view, source.type.provenance, learner) and not source.type.open


def check_imitates_itself(view: View, findings: Findings) -> None:
    """R316: a claim on imitating one's own samples as they come, which changes nothing in expectation."""
    for stage, claim in claims(view, "expands", "reshapes"):
        if imitates_itself(stage):
            source = learned_from(stage)[0]
            findings.add(
                "R316",
                f"`{claim.role} {claim.eval.name}` by imitating the learner's own samples as they come",
                [at(claim.span, "claims a change"), at(source.span, "drawn at temperature 1, whole, unscored")],
                ["the gradient of its own likelihood on its own samples is 0 in expectation: nothing would change"],
                [f"|> score({_verifier(claim.eval)}) |> keep(.reward == 1)", "sample(…, temperature = 0.7)"],
            )


def _verifier(one: core.Eval) -> str:
    """What judges at an eval, to be judged by while learning as well."""
    return next((scorer.name for scorer in one.scorers if scorer.kind in ("verifier", "extern")), "exact")


def imitates_itself(stage: core.Stage) -> bool:
    """Whether everything a stage does is to imitate samples of its own weights, unchanged and unchosen."""
    return not teachers(stage) and all(
        not on_policy(term) and not term.anchors and _unchosen(source, stage.learner)
        for term in stage.terms
        for source in sources(term)
    )


def _unchosen(source: core.Source, learner: core.Role) -> bool:
    kind = source.type
    match kind.provenance:
        case core.Fixed(model=model):
            own = same_weights(model, learner.init)
        case core.Live(role=role):
            own = role is learner
        case _:
            own = False
    plain = kind.sampling is not None and kind.sampling.temperature == 1 and not kind.sampling.truncated
    return own and plain and not (kind.kept or kind.scorers or kind.guidance or "reward" in kind.columns)


def check_nothing_to_reshape(view: View, findings: Findings) -> None:
    """R309: `reshapes` from weights that have learned nothing."""
    for stage, claim in claims(view, "reshapes"):
        if bare(stage.learner.init).kind == "new_model":
            findings.add(
                "R309",
                f"`reshapes {claim.eval.name}` from an untrained model, which has nothing to reshape",
                [
                    at(claim.span, "claims a better choice among what is reachable"),
                    at(stage.learner.span, "random weights"),
                ],
                helps=[f"expands {claim.eval.name}", f"train {stage.learner.name} = cold_start"],
            )


# Consolidating --------------------------------------------------------------------------------------------------------


def check_consolidates_nothing(view: View, findings: Findings) -> None:
    """R306: `consolidates` with nothing that carries what is to be kept."""
    for stage, claim in claims(view, "consolidates"):
        if claim.stated or _carried(view, stage, claim.eval):
            continue
        without_record = next(_samples_without_record(view, stage, claim.eval), None)
        if without_record is not None:
            _no_record(stage, claim, *without_record, findings)
            continue
        findings.add(
            "R306",
            f"`consolidates {claim.eval.name}`, and nothing carries what is to be kept",
            [
                at(claim.span, "keeps what?"),
                at(stage.learner.span, "no teacher, no anchor, no replay, no samples of another model"),
            ],
            ["consolidation keeps a behaviour that some model, or its samples, brings into the stage"],
            ["freeze teacher = …", f"consolidates {claim.eval.name} from …"],
        )


def _no_record(
    stage: core.Stage, claim: core.Claim, source: core.Source, model: core.Model, findings: Findings
) -> None:
    name = claim.eval.name
    findings.add(
        "R306",
        f"`consolidates {name}` with samples of {name_of(model)}, of which `{name}` says nothing",
        [
            at(claim.span, f"keeps what was reached on `{name}`"),
            at(source.span, f"samples of {name_of(model)}"),
            at(model.span, f"`{name}` is neither claimed nor reported here"),
        ],
        ["what nobody has measured cannot be shown to have been kept"],
        [f"report {name}", f"consolidates {name} from {model.name or '…'}"],
    )


def _carried(view: View, stage: core.Stage, measured: core.Eval) -> bool:
    """Whether a teacher, an anchor, a merge, a replay, a stated author or the samples of a model carry a behaviour."""
    if teachers(stage) or any(term.anchors for term in stage.terms) or bare(stage.learner.init).kind == "merge":
        return True
    for source in learned_from(stage):
        if any(step.type.replayed for step in source.upstream()):
            return True
        for author in authors(source.type.provenance):
            if isinstance(author, core.External) and author.by is not None:
                return True
            if isinstance(author, core.Fixed) and _on_record(view, author.model, measured):
                return True
    return False


def _on_record(view: View, model: core.Model, measured: core.Eval) -> bool:
    """Whether an eval is claimed of, or reported for, a model of this program; of others nothing is known."""
    stage = view.lineage.stage_of(model)
    return stage is None or measured in view.program.reports or any(claim.eval is measured for claim in stage.claims)


def _samples_without_record(
    view: View, stage: core.Stage, measured: core.Eval
) -> Iterator[tuple[core.Source, core.Model]]:
    for source in learned_from(stage):
        for author in authors(source.type.provenance):
            if isinstance(author, core.Fixed) and not _on_record(view, author.model, measured):
                yield source, author.model


# What can be measured at all ------------------------------------------------------------------------------------------


def check_unreadable_claim(view: View, findings: Findings) -> None:
    """R317: a claim on an eval that reads a text, of a model that writes none."""
    for stage, claim in claims(view, "expands", "reshapes", "consolidates"):
        head = stage.learner.type.head
        if head != "language" and claim.eval.kind in READING:
            findings.add(
                "R317",
                f"`{claim.eval.name}` reads texts, and `{stage.learner.name}` writes numbers",
                [
                    at(claim.span, f"measured with `{claim.eval.name}`"),
                    at(stage.learner.span, f"a model with a {head} head: one number, no text"),
                    at(claim.eval.span, "judges what a model writes"),
                ],
                ["nothing this stage could do would move the eval"],
                [f"leave the claim out:  stage {stage.name} {{"],
            )
