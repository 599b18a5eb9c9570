"""The units that numbers carry, and what each of them measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Dimension = Literal[
    "share", "points", "epochs", "prompts", "samples", "steps", "rollouts", "tokens", "number", "bytes", "time"
]


@dataclass(frozen=True)
class Unit:
    """`factor` takes a number in this unit to the base of its dimension: counts, bytes, seconds, shares of one."""

    name: str
    dimension: Dimension
    factor: int | float = 1


def _counts(dimension: Dimension) -> tuple[Unit, Unit]:
    return Unit(dimension, dimension), Unit(dimension.removesuffix("s"), dimension)


UNITS: dict[str, Unit] = {
    unit.name: unit
    for unit in (
        Unit("%", "share", 0.01),
        *_counts("points"),
        *_counts("epochs"),
        *_counts("prompts"),
        *_counts("samples"),
        *_counts("steps"),
        *_counts("rollouts"),
        *_counts("tokens"),
        Unit("k", "number", 10**3),
        Unit("M", "number", 10**6),
        Unit("Ki", "number", 2**10),
        Unit("Mi", "number", 2**20),
        Unit("KB", "bytes", 10**3),
        Unit("MB", "bytes", 10**6),
        Unit("GB", "bytes", 10**9),
        Unit("TB", "bytes", 10**12),
        Unit("s", "time", 1),
        Unit("m", "time", 60),
        Unit("h", "time", 3600),
        Unit("d", "time", 86400),
    )
}

COUNTS: frozenset[Dimension] = frozenset({"points", "epochs", "prompts", "samples", "steps", "rollouts", "tokens"})
"""Dimensions that are written as a word after a blank (``64 prompts``); the others close up (``16Ki``, ``10%``)."""


def spelled(number: str, unit: str | None) -> str:
    """A number with its unit, as `ptc fmt` writes it: ``10%``, ``16Ki``, ``2 epochs``."""
    if unit is None:
        return number
    return f"{number} {unit}" if UNITS[unit].dimension in COUNTS else f"{number}{unit}"
