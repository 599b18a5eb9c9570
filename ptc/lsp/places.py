"""Places, as editors count them: lines from 0, and columns in the units that client and server agreed on."""

from __future__ import annotations

from dataclasses import dataclass

from lsprotocol import types as lsp

from ptc.lang.source import Source, Span

UTF8, UTF16, UTF32 = "utf-8", "utf-16", "utf-32"


@dataclass(frozen=True)
class Places:
    """Turns offsets of one text into positions, and back."""

    source: Source
    encoding: str = UTF16

    def position(self, offset: int) -> lsp.Position:
        line, column = self.source.position(min(max(offset, 0), len(self.source.text)))
        return lsp.Position(line - 1, _units(self.source.line(line)[: column - 1], self.encoding))

    def range(self, span: Span) -> lsp.Range:
        return lsp.Range(self.position(span.start), self.position(span.end))

    def whole(self) -> lsp.Range:
        return self.range(Span(0, len(self.source.text)))

    def offset(self, position: lsp.Position) -> int:
        """The offset of a position; of one behind the end of a line or of the text, that end."""
        if position.line >= self.source.line_count:
            return len(self.source.text)
        start = self.source.start_of_line(position.line + 1)
        line = self.source.line(position.line + 1)
        return start + _characters(line, position.character, self.encoding)


def _units(text: str, encoding: str) -> int:
    if text.isascii() or encoding == UTF32:
        return len(text)
    if encoding == UTF8:
        return len(text.encode("utf-8", "surrogatepass"))
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _characters(line: str, units: int, encoding: str) -> int:
    """How many characters of a line its first `units` are."""
    if line.isascii() or encoding == UTF32:
        return min(units, len(line))
    counted = 0
    for number, char in enumerate(line):
        if counted >= units:
            return number
        counted += _units(char, encoding)
    return len(line)
