"""Checks of the roles in a stage: what a learner is held to, and what it learns from."""

from __future__ import annotations

from ptc.compiler import core
from ptc.compiler.checks.view import View, anchors, name_of, read, same_weights, taught_by, written
from ptc.compiler.findings import Findings, at
from ptc.compiler.lineage import DRESSED, bare, parents
from ptc.compiler.losses import contexts, forms_ratio, has_kl
from ptc.lang.source import Span


def check_reference_lineage(view: View, findings: Findings) -> None:
    """R304: what a learner is held to is what it starts from, a declared reset or average of it, or an ancestor."""
    for stage in view.program.stages:
        learner = stage.learner
        for role in anchors(stage):
            if role.tracking is not None or same_weights(role.init, learner.init):
                continue
            if view.lineage.is_ancestor(role.init, learner.init):
                _older_reference(role, learner, findings)
            else:
                _strange_reference(role, learner, findings)


def _older_reference(role: core.Role, learner: core.Role, findings: Findings) -> None:
    findings.add(
        "R304",
        f"`{role.name}` is an ancestor of what `{learner.name}` starts from",
        [at(role.span, name_of(role.init)), at(learner.span, f"starts from {name_of(learner.init)}")],
        ["the divergence is not 0 at the first step, and pulls back towards the older model"],
        [f"freeze {role.name} = {written(learner.init)}"],
        severity="warning",
    )


def _strange_reference(role: core.Role, learner: core.Role, findings: Findings) -> None:
    findings.add(
        "R304",
        f"nothing in the program says that `{learner.name}` comes from `{role.name}`",
        [at(role.span, name_of(role.init)), at(learner.span, f"starts from {name_of(learner.init)}")],
        ["a reference says where the policy came from; the loss would pull it towards a stranger"],
        [f"freeze {role.name} = {written(learner.init)}"],
    )


def check_zero_signal_teacher(view: View, findings: Findings) -> None:
    """R307: a teacher equal to its student, in the same context, gives no signal."""
    for stage in view.program.stages:
        for term in stage.terms:
            roles = taught_by(term)
            if roles and all(_is_student(term, role, stage.learner) for role in roles):
                findings.add(
                    "R307",
                    f"`{roles[0].name}` and `{stage.learner.name}` start from the same weights",
                    [at(roles[0].span, "the same model"), at(stage.learner.span, "the same model")],
                    ["the loss is 0 and its gradient too at the first step: there is nothing to learn"],
                    ["freeze teacher = another_model"],
                )


def _is_student(term: core.Term, teacher: core.Role, student: core.Role) -> bool:
    """Whether a teacher is its student at the first step: the same weights that read the same."""
    same = teacher.verb == "freeze" and same_weights(teacher.init, student.init)
    return same and contexts(term.loss, teacher) == contexts(term.loss, student)


def check_adapter_reference(view: View, findings: Findings) -> None:
    """R313: a reference taken as "the learner with its adapter off", where another adapter lies beneath."""
    for stage in view.program.stages:
        learner = stage.learner
        if learner.type.adapter is None:
            continue
        for role in anchors(stage):
            if (
                role.tracking is None
                and role.type.adapter is not None
                and view.lineage.is_ancestor(role.init, learner.init)
            ):
                name = role.init.name or "…"
                findings.add(
                    "R313",
                    f"`{role.name}` is {name_of(role.init)} with an adapter that is still apart",
                    [
                        at(role.span, "without the learner's adapter this would be the model beneath both"),
                        at(learner.span, "trained through an adapter on the same weights"),
                    ],
                    ["a reference is read by taking the adapter off: an earlier one, left unmerged, goes with it"],
                    [f"model merged = merge_adapter({name})", f"freeze {role.name} = merged"],
                )


def check_reference_cache_stale(view: View, findings: Findings) -> None:
    """R314: log-probabilities of a reference that are computed once, while the reference moves."""
    for stage in view.program.stages:
        if not stage.settings.get("precompute"):
            continue
        for role in read(stage):
            if role.verb == "track":
                findings.add(
                    "R314",
                    f"`{role.name}` moves, and what it says is computed once",
                    [
                        at(stage.places.get("precompute", stage.span), "before the first step"),
                        at(role.span, "follows the learner"),
                    ],
                    ["from the first move on, the loss would compare with a model that is no longer there"],
                    ["precompute = false"],
                )


def check_dropout_in_ratio(view: View, findings: Findings) -> None:
    """R318: dropout makes two log-probabilities of the same weights differ, and a ratio takes that for learning."""
    for stage in view.program.stages:
        share, where = _dropout(stage)
        compared = next((term for term in stage.terms if forms_ratio(term) or has_kl(term)), None)
        if share and compared is not None:
            findings.add(
                "R318",
                f"dropout of {share:g} in a loss that compares log-probabilities",
                [at(where, "drawn anew in every forward pass"), at(compared.span, "forms a ratio or a margin")],
                ["the same weights give another probability each time: the first ratio is not 1, the margin not 0"],
                ["dropout = 0"],
            )


def _dropout(stage: core.Stage) -> tuple[float, Span]:
    """The share of units that are dropped while the stage trains, and where that is said."""
    learner = stage.learner
    adapter = dict(learner.type.adapter or ()).get("dropout") or 0
    if adapter:
        return float(adapter), learner.init.places.get("dropout", learner.span)
    stated = stage.settings.get("dropout")
    share = stated if stated is not None else bare(learner.init).type.dropout
    return float(share or 0), stage.places.get("dropout", learner.span)


def check_template_drift(view: View, findings: Findings) -> None:
    """D404: a stage that speaks another chat template than the stages before it have learned."""
    for stage in view.program.stages:
        model = stage.learner.init
        while model.kind in DRESSED:
            (below,) = parents(model)
            earlier = view.lineage.stage_of(below)
            known = below.type.template
            if model.kind == "retemplate" and earlier is not None and known not in (None, model.type.template):
                findings.add(
                    "D404",
                    f"`{stage.name}` speaks another chat template than `{earlier.name}` has learned",
                    [
                        at(model.places.get("template", model.span), "another template from here on"),
                        at(earlier.span, "learned under the one before"),
                    ],
                    ["what was learned is bound to the words between the turns: under others much of it is gone"],
                    [f"train {stage.learner.name} = {below.name or '…'}"],
                )
            model = below
