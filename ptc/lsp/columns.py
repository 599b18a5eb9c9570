"""The columns that can be named at a place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ptc.compiler import core
from ptc.lang import ast
from ptc.lang.cursor import Cursor
from ptc.lang.same import walk
from ptc.lang.symbols import path
from ptc.lsp import describing, inference
from ptc.lsp.documents import Document
from ptc.lsp.items import Item, Kind


def columns(document: Document, here: Cursor) -> Iterator[Item]:
    """Columns of the rows that flow into the step, or that the objective has; else all that the file names."""
    known = columns_at(document, here)
    if known is None:
        known = [node.name for node in _every_column(document.tree)]
    for name in dict.fromkeys(known):
        yield Item(name, Kind.Field, "column", describing.column(name), "", 1)


def columns_at(document: Document, here: Cursor) -> list[str] | None:
    """The columns that can be named at a place; None where nobody knows."""
    if here.block == "objective":
        around = path(document.tree, here.offset)
        node = next((node for node in around if isinstance(node, ast.Objective)), None)
        node = node or _last_objective(document, here)
        kinds = [parameter.type for parameter in node.parameters] if node is not None else []
        return [column.name.id for kind in kinds for column in kind.columns or ()] or None
    step = here.step
    if step is None or step.before is None:
        return None
    rows = flowing(document, here, step.before.start)
    return list(rows.type.columns) if rows is not None and rows.type.columns else None


def flowing(document: Document, here: Cursor, pipe: int) -> core.Source | None:
    """What flows into a step: the text before its `|>`, with every open bracket closed, as the checker sees it."""
    closing = {"(": ")", "[": "]", "{": "\n}"}
    open_ = [frame for frame in here.frames[1:] if frame.start < pipe]
    head = document.source.text[:pipe].rstrip()
    probe = replace(document, text=head + "".join(closing[frame.bracket] for frame in reversed(open_)))
    probe.result  # noqa: B018 - the checker's own tree is the one with types
    for node in reversed(path(probe.tree, len(head))):
        if node.span.end == len(head):
            found = inference.of_expression(probe, node)
            if isinstance(found, core.Source):
                return found
    return None


def _last_objective(document: Document, here: Cursor) -> ast.Objective | None:
    above = [node for node in document.tree.statements if node.span.start < here.offset]
    return above[-1] if above and isinstance(above[-1], ast.Objective) else None


def _every_column(tree: ast.Program) -> Iterator[ast.Column]:
    yield from (node for node in walk(tree) if isinstance(node, ast.Column))
