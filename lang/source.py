"""Text with places in it: a program's text, and spans of it that diagnostics point at."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Span:
    """The half-open range of characters ``[start, end)`` of a source text."""

    start: int
    end: int
    text: Source | None = field(default=None, compare=False, repr=False)
    """The text it is in; the parser says it of every span of a tree, because a program may stand in several files."""
    via: Via | None = field(default=None, compare=False, repr=False)
    """How the program comes to the place, where it is read several times, or stands in another file."""

    def to(self, other: Span) -> Span:
        """The smallest span that covers both, in the text of this one."""
        return Span(min(self.start, other.start), max(self.end, other.end), self.text, self.via)

    @property
    def line(self) -> str:
        """``file:line`` of its start, where it is in a text."""
        return "" if self.text is None else f"{self.text.path}:{self.text.position(self.start)[0]}"

    @property
    def root(self) -> Span:
        """The place in the program's own text by which one gets here."""
        span = self
        for via in self.ways():
            span = via.span
        return span

    def ways(self) -> Iterator[Via]:
        """The calls and imports that lead here, the nearest first."""
        via = self.via
        while via is not None:
            yield via
            via = via.span.via


@dataclass(frozen=True)
class Via:
    """A call of a recipe, or an import of a file: the place, what to say of it, and the path of what is made by it."""

    span: Span
    text: str
    path: str


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
