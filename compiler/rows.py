"""Row expressions: what `prompts`, `respond`, `keep` and `only` compute from the columns of one row.

A reduction such as ``max(.reward, over = group)`` asks about all attempts at the row's prompt.
"""

from __future__ import annotations

from dataclasses import dataclass

from ptc.compiler import core
from ptc.compiler.findings import Findings, at
from ptc.compiler.graph import Json
from ptc.compiler.row_words import in_words
from ptc.compiler.scope import Scope
from ptc.compiler.values import UNKNOWN, Unknown, constant
from ptc.lang import ast
from ptc.lang.source import Span
from ptc.lang.suggest import closest

ARITHMETIC = {"+": "add", "-": "sub", "*": "mul", "/": "div"}
COMPARISONS = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
LOGIC = {"and": "and", "or": "or"}
OPERATORS = {**ARITHMETIC, **COMPARISONS, **LOGIC}

TEXT, REAL, BOOL = "Text", "Real", "Bool"
NOTHING = {"op": "constant", "value": None}


@dataclass(frozen=True)
class Function:
    """The types of its arguments (None where any will do), and of its value."""

    arguments: tuple[str | None, ...]
    value: str


FUNCTIONS = {
    "reverse": Function((TEXT,), TEXT),
    "strip": Function((TEXT,), TEXT),
    "lower": Function((TEXT,), TEXT),
    "length": Function((None,), REAL),
    "concat": Function((None, None), TEXT),
    "after": Function((TEXT, TEXT), TEXT),
    "before": Function((TEXT, TEXT), TEXT),
    "replace": Function((TEXT, TEXT, TEXT), TEXT),
    "contains": Function((TEXT, TEXT), BOOL),
    "starts_with": Function((TEXT, TEXT), BOOL),
    "ends_with": Function((TEXT, TEXT), BOOL),
    "distance": Function((TEXT, TEXT), REAL),
    "number": Function((TEXT,), REAL),
}
"""Functions of one row."""
REDUCTIONS = ("max", "min", "mean", "sum", "count")
"""Functions of all attempts at one prompt."""

COLUMN_ORDER = (
    "prompt",
    "answer",
    "group",
    "response",
    "chosen",
    "rejected",
    "logprobs",
    "reward",
)


@dataclass(frozen=True)
class Value:
    """A row expression as the graph spells it, and its type as far as it is known."""

    document: Json
    type: str | None = None


def ordered(columns: set[str]) -> tuple[str, ...]:
    """Columns as they are always listed: the known ones in the order of their making, then the rest by name."""
    known = [column for column in COLUMN_ORDER if column in columns]
    return (*known, *sorted(columns.difference(known)))


def row_expression(expr: ast.Expr, rows: core.Source, scope: Scope) -> Value | Unknown:
    """The document and type of a row expression, or UNKNOWN after a report."""
    return _Reader(rows, scope).read(expr)


def condition(expr: ast.Expr, rows: core.Source, scope: Scope, step: str) -> Json | Unknown:
    """The document of a condition on rows."""
    value = row_expression(expr, rows, scope)
    if isinstance(value, Unknown):
        return UNKNOWN
    if value.type in (None, BOOL):
        return value.document
    scope.findings.add(
        "T111",
        f"`{step}` takes a condition, and this is a {_word(value.type)}",
        [at(expr.span, "true or false?")],
        helps=[f"|> {step}({in_words(value.document, dotted=True)} == 1)"] if value.type == REAL else [],
    )
    return UNKNOWN


