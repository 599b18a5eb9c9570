"""What a help line may mean as a change of the text: every reading of it, the likeliest first.

A help is code to paste, but not where. So all places are tried that the code could belong to, and `fixes` keeps the
first reading of which the checker says that it helps. Here nothing is judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ptc.compiler.settings import SETTINGS
from ptc.lang import ast
from ptc.lang.diagnostic import Diagnostic
from ptc.lang.keywords import CLAIMS
from ptc.lang.parse import parse
from ptc.lang.source import Source, Span
from ptc.lang.symbols import path
from ptc.lsp import vocabulary
from ptc.lsp.documents import Document
from ptc.lsp.hover import dotted


@dataclass(frozen=True)
class Edit:
    """Replaces a part of a text."""

    start: int
    end: int
    text: str


Edits = tuple[Edit, ...]
Given = tuple[str, str]

_MEANT = re.compile(r'.*did you mean (?:`(?P<code>.+)`|(?P<text>".*"))\?\Z')
_LEAVE_OUT = re.compile(r"leave out the `(?P<sign>.+?)`.*|remove it\b.*")
_DELETE = re.compile(r"leave it out\b.*|delete the line")
_ADD = re.compile(r"(?:add the missing|close it with) `(?P<sign>.+?)`.*")
_QUOTES = 'write  "…"'
_SINGLE = re.compile(r"[`'‘“”]([^`'‘’“”\"\n]*)[`'’”]")
_NAME_ALONE = re.compile(r"(?P<name>[a-z_]\w*) = …\Z")
_BLANKS = ("…", "...", "FILE", "  and  ", "  or  ")
"""What makes a help no code to paste as it stands: something to fill in, or two things to choose from."""


def is_order(help_: str) -> bool:
    """Whether a help line says what to do with the text that is there, and is no code."""
    return help_ == _QUOTES or any(order.fullmatch(help_) for order in (_LEAVE_OUT, _DELETE, _ADD))


def code_of(help_: str) -> str | None:
    """The code that a help line offers; None where it is prose, or has a blank to fill in."""
    name = _NAME_ALONE.fullmatch(help_)
    if name is not None:
        return name["name"]
    if any(blank in help_ for blank in _BLANKS):
        return None
    meant = _MEANT.match(help_)
    return (meant["code"] or meant["text"]) if meant else help_.rsplit("  ", 1)[-1].strip()


def candidates(document: Document, diagnostic: Diagnostic, help_: str) -> Iterator[Edits]:
    """The readings of one help line."""
    places = [label.span for label in diagnostic.labels if label.span.text in (None, document.source)]
    if not places:
        return
    added = _ADD.fullmatch(help_)
    quoted = _SINGLE.match(document.source.text, places[0].start) if help_ == _QUOTES else None
    if quoted is not None:
        yield (Edit(quoted.start(), quoted.end(), f'"{quoted[1]}"'),)
    elif _LEAVE_OUT.fullmatch(help_):
        yield (Edit(places[0].start, places[0].end, ""),)
    elif _DELETE.fullmatch(help_):
        yield from _without(document, places[0])
    elif added is not None:
        yield from ((Edit(place.end, place.end, added["sign"]),) for place in reversed(places))
    elif (code := code_of(help_)) is not None:
        needed = imports(document, code)
        for edits in _readings(document, places, code):
            yield (*needed, *edits)


def _readings(document: Document, places: list[Span], code: str) -> Iterator[Edits]:
    statement = _statement(code)
    if code.startswith("|>"):
        yield from _as_step(document, places, code)
    elif isinstance(statement, ast.Import):
        yield from _as_import(document, places[0], statement)
    else:
        yield from _as_arguments(document, places, _arguments(code))
        if statement is not None:
            yield from _as_statement(document, places, statement, code)
        yield from _as_claim(document, places, code)
        yield from _as_words(document, places, code)


# Reading the code of a help ------------------------------------------------------------------------------------------


def _statement(code: str) -> ast.Statement | None:
    """The one statement that some code is, as the file or a stage would read it."""
    tree, found = parse(Source("help", f"stage s {{\n{code}\n}}"))
    if not found and isinstance(tree.statements[0], ast.Stage) and len(tree.statements[0].body.statements) == 1:
        return tree.statements[0].body.statements[0]
    tree, found = parse(Source("help", code))
    return tree.statements[0] if not found and len(tree.statements) == 1 else None


def _arguments(code: str) -> list[Given]:
    """``top_p = 1.0, top_k = 0`` as pairs of name and value; no name for what stands by position."""
    text = f"let x = f({code})"
    tree, found = parse(Source("help", text))
    if found or not isinstance(tree.statements[0], ast.Define) or not isinstance(tree.statements[0].value, ast.Call):
        return []
    given = [(a.name.id if a.name else "", a.value.span) for a in tree.statements[0].value.arguments]
    return [(name, text[span.start : span.end]) for name, span in given]


def _steps(code: str) -> list[tuple[str, list[Given]]]:
    """The steps that some code is, each with its arguments."""
    text = f"source x = y {code}"
    tree, found = parse(Source("help", text))
    value = tree.statements[0].value if not found and isinstance(tree.statements[0], ast.Define) else None
    steps: list[tuple[str, list[Given]]] = []
    while isinstance(value, ast.Pipe):
        if isinstance(value.step, ast.Call):
            inside = text[value.step.callee.span.end + 1 : value.step.span.end - 1]
            steps.append((dotted(value.step.callee), _arguments(inside)))
        value = value.value
    return steps[::-1]


# Where it may go -----------------------------------------------------------------------------------------------------


def _as_words(document: Document, places: list[Span], code: str) -> Iterator[Edits]:
    """In the place of what is underlined, or of what is around it; a declared name changes wherever it stands."""
    first = places[0]
    symbol = document.index.symbol_at(first.start)
    if symbol is not None and symbol.span.start == first.start and code.isidentifier():
        yield tuple(Edit(place.start, place.end, code) for place in document.index.places(symbol))
    for place in places[:2]:
        if place.end > place.start:
            yield (Edit(place.start, place.end, code),)
        for node in reversed(path(document.tree, place.start)):
            if isinstance(node, ast.Setting) and node.target is not None and place.start < node.value.span.start:
                yield (Edit(node.span.start, node.target.span.end + 1, code),)
            if isinstance(node, ast.Statement | ast.Program):
                break
            if (node.span.start, node.span.end) != (place.start, place.end):
                yield (Edit(node.span.start, node.span.end, code),)


def _as_arguments(document: Document, places: list[Span], given: list[Given]) -> Iterator[Edits]:
    """In a call around a place: instead of the arguments of those names, or behind the others."""
    for place in places if given and all(name for name, _ in given) else ():
        for call in reversed(path(document.tree, place.start)):
            if isinstance(call, ast.Call):
                yield _with_arguments(call, given)


def _with_arguments(call: ast.Call, given: list[Given]) -> Edits:
    """The call with other arguments: those by position take the place of those by position."""
    edits = []
    for number, (name, value) in enumerate(given):
        old = next((a for a in call.arguments if a.name is not None and a.name.id == name), None)
        if not name and number < len(call.arguments) and call.arguments[number].name is None:
            old = call.arguments[number]
        text = f"{name} = {value}" if name else value
        if old is not None:
            edits.append(Edit(old.value.span.start, old.value.span.end, value))
        elif call.arguments:
            end = call.arguments[-1].span.end
            edits.append(Edit(end, end, f", {text}"))
        else:
            edits.append(Edit(call.span.end - 1, call.span.end - 1, text))
    return tuple(edits)


def _as_step(document: Document, places: list[Span], code: str) -> Iterator[Edits]:
    """In a flow: a step of that name changed, or the steps put in before the one underlined, or behind the rows."""
    steps = _steps(code)
    flows = [[n for n in reversed(path(document.tree, p.start)) if isinstance(n, ast.Pipe)] for p in places]
    for flow in (flow for each in flows for flow in each) if len(steps) == 1 else ():
        if isinstance(flow.step, ast.Call) and dotted(flow.step.callee) == steps[0][0]:
            yield _with_arguments(flow.step, steps[0][1])
    for place, around in zip(places, flows, strict=True):
        symbol = document.index.symbol_at(place.start)
        for flow in around:
            if flow.step.span.start <= place.start and symbol is None:
                yield (Edit(flow.value.span.end, flow.value.span.end, f" {code}"),)
        if symbol is not None and isinstance(symbol.node, ast.Define):
            end = symbol.node.value.span.end
            yield (Edit(end, end, f" {code}"),)
        yield (Edit(place.end, place.end, f" {code}"),)


def imports(document: Document, code: str) -> Edits:
    """Imports of what some code needs of the library and the file does not have yet."""
    needed = [
        f"from {module} import {word}"
        for word in dict.fromkeys(re.findall(r"(?<![\w.\"])[a-z]\w*", code))
        for module in vocabulary.MODULES
        if word in vocabulary.library(module) and word not in document.index.file.names and f"import {word}" not in code
    ]
    statements = [statement for text in needed if isinstance(statement := _statement(text), ast.Import)]
    return tuple(edit for statement in statements for edit in next(_added(document, statement)))


def _as_import(document: Document, place: Span, statement: ast.Import) -> Iterator[Edits]:
    wrong = next((node for node in path(document.tree, place.start) if isinstance(node, ast.Import)), None)
    if wrong is not None and len(wrong.names) == 1:
        yield (Edit(wrong.span.start, wrong.span.end, _import(statement)),)
    yield from _added(document, statement)


def _added(document: Document, statement: ast.Import) -> Iterator[Edits]:
    """One more name in the import of that module, else a line of its own behind the last import."""
    module = [part.id for part in statement.module]
    last: ast.Statement | None = None
    for known in document.tree.statements:
        if isinstance(known, ast.Import) and [part.id for part in known.module] == module and not known.relative:
            end = known.names[-1].span.end
            yield (Edit(end, end, f", {', '.join(name.id for name in statement.names)}"),)
        if isinstance(known, ast.Import | ast.Edition):
            last = known
    end = _line_end(document.source.text, last.span.end) if last is not None else 0
    yield (Edit(end, end, f"\n{_import(statement)}" if last is not None else f"{_import(statement)}\n"),)


def _import(statement: ast.Import) -> str:
    return f"from {'.'.join(p.id for p in statement.module)} import {', '.join(n.id for n in statement.names)}"


def _line_end(text: str, offset: int) -> int:
    end = text.find("\n", offset)
    return len(text) if end < 0 else end


def _as_statement(document: Document, places: list[Span], statement: ast.Statement, code: str) -> Iterator[Edits]:
    """Instead of the statement that says the same, else as a new line: in the stage around a place, or behind it."""
    if isinstance(statement, ast.Setting) and statement.name.id not in SETTINGS:
        return
    for place in places:
        around = path(document.tree, place.start)
        statements = [node for node in reversed(around) if isinstance(node, ast.Statement)]
        for node in statements:
            if _same_kind(node, statement) or _is_unknown(node):
                yield (_instead(node, statement, code),)
        stage = next((node for node in statements if isinstance(node, ast.Stage)), None)
        if isinstance(statement, ast.Protect | ast.Report):
            yield from _at_top(document, statement, statements[-1], code)
        elif stage is not None:
            yield from _in_stage(document, stage, statement, code)
    if isinstance(statement, ast.Edition):
        yield (Edit(0, 0, f"{code}\n"),)


def _at_top(
    document: Document, statement: ast.Protect | ast.Report, behind: ast.Statement, code: str
) -> Iterator[Edits]:
    reports = [known for known in document.tree.statements if isinstance(known, ast.Report)]
    if isinstance(statement, ast.Report) and reports:
        end = reports[-1].span.end
        yield (Edit(end, end, f", {code.removeprefix('report').strip()}"),)
    end = _line_end(document.source.text, behind.span.end)
    yield (Edit(end, end, f"\n\n{code}"),)


def _in_stage(document: Document, stage: ast.Stage, statement: ast.Statement, code: str) -> Iterator[Edits]:
    own = stage.body.statements
    for known in own:
        if _same_kind(known, statement):
            yield (_instead(known, statement, code),)
    if not own:
        yield (Edit(stage.body.span.start + 1, stage.body.span.start + 1, f"\n  {code}\n"),)
        return
    margin = " " * (document.source.position(own[0].span.start)[1] - 1)
    if isinstance(statement, ast.Role):
        yield (Edit(own[0].span.start, own[0].span.start, f"{code}\n{margin}"),)
    elif document.source.text[stage.body.span.end - 1 : stage.body.span.end] == "}":
        end = len(document.source.text[: stage.body.span.end - 1].rstrip())
        yield (Edit(end, end, f"\n{margin}{_aligned(stage, statement, code)}"),)


def _aligned(stage: ast.Stage, statement: ast.Statement, code: str) -> str:
    """A setting with its `=` under those of the others."""
    if not isinstance(statement, ast.Setting):
        return code
    others = [known for known in stage.body.statements if isinstance(known, ast.Setting) and known.target is None]
    width = max((len(known.name.id) for known in others), default=0)
    return f"{statement.name.id:<{width}} = {code.partition('=')[2].strip()}"


def _instead(known: ast.Statement, statement: ast.Statement, code: str) -> Edit:
    """Another value, where only that differs; else another statement."""
    match known, statement:
        case (ast.Setting(target=None), ast.Setting(target=None)) if known.name.id == statement.name.id:
            return Edit(known.value.span.start, known.value.span.end, code.partition("=")[2].strip())
        case (ast.Role(), ast.Role()) if known.verb.id == statement.verb.id:
            return Edit(known.value.span.start, known.value.span.end, code.partition("=")[2].strip())
    return Edit(known.span.start, known.span.end, code)


def _same_kind(known: ast.Statement, statement: ast.Statement) -> bool:
    match known, statement:
        case (ast.Setting(name=one), ast.Setting(name=other)) | (ast.Role(name=one), ast.Role(name=other)):
            return one.id == other.id
        case (ast.Minimize(), ast.Minimize()) | (ast.Edition(), ast.Edition()):
            return True
    return False


def _is_unknown(statement: ast.Statement) -> bool:
    return isinstance(statement, ast.Setting) and statement.name.id not in SETTINGS


def _as_claim(document: Document, places: list[Span], code: str) -> Iterator[Edits]:
    """``consolidates skill from teacher`` in the head of a stage."""
    if code.split()[0] not in CLAIMS:
        return
    for place in places:
        for node in path(document.tree, place.start):
            if isinstance(node, ast.Claim):
                yield (Edit(node.span.start, node.span.end, code),)


def _without(document: Document, place: Span) -> Iterator[Edits]:
    """Without the argument that is underlined, or without the statement and its line."""
    text = document.source.text
    for node in reversed(path(document.tree, place.start)):
        if isinstance(node, ast.Argument):
            yield (_without_argument(text, node),)
        if isinstance(node, ast.Statement):
            start = text.rfind("\n", 0, node.span.start) + 1
            yield (Edit(start, min(_line_end(text, node.span.end) + 1, len(text)), ""),)
            return


def _without_argument(text: str, argument: ast.Argument) -> Edit:
    before = text[: argument.span.start].rstrip()
    if before.endswith(","):
        return Edit(len(before) - 1, argument.span.end, "")
    after = re.compile(r"\s*,\s*").match(text, argument.span.end)
    return Edit(argument.span.start, after.end() if after else argument.span.end, "")
