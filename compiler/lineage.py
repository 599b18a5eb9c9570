"""Who descends from whom: what the checks across stages ask.

By weights: `ancestors` of a model, the stages `before` a stage. By anything (weights, teachers, samples, judges):
`upstream` of a stage.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from ptc.compiler import core

DRESSED = ("lora", "merge_adapter", "value_head", "reward_head", "retemplate")
"""Kinds of models that start with the weights of what they are made from: something is put on or taken off."""
HEADED = ("value_head", "reward_head")
Thing = TypeVar("Thing")
REWARDS = ("reward", "step_rewards")


def bare(model: core.Model) -> core.Model:
    """The model whose weights these are: without adapters, heads and templates that have learned nothing yet."""
    while model.kind in DRESSED:
        model = parents(model)[0]
    return model


def last(model: core.Model) -> core.Model:
    """What a stage has become in the end, for one of its checkpoints."""
    return parents(model)[0] if model.kind == "checkpoint" else model


def beneath(model: core.Model) -> core.Model | None:
    """The model under an adapter, whose weights nothing has changed; None where there is no adapter, where it came with
    the model, and where both have been given a head since."""
    while model.type.adapter is not None and model.kind not in ("lora", *HEADED) and parents(model):
        model = parents(model)[0]
    return parents(model)[0] if model.kind == "lora" else None


def plain(model: core.Model) -> core.Model:
    """The model whose weights these are, under whatever chat template."""
    while model.kind == "retemplate":
        model = parents(model)[0]
    return model


def same(one: core.Model, other: core.Model) -> bool:
    """Whether two models are made alike, by whatever names: one node of the graph."""
    pairs: list[tuple[core.Input, core.Input]] = [(one, other)]
    while pairs:  # without recursion: a line may be as long as the program
        ours, theirs = pairs.pop()
        if ours is theirs:
            continue
        made = (core.Model, core.Tokenizer)
        if not isinstance(ours, made) or not isinstance(theirs, made) or ours.kind == "train":
            return False
        if (ours.kind, ours.settings, ours.inputs.keys()) != (theirs.kind, theirs.settings, theirs.inputs.keys()):
            return False
        pairs.extend((ours.inputs[name], theirs.inputs[name]) for name in ours.inputs)
    return True


def parents(model: core.Model) -> tuple[core.Model, ...]:
    """The models that a model is made from: one for a stage's result, several for a merge, none for a root."""
    return tuple(value for value in model.inputs.values() if isinstance(value, core.Model))


def root(model: core.Model) -> core.Model:
    """The model at the beginning of the line; behind a merge, of the first line."""
    while parents(model):
        model = parents(model)[0]
    return model


