"""Comments, waiting to be taken by the node that they stand before, behind or in."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ptc.lang.source import Source, Span

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")


class Comments:
    """The comments of one text. Each can be taken once; what nobody has taken is left to the statement around it."""

    def __init__(self, source: Source, spans: Iterable[Span]) -> None:
        self._source = source
        self._before: dict[int, list[Span]] = {}
        self._behind: dict[int, Span] = {}
        text = source.text
        for span in spans:
            line, column = source.position(span.start)
            if source.line(line)[: column - 1].strip():
                self._behind[line] = span
            else:
                blank = _BLANK.match(text, span.end)
                assert blank is not None
                self._before.setdefault(blank.end(), []).append(span)

    def _text(self, span: Span) -> str:
        return self._source.text[span.start : span.end].rstrip()

    def _after_blank_line(self, offset: int) -> bool:
        text = self._source.text
        start = offset
        while start and text[start - 1] in " \t\r\n":
            start -= 1
        return start > 0 and text[start - 1] != "{" and text.count("\n", start, offset) > 1

    def before(self, offset: int) -> tuple[str, ...]:
        """The lines of comment that end where the token at `offset` begins."""
        return tuple(self._text(span) for span in self._before.pop(offset, ()))

    def before_statement(self, offset: int) -> tuple[str, ...]:
        """The same, with an empty string for every run of blank lines."""
        lines: list[str] = []
        for span in (*self._before.pop(offset, ()), Span(offset, offset)):
            if self._after_blank_line(span.start):
                lines.append("")
            if span.end > span.start:
                lines.append(self._text(span))
        return tuple(lines)

    def closing(self, offset: int) -> tuple[str, ...]:
        """The lines of comment before a closing brace or the end of the text, blank lines between them kept."""
        lines = self.before_statement(offset)
        return lines[:-1] if lines and not lines[-1] else lines

    def behind(self, offset: int) -> str | None:
        """The comment that ends the line on which `offset` stands, if it stands behind it."""
        line, _ = self._source.position(max(offset - 1, 0))
        span = self._behind.get(line)
        if span is None or span.start < offset:
            return None
        del self._behind[line]
        return self._text(span)

    def within(self, start: int, end: int) -> tuple[str, ...]:
        """What is left between two offsets, in order."""
        inside = [span for spans in self._before.values() for span in spans if start <= span.start < end]
        inside += [span for span in self._behind.values() if start <= span.start < end]
        if not inside:
            return ()
        self._before = {
            key: [span for span in spans if not start <= span.start < end] for key, spans in self._before.items()
        }
        self._behind = {key: span for key, span in self._behind.items() if not start <= span.start < end}
        return tuple(self._text(span) for span in sorted(inside, key=lambda span: span.start))
