"""What carries out the nodes of a smoke run: the implementations of any run, and little that stands in for the world.

Models from outside are made with random weights, rows from outside are a few that lie here or are made up, and a filter
or a gate that would end the run does not: what it decides about random weights means nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

from ptc.compiler.graph import Node
from ptc.runtime.artifacts import Implementation
from ptc.runtime.nodes import KINDS, implementation

MARK = "smoke"
"""The setting of every node of a smoke run: the meaning of the node that it stands for."""
ROWS = 16
"""Rows of each source from outside."""

STANDING_IN: Mapping[str, tuple[str, str]] = {
    "hub_model": ("models", "from_outside"),
    "local_model": ("models", "from_outside"),
    "new_model": ("models", "new_model"),
    "hub_dataset": ("rows", "from_outside"),
    "extern_source": ("rows", "from_outside"),
    "file": ("rows", "file"),
    **dict.fromkeys(("keep", "slice", "without"), ("rows", "some_left")),
    "only": ("rows", "only"),
    "best": ("rows", "best"),
    "best_and_worst": ("rows", "best_and_worst"),
    **dict.fromkeys(("gate", "protect"), ("verdicts", "undecided")),
}
"""Kind to module of this package and name of the function in it: of the kinds that are carried out otherwise."""


@dataclass(frozen=True)
class Outside:
    """What a smoke run has of the world outside of the program."""

    places: Mapping[str, Path]
    """Meaning of a source or a model (of the whole program) to the file or folder that stands for it."""
    columns: Mapping[str, Mapping[str, str]]
    """Meaning of a source to the columns that are made up for it, with their types."""
    say: Callable[[str], None]
    """Takes a remark: what went on although it would have stopped a run."""

    def place(self, node: Node) -> Path | None:
        return self.places.get(node.settings[MARK])


@dataclass(frozen=True)
class SmokeImplementations(Mapping[str, Implementation]):
    """The table of node kinds in a smoke run."""

    outside: Outside

    def __getitem__(self, kind: str) -> Implementation:
        if kind not in STANDING_IN:
            return implementation(kind)
        module, name = STANDING_IN[kind]
        return partial(getattr(import_module(f"{__name__}.{module}"), name), self.outside)

    def __iter__(self) -> Iterator[str]:
        return iter(KINDS)

    def __len__(self) -> int:
        return len(KINDS)
