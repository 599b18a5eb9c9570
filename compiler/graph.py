"""The graph of a program: what the compiler hands to the runtime. `docs/graph.md` describes every kind of node."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Any
"""A value of JSON: None, bool, int, float, str, list of those, or dict from str to those."""


def canonical(document: Json) -> str:
    """The one spelling of a JSON value: sorted keys, no blanks, shortest floats that read back, ``-0.0`` as ``0.0``."""
    return json.dumps(_without_negative_zero(document), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(document: Json) -> str:
    """SHA-256 of the canonical spelling, in hex."""
    return hashlib.sha256(canonical(document).encode()).hexdigest()


def _without_negative_zero(value: Json) -> Json:
    if isinstance(value, float) and value == 0.0:
        return 0.0
    if isinstance(value, dict):
        return {key: _without_negative_zero(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_negative_zero(item) for item in value]
    return value


@dataclass(frozen=True)
class Watch:
    """An eval taken every so many steps of a stage. `prompts` is the meaning of the node that holds its prompts, or the
    texts that it reads; `models` those of the models that it needs besides the one that is measured, by input."""

    name: str
    every: int
    prompts: str
    settings: Mapping[str, Json]
    models: Mapping[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The meanings of all that it needs."""
        return (self.prompts, *self.models.values())


@dataclass(frozen=True)
class Guard:
    """What a stage measures of itself, against a limit: one that it does not keep warns, or stops the stage."""

    monitor: str
    """The monitor's name: ``kl-budget``."""
    measure: str
    """What is compared (`compiler.monitors`)."""
    op: str
    """``ge``, ``gt``, ``le`` or ``lt``: how what is measured stands to the limit as long as all is well."""
    limit: float
    over: int = 1
    """Of how many steps the median is compared."""
    about: str = ""
    """The watched eval that it is about."""
    stops: bool = False
    place: str = ""
    """``file:line`` of one that the program writes."""


@dataclass(frozen=True)
class Node:
    """One step of a program. `inputs` map a role of the step to the meaning of the node that fills it."""

    kind: str
    semantics: int
    settings: Mapping[str, Json]
    inputs: Mapping[str, str]
    label: str = ""
    """What the user calls it: never part of the meaning."""
    place: str = ""
    """``file:line`` for messages: never part of the meaning."""
    names: Mapping[str, str] = field(default_factory=dict)
    """What the user calls things: canonical names inside `settings` (``m0``, ``s0``) to the program's, and for what is
    measured the `stage`, the `eval` and the `point` (``entry``, ``exit``, …); of rows from outside the columns that are
    known, with their types. Never part of the meaning."""
    after: tuple[str, ...] = ()
    """Meanings of nodes that must be done before: gates. Never part of the meaning."""
    watches: tuple[Watch, ...] = ()
    """Evals taken while a stage runs: observers, never part of the meaning."""
    guards: tuple[Guard, ...] = ()
    """Limits that a stage is watched by: observers, never part of the meaning."""

    @property
    def document(self) -> dict[str, Json]:
        return {
            "kind": self.kind,
            "semantics": self.semantics,
            "settings": dict(self.settings),
            "inputs": dict(self.inputs),
        }

    @property
    def meaning(self) -> str:
        return digest(self.document)


@dataclass(frozen=True)
class Graph:
    """Nodes by meaning, in an order in which every node stands behind its inputs, and the roots that a run is for."""

    nodes: Mapping[str, Node]
    roots: tuple[str, ...]
