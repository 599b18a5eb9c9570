"""Calls: what an argument may be called, and what may be its value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ptc.api import standard
from ptc.compiler import glossary
from ptc.compiler.arguments import Parameter
from ptc.compiler.settings import SETTINGS
from ptc.lang import ast
from ptc.lang.cursor import Cursor, Frame
from ptc.lsp import describing, vocabulary
from ptc.lsp.candidates import imports
from ptc.lsp.documents import Document
from ptc.lsp.items import Item, Kind, called, kind_of, named

# Values --------------------------------------------------------------------------------------------------------------

MODELS = ("model", "stage", "role")
NUMBERS = ("number",)
WANTED: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("source", "sources"), ("source",)),
    **dict.fromkeys(("model", "models"), MODELS),
    **dict.fromkeys(("eval", "measure", "series"), ("eval",)),
    **dict.fromkeys(("number", "real", "int", "share", "tokens", "steps", "text", "flag", "warmup", "row"), NUMBERS),
    **dict.fromkeys(("tokenizer", "optimizer", "tracking", "reals", "texts"), ()),
    "verifier": ("verifier", *MODELS),
    "objective": ("objective",),
}
"""The names that fit where something of a kind is wanted."""
MADE: Mapping[str, tuple[str, ...]] = {
    **{kind: (kind,) for kind in ("source", "model", "eval", "verifier", "tokenizer", "row", "optimizer", "loss")},
    **{kind: (kind,) for kind in ("measure", "series", "tracking", "number")},
    "sources": ("source",),
    "models": ("model",),
}
"""The functions that make something of a kind."""


def values(document: Document, here: Cursor) -> Iterator[Item]:
    if here.label == "over":
        yield from (Item(name, Kind.EnumMember, "axis", doc, "", 1) for name, doc in glossary.AXES.items())
        if here.block == "objective":
            return
    parameter = _parameter(document, here)
    kind = parameter.kind if parameter is not None else _wanted(here)
    if here.block == "objective":
        kind = "loss"
    yield from _choices(parameter)
    fitting = WANTED.get(kind)
    yield from names(document, here, (*fitting, "recipe") if kind == "model" and fitting and not here.call else fitting)
    for maker in MADE.get(kind, ()):
        yield from (called(function, 3) for function in vocabulary.of(maker).values())
    if kind == "objective":
        yield from _from_library(document, "std.objectives")
    if kind == "verifier":
        yield from _from_library(document, "std.verifiers")
    if kind == "model" and here.call is None:
        yield from _from_library(document, "std.recipes")


def _wanted(here: Cursor) -> str:
    """The kind of value that a statement wants."""
    words = [token.text for token in here.statement]
    if not words or here.call is not None:
        return ""
    opening = {"train": "model", "freeze": "model", "track": "tracking", "minimize": "objective", "watch": "eval",
               "report": "eval", "protect": "eval", "export": "model", "require": "measure", "ensure": "measure",
               "guard": "series",
               "stage": "model", "return": "model"}  # fmt: skip
    if words[-1] == "from":
        return "model"
    settings = {"optimizer": "optimizer"}
    return opening.get(words[0]) or settings.get(words[0]) or words[0]


def _choices(parameter: Parameter | None) -> Iterator[Item]:
    if parameter is None:
        return
    for choice in parameter.choices:
        yield Item(f'"{choice}"', Kind.EnumMember, parameter.name, "", "", 0)
    if parameter.kind == "flag":
        yield from (Item(word, Kind.Keyword, "", "", "", 0) for word in ("true", "false"))
    if parameter.optional or parameter.default is None:
        yield Item("none", Kind.Keyword, "", "", "", 2)


def _from_library(document: Document, module: str) -> Iterator[Item]:
    """Names of the library that the file has not imported."""
    for name in vocabulary.library(module):
        if name not in document.index.file.names:
            edits = imports(document, name)
            yield Item(name, Kind.Function, f"from {module}", describing.imported(name) or "", "", 6, edits)


def names(document: Document, here: Cursor, kinds: tuple[str, ...] | None) -> Iterator[Item]:
    """What is declared above, if it is of one of the kinds; what another file declares may be of any."""
    for symbol in document.index.visible(here.offset):
        if kinds is None or kind_of(symbol) in (*kinds, "import"):
            yield named(document, symbol, 1)


# Arguments -----------------------------------------------------------------------------------------------------------


def heads(document: Document, here: Cursor) -> list[Parameter]:
    """The parameters of the innermost call."""
    call = here.call
    return parameters(document, call, here.offset) if call is not None else []


def parameters(document: Document, call: Frame, offset: int) -> list[Parameter]:
    own = document.index.resolve(call.name, offset)
    node = own.node if own is not None else None
    if isinstance(node, ast.Objective | ast.Recipe | ast.Extern):
        return [_from_tree(parameter) for parameter in node.parameters]
    objective = vocabulary.declared().get(call.name)
    is_step = call.before is not None and call.before.text == "|>"
    if objective is not None and not is_step:
        return [_from_tree(parameter) for parameter in objective.node.parameters]
    before = call.before.text if call.before is not None else ""
    only = {"|>": ("step",), "@": ("checkpoint",)}
    known = vocabulary.find(call.name, only.get(before, vocabulary.EVERYWHERE))
    if known is not None and known.signature is not None:
        return list(known.signature.parameters)
    verifier = standard().verifiers.get(call.name)
    return [Parameter(o.name, o.kind, o.default) for o in verifier.options] if verifier is not None else []


_TYPES = {"Trajectories": "source", "Trained": "model", "Anchor": "model", "Frozen": "model", "Model": "model",
          "Verifier": "verifier", "Eval": "eval", "Bool": "flag", "Text": "text"}  # fmt: skip


def _from_tree(parameter: ast.Parameter) -> Parameter:
    default: object = ... if parameter.default is None else describing.written(parameter.default.span)
    return Parameter(parameter.name.id, _TYPES.get(parameter.type.name, "number"), default)


def _parameter(document: Document, here: Cursor) -> Parameter | None:
    """The parameter that the value at the place fills."""
    known = heads(document, here)
    if here.call is not None and here.call.name in SETTINGS:
        return Parameter(here.call.name, "source" if here.call.name == "batch" else "model")
    if here.label is not None:
        return next((parameter for parameter in known if parameter.name == here.label), None)
    return known[here.position] if here.position < len(known) else None


def arguments(document: Document, here: Cursor) -> Iterator[Item]:
    """Names of arguments that are not given yet; those that must be given first."""
    call = here.call
    assert call is not None
    for number, parameter in enumerate(heads(document, here)):
        if parameter.name in here.given or number < here.position - len(here.given):
            continue
        doc = describing.argument(call.name, parameter.name) or ""
        order = 2 if parameter.required else 4
        yield Item(f"{parameter.name} =", Kind.Property, shown(parameter), doc, f"{parameter.name} = ", order)


def shown(parameter: Parameter) -> str:
    """An argument with its default."""
    if isinstance(parameter.default, str) and parameter.kind != "text":
        return f"{parameter.name} = {parameter.default}"
    return vocabulary.parameter_head(parameter)


def texts(here: Cursor) -> Iterator[Item]:
    """Inside quotes: what may be chosen."""
    call = here.call
    if call is None:
        return
    if call.name == "gym" and here.position == 0:
        for task, columns in standard().tasks.items():
            yield Item(task, Kind.EnumMember, ", ".join(f".{column}" for column in columns), "", "", 1)
    known = vocabulary.find(call.name, vocabulary.EVERYWHERE)
    for number, parameter in enumerate(known.signature.parameters if known and known.signature else ()):
        if parameter.name == here.label or (here.label is None and number == here.position):
            yield from (Item(choice, Kind.EnumMember, parameter.name, "", "", 1) for choice in parameter.choices)
