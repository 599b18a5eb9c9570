"""The core: a program after elaboration. No sugar, no unresolved name, every node typed.

A program is a handful of values that refer to one another directly: sources of trajectories, models, evals and
stages. Nodes are compared by identity; what two nodes *mean* is compared by `compiler.lower`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from ptc.compiler.graph import Json
from ptc.compiler.quantities import Anneal as Anneal
from ptc.compiler.quantities import Count as Count
from ptc.compiler.quantities import Sampling as Sampling
from ptc.compiler.shapes import Shape
from ptc.lang.source import Span

# Provenance: who generated the responses of a source, with which weights, how stale -----------------------------------


@dataclass(frozen=True)
class External:
    """Written by nobody whose weights this program knows: people, a purchased data set, a generator of tasks."""

    by: str | None = None
    """The stated author of a purchased data set: ``hf.dataset(…, by = "Qwen/QwQ-32B")``."""


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
    """Of several provenances: rows of each of the parts."""

    parts: tuple[Provenance, ...]


Provenance = External | Fixed | Live | Mixed


# Types ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Guidance:
    """What a model was shown while it sampled, beyond the prompt. `kind` is ``hint`` or ``prefix``."""

    kind: str
    kept: bool
    """Whether the context that the loss sees holds it too."""
    span: Span = field(compare=False)


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
    column_types: tuple[tuple[str, str], ...] = ()
    """Types of columns as far as they are known, by name: ``Text``, ``Real``, ``Bool``, ``Messages``, ``List``."""
    guidance: tuple[Guidance, ...] = ()
    replayed: bool = False
    """Whether rows may have been learned from before."""
    scorers: tuple[Scorer, ...] = ()
    """What wrote `.reward`: the summands of the last `score`."""

    def has(self, column: str) -> bool:
        return self.open or column in self.columns

    def type_of(self, column: str) -> str | None:
        """The type of a column; None where it is not known."""
        return dict(self.column_types).get(column)


@dataclass(frozen=True)
class ModelType:
    """What is known of a model without its weights. None: not known before the model has been fetched."""

    tokenizer: Tokenizer | None
    context: int | None
    parameters: int | None
    ancestry: tuple[Model, ...]
    """The models whose weights it started from, the nearest first."""
    template: str | None = None
    """Digest of the chat template."""
    end_of_sequence: tuple[str, ...] | None = None
    """The tokens that end a completion."""
    head: str = "language"
    """``language``, ``value`` (one number per token) or ``reward`` (one number per text)."""
    adapter: tuple[tuple[str, Json], ...] | None = None
    """The settings of the adapter that is trained instead of the weights; None for full weights."""
    architecture: str | None = None
    vocabulary: int | None = None
    dropout: float | None = None
    shape: Shape | None = None
    """What parameters, activations and cache are counted from."""
    aligned: bool = False
    """Whether the program says of the root model that it has been aligned for safety."""

    @property
    def size(self) -> int | None:
        """Parameters, of a model that is yet to be made without its embeddings."""
        return self.parameters or (self.shape.parameters if self.shape is not None else None)


# Nodes ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """How text becomes tokens: one that is there, or one that is made from rows."""

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
    places: Mapping[str, Span] = field(default_factory=dict)
    """Where the arguments of the step are written, by name."""

    @cached_property
    def live(self) -> Role | None:
        """The role that is sampled somewhere upstream, if any."""
        for value in self.inputs.values():
            if isinstance(value, Role) and value.verb != "freeze":
                return value
            if isinstance(value, Source) and (role := value.live):
                return role
        return None

    @property
    def parts(self) -> tuple[Source, ...]:
        """The sources whose rows it holds: not those that it is only compared with (`without`, `join`)."""
        return tuple(
            value
            for name, value in self.inputs.items()
            if isinstance(value, Source) and name not in ("other", "partner")
        )

    def upstream(self) -> Iterator[Source]:
        """This source and every source it is made from, each once."""
        waiting = [self]
        seen: set[int] = set()
        while waiting:  # without recursion: a flow may be as long as the program
            one = waiting.pop()
            if id(one) in seen:
                continue
            seen.add(id(one))
            yield one
            waiting.extend(value for value in reversed([*one.inputs.values()]) if isinstance(value, Source))


@dataclass(frozen=True, eq=False)
class Model:
    """Weights that exist before a stage starts: made, loaded, merged, or what a stage left behind."""

    kind: str
    settings: Mapping[str, Json]
    inputs: Mapping[str, Input]
    type: ModelType
    span: Span
    name: str = ""
    places: Mapping[str, Span] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Role:
    """A model inside a stage. `verb` is ``train``, ``freeze`` or ``track``."""

    verb: str
    name: str
    init: Model
    span: Span
    stage: str
    tracking: Tracking | None = None
    """How a tracked role follows; None for others."""

    @property
    def type(self) -> ModelType:
        return self.init.type


@dataclass(frozen=True, eq=False)
class Tracking:
    """``ema(policy, 0.99)``: every step a little; ``reset(policy, every = 400 steps)``: a copy every so many steps."""

    kind: str
    """``ema`` or ``reset``."""
    follows: Role
    decay: float | None = None
    every: int | None = None


@dataclass(frozen=True, eq=False)
class Scorer:
    """One summand of what `score` writes: a verifier, a reward model or a judge, with its weight."""

    kind: str
    """``verifier``, ``extern``, ``reward_model`` or ``judge``."""
    name: str
    document: Json
    """Its identity, without weight and model: name and options."""
    weight: float
    span: Span
    model: Model | Role | None = None
    """The weights that judge, for a reward model or a judge."""
    columns: tuple[str, ...] = ()
    """What it reads of a row besides the response."""
    least: float | None = 0.0
    most: float | None = 1.0
    """The range of its scores; None where it has no bound."""
    marker: str | None = None
    """What a response must hold for it to be read, such as ``####``."""
    column_types: tuple[tuple[str, str], ...] = ()
    """The types that its columns must have, as far as any will not do."""
    tokens: bool = False
    """Whether it counts the tokens of a response, which only sampled rows have."""

    @property
    def learned(self) -> bool:
        return self.kind in ("reward_model", "judge")


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
    source: Source | None = None
    """What a column or a `logp` is read of, where an objective has several sources; None: the term's only one."""

    def walk(self) -> Iterator[Expression]:
        """This expression and all below it, from the top and from the left; what stands in two places comes once."""
        seen: set[int] = set()
        waiting = [self]
        while waiting:
            part = waiting.pop()
            if id(part) not in seen:
                seen.add(id(part))
                yield part
                waiting.extend(reversed(part.args))

    @property
    def constant(self) -> float | None:
        value = self.fields.get("value") if self.op == "constant" else None
        return value if isinstance(value, int | float) else None


