"""Markdown about single things: a name of the program, a function, an argument, a column, a setting, a finding."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from ptc import explaining
from ptc.api import standard
from ptc.compiler import glossary
from ptc.compiler.arguments import Parameter
from ptc.compiler.names import Name, spelled
from ptc.lang import ast
from ptc.lang.source import Span
from ptc.lang.symbols import Symbol
from ptc.lang.units import UNITS
from ptc.lsp import inference, vocabulary
from ptc.lsp.documents import Document
from ptc.lsp.vocabulary import Function

_DIMENSIONS = {
    "share": "A share of the whole.",
    "points": "Percentage points, absolute.",
    "epochs": "Passes over the source.",
    "prompts": "Prompts, each with all its attempts.",
    "samples": "Rows; a pair of preferences is one.",
    "steps": "Optimizer steps.",
    "rollouts": "Rollouts.",
    "tokens": "Tokens.",
    "bytes": "Bytes.",
    "time": "Time on the clock.",
}


def page(code: str, *lines: str) -> str:
    """Markdown: some lines of the language, then sentences."""
    return "\n\n".join([f"```ptc\n{code}\n```", *(line for line in lines if line)])


# Names of the program ------------------------------------------------------------------------------------------------


def symbol(document: Document, symbol: Symbol) -> str | None:
    """A declared name: how it is declared, what its ``##`` lines say, its type and regime."""
    node = symbol.node
    if isinstance(node, ast.Import):
        return None if node.relative else imported(symbol.name)
    if isinstance(node, ast.Stage):
        return page(declaration(symbol), symbol.doc, as_model(node))
    thing = inference.of_symbol(document, symbol)
    if thing is None:
        return page(declaration(symbol), symbol.doc)
    return page(declaration(symbol), symbol.doc, *inference.in_words(thing), *inference.relations(document, thing))


def declaration(symbol: Symbol) -> str:
    """How a name is declared, without its body."""
    node = symbol.node
    match node:
        case ast.Define() if node.keyword in ("eval", "let") or _is_short(node.span):
            return f"{node.keyword} {symbol.name} = {written(node.value.span)}"
        case ast.Role():
            return f"{node.verb.id} {symbol.name} = {written(node.value.span)}"
        case ast.Objective() | ast.Recipe():
            return head(node)
        case ast.Param() | ast.Parameter() | ast.TypeAlias() | ast.Extern():
            return written(node.span)
        case ast.Stage() if node.claims:
            claims = (f"{claim.role.id} {', '.join(name.id for name in claim.evals)}" for claim in node.claims)
            return f"stage {symbol.name} {', '.join(claims)}"
    return f"{symbol.kind} {symbol.name}"


def _is_short(span: Span) -> bool:
    return span.end - span.start <= 100 and "\n" not in written(span)


def head(node: ast.Objective | ast.Recipe) -> str:
    """What stands before the body."""
    return written(Span(node.span.start, node.body.span.start, node.span.text)).rstrip()


def written(span: Span) -> str:
    assert span.text is not None
    return span.text.text[span.start : span.end]


def as_model(stage: ast.Stage) -> str:
    trained = [s.name.id for s in stage.body.statements if isinstance(s, ast.Role) and s.verb.id == "train"]
    if len(trained) == 1:
        return f"as a model: the final weights of `{trained[0]}`"
    return f"as a model: {' or '.join(f'`{stage.name.id}.{name}`' for name in trained)}" if trained else ""


def imported(name: str) -> str | None:
    """An objective, a recipe or a verifier of the library."""
    objective = vocabulary.declared().get(name)
    if objective is not None:
        return page(head(objective.node), objective.doc)
    verifier = standard().verifiers.get(name)
    if verifier is None:
        return None
    options = ", ".join(f"{option.name} = {spelled_option(option.default)}" for option in verifier.options)
    reads = ", ".join(f"`.{column}`" for column in ("response", *verifier.columns))
    return page(f"{name}({options})" if options else name, verifier.doc, f"A verifier; reads {reads}.")


