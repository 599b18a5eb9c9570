"""What rows are worth: one verifier, or a weighted sum of several, of reward models and of models that judge.

A response that one of them cannot judge has no reward: what is missing is not 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

import pyarrow as pa

from ptc.compiler.graph import Json
from ptc.runtime.judging import Grader, Judges, RewardModel
from ptc.runtime.rendering.conversations import spoken
from ptc.runtime.tables import column
from ptc.runtime.verifier_pool import Judge
from ptc.stdlib.verifiers import Error, Fail, Graded, Pass, Penalty, Refused, Timeout, Verdict, reward_of


class Scoring(Protocol):
    """One summand."""

    @property
    def name(self) -> str: ...

    @property
    def inline(self) -> bool:
        """Whether it is so quick that judging costs less than writing."""

    def __call__(self, rows: pa.Table, step: int) -> Sequence[Verdict]:
        """What it says of each row, with the weights behind so many updates."""

    def steps(self, rows: pa.Table) -> Sequence[Sequence[float]] | None:
        """What it says of each step of each response, if it does."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class Judged:
    """What one summand says of each row."""

    name: str
    weight: float
    verdicts: Sequence[Verdict]
    steps: Sequence[Sequence[float]] | None = None
    """What a reward model says of each step of each response, where they are told apart."""

    @property
    def weighted_steps(self) -> list[list[float]]:
        return [[self.weight * score for score in scores] for scores in self.steps or ()]

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

    @property
    def columns(self) -> dict[str, list[list[float]]]:
        """What else the rows get: where a reward model scores steps too, what each of them is worth."""
        steps = [part for part in self.parts if part.steps is not None]
        if not steps:
            return {}
        rows = zip(*(part.weighted_steps for part in steps), strict=True)
        return {"step_rewards": [[sum(values) for values in zip(*row, strict=True)] for row in rows]}

    @property
    def parsed(self) -> list[bool]:
        """Whether each row could be judged, and every summand found an answer in it."""
        rows = zip(*(part.verdicts for part in self.parts), strict=True)
        known = (reward is not None for reward in self.rewards)
        return [
            judged and not any(isinstance(verdict, Fail) and not verdict.parsed for verdict in row)
            for row, judged in zip(rows, known, strict=True)
        ]

    def _weighted(self, part: Judged) -> list[float | None]:
        return [None if reward is None else part.weight * reward for reward in part.rewards]


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


class Rewards:
    """The summands of a `score`, ready to judge; a context manager, because some hold processes.

    Raises `ResourceMissing` if a verifier's package is not installed.
    """

    def __init__(
        self, settings: Mapping[str, Json], workers: int = 1, judges: Judges | None = None, self_test: bool = True
    ) -> None:
        """`judges` gives the models among the summands, by the name of the node's input. Without `self_test` a verifier
        that finds its own gold answers wrong says so, and is not refused."""
        self._open = ExitStack()
        self._summands: list[tuple[float, Scoring]] = []
        for number, (weight, kind, document) in enumerate(summands(settings)):
            scoring = _scoring(kind, document, f"judge{number}", workers, judges, self_test)
            self._open.callback(scoring.close)
            self._summands.append((weight, scoring))

    @property
    def inline(self) -> bool:
        """Whether all are quick."""
        return all(scoring.inline for _, scoring in self._summands)

    def __call__(self, rows: pa.Table, step: int = 0) -> Worth:
        """What the rows are worth, models with their weights behind `step` updates.

        Raises `InputWrong` if a column is missing, and what `Judge` does.
        """
        return Worth(
            tuple(
                Judged(scoring.name, weight, scoring(rows, step), scoring.steps(rows))
                for weight, scoring in self._summands
            )
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


def summands(settings: Mapping[str, Json]) -> list[tuple[float, str, Mapping[str, Json]]]:
    """Weight, kind and document of each summand."""
    if "verifier" in settings:
        return [(1.0, "verifier", settings["verifier"])]
    return [(float(each["weight"]), each["kind"], each["verifier"]) for each in settings["scorers"]]


def spelled(settings: Mapping[str, Json]) -> str:
    """What judges, in a word: ``math + format_tags``."""
    return " + ".join(document["name"] for _, _, document in summands(settings))


def _scoring(
    kind: str, document: Mapping[str, Json], model: str, workers: int, judges: Judges | None, self_test: bool
) -> Scoring:
    if kind in ("verifier", "extern"):
        return _Verifier(Judge(document, workers=workers, self_test=self_test))
    assert judges is not None, "a model judges, and nobody says which"
    return RewardModel(judges(model)) if kind == "reward_model" else Grader(judges(model), document["options"])


@dataclass(frozen=True)
class _Verifier:
    """A verifier as a summand: it reads columns, and knows nothing of weights."""

    judge: Judge

    @property
    def name(self) -> str:
        return self.judge.name

    @property
    def inline(self) -> bool:
        return self.judge.inline

    def __call__(self, rows: pa.Table, step: int) -> Sequence[Verdict]:
        return self.judge(rows_for(self.judge, rows))

    def steps(self, rows: pa.Table) -> None:
        """A verifier judges a response as a whole."""

    def close(self) -> None:
        self.judge.close()


def rows_for(judge: Judge, table: pa.Table) -> list[dict[str, Any]]:
    """The columns that a verifier reads, row by row, a response of turns as its text.

    Raises `InputWrong` if one is missing.
    """
    columns = {name: column(table, name) for name in judge.signature.reads}
    columns["response"] = [
        response if isinstance(response, str) else spoken(response) for response in columns["response"]
    ]
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
        case Graded(score):
            return f"graded {score:g}"
        case Error(kind):
            return f"error: {kind}"
        case Timeout():
            return "timeout"
        case Refused(reason):
            return f"refused: {reason}"
