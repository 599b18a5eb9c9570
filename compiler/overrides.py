"""``--set reasoner.optimizer.lr=1e-4``: a value inside what a program declares, changed in its text before it is read.

The path names a declaration and then what is written in it: a statement of a stage, a step of a flow, an argument. The
value is an expression of the language. What is changed is checked like any program, so a wrong value is told where it
stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ptc.compiler.findings import Findings, at
from ptc.lang import ast
from ptc.lang.diagnostic import Diagnostic
from ptc.lang.parse import parse
from ptc.lang.source import Source, Span
from ptc.lang.suggest import closest


@dataclass(frozen=True)
class Overridden:
    """A program's text with the values by path, the settings that are left for its parameters, and what is wrong."""

    source: Source
    settings: Mapping[str, str]
    diagnostics: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True)
class _Edit:
    """What comes in the place of a range of the text."""

    start: int
    end: int
    text: str
    name: str


def overridden(source: Source, settings: Mapping[str, str]) -> Overridden:
    """Changes what is set by path; nothing if any path or value is wrong. A text that does not parse stays as it is."""
    by_path = {name: value for name, value in settings.items() if "." in name}
    others = {name: value for name, value in settings.items() if "." not in name}
    if not by_path:
        return Overridden(source, settings)
    tree, syntax = parse(source)
    if syntax:
        return Overridden(source, others)
    findings = Findings()
    found = [_Setting(name, value, findings).edit(tree) for name, value in by_path.items()]
    edits = sorted((edit for edit in found if edit is not None), key=lambda edit: edit.start)
    for one, other in pairwise(edits):
        if one.end > other.start:
            findings.add("N102", f"--set {other.name}: its place is already given by --set {one.name}", [])
    if findings.found:
        return Overridden(source, others, tuple(findings.found))
    text = source.text
    for edit in reversed(edits):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return Overridden(Source(source.path, text), others)


@dataclass(frozen=True)
class _Setting:
    """One path and the value for it."""

    name: str
    value: str
    findings: Findings

    def edit(self, tree: ast.Program) -> _Edit | None:
        """Where the value goes; None after a report."""
        if not self._reads():
            return None
        first, *words = self.name.split(".")
        declared = {_declared(one): one for one in tree.statements if isinstance(one, ast.Define | ast.Stage)}
        if first not in declared:
            self._unknown(first, list(declared), "the program declares no such source, model, eval or stage", [])
            return None
        statement = declared[first]
        if isinstance(statement, ast.Define):
            return self._within(statement.value, words, statement.name.span)
        return self._in_stage(statement, words)

    def _reads(self) -> bool:
        tree, found = parse(Source("--set", f"let it = {self.value}\n"))
        alone = len(tree.statements) == 1 and tree.statements[0].trailing is None and not tree.closing
        if not found and alone and "\n" not in self.value and all(self.name.split(".")):
            return True
        why = [diagnostic.title for diagnostic in found] or ["one expression is wanted"]
        self.findings.add("T105", f"--set {self.name}={self.value}: this is no value", [], why)
        return False

    def _in_stage(self, stage: ast.Stage, words: Sequence[str]) -> _Edit | None:
        known: dict[str, ast.Expr] = {}
        for statement in stage.body.statements:
            match statement:
                case ast.Setting():
                    known[statement.name.id + (f"({statement.target.id})" if statement.target else "")] = (
                        statement.value
                    )
                case ast.Define() | ast.Role():
                    known[statement.name.id] = statement.value
                case ast.Minimize():
                    known["minimize"] = statement.loss
        word, *rest = words
        if word in known:
            return self._within(known[word], rest, stage.name.span)
        if rest or any(name.startswith(f"{word}(") for name in known):
            self._unknown(word, list(known), f"nothing in `{stage.name.id}` is called so", [stage.name.span])
            return None
        end = stage.body.span.end - 1
        return _Edit(end, end, f"\n  {word} = {self.value}\n", self.name)

    def _within(self, expr: ast.Expr, words: Sequence[str], where: Span) -> _Edit | None:
        """The place of a path inside an expression: an argument of one of its calls, or a call by its name."""
        if not words:
            return _Edit(expr.span.start, expr.span.end, self.value, self.name)
        word, *rest = words
        calls = list(_calls(expr))
        given = [each for call in calls for each in call.arguments if each.name is not None and each.name.id == word]
        if len(given) == 1:
            return self._within(given[0].value, rest, given[0].span)
        named = [call for call in calls if _callee(call) == word]
        if not given and len(named) == 1 and rest:
            return self._in_call(named[0], rest)
        if not given and not rest and len(calls) == 1 and not named:
            return self._in_call(calls[0], words)
        known = [*map(_callee, calls), *(each.name.id for call in calls for each in call.arguments if each.name)]
        why = "nothing there is called so"
        if len(given) > 1 or len(named) > 1:
            why = "several are called so: name the step before it"
        elif named:
            why = f"`{word}` is a call: name one of its arguments behind it"
        self._unknown(word, known, why, [expr.span])
        return None

    def _in_call(self, call: ast.Call, words: Sequence[str]) -> _Edit | None:
        """An argument of a call, given anew or given at last; the checker knows whether there is one of that name."""
        word, *rest = words
        given = [each for each in call.arguments if each.name is not None and each.name.id == word]
        if given:
            return self._within(given[0].value, rest, given[0].span)
        if rest:
            names = [each.name.id for each in call.arguments if each.name]
            self._unknown(word, names, "nothing there is called so", [call.span])
            return None
        end = call.arguments[-1].span.end if call.arguments else call.span.end - 1
        comma = ", " if call.arguments else ""
        return _Edit(end, end, f"{comma}{word} = {self.value}", self.name)

    def _unknown(self, word: str, known: Sequence[str], why: str, places: Sequence[Span]) -> None:
        names = list(dict.fromkeys(known))
        guess = closest(word, names)
        self.findings.add(
            "N101",
            f"--set {self.name}: there is no `{word}`",
            [at(place, why) for place in places],
            [*([] if places else [why]), f"there is {', '.join(f'`{name}`' for name in names) or 'nothing'}"],
            [f"did you mean `{guess}`?"] if guess else [],
        )


def _declared(statement: ast.Define | ast.Stage) -> str:
    return statement.name.id


def _callee(call: ast.Call) -> str:
    """`sample` of ``sample(…)``, `model` of ``new.model(…)``."""
    match call.callee:
        case ast.Name(id=name) | ast.Member(name=ast.Name(id=name)):
            return name
    return ""


def _calls(expr: ast.Expr) -> Iterator[ast.Call]:
    """The calls that an expression is put together from, in the order of the text; not those inside their arguments."""
    match expr:
        case ast.Call():
            yield expr
        case ast.Pipe():
            yield from _calls(expr.value)
            yield from _calls(expr.step)
        case ast.Binary():
            yield from _calls(expr.left)
            yield from _calls(expr.right)
        case ast.Unary():
            yield from _calls(expr.operand)
        case ast.Member() | ast.At():
            yield from _calls(expr.base)
