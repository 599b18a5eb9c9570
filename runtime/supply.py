"""What each step learns from: batches of fixed rows, and rollouts that are sampled at once and learned from in turn.

A rollout of the live sources is drawn when its first step begins, with the weights as they are then, and kept until its
last one; a checkpoint in between holds it. Beside live ones a fixed source gives each step a batch of its own; where
all are fixed, they are drawn in rollouts too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from ptc.compiler.graph import Json
from ptc.runtime.batches import Draw, Order, Sample
from ptc.runtime.precomputing import Precomputed
from ptc.runtime.ranks import Ranks
from ptc.runtime.training import Rhythm, Training

ROLLOUT_FILE = "rollout.json"


class Flow(Protocol):
    """A source of samples: fixed rows, or the attempts of a model at fixed prompts."""

    @property
    def size(self) -> int:
        """Units (rows or prompts) in one epoch."""

    @property
    def follows(self) -> str | None:
        """The source whose units it takes: one that learns from the same sampling."""

    def draw(self, step: int, units: Sequence[int]) -> Draw:
        """The samples of these units, for the step after `step` updates. Depends on nothing else, and where earlier
        rows are learned from again on what was drawn before."""

    def at(self, step: int, drawn: Draw) -> Draw:
        """The samples at the prompts of another source's draw for that step, and at no other, in their order."""

    def save(self, folder: Path, source: str) -> None:
        """Writes down what later draws depend on."""

    def load(self, folder: Path, source: str) -> None:
        """Takes up again what `save` has written."""


@dataclass(frozen=True)
class Rollout:
    """What is learned from in the steps that begin with `start`: of each source, a draw for each batch."""

    start: int
    draws: Mapping[str, Sequence[Draw]]

    @property
    def text(self) -> str:
        """As JSON, in which every number comes back as it was."""
        return json.dumps(self, default=vars)

    @staticmethod
    def parse(text: str) -> Rollout:
        document = json.loads(text)
        return Rollout(
            document["start"], {source: [draw_of(one) for one in own] for source, own in document["draws"].items()}
        )


def draw_of(document: Mapping[str, Json]) -> Draw:
    """A draw from its fields."""
    groups = [[Sample(**sample) for sample in group] for group in document["groups"]]
    return Draw(groups, document["metrics"], document["prompts"])


class Supply:
    """The draws of each step, in the order that seed and rhythm give."""

    def __init__(
        self,
        training: Training,
        flows: Mapping[str, Flow],
        ranks: Ranks,
        taken_up: Callable[[str, Draw], Draw] = lambda source, draw: draw,
    ) -> None:
        """`taken_up` adds to a draw of a source what has to be known of the models when it is taken up."""
        self._flows = dict(flows)
        self._ranks = ranks
        self._taken_up = taken_up
        self._rhythm: Rhythm = training.rhythm
        self._alike = {source: flow.follows for source, flow in flows.items() if flow.follows is not None}
        self._follows = {source: leader for source, leader in training.follows.items() if source not in self._alike}
        live = [source for source in training.sources if source in training.live]
        self._rolled = live or training.sources
        self._anchored = [
            source
            for source in training.sources
            if source not in (*self._rolled, *training.follows) and training.loss_of(source).asks(source)
        ]
        """Fixed sources beside live ones of which something must be known when the rollout is taken up."""
        self._orders = {
            source: Order(training.seed, source, flows[source].size, training.batch[source])
            for source in training.sources
            if source not in self._follows and source not in self._alike
        }
        self._orders |= {source: self._orders[leader] for source, leader in self._alike.items()}
        self._rollout: Rollout | None = None
        first = next(iter(self._orders))
        passes = training.rhythm.passes if first in self._rolled else 1
        self.steps_per_epoch = passes * self._orders[first].steps_per_epoch
        """Steps in one pass over the first term's source."""

    def draws(self, step: int) -> dict[str, Draw]:
        """What the step after `step` updates learns from, by source, as the first process drew it."""
        drawn = self._ranks.told(self._drawn(step) if self._ranks.first else None)
        return drawn if self._ranks.first else {source: draw_of(each) for source, each in drawn.items()}

    def _drawn(self, step: int) -> dict[str, Draw]:
        if self._rollout is None or self._rollout.start != self._rhythm.start(step):
            self._rollout = self._sampled(step)
        places = dict.fromkeys(self._anchored, step - self._rollout.start)
        draws = {
            source: drawn[places.get(source, self._rhythm.batch(step))] for source, drawn in self._rollout.draws.items()
        }
        for source, order in self._orders.items():
            if source not in draws:
                draws[source] = self._taken_up(source, self._flows[source].draw(step, order.units(step)))
        for source, leader in self._follows.items():
            if source not in draws:
                draws[source] = self._taken_up(source, self._flows[source].at(step, draws[leader]))
        return draws

    def precompute(self, asked: Callable[[str, Draw], Draw], sources: Iterable[str]) -> None:
        """Draws of these fixed sources bring along, from now on, what `asked` adds to them now."""
        for source in sources:
            flow, order = self._flows[source], self._orders[source]
            self._flows[source] = Precomputed.of(flow, order, partial(asked, source))

    def save(self, folder: Path, step: int) -> None:
        """Writes down the rollout that the next step goes on with, if there is one, and what later ones depend on."""
        for source, flow in self._flows.items():
            flow.save(folder, source)
        if self._rollout is not None and self._rollout.start == self._rhythm.start(step) != step:
            (folder / ROLLOUT_FILE).write_text(self._rollout.text)

    def load(self, folder: Path) -> None:
        """Takes up the rollout of a checkpoint again."""
        for source, flow in self._flows.items():
            flow.load(folder, source)
        if (folder / ROLLOUT_FILE).exists():
            self._rollout = Rollout.parse((folder / ROLLOUT_FILE).read_text())

    def _sampled(self, step: int) -> Rollout:
        """The rollout of a step, all of its batches sampled together."""
        first = self._rhythm.first_batch(step)
        draws: dict[str, Sequence[Draw]] = {}
        for source in self._rolled:
            if source in self._follows:
                continue
            batches = [self._orders[source].units(first + number) for number in range(self._rhythm.batches)]
            drawn = self._flows[source].draw(self._rhythm.start(step), [unit for units in batches for unit in units])
            draws[source] = _cut(drawn, [len(units) for units in batches])
        for source in self._rolled:
            if source in self._follows:
                leading = draws[self._follows[source]]
                draws[source] = [self._flows[source].at(self._rhythm.start(step), drawn) for drawn in leading]
        for source in self._anchored:
            steps = range(self._rhythm.start(step), self._rhythm.start(step) + self._rhythm.updates)
            draws[source] = [self._flows[source].draw(each, self._orders[source].units(each)) for each in steps]
        known = {source: [self._taken_up(source, drawn) for drawn in own] for source, own in draws.items()}
        return Rollout(self._rhythm.start(step), known)


def _cut(draw: Draw, sizes: Sequence[int]) -> list[Draw]:
    """The draw's groups as batches of these sizes; what is measured of all of them is said once, with the first."""
    batches, start = list[Draw](), 0
    for size in sizes:
        own = slice(start, start + size)
        batches.append(Draw(draw.groups[own], {} if batches else draw.metrics, draw.prompts[own]))
        start += size
    return batches
