"""What the checker may know of tasks and verifiers without loading anything: columns read and columns brought.

Pure: only the standard library is imported. `tasks.json` was made from reasoning-gym; a test holds the two equal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True)
class Option:
    """An argument of a verifier: ``texts``, ``tokens``, … as `compiler.arguments` names the kinds."""

    name: str
    kind: str
    default: object = ...
    """``...`` where it must be given."""
    least: float | None = None


@dataclass(frozen=True)
class VerifierSignature:
    """What a verifier reads of a row besides its `response`, and what it returns."""

    name: str
    columns: tuple[str, ...]
    score: Literal["binary", "real", "penalty"]
    """`binary`: 0 or 1; `real`: between 0 and 1; `penalty`: between -1 and 0."""
    package: str | None
    """Distribution that must be installed besides ptc, if any."""
    inline: bool
    """Quick whatever the text: runs in the calling process. Others run in processes that can be killed."""
    doc: str
    options: tuple[Option, ...] = ()
    marker: str | None = None
    """What a response must hold for it to be read, with its options in braces; None where anything is read."""
    version: int = 1
    """Raised by hand when it judges otherwise than before: what it said then is not what it says now."""
    tokens: bool = False
    """Whether it reads `response_tokens`, which only sampled rows have."""

    @property
    def reads(self) -> tuple[str, ...]:
        return ("response", *self.columns, *(("response_tokens",) if self.tokens else ()))

    @property
    def least(self) -> float:
        return -1.0 if self.score == "penalty" else 0.0

    @property
    def most(self) -> float:
        return 0.0 if self.score == "penalty" else 1.0


VERIFIERS: Mapping[str, VerifierSignature] = MappingProxyType(
    {
        signature.name: signature
        for signature in (
            VerifierSignature(
                "exact", ("answer",), "binary", None, True, "The response is the answer, up to blanks around it."
            ),
            VerifierSignature(
                "math",
                ("answer",),
                "binary",
                "math-verify",
                False,
                "The response ends in what equals the answer: after `####`, in `\\boxed{}`, or the last expression.",
            ),
            VerifierSignature(
                "gym_scorer",
                ("entry",),
                "real",
                "reasoning-gym",
                False,
                "The task's own scorer, written with its generator.",
            ),
            VerifierSignature(
                "format_tags",
                (),
                "binary",
                None,
                True,
                "The response is one block per tag, in their order; text may follow the block of a sole tag.",
                options=(Option("tags", "texts", ("think", "answer")),),
                marker="<{tags[0]}>",
            ),
            VerifierSignature(
                "overlong",
                (),
                "penalty",
                None,
                True,
                "0 up to `limit - buffer` tokens, then down to -1 at `limit` and beyond (DAPO).",
                options=(Option("limit", "tokens", least=1), Option("buffer", "tokens", least=1)),
                tokens=True,
            ),
        )
    }
)

MADE_UP = VerifierSignature(
    "made_up",
    (),
    "binary",
    None,
    True,
    "Half of all responses, by their text: stands in smoke runs for what cannot be asked.",
)
RUNNABLE: Mapping[str, VerifierSignature] = MappingProxyType({**VERIFIERS, MADE_UP.name: MADE_UP})
"""What a run may be told to judge with: those that a program can name, and the one that a smoke run puts in."""


@cache
def task_columns() -> Mapping[str, tuple[str, ...]]:
    """Columns that `gym(task)` brings, by task."""
    text = Path(__file__).with_name("tasks.json").read_text(encoding="utf-8")
    return MappingProxyType({task: tuple(columns) for task, columns in json.loads(text).items()})
