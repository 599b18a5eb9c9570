"""What rows are worth: one verifier, or a weighted sum of several.

A response that one of them cannot judge has no reward: what is missing is not 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import pyarrow as pa

from ptc.compiler.graph import Json
from ptc.runtime.tables import column
from ptc.runtime.verifier_pool import Judge
from ptc.stdlib.verifiers import Error, Fail, Pass, Penalty, Refused, Timeout, Verdict, reward_of


@dataclass(frozen=True)
class Judged:
    """What one summand says of each row."""

    name: str
    weight: float
    verdicts: Sequence[Verdict]

    @property
    def rewards(self) -> list[float | None]:
        """Unweighted."""
        return [reward_of(verdict) for verdict in self.verdicts]


@dataclass(frozen=True)
class Worth:
    """Rewards of rows, by summand and in all."""

    parts: tuple[Judged, ...]

    @property
    def rewards(self) -> list[float | None]:
        """The weighted sum; None where a summand has nothing to say."""
        return [_sum(row) for row in zip(*(self._weighted(part) for part in self.parts), strict=True)]

    @property
    def verdicts(self) -> list[str]:
        """In words, as a column of rows has them."""
        if len(self.parts) == 1:
            return [words(verdict) for verdict in self.parts[0].verdicts]
        spelled = ([f"{part.name} {words(verdict)}" for verdict in part.verdicts] for part in self.parts)
        return ["; ".join(row) for row in zip(*spelled, strict=True)]

    def _weighted(self, part: Judged) -> list[float | None]:
        return [None if reward is None else part.weight * reward for reward in part.rewards]


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


class Rewards:
    """The verifiers of a `score`, ready to judge; a context manager, because some hold processes.

    Raises `ResourceMissing` if a verifier's package is not installed.
    """

    def __init__(self, settings: Mapping[str, Json], workers: int = 1) -> None:
        self._open = ExitStack()
        self._judges = [
            (weight, self._open.enter_context(Judge(verifier, workers=workers)))
            for weight, verifier in _summands(settings)
        ]

    @property
    def inline(self) -> bool:
        """Whether all are quick, so that judging costs less than writing."""
        return all(judge.signature.inline for _, judge in self._judges)

    def __call__(self, rows: pa.Table) -> Worth:
        """What the rows are worth. Raises `InputWrong` if a column is missing, and what `Judge` does."""
        return Worth(
            tuple(Judged(judge.signature.name, weight, judge(rows_for(judge, rows))) for weight, judge in self._judges)
        )

    def close(self) -> None:
        """Ends the verifiers' processes."""
        self._open.close()

    def __enter__(self) -> Rewards:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _summands(settings: Mapping[str, Json]) -> list[tuple[float, Mapping[str, Json]]]:
    """Weight and verifier of each summand."""
    if "verifier" in settings:
        return [(1.0, settings["verifier"])]
    return [(float(each["weight"]), each["verifier"]) for each in settings["scorers"]]


def rows_for(judge: Judge, table: pa.Table) -> list[dict[str, Any]]:
    """The columns that a verifier reads, row by row. Raises `InputWrong` if one is missing."""
    columns = {name: column(table, name) for name in judge.signature.reads}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def words(verdict: Verdict) -> str:
    """A verdict as a column of rows has it."""
    match verdict:
        case Pass():
            return "pass"
        case Fail(parsed=True):
            return "fail"
        case Fail():
            return "fail: no answer found"
        case Penalty(score):
            return "penalty" if score < 0 else "no penalty"
        case Error(kind):
            return f"error: {kind}"
        case Timeout():
            return "timeout"
        case Refused(reason):
            return f"refused: {reason}"