@dataclass(frozen=True, eq=False)
class Term:
    """One summand of what a stage minimizes: an objective applied to its sources, with its weight."""

    objective: str
    weight: float | Anneal
    source: Source
    """The first source: its batch counts the epochs."""
    loss: Expression
    span: Span
    anchors: tuple[Role, ...] = ()
    """The roles that the learner is held to, as against those that it learns from."""
    sources: Mapping[str, Source] = field(default_factory=dict)
    """All sources by the parameter that they fill, the first one included."""
    roles: Mapping[str, Role] = field(default_factory=dict)
    """The models that were given, by parameter."""
    numbers: Mapping[str, float | Anneal] = field(default_factory=dict)
    """The numbers of the call, defaults filled in, by parameter."""
    places: Mapping[str, Span] = field(default_factory=dict)
    """Where the arguments are written, by parameter; `weight` where a weight is."""
    wanted: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The columns that the signature names, by the parameter of the source."""
    on_policy: Mapping[str, int] = field(default_factory=dict)
    """Sources that the signature wants `by` a trained role, by parameter, with the lag that it bears, in steps."""


@dataclass(frozen=True, eq=False)
class Eval:
    """A quantity that is measured of any model: a pass rate, a likelihood, a win rate."""

    kind: str
    settings: Mapping[str, Json]
    source: Source
    name: str
    span: Span
    scorers: tuple[Scorer, ...] = ()
    """What judges the responses; nothing for a likelihood."""
    against: Model | None = None
    """The other side of a `win_rate`."""
    places: Mapping[str, Span] = field(default_factory=dict)

    @property
    def tag(self) -> str | None:
        """What it stands for, such as ``safety``."""
        return self.settings.get("tag")

    @property
    def scaffold(self) -> str | None:
        """What helps the model at this eval: ``best_of_n``, ``majority``, ``search``; None where nothing does."""
        return self.settings.get("scaffold")


@dataclass(frozen=True, eq=False)
class Claim:
    """What a stage says that it does to an eval: `role` is ``expands``, ``reshapes`` or ``consolidates``."""

    role: str
    eval: Eval
    carrier: Model | None
    span: Span
    stated: bool = False
    """Whether the program names the carrier: ``consolidates skill from reasoner``."""


@dataclass(frozen=True, eq=False)
class Gate:
    """``require`` before a stage, ``ensure`` after it: a measured quantity against a limit."""

    when: str
    measure: str
    """``informative_rate`` of a source, ``value`` of an eval, or ``kl`` of the learner from a model."""
    subject: Source | Eval | Model
    op: str
    limit: float
    text: str
    span: Span


@dataclass(frozen=True, eq=False)
class Guard:
    """``guard kl <= 0.2 over 10 steps``: what must hold all along, of the median over so many steps."""

    measure: str
    """A name of `compiler.monitors`, or ``eval`` of a watched eval."""
    about: Eval | None
    op: str
    limit: float
    over: int
    text: str
    span: Span


@dataclass(frozen=True, eq=False)
class Watch:
    """``watch skill every 50``: an eval that is taken every so many steps while the stage runs."""

    eval: Eval
    every: int
    span: Span


@dataclass(frozen=True, eq=False)
class Stage:
    """Roles that learn from sources by one loss, until a budget is spent."""

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
    results: Mapping[str, Model] = field(default_factory=dict)
    """What each trained or tracked role has become, by the role's name; `model` is the learner's."""
    optimizers: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    """``optimizer(critic) = …``: by the role's name, of those that have their own."""
    rollout: Count | None = None
    """What is sampled at once; None: the batch."""
    passes: int = 1
    """How often each rollout batch is used."""
    places: Mapping[str, Span] = field(default_factory=dict)
    """Where its settings are written, by name, and `lr`, `warmup`, … of its optimizer."""
    guards: tuple[Guard, ...] = ()

    @property
    def learner(self) -> Role:
        """The first trained role, critics and reward models apart."""
        return next((role for role in self.learners if role.type.head == "language"), self.learners[0])

    @property
    def learners(self) -> tuple[Role, ...]:
        return tuple(role for role in self.roles if role.verb == "train")

    def inputs(self) -> Iterator[Input]:
        """What it starts from, learns from and is measured against."""
        yield from (role.init for role in self.roles)
        for term in self.terms:
            yield from (term.source, *term.sources.values())
        for claim in self.claims:
            yield claim.eval.source
            if claim.carrier is not None:
                yield claim.carrier
        for gate in self.gates:
            if isinstance(gate.subject, Eval):
                yield gate.subject.source
            else:
                yield gate.subject
        yield from (watch.eval.source for watch in self.watches)

    @property
    def updates_per_rollout(self) -> int:
        """Optimizer steps that learn from one rollout batch."""
        if self.rollout is None:
            return self.passes
        drawn = next((count.count for source, count in self.batch.items() if source.live), self.rollout.count)
        return max(1, self.passes * self.rollout.count // max(1, drawn))


@dataclass(frozen=True, eq=False)
class Export:
    """``export model to "out"``: a model that is put into a folder of the user's."""

    model: Model
    path: str
    span: Span


@dataclass(frozen=True, eq=False)
class Protect:
    """``protect skill within 2 points from reasoner``: binds whatever descends from that model."""

    eval: Eval
    points: float
    origin: Model | None
    """None: the stage that first claims the eval on each lineage."""
    span: Span


@dataclass(frozen=True)
class Allow:
    """``allow(claim_unprotected, "…")``: the findings of one check whose first place lies in `scope`."""

    check: str
    reason: str
    span: Span
    scope: Span


@dataclass(frozen=True, eq=False)
class Program:
    """Everything that was declared, in the order of the text, recipes written out."""

    seed: int
    sources: tuple[Source, ...] = ()
    models: tuple[Model, ...] = ()
    evals: tuple[Eval, ...] = ()
    stages: tuple[Stage, ...] = ()
    reports: tuple[Eval, ...] = ()
    exports: tuple[Export, ...] = ()
    protects: tuple[Protect, ...] = ()
    allows: tuple[Allow, ...] = ()
