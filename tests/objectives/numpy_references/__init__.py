"""The objectives of the library once more, row by row, in NumPy and float64, after the formulas of their papers.

`now` is the learner as it is differentiated, `then` the same numbers standing still: what a formula holds without
gradient is taken from `then`.
"""

from __future__ import annotations

from collections.abc import Callable

from numpy_references import heads, preferences, rewards, teachers, tokens
from numpy_references.world import World as World

MODULES = (heads, preferences, rewards, teachers, tokens)


def formula(objective: str) -> Callable[..., float]:
    """The value of a loss, of the world of each of its sources."""
    found: Callable[..., float] = next(vars(module)[objective] for module in MODULES if objective in vars(module))
    return found
