"""What is being written at one place of a text that need not parse: a statement, an argument, a column, a step, …

The text before the place is read once, token by token, with a stack of the brackets that are open; what follows the
place does not matter. Nothing is looked up here: a name is only a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from ptc.lang.keywords import CLAIMS, KEYWORDS
from ptc.lang.source import Span

Where = Literal[
    "comment", "string", "statement", "value", "argument", "step", "column", "member", "type", "columns", "module",
    "imported", "claim", "claimed", "check", "unit", "which", "behind",
]  # fmt: skip
"""``argument``: a value or the name of an argument. ``which``: behind ``@``. ``behind``: behind something complete."""

_TOKENS = re.compile(
    r"""
      (?P<string>f?"{3}(?:[^\\]|\\[\s\S])*?"{3} | f?"(?!"")(?:[^"\\\n]|\\[^\n])*" | f?""(?!"))
    | (?P<open>f?"{3}[\s\S]* | f?"[^\n]*)
    | (?P<comment>\#[^\n]*)
    | (?P<number>[0-9][0-9_]*(?:\.[0-9][0-9_]*)?(?:[eE][+-]?[0-9]+)?(?:Ki|Mi|k|M|%|[KMGT]B)?)
    | (?P<word>[^\W\d]\w*)
    | (?P<sign>\|>|->|==|!=|<=|>=|[^\s\w])
    """,
    re.VERBOSE,
)
_GOES_ON = frozenset(("and", "or", "then", "else", "every", "over", "within", "to", "by", "import", *CLAIMS))
"""Words that belong to the statement before them, on a line of their own too."""
_WANTS_VALUE = frozenset(
    ("minimize", "require", "ensure", "guard", "watch", "report", "export", "protect", "where", "return", "if", "then",
     "else", "and", "or", "not")
)  # fmt: skip
_CLOSER = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True)
class Token:
    """A word, a number, a text or a sign, and where it stands."""

    kind: str
    text: str
    start: int
    end: int
    line: int


@dataclass
class Frame:
    """An open bracket (or the file), and what has been read in it."""

    bracket: str
    start: int
    callee: tuple[Token, ...] = ()
    """The dotted name before the bracket."""
    before: Token | None = None
    """What stands before that name: ``|>`` for a step."""
    block: str = ""
    """Of ``{``: the word that opens its statement; ``columns`` for those of a type."""
    tokens: list[Token] = field(default_factory=list)
    """Of the current statement in a block, of everything else in other brackets."""

    @property
    def name(self) -> str:
        return "".join(token.text for token in self.callee)


@dataclass(frozen=True)
class Cursor:
    """A place in a text."""

    where: Where
    offset: int
    word: Span
    """The part of a word that stands before the place, to be completed."""
    frames: tuple[Frame, ...]
    """The open brackets around it, the outermost (the file) first."""

    @property
    def block(self) -> str:
        """``file``, ``stage``, ``objective`` or ``recipe``."""
        return next(frame.block for frame in reversed(self.frames) if frame.block not in ("", "columns"))

    @property
    def statement(self) -> list[Token]:
        """The statement that is being written, as far as it stands in its block, not in brackets."""
        return next(frame for frame in reversed(self.frames) if frame.block not in ("", "columns")).tokens

    @property
    def call(self) -> Frame | None:
        """The innermost call whose arguments are being written."""
        return next((frame for frame in reversed(self.frames) if frame.bracket == "("), None)

    @property
    def step(self) -> Frame | None:
        """The innermost step of a flow whose arguments are being written."""
        steps = (frame for frame in reversed(self.frames) if frame.before is not None and frame.before.text == "|>")
        return next(steps, None)

    @property
    def given(self) -> dict[str, int]:
        """Names of the arguments that the innermost call has already."""
        tokens = self.call.tokens if self.call else []
        return {a.text: a.start for a, b in pairwise(tokens) if a.kind == "word" and b.text == "="}

    @property
    def position(self) -> int:
        """How many arguments of the innermost call are complete."""
        return sum(token.text == "," for token in self.call.tokens) if self.call else 0

    @property
    def label(self) -> str | None:
        """The name of the argument whose value is being written."""
        tokens = self.call.tokens if self.call else []
        since = max((number for number, token in enumerate(tokens) if token.text == ","), default=-1) + 1
        own = tokens[since:]
        return own[0].text if len(own) > 1 and own[1].text == "=" else None


def cursor(text: str, offset: int) -> Cursor:
    """What is being written at an offset of a text."""
    tokens = list(_read(text[:offset]))
    last = tokens[-1] if tokens else None
    if last is not None and last.kind in ("comment", "open") and last.end == offset:
        where: Where = "comment" if last.kind == "comment" else "string"
        start = offset if last.kind == "comment" else last.start + len(last.text) - len(last.text.lstrip('f"'))
        return Cursor(where, offset, Span(start, offset), _frames(tokens[:-1]))
    word = Span(offset, offset)
    if last is not None and last.kind == "word" and last.end == offset:
        word = Span(last.start, offset)
        tokens.pop()
    line = text.count("\n", 0, word.start)
    frames = _frames(tokens)
    return Cursor(_where(tokens, frames, word, line), offset, word, frames)


def _read(text: str) -> Iterator[Token]:
    line, done = 0, 0
    for match in _TOKENS.finditer(text):
        line += text.count("\n", done, match.start())
        done = match.start()
        assert match.lastgroup is not None
        if match.lastgroup != "comment" or match.end() == len(text):
            yield Token(match.lastgroup, match.group(), match.start(), match.end(), line)


# Brackets ------------------------------------------------------------------------------------------------------------


def _frames(tokens: list[Token]) -> tuple[Frame, ...]:
    stack = [Frame("", 0, block="file")]
    for token in tokens:
        frame = stack[-1]
        if token.text in ("(", "[", "{") and token.kind == "sign":
            stack.append(_opened(token, frame))
        elif token.text in _CLOSER and token.kind == "sign":
            _close(stack, token)
        elif frame.block not in ("", "columns") and _begins(token, frame):
            frame.tokens = [token]
        else:
            frame.tokens.append(token)
    return tuple(stack)


def _opened(token: Token, around: Frame) -> Frame:
    before = around.tokens
    if token.text == "{":
        typed = bool(before) and before[-1].text[:1].isupper() and not any(each.text == "->" for each in before)
        return Frame("{", token.start, block="columns" if typed else before[0].text if before else "file")
    start = len(before)
    while start and before[start - 1].kind == "word" and (start == len(before) or before[start].text == "."):
        start -= 2 if start > 1 and before[start - 2].text == "." else 1
    callee = tuple(before[start:]) if token.text == "(" else ()
    return Frame(token.text, token.start, callee, before[start - 1] if start > 0 else None)


def _close(stack: list[Frame], token: Token) -> None:
    """Takes the frame off; what stood in it counts as one value."""
    wanted = _CLOSER[token.text]
    if any(frame.bracket == wanted for frame in stack):
        while stack[-1].bracket != wanted:
            stack.pop()
        closed = stack.pop()
        stack[-1].tokens.append(Token("value", closed.block, token.start, token.end, token.line))


def _begins(token: Token, frame: Frame) -> bool:
    """Whether a token begins the next statement of its block."""
    if not frame.tokens:
        return True
    last = frame.tokens[-1]
    if token.kind != "word" or not _complete(last):
        return False
    if last.text in ("stage", "objective", "recipe") and last.kind == "value":
        return True
    if token.text in _GOES_ON or last.text in _GOES_ON:
        return False
    if token.text == "from":
        return token.line > last.line and frame.block == "file" and frame.tokens[0].text not in ("stage", "protect")
    return token.line > last.line or (token.text in KEYWORDS and len(frame.tokens) > 1)


def _complete(token: Token) -> bool:
    """Whether something can end with this token."""
    return token.kind in ("string", "number", "value") or (token.kind == "word" and token.text not in _WANTS_VALUE)


# The place -----------------------------------------------------------------------------------------------------------


def _where(tokens: list[Token], frames: tuple[Frame, ...], word: Span, line: int) -> Where:
    frame = frames[-1]
    if not tokens:
        return "statement"
    last, own = tokens[-1], frame.tokens
    if last.text == "." and last.kind == "sign":
        return _dotted(tokens, frames)
    if last.text == "|>":
        return "step"
    if last.text == "@":
        return "which"
    if last.text in (":", "->"):
        return "type"
    if frame.block == "columns":
        return "columns"
    if frame.bracket == "(":
        return _in_call(frame, last, word)
    if frame.bracket == "[":
        return "value" if not own or own[-1].text == "," or not _complete(own[-1]) else "behind"
    return _in_block(frame, line, word)


def _dotted(tokens: list[Token], frames: tuple[Frame, ...]) -> Where:
    dot = tokens[-1]
    if frames[-1].tokens and frames[-1].tokens[0].text == "from" and frames[-1].block == "file":
        return "module"
    touching = len(tokens) > 1 and tokens[-2].end == dot.start
    if touching and (tokens[-2].kind == "word" or tokens[-2].text in (")", "]")):
        return "member"
    return "behind" if touching and tokens[-2].kind == "number" else "column"


def _in_call(frame: Frame, last: Token, word: Span) -> Where:
    if frame.name == "allow":
        return "check" if not frame.tokens else "behind"
    if not frame.tokens or frame.tokens[-1].text == ",":
        return "argument"
    if not _complete(last) and last.text not in (")", "]", "}"):
        return "value"
    return "unit" if _counts(last, word) else "behind"


def _counts(last: Token, word: Span) -> bool:
    """Whether a unit may follow: behind a plain number and a blank."""
    return last.kind == "number" and last.text[-1].isdigit() and last.end < word.start


def _in_block(frame: Frame, line: int, word: Span) -> Where:
    own = frame.tokens
    if not own:
        return "statement"
    first, last = own[0], own[-1]
    ended = last.kind == "value" and last.text in ("stage", "objective", "recipe")
    if ended:
        return "statement"
    if first.text == "from" and frame.block == "file" and (line == last.line or last.text in (",", "import")):
        return _importing(own)
    fresh = line > last.line
    if first.text == "stage" and (not fresh or last.text in (*CLAIMS, ",")):
        return _claiming(own)
    if last.text == "from" and len(own) > 1:
        return "value"
    if last.kind == "word" and (last.text in _WANTS_VALUE or last.text in ("every", "over")):
        return "value"
    if not _complete(last):
        return "value"
    if fresh:
        return "statement"
    return "unit" if _counts(last, word) else "behind"


def _importing(own: list[Token]) -> Where:
    if not any(token.text == "import" for token in own):
        return "module" if len(own) == 1 or own[-1].text == "." else "behind"
    return "imported" if own[-1].text in ("import", ",") else "behind"


def _claiming(own: list[Token]) -> Where:
    if len(own) < 2:
        return "behind"
    if own[-1].text in CLAIMS:
        return "claimed"
    if own[-1].text == "from":
        return "value"
    return "claim"
