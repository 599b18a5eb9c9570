"""The words of statements that could not be parsed: one of them may declare what is not found elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ptc.lang import ast


def unread_words(statements: Iterable[ast.Statement]) -> Iterator[str]:
    """The words of all unreadable statements among these and inside of them."""
    for statement in statements:
        if isinstance(statement, ast.Stage | ast.Objective | ast.Recipe):
            yield from unread_words(statement.body.statements)
        elif isinstance(statement, ast.Unreadable) and statement.span.text is not None:
            yield from re.findall(r"[^\W\d]\w*", statement.span.text.text[statement.span.start : statement.span.end])
