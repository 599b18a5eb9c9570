"""What `protect` binds: a protection that binds nothing looks like one that holds."""

from __future__ import annotations

from ptc.compiler import core
from ptc.compiler.checks.view import View, claimed
from ptc.compiler.findings import Findings, at


def check_protects_nothing(view: View, findings: Findings) -> None:
    """N121: no stage claims the eval, or nothing descends from the model that it is protected from."""
    for protect in view.program.protects:
        name = protect.eval.name
        if protect.origin is None and not any(protect.eval in claimed(stage) for stage in view.program.stages):
            stages = [stage.name for stage in view.program.stages]
            findings.add(
                "N121",
                f"`protect {name}` binds nothing: no stage claims `{name}`",
                [at(protect.span, "since which stage?"), at(protect.eval.span, f"`{name}`")],
                helps=[f"protect {name} within {protect.points:g} points from {stages[0] if stages else '…'}"],
            )
        elif protect.origin is not None and not _bound(view, protect.origin):
            findings.add(
                "N121",
                f"`protect {name}` binds nothing: no stage descends from `{protect.origin.name}`",
                [at(protect.span, "from its end on"), at(protect.origin.span, f"`{protect.origin.name}`")],
            )


def _bound(view: View, origin: core.Model) -> bool:
    """Whether a stage learns from a model: by its weights, by its samples, or as a teacher."""
    source = view.lineage.stage_of(origin)
    for stage in view.program.stages:
        if stage is source:
            continue
        if source is not None and source in view.lineage.upstream(stage):
            return True
        if any(view.lineage.is_ancestor(origin, role.init) for role in stage.roles):
            return True
    return False
