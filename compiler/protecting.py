"""What each stage must keep: `protect skill within 2 points from reasoner`, stage by stage.

A protection binds every stage that descends from the model by weights, by samples or by a teacher. Without `from` it
begins with the stage that first claims the eval on each line.
"""

from __future__ import annotations

from collections.abc import Iterator

from ptc.compiler import core
from ptc.compiler.lineage import Lineage


def bound(program: core.Program, stage: core.Stage, lineage: Lineage) -> Iterator[tuple[core.Protect, core.Model]]:
    """The protections that a stage has to keep, with the model that each is counted from."""
    if stage.model.type.head != "language":
        return
    for protect in program.protects:
        origin = protect.origin or _first_claimed(protect.eval, stage, lineage)
        if origin is not None and _descends(stage, origin, lineage):
            yield protect, origin


def _first_claimed(measured: core.Eval, stage: core.Stage, lineage: Lineage) -> core.Model | None:
    """The result of the first stage that claims the eval: on the line of weights, else of all that it learns from."""
    for line in (lineage.before(stage), lineage.upstream(stage)):
        claimants = [each for each in line if any(claim.eval is measured for claim in each.claims)]
        if claimants:
            return claimants[-1].model
    return None


def _descends(stage: core.Stage, origin: core.Model, lineage: Lineage) -> bool:
    made_in = lineage.stage_of(origin)
    if made_in is stage:
        return False
    by_samples_or_teacher = made_in is not None and made_in in lineage.upstream(stage)
    return by_samples_or_teacher or any(lineage.is_ancestor(origin, role.init) for role in stage.roles)