@dataclass(frozen=True)
class Lineage:
    """The stages of a program by the models that they left behind."""

    program: core.Program
    _by_model: dict[int, core.Stage] = field(init=False, default_factory=dict)
    _ancestors: dict[int, tuple[core.Model, ...]] = field(init=False, default_factory=dict)
    _roots: dict[int, tuple[core.Model, ...]] = field(init=False, default_factory=dict)
    _before: dict[int, tuple[core.Stage, ...]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for stage in self.program.stages:
            for model in (stage.model, *stage.results.values()):
                self._by_model[id(model)] = stage

    # Weights ----------------------------------------------------------------------------------------------------------

    def ancestors(self, model: core.Model) -> tuple[core.Model, ...]:
        """The model itself and everything that its weights started from, the nearest first."""
        self._walk(model)
        return self._ancestors[id(model)]

    def roots(self, model: core.Model) -> tuple[core.Model, ...]:
        """The models at the beginning of the line, or of the lines behind a merge."""
        self._walk(model)
        return self._roots[id(model)]

    def behind(self, model: core.Model) -> tuple[core.Stage, ...]:
        """The stages on the line of a model's weights, the nearest first, its own included."""
        self._walk(model)
        return self._before[id(model)]

    def _walk(self, model: core.Model) -> None:
        """Takes in a model and all that it is made from; each once, and from what its parents have already."""
        waiting = [model]
        while waiting:  # without recursion: a line may be as long as the program
            one = waiting[-1]
            line = parents(one)
            missing = [parent for parent in line if id(parent) not in self._ancestors]
            if missing:
                waiting.extend(missing)
                continue
            waiting.pop()
            stage = self._by_model.get(id(one))
            own = () if stage is None else (stage,)
            self._ancestors.setdefault(id(one), (one, *_joined([self._ancestors[id(parent)] for parent in line])))
            self._roots.setdefault(id(one), _joined([self._roots[id(parent)] for parent in line]) or (one,))
            self._before.setdefault(id(one), (*own, *_joined([self._before[id(parent)] for parent in line])))

    def is_ancestor(self, model: core.Model, of: core.Model) -> bool:
        """Whether the weights of one started from those of the other, or are the same."""
        line = self.ancestors(of)
        return model in line or last(bare(model)) in line

    def stage_of(self, model: core.Model) -> core.Stage | None:
        """The stage that trained a model; None for one that was made, loaded or merged."""
        return self._by_model.get(id(last(bare(model))))

    def before(self, stage: core.Stage) -> tuple[core.Stage, ...]:
        """The stages that a stage's learner has been through, the nearest first."""
        return self.behind(stage.learner.init)

    @cached_property
    def _successors(self) -> dict[core.Stage, list[core.Stage]]:
        following: dict[core.Stage, list[core.Stage]] = {stage: [] for stage in self.program.stages}
        for stage in self.program.stages:
            before = self.stage_of(stage.learner.init)
            if before is not None:
                following[before].append(stage)
        return following

    def successors(self, stage: core.Stage) -> tuple[core.Stage, ...]:
        """The stages that start from what a stage left behind."""
        return tuple(self._successors[stage])

    # Weights, teachers, samples, judges -------------------------------------------------------------------------------

    def nearest(self, model: core.Model) -> Iterator[core.Stage]:
        """The last stage on a model's line, or on each line behind a merge."""
        waiting = [model]
        while waiting:
            one = waiting.pop(0)
            stage = self._by_model.get(id(one))
            if stage is not None:
                yield stage
            else:
                waiting.extend(parents(one))

    @cached_property
    def _upstream(self) -> dict[core.Stage, dict[core.Stage, None]]:
        found: dict[core.Stage, dict[core.Stage, None]] = {}
        for stage in self.program.stages:  # in the order of the text: what a stage needs stands before it
            needs: dict[core.Stage, None] = {}
            for one in (one for model in needed(stage) for one in self.nearest(model)):
                needs[one] = None
                needs.update(found.get(one, {}))
            found[stage] = needs
        return found

    def upstream(self, stage: core.Stage) -> tuple[core.Stage, ...]:
        """Every stage that a stage depends on by weights, teachers, samples or judges, each once."""
        return tuple(self._upstream[stage])


def _joined(lines: Sequence[tuple[Thing, ...]]) -> tuple[Thing, ...]:
    """Several lines as one, each thing once."""
    some = [line for line in lines if line]
    return some[0] if len(some) == 1 else tuple(dict.fromkeys(thing for line in some for thing in line))


def needed(stage: core.Stage) -> Iterator[core.Model]:
    """The models that a stage starts from, learns from, samples or is judged by, as they are at its entry."""
    for role in stage.roles:
        yield role.init
    for term in stage.terms:
        for source in sources(term):
            yield from sampled_and_judging(source)


def sampled_and_judging(source: core.Source) -> Iterator[core.Model]:
    """The models that rows were sampled from or scored by."""
    for step in source.upstream():
        for value in (*step.inputs.values(), *(scorer.model for scorer in step.type.scorers)):
            if isinstance(value, core.Model):
                yield value
            elif isinstance(value, core.Role):
                yield value.init


# Terms ----------------------------------------------------------------------------------------------------------------


def supervised(term: core.Term) -> bool:
    """Whether a term imitates given responses: its signature names them, and neither a learner nor a label."""
    wanted = {column for columns in term.wanted.values() for column in columns}
    return not term.on_policy and bool(wanted & {"response", "text"}) and not wanted & {"label", "step_labels"}


def on_policy(term: core.Term) -> bool:
    """Whether a term's signature wants rollouts of the policy that it trains."""
    return bool(term.on_policy)


def rewarded(term: core.Term) -> bool:
    """Whether a term learns from rewards on rollouts of the policy that it trains."""
    return on_policy(term) and any(column in REWARDS for columns in term.wanted.values() for column in columns)


def preferring(term: core.Term) -> bool:
    """Whether a term learns from pairs."""
    return any({"chosen", "rejected"} <= set(columns) for columns in term.wanted.values())


def addends(source: core.Source) -> Iterator[core.Source]:
    """What a source is the sum or the mixture of; itself if it is none."""
    waiting = [source]
    while waiting:
        one = waiting.pop()
        if one.kind in ("concat", "mix"):
            waiting.extend(reversed(one.parts))
        else:
            yield one


def sources(term: core.Term) -> tuple[core.Source, ...]:
    return tuple(term.sources.values()) or (term.source,)


def authors(provenance: core.Provenance | None) -> Iterator[core.Provenance]:
    """The parts of a provenance that are not mixtures."""
    if isinstance(provenance, core.Mixed):
        for part in provenance.parts:
            yield from authors(part)
    elif provenance is not None:
        yield provenance


def unmixed(source: core.Source) -> Iterator[core.Source]:
    """The sources that a mixture of several authors is made of; any other source is its own."""
    if isinstance(source.type.provenance, core.Mixed) and source.parts:
        for part in source.parts:
            yield from unmixed(part)
    else:
        yield source


def drawn(source: core.Source) -> Iterator[core.Source]:
    """The sources, upstream or itself, whose rows were all drawn from one distribution."""
    if source.type.sampling is not None:
        yield source
    else:
        for part in source.parts:
            yield from drawn(part)
