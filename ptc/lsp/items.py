"""Proposals, and how names and functions are shown as such."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lsprotocol import types as lsp

from ptc.compiler import glossary
from ptc.lang import ast
from ptc.lang.symbols import Symbol
from ptc.lsp import describing
from ptc.lsp.candidates import Edit
from ptc.lsp.documents import Document
from ptc.lsp.vocabulary import Function

Kind = lsp.CompletionItemKind
KINDS = {
    "source": Kind.Variable,
    "model": Kind.Module,
    "eval": Kind.Event,
    "stage": Kind.Class,
    "objective": Kind.Function,
    "recipe": Kind.Function,
    "verifier": Kind.Function,
    "role": Kind.Property,
    "param": Kind.Constant,
    "parameter": Kind.Variable,
    "type": Kind.Struct,
}


SNIPPETS = {
    "stage": "stage ${1:name} {\n  train policy = ${2:base}\n  minimize ${3:sft(demos, policy)}\n"
    "  optimizer = adamw(lr = ${4:1e-5})\n  batch     = ${5:64 samples}\n  budget    = ${6:1 epoch}\n}",
    "edition": "edition 2026",
}
"""What a keyword brings with it where the editor can fill in blanks."""


@dataclass(frozen=True)
class Item:
    """One proposal. `order` sorts: what fits best comes first."""

    label: str
    kind: Kind
    detail: str = ""
    doc: str = ""
    insert: str = ""
    order: int = 5
    edits: tuple[Edit, ...] = ()
    """What else has to change: the import of a name."""


def words(known: Iterable[str], order: int = 2) -> Iterator[Item]:
    for word in known:
        yield Item(word, Kind.Keyword, "", glossary.KEYWORDS.get(word, ""), SNIPPETS.get(word, ""), order)


def kind_of(symbol: Symbol) -> str:
    """What a name is, as far as its declaration says."""
    if symbol.kind == "import" and isinstance(symbol.node, ast.Import):
        module = ".".join(part.id for part in symbol.node.module)
        kinds = {"std.objectives": "objective", "std.verifiers": "verifier", "std.recipes": "recipe"}
        return kinds.get(module, "import")
    if isinstance(symbol.node, ast.Parameter):
        types = {"Trajectories": "source", "Verifier": "verifier", "Eval": "eval"}
        models = ("Model", "Trained", "Anchor", "Frozen")
        return "model" if symbol.node.type.name in models else types.get(symbol.node.type.name, "number")
    return "number" if symbol.kind in ("param", "let") else symbol.kind


def named(document: Document, symbol: Symbol, order: int) -> Item:
    detail = describing.declaration(symbol).split("\n", 1)[0]
    kind = KINDS.get(kind_of(symbol), Kind.Variable)
    return Item(symbol.name, kind, detail, describing.symbol(document, symbol) or "", "", order)


def called(function: Function, order: int) -> Item:
    """A function, with the cursor between its brackets."""
    takes = not function.head.endswith("()")
    insert = f"{function.name}(${{0}})" if takes else f"{function.name}()"
    if function.kind == "series" and "(" not in function.head:
        insert = function.name
    return Item(function.name, Kind.Function, function.head, describing.function(function), insert, order)
