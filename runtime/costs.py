"""What a run costs: tokens sampled, read and trained on, floating-point operations, and seconds of devices.

Whoever runs a model tells `spend`; a node's implementation need not know of it. The executor opens a `Meter` around
each node (`runtime.accounts`), and what is spent outside of one is nobody's.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from ptc.compiler.graph import Json

if TYPE_CHECKING:
    from ptc.runtime.ranks import Ranks

OF_NODE, OF_WATCHES = "cost", "watching"
"""Where the provenance of an action has the cost of its node, and the part of it that watches had."""


@dataclass(frozen=True)
class Cost:
    """What was spent. Sums of costs are costs."""

    device_seconds: float = 0.0
    """Wall-clock seconds times devices."""
    sampled_tokens: int = 0
    read_tokens: int = 0
    """Read without a gradient: prompts before sampling, texts that are only scored, references, teachers, judges."""
    trained_tokens: int = 0
    """Read forward and backward."""
    flops: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(mine + its for mine, its in zip(self.amounts, other.amounts, strict=True)))

    @property
    def amounts(self) -> list[Any]:
        return [getattr(self, field.name) for field in fields(self)]

    @property
    def document(self) -> dict[str, Json]:
        return {**asdict(self), "device_seconds": round(self.device_seconds, 3)}

    @staticmethod
    def of(document: Mapping[str, Json]) -> Cost:
        return Cost(**{field.name: document[field.name] for field in fields(Cost)})


NOTHING = Cost()


def total(costs: Iterable[Cost]) -> Cost:
    return sum(costs, NOTHING)


def cost_of(provenance: Mapping[str, Json]) -> Cost | None:
    """What a node has cost, by the provenance of its action; None where it was made before costs were taken down."""
    return Cost.of(provenance[OF_NODE]) if OF_NODE in provenance else None


def cost_of_watches(provenance: Mapping[str, Json]) -> Cost:
    """The part of a stage's cost that its watches had."""
    return Cost.of(provenance[OF_WATCHES]) if OF_WATCHES in provenance else NOTHING


# While a node is computed ---------------------------------------------------------------------------------------------


class Meter:
    """Adds up what is spent while it is open, and which part of it watches had."""

    def __init__(self) -> None:
        self.spent = NOTHING
        self.watching = NOTHING
        """Its seconds are those of the clock."""
        self.watches = False
        self.rehearses = False

    def add(self, cost: Cost) -> None:
        if self.rehearses:
            cost = Cost(device_seconds=cost.device_seconds, flops=cost.flops)
        self.spent += cost
        if self.watches:
            self.watching += cost

    def taken(self) -> Cost:
        """What was spent so far, and is handed on to another meter."""
        spent, self.spent = self.spent, NOTHING
        return spent


_METER: ContextVar[Meter | None] = ContextVar("meter", default=None)


@contextmanager
def metered() -> Iterator[Meter]:
    """Inside the block everything that is spent goes to a meter of its own."""
    meter = Meter()
    token = _METER.set(meter)
    try:
        yield meter
    finally:
        _METER.reset(token)


def spend(cost: Cost) -> None:
    meter = _METER.get()
    if meter is not None:
        meter.add(cost)


@contextmanager
def watching() -> Iterator[None]:
    """What is spent inside of the block looks on, and trains nothing."""
    meter, began = _METER.get() or Meter(), time.monotonic()
    meter.watches = True
    try:
        yield
    finally:
        meter.watches = False
        meter.watching += Cost(device_seconds=time.monotonic() - began)


@contextmanager
def rehearsing() -> Iterator[None]:
    """What is read inside of the block is read a second time, to see that it was read rightly: it takes operations,
    and is not counted among the tokens."""
    meter = _METER.get() or Meter()
    before, meter.rehearses = meter.rehearses, True
    try:
        yield
    finally:
        meter.rehearses = before


def booked_by_the_first(ranks: Ranks) -> None:
    """Hands what the other processes have spent to the first one's meter. All of them call it."""
    if ranks.count > 1:
        meter = _METER.get() or Meter()
        sums = ranks.total((NOTHING if ranks.first else meter.taken()).amounts)
        meter.add(Cost(sums[0], *map(int, sums[1:])) if ranks.first else NOTHING)


# What tokens cost a model ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Arithmetic:
    """The floating-point operations that a token takes (Kaplan et al., 2020, arXiv 2001.08361, section 2.1)."""

    weights: int = 0
    """Numbers of the matrices that a token is multiplied with: the head among them, looked-up embeddings not; of
    experts those that one token meets."""
    trained: int = 0
    """Those of them that learn."""
    attention: int = 0
    """Layers x heads x size of a head."""
    again: bool = False
    """Gradients are taken from a second forward pass (gradient checkpointing)."""

    def forward(self, tokens: int, attended: int) -> int:
        """2 per weight and token; 4 per layer, width of attention, and pair of a token with one that it attends to."""
        return 2 * self.weights * tokens + 4 * self.attention * attended

    def learning(self, tokens: int, attended: int) -> int:
        """Forward, backward to the inputs as much again, and 2 per token and weight that learns: 6 per weight and token
        where all learn, about 4 with an adapter."""
        once = self.forward(tokens, attended)
        attended_backward = 4 * self.attention * attended if self.trained else 0
        return (3 if self.again else 2) * once + 2 * self.trained * tokens + attended_backward


NO_ARITHMETIC = Arithmetic()
"""Of what is no model."""


def attended(lengths: Iterable[int], behind: int = 0) -> int:
    """Pairs of a token and one that it attends to, itself among them: in sequences of these lengths, behind so many
    tokens each. Windows of attention are not taken into account."""
    return sum(length * behind + length * (length + 1) // 2 for length in lengths)


def read(arithmetic: Arithmetic, lengths: Sequence[int]) -> None:
    """Texts of these lengths have been read without a gradient."""
    tokens = sum(lengths)
    spend(Cost(read_tokens=tokens, flops=arithmetic.forward(tokens, attended(lengths))))


def trained(arithmetic: Arithmetic, lengths: Sequence[int]) -> None:
    """Texts of these lengths have been read with a gradient."""
    tokens = sum(lengths)
    spend(Cost(trained_tokens=tokens, flops=arithmetic.learning(tokens, attended(lengths))))


def sampled(arithmetic: Arithmetic, prompt: int, lengths: Sequence[int]) -> None:
    """Completions of these lengths have been sampled behind one prompt, which was read once."""
    tokens = sum(lengths)
    read(arithmetic, [prompt])
    spend(Cost(sampled_tokens=tokens, flops=arithmetic.forward(tokens, attended(lengths, prompt))))