@dataclass(frozen=True)
class _Reader:
    """Reads an expression over the columns of a row."""

    rows: core.Source
    scope: Scope

    def read(self, expr: ast.Expr) -> Value | Unknown:
        match expr:
            case ast.Column(name=name):
                return self._column(name, expr.span)
            case ast.Binary():
                return self._binary(expr)
            case ast.Unary(op=op):
                value = self.read(expr.operand)
                if isinstance(value, Unknown):
                    return UNKNOWN
                wanted = REAL if op == "-" else BOOL
                if not self._is(value, wanted, expr.operand, f"`{op}`"):
                    return UNKNOWN
                return Value({"op": "neg" if op == "-" else "not", "args": [value.document]}, wanted)
            case ast.Call(callee=ast.Name(id=name)) if name in FUNCTIONS:
                return self._function(expr, name)
            case ast.Call(callee=ast.Name(id=name)) if name in REDUCTIONS:
                return self._reduction(expr, name)
            case ast.Call(callee=callee):
                known = (*FUNCTIONS, *REDUCTIONS)
                guess = closest(callee.id, known) if isinstance(callee, ast.Name) else None
                self.scope.findings.add(
                    "N101",
                    "no such function of a row",
                    [at(callee.span, "not known")],
                    [f"there are {', '.join(known)}"],
                    [f"did you mean `{guess}`?"] if guess else [],
                )
                return UNKNOWN
            case ast.Name() if expr.id not in ("none", "true", "false"):
                return self._named_value(expr)
            case _:
                return self._constant(expr)

    def _column(self, name: str, span: Span) -> Value | Unknown:
        if not check_column(name, span, self.rows, self.scope.findings):
            return UNKNOWN
        return Value({"op": "column", "name": name}, self.rows.type.type_of(name))

    def _constant(self, expr: ast.Expr) -> Value | Unknown:
        value = constant(expr, self.scope)
        if isinstance(value, Unknown):
            return UNKNOWN
        kinds = {bool: BOOL, int: REAL, float: REAL, str: TEXT}
        return Value({"op": "constant", "value": value}, kinds.get(type(value)))

    def _named_value(self, expr: ast.Name) -> Value | Unknown:
        """A bare word is a parameter, or a column whose dot was forgotten."""
        if self.scope.find(expr.id) is None and self.rows.type.has(expr.id) and not self.scope.may_be_unread(expr.id):
            self.scope.findings.add(
                "N101",
                f"nothing here is called `{expr.id}`",
                [at(expr.span, "a column is written with a dot")],
                helps=[f".{expr.id}"],
            )
            return UNKNOWN
        return self._constant(expr)

    def _binary(self, expr: ast.Binary) -> Value | Unknown:
        left, right = self.read(expr.left), self.read(expr.right)
        if isinstance(left, Unknown) or isinstance(right, Unknown):
            return UNKNOWN
        kind = self._kind_of(expr, left, right)
        if isinstance(kind, Unknown):
            return UNKNOWN
        return Value({"op": OPERATORS[expr.op], "args": [left.document, right.document]}, kind)

    def _kind_of(self, expr: ast.Binary, left: Value, right: Value) -> str | Unknown | None:
        """The type of an operation, if its sides fit together."""
        both = {side.type for side in (left, right)} - {None}
        if expr.op in LOGIC:
            sides = ((left, expr.left), (right, expr.right))
            fine = all([self._is(side, BOOL, place, f"`{expr.op}`") for side, place in sides])
            return BOOL if fine else UNKNOWN
        if expr.op == "+" and both == {TEXT}:
            return TEXT if None not in (left.type, right.type) else None
        if expr.op in ARITHMETIC and both <= {REAL, BOOL}:
            return REAL if both else None
        if expr.op in COMPARISONS and NOTHING in (left.document, right.document):
            self._compared_with_nothing(expr)
            return UNKNOWN
        if expr.op in COMPARISONS and len(both - {BOOL}) < 2 and not {TEXT, BOOL} <= both:
            return BOOL
        self._do_not_fit(expr, left, right)
        return UNKNOWN

    def _compared_with_nothing(self, expr: ast.Binary) -> None:
        self.scope.findings.add(
            "T111",
            "nothing is compared with `none`",
            [at(expr.span, "would hold for no row")],
            ["a missing value makes the whole condition missing, and such a row is not kept anyway"],
            ["keep(length(.answer) > 0)"],
        )

    def _do_not_fit(self, expr: ast.Binary, left: Value, right: Value) -> None:
        if expr.op == "+":
            helps = [f"concat({in_words(left.document, dotted=True)}, {in_words(right.document, dotted=True)})"]
        else:
            text = left if left.type == TEXT else right
            helps = [f"number({in_words(text.document, dotted=True)})"] if text.document["op"] == "column" else []
        self.scope.findings.add(
            "T111",
            f"`{expr.op}` of a {_word(left.type)} and a {_word(right.type)}",
            [at(expr.left.span, _word(left.type)), at(expr.right.span, _word(right.type))],
            helps=helps,
        )

    def _is(self, value: Value, wanted: str, place: ast.Expr, who: str) -> bool:
        if value.type in (None, wanted) or (wanted == REAL and value.type == BOOL):
            return True
        self.scope.findings.add(
            "T111",
            f"{who} takes a {_word(wanted)}, and this is a {_word(value.type)}",
            [at(place.span, _word(value.type))],
        )
        return False

    def _function(self, expr: ast.Call, name: str) -> Value | Unknown:
        function = FUNCTIONS[name]
        wanted = len(function.arguments)
        if len(expr.arguments) != wanted or any(argument.name for argument in expr.arguments):
            self.scope.findings.add(
                "N109" if len(expr.arguments) > wanted else "N104",
                f"`{name}` takes {wanted} argument{'s' if wanted > 1 else ''} by position",
                [at(expr.span, f"{len(expr.arguments)} given")],
            )
            return UNKNOWN
        values = [self.read(argument.value) for argument in expr.arguments]
        fine = True
        for kind, value, argument in zip(function.arguments, values, expr.arguments, strict=True):
            if isinstance(value, Unknown) or (kind and not self._is(value, kind, argument.value, f"`{name}`")):
                fine = False
        if not fine:
            return UNKNOWN
        return Value(_of(name, [value for value in values if isinstance(value, Value)]), function.value)

    def _reduction(self, expr: ast.Call, name: str) -> Value | Unknown:
        """``max(.reward, over = group)``: of the attempts at the row's prompt, or a joined partner's."""
        positional = [argument.value for argument in expr.arguments if argument.name is None]
        over = next((a.value for a in expr.arguments if a.name is not None and a.name.id == "over"), None)
        of_group = isinstance(over, ast.Name) and over.id == "group"
        wanted = (0, 1) if name == "count" else (1,)
        if not of_group or len(positional) not in wanted or len(expr.arguments) != len(positional) + 1:
            self.scope.findings.add(
                "N104",
                f"`{name}` of a row's attempts names a value and `over = group`",
                [at(expr.span, "`over = group` is not given" if over is None else "not of this form")],
                helps=["count(over = group)" if name == "count" else f"{name}(.reward, over = group)"],
            )
            return UNKNOWN
        partner = joined_with(self.rows)
        attempts = partner or self.rows
        if not check_column("group", expr.span, attempts, self.scope.findings):
            return UNKNOWN
        values = [_Reader(attempts, self.scope).read(value) for value in positional]
        document: dict[str, Json] = {"op": name, "over": ["group"], "args": []}
        for value, place in zip(values, positional, strict=True):
            kind = BOOL if name == "count" else REAL
            if isinstance(value, Unknown) or not self._is(value, kind, place, f"`{name}`"):
                return UNKNOWN
            document["args"].append(value.document)
        if partner is not None:
            document["of"] = "partner"
        return Value(document, REAL)


