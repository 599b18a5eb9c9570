"""What the evals of a program can decide, as `ptc plan` says it before a run (`docs/verdicts.md`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import BaseModel, ConfigDict

METRICS = {
    "pass_rate": "pass@1",
    "reward": "reward",
    "win_rate": "win rate",
    "bits_per_character": "bits per character",
}
"""What each kind of eval measures."""


class Decidable(BaseModel):
    """How large a change must be to be told from none, for one of the things that an eval is asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    statistic: str
    asks: tuple[str, ...]
    """The claims, gates and reports that ask."""
    at_worst: float | None
    """Half-width of the 95 % interval; None where values have no bound or the number of prompts is not known."""
    as_measured: float | None
    """The same by earlier measurements of this eval; None where the store has none."""
    allowed: float | None
    """What may be lost. With a half-width greater than that, it cannot be told that no more was."""


class PlannedEval(BaseModel):
    """An eval, how large it is, and what it can decide."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: str
    prompts: int | None
    """None until its rows are read."""
    counted: bool
    """Whether they have been read; else there are at most so many."""
    attempts: int
    measurements: int
    """How often it is taken in the run."""
    decides: tuple[Decidable, ...]


def lines(evals: Iterable[PlannedEval]) -> Iterator[str]:
    """``eval skill: 612 prompts × 16, measured 7 times; decidable at 95 %:``, and what, line by line."""
    for each in evals:
        size = "as many prompts as its rows will have"
        if each.prompts is not None:
            size = f"{'' if each.counted else 'at most '}{each.prompts:,} prompts"
        attempts = f" × {each.attempts}" if each.attempts > 1 else ""
        yield f"eval {each.name}: {size}{attempts}, measured {each.measurements} times; decidable at 95 %:"
        yield from (f"  {spelled(decidable)}" for decidable in each.decides)


def spelled(decidable: Decidable) -> str:
    """``a change of pass@1 of 2.9 points as measured, 5.6 points at worst: reasoner reshapes skill``."""
    worst, measured = decidable.at_worst, decidable.as_measured
    found = [(measured, "as measured"), (worst, "at worst")]
    known = ", ".join(f"{_amount(decidable, value)} {how}" for value, how in found if value is not None)
    what = f"{_WORDS.get(decidable.statistic) or decidable.statistic.replace('Δ', 'a change of ')}"
    words = f"{what}{f' of {known}' if known else ', once it is measured'}: {', '.join(decidable.asks)}"
    narrowest = measured if measured is not None else worst
    if decidable.allowed is None or narrowest is None:
        return words
    can = "can" if narrowest <= decidable.allowed else "cannot"
    return f"{words}; {_amount(decidable, decidable.allowed)} may be lost: that it is no more {can} be shown"


_WORDS = {"retention": "a loss of what was right", "NSCR": "an NSCR"}


def _amount(decidable: Decidable, value: float) -> str:
    if decidable.statistic == "retention":
        return f"{value:.1%}"
    return f"{100 * value:.1f} points" if decidable.statistic in ("Δpass@1", "Δwin rate") else f"{value:.3f}"
