"""The walk over the text of an objective, from its `let`s to its loss."""

from __future__ import annotations

from dataclasses import dataclass, field

from ptc.compiler.core import Anneal, Expression
from ptc.compiler.mathematics import functions
from ptc.compiler.mathematics.arguments import arguments
from ptc.compiler.mathematics.bindings import Bindings, Table
from ptc.compiler.mathematics.columns import (
    AXES,
    NO_NUMBERS,
    PLAIN_TEXTS,
    SAMPLE,
    TEXT_COLUMNS,
    TOKEN_COLUMNS,
    axes_of,
)
from ptc.compiler.mathematics.constants import ARITHMETIC, COMPARISONS, Constants, Let
from ptc.compiler.mathematics.forwards import Asked, Read
from ptc.compiler.mathematics.pointwise import applied, negated
from ptc.compiler.mathematics.problems import MissingModel, Problem
from ptc.compiler.mathematics.value import Value, constant
from ptc.lang import ast
from ptc.lang.source import Span
from ptc.lang.suggest import closest


def elaborate(declaration: ast.Objective, bindings: Bindings) -> Expression:
    """The loss of an objective under `bindings`: an expression without axes. Raises `Problem` or `MissingModel`."""
    lets: dict[str, Let] = {}
    for index, statement in enumerate(declaration.body.statements):
        match statement:
            case ast.Define(keyword="let", name=name, value=value):
                lets.setdefault(name.id, Let(value, index))
            case ast.Loss(value=value):
                loss = Reader(bindings, lets).read(value, index)
                _closed(loss, value.span)
                return loss.expression
            case _:
                pass
    raise Problem("L504", f"`{declaration.name.id}` has no loss", declaration.name.span, "nothing to minimize")


def _closed(loss: Value, span: Span) -> None:
    if loss.nonlinear is not None:
        raise loss.nonlinear
    if loss.axes:
        left = sorted(loss.axes - SAMPLE, key=AXES.index) + ["sample"] * bool(loss.axes & SAMPLE)
        raise Problem(
            "T103",
            f"the loss still has one value per {' and '.join(left)}",
            span,
            "not one number",
            ("a loss is one number per optimizer step: every axis must be reduced",),
            (f"mean(…, over = {left[0] if len(left) == 1 else '[' + ', '.join(left) + ']'})",),
        )


