"""The comparison of runs as a document: what each measured, how each differs from the first, and how sure that is."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Range(_Document):
    """A number, and where it lies at a level."""

    value: float
    low: float
    high: float
    level: float


class Result(_Document):
    """One eval of one row: its value, and its change against the first row over the same prompts."""

    eval: str
    metric: str
    prompts: int
    value: Range
    change: Range | None
    """At 95 %, as if it were the only one."""
    simultaneous: Range | None
    """At the level at which all changes of this eval hold together."""
    rank: tuple[int, int] | None
    """The best and the worst place that it may have among the rows, all pairs taken together; None for a single row."""


class Spent(_Document):
    """What a row's runs took, each as if it were alone; means over seeds."""

    seconds: float
    optimizer_steps: int
    trained_tokens: int
    seconds_own: float
    """Of it, what no other row shares."""


class ClaimResult(_Document):
    """What became of a claim in the runs of a row, a verdict for each seed that came so far."""

    stage: str
    role: str
    eval: str
    seeds: tuple[int, ...]
    verdicts: tuple[str, ...]
    words: tuple[str, ...]


class Row(_Document):
    """One setting, with the runs of all its seeds."""

    name: str
    shown: dict[str, str]
    seeds: tuple[int, ...]
    runs: tuple[str, ...]
    done: int
    """How many of the runs came to their end."""
    messages: tuple[str, ...]
    """Why the others did not."""
    note: str
    results: tuple[Result, ...]
    claims: tuple[ClaimResult, ...]
    spent: Spent


class Comparison(_Document):
    """Runs side by side. `notes` are what has to be read with the numbers."""

    schema_version: Literal[1] = 1
    title: str
    command: str
    program: str
    evals: tuple[str, ...]
    rows: tuple[Row, ...]
    findings: tuple[dict[str, Any], ...]
    """What makes runs unlike, as `ptc check --json` says it."""
    rendered: tuple[str, ...]
    """The same as text."""
    notes: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    """Ablations that could not run, each with its reason."""

    @property
    def matched(self) -> bool:
        return not any(finding["severity"] == "error" for finding in self.findings)
