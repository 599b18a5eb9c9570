"""Where reading stopped."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ptc.lang.expectations import wanted
from ptc.lang.source import Source, Span


@dataclass(frozen=True)
class Stop:
    """Where reading stopped: what stands there, and what could have stood there."""

    source: Source
    accepted: frozenset[str]
    found: str
    """Its terminal, ``$END`` at the end of the piece, or ``?`` for a character of no terminal."""
    start: int
    end: int
    where: str = "file"
    """What the piece stands in: ``file``, ``stage``, ``objective`` or ``recipe``."""
    first: int = 0
    """Where the piece begins."""

    @property
    def word(self) -> str:
        return self.source.text[self.start : self.end]

    def part(self, start: int, end: int) -> Span:
        return Span(start, end, self.source)

    @property
    def place(self) -> Span:
        return self.part(self.start, self.end)

    @property
    def wanted(self) -> frozenset[str]:
        return wanted(self.accepted)

    def before(self, offset: int | None = None) -> Span:
        """The word or sign before an offset, which is that of the stop itself unless said."""
        text = self.source.text
        end = self.start if offset is None else offset
        while True:
            end = len(text[self.first : end].rstrip()) + self.first
            line_start = max(text.rfind("\n", self.first, end) + 1, self.first)
            comment = _comment(text[line_start:end])
            if comment is None:
                break
            end = line_start + comment
        token = _LAST_TOKEN.search(text, self.first, end)
        return self.part(token.start(), end) if token else self.part(self.first, self.first)

    def opens(self, word: str) -> bool:
        """Whether the piece begins with a word."""
        return re.compile(rf"(?:\s|#[^\n]*)*{word}\b").match(self.source.text, self.first) is not None

    def same_line(self, span: Span) -> bool:
        return "\n" not in self.source.text[span.end : self.start]

    def text(self, span: Span) -> str:
        return self.source.text[span.start : span.end]

    def begins_line(self, span: Span) -> bool:
        line, column = self.source.position(span.start)
        return not self.source.line(line)[: column - 1].strip()


_LAST_TOKEN = re.compile(r'(?:"(?:[^"\\\n]|\\[^\n])*"|[\d.]*[^\W_][\w.]*[ \t]*%?|[^\W\d]\w*|==|!=|<=|>=|\|>|\S)\Z')


def _comment(line: str) -> int | None:
    """Where the comment of a line begins."""
    for piece in re.finditer(r'"(?:[^"\\]|\\.)*"|(?P<comment>#)', line):
        if piece["comment"]:
            return piece.start()
    return None


def after(text: str) -> str:
    return f"after `{text}`" if text and len(text) < 40 and "\n" not in text else "here"


def found(stop: Stop) -> str | None:
    if stop.found == "$END":
        return None
    word = stop.word if len(stop.word) < 40 else stop.word[:37] + "..."
    return f"`{word}`"