@dataclass
class Reader:
    """Reads the expressions of one objective; a `let` is read where it is used, so what is dropped is never read."""

    bindings: Bindings
    lets: dict[str, Let]
    _read: dict[str, Value] = field(default_factory=dict)
    constants: Constants = field(init=False)

    def __post_init__(self) -> None:
        self.constants = Constants(self.lets, self.bindings.numbers, self.bindings.models)

    def read(self, expr: ast.Expr, before: int) -> Value:
        """The value of an expression that sees the lets `before` a place in the body."""
        known = self.constants.of(expr, before)
        if known is not None:
            return constant(known)
        match expr:
            case ast.Name():
                return self._name(expr, before)
            case ast.Column():
                return self._number_column(*self.place(expr))
            case ast.Member():
                return self._number_column(*self.place(expr))
            case ast.Unary(op="-", operand=operand):
                return negated(self.read(operand, before))
            case ast.Unary(operand=operand):
                return applied("sub", (constant(1.0), self.read(operand, before)), expr.span)
            case ast.Binary():
                return self._binary(expr, before)
            case ast.Choice():
                return self._choice(expr, before)
            case ast.Call(callee=ast.Name() as callee):
                return functions.called(self, expr, callee, before)
            case _:
                raise Problem("T105", "this is no number", expr.span, "cannot stand in a loss")

    def _name(self, name: ast.Name, before: int) -> Value:
        let = self.lets.get(name.id)
        if let is not None and let.index < before:
            if name.id not in self._read:
                self._read[name.id] = self.read(let.value, let.index)
            return self._read[name.id]
        number = self.bindings.numbers.get(name.id)
        if isinstance(number, Anneal):
            return Value(Expression("anneal", (), {"start": number.start, "end": number.end, "steps": number.over}))
        visible = [other for other, let in self.lets.items() if let.index < before]
        if name.id in self.bindings.models:
            raise Problem(
                "T105", f"`{name.id}` is a model", name.span, "not a number", helps=(f"logp({name.id}, .response)",)
            )
        guess = closest(name.id, (*visible, *self.bindings.numbers))
        raise Problem(
            "N101",
            f"nothing here is called `{name.id}`",
            name.span,
            "not known",
            helps=(f"did you mean `{guess}`?",) if guess else (),
        )

    # Columns ----------------------------------------------------------------------------------------------------------

    def place(self, expr: ast.Column | ast.Member) -> tuple[Table, str, Span]:
        """The source and the column that ``.reward`` or ``rollouts.reward`` names."""
        tables = self.bindings.tables
        if isinstance(expr, ast.Member):
            base = expr.base.id if isinstance(expr.base, ast.Name) else ""
            table, column, span = tables.get(base), expr.name.id, expr.span
            if table is None:
                raise Problem(
                    "N107",
                    "a source of the signature is needed before the dot",
                    expr.base.span,
                    "not one of them",
                    (f"its sources are {', '.join(f'`{name}`' for name in tables)}",),
                )
        else:
            column, span = expr.name, expr.span
            holding = [name for name, table in tables.items() if column in table.columns]
            if len(tables) > 1:
                raise Problem(
                    "T114",
                    f"`.{column}` of which source?",
                    span,
                    f"this objective has {len(tables)}",
                    helps=tuple(f"{name}.{column}" for name in holding or tables),
                )
            table = next(iter(tables.values()))
        if column not in table.columns:
            guess = closest(column, table.columns)
            raise Problem(
                "T101",
                f"the signature of this objective names no column `{column}`",
                span,
                "not in the signature",
                helps=(f"did you mean `.{guess}`?",) if guess else (f"Trajectories{{…, {column}}}",),
            )
        return table, column, span

    def _number_column(self, table: Table, column: str, span: Span) -> Value:
        stated = table.columns[column]
        if stated == "Text" or (stated is None and column in PLAIN_TEXTS):
            helps = (f"logp(policy, .{column})",) if column in TEXT_COLUMNS else ()
            raise Problem("T105", f"`.{column}` is a text", span, "not a number", helps=helps)
        if column in NO_NUMBERS:
            raise Problem("T105", f"`.{column}` is no number", span, "says where a row belongs")
        expression = Expression("column", (), {"name": column}, axes_of(column), (), self.bindings.read_of(table))
        return Value(expression, table, TOKEN_COLUMNS.get(column))

    def text(self, expr: ast.Expr, among: tuple[str, ...] = TEXT_COLUMNS) -> Read:
        """A text column of the signature."""
        if isinstance(expr, ast.Column | ast.Member):
            table, column, _ = self.place(expr)
            if column in among or (table.columns[column] == "Text" and among is not TEXT_COLUMNS):
                return Read(table, column, self.bindings.read_of(table))
        several = len(self.bindings.tables) > 1
        raise Problem(
            "T101",
            "a text column of the signature is needed here",
            expr.span,
            "not one of them",
            helps=tuple(
                f"{table.name if several else ''}.{column}"
                for table in self.bindings.tables.values()
                for column in table.columns
                if column in among
            ),
        )

    # Operators --------------------------------------------------------------------------------------------------------

    def _binary(self, expr: ast.Binary, before: int) -> Value:
        if expr.op == "*" and 0 in (self.constants.of(expr.left, before), self.constants.of(expr.right, before)):
            return constant(0.0)
        sides = (self.read(expr.left, before), self.read(expr.right, before))
        operations = ARITHMETIC | COMPARISONS | {"and": "min", "or": "max"}  # of conditions, which are 0 or 1
        return applied(operations[expr.op], sides, expr.span)

    def _choice(self, expr: ast.Choice, before: int) -> Value:
        chosen = self.constants.of(expr.condition, before)
        if chosen is None:
            raise Problem(
                "T105",
                "`if` chooses by a constant",
                expr.condition.span,
                "differs from row to row, or from step to step",
                helps=("where(condition, yes, no)",),
            )
        return self.read(expr.yes if chosen else expr.no, before)

    # Models -----------------------------------------------------------------------------------------------------------

    def model(self, expr: ast.Expr) -> Asked:
        """A model of the signature, as it is or as it was when the batch was drawn."""
        at_start = isinstance(expr, ast.Call) and isinstance(expr.callee, ast.Name)
        if isinstance(expr, ast.Call) and at_start and expr.callee.id == "at_batch_start":  # type: ignore[union-attr]
            inner = arguments(expr, "at_batch_start", ("a model",), (), "at_batch_start(policy)").given[0]
            asked = self.model(inner)
            return Asked(asked.role, asked.parameter, asked.role.verb == "train", expr.span)
        name = expr.id if isinstance(expr, ast.Name) else ""
        if name not in self.bindings.models:
            raise Problem(
                "N107",
                "a model of the signature is needed here",
                expr.span,
                "not one of them",
                (f"its models are {', '.join(f'`{name}`' for name in self.bindings.models)}",),
            )
        role = self.bindings.models[name]
        if role is None:
            raise MissingModel(name, expr.span)
        return Asked(role, name, False, expr.span)
