"""What may be written at a place: names in scope, columns, arguments, steps, keywords, names of checks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from ptc.compiler import glossary
from ptc.compiler.findings import CHECKS
from ptc.compiler.observers import may_be_allowed
from ptc.compiler.settings import EXAMPLES, SETTINGS
from ptc.lang import ast
from ptc.lang.cursor import Cursor, cursor
from ptc.lang.keywords import CLAIMS, IN_OBJECTIVE, IN_RECIPE, IN_STAGE, TOP_LEVEL
from ptc.lang.source import Span
from ptc.lang.units import COUNTS, UNITS
from ptc.lsp import describing, vocabulary
from ptc.lsp.arguments import arguments, names, texts, values
from ptc.lsp.columns import columns, of_type
from ptc.lsp.documents import Document
from ptc.lsp.items import Item, Kind, called, named, words

INVITED: Mapping[str, tuple[str, ...]] = {
    " ": ("claim", "claimed", "unit", "module", "imported", "behind"),
    ">": ("step",),
    '"': ("string",),
}
"""Signs behind which an editor asks by itself, and where there is something to propose behind them."""


_CALLED = re.compile(r"\w*\(")


def complete(document: Document, offset: int, typed: str | None = None) -> tuple[list[Item], Span]:
    """The proposals at a place, and the word that they take the place of.

    `typed` is the sign that made the editor ask; nothing where the user asked, or writes a word.
    """
    here = cursor(document.source.text, offset)
    if typed is not None and here.where not in INVITED.get(typed, (here.where,)):
        return [], here.word
    proposed = _proposed(document, here)
    if _CALLED.match(document.source.text, offset):  # the brackets are there already
        proposed = (replace(i, insert=i.insert.split("(")[0]) if i.kind is Kind.Function else i for i in proposed)
    found = {(item.label, item.kind): item for item in reversed(list(proposed))}
    return sorted(found.values(), key=lambda item: (item.order, item.label)), here.word


def _proposed(document: Document, here: Cursor) -> Iterator[Item]:
    match here.where:
        case "statement":
            yield from _statements(here)
        case "step":
            yield from (called(function, 1) for function in vocabulary.of("step").values())
        case "column":
            yield from columns(document, here)
        case "member":
            yield from _members(document, here)
        case "argument":
            yield from arguments(document, here)
            yield from values(document, here)
        case "value":
            yield from values(document, here)
        case "type":
            yield from _types(document, here)
        case "module":
            yield from _modules(document, here)
        case "imported":
            yield from _imported(document, here)
        case "claim":
            yield from words(CLAIMS)
        case "claimed":
            yield from names(document, here, ("eval",))
        case "check":
            yield from _checks(document)
        case "unit":
            yield from _units(here)
        case "which":
            yield from (called(function, 1) for function in vocabulary.of("checkpoint").values())
        case "string":
            yield from texts(here)
        case "behind":
            yield from _behind(here)


# Words ---------------------------------------------------------------------------------------------------------------

BLOCKS = {"file": TOP_LEVEL, "stage": IN_STAGE, "objective": IN_OBJECTIVE, "recipe": IN_RECIPE}


def _statements(here: Cursor) -> Iterator[Item]:
    yield from words(BLOCKS.get(here.block, TOP_LEVEL))
    if here.block == "stage":
        for name in SETTINGS:
            example = EXAMPLES.get(name, [""])[0]
            yield Item(name, Kind.Field, example, describing.setting(name) or "", f"{name} = ", 1)
    if here.block == "objective":
        yield Item("loss", Kind.Field, "loss = …", "What is minimised: an expression without axes.", "loss = ", 1)


def _behind(here: Cursor) -> Iterator[Item]:
    """Behind something complete: what may go on."""
    first = here.statement[0].text if here.statement else ""
    going_on = {
        "watch": ("every",),
        "guard": ("over",),
        "protect": ("within", "from"),
        "export": ("to",),
        "from": ("import",),
    }
    yield from words(going_on.get(first, ()), 1)


FITTING = {
    "batch": ("prompts", "samples"),
    "rollout": ("prompts",),
    "budget": ("steps", "epochs"),
    "watch": ("steps",),
    "guard": ("steps",),
    "protect": ("points",),
}
"""The units that a statement counts in."""


def _units(here: Cursor) -> Iterator[Item]:
    first = here.statement[0].text if here.statement else ""
    fitting = FITTING.get(first, COUNTS)
    for name, unit in UNITS.items():
        if unit.dimension in fitting and name + "s" not in UNITS:
            yield Item(name, Kind.Unit)


def _checks(document: Document) -> Iterator[Item]:
    """What may be allowed; first what has been found in this program."""
    found = {diagnostic.name for diagnostic in document.result.diagnostics}
    for check in CHECKS:
        if may_be_allowed(check):
            name = check.name.replace("-", "_")
            order = 1 if check.name in found else 5
            detail, about = f"{check.code}, {check.severity}", describing.check(check.code) or ""
            yield Item(name, Kind.EnumMember, detail, about, f'{name}, "${{1:why}}"', order)


_BASE = re.compile(r"([^\W\d]\w*(?:[ \t]*\.[ \t]*\w+)*)[ \t]*\.[ \t]*\Z")


def _members(document: Document, here: Cursor) -> Iterator[Item]:
    """Behind the dot of a name: roles of a stage, what a recipe made, `hf.model`."""
    base = _BASE.search(document.source.text, 0, here.word.start)
    path = re.sub(r"[ \t]", "", base[1]) if base is not None else ""
    for kind in ("source", "model"):
        for name, function in vocabulary.of(kind).items():
            if name.startswith(f"{path}."):
                short = name.removeprefix(f"{path}.")
                yield replace(called(function, 1), label=short, insert=f"{short}(${{0}})")
    scope = document.index.behind(path, here.word.start - 1)
    for symbol in scope.names.values() if scope is not None else ():
        if symbol.kind in ("role", "stage", "model", "eval"):
            yield named(document, symbol, 1)
    known = document.index.resolve(path, here.word.start - 1)
    if known is not None and isinstance(known.node, ast.Parameter):
        for name in of_type(known.node.type, document.tree):
            yield Item(name, Kind.Field, "column", describing.column(name), "", 1)
    yield from _made_by_library(document, path, here.word.start - 1)


def _made_by_library(document: Document, name: str, offset: int) -> Iterator[Item]:
    """The stages of a recipe of the library, behind the name of its call."""
    symbol = document.index.resolve(name, offset)
    value = symbol.node.value if symbol is not None and isinstance(symbol.node, ast.Define) else None
    called_name = value.callee.id if isinstance(value, ast.Call) and isinstance(value.callee, ast.Name) else ""
    recipe = vocabulary.declared().get(called_name)
    for statement in recipe.node.body.statements if recipe is not None else ():
        if isinstance(statement, ast.Stage):
            yield Item(statement.name.id, Kind.Class, f"a stage of `{called_name}`")


# Types, modules, columns ---------------------------------------------------------------------------------------------


def _types(document: Document, here: Cursor) -> Iterator[Item]:
    first = here.statement[0].text if here.statement else ""
    of_objective = ("Trajectories", "Trained", "Anchor", "Frozen", "Real", "Int", "Text", "Bool")
    plain = ("Real", "Int", "Text", "Bool", "Count")
    wanted = {"objective": of_objective, "param": plain}.get(first, tuple(glossary.TYPES))
    yield from (Item(name, Kind.Struct, "", glossary.TYPES[name], "", 1) for name in wanted)
    yield from (named(document, symbol, 2) for symbol in document.index.file.names.values() if symbol.kind == "type")


def _modules(document: Document, here: Cursor) -> Iterator[Item]:
    before = "".join(token.text for token in here.statement[1:])
    if before.startswith("."):
        for file in sorted(Path(document.path).parent.glob("*.pt")):
            if file != Path(document.path) and file.stem.isidentifier():
                yield Item(file.stem, Kind.Module, file.name)
        return
    for module in vocabulary.MODULES:
        if module.startswith(before):
            yield Item(module.removeprefix(before), Kind.Module, describing.module(module) or "")


def _imported(document: Document, here: Cursor) -> Iterator[Item]:
    tokens = [token.text for token in here.statement]
    module = "".join(tokens[1 : tokens.index("import")])
    given = set(tokens[tokens.index("import") + 1 :])
    if module.startswith("."):
        yield from _of_sibling(document, module.strip("."), given)
    for name in vocabulary.library(module):
        if name not in given:
            yield Item(name, Kind.Function, module, describing.imported(name) or "")


def _of_sibling(document: Document, module: str, given: set[str]) -> Iterator[Item]:
    file = Path(document.path).parent.joinpath(*module.split(".")).with_suffix(".pt")
    if file.is_file():
        other = Document(file.as_uri(), str(file), file.read_text(encoding="utf-8", errors="replace"))
        yield from (named(other, symbol, 1) for name, symbol in other.index.file.names.items() if name not in given)
