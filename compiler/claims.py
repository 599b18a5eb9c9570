"""Claims of a stage: which eval is to move how, and what a consolidation is measured against."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ptc.compiler import core
from ptc.compiler.drafts import Draft
from ptc.compiler.evals import Evals
from ptc.compiler.findings import Findings, at
from ptc.compiler.lineage import authors
from ptc.compiler.models import Models
from ptc.lang import ast


@dataclass(frozen=True)
class Claims:
    """Elaborates what a stage claims."""

    findings: Findings
    models: Models
    evals: Evals

    def claims(self, draft: Draft) -> list[core.Claim] | None:
        """The claims of a stage; None after a report."""
        found: list[core.Claim] = []
        sound = True
        for claim in draft.declaration.claims:
            for name in claim.evals:
                measured = self.evals.named(name, draft.scope)
                if measured is None:
                    sound = False
                    continue
                carrier = None
                if claim.carrier is not None:
                    carrier = self.models.model(claim.carrier, draft.scope)
                    sound &= carrier is not None
                elif claim.role.id == "consolidates":
                    carrier, unambiguous = self._carrier(draft, name)
                    sound &= unambiguous
                found.append(core.Claim(claim.role.id, measured, carrier, claim.span, claim.carrier is not None))
        return found if sound else None

    def _carrier(self, draft: Draft, place: ast.Name) -> tuple[core.Model | None, bool]:
        """The one teacher, else the one model that was sampled from, else the one other model that it is held to."""
        for candidates in (_teachers(draft), _sampled(draft), _anchors(draft)):
            distinct = list({id(model): model for model in candidates}.values())
            if len(distinct) == 1:
                return distinct[0], True
            if len(distinct) > 1:
                self._ambiguous(distinct, place)
                return None, False
        return None, True

    def _ambiguous(self, candidates: list[core.Model], place: ast.Name) -> None:
        names = " or ".join(f"`{model.name}`" for model in candidates)
        self.findings.add(
            "R311",
            f"what does this consolidate: {names}?",
            [at(place.span, "more than one model could be meant")],
            helps=[f"consolidates {place.id} from {model.name}" for model in candidates],
        )


def _teachers(draft: Draft) -> Iterable[core.Model]:
    """The frozen models that the learner learns from, as against those that it is held to."""
    held = {id(role) for term in draft.terms for role in term.anchors}
    return (role.init for role in draft.roles if role.verb == "freeze" and id(role) not in held)


def _anchors(draft: Draft) -> Iterable[core.Model]:
    """Frozen models other than the learner's own beginning that hold it back."""
    own = {id(role.init) for role in draft.trained}
    return (role.init for term in draft.terms for role in term.anchors if id(role.init) not in own)


def _sampled(draft: Draft) -> Iterable[core.Model]:
    """The models whose samples are learned from."""
    for source in draft.learned_from():
        for step in source.upstream():
            for author in authors(step.type.provenance):
                if isinstance(author, core.Fixed):
                    yield author.model
