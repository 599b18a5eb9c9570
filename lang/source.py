"""Text with places in it: a program's text, and spans of it that diagnostics point at."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Span:
    """The half-open range of characters ``[start, end)`` of a source text."""

    start: int
    end: int
    text: Source | None = field(default=None, compare=False, repr=False)
    """The text it is in; the parser says it of every span of a tree, because a program may stand in several files."""

    def to(self, other: Span) -> Span:
        """The smallest span that covers both, in the text of this one."""
        return Span(min(self.start, other.start), max(self.end, other.end), self.text)


@dataclass(frozen=True, eq=False)
class Source:
    """A program's text under the name that the user knows it by."""

    path: str
    text: str
    _starts: list[int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        starts = [0]
        starts.extend(i + 1 for i, char in enumerate(self.text) if char == "\n")
        object.__setattr__(self, "_starts", starts)

    def position(self, offset: int) -> tuple[int, int]:
        """One-based line and column of a character offset."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def start_of_line(self, number: int) -> int:
        """The offset at which a one-based line begins."""
        return self._starts[number - 1]

    def line(self, number: int) -> str:
        """The text of a one-based line, without its line end."""
        start = self._starts[number - 1]
        end = self._starts[number] if number < len(self._starts) else len(self.text)
        return self.text[start:end].rstrip("\r\n")

    @property
    def line_count(self) -> int:
        return len(self._starts)
