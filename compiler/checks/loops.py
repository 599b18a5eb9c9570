"""Checks of pipelines that feed on themselves: own samples, own judgement, a judge that has been left behind."""

from __future__ import annotations

from ptc.compiler import core
from ptc.compiler.checks.view import View, name_of, same_weights
from ptc.compiler.findings import Findings, at
from ptc.compiler.lineage import sources


def _rows(stage: core.Stage) -> tuple[core.Source, ...]:
    return tuple(source for term in stage.terms for source in sources(term))


def check_self_train_closed_loop(view: View, findings: Findings) -> None:
    """C611: stage after stage on nothing but the unscored samples of the stage before (model collapse)."""
    closed = {stage for stage in view.program.stages if _feeds_on_itself(stage)}
    for stage in view.program.stages:
        before = view.lineage.stage_of(stage.learner.init)
        if stage not in closed or before not in closed or before is None:
            continue
        root = view.lineage.roots(stage.learner.init)[0]
        findings.add(
            "C611",
            f"`{stage.name}` and `{before.name}` learn from nothing but themselves",
            [
                at(stage.terms[0].source.span, f"samples of {name_of(stage.learner.init)}, unscored"),
                at(stage.learner.span, "starts from the same model"),
                at(before.span, "did the same before"),
            ],
            ["each round loses a part of what is rare, and nothing brings it back"],
            [f"train {stage.learner.name} = {root.name or 'base'}", "|> score(exact) |> keep(.reward == 1)"],
        )


def _feeds_on_itself(stage: core.Stage) -> bool:
    """Whether all that a stage learns from was written by what it starts from, and nobody has chosen among it."""
    return all(
        isinstance(source.type.provenance, core.Fixed)
        and same_weights(source.type.provenance.model, stage.learner.init)
        and not source.type.scorers
        and not source.type.kept
        and "reward" not in source.type.columns
        for source in _rows(stage)
    )