def spelled_option(value: object) -> str:
    match value:
        case list() | tuple():
            return f"[{', '.join(spelled_option(item) for item in value)}]"
        case str():
            return f'"{value}"'
        case None | bool() | int() | float():
            return spelled(value)
        case _:
            return "…"


# Words of the language -----------------------------------------------------------------------------------------------


def function(found: Function, *further: str) -> str:
    example = found.signature.example if found.signature is not None else ""
    return page(fitted(found.head), found.doc, f"For example  `{example}`" if example else "", *further)


def fitted(head: str) -> str:
    """A head that is too long for a line, with one argument to a line."""
    if len(head) <= 100:
        return head
    name, _, arguments = head.partition("(")
    return "\n".join([f"{name}(", *(f"  {argument}," for argument in arguments[:-1].split(", ")), ")"])


def module(name: str) -> str | None:
    """A module of the library, and what can be imported from it."""
    names = vocabulary.library(name)
    return page(f"from {name} import …", ", ".join(f"`{each}`" for each in names)) if names else None


def argument(name: str, argument: str) -> str | None:
    """An argument of a function or an objective of the library: its default, its origin, what TRL calls it."""
    row = vocabulary.row_of(name, argument)
    objective = vocabulary.declared().get(name)
    if objective is not None:
        parameter = next((p for p in objective.node.parameters if p.name.id == argument), None)
        if parameter is None:
            return None
        comment = (parameter.trailing or "").lstrip("# ")
        return page(" ".join(written(parameter.span).split()), comment, *from_table(row))
    known = vocabulary.find(name, vocabulary.EVERYWHERE)
    signature = known.signature if known is not None else None
    found = next((p for p in signature.parameters if p.name == argument), None) if signature is not None else None
    return None if found is None else page(vocabulary.parameter_head(found), *from_table(row), limits(found))


def limits(parameter: Parameter) -> str:
    if parameter.choices:
        return f"One of {', '.join(f'`{choice}`' for choice in parameter.choices)}."
    least = f"at least {parameter.least:g}" if parameter.least is not None else ""
    most = f"at most {parameter.most:g}" if parameter.most is not None else ""
    return ", ".join(filter(None, (least, most)))


def from_table(row: Name | None) -> Iterable[str]:
    """What the table of names says: the note, the default and where it is from, and TRL's name."""
    if row is None:
        return ()
    origin = "" if row.required or row.default is None else f"default `{spelled(row.default)}` ({row.origin})"
    theirs = f"in TRL: {', '.join(f'`{word}`' for word in row.trl)}" if row.trl and row.trl != (row.ours,) else ""
    return row.note, "; ".join(filter(None, (origin, theirs)))


def setting(name: str) -> str | None:
    if name not in glossary.SETTINGS:
        return None
    known = vocabulary.setting(name)
    return page(f"{name} = …", glossary.SETTINGS[name], *from_table(vocabulary.row_of("stage", name)),
                limits(known) if known is not None else "")  # fmt: skip


def column(name: str) -> str:
    return page(f".{name}", "A column of the rows.", *from_table(vocabulary.row_of("column", name)))


def keyword(word: str) -> str | None:
    return page(word, glossary.KEYWORDS[word]) if word in glossary.KEYWORDS else None


def type_(name: str) -> str | None:
    return page(name, glossary.TYPES[name]) if name in glossary.TYPES else None


def axis(name: str) -> str | None:
    return page(f"over = {name}", glossary.AXES[name]) if name in glossary.AXES else None


def number(node: ast.Number) -> str | None:
    """A number with a unit."""
    unit = UNITS.get(node.unit or "")
    if unit is None:
        return None
    if unit.dimension == "number":
        return page(node.text, f"= {node.value * unit.factor:_}")
    return page(node.text, _DIMENSIONS[unit.dimension])


@cache
def check(name: str) -> str | None:
    """The first paragraph of a finding's page."""
    found = explaining.find(name)
    if found is None:
        return None
    title, _, rest = found.text().partition("\n\n")
    return f"**{title.lstrip('# ')}**\n\n{rest.partition(chr(10) * 2)[0]}"
