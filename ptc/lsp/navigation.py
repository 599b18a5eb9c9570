"""From a use to its declaration, to all other uses, and the outline of a file."""

from __future__ import annotations

import re
from pathlib import Path

from lsprotocol import types as lsp

from ptc.api import standard
from ptc.lang import ast
from ptc.lang.source import Source, Span
from ptc.lang.symbols import Scope, Symbol, path
from ptc.lsp import vocabulary
from ptc.lsp.diagnostics import location
from ptc.lsp.documents import Document
from ptc.lsp.hover import dotted, word_at
from ptc.lsp.places import Places


def definition(document: Document, offset: int) -> lsp.Location | None:
    """Where what stands at a place is declared: in this file, beside it, or in the library."""
    symbol = document.index.symbol_at(offset)
    if symbol is not None and not isinstance(symbol.node, ast.Import):
        return location(symbol.span, document)
    word = word_at(document.source, offset)
    if symbol is not None and isinstance(symbol.node, ast.Import):
        return _imported(document, symbol.node, symbol.name)
    if word is None:
        return None
    text = document.source.text[word.start : word.end]
    around = path(document.tree, offset)
    call = next((node for node in reversed(around) if isinstance(node, ast.Call)), None)
    label = next((node for node in reversed(around) if isinstance(node, ast.Argument)), None)
    if call is not None and label is not None and label.name is not None and label.name.span.start == word.start:
        return _parameter(document, dotted(call.callee), text)
    if any(isinstance(node, ast.Import) for node in around):
        statement = next(node for node in around if isinstance(node, ast.Import))
        return _module(document, statement)
    return None


def _imported(document: Document, statement: ast.Import, name: str) -> lsp.Location | None:
    if statement.relative:
        return _beside(document, statement, name)
    objective = vocabulary.declared().get(name)
    if objective is not None:
        return location(objective.node.name.span, document)
    return _verifier(document, name) if name in standard().verifiers else None


def _parameter(document: Document, function: str, name: str) -> lsp.Location | None:
    """An argument of an objective of the library."""
    objective = vocabulary.declared().get(function)
    known = objective.node.parameters if objective is not None else ()
    return next((location(p.name.span, document) for p in known if p.name.id == name), None)


def _verifier(document: Document, name: str) -> lsp.Location | None:
    """A verifier is a Python function of the library; without one of its name, the file that they stand in."""
    file = Path(__file__).parents[1] / "stdlib" / "verifiers.py"
    text = Source(str(file), file.read_text(encoding="utf-8"))
    found = re.search(rf"^(?:def|class) ({re.escape(name)})\b", text.text, re.MULTILINE | re.IGNORECASE)
    place = Span(*found.span(1), text) if found else Span(0, 0, text)
    return lsp.Location(file.resolve().as_uri(), Places(text, document.encoding).range(place))


def _module(document: Document, statement: ast.Import) -> lsp.Location | None:
    """The file that an import reads, where it is one."""
    if not statement.relative:
        return None
    file = sibling(document, statement)
    return lsp.Location(file.as_uri(), lsp.Range(lsp.Position(0, 0), lsp.Position(0, 0))) if file.is_file() else None


def sibling(document: Document, statement: ast.Import) -> Path:
    """The file that ``from .rewards import …`` names."""
    return Path(document.path).parent.joinpath(*(part.id for part in statement.module)).with_suffix(".pt").resolve()


def _beside(document: Document, statement: ast.Import, name: str) -> lsp.Location | None:
    """A name of a file beside this one."""
    other = beside(document, statement)
    symbol = other.index.file.names.get(name) if other is not None else None
    return None if other is None or symbol is None else location(symbol.span, other)


def beside(document: Document, statement: ast.Import) -> Document | None:
    """The file that a relative import names, as it is on the disk."""
    file = sibling(document, statement)
    return on_disk(file, document.encoding) if file.is_file() else None


def on_disk(file: Path, encoding: str) -> Document:
    return Document(file.as_uri(), str(file), file.read_text(encoding="utf-8", errors="replace"), None, encoding)


def references(document: Document, offset: int, declaration: bool) -> list[Span]:
    """Every use of the name at a place."""
    symbol = document.index.symbol_at(offset)
    if symbol is None:
        return []
    return [span for span in document.index.places(symbol) if declaration or span.start != symbol.span.start]


# The outline ---------------------------------------------------------------------------------------------------------

_KINDS = {
    "source": lsp.SymbolKind.Array,
    "model": lsp.SymbolKind.Object,
    "eval": lsp.SymbolKind.Event,
    "let": lsp.SymbolKind.Variable,
    "param": lsp.SymbolKind.Constant,
    "type": lsp.SymbolKind.Struct,
    "stage": lsp.SymbolKind.Class,
    "objective": lsp.SymbolKind.Function,
    "recipe": lsp.SymbolKind.Function,
    "verifier": lsp.SymbolKind.Function,
    "role": lsp.SymbolKind.Property,
    "parameter": lsp.SymbolKind.TypeParameter,
}


def outline(document: Document) -> list[lsp.DocumentSymbol]:
    """Every declaration, those of stages, objectives and recipes inside them."""
    return _outlined(document, document.index.file)


def _outlined(document: Document, scope: Scope) -> list[lsp.DocumentSymbol]:
    inner = {inside.node: inside for inside in scope.inner}
    return [
        _symbol(document, symbol, _outlined(document, inner[symbol.node]) if symbol.node in inner else [])
        for symbol in document.index.symbols
        if symbol.scope is scope and symbol.kind != "import"
    ]


def _symbol(document: Document, symbol: Symbol, children: list[lsp.DocumentSymbol]) -> lsp.DocumentSymbol:
    verb = symbol.node.verb.id if isinstance(symbol.node, ast.Role) else symbol.kind
    return lsp.DocumentSymbol(
        name=symbol.name,
        kind=_KINDS.get(symbol.kind, lsp.SymbolKind.Variable),
        range=document.places.range(symbol.node.span.to(symbol.span)),
        selection_range=document.places.range(symbol.span),
        detail=verb,
        children=children,
    )
