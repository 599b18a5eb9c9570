"""Columns that rows have by convention: what `messages` or `completion` is called here.

A file is read as it is; the names that the language knows are found when a step or a loss asks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from ptc.runtime.rendering.conversations import Conversation, Row, asked, content_text, pair
from ptc.runtime.rendering.template import Message


def implied(rows: pa.Table, name: str) -> list[Any] | None:
    """The values of a column that is there under another name; None where it is not."""
    for needed, made in _IMPLIED.get(name, {}).items():
        names = needed.split()
        if set(names) <= set(rows.column_names):
            return [made(row) for row in rows.select(names).to_pylist()]
    return None


def _asked(row: Row) -> list[Message] | None:
    """The turns before the answer."""
    return list(asked(row["messages"] or [])) or None


def _answered(row: Row) -> str | None:
    """The last answer, if the conversation ends with one."""
    turns = row["messages"] or []
    return content_text(turns[-1]) if turns and turns[-1].get("role") == "assistant" else None


def _asked_of_both(row: Row) -> list[Message] | None:
    side = pair(row)[0]
    return list(side.prompt) if isinstance(side, Conversation) else None


_IMPLIED: Mapping[str, Mapping[str, Callable[[Row], Any]]] = {
    "prompt": {"messages": _asked, "chosen rejected": _asked_of_both},
    "response": {"completion": lambda row: row["completion"], "messages": _answered},
    "steps": {"completions": lambda row: row["completions"]},
    "step_labels": {"labels": lambda row: row["labels"]},
}
"""By column: the columns that it may be made of, and how."""
