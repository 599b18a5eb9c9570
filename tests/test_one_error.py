"""One broken statement gives one error, and everything around it is still read.

In each program of this house a token of a statement is deleted, doubled or exchanged for a sign that means nothing.
Either the program still reads, or exactly one error is told, within the statement or right behind it, and every other
statement stands in the tree as it did before. The fast test breaks some tokens of each program, the slow one many.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pages import fences

from ptc.api import check_text
from ptc.lang import ast
from ptc.lang.parse import parse
from ptc.lang.same import same
from ptc.lang.source import Source

ROOT = Path(__file__).parent.parent
TOKEN = re.compile(r'"""[\s\S]*?"""|"[^"\n]*"|#[^\n]*|\d[\w.]*%?|\w+|\|>|->|[=!<>]=|\s+|[^\w\s]')
EXAMPLES = sorted(path for path in ROOT.glob("examples/**/*.pt") if path.parent.name != "lib")
OF_EACH, OF_EACH_CHECKED, OF_EACH_SLOWLY = 12, 5, 150


def _whole_language() -> str:
    page = (ROOT / "tests" / "spec" / "syntax.md").read_text(encoding="utf-8")
    return next(fence.text for fence in fences(page) if fence.heading.startswith("Types, recipes"))


PROGRAMS = {
    **{path.name: path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("examples/**/*.pt"))},
    **{path.name: path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("stdlib/**/*.pt"))},
    "syntax.md": _whole_language(),
}


@dataclass(frozen=True)
class Broken:
    text: str
    how: str
    statement: ast.Statement


def _leaves(statements: Sequence[ast.Statement]) -> Iterator[ast.Statement]:
    """Statements without a block; those of blocks instead of the blocks' own."""
    for statement in statements:
        if isinstance(statement, ast.Stage | ast.Objective | ast.Recipe):
            yield from _leaves(statement.body.statements)
        else:
            yield statement


def _breakable(text: str, program: ast.Program) -> Iterator[tuple[ast.Statement, re.Match[str]]]:
    for statement in _leaves(program.statements):
        for token in TOKEN.finditer(text, statement.span.start, statement.span.end):
            behind_a_dot = text[token.start() - 1] == "."  # which takes the next word it finds, on any line
            if not token[0].isspace() and not token[0].startswith("#") and not behind_a_dot:
                yield statement, token


def _broken(text: str, program: ast.Program, places: Sequence[tuple[ast.Statement, re.Match[str]]]) -> Iterator[Broken]:
    for statement, token in places:
        rest = text[token.end() :]
        bare = rest.lstrip(" ")
        joins = re.search(r"\w\Z", text[: token.start()]) and re.match(r"\w", bare)
        written = {
            "deleted": f" {bare}" if joins else bare,
            "exchanged": f"§{rest}",
            "doubled": f"{token[0]} {token[0]}{rest}",
        }
        for how, made in written.items():
            line = program.source.position(token.start())[0]
            yield Broken(text[: token.start()] + made, f"line {line}: {token[0]} {how}", statement)


def _lost(before: ast.Program, after: ast.Program, broken: ast.Statement) -> list[ast.Statement]:
    """The statements but the broken one that the tree does not hold any more, in their order."""
    left = list(_leaves(after.statements))
    lost = []
    for statement in _leaves(before.statements):
        if statement is broken:
            continue
        bare = replace(statement, comments=())  # a line that became blank hangs on what follows it
        place = next((number for number, other in enumerate(left) if same(bare, replace(other, comments=()))), None)
        if place is None:
            lost.append(statement)
        else:
            del left[: place + 1]
    return lost


def _hold(name: str, count: int) -> None:
    text = PROGRAMS[name]
    program, found = parse(Source(name, text))
    assert not found
    places = list(_breakable(text, program))
    chosen = random.Random(name).sample(places, min(len(places), count))
    broke = 0
    for each in _broken(text, program, chosen):
        tree, found = parse(Source(name, each.text))
        if not found:
            continue
        broke += 1
        told = [(diagnostic.code, diagnostic.title) for diagnostic in found]
        assert len(found) == 1, f"{each.how}: {told}"
        assert not _lost(program, tree, each.statement), f"{each.how}: {told}"
        place = found[0].span
        assert place is not None
        end = each.statement.span.end + max(len(each.text) - len(text), 0)
        assert each.statement.span.start - 1 <= place.start <= end + 1, f"{each.how}: {told}"
    assert broke > 10


def _errors(text: str, path: Path) -> list[tuple[str, str]]:
    found = check_text(text, str(path)).diagnostics
    return [(each.code, each.title) for each in found if each.severity == "error"]


def _hold_checked(path: Path, count: int) -> None:
    text = path.read_text(encoding="utf-8")
    program, _ = parse(Source(path.name, text))
    assert not _errors(text, path)
    places = list(_breakable(text, program))
    broke = 0
    for each in _broken(text, program, random.Random(path.name).sample(places, min(len(places), count))):
        if parse(Source(path.name, each.text))[1]:
            broke += 1
            told = _errors(each.text, path)
            assert len(told) == 1, f"{each.how}: {told}"
    assert broke > 5


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_what_is_around_it_is_checked_and_not_blamed(path: Path) -> None:
    _hold_checked(path, OF_EACH_CHECKED)


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_so_it_is_at_many_more_places_when_checked(path: Path) -> None:
    _hold_checked(path, OF_EACH_SLOWLY)


@pytest.mark.parametrize("name", PROGRAMS)
def test_one_broken_statement_is_one_error_and_the_rest_is_read(name: str) -> None:
    _hold(name, OF_EACH)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_so_it_is_at_many_more_places(name: str) -> None:
    _hold(name, OF_EACH_SLOWLY)
