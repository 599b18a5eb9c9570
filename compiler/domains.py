"""Which prompts reach a source: strands, shares of the prompts of one origin, and how two of them lie to each other.

Decided from the text alone, so only between sources that are joined by `slice`, `keep`, `take` and `without`. What is
not decided here is left to `ptc check --data`, which compares rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ptc.compiler import core
from ptc.compiler.graph import Json, canonical
from ptc.compiler.meaning import interval

ORIGINAL = ("sample", "score")
"""Steps behind which a filter looks at what was generated, and no longer at what the prompts are about."""

PROMPT: Json = {"op": "column", "name": "prompt"}
"""What ``prompts(.prompt, …)`` makes prompts of: they stay what they are."""


@dataclass(frozen=True)
class Strand:
    """A share of the prompts of one origin."""

    origin: str
    """What the rows are: the name of a dataset and its split, or a generator with its seed and settings."""
    prompted: str = ""
    """How prompts were made of the rows; empty for rows that came with prompts."""
    shares: tuple[tuple[str, float, float], ...] = ()
    """For each way of prompting on the way: the shares of the prompts' hash between which they lie."""
    filters: frozenset[str] = frozenset()
    """Steps that only a part of the prompts passes."""
    topics: frozenset[str] = frozenset()
    """Those of the filters that look at the rows as they came."""
    without: frozenset[tuple[Strand, ...]] = frozenset()
    """Prompts that were taken out."""
    source: core.Source = field(compare=False, kw_only=True)
    """The node that brought the rows in."""

    @property
    def kin(self) -> str:
        """The distribution that the prompts are from, whatever the split and the seed."""
        return family(self.source)

    def interval(self, prompted: str) -> tuple[float, float]:
        """Between which shares of the hash of prompts that were made in one way the rows lie."""
        for key, low, high in self.shares:
            if key == prompted:
                return low, high
        return 0.0, 1.0

    def cut(self, low: float, high: float) -> Strand | None:
        """What lies in a slice; None where nothing does."""
        before = self.interval(self.prompted)
        low, high = max(low, before[0]), min(high, before[1])
        others = tuple(share for share in self.shares if share[0] != self.prompted)
        return replace(self, shares=(*others, (self.prompted, low, high))) if low < high else None

    def contains(self, other: Strand) -> bool:
        """Whether every prompt of the other is one of these, for certain."""
        if (self.origin, self.prompted) != (other.origin, other.prompted):
            return False
        within = all(_within(other.interval(key), (low, high)) for key, low, high in self.shares)
        return within and self.filters <= other.filters and self.without <= other.without

    def overlaps(self, other: Strand) -> bool:
        """Whether both hold the same prompts, as far as the text decides it: no for filters on different topics."""
        if self.origin != other.origin:
            return False
        for key, low, high in self.shares:  # first, because most strands that do not meet differ in this
            for same, from_, to in other.shares:
                if same == key and (high <= from_ or to <= low):
                    return False
        if not (self.topics <= other.topics or other.topics <= self.topics):
            return False
        return not (self._excludes(other) or other._excludes(self))

    def _excludes(self, other: Strand) -> bool:
        return any(taken.contains(other) for strands in self.without for taken in strands)


def _within(inner: tuple[float, float], outer: tuple[float, float]) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]


@dataclass
class Domains:
    """The strands of sources, each computed once."""

    _known: dict[int, tuple[Strand, ...]] = field(default_factory=dict)
    _kept: list[core.Source] = field(default_factory=list)

    def of(self, source: core.Source) -> tuple[Strand, ...]:
        """The strands of a source: one, or those of all the sources that were joined."""
        if id(source) not in self._known:
            for step in reversed([*source.upstream()]):  # without recursion: a flow may be as long as the program
                if id(step) not in self._known:
                    self._kept.append(step)
                    self._known[id(step)] = tuple(dict.fromkeys(self._strands(step)))
        return self._known[id(source)]

    def shared(self, first: core.Source, second: core.Source) -> tuple[Strand, Strand] | None:
        """Two strands that hold the same prompts, if there are any."""
        strands = self.of(second)
        for one in self.of(first):
            for other in strands:
                if one.overlaps(other):
                    return one, other
        return None

    def _strands(self, source: core.Source) -> Iterator[Strand]:
        if not source.parts:
            yield Strand(identity(source), source=source)
        for strand in (strand for rows in source.parts for strand in self.of(rows)):
            yield from self._after(source, strand)

    def _after(self, step: core.Source, strand: Strand) -> Iterator[Strand]:
        """What a step leaves of a strand."""
        match step.kind:
            case "prompts":
                made = step.settings["columns"].get("prompt")
                yield strand if made == PROMPT else replace(strand, prompted=canonical([strand.prompted, made]))
            case "slice":
                part = strand.cut(*interval(step))
                if part is not None:
                    yield part
            case "without":
                other = step.inputs["other"]
                taken = self.of(other) if isinstance(other, core.Source) else ()
                yield replace(strand, without=strand.without | {taken})
            case "keep" | "only":
                name = _filter(step)
                generated = any(one.kind in ORIGINAL for one in step.upstream())
                topics = strand.topics if generated else strand.topics | {name}
                yield replace(strand, filters=strand.filters | {name}, topics=topics)
            case "take" | "unique":
                yield replace(strand, filters=strand.filters | {_filter(step)})
            case _:
                yield strand


def _filter(step: core.Source) -> str:
    """A filter on a row is the same wherever it stands; one that depends on the other rows is its own."""
    if step.kind in ("keep", "only") and not any(one.kind in ORIGINAL for one in step.upstream()):
        return canonical(step.settings)
    return f"{step.kind} {id(step)}"


def identity(origin: core.Source) -> str:
    """What a source of rows is: without the revision and the author of a dataset, with the seed of a generator."""
    return canonical([origin.kind, _named(origin, ("name", "config", "split"), ("path",))])


def family(origin: core.Source) -> str:
    """The distribution behind a source of rows: a dataset in all its splits, a generator at any seed and size."""
    settings = {key: value for key, value in origin.settings.items() if key not in ("seed", "size")}
    return canonical([origin.kind, _named(replace(origin, settings=settings), ("name",), ("path",))])


def _named(origin: core.Source, *keys: tuple[str, ...]) -> Json:
    for known in keys:
        if known[0] in origin.settings:
            return {key: origin.settings.get(key) for key in known}
    return dict(origin.settings)
