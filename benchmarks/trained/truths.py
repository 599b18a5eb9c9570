"""What a stage really did: from the exact chances of all prompts, before and after, by the formula of each role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from populations import RATIOS, Population, half_width

TOLERANCE = RATIOS["attrition"].limit
NOTHING = 1e-3
"""Half-widths from the limit that are rounding: the stage changed nothing."""

CONDITIONS: Mapping[str, Mapping[str, int]] = {
    "expands": {"NSCR": 1, "newly solved": 1},
    "reshapes": {"Δpass@1": 1, "attrition": -1},
    "consolidates": {"retention": 1},
}
"""What is to lie above its limit (1) or below it (-1) for a role to be that of a stage."""


@dataclass(frozen=True)
class Truth:
    """Whether a stage has a role, over the whole population."""

    role: str
    values: Mapping[str, float]
    away: Mapping[str, float]
    """Half-widths, at the size of the eval, between each value and its limit: positive where the condition holds."""

    @property
    def distance(self) -> float:
        """Of the condition that holds least: all have to."""
        return min(self.away.values())

    @property
    def holds(self) -> bool:
        return self.distance > NOTHING

    @property
    def null(self) -> bool:
        return abs(self.distance) <= NOTHING


def truth(role: str, population: Population, prompts: int) -> Truth:
    """Of a claim whose eval has that many prompts."""
    values = {name: RATIOS[name].truth(population) for name in CONDITIONS[role]}
    away = {}
    for name, sign in CONDITIONS[role].items():
        width = half_width(RATIOS[name], population, prompts)
        away[name] = sign * (values[name] - RATIOS[name].limit) / width
    return Truth(role, values, away)


def did(population: Population, prompts: int) -> str:
    """In the words of a verdict: what its measurement would say if it were exact."""
    expands, reshapes = (truth(role, population, prompts) for role in ("expands", "reshapes"))
    rise = reshapes.away["Δpass@1"]
    word = "expand" if expands.holds else "reshape" if rise > NOTHING else "decline" if rise < -NOTHING else "nothing"
    return word + (" with attrition" if reshapes.values["attrition"] > TOLERANCE else "")
