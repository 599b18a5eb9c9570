"""The words of statements that could not be parsed: one of them may declare what is not found elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ptc.lang import ast

ANY = "*"
"""Stands for every word: a name is declared, and which one cannot be read."""
_DECLARES = re.compile(r"(?:param|source|model|eval|let|stage|objective|train|freeze|track|recipe|type|extern)\b")


def unread_words(statements: Iterable[ast.Statement]) -> Iterator[str]:
    """The words of all unreadable statements among these and inside of them."""
    for statement in statements:
        if isinstance(statement, ast.Stage | ast.Objective | ast.Recipe):
            yield from unread_words(statement.body.statements)
        elif isinstance(statement, ast.Unreadable) and statement.span.text is not None:
            text = statement.span.text.text[statement.span.start : statement.span.end]
            yield from re.findall(r"[^\W\d]\w*", text)
            if text.startswith("from") or (not statement.names and _DECLARES.match(text)):
                yield ANY
