"""Syntax trees made of choices, for a formatter or a fuzzer: all nodes, comments where the parser would put them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from ptc.lang import ast
from ptc.lang.keywords import KEYWORDS
from ptc.lang.same import walk
from ptc.lang.source import Source, Span
from ptc.lang.units import UNITS, spelled

T = TypeVar("T")
HERE = Span(0, 0)
WORDS = ("a", "b", "policy", "rollouts", "m", "s", "e5", "x1", "a_rather_long_name_for_a_local_thing")
ANY_WORDS = (*WORDS, *sorted(KEYWORDS))
OPERATORS = ("+", "-", "*", "/", "==", "!=", "<", "<=", ">", ">=", "and", "or")
COMMENTS = ("# one", "#", "# two # three", '# "quoted', "# { ( [", "## What it is.", "#| é, |> x = 3")
STRINGS = ('""', '"a b"', '"# no comment"', '"{ ("', r'"\"\\"', '"it\'s"')


class Maker:
    """Makes trees; `choose` gives a whole number below the one it is given."""

    def __init__(self, choose: Callable[[int], int], words: Sequence[str] = WORDS) -> None:
        self.choose = choose
        self.words = words

    # Choices

    def pick(self, options: Sequence[T]) -> T:
        return options[self.choose(len(options))]

    def chance(self, one_in: int = 2) -> bool:
        return self.pick(range(one_in)) == one_in - 1

    def many(self, make: Callable[[], T], least: int = 0, most: int = 3) -> tuple[T, ...]:
        return tuple(make() for _ in range(self.pick(range(least, most + 1))))

    def maybe(self, make: Callable[[], T], one_in: int = 2) -> T | None:
        return make() if self.chance(one_in) else None

    # Leaves

    def name(self) -> ast.Name:
        return ast.Name(HERE, self.pick(self.words))

    def field(self) -> ast.Name:
        return ast.Name(HERE, self.pick(ANY_WORDS))

    def comment(self) -> str:
        return self.pick(COMMENTS)

    def comments(self) -> tuple[str, ...]:
        return self.many(self.comment, most=2) if self.chance(4) else ()

    def trailing(self) -> str | None:
        return self.maybe(self.comment, one_in=5)

    def number(self) -> ast.Number:
        text = self.pick(("0", "7", "4_096", "0.28", "1e-6", "2.5e3"))
        unit = self.maybe(lambda: self.pick(sorted(UNITS)))
        digits = text.replace("_", "")
        value = int(digits) if digits.isdigit() else float(digits)
        return ast.Number(HERE, spelled(text, unit), value, unit, None if unit is None else HERE)

    def string(self) -> ast.String:
        if self.chance(4):
            return ast.String(HERE, r'f"out/{a}\n"', "out/{a}\n", ("out/", ast.Name(HERE, "a"), "\n"))
        text = self.pick(STRINGS)
        return ast.String(HERE, text, text[1:-1].replace(r"\"", '"').replace(r"\\", "\\"))

    def leaf(self) -> ast.Expr:
        column = lambda: ast.Column(HERE, self.pick(ANY_WORDS))  # noqa: E731
        return self.pick((self.name, self.number, self.string, column))()

    # Expressions

    def expr(self, depth: int = 3, commented: bool = True) -> ast.Expr:
        if depth == 0 or self.chance(3):
            return self.leaf()

        def inner() -> ast.Expr:
            return self.expr(depth - 1, commented)

        match self.pick(("call", "where", "flow", "unary", "binary", "member", "list", "at", "choice", "text")):
            case "call":
                return self.call(inner(), depth, commented)
            case "where":
                return self.call(ast.Name(HERE, "where"), depth, commented)
            case "flow":
                step = self.pick((self.name, lambda: self.call(self.name(), 1, False)))()
                return ast.Pipe(HERE, inner(), step)
            case "unary":
                return ast.Unary(HERE, self.pick(("-", "not")), inner())
            case "binary":
                return ast.Binary(HERE, self.pick(OPERATORS), inner(), inner())
            case "member":
                return ast.Member(HERE, inner(), self.field())
            case "list":
                return ast.List(HERE, self.many(inner))
            case "at":
                return ast.At(HERE, inner(), self.call(self.name(), 1, False))
            case "choice":
                return ast.Choice(HERE, inner(), inner(), inner())
        return ast.String(HERE, '"""\n  two\n    lines\n  """', "two\n  lines")

    def call(self, callee: ast.Expr, depth: int, commented: bool) -> ast.Call:
        def argument() -> ast.Argument:
            made = ast.Argument(HERE, self.maybe(self.field), self.expr(depth - 1, commented))
            return replace(made, comments=self.comments(), trailing=self.trailing()) if commented else made

        arguments = tuple(sorted(self.many(argument), key=lambda each: each.name is not None))
        return ast.Call(HERE, callee, arguments, self.comments() if commented else ())

    def plain(self) -> ast.Expr:
        return self.expr(depth=2, commented=False)

    def value(self) -> ast.Expr:
        return self.flow() if self.chance(4) else self.expr()

    def flow(self) -> ast.Expr:
        """A flow over several lines, with comments at its steps."""
        flow = ast.Pipe(HERE, self.expr(), self.name(), ("# makes it break",))
        for _ in range(self.pick(range(3))):
            flow = ast.Pipe(HERE, flow, self.call(self.name(), 1, False), self.comments(), self.trailing())
        return flow

    # Statements

    def type(self) -> ast.Type:
        columns = self.maybe(lambda: self.many(self.column_type, least=1))
        name = self.pick(("Real", "Trajectories", "Anchor"))
        return ast.Type(HERE, name, columns, self.maybe(self.name), self.maybe(self.number), self.chance())

    def column_type(self) -> ast.ColumnType:
        return ast.ColumnType(HERE, self.field(), self.maybe(self.name))

    def parameter(self) -> ast.Parameter:
        comments = self.comments()
        doc = tuple(line.removeprefix("##").strip() for line in comments if line.startswith("##"))
        default = self.maybe(self.plain)
        return ast.Parameter(HERE, self.name(), self.type(), default, doc, comments, self.trailing())

    def claim(self) -> ast.Claim:
        role = ast.Name(HERE, self.pick(("expands", "reshapes", "consolidates")))
        return ast.Claim(HERE, role, self.many(self.name, least=1), self.maybe(self.plain))

    def block(self, statement: Callable[[], ast.Statement]) -> ast.Block:
        return ast.Block(HERE, self.statements(statement), self.comments())

    def statements(
        self, statement: Callable[[], ast.Statement], exactly: int | None = None
    ) -> tuple[ast.Statement, ...]:
        made = self.many(statement, least=exactly or 0, most=4 if exactly is None else exactly)
        dressed = [replace(s, comments=self.comments(), trailing=None if _torn(s) else self.trailing()) for s in made]
        return tuple(
            replace(s, comments=("", *s.comments)) if number and self.chance() else s
            for number, s in enumerate(dressed)
        )

    def verb(self, *verbs: str) -> ast.Name:
        return ast.Name(HERE, self.pick(verbs))

    def define(self, *keywords: str) -> ast.Statement:
        return ast.Define(HERE, self.pick(keywords), self.name(), self.value())

    def allow(self) -> ast.Statement:
        return ast.Allow(HERE, self.name(), self.string())

    def in_stage(self) -> ast.Statement:
        options: tuple[Callable[[], ast.Statement], ...] = (
            lambda: self.define("source", "model", "eval", "let"),
            self.allow,
            lambda: ast.Role(HERE, self.verb("train", "freeze", "track"), self.name(), self.value()),
            lambda: ast.Minimize(HERE, self.value()),
            lambda: ast.Setting(HERE, self.name(), self.maybe(self.name), self.value()),
            lambda: ast.Gate(HERE, self.verb("require", "ensure"), self.value(), None),
            lambda: ast.Gate(HERE, self.verb("guard"), self.value(), self.maybe(self.number)),
            lambda: ast.Watch(HERE, self.expr(), self.maybe(self.number)),
        )
        return self.pick(options)()

    def in_recipe(self) -> ast.Statement:
        options: tuple[Callable[[], ast.Statement], ...] = (
            lambda: self.define("source", "model", "eval", "let"),
            self.allow,
            self.stage,
            lambda: ast.Report(HERE, self.many(self.expr, least=1, most=2)),
        )
        return self.pick(options)()

    def recipe(self) -> ast.Statement:
        body = self.block(self.in_recipe)
        ending = self.statements(lambda: ast.Return(HERE, self.value()), exactly=1)
        body = replace(body, statements=(*body.statements, *(ending if self.chance() else ())))
        result = self.maybe(lambda: ast.Type(HERE, self.pick(("Model", "Rows"))))
        return ast.Recipe(HERE, self.name(), self.parameters(), result, body)

    def extern(self) -> ast.Statement:
        kind = self.verb("verifier", "objective", "source")
        result = None if kind.id == "objective" else self.type()
        target = ast.String(HERE, '"lab.rewards:judge"', "lab.rewards:judge")
        return ast.Extern(HERE, kind, self.name(), self.parameters(), result, target)

    def stage(self) -> ast.Statement:
        return ast.Stage(HERE, self.name(), self.many(self.claim, most=2), self.block(self.in_stage))

    def parameters(self) -> tuple[ast.Parameter, ...]:
        made = self.many(self.parameter)
        return tuple({parameter.name.id: parameter for parameter in made}.values())

    def in_objective(self) -> ast.Statement:
        options: tuple[Callable[[], ast.Statement], ...] = (
            lambda: self.define("let"),
            lambda: ast.Loss(HERE, self.value()),
            lambda: ast.Where(HERE, self.value()),
        )
        return self.pick(options)()

    def at_top(self) -> ast.Statement:
        options: tuple[Callable[[], ast.Statement], ...] = (
            lambda: self.define("source", "model", "eval", "let"),
            self.allow,
            lambda: ast.Import(HERE, self.many(self.name, least=1), self.chance(), self.many(self.name, least=1)),
            lambda: ast.Param(HERE, self.name(), self.type(), self.maybe(self.value)),
            self.stage,
            self.recipe,
            self.extern,
            lambda: ast.TypeAlias(HERE, ast.Name(HERE, self.pick(("Rows", "T"))), self.type()),
            lambda: ast.Objective(HERE, self.name(), self.parameters(), self.block(self.in_objective)),
            lambda: ast.Protect(HERE, self.expr(), self.maybe(self.number), self.maybe(self.plain)),
            lambda: ast.Report(HERE, self.many(self.expr, least=1, most=2)),
            lambda: ast.Export(HERE, self.expr(), self.string()),
        )
        return self.pick(options)()

    def program(self) -> ast.Program:
        edition = self.statements(lambda: ast.Edition(HERE, ast.Number(HERE, "2026", 2026)), exactly=1)
        statements = (*(edition if self.chance() else ()), *self.statements(self.at_top))
        return ast.Program(HERE, Source("made.pt", ""), statements, self.comments())


def _torn(statement: ast.Statement) -> bool:
    """Whether a text of several lines goes over into a flow of several: what stands behind it belongs to a step."""
    nodes = list(walk(statement))
    return any(isinstance(node, ast.String) and "\n" in node.text for node in nodes) and any(
        isinstance(node, ast.Pipe) and node.comments for node in nodes
    )
