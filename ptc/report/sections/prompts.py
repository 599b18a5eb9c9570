"""The prompts of each eval: how often each was solved by which model, and every attempt at it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ptc.report import artifacts
from ptc.report.section import Section
from ptc.report.sections.measurements import Measurement, by_eval
from ptc.runtime.history import History

PROMPTS = 2000
"""Of an eval that a report holds at most."""
LETTERS = 2000
"""Of a response that a report holds at most."""
BUDGET = 8_000_000
"""Letters of responses that a report holds at most, shared evenly by all prompts and models."""


class Attempt(Section):
    """What a model wrote. Attempts with the same response and verdict are one, `times` as often."""

    response: str
    cut: bool
    """Whether the response is longer than what is kept of it."""
    times: int
    score: float | None
    verdict: str
    finished: bool
    tokens: int
    logp: float | None
    """Sum of the log-probabilities of the response's tokens under the sampling distribution; of several, the mean."""


class Outcomes(Section):
    """One model at one prompt."""

    n: int
    correct: int | None
    """None for evals that give scores."""
    score: float | None
    attempts: tuple[Attempt, ...]
    left_out: int
    """Attempts that a report of this size does not hold."""


class Prompt(Section):
    prompt: str
    answer: str
    models: tuple[Outcomes | None, ...]
    """In the order of the eval's models; None where one was not asked."""


class Comparison(Section):
    """Two models of an eval that a claim compares: their places among its models."""

    label: str
    before: int
    after: int


class EvalPrompts(Section):
    eval: str
    kind: str
    models: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    total: int
    """Prompts of the eval; `prompts` has the first of them."""
    prompts: tuple[Prompt, ...]


class Prompts(Section):
    evals: tuple[EvalPrompts, ...]


def prompts(history: History) -> Prompts:
    found = {
        name: [each for each in measured if each.node.kind in ("pass_rate", "reward", "win_rate")]
        for name, measured in by_eval(history).items()
    }
    cells = sum(min(len(artifacts.counts(each.artifact)), PROMPTS) for measured in found.values() for each in measured)
    budget = BUDGET // max(cells, 1)
    return Prompts(evals=tuple(_eval(history, name, each, budget) for name, each in found.items() if each))


def _eval(history: History, name: str, measured: list[Measurement], budget: int) -> EvalPrompts:
    tables = [{row["prompt_id"]: row for row in artifacts.counts(each.artifact)} for each in measured]
    order = list(dict.fromkeys(prompt for table in tables for prompt in table))
    places = {each.meaning: place for place, each in enumerate(measured)}
    return EvalPrompts(
        eval=name,
        kind=measured[0].node.kind,
        models=tuple(each.model for each in measured),
        comparisons=tuple(_comparisons(history, name, places)),
        total=len(order),
        prompts=tuple(_prompt([table.get(prompt) for table in tables], budget) for prompt in order[:PROMPTS]),
    )


def _comparisons(history: History, name: str, places: Mapping[str, int]) -> Iterator[Comparison]:
    for node in history.graph.nodes.values():
        if node.kind == "claim" and node.names["eval"] == name:
            before, after = node.inputs.get("entry") or node.inputs["carrier"], node.inputs["exit"]
            if before in places and after in places:
                yield Comparison(label=node.label, before=places[before], after=places[after])
    if len(places) > 1:
        yield Comparison(label="first and last model", before=0, after=len(places) - 1)


def _prompt(rows: list[dict[str, Any] | None], budget: int) -> Prompt:
    known = next(row for row in rows if row is not None)
    return Prompt(
        prompt=known["prompt"],
        answer=str(known.get("answer") or ""),
        models=tuple(None if row is None else _outcomes(row, budget) for row in rows),
    )


def _outcomes(row: Mapping[str, Any], budget: int) -> Outcomes:
    told = row.get("attempts") or [_first(row)]
    kinds = Counter((each["response"], each["score"], each["verdict"], each["finished"]) for each in told)
    attempts: list[Attempt] = []
    left = budget
    for (response, score, verdict, finished), times in kinds.most_common():
        if attempts and left < len(response):
            break
        same = [each for each in told if each["response"] == response and each["score"] == score]
        logps = [each["logp"] for each in same if each["logp"] is not None]
        attempts.append(
            Attempt(
                response=response[:LETTERS],
                cut=len(response) > LETTERS,
                times=times,
                score=score,
                verdict=verdict,
                finished=finished,
                tokens=same[0]["tokens"],
                logp=round(sum(logps) / len(logps), 3) if logps else None,
            )
        )
        left -= len(response)
    return Outcomes(
        n=row["n"],
        correct=row.get("correct"),
        score=row.get("mean_score"),
        attempts=tuple(attempts),
        left_out=len(told) - sum(each.times for each in attempts),
    )


def _first(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of a measurement that kept no attempts: its first response."""
    return {
        "response": row["first_response"],
        "score": None,
        "verdict": "first attempt",
        "finished": True,
        "tokens": 0,
        "logp": None,
    }
