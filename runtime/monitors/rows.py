"""The rows of a stage so far, and the few statistics that measures are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, median

Row = Mapping[str, float]
"""The metrics of one step, under the names of `metrics.jsonl`."""
FIRST = 10
"""Steps from which it is known how a stage began."""
GOLD = ("pass@1", "reward", "win_rate", "bits_per_character")
"""What a watched eval says, one of these."""


def at(rows: Sequence[Row], end: int, name: str) -> float | None:
    """What the last of the first `end` rows says."""
    return rows[end - 1].get(name)


def known(rows: Sequence[Row], start: int, end: int, name: str) -> list[float]:
    """The values between two places, where there are any."""
    return [rows[place][name] for place in range(max(0, start), end) if name in rows[place]]


def beginning(rows: Sequence[Row], end: int, name: str) -> float | None:
    """The median of the first steps, once they are over."""
    values = known(rows, 0, min(FIRST, end), name)
    return median(values) if len(values) == FIRST else None


def gold(row: Row, about: str) -> float | None:
    """What a watched eval says at a step: more is better."""
    for measure in GOLD:
        value = row.get(f"eval/{about}/{measure}")
        if value is not None:
            return -value if measure == "bits_per_character" else value
    return None


def watched(rows: Sequence[Row], end: int, about: str, points: int) -> list[tuple[Row, float, float]]:
    """The last so many measurements of an eval: the row, the mean reward since the one before, and what it says.

    Nothing where the last row holds none, or where no reward was known.
    """
    if gold(rows[end - 1], about) is None:
        return []
    places = [place for place in range(end) if gold(rows[place], about) is not None]
    found = []
    for before, place in zip([-1, *places], places, strict=False):
        rewards = known(rows, before + 1, place + 1, "reward")
        said = gold(rows[place], about)
        if rewards and said is not None:
            found.append((rows[place], fmean(rewards), said))
    return found[-points:]
