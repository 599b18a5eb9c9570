"""What the checker may know of tasks and verifiers without loading anything: columns read and columns brought.

Pure: only the standard library is imported. `tasks.json` was made from reasoning-gym; a test holds the two equal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True)
class VerifierSignature:
    """What a verifier reads of a row besides its `response`, and what it returns."""

    name: str
    columns: tuple[str, ...]
    score: Literal["binary", "real"]
    """`binary`: 0 or 1; `real`: between 0 and 1."""
    package: str | None
    """Distribution that must be installed besides ptc, if any."""
    inline: bool
    """Quick whatever the text: runs in the calling process. Others run in processes that can be killed."""
    doc: str

    @property
    def reads(self) -> tuple[str, ...]:
        return ("response", *self.columns)


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
        )
    }
)


@cache
def task_columns() -> Mapping[str, tuple[str, ...]]:
    """Columns that `gym(task)` brings, by task."""
    text = resources.files("ptc.stdlib").joinpath("tasks.json").read_text(encoding="utf-8")
    return MappingProxyType({task: tuple(columns) for task, columns in json.loads(text).items()})
