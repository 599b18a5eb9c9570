"""What stands at a place: which of the things that can be described."""

from __future__ import annotations

import re

from ptc.lang import ast
from ptc.lang.cursor import cursor
from ptc.lang.source import Source, Span
from ptc.lang.symbols import path
from ptc.lsp import describing, inference, vocabulary
from ptc.lsp.documents import Document

_WORD = re.compile(r"[^\W\d]\w*")


def hover(document: Document, offset: int) -> tuple[str, Span] | None:
    """Markdown about what stands at a place, and where it stands."""
    around = path(document.tree, offset)
    if isinstance(around[-1], ast.Number):
        about = describing.number(around[-1])
        return None if about is None else (about, around[-1].span)
    word = word_at(document.source, offset)
    if word is None:
        return None
    symbol = document.index.symbol_at(word.start)
    if symbol is None and cursor(document.source.text, word.end).where in ("comment", "string"):
        return None
    text = document.source.text[word.start : word.end]
    about = _about_label(around, word, text)
    if about is None and symbol is not None:
        about = describing.symbol(document, symbol)
    about = about or _about_word(document, around, word, text)
    return None if about is None else (about, word)


def word_at(source: Source, offset: int) -> Span | None:
    """The word that a place is in, or right behind."""
    line, column = source.position(offset)
    start = source.start_of_line(line)
    for word in _WORD.finditer(source.line(line)):
        if word.start() <= column - 1 <= word.end():
            return Span(start + word.start(), start + word.end(), source)
    return None


def _about_label(around: list[ast.Node], word: Span, text: str) -> str | None:
    """The name of an argument."""
    for number in range(len(around) - 1, 0, -1):
        inner, outer = around[number], around[number - 1]
        if isinstance(inner, ast.Argument) and isinstance(outer, ast.Call):
            label = inner.name is not None and inner.name.span.start == word.start
            return describing.argument(dotted(outer.callee), text) if label else None
    return None


def _about_word(document: Document, around: list[ast.Node], word: Span, text: str) -> str | None:
    inner = around[-1]
    if isinstance(inner, ast.Column):
        return describing.column(text)
    if isinstance(inner, ast.ColumnType):
        return describing.column(text) if inner.name.span.start == word.start else describing.type_(text)
    for number in range(len(around) - 1, -1, -1):
        about = _in(document, around[: number + 1], word, text)
        if about is not None:
            return about
    return describing.keyword(text)


def _in(document: Document, around: list[ast.Node], word: Span, text: str) -> str | None:
    """What a word means to the last of the nodes around it."""
    node = around[-1]
    match node:
        case ast.Call() if node.callee.span.start <= word.start and word.end <= node.callee.span.end:
            found = vocabulary.find(dotted(node.callee), kinds(around))
            thing = inference.of_expression(document, node)
            lines = inference.in_words(thing) if thing is not None else ()
            return None if found is None else describing.function(found, *lines)
        case ast.Argument(name=ast.Name(id="over")):
            return describing.axis(text)
        case ast.Gate(keyword=ast.Name(id="guard")) if word.start >= node.condition.span.start:
            known = vocabulary.of("series").get(text)
            return None if known is None else describing.function(known)
        case ast.Setting() if node.name.span.start == word.start:
            return describing.setting(text)
        case ast.Allow() if node.check.span.start == word.start:
            return describing.check(text)
        case ast.Import():
            whole = ".".join(part.id for part in node.module)
            in_module = node.module[0].span.start <= word.start < node.module[-1].span.end
            about = describing.module(whole) if in_module else describing.imported(text)
            return None if node.relative else about
        case ast.Type():
            return describing.type_(text)
        case ast.Unreadable():
            known = vocabulary.find(text, vocabulary.EVERYWHERE)
            return describing.keyword(text) or (None if known is None else describing.function(known))
    return None


def kinds(around: list[ast.Node]) -> tuple[str, ...]:
    """The kinds of function that the last of these nodes, a call, may be of: the likeliest first."""
    *outside, call = around
    if outside and isinstance(outside[-1], ast.Pipe) and outside[-1].step is call:
        return ("step",)
    if outside and isinstance(outside[-1], ast.At):
        return ("checkpoint",)
    if any(isinstance(node, ast.Objective) for node in outside):
        return ("loss", *vocabulary.EVERYWHERE)
    if any(isinstance(node, ast.Gate) for node in outside):
        return ("measure", *vocabulary.EVERYWHERE)
    if any(isinstance(node, ast.Pipe) and call.span.start >= node.step.span.start for node in outside):
        return ("row", *vocabulary.EVERYWHERE)
    return vocabulary.EVERYWHERE


def dotted(expr: ast.Node) -> str:
    """``hf.model``; nothing where it is no path of names."""
    match expr:
        case ast.Name(id=name):
            return name
        case ast.Member(base=base, name=last):
            return f"{dotted(base)}.{last.id}"
    return ""
