"""Colours by the server, for editors that have no grammar of the language: those of the lexer for Pygments."""

from __future__ import annotations

from collections.abc import Iterator

from lsprotocol import types as lsp
from pygments.token import Comment, Keyword, Name, Number, Operator, String

from ptc.highlight import PtcLexer
from ptc.lang.source import Span
from ptc.lsp.documents import Document

KINDS = {
    Comment: "comment",
    String: "string",
    String.Interpol: "variable",
    Number: "number",
    Name.Builtin: "number",
    Operator: "operator",
    Operator.Word: "keyword",
    Keyword: "keyword",
    Keyword.Pseudo: "modifier",
    Keyword.Type: "type",
    Name.Function: "function",
    Name.Class: "class",
    Name.Variable: "variable",
    Name.Variable.Instance: "property",
    Name.Attribute: "parameter",
}
LEGEND = lsp.SemanticTokensLegend(sorted(set(KINDS.values())), [])


def colours(document: Document) -> lsp.SemanticTokens:
    """Every coloured piece, a line at most: lines and columns from the piece before it, length, kind."""
    data: list[int] = []
    line, column = 0, 0
    for span, kind in _pieces(document):
        place = document.places.range(span)
        start, length = place.start, place.end.character - place.start.character
        shift = start.character - (column if start.line == line else 0)
        data += [start.line - line, shift, length, LEGEND.token_types.index(kind), 0]
        line, column = start.line, start.character
    return lsp.SemanticTokens(data)


def _pieces(document: Document) -> Iterator[tuple[Span, str]]:
    for start, token, text in PtcLexer().get_tokens_unprocessed(document.source.text):
        kind = next((KINDS[each] for each in reversed(token.split()) if each in KINDS), None)
        if kind is None:
            continue
        for line in text.split("\n"):
            if line.strip():
                yield Span(start, start + len(line)), kind
            start += len(line) + 1