def _of(op: str, args: list[Value]) -> Json:
    return {"op": op, "args": [arg.document for arg in args]}


def columns_of(document: Json) -> frozenset[str]:
    """The columns that a row expression reads."""
    if document["op"] == "column":
        return frozenset({document["name"]})
    return frozenset().union(*(columns_of(argument) for argument in document.get("args", ())))


def joined_with(rows: core.Source) -> core.Source | None:
    """The source that these rows were joined with, if they were: its attempts are their group."""
    source: core.Source | None = rows
    while source is not None and source.kind in ("join", "keep", "only", "shuffle"):
        if source.kind == "join":
            partner = source.inputs["partner"]
            assert isinstance(partner, core.Source)
            return partner
        below = source.inputs.get("rows")
        source = below if isinstance(below, core.Source) else None
    return None


REMEDIES = {
    "reward": "|> score(exact)",
    "group": "|> sample(policy, n = 8, max_tokens = 64)",
    "response": "|> respond(.answer)",
    "logprobs": "|> sample(policy, n = 8, max_tokens = 64)",
}
"""The step that brings a column which is not there."""


def said_by(rows: core.Trajectories) -> str:
    """The column that holds what somebody said, in rows without a response."""
    return next((each for each in ("answer", "chosen", "output", "text", "solution") if each in rows.columns), "answer")


def check_column(name: str, span: Span, rows: core.Source, findings: Findings) -> bool:
    """Whether the rows have a column; if not, says which they have and where they come from."""
    if rows.type.has(name):
        return True
    guess = closest(name, rows.type.columns)
    helps = [f"did you mean `.{guess}`?"] if guess else []
    if name in REMEDIES and not guess:
        helps.append(REMEDIES[name].replace("answer", said_by(rows.type)))
    findings.add(
        "T101",
        f"these rows have no column `{name}`",
        [at(span, f"no `{name}` here"), at(rows.span, "the rows come from here")],
        [f"their columns are {', '.join(f'`{column}`' for column in rows.type.columns)}"],
        helps,
    )
    return False


def _word(kind: str | None) -> str:
    words = {TEXT: "text", REAL: "number", BOOL: "condition", "List": "list", "Messages": "list of messages"}
    return words.get(kind or "", "value")
