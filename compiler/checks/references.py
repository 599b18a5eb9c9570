"""Checks of the roles in a stage: what a learner is held to, and what it learns from."""

from __future__ import annotations

from ptc.compiler import core
from ptc.compiler.checks.view import View, anchors, name_of, same_weights, teachers
from ptc.compiler.findings import Findings, at
from ptc.compiler.losses import contexts


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
        [f"freeze {role.name} = {learner.init.name or '…'}"],
        severity="warning",
    )


def _strange_reference(role: core.Role, learner: core.Role, findings: Findings) -> None:
    findings.add(
        "R304",
        f"`{role.name}` is no relative of what `{learner.name}` starts from",
        [at(role.span, name_of(role.init)), at(learner.span, f"starts from {name_of(learner.init)}")],
        ["a reference says where the policy came from; the loss would pull it towards a stranger"],
        [f"freeze {role.name} = {learner.init.name or '…'}"],
    )


def check_zero_signal_teacher(view: View, findings: Findings) -> None:
    """R307: a teacher equal to its student, in the same context, gives no signal."""
    for stage in view.program.stages:
        for role in teachers(stage):
            if role.verb == "freeze" and same_weights(role.init, stage.learner.init) and not _privileged(stage, role):
                findings.add(
                    "R307",
                    f"`{role.name}` and `{stage.learner.name}` start from the same weights",
                    [at(role.span, "the same model"), at(stage.learner.span, "the same model")],
                    ["the loss is 0 and its gradient too at the first step: there is nothing to learn"],
                    ["freeze teacher = another_model"],
                )


def _privileged(stage: core.Stage, teacher: core.Role) -> bool:
    """Whether the teacher reads something that the student does not."""
    terms = [term for term in stage.terms if any(teacher in part.models for part in term.loss.walk())]
    return all(contexts(term.loss, teacher) != contexts(term.loss, stage.learner) for term in terms)
