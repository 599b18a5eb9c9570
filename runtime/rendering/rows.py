"""Rows of texts or messages as what a loss learns from: rendered, masked and within the length of the stage.

The trainer and `ptc check --data` both call `render_rows`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ptc.runtime.rendering.conversations import SIDES, Conversation, NoConversation, Row, conversation, pair
from ptc.runtime.rendering.truncation import Truncate, shortened, split
from ptc.runtime.rendering.turns import Fault, Mask, Problem, Rendered, render

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Part = Mapping[str, Rendered]
"""By column: `response`, `chosen`, `rejected` or `text`."""
Sides = Mapping[str, Conversation | NoConversation]


@dataclass(frozen=True)
class Rendering:
    """The settings of a stage that decide what is learned of a row."""

    max_length: int | None = None
    truncate: Truncate = "error"
    mask: Mask = "assistant"


@dataclass(frozen=True)
class RenderedRow:
    """What becomes of one row: one part, several where it was split, none where it is dropped or has a problem."""

    parts: tuple[Part, ...] = ()
    problem: Problem | None = None
    length: int = 0
    """Tokens of its longest column, before any cut; 0 where it could not be rendered."""
    cut: tuple[str, ...] = ()
    """The columns of which content was cut away."""

    @property
    def dropped(self) -> bool:
        return not self.parts and self.problem is None


@dataclass(frozen=True)
class Counts:
    """How the rows of a source fared."""

    rows: int
    cut: Mapping[str, int]
    """Cut rows, by column."""
    dropped: int
    split: int
    lengths: tuple[int, ...]
    """Tokens before any cut, of each row that could be rendered."""

    @staticmethod
    def of(rows: Sequence[RenderedRow]) -> Counts:
        return Counts(
            rows=len(rows),
            cut=dict(Counter(column for row in rows for column in row.cut)),
            dropped=sum(row.dropped for row in rows),
            split=sum(len(row.parts) > 1 for row in rows),
            lengths=tuple(row.length for row in rows if row.length),
        )

    @property
    def whole(self) -> bool:
        """Whether every row is learned from as it is."""
        return not self.cut and not self.dropped and not self.split


def sides_of(row: Row, columns: Sequence[str]) -> Sides:
    """A row's conversations, by column."""
    if set(columns) == set(SIDES):
        return dict(zip(SIDES, pair(row), strict=True))
    return {column: conversation(row, column) for column in columns}


def render_rows(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Sides], settings: Rendering) -> list[RenderedRow]:
    """What becomes of each row, in order."""
    columns = list(rows[0]) if rows else []
    rendered = {column: render(tokenizer, [row[column] for row in rows], settings.mask) for column in columns}
    made = ({column: rendered[column][place] for column in columns} for place in range(len(rows)))
    return [_Row(tokenizer, row, settings).within_length(own) for row, own in zip(rows, made, strict=True)]


def histogram(lengths: Sequence[int], limit: int | None = None) -> str:
    """How many lengths there are up to 64, 128, 256, … and, where given, up to the limit."""
    edges = sorted({64 << power for power in range(24)} | ({limit} if limit else set()))
    counted = Counter(edges[bisect_left(edges, length)] for length in lengths)
    return ", ".join(f"up to {edge:,}: {counted[edge]:,}" for edge in edges if counted[edge])


@dataclass(frozen=True)
class _Row:
    """One row on its way to the length of the stage."""

    tokenizer: PreTrainedTokenizerBase
    sides: Sides
    settings: Rendering

    def within_length(self, rendered: Mapping[str, Rendered | Problem]) -> RenderedRow:
        for one in rendered.values():
            if isinstance(one, Problem):
                return RenderedRow(problem=one)
        part = {column: one for column, one in rendered.items() if isinstance(one, Rendered)}
        length = max(len(one.tokens) for one in part.values())
        limit = self.settings.max_length
        if limit is None or length <= limit:
            return RenderedRow((part,), length=length)
        match self.settings.truncate:
            case "error":
                remedy = 'raise max_length, or say truncate = "right" or "drop"'
                return RenderedRow(problem=self._too_long(length, remedy), length=length)
            case "drop":
                return RenderedRow(length=length)
            case "split":
                return self._split(part, length)
            case "left" | "right":
                return self._cut(part, length)

    def _cut(self, part: Part, length: int) -> RenderedRow:
        assert self.settings.truncate in ("left", "right")
        kept = shortened(list(self._conversations().values()), self.settings.truncate, self._fits)
        if kept is None:
            what = "its prompt is cut to nothing" if self.settings.truncate == "left" else "its prompt alone fills it"
            remedy = f'{what}: raise max_length, or say truncate = "drop"'
            return RenderedRow(problem=self._too_long(length, remedy), length=length)
        changed = tuple(column for column, one in zip(part, kept, strict=True) if one != self._conversations()[column])
        return RenderedRow((self._rendered(kept),), length=length, cut=changed)

    def _split(self, part: Part, length: int) -> RenderedRow:
        if set(part) == {"text"}:
            return RenderedRow(tuple({"text": window} for window in self._windows(part["text"])), length=length)
        pieces = split(next(iter(self._conversations().values())), self._fits) if len(part) == 1 else None
        if pieces is None:
            what = "one exchange is too long by itself" if len(part) == 1 else "a pair cannot be split"
            return RenderedRow(problem=self._too_long(length, f"{what}: raise max_length"), length=length)
        return RenderedRow(tuple(self._rendered([piece]) for piece in pieces), length=length)

    def _windows(self, text: Rendered) -> list[Rendered]:
        """Consecutive windows of a text, each behind the token that begins it; the end stands where the text ends."""
        assert self.settings.max_length is not None
        begin, ids = text.tokens[0], text.tokens[1:]
        size = self.settings.max_length - 1
        windows = [ids[start : start + size] for start in range(0, len(ids), size)]
        return [Rendered((begin, *window), (False, *(True for _ in window))) for window in windows]

    def _conversations(self) -> dict[str, Conversation]:
        return {column: one for column, one in self.sides.items() if isinstance(one, Conversation)}

    def _fits(self, sides: Sequence[Conversation]) -> bool:
        assert self.settings.max_length is not None
        rendered = render(self.tokenizer, sides, self.settings.mask)
        return all(isinstance(one, Rendered) and len(one.tokens) <= self.settings.max_length for one in rendered)

    def _rendered(self, sides: Sequence[Conversation]) -> Part:
        rendered = zip(self.sides, render(self.tokenizer, sides, self.settings.mask), strict=True)
        return {column: one for column, one in rendered if isinstance(one, Rendered)}

    def _too_long(self, length: int, remedy: str) -> Problem:
        return Problem(
            Fault.TOO_LONG, f"has {length} tokens, more than max_length = {self.settings.max_length}: {remedy}"
        )
