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
        parameters = node.parameters if node is not None else ()
        return [name for each in parameters for name in of_type(each.type, document.tree)] or None
    step = here.step
    if step is None or step.before is None:
        return None
    return flowing(document, here, step.before.start) or None


CLOSING = {"(": ")", "[": "]", "{": "\n}"}


def flowing(document: Document, here: Cursor, pipe: int) -> list[str]:
    """The columns that flow into a step: of the text before its `|>`, with every open bracket closed, as it checks."""
    open_ = [frame.bracket for frame in here.frames[1:] if frame.start < pipe]
    head = document.source.text[:pipe].rstrip()
    probe = replace(document, text=head + "".join(CLOSING[bracket] for bracket in reversed(open_)))
    last = probe.tree.statements[-1] if probe.tree.statements else None
    if isinstance(last, ast.Recipe) and last.parameters:
        inside = "".join(CLOSING[bracket] for bracket in reversed(open_[1:]))
        given = f"\nreturn {last.parameters[0].name.id}\n}}"
        probe = replace(probe, text=head + inside + given + called_once(last, probe.tree))
    probe.result  # noqa: B018 - the checker's own tree is the one with types
    for node in reversed(path(probe.tree, len(head))):
        if node.span.end == len(head):
            found = inference.of_expression(probe, node)
            if isinstance(found, core.Source):
                return list(found.type.columns)
            symbol = probe.index.resolve(node.id, node.span.start) if isinstance(node, ast.Name) else None
            if symbol is not None and isinstance(symbol.node, ast.Parameter):
                return of_type(symbol.node.type, probe.tree)
    return []


def of_type(kind: ast.Type, tree: ast.Program) -> list[str]:
    """The columns that a written type has, by way of the name that `type` may have given it."""
    aliases = (node.type for node in tree.statements if isinstance(node, ast.TypeAlias) and node.name.id == kind.name)
    return [column.name.id for column in next(aliases, kind).columns or ()]


MADE_UP = {
    "Model": "made_up_model",
    "Verifier": "made_up_judge",
    "Eval": "made_up_eval",
    "Real": "1.0",
    "Int": "1",
    "Text": '""',
    "Bool": "true",
    "Count": "1 step",
}
"""An argument for each type of a recipe's parameters: what is not called is not checked."""


def called_once(recipe: ast.Recipe, tree: ast.Program) -> str:
    """A call of a recipe that is being written, with made-up arguments of the right types."""
    lines = [
        "",
        'source made_up_rows = gym("chain_sum", size = 10) |> prompts(.question, answer = .answer)',
        'extern verifier made_up_judge(response: Text) -> Real = "made:up"',
        'model made_up_model = new.model("qwen3", hidden = 8, layers = 1, tokenizer = characters(made_up_rows))',
        "eval made_up_eval = pass_rate(made_up_rows, made_up_judge)",
    ]
    given = []
    for number, parameter in enumerate(recipe.parameters):
        kind, names = parameter.type.name, of_type(parameter.type, tree)
        if names:
            others = "".join(f", {name} = .answer" for name in names if name != "prompt")
            lines.append(f'source made_up_{number} = gym("chain_sum", size = 10) |> prompts(.question{others})')
        made = f"made_up_{number}" if names else MADE_UP.get(kind, "none")
        if parameter.default is None:
            given.append(f"{parameter.name.id} = {made}")
    return "\n".join([*lines, f"model made_up = {recipe.name.id}({', '.join(given)})", ""])


def _last_objective(document: Document, here: Cursor) -> ast.Objective | None:
    above = [node for node in document.tree.statements if node.span.start < here.offset]
    return above[-1] if above and isinstance(above[-1], ast.Objective) else None


def _every_column(tree: ast.Program) -> Iterator[ast.Column]:
    yield from (node for node in walk(tree) if isinstance(node, ast.Column))
