"""What every check looks at: the program, who descends from whom in it, and which prompts reach what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from ptc.compiler import core
from ptc.compiler.catalogue import Placement
from ptc.compiler.domains import Domains, Strand
from ptc.compiler.lineage import Lineage, bare, sources


@dataclass(frozen=True)
class View:
    """A program as the checks look at it, with what several of them ask of it."""

    program: core.Program
    placement: Placement | None = None
    """Where the program would run; None as long as nobody has said so."""
    domains: Domains = field(default_factory=Domains)

    @cached_property
    def lineage(self) -> Lineage:
        return Lineage(self.program)

    # Prompts ----------------------------------------------------------------------------------------------------------

    def domain(self, stage: core.Stage) -> tuple[Strand, ...]:
        """The prompts of a stage: those of every source that it learns from."""
        return tuple(dict.fromkeys(strand for term in stage.terms for strand in self.prompts(term)))

    def prompts(self, term: core.Term) -> tuple[Strand, ...]:
        return tuple(strand for source in sources(term) for strand in self.domains.of(source))

    # What is measured -------------------------------------------------------------------------------------------------

    @cached_property
    def published(self) -> tuple[core.Stage, ...]:
        """The stages that are reported on: those that an export depends on, without an export all."""
        if not self.program.exports:
            return self.program.stages
        wanted = {
            stage
            for export in self.program.exports
            for last in self.lineage.nearest(export.model)
            for stage in (last, *self.lineage.upstream(last))
        }
        return tuple(stage for stage in self.program.stages if stage in wanted)

    @cached_property
    def guarded(self) -> frozenset[core.Eval]:
        """The evals that are protected or reported."""
        return frozenset((*self.program.reports, *(protect.eval for protect in self.program.protects)))

    @cached_property
    def _measured(self) -> dict[core.Stage, frozenset[core.Eval]]:
        return {
            stage: frozenset((*claimed(stage), *gated(stage), *(watch.eval for watch in stage.watches)))
            for stage in self.program.stages
        }

    def measured(self, stage: core.Stage) -> frozenset[core.Eval]:
        """Every eval that a stage itself has an eye on."""
        return self._measured[stage]


def claimed(stage: core.Stage) -> tuple[core.Eval, ...]:
    """The evals that a stage claims something about, each once."""
    return tuple(dict.fromkeys(claim.eval for claim in stage.claims))


def gated(stage: core.Stage, *when: str) -> Iterator[core.Eval]:
    """The evals that a stage's gates read."""
    for gate in stage.gates:
        if isinstance(gate.subject, core.Eval) and gate.when in (when or ("require", "ensure")):
            yield gate.subject


# Roles ----------------------------------------------------------------------------------------------------------------


def anchors(stage: core.Stage) -> tuple[core.Role, ...]:
    """The references of a stage, each once."""
    return tuple(dict.fromkeys(anchor for term in stage.terms for anchor in term.anchors))


def read(stage: core.Stage) -> tuple[core.Role, ...]:
    """The roles whose probabilities or values a stage's losses read, each once."""
    return tuple(dict.fromkeys(role for term in stage.terms for part in term.loss.walk() for role in part.models))


def teachers(stage: core.Stage) -> tuple[core.Role, ...]:
    """The roles that the learner is compared with and that are no anchors: what it learns from."""
    return tuple(dict.fromkeys(role for term in stage.terms for role in taught_by(term)))


def taught_by(term: core.Term) -> tuple[core.Role, ...]:
    """The teachers of one term, each once."""
    roles = dict.fromkeys(role for part in term.loss.walk() for role in part.models)
    return tuple(role for role in roles if role.verb != "train" and role not in term.anchors)


def same_weights(first: core.Model, second: core.Model) -> bool:
    """Whether two models are equal at the start, an adapter that has learned nothing aside."""
    return bare(first) is bare(second)


def is_own(view: View, provenance: core.Provenance | None, learner: core.Role) -> bool:
    """Whether everything was written by the learner itself or by what it descends from."""
    match provenance:
        case core.Live(role=role):
            return role is learner or role.tracking is not None
        case core.Fixed(model=model):
            return view.lineage.is_ancestor(model, learner.init)
        case core.Mixed(parts=parts):
            return all(is_own(view, part, learner) for part in parts)
        case _:
            return False


# Places ---------------------------------------------------------------------------------------------------------------


def step_of(source: core.Source, kind: str) -> core.Source | None:
    """The last step of a kind upstream of a source, itself included."""
    return next((step for step in source.upstream() if step.kind == kind), None)


def prompts_name(source: core.Source) -> str | None:
    """The name under which the program knows the prompts of a source."""
    sample = step_of(source, "sample")
    below = sample.inputs.get("prompts") if sample is not None else source
    return next((step.name for step in below.upstream() if step.name), None) if isinstance(below, core.Source) else None


def name_of(model: core.Model) -> str:
    outside = model.settings.get("name") or model.settings.get("path")
    if model.name:
        return f"`{model.name}`"
    return f'"{outside}"' if outside else "a model without a name"


def written(model: core.Model) -> str:
    """The model as another line can name it."""
    makers = {"hub_model": ("hf.model", "name"), "local_model": ("local.model", "path")}
    if model.name or model.kind not in makers:
        return model.name or "…"
    maker, argument = makers[model.kind]
    return f'{maker}("{model.settings[argument]}")'
