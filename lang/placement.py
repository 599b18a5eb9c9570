"""What may stand where. The grammar reads every statement everywhere, so that a wrong place is one clear sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise, zip_longest

from ptc.lang import ast, mistakes
from ptc.lang.diagnostic import Diagnostic
from ptc.lang.source import Span

THIS_EDITION = 2026

_PLACES: dict[type[ast.Statement], tuple[str, ...]] = {
    ast.Edition: ("file",),
    ast.Import: ("file",),
    ast.Param: ("file",),
    ast.Define: ("file", "stage", "objective", "recipe"),
    ast.Stage: ("file", "recipe"),
    ast.TypeAlias: ("file",),
    ast.Recipe: ("file",),
    ast.Extern: ("file",),
    ast.Return: ("recipe",),
    ast.Objective: ("file",),
    ast.Protect: ("file",),
    ast.Report: ("file", "recipe"),
    ast.Export: ("file",),
    ast.Allow: ("file", "stage", "recipe"),
    ast.Role: ("stage",),
    ast.Minimize: ("stage",),
    ast.Setting: ("stage",),
    ast.Gate: ("stage",),
    ast.Watch: ("stage",),
    ast.Loss: ("objective",),
    ast.Where: ("objective",),
}
_HERE = {
    "file": "at the top level of a file",
    "stage": "inside a stage",
    "objective": "inside an objective",
    "recipe": "inside a recipe",
}
_THERE = {**_HERE, "file": "to the top level"}


def place(statements: Iterable[ast.Statement]) -> tuple[tuple[ast.Statement, ...], tuple[Diagnostic, ...]]:
    """The statements of a file, with those in a wrong place made `Unreadable`, and what is wrong with their places."""
    placing = _Placing()
    return placing.all(statements, "file"), tuple(placing.diagnostics)


class _Placing:
    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []

    def all(self, statements: Iterable[ast.Statement], where: str) -> tuple[ast.Statement, ...]:
        written = tuple(statements)
        placed = tuple(self._one(statement, where, first=number == 0) for number, statement in enumerate(written))
        placed = tuple(_torn(each, following) for each, following in zip_longest(placed, written[1:]))
        settings: dict[tuple[str, str], ast.Name] = {}
        for statement in placed:
            if isinstance(statement, ast.Setting):
                key = (statement.name.id, statement.target.id if statement.target else "")
                if key in settings:
                    self.diagnostics.append(mistakes.given_twice("setting", statement.name, settings[key]))
                settings.setdefault(key, statement.name)
        return placed

    def _one(self, statement: ast.Statement, where: str, first: bool) -> ast.Statement:
        if isinstance(statement, ast.Unreadable):
            return statement
        word = _first_word(statement)
        places = _PLACES[type(statement)]
        if isinstance(statement, ast.Define) and where == "objective" and statement.keyword != "let":
            places = ("file", "stage", "recipe")
        if isinstance(statement, ast.Setting) and where not in places:
            self.diagnostics.append(mistakes.setting_outside(statement.name))
            return ast.Unreadable(statement.span, (statement.name.id,))
        if where not in places:
            return self._misplaced(statement, word, _HERE[where], " or ".join(_THERE[p] for p in places))
        if isinstance(statement, ast.Edition):
            if not first:
                return self._misplaced(statement, word, "behind other statements", "on the first line")
            if statement.year.value != THIS_EDITION:
                self.diagnostics.append(mistakes.unknown_edition(statement.year.text, statement.year.span))
        if isinstance(statement, ast.Stage | ast.Objective | ast.Recipe):
            body = replace(statement.body, statements=self.all(statement.body.statements, word))
            if isinstance(statement, ast.Recipe):
                self._returns(body.statements)
            return replace(statement, body=body)
        return statement

    def _returns(self, statements: Sequence[ast.Statement]) -> None:
        """`return` is the last statement of a recipe, so that there is no second one."""
        for statement, following in pairwise(statements):
            if isinstance(statement, ast.Return):
                self.diagnostics.append(mistakes.return_is_not_last(_start(statement, "return"), _start(following)))

    def _misplaced(self, statement: ast.Statement, word: str, where: str, belongs: str) -> ast.Statement:
        self.diagnostics.append(mistakes.misplaced_statement(word, _start(statement, word), where, belongs))
        name = getattr(statement, "name", None)
        names = (name.id,) if isinstance(name, ast.Name) else ()
        return ast.Unreadable(statement.span, names, comments=statement.comments, trailing=statement.trailing)


def _torn(statement: ast.Statement, following: ast.Statement | None) -> ast.Statement:
    """A `param` without a value, on whose line a setting goes on, such as `param rows: Int Count = 3`, has one."""
    if not isinstance(statement, ast.Param) or statement.default is not None or not isinstance(following, ast.Setting):
        return statement
    text = statement.span.text
    if text is None or "\n" in text.text[statement.span.end : following.span.start]:
        return statement
    return ast.Unreadable(statement.span, (statement.name.id,))


def _start(statement: ast.Statement, word: str = ".") -> Span:
    return replace(statement.span, end=statement.span.start + len(word))


def _first_word(statement: ast.Statement) -> str:
    """The word that opens a statement, as the user wrote it."""
    match statement:
        case ast.Define():
            return statement.keyword
        case ast.Role():
            return statement.verb.id
        case ast.Gate():
            return statement.keyword.id
        case ast.Setting():
            return statement.name.id
        case ast.Import():
            return "from"
        case ast.TypeAlias():
            return "type"
        case _:
            return type(statement).__name__.lower()
