"""Who descends from whom, and which prompts a stage has seen: what the checks across stages ask.

By weights: `ancestors` of a model. By anything (weights, teachers, samples): `upstream` of a stage. A *domain* is the
set of strands, shares of the prompts of one origin, that reach a `minimize`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from ptc.compiler import core


def ancestors(model: core.Model) -> tuple[core.Model, ...]:
    """The model itself and everything that its weights started from, the nearest first."""
    return (model, *model.type.ancestry)


def root(model: core.Model) -> core.Model:
    """The model at the beginning of the line."""
    return ancestors(model)[-1]


@dataclass(frozen=True)
class Lineage:
    """The stages of a program by the models that they left behind."""

    program: core.Program
    _by_model: dict[int, core.Stage] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for stage in self.program.stages:
            for model in (stage.model, *stage.results.values()):
                self._by_model[id(model)] = stage

    def stage_of(self, model: core.Model) -> core.Stage | None:
        """The stage that trained a model; None for one that was made, loaded or merged."""
        return self._by_model.get(id(model))

    def behind(self, model: core.Model) -> tuple[core.Stage, ...]:
        """The stages on the line of a model's weights, the nearest first, its own included."""
        stages = (self.stage_of(ancestor) for ancestor in ancestors(model))
        return tuple(dict.fromkeys(stage for stage in stages if stage is not None))

    def before(self, stage: core.Stage) -> tuple[core.Stage, ...]:
        """The stages that a stage's learner has been through, the nearest first."""
        return self.behind(stage.learner.init)

    def later(self, stage: core.Stage) -> tuple[core.Stage, ...]:
        """The stages whose learner has been through a stage, in the order of the text."""
        return tuple(other for other in self.program.stages if stage in self.before(other))

    @cached_property
    def _needs(self) -> dict[core.Stage, tuple[core.Stage, ...]]:
        return {stage: tuple(dict.fromkeys(self._direct(stage))) for stage in self.program.stages}

    def _direct(self, stage: core.Stage) -> Iterator[core.Stage]:
        for role in stage.roles:
            yield from self._within(role.init)
        for term in stage.terms:
            for source in term.sources.values() or (term.source,):
                for step in source.upstream():
                    for value in step.inputs.values():
                        if isinstance(value, core.Model):
                            yield from self._within(value)

    def _within(self, model: core.Model) -> Iterator[core.Stage]:
        yield from self.behind(model)
        for value in model.inputs.values():
            if isinstance(value, core.Model):
                yield from self._within(value)

    def upstream(self, stage: core.Stage) -> tuple[core.Stage, ...]:
        """Every stage that a stage depends on by weights, teachers or samples, each once."""
        found: dict[core.Stage, None] = {}
        waiting = list(self._needs[stage])
        while waiting:
            one = waiting.pop(0)
            if one not in found and one is not stage:
                found[one] = None
                waiting.extend(self._needs[one])
        return tuple(found)


def supervised(term: core.Term) -> bool:
    """Whether a term imitates given responses: its signature names them and wants none `by` a learner."""
    return not term.on_policy and any("response" in wanted for wanted in term.wanted.values())


def on_policy(term: core.Term) -> bool:
    """Whether a term's signature wants rollouts of the policy that it trains."""
    return bool(term.on_policy)


def sources(term: core.Term) -> tuple[core.Source, ...]:
    return tuple(term.sources.values()) or (term.source,)


def authors(provenance: core.Provenance | None) -> Iterator[core.Provenance]:
    """The parts of a provenance that are not mixtures."""
    if isinstance(provenance, core.Mixed):
        for part in provenance.parts:
            yield from authors(part)
    elif provenance is not None:
        yield provenance
