"""How much memory a stage needs on each device, at most, counted from shapes: no weight is read.

Training processes hold whole copies (data parallel), or with `sharding` a part each. What stands all the time is
weights, gradients, AdamW's two moments, the other models (without one that lies under a trained adapter, which is there
already) and what the engine holds of its own; on top of that come, in turn, the activations and logits of a forward
pass, and the cache of keys and values while sampling, each with what is gathered for it of models in parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ptc.compiler import core
from ptc.compiler.catalogue import Placement
from ptc.compiler.lineage import beneath, plain, same, sources
from ptc.compiler.shapes import Shape

FORWARD_TOKENS = 1 << 14
"""Tokens, padding included, that the trainer takes in one forward pass where the profile says nothing."""
SAMPLED_TOKENS = 1 << 16
"""Tokens of prompts and completions that the transformers engine holds at once."""
WIDE = 4
"""Bytes of a number in weights that are trained, gradients and moments."""
ACTIVATIONS = 34
"""Bytes per token, layer and unit of width, of what a layer keeps for its backward pass in 16 bit
(Korthikanti et al., 2022, arXiv 2205.05198, without the attention scores, which are computed anew)."""


@dataclass(frozen=True)
class Part:
    """One of the things that take up memory while a stage runs."""

    name: str
    bytes: int
    passing: bool = False
    """Whether it is there for a while only: of these the largest counts."""


@dataclass(frozen=True)
class Estimate:
    """The parts of what one device holds."""

    parts: tuple[Part, ...]

    @property
    def resident(self) -> int:
        return sum(part.bytes for part in self.parts if not part.passing)

    @property
    def peak(self) -> int:
        return self.resident + max((part.bytes for part in self.parts if part.passing), default=0)

    @property
    def counted(self) -> tuple[Part, ...]:
        """The parts that the peak is the sum of."""
        passing = max((part for part in self.parts if part.passing), key=lambda part: part.bytes, default=None)
        return tuple(part for part in self.parts if part.bytes and (not part.passing or part is passing))


def estimate(stage: core.Stage, placement: Placement) -> Estimate | None:
    """What a stage needs; None as long as the shape of a trained model is not known."""
    shapes = [role.type.shape for role in stage.learners]
    if None in shapes:
        return None
    narrow = 2 if placement.precision == "bfloat16" else WIDE
    engine = 2 if placement.engine_precision == "bfloat16" else WIDE
    return Estimate(tuple(_parts(stage, placement, [shape for shape in shapes if shape is not None], narrow, engine)))


def _parts(stage: core.Stage, placement: Placement, shapes: list[Shape], narrow: int, engine: int) -> Iterator[Part]:
    trained = [_trained(role, shape) for role, shape in zip(stage.learners, shapes, strict=True)]
    devices = placement.devices if placement.sharded else 1
    yield Part("weights", WIDE * sum(shape.parameters for shape in shapes) // devices)
    yield Part("gradients", WIDE * sum(trained) // devices)
    yield Part("optimizer", 2 * WIDE * sum(trained) // devices)
    others = [*_frozen(stage), *(role.init for role in stage.roles if role.verb == "track")]
    yield Part("other models", WIDE * sum(model.type.size or 0 for model in others) // devices)
    yield Part("judges", engine * sum(model.type.size or 0 for model in _judges(stage)))
    samples = [source.type.sampling for source in _live(stage) if source.type.sampling is not None]
    if samples and placement.copies:
        yield Part("the engine's copy", engine * shapes[0].parameters)
    if placement.device == "cpu":  # with a GPU a checkpoint is read into the memory of the host
        yield Part("a checkpoint that is read to resume", 2 * WIDE * sum(trained), passing=True)
    tokens = _forward_tokens(stage, placement)
    activations = sum(shape.layers * shape.hidden for shape in shapes) * ACTIVATIONS * narrow // 2
    logits = 2 * WIDE * (shapes[0].vocabulary or 0)
    forward = tokens * (activations + logits)
    if placement.sharded:
        standing = [model.type.shape or shapes[0] for model in others]
        gathered = _gathered(shapes, standing, narrow)
        yield Part("activations, logits and gathered weights", forward + gathered, passing=True)
        whole = WIDE * max(shape.parameters for shape in (*shapes, *standing))
    else:
        yield Part("activations and logits", forward, passing=True)
        whole = 0
    if samples:
        held = max(SAMPLED_TOKENS, *(sampling.max_tokens for sampling in samples))
        cache = held * shapes[0].cached_per_token * engine
        yield Part("gathered weights and cache" if whole else "cache of keys and values", whole + cache, passing=True)


def _gathered(trained: list[Shape], standing: list[Shape], narrow: int) -> int:
    """What lies whole on each device, of models in parts, while it computes: embeddings and heads, two blocks at a time
    with their gradients, and all that autocast has made narrower, which is kept for the way back."""
    ends = WIDE * sum(shape.embeddings or 0 for shape in (*trained, *trained, *standing))
    blocks = 4 * WIDE * max(shape.blocks // shape.layers for shape in (*trained, *standing))
    return ends + blocks + (narrow * sum(shape.blocks for shape in trained) if narrow < WIDE else 0)


def _trained(role: core.Role, shape: Shape) -> int:
    """Parameters that receive gradient: those of the adapter, where there is one."""
    adapter = dict(role.type.adapter or ())
    rank = adapter.get("rank")
    return shape.adapter(int(rank)) if isinstance(rank, int) else shape.parameters


def _frozen(stage: core.Stage) -> list[core.Model]:
    """The models that stand still, each once: one that lies under a trained adapter is there already."""
    under = [beneath(role.init) for role in stage.learners]
    there = [plain(model) for model in under if model is not None]
    frozen = (plain(role.init) for role in stage.roles if role.verb == "freeze")
    return _distinct(model for model in frozen if not any(same(model, other) for other in there))


def _judges(stage: core.Stage) -> list[core.Model]:
    """The models that score while the stage runs, each once; one of the stage's own roles is there already."""
    steps = (step for source in _live(stage) for step in source.upstream() if step.live is not None)
    scoring = (scorer.model for step in steps if step.kind == "score" for scorer in step.type.scorers)
    return _distinct(model for model in scoring if isinstance(model, core.Model))


def _distinct(models: Iterable[core.Model]) -> list[core.Model]:
    found: list[core.Model] = []
    for model in models:
        if not any(same(model, other) for other in found):
            found.append(model)
    return found


def _live(stage: core.Stage) -> Iterator[core.Source]:
    for term in stage.terms:
        yield from (source for source in sources(term) if source.live is not None)


def _forward_tokens(stage: core.Stage, placement: Placement) -> int:
    """Tokens of one forward pass, at most."""
    longest = int(stage.settings.get("max_length") or 0)
    if placement.micro_batch is not None:
        return placement.micro_batch * longest
    return max(FORWARD_TOKENS, longest)


def spelled(count: int) -> str:
    """Bytes as people say them: ``1.6 GB``."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count} B"


def amount(count: int) -> str:
    """Parameters as people say them: ``7.2 B``, ``97.7 k``."""
    for unit, size in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return str(count)
