"""Text to tree, and never an exception: what cannot be read is reported and stands in the tree as `Unreadable`.

The whole text is parsed first. Only if that fails is it cut, at statements in column 1, and a stage, objective or
recipe that fails again at the statements of its block, and so on inwards; each piece is then parsed alone, so that one
mistake gives one error and everything around it is still checked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise

from lark import Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedToken

from ptc.lang import ast, mistakes
from ptc.lang.build import Builder, with_loss
from ptc.lang.comments import Comments
from ptc.lang.diagnostic import Diagnostic
from ptc.lang.grammar import parser
from ptc.lang.keywords import GOING_ON, KEYWORDS
from ptc.lang.layout import Layout, LineStart, is_top_level, scan
from ptc.lang.placement import place
from ptc.lang.source import Source, Span
from ptc.lang.stop import Stop
from ptc.lang.syntax_errors import explain

DEEPEST_BRACKETS = 64
MOST_NODES = 40_000
MOST_WORDS = 200_000

_WITH_BODY = ("stage", "objective", "recipe")


def parse(source: Source) -> tuple[ast.Program, tuple[Diagnostic, ...]]:
    """The program in `source` and what is wrong with its text, in the order of the text."""
    return _Parsing(source).program()


@dataclass(frozen=True)
class _Piece:
    """A part of the text that is parsed alone."""

    start: int
    end: int


class _Parsing:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text
        self.layout = scan(self.text)
        self.comments = Comments(source, self.layout.comments)
        self.diagnostics: list[Diagnostic] = []
        self.nodes = 0

    def program(self) -> tuple[ast.Program, tuple[Diagnostic, ...]]:
        whole = self._span(0, len(self.text))
        too_large = self._too_large()
        if too_large is not None:
            return ast.Program(whole, self.source, (ast.Unreadable(whole),)), (too_large,)
        tree = self._read(_Piece(0, len(self.text)))
        conflict = _CONFLICT.search(self.text) if isinstance(tree, Stop) else None
        if conflict is not None:
            found = mistakes.unresolved_conflict(self._span(*conflict.span(1)), self._span(*conflict.span(2)))
            return ast.Program(whole, self.source, (ast.Unreadable(whole),)), (found,)
        if isinstance(tree, Stop):
            statements = [s for piece in self._pieces() for s in self._statement(piece)]
        else:
            statements = list(self._build(tree, 0))
        if self.nodes > MOST_NODES:
            self.diagnostics.append(mistakes.too_many_parts(self.nodes, MOST_NODES, self._span(0, 0)))
        placed, misplaced = place(statements)
        self.diagnostics += misplaced
        closing = (*self.comments.closing(len(self.text)), *self.comments.within(0, len(self.text) + 1))
        program = ast.Program(whole, self.source, placed, closing)
        return program, tuple(sorted(self.diagnostics, key=lambda d: d.span.start if d.span else 0))

    def _span(self, start: int, end: int) -> Span:
        return Span(start, end, self.source)

    # Limits ----------------------------------------------------------------------------------------------------------

    def _too_large(self) -> Diagnostic | None:
        deep = next((b for b in self.layout.brackets if b.depth >= DEEPEST_BRACKETS), None)
        if deep is not None:
            return mistakes.too_deep(self._span(deep.offset, deep.offset + 1))
        if len(self.text) > MOST_WORDS:
            words = len(re.findall(r"\w+|[^\w\s]", re.sub(r"#[^\n]*", "", self.text)))
            if words > MOST_WORDS:
                return mistakes.too_many_parts(words, MOST_WORDS, self._span(0, 0))
        return None

    # Reading pieces --------------------------------------------------------------------------------------------------

    def _read(self, piece: _Piece, tail: str = "", where: str = "file") -> Tree[Token] | Stop:
        """The piece as lark's tree, or where lark stopped."""
        text = self.text[piece.start : piece.end] + tail
        try:
            return parser().parse(text)
        except UnexpectedToken as stopped:
            assert stopped.interactive_parser is not None
            accepted = frozenset[str](stopped.interactive_parser.accepts())  # type: ignore[no-untyped-call]
            token = stopped.token
            if token.type == "$END":
                end = piece.start + len(text.rstrip())
                return Stop(self.source, accepted, "$END", end, end, where, piece.start)
            assert token.start_pos is not None and token.end_pos is not None
            start, end = piece.start + token.start_pos, piece.start + token.end_pos
            return Stop(self.source, accepted, token.type, start, end, where, piece.start)
        except UnexpectedCharacters as stopped:
            assert stopped.pos_in_stream is not None
            accepted = frozenset(stopped.allowed or ())
            start = piece.start + stopped.pos_in_stream
            return Stop(self.source, accepted, "?", start, start + 1, where, piece.start)

    def _build(self, tree: Tree[Token], base: int) -> tuple[ast.Statement, ...]:
        builder = Builder(self.source, base, self.comments)
        statements = builder.statements(tree.children)
        self.diagnostics += builder.diagnostics
        self.nodes += builder.nodes
        return statements

    def _pieces(self) -> list[_Piece]:
        """The text, cut where statements of the file begin."""
        balanced = self.layout.balanced
        cuts = [
            line.offset
            for line in self.layout.lines
            if line.column == 1
            and ((line.depth == 0 and line.fresh) or (not balanced and _opens_statement(self.text, line)))
        ]
        return _cut(self.text, 0, len(self.text), cuts)

    def _statement(self, piece: _Piece, where: str = "file") -> tuple[ast.Statement, ...]:
        """The statements of a piece; what is wrong in it is reported once, or once per statement of its block."""
        tree = self._read(piece, where=where)
        if not isinstance(tree, Stop):
            return self._build(tree, piece.start)
        layout = scan(self.text, piece.start, piece.end)
        known = self._body(piece, layout, where) or self._beginning(piece, tree)
        if known is not None:
            return known
        self._report(piece, layout, tree)
        return (self._unreadable(piece),)

    def _beginning(self, piece: _Piece, stop: Stop) -> tuple[ast.Statement, ...] | None:
        """The statements before the line that stopped the reading, if it stands on their margin and goes on with none:
        `§ budget = 3 epochs` is no reason to lose the statement above it."""
        line = self.text.rfind("\n", piece.start, stop.start) + 1
        first, margin = _NOT_BLANK.search(self.text, line), _FIRST_WORD.match(self.text, piece.start, piece.end)
        if not line or first is None or margin is None or self._column(first.start()) > self._column(margin.start(1)):
            return None
        if first.group() in GOING_ON or ("OPERATOR" in stop.wanted and first.group() in _GOING_ON_SIGNS):
            return None
        before = self._read(_Piece(piece.start, line), where=stop.where)
        if isinstance(before, Stop) or not before.children:
            return None
        return (*self._build(before, piece.start), *self._statement(_Piece(first.start(), piece.end), stop.where))

    def _column(self, offset: int) -> int:
        return self.source.position(offset)[1]

    def _report(self, piece: _Piece, layout: Layout, stop: Stop) -> None:
        self.diagnostics.append(self._unbalanced(layout, piece.end) or explain(stop))

    def _unreadable(self, piece: _Piece) -> ast.Unreadable:
        text = self.text[piece.start : piece.end]
        start = piece.start + len(text) - len(text.lstrip())
        end = piece.start + len(text.rstrip())
        return ast.Unreadable(self._span(start, max(start, end)), _declared_names(text))

    # A block, statement by statement ---------------------------------------------------------------------------------

    def _body(self, piece: _Piece, layout: Layout, where: str) -> tuple[ast.Statement, ...] | None:
        """A stage, objective or recipe whose head reads, with each statement of its block read alone; else None."""
        first = _FIRST_WORD.match(self.text, piece.start, piece.end)
        if first is None or first["word"] not in _WITH_BODY:
            return None
        opening = next((b for b in layout.brackets if b.char == "{" and b.depth == 0), None)
        if opening is None:
            return None
        head = self._read(_Piece(piece.start, opening.offset + 1), "}")
        if isinstance(head, Stop):
            return None
        inside = opening.offset + 1
        closing = next((b for b in layout.brackets if b.char == "}" and b.depth == 0), None)
        end = closing.offset if closing is not None else piece.end
        behind = () if closing is None else _cut(self.text, closing.offset + 1, piece.end, [])
        if behind and (not layout.balanced or self.text[behind[0].start : piece.end].lstrip().startswith("{")):
            return None
        built = self._build(head, piece.start)[0]
        assert isinstance(built, ast.Stage | ast.Objective | ast.Recipe)
        reported = len(self.diagnostics)
        statements: list[ast.Statement] = []
        for part in _cut(self.text, inside, end, _starts_within(layout, inside, end)):
            statements += self._statement(part, first["word"])
        if closing is None and len(self.diagnostics) == reported:
            fault = self._unbalanced(layout, piece.end)
            assert fault is not None
            self.diagnostics.append(fault)
        span = self._span(opening.offset, end + (closing is not None))
        if isinstance(built, ast.Objective):
            statements = [with_loss(statement) for statement in statements]
        body = ast.Block(span, tuple(statements), self.comments.closing(end))
        whole = replace(built, span=built.span.to(span), body=body)
        return (whole, *(statement for part in behind for statement in self._statement(part, where)))

    def _unbalanced(self, layout: Layout, end: int) -> Diagnostic | None:
        """The bracket or string that spoils a piece, if one does."""
        if layout.unclosed_string is not None:
            start = layout.unclosed_string.start
            quotes = '"""' if self.text.startswith('"""', start) else '"'
            return mistakes.unclosed_string(self._span(start, start + len(quotes)), quotes)
        if layout.unclosed is not None:
            last = len(self.text[:end].rstrip())
            opened = layout.unclosed.offset
            return mistakes.unclosed_bracket(
                layout.unclosed.char, self._span(opened, opened + 1), self._span(last, last)
            )
        if layout.stray is not None:
            return mistakes.stray_bracket(layout.stray.char, self._span(layout.stray.offset, layout.stray.offset + 1))
        return None


