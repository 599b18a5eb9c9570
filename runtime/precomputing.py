"""References that stand still over rows that stand still: asked once, before the first step (`precompute`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ptc.compiler.graph import Json
from ptc.runtime.batches import Draw, Order, Sample
from ptc.runtime.stateless import Stateless

if TYPE_CHECKING:
    from ptc.runtime.supply import Flow

STAGE_START = "stage_start"


@dataclass(frozen=True)
class Precomputed(Stateless):
    """A fixed source whose samples keep what the references say of them."""

    flow: Flow
    known: Mapping[int, Sequence[Sample]]
    """By unit."""

    @staticmethod
    def of(flow: Flow, order: Order, asked: Callable[[Draw], Draw]) -> Precomputed:
        """In the batches of the first epoch: its numbers are those of references that are asked in each step."""
        known: dict[int, Sequence[Sample]] = {}
        for step in range(order.steps_per_epoch):
            units = order.units(step)
            known |= zip(units, asked(flow.draw(step, units)).groups, strict=True)
        return Precomputed(flow, known)

    @property
    def size(self) -> int:
        return self.flow.size

    def draw(self, step: int, units: Sequence[int]) -> Draw:
        return replace(self.flow.draw(step, units), groups=[self.known[unit] for unit in units])

    def at(self, step: int, drawn: Draw) -> Draw:
        return self.flow.at(step, drawn)


def asked_once(terms: Sequence[Json], models: Collection[str], sources: Collection[str]) -> list[Json]:
    """A stage's terms in which these models are asked for log-probabilities of these sources at the stage's start."""
    return [{**term, "loss": _asked_once(term["loss"], term["source"], models, sources)} for term in terms]


def precomputed(terms: Sequence[Json]) -> set[str]:
    """The sources of which something is asked at the stage's start."""
    return {source for term in terms for source in _sources(term["loss"], term["source"])}


def _asked_once(document: Json, source: str, models: Collection[str], sources: Collection[str]) -> Json:
    asked = document["op"] == "logp" and "at" not in document
    if asked and document["model"] in models and document.get("source", source) in sources:
        return {**document, "at": STAGE_START}
    if "args" not in document:
        return document
    return {**document, "args": [_asked_once(arg, source, models, sources) for arg in document["args"]]}


def _sources(document: Json, source: str) -> set[str]:
    if document.get("at") == STAGE_START:
        return {document.get("source", source)}
    return {found for arg in document.get("args", ()) for found in _sources(arg, source)}
