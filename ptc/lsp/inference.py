"""What the checker makes of one expression: the type of rows at a step of a flow, the model behind a name."""

from __future__ import annotations

from collections.abc import Iterator

from ptc.compiler import core, types
from ptc.compiler.lineage import sources
from ptc.lang import ast
from ptc.lang.source import Span
from ptc.lang.symbols import Symbol
from ptc.lsp.documents import Document

Thing = core.Source | core.Model | core.Role


def of_expression(document: Document, expr: ast.Node) -> Thing | None:
    """What an expression of this file stands for."""
    match expr:
        case ast.Name():
            symbol = document.index.resolve(expr.id, expr.span.start)
            return None if symbol is None else of_symbol(document, symbol)
        case ast.Pipe(step=step):
            return _at(document, step.span, core.Source)
        case ast.Missing():
            return None
    return _at(document, expr.span, core.Source | core.Model)


def of_symbol(document: Document, symbol: Symbol) -> Thing | None:
    """What a declared name stands for. A name that leads to itself stands for nothing."""
    node = symbol.node
    if isinstance(node, ast.Role):
        return _at(document, node.span, core.Role)
    if isinstance(node, ast.Define) and node.keyword in ("source", "model"):
        if isinstance(node.value, ast.Name):
            before = document.index.resolve(node.value.id, node.value.span.start)
            above = before is not None and before.span.start < symbol.span.start
            return of_symbol(document, before) if before is not None and above else None
        return of_expression(document, node.value)
    return None


def _at(document: Document, span: Span, kind: type | object) -> Thing | None:
    found = document.typed.get((span.start, span.end), [])
    return next((thing for thing in found if isinstance(thing, kind)), None)  # type: ignore[arg-type]


def in_words(thing: Thing) -> list[str]:
    """A few lines of Markdown: columns and regime of rows, what is known of a model."""
    match thing:
        case core.Source():
            return [f"`{types.columns(thing.type)}`", types.regime(thing.type)]
        case core.Model():
            return _model(thing.type)
        case core.Role():
            changes = {"train": "receives gradient", "freeze": "stands still", "track": "follows the trained model"}
            start = f"starts as `{thing.init.name}`" if thing.init.name and thing.verb == "train" else ""
            return [", ".join(filter(None, (changes[thing.verb], start))), *_model(thing.type)]


def relations(document: Document, thing: Thing) -> Iterator[str]:
    """What rows are to each learner that learns from them: on-policy, its own past, another model's."""
    if not isinstance(thing, core.Source) or document.result.checked is None:
        return
    place = (thing.span.start, thing.span.end)
    for stage in document.result.checked.program.stages:
        for term in stage.terms:
            for source in sources(term):
                if (source.span.start, source.span.end) == place and source.span.text is thing.span.text:
                    learner = types.learner_of(term, stage)
                    yield f"to `{stage.name}.{learner.name}`: {types.relation(source, learner)}"


def _model(kind: core.ModelType) -> list[str]:
    facts = [] if kind.head == "language" else [f"with a {kind.head} head"]
    facts += ["adapter"] if kind.adapter is not None else []
    facts += [f"{kind.parameters:_} parameters"] if kind.parameters else []
    facts += [f"context {kind.context:_} tokens"] if kind.context else []
    ancestry = [model.name for model in kind.ancestry if model.name]
    lines = [", ".join(facts)] if facts else []
    return [*lines, f"weights from {' ← '.join(f'`{name}`' for name in ancestry)}"] if ancestry else lines
