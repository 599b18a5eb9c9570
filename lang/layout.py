"""What can be seen of a text without parsing it: comments, strings, brackets, and where statements begin.

One pass of one regular expression. The parser takes comments from here, and, where a text does not parse, the places
at which to cut it and the brackets and strings that were never closed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ptc.lang.keywords import GOING_ON, OPENERS, TOP_LEVEL
from ptc.lang.source import Span

_PIECES = re.compile(
    r"""
      (?P<string>"{3}(?:[^\\]|\\[\s\S])*?"{3} | "(?!"")(?:[^"\\\n]|\\[^\n])*" | ""(?!"))
    | (?P<open_string>"{3}[\s\S]* | "[^\n]*)
    | (?P<comment>\#[^\n]*)
    | (?P<bracket>[()\[\]{}])
    | (?P<line>(?:(?<=\n)|\A)[ \t]*(?P<word>[^\W\d]\w*))
    """,
    re.VERBOSE,
)
_CLOSER = {"(": ")", "[": "]", "{": "}"}
_GOES_ON = re.compile(r"(?:[=+\-*/,<>@.:]|\|>|\b(?:and|or|not|if|then|else))[ \t\r\n]*\Z")
"""A text that ends like this wants another line."""
_OPENING = re.compile(r"[^\W\d]\w*(?:\([^\W\d]\w*\))?[ \t]*=(?!=)|where[ \t]+[^\W\d]")
"""A setting, and a condition of an objective; `where(c, a, b)` is a value."""


@dataclass(frozen=True)
class Bracket:
    """An opening or closing bracket, and where it stands."""

    char: str
    offset: int
    depth: int
    """How many brackets enclose it."""


@dataclass(frozen=True)
class LineStart:
    """A line whose first characters are a word."""

    offset: int
    """Of the word."""
    column: int
    word: str
    depth: int
    certain: bool
    """A statement begins here, unless it stands in brackets: its first words can stand nowhere else."""
    fresh: bool
    """A statement may begin here: that is certain, or the word goes on with none and the text before it ends in no
    operator or comma."""


@dataclass(frozen=True)
class Layout:
    """What can be seen of a text without parsing it: lines, comments, and which bracket belongs to which."""

    comments: tuple[Span, ...]
    lines: tuple[LineStart, ...]
    brackets: tuple[Bracket, ...]
    unclosed_string: Span | None
    """The first string that is never closed, to the end of its line (of the text, for ``\"\"\"``)."""
    unclosed: Bracket | None
    """The bracket that fits no closing one: the innermost that is open where the trouble shows."""
    stray: Bracket | None
    """The first closing bracket that closes nothing."""
    depth: int
    """The deepest nesting."""

    @property
    def balanced(self) -> bool:
        return self.unclosed_string is None and self.unclosed is None and self.stray is None


def is_top_level(word: str) -> bool:
    return word in TOP_LEVEL


def scan(text: str, start: int = 0, end: int | None = None) -> Layout:
    """The layout of ``text[start:end]``, with offsets into the whole text."""
    end = len(text) if end is None else end
    while start and text[start - 1] in " \t":  # a line begins at its margin
        start -= 1
    comments: list[Span] = []
    lines: list[LineStart] = []
    brackets: list[Bracket] = []
    stack: list[Bracket] = []
    unclosed_string: Span | None = None
    unclosed: Bracket | None = None
    stray: Bracket | None = None
    deepest = 0
    code_end = start
    for piece in _PIECES.finditer(text, start, end):
        kind = piece.lastgroup
        if kind == "comment":
            comments.append(Span(piece.start(), piece.start() + len(piece.group().rstrip("\r"))))
            continue
        if kind == "open_string":
            unclosed_string = unclosed_string or Span(*piece.span())
        elif kind == "bracket":
            char = piece.group()
            if char in _CLOSER:
                stack.append(Bracket(char, piece.start(), len(stack)))
                brackets.append(stack[-1])
                deepest = max(deepest, len(stack))
            elif stack and _CLOSER[stack[-1].char] == char:
                stack.pop()
                brackets.append(Bracket(char, piece.start(), len(stack)))
            elif any(_CLOSER[bracket.char] == char for bracket in stack):
                while _CLOSER[stack[-1].char] != char:
                    unclosed = unclosed or stack[-1]
                    stack.pop()
                stack.pop()
                brackets.append(Bracket(char, piece.start(), len(stack)))
            else:
                stray = stray or Bracket(char, piece.start(), len(stack))
        elif kind in ("line", "word"):
            offset = piece.start("word")
            column = offset - (text.rfind("\n", 0, offset) + 1) + 1
            last = _end_of_code(text, offset, comments)
            goes_on = _GOES_ON.search(text, max(code_end, last - 20), last) is not None
            word = piece.group("word")
            certain = word in OPENERS or _OPENING.match(text, offset, end) is not None
            fresh = certain or not (goes_on or word in GOING_ON)
            lines.append(LineStart(offset, column, word, len(stack), certain, fresh))
        code_end = piece.end()
    if unclosed is None and stack:
        unclosed = stack[-1]
    return Layout(tuple(comments), tuple(lines), tuple(brackets), unclosed_string, unclosed, stray, deepest)


def _end_of_code(text: str, offset: int, comments: list[Span]) -> int:
    """Where the code before an offset ends: before blanks and comments."""
    number = len(comments)
    while True:
        while offset and text[offset - 1] in " \t\r\n":
            offset -= 1
        if not number or comments[number - 1].end < offset:
            return offset
        number -= 1
        offset = comments[number].start
