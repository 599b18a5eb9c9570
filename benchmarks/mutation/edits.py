"""One edit to a program's text, found by walking its syntax tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import TypeVar

from ptc.lang import ast
from ptc.lang.parse import parse
from ptc.lang.source import Source, Span

Part = TypeVar("Part")


@dataclass(frozen=True)
class Edit:
    """Texts put in the place of spans; `what` says it in words: ``n = 8 -> n = 1 (line 31)``."""

    changes: tuple[tuple[Span, str], ...]
    what: str

    def apply(self, text: str) -> str:
        for span, new in sorted(self.changes, key=lambda change: change[0].start, reverse=True):
            text = text[: span.start] + new + text[span.end :]
        return text


@dataclass(frozen=True)
class Text:
    """A program's text with its tree."""

    path: str
    text: str
    tree: ast.Program

    def of(self, part: ast.Node | Span) -> str:
        span = part if isinstance(part, Span) else part.span
        return self.text[span.start : span.end]

    def line(self, part: ast.Node | Span) -> int:
        span = part if isinstance(part, Span) else part.span
        return self.text.count("\n", 0, span.start) + 1

    def replaced(self, part: ast.Node, new: str) -> Edit:
        return Edit(((part.span, new),), f"{short(self.of(part))} -> {short(new)} (line {self.line(part)})")


def read(path: str, text: str) -> Text:
    tree, wrong = parse(Source(path, text))
    assert not wrong, f"{path} does not parse"
    return Text(path, text, tree)


def walk(part: object) -> Iterator[ast.Node]:
    """A node and all below it, in the order of the text."""
    if isinstance(part, ast.Node):
        yield part
    if isinstance(part, tuple):
        for item in part:
            yield from walk(item)
    elif is_dataclass(part) and not isinstance(part, Span | Source):
        for slot in fields(part):
            yield from walk(getattr(part, slot.name))


def every(kind: type[Part], part: object) -> Iterator[Part]:
    """The nodes of one kind."""
    return (node for node in walk(part) if isinstance(node, kind))


def calls(name: str, part: object) -> Iterator[ast.Call]:
    """The calls of a function by its plain name."""
    for call in every(ast.Call, part):
        if isinstance(call.callee, ast.Name) and call.callee.id == name:
            yield call


def argument(call: ast.Call, name: str) -> ast.Argument | None:
    return next((given for given in call.arguments if given.name is not None and given.name.id == name), None)


def short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 48 else text[:45] + "…"
