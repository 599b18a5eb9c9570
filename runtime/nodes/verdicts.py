"""What became of a claim, and how it is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ptc.compiler.graph import Json
from ptc.runtime.intervals import Interval

VERDICT_FILE = "verdict.json"
Result = Literal["supported", "refuted", "undecided"]


@dataclass(frozen=True)
class Verdict:
    """What became of a claim. `words` is one line for a table; `numbers` are what it rests on."""

    verdict: Result
    words: str
    numbers: Mapping[str, Json]
    intervals: Mapping[str, Interval]


def in_words(claimed: str, measured: str, attrition: bool, figures: str) -> str:
    return f"claimed {claimed}, measured {measured}{' with attrition' if attrition else ''}: {figures}"


def with_reach(words: str, result: Result, reach: str, prompts: int) -> str:
    """The words of a verdict; of one that is undecided, also how near so many prompts come to deciding it."""
    return f"{words}; undecided: {prompts} prompts tell no less than {reach}" if result == "undecided" else words


def spelled(interval: Interval) -> str:
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def points(interval: Interval) -> str:
    """A difference of rates, in percentage points."""
    return f"{100 * interval.value:+.1f} points [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"