def _opens_statement(text: str, line: LineStart) -> bool:
    """Whether a line in column 1 begins a statement even where a bracket before it was never closed."""
    if is_top_level(line.word):
        return True
    return line.word not in KEYWORDS and _TWO_WORDS.match(text, line.offset) is not None


_CONFLICT = re.compile(r"^(<{7}(?: .*)?)$(?:.*\n)*?={7}\n(?:.*\n)*?^(>{7}(?: .*)?)$", re.MULTILINE)
_NOT_BLANK = re.compile(r"\w+|[^\s\w]")
_GOING_ON_SIGNS = tuple("|&+-*/<>.,")
"""What a line begins with that goes on with the one above it, even if it cannot be read."""
_FIRST_WORD = re.compile(r"(?:\s|#[^\n]*)*(?P<word>[^\W\d]\w*)")
_TWO_WORDS = re.compile(r"\w+[ \t]+[^\W\d]\w*[ \t]*[={]")


def _cut(text: str, start: int, end: int, cuts: list[int]) -> list[_Piece]:
    """The parts of ``text[start:end]`` between the cuts; one without a word or sign is left out."""
    edges = [start, *(cut for cut in cuts if start < cut < end), end]
    pieces = [_Piece(a, b) for a, b in pairwise(edges)]
    return [piece for piece in pieces if re.sub(r"#[^\n]*", "", text[piece.start : piece.end]).strip()]


