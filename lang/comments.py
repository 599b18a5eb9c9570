"""Comments, waiting to be taken by the node that they stand before, behind or in."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence

from ptc.lang.source import Source, Span

_BLANK = re.compile(r"[ \t\r\n]*")


class Comments:
    """The comments of one text. Each can be taken once; what nobody has taken is left to the statement around it."""

    def __init__(self, source: Source, spans: Sequence[Span]) -> None:
        self._source = source
        self._spans = spans
        self._starts = [span.start for span in spans]
        self._waiting = set(self._starts)
        self._before: dict[int, list[Span]] = {}
        """Comments on lines of their own, by where the token after them begins."""
        self._behind: dict[int, Span] = {}
        """Comments behind something, by line."""
        following: dict[int, int] = {}
        for span in reversed(spans):
            blank = _BLANK.match(source.text, span.end)
            assert blank is not None
            following[span.start] = following.get(blank.end(), blank.end())
        for span in spans:
            line, column = source.position(span.start)
            if source.text[span.start - column + 1 : span.start].strip():
                self._behind[line] = span
            else:
                self._before.setdefault(following[span.start], []).append(span)

    def _taken(self, span: Span) -> str:
        self._waiting.discard(span.start)
        return self._source.text[span.start : span.end].rstrip()

    def _after_blank_line(self, offset: int) -> bool:
        text = self._source.text
        start = offset
        while start and text[start - 1] in " \t\r\n":
            start -= 1
        return start > 0 and text[start - 1] != "{" and text.count("\n", start, offset) > 1

    def before(self, offset: int) -> tuple[str, ...]:
        """The lines of comment that end where the token at `offset` begins."""
        return tuple(self._taken(span) for span in self._before.pop(offset, ()))

    def before_statement(self, offset: int) -> tuple[str, ...]:
        """The same, with an empty string for every run of blank lines."""
        lines: list[str] = []
        for span in (*self._before.pop(offset, ()), Span(offset, offset)):
            if self._after_blank_line(span.start):
                lines.append("")
            if span.end > span.start:
                lines.append(self._taken(span))
        return tuple(lines)

    def closing(self, offset: int) -> tuple[str, ...]:
        """The lines of comment before a closing brace or the end of the text, blank lines between them kept."""
        lines = self.before_statement(offset)
        return lines[:-1] if lines and not lines[-1] else lines

    def behind(self, offset: int) -> str | None:
        """The comment that ends the line on which `offset` stands, if it stands behind it."""
        line, _ = self._source.position(max(offset - 1, 0))
        span = self._behind.get(line)
        if span is None or span.start < offset or span.start not in self._waiting:
            return None
        return self._taken(span)

    def within(self, start: int, end: int) -> tuple[str, ...]:
        """What is left between two offsets, in order."""
        inside = self._spans[bisect_left(self._starts, start) : bisect_left(self._starts, end)]
        return tuple(self._taken(span) for span in inside if span.start in self._waiting)
