"""Verifiers: what judges one response, as a typed verdict.

A verdict is never a bare number: an error is not a wrong answer, and must not become a reward of 0
(verl's `signal.alarm` off the main thread once scored all of MATH with 0).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ptc.stdlib.gym import decode_entry
from ptc.stdlib.signatures import RUNNABLE

if TYPE_CHECKING:
    from reasoning_gym.dataset import ProceduralDataset

LONGEST_RESPONSE = 65_536
"""Characters; a longer response is refused unread."""


@dataclass(frozen=True, slots=True)
class Pass:
    """The response is right, or right in part: 0 < score <= 1."""

    score: float = 1.0


@dataclass(frozen=True, slots=True)
class Fail:
    """The response is wrong. `parsed`: an answer could be read from it."""

    parsed: bool = True


@dataclass(frozen=True, slots=True)
class Penalty:
    """How far the response breaks a rule that is no answer: -1 <= score <= 0, and 0 where it keeps to it."""

    score: float


@dataclass(frozen=True, slots=True)
class Graded:
    """What a model or somebody's Python gives the response: any finite number. Nothing is known of its range."""

    score: float


@dataclass(frozen=True, slots=True)
class Error:
    """The verifier failed: says nothing about the response. `kind`: name of the exception, or ``crash``."""

    kind: str


@dataclass(frozen=True, slots=True)
class Timeout:
    """The verifier did not end in time: says nothing about the response."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The row cannot be judged: it has no gold answer that can be read, or the response is too long."""

    reason: str


Verdict = Pass | Fail | Penalty | Graded | Error | Timeout | Refused
Verifier = Callable[..., Verdict]
"""Takes a row's `response` and the columns of its signature by name, and its options."""

Answer = str | int | float | None
"""A gold answer as data files have it."""

PASS = Pass()
WRONG = Fail()
UNREADABLE = Fail(parsed=False)


def reward_of(verdict: Verdict) -> float | None:
    """The reward of a verdict; None where there is none, and the row is masked from the advantage."""
    if isinstance(verdict, Pass | Penalty | Graded):
        return verdict.score
    return 0.0 if isinstance(verdict, Fail) else None


def spelled(answer: str | int | float) -> str:
    """A gold answer as text: a JSON file may have numbers for answers."""
    if isinstance(answer, str):
        return answer
    return str(int(answer)) if float(answer).is_integer() else str(answer)


def exact(response: str, answer: Answer) -> Verdict:
    """The response is the answer, up to blanks around both."""
    if answer is None:
        return Refused("the row has no answer")
    given = response.strip()
    if given == spelled(answer).strip():
        return PASS
    return WRONG if given else UNREADABLE


def gym_scorer(response: str, entry: str) -> Verdict:
    """The score that the task's own grader gives, between 0 and 1."""
    task, fields = decode_entry(entry)
    if fields["answer"] is None:
        return Refused("the task has no gold answer")
    score = float(_dataset(task).score_answer(response.strip(), fields))
    if score > 0:
        return Pass(min(score, 1.0))
    return WRONG if response.strip() else UNREADABLE


@cache
def _dataset(task: str) -> ProceduralDataset:
    import reasoning_gym

    return reasoning_gym.create_dataset(task, size=1, seed=0)


def math(response: str, answer: Answer) -> Verdict:
    """The response's final answer equals the gold one as a number or formula (math-verify).

    The final answer is what follows the last ``####``, else the last ``\\boxed{…}``, else the last expression in the
    text. Raises in any thread but the main one, and may take minutes: for worker processes only.
    """
    from math_verify import parse, verify

    gold = parse(final_answer("" if answer is None else spelled(answer)), parsing_timeout=None)
    if not gold:
        return Refused("the gold answer cannot be parsed")
    given = parse(final_answer(response), parsing_timeout=None)
    if not given:
        return UNREADABLE
    return PASS if verify(gold, given, timeout_seconds=None) else WRONG


def final_answer(text: str) -> str:
    """The part of a solution that states its answer, marked up so that math-verify reads all of it."""
    _before, marker, after = text.rpartition("####")
    if marker:
        lines = after.strip().splitlines()
        return f"${lines[0].strip().replace('$', '')}$" if lines else ""
    boxed = _last_boxed(text)
    return text if boxed is None else f"$\\boxed{{{boxed}}}$"


def _last_boxed(text: str) -> str | None:
    """What stands in the braces of the last ``\\boxed{`` that is closed."""
    _before, marker, after = text.rpartition("\\boxed{")
    if not marker:
        return None
    depth = 1
    for index, character in enumerate(after):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return after[:index]
    return None


def format_tags(response: str, tags: Sequence[str]) -> Verdict:
    """One block per tag, each once, in their order, with blanks around them; text may follow the block of a sole tag.

    ``<think>…</think> <answer>…</answer>`` is the format reward of R1, ``<think>…</think> …`` that of TRL.
    """
    marks = [f"<{slash}{tag}>" for tag in tags for slash in ("", "/")]
    if any(response.count(mark) != 1 for mark in marks):
        return Fail(parsed=response.count(marks[0]) > 0)
    blocks = r"\s*".join(f"<{re.escape(tag)}>.*?</{re.escape(tag)}>" for tag in tags)
    rest = r".*" if len(tags) == 1 else r"\s*"
    return PASS if re.fullmatch(rf"\s*{blocks}{rest}", response, re.DOTALL) else WRONG


def overlong(response: str, response_tokens: Sequence[int], limit: int, buffer: int) -> Verdict:
    """DAPO's soft punishment: 0 up to ``limit - buffer`` tokens, then linearly down to -1 at `limit` and beyond."""
    beyond = len(response_tokens) - (limit - buffer)
    return Penalty(-min(1.0, max(0.0, beyond / buffer)))


def made_up(response: str) -> Verdict:
    """Right for half of all texts, always the same: says nothing about a response, and lets what follows happen."""
    return PASS if hashlib.sha256(response.encode()).digest()[0] % 2 else WRONG


def gold_response(name: str, row: Mapping[str, Any]) -> str | None:
    """A response that verifier `name` must find right: the gold answer of the row, None if it has none."""
    if not {"entry", "answer"} & set(RUNNABLE[name].columns):
        return None
    gold: Answer = decode_entry(row["entry"])[1]["answer"] if name == "gym_scorer" else row["answer"]
    return None if gold is None else spelled(gold)


def corrupted(gold: str) -> str:
    """A wrong response: the last digit of the gold answer raised by one, or a letter added where there is none."""
    for index in range(len(gold) - 1, -1, -1):
        if gold[index] in "0123456789":
            return gold[:index] + str((int(gold[index]) + 1) % 10) + gold[index + 1 :]
    return gold + "x"


def prepare(name: str) -> None:
    """Imports what verifier `name` needs, so that its first row is not charged for it."""
    package = RUNNABLE[name].package
    if package is not None:
        import_module(package.replace("-", "_"))


IMPLEMENTATIONS: Mapping[str, Verifier] = {
    "exact": exact,
    "math": math,
    "gym_scorer": gym_scorer,
    "format_tags": format_tags,
    "overlong": overlong,
    "made_up": made_up,
}


def judge_one(name: str, options: Mapping[str, Any], row: Mapping[str, Any]) -> Verdict:
    """The verdict of verifier `name` on one row; exceptions of the verifier propagate."""
    if len(row["response"]) > LONGEST_RESPONSE:
        return Refused(f"the response is longer than {LONGEST_RESPONSE} characters")
    return IMPLEMENTATIONS[name](**{column: row[column] for column in RUNNABLE[name].reads}, **options)
