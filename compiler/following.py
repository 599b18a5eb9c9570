"""What is measured so that nothing is lost unseen: an eval that was claimed once, at the end of all that comes after.

A stage whose claim holds brings something; whether later stages keep it is what the ledger of an eval says
(`docs/evidence.md`). So a claimed eval is measured where the first stage that claims it begins, and again at the exit
of every stage that descends from a claimant by weights, by samples or by a teacher.
"""

from __future__ import annotations

from collections.abc import Iterator

from ptc.compiler import core
from ptc.compiler.lineage import Lineage


def followed(stage: core.Stage, lineage: Lineage) -> Iterator[core.Eval]:
    """The evals that stages upstream claim and a stage does not claim itself, each once."""
    if stage.model.type.head != "language":
        return
    upstream = (claim.eval for each in reversed(lineage.upstream(stage)) for claim in each.claims)
    own = {id(claim.eval) for claim in stage.claims}
    yield from (eval_ for eval_ in dict.fromkeys(upstream) if id(eval_) not in own)


def begun(stage: core.Stage, lineage: Lineage) -> Iterator[core.Eval]:
    """The evals that a stage is the first on its line to claim as consolidated: its claim asks for the carrier, its
    ledger begins with the model that it starts from."""
    before = {id(claim.eval) for each in lineage.upstream(stage) for claim in each.claims}
    for claim in stage.claims:
        if claim.role == "consolidates" and claim.carrier is not None and id(claim.eval) not in before:
            yield claim.eval
