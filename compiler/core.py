"""The core: a program after elaboration. No sugar, no unresolved name, every node typed.

A program is a handful of values that refer to one another directly: sources of trajectories, models, evals and
stages. Nodes are compared by identity; what two nodes *mean* is compared by `compiler.lower`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ptc.compiler.graph import Json
from ptc.lang.source import Span

# Provenance: who generated the responses of a source, with which weights, how stale -----------------------------------


@dataclass(frozen=True)
class External:
    """Written by nobody whose weights this program knows: people, a purchased data set, a generator of tasks."""


@dataclass(frozen=True)
class Fixed:
    """Sampled from weights that never change while a stage learns from the rows."""

    model: Model


@dataclass(frozen=True)
class Live:
    """Sampled, while the stage runs, from a role that it trains or tracks; at most `lag` optimizer steps old."""

    role: Role
    lag: int


@dataclass(frozen=True)
class Mixed:
    parts: tuple[Provenance, ...]


Provenance = External | Fixed | Live | Mixed


# Types ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sampling:
    """The distribution that completions are drawn from: part of a sampled source's type."""

    n: int
    temperature: float
    top_p: float
    top_k: int
    max_tokens: int

    @property
    def truncated(self) -> bool:
        return self.top_p < 1 or self.top_k > 0


@dataclass(frozen=True)
class Trajectories:
    """At least these columns; `open` when the outside has not been asked which others there are."""

    columns: tuple[str, ...]
    provenance: Provenance | None = None
    """None as long as there are prompts only."""
    sampling: Sampling | None = None
    kept: tuple[str, ...] = ()
    """Filters that the rows have passed, in words."""
    open: bool = False

    def has(self, column: str) -> bool:
        return self.open or column in self.columns


@dataclass(frozen=True)
class ModelType:
    """What is known of a model without its weights."""

    tokenizer: Tokenizer | None
    """None: not known before the model has been fetched."""
    context: int | None
    parameters: int | None
    ancestry: tuple[Model, ...]
    """The models whose weights it started from, the nearest first."""


# Nodes ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Tokenizer:
    kind: str
    settings: Mapping[str, Json]
    inputs: Mapping[str, Input]
    span: Span


@dataclass(frozen=True, eq=False)
class Source:
    """One step of a flow of trajectories."""

    kind: str
    settings: Mapping[str, Json]
    inputs: Mapping[str, Input]
    type: Trajectories
    span: Span
    name: str = ""

    @property
    def live(self) -> Role | None:
        """The role that is sampled somewhere upstream, if any."""
        for value in self.inputs.values():
            if isinstance(value, Role) and value.verb != "freeze":
                return value
            if isinstance(value, Source) and (role := value.live):
                return role
        return None

    def upstream(self) -> Iterator[Source]:
        """This source and every source it is made from."""
        yield self
        for value in self.inputs.values():
            if isinstance(value, Source):
                yield from value.upstream()


@dataclass(frozen=True, eq=False)
class Model:
    """Weights that exist before a stage starts: made, loaded, or what a stage left behind."""

    kind: str
    settings: Mapping[str, Json]
    inputs: Mapping[str, Input]
    type: ModelType
    span: Span
    name: str = ""


@dataclass(frozen=True, eq=False)
class Role:
    """A model inside a stage. `verb` is ``train`` or ``freeze``."""

    verb: str
    name: str
    init: Model
    span: Span
    stage: str
    used_span: Span
    """Where its initial model is named."""

    @property
    def type(self) -> ModelType:
        return self.init.type


Input = Source | Model | Role | Tokenizer


@dataclass(frozen=True)
class Expression:
    """Closed mathematics over columns and bound models, with named axes; see `docs/graph.md`, Expressions."""

    op: str
    args: tuple[Expression, ...] = ()
    fields: Mapping[str, Json] = field(default_factory=dict)
    axes: frozenset[str] = frozenset()
    models: tuple[Role, ...] = ()
    """The role read by a `logp`; its canonical name is filled in by lowering."""

    def walk(self) -> Iterator[Expression]:
        yield self
        for arg in self.args:
            yield from arg.walk()

    @property
    def constant(self) -> float | None:
        value = self.fields.get("value") if self.op == "constant" else None
        return value if isinstance(value, int | float) else None


@dataclass(frozen=True, eq=False)
class Term:
    """One summand of what a stage minimizes: an objective applied to a source, with its weight."""

    objective: str
    weight: float
    source: Source
    loss: Expression
    span: Span
    anchors: tuple[Role, ...] = ()
    """The roles that the learner is held to, as against those that it learns from."""


@dataclass(frozen=True)
class Count:
    """``32 prompts``, ``2 epochs``."""

    count: int
    unit: str


@dataclass(frozen=True, eq=False)
class Eval:
    kind: str
    settings: Mapping[str, Json]
    source: Source
    name: str
    span: Span


@dataclass(frozen=True, eq=False)
class Claim:
    role: str
    eval: Eval
    carrier: Model | None
    span: Span


@dataclass(frozen=True, eq=False)
class Gate:
    """``require`` before a stage, ``ensure`` after it: a measured quantity against a limit."""

    when: str
    measure: str
    """``informative_rate`` of a source, or ``value`` of an eval."""
    subject: Source | Eval
    op: str
    limit: float
    text: str
    span: Span


@dataclass(frozen=True, eq=False)
class Watch:
    eval: Eval
    every: int
    span: Span


@dataclass(frozen=True, eq=False)
class Stage:
    name: str
    roles: tuple[Role, ...]
    terms: tuple[Term, ...]
    batch: Mapping[Source, Count]
    budget: Count
    optimizer: Mapping[str, Json]
    settings: Mapping[str, Json]
    claims: tuple[Claim, ...]
    gates: tuple[Gate, ...]
    watches: tuple[Watch, ...]
    model: Model
    """The final weights of its trained role, as a value for whatever comes after."""
    span: Span

    @property
    def learner(self) -> Role:
        return next(role for role in self.roles if role.verb == "train")


@dataclass(frozen=True, eq=False)
class Export:
    model: Model
    path: str
    span: Span


@dataclass(frozen=True, eq=False)
class Program:
    """Everything that was declared, in the order of the text."""

    seed: int
    sources: tuple[Source, ...] = ()
    models: tuple[Model, ...] = ()
    evals: tuple[Eval, ...] = ()
    stages: tuple[Stage, ...] = ()
    reports: tuple[Eval, ...] = ()
    exports: tuple[Export, ...] = ()
