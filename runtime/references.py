"""Reference solutions of prompts: a column of their rows, or rows of their own, known by the prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from ptc.compiler.graph import Json
from ptc.runtime.artifacts import Artifact, InputWrong
from ptc.runtime.row_steps import identities
from ptc.runtime.tables import column, read_rows
from ptc.stdlib.gym import decode_entry
from ptc.stdlib.verifiers import spelled

SOLUTIONS = ("response", "solution", "reference", "answer", "completion")
"""The columns of a file of references that may hold them, the first that is there."""


def references(prompts: pa.Table, settings: Mapping[str, Json], inputs: Mapping[str, Artifact]) -> list[str | None]:
    """A reference per prompt, as text; None where there is none.

    Raises `InputWrong` if no prompt has one, or rows of their own name no prompts or solutions.
    """
    if "references" in inputs:
        found = _of_their_own(prompts, read_rows(inputs["references"]))
    elif settings["references"] == "entry":
        found = [_text(decode_entry(entry)[1]["answer"]) for entry in column(prompts, "entry")]
    else:
        found = [_text(value) for value in column(prompts, settings["references"])]
    if not any(found):
        raise InputWrong("no prompt has a reference solution: name the column or the file that has them (--references)")
    return found


def _of_their_own(prompts: pa.Table, rows: pa.Table) -> list[str | None]:
    name = next((name for name in SOLUTIONS if name in rows.column_names), None)
    if name is None or "prompt" not in rows.column_names:
        raise InputWrong(
            f"a file of references has the columns `prompt` and one of {', '.join(SOLUTIONS)}; this one has "
            f"{', '.join(rows.column_names)}"
        )
    known: Mapping[str, str | None] = dict(zip(identities(rows), map(_text, column(rows, name)), strict=True))
    return [known.get(identity) for identity in identities(prompts)]


def _text(value: Json) -> str | None:
    """A solution as text: the assistant's last turn where it is a conversation."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value[-1].get("content") or "") or None if isinstance(value, Sequence) and value else None
    return spelled(value)
