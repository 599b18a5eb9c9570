"""How the processes that train together hold the models of a stage.

Each holds whole ones, unless the profile asks for parts (`sharding`): then whoever runs a model needs the others, and
all must run the same models in the same order (`runtime.sharding`). What the first process does by itself, such as
judging, it does with a model that it has gathered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from ptc.compiler.graph import Json
from ptc.runtime.placement import Placement
from ptc.runtime.ranks import Ranks

T = TypeVar("T")
Span = tuple[int, int]
"""From which to before which sample."""


class Whole:
    """Every process holds whole models and computes for itself; gradients are summed before a step."""

    in_parts = False

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks

    def place(self, name: str, model: torch.nn.Module, device: torch.device) -> None:
        """Lays a model of the stage out over the processes."""

    def run(self, model: torch.nn.Module, function: Callable[[], T]) -> T:
        """What a function that runs the model's body gives."""
        return function()

    def in_step(self, spans: Callable[[int], Sequence[Span]]) -> Iterator[tuple[Span, bool]]:
        """The micro-batches that this process runs, of those due to each process; and whether they count."""
        yield from ((span, True) for span in spans(self._ranks.index))

    def add_up(self, model: torch.nn.Module) -> None:
        """Makes the gradients of the model the sums over the processes."""
        self._ranks.add_up(model.parameters())

    def over_parts(self, numbers: torch.Tensor) -> torch.Tensor:
        """Sums over the model's parameters, of which each process has taken those of the numbers that it holds."""
        return numbers

    def gather(self, name: str) -> None:
        """The first process is about to use a model by itself, whole, until anything else is asked or run in step."""

    def gather_with_others(self, name: str) -> None:
        """What `gather` does, in every process."""

    def ask(self, deed: str, about: Json = None) -> None:
        """The first process is about to do something for which models in parts need the others."""

    def rest(self) -> None:
        """Nobody runs anything now: what was gathered is given up."""


def held(ranks: Ranks, placement: Placement) -> Whole:
    """As the profile asks. Raises `ResourceMissing` if models cannot be held so."""
    if placement.sharding == "none":
        return Whole(ranks)
    from ptc.runtime.sharding import Sharded

    return Sharded(ranks, "cpu" if placement.cpu else "cuda")