def _starts_within(layout: Layout, start: int, end: int) -> list[int]:
    """Where the statements of a block begin: lines at its own depth, or, where its brackets are torn, at its margin."""
    lines = [line for line in layout.lines if start <= line.offset < end]
    margin = lines[0].column if lines else 0
    if layout.balanced:
        within = [line for line in lines if line.depth == 1 and (line.certain or line.column <= margin)]
        return [line.offset for line in within if line.fresh]
    return [line.offset for line in lines if line.column == margin]


_NAMING = re.compile(
    r"\s*(?:(?:param|source|model|eval|let|stage|objective|train|freeze|track|recipe|type)\s+(?P<name>[^\W\d]\w*)"
    r"|extern\s+\w+\s+(?P<outside>[^\W\d]\w*)\s*\("
    r"|[^\W\d]\w*\s+(?P<other>[^\W\d]\w*)\s*=|from\s[^#\n]*\bimport\s(?P<imported>[^#\n]*))"
)


def _declared_names(text: str) -> tuple[str, ...]:
    """The names that a statement which does not read would have declared."""
    code = re.sub(r"#[^\n]*", "", text)
    match = _NAMING.match(code)
    if match is None:
        return ()
    if match["imported"] is not None:
        return tuple(re.findall(r"[^\W\d]\w*", match["imported"]))
    return (match["name"] or match["outside"] or match["other"],)
