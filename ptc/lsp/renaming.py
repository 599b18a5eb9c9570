"""A new name for something, in every place that names it; or one sentence that says why not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from ptc.lang import ast
from ptc.lang.keywords import KEYWORDS
from ptc.lang.source import Span
from ptc.lang.symbols import CONSTANTS, Symbol
from ptc.lsp.documents import Document
from ptc.lsp.hover import word_at
from ptc.lsp.navigation import on_disk, sibling

_DECLARED = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
_TYPE = re.compile(r"[A-Z][A-Za-z0-9_]{0,63}\Z")


class CannotRename(ValueError):
    """Why a name stays as it is."""


def renameable(document: Document, offset: int) -> tuple[Symbol, Span]:
    """The name at a place and where it stands there. Raises `CannotRename`."""
    symbol = document.index.symbol_at(offset)
    word = word_at(document.source, offset)
    text = document.source.text[word.start : word.end] if word is not None else ""
    if symbol is None or word is None:
        if not text:
            raise CannotRename("nothing here has a name")
        what = "a word of the language" if text in KEYWORDS else "declared nowhere in this file"
        raise CannotRename(f"`{text}` is {what}")
    if isinstance(symbol.node, ast.Import):
        owner = "another file: rename it there" if symbol.node.relative else "the library"
        raise CannotRename(f"`{symbol.name}` belongs to {owner}")
    return symbol, word


def renamed(
    document: Document, offset: int, name: str, opened: Mapping[Path, Document]
) -> Mapping[Document, list[Span]]:
    """What has to be replaced by the new name, in this file and in those that import the old one.

    Of the other files, those that are `opened` are taken as they stand in the editor.
    """
    symbol, _ = renameable(document, offset)
    _check_spelling(symbol, name)
    if name == symbol.name:
        return {}
    _check_free(document, symbol, name)
    places = {document: document.index.places(symbol)}
    if symbol.scope is document.index.file:
        for other in importers(document, opened):
            spans = list(_imported(other, document, symbol.name))
            taken = other.index.file.names.get(name)
            if spans and taken is not None:
                raise CannotRename(f"`{name}` is declared already in {Path(other.path).name}")
            if spans:
                places[other] = spans
    return places


def _check_spelling(symbol: Symbol, name: str) -> None:
    if name in KEYWORDS or name in CONSTANTS:
        raise CannotRename(f"`{name}` is a word of the language")
    if symbol.kind == "type" and not _TYPE.match(name):
        raise CannotRename(f"`{name}` cannot name a type: it begins with a capital, then letters, digits and `_`")
    if symbol.kind != "type" and not _DECLARED.match(name):
        raise CannotRename(f"`{name}` is no name: small letters, digits and `_`, a letter first")


def _check_free(document: Document, symbol: Symbol, name: str) -> None:
    """The new name must mean nothing yet, wherever the old one is declared or used."""
    for span in document.index.places(symbol):
        taken = document.index.resolve(name, span.start)
        if taken is not None:
            line, _ = document.source.position(taken.span.start)
            raise CannotRename(f"`{name}` is declared already, in line {line}")
    for inner in _below(symbol):
        if name in inner:
            raise CannotRename(f"`{name}` is declared already, inside what sees `{symbol.name}`")


def _below(symbol: Symbol) -> Iterator[Mapping[str, Symbol]]:
    """The names of every scope from which the symbol can be seen."""
    rest = list(symbol.scope.inner)
    while rest:
        scope = rest.pop()
        yield scope.names
        rest += scope.inner


# Other files ---------------------------------------------------------------------------------------------------------


LEVELS = 3
"""How many folders above a file may hold programs that import it."""
LARGEST = 2**20


def importers(document: Document, opened: Mapping[Path, Document]) -> Iterator[Document]:
    """The programs that may import from this one: those of its folder and of the folders above it."""
    here = Path(document.path).resolve()
    for folder in list(here.parents)[:LEVELS] if here.is_file() else ():
        for file in sorted(folder.glob("*.pt")):
            if file == here or not file.is_file() or file.stat().st_size > LARGEST:
                continue
            other = opened.get(file) or on_disk(file, document.encoding)
            if here.stem in other.text:
                yield other


def _imported(other: Document, document: Document, name: str) -> Iterator[Span]:
    """Where another file names what it imports from this one."""
    for statement in other.tree.statements:
        if not isinstance(statement, ast.Import) or not statement.relative:
            continue
        symbol = other.index.file.names.get(name)
        ours = symbol is not None and symbol.node is statement
        if symbol is not None and ours and sibling(other, statement) == Path(document.path).resolve():
            yield from other.index.places(symbol)
