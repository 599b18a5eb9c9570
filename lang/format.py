"""Programs in one style: `ptc fmt`.

The tree is printed, not the text: two blanks of indentation, lines of at most 100 columns, flows and arguments broken
one to a line where they do not fit, and the `=` of neighbouring statements of one kind under each other. Blank lines
stay (one of several). What was printed is parsed again and compared, its comments are counted, and it is printed once
more: a text that would say something else, lose a comment or not stay as it is, is not handed out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ptc.lang import ast
from ptc.lang.layout import scan
from ptc.lang.parse import parse
from ptc.lang.same import same, walk
from ptc.lang.source import Source

WIDTH = 100
_STEP = "  "
_BINDING = {"or": 2, "and": 3, "==": 5, "!=": 5, "<": 5, "<=": 5, ">": 5, ">=": 5, "+": 6, "-": 6, "*": 7, "/": 7}
_CHOICE, _FLOW, _NOT, _COMPARISON, _NEGATIVE, _POSTFIX = 0, 1, 4, 5, 8, 9


class CannotFormat(ValueError):
    """Why a program is not printed, to stand behind "not formatted: "."""


def format(program: ast.Program) -> str:
    """The program's text in the one style. Raises CannotFormat rather than lose or change anything."""
    if any(isinstance(node, ast.Unreadable | ast.Missing) for node in walk(program)):
        raise CannotFormat("it has syntax errors")
    text = lay_out(program)
    again, _ = parse(Source(program.source.path, text))
    if not same(program, again):
        raise CannotFormat("laid out, it would not read as what it is")
    if _comments(program.source.text) - _comments(text):
        raise CannotFormat("laid out, it would lose a comment")
    if lay_out(again) != text:
        raise CannotFormat("laid out twice, it would change again")
    return text


def with_edition(program: ast.Program, year: int) -> ast.Program:
    """The program with the line of its edition. No word or default has changed with an edition yet."""
    first, *others = program.statements or (None,)
    line = ast.Number(program.span, str(year), year)
    if isinstance(first, ast.Edition):
        return replace(program, statements=(replace(first, year=line), *others))
    if first is not None and first.comments[:1] != ("",):
        first = replace(first, comments=("", *first.comments))
    behind = () if first is None else (first, *others)
    return replace(program, statements=(ast.Edition(program.span, line), *behind))


def _comments(text: str) -> Counter[str]:
    """What the comments of a text say; how their blanks begin and end is layout."""
    return Counter(text[span.start : span.end].rstrip() for span in scan(text).comments)


def lay_out(program: ast.Program) -> str:
    """The text, unchecked."""
    lines = [*_statements(program.statements, ""), *program.closing]
    return "\n".join(lines) + "\n" if lines else ""


# Statements ----------------------------------------------------------------------------------------------------------


def _statements(statements: Sequence[ast.Statement], indent: str) -> list[str]:
    lines: list[str] = []
    heads = _aligned(statements)
    for statement, head in zip(statements, heads, strict=True):
        lines += [indent + comment if comment else "" for comment in statement.comments]
        lines += _with_trailing(_statement(statement, head, indent), statement.trailing, statement)
    return lines


def _with_trailing(text: str, trailing: str | None, statement: ast.Statement) -> list[str]:
    lines = text.split("\n")
    if trailing is None:
        return lines
    where = 0
    if isinstance(statement, ast.Objective | ast.Recipe):
        where = next(number for number, line in enumerate(lines) if line.endswith("{"))
    elif lines[0].count('"""') % 2:
        where = len(lines) - 1
    lines[where] = f"{lines[where]}  {trailing}"
    return lines


def _kind(statement: ast.Statement) -> str | None:
    """Statements of one kind that follow each other are aligned."""
    match statement:
        case ast.Define():
            return statement.keyword
        case ast.Setting() | ast.Role() | ast.Import() | ast.TypeAlias():
            return type(statement).__name__
    return None


def _aligned(statements: Sequence[ast.Statement]) -> list[str]:
    """What each statement begins with, up to its `=` (or `import`), padded to its neighbours."""
    heads: list[str] = []
    start = 0
    while start < len(statements):
        end = start + 1
        kind = _kind(statements[start])
        while kind and end < len(statements) and _kind(statements[end]) == kind and not statements[end].comments:
            end += 1
        rows = [_head(statement) for statement in statements[start:end]]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        heads += [" ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        start = end
    return heads


def _head(statement: ast.Statement) -> tuple[str, ...]:
    match statement:
        case ast.Define():
            return statement.keyword, statement.name.id
        case ast.Role():
            return statement.verb.id, statement.name.id
        case ast.Setting():
            return (statement.name.id + (f"({statement.target.id})" if statement.target else ""),)
        case ast.TypeAlias():
            return "type", statement.name.id
        case ast.Import():
            return "from", "." * statement.relative + ".".join(part.id for part in statement.module)
    return ()


def _statement(statement: ast.Statement, head: str, indent: str) -> str:
    match statement:
        case ast.Edition():
            return f"{indent}edition {statement.year.text}"
        case ast.Import():
            return f"{indent}{head} import {', '.join(name.id for name in statement.names)}"
        case ast.Param():
            start = f"{indent}param {statement.name.id}: {_type(statement.type)}"
            return start if statement.default is None else _value(f"{start} = ", statement.default, indent)
        case ast.Define() | ast.Role() | ast.Setting():
            return _value(f"{indent}{head} = ", statement.value, indent)
        case ast.Loss():
            return _value(f"{indent}loss = ", statement.value, indent)
        case ast.Stage():
            claims = "".join(_claims(statement.claims))
            return f"{indent}stage {statement.name.id}{claims} {_block(statement.body, indent)}"
        case ast.Objective():
            start = f"{indent}objective {statement.name.id}"
            return f"{_parameters(start, statement.parameters, indent)} {_block(statement.body, indent)}"
        case ast.Minimize():
            return _value(f"{indent}minimize ", statement.loss, indent)
        case ast.Gate():
            over = "" if statement.over is None else f" over {statement.over.text}"
            return _value(f"{indent}{statement.keyword.id} ", statement.condition, indent) + over
        case ast.Where():
            return _value(f"{indent}where ", statement.condition, indent)
        case ast.Watch():
            every = "" if statement.every is None else f" every {statement.every.text}"
            return _value(f"{indent}watch ", statement.eval, indent) + every
        case ast.Protect():
            within = "" if statement.within is None else f" within {statement.within.text}"
            text = _value(f"{indent}protect ", statement.eval, indent) + within
            return text if statement.origin is None else _value(f"{text} from ", statement.origin, indent)
        case ast.Allow():
            return f"{indent}allow({statement.check.id}, {statement.reason.text})"
        case ast.Report():
            text = f"{indent}report "
            for number, value in enumerate(statement.evals):
                text = _value(text + ", " * (number > 0), value, indent)
            return text
        case ast.TypeAlias():
            return f"{indent}{head} = {_type(statement.type)}"
        case ast.Recipe():
            result = "" if statement.result is None else f" -> {_type(statement.result)}"
            start = f"{indent}recipe {statement.name.id}"
            return f"{_parameters(start, statement.parameters, indent, result)} {_block(statement.body, indent)}"
        case ast.Return():
            return _value(f"{indent}return ", statement.value, indent)
        case ast.Extern():
            result = "" if statement.result is None else f" -> {_type(statement.result)}"
            start = f"{indent}extern {statement.kind.id} {statement.name.id}"
            return _parameters(start, statement.parameters, indent, f"{result} = {statement.target.text}")
        case ast.Export():
            return _value(f"{indent}export ", statement.value, indent) + f" to {statement.path.text}"
    raise AssertionError(type(statement))


def _claims(claims: Sequence[ast.Claim]) -> list[str]:
    out = []
    for number, claim in enumerate(claims):
        carrier = "" if claim.carrier is None else f" from {_flat(claim.carrier)}"
        lead = "," if number else ""
        out.append(f"{lead} {claim.role.id} {', '.join(name.id for name in claim.evals)}{carrier}")
    return out


def _block(block: ast.Block, indent: str) -> str:
    inner = _statements(block.statements, indent + _STEP)
    inner += [indent + _STEP + comment if comment else "" for comment in block.closing]
    return "\n".join(["{", *inner, indent + "}"])


def _parameters(head: str, parameters: Sequence[ast.Parameter], indent: str, behind: str = "") -> str:
    """A head with its parameters in brackets, and what stands behind them: on one line, or one parameter to a line."""
    start = f"{head}("
    rows = [(f"{p.name.id}:", _parameter(p)) for p in parameters]
    one_line = start + ", ".join(" ".join(row) for row in rows) + ")" + behind
    commented = any(p.comments or p.trailing is not None for p in parameters)
    if not commented and (not rows or (len(one_line) + 2 <= WIDTH and "\n" not in one_line)):
        return one_line
    width = max(len(name) for name, _ in rows)
    lines = [start]
    for parameter, (name, rest) in zip(parameters, rows, strict=True):
        lines += [f"{indent}{_STEP}{comment}" for comment in parameter.comments]
        trailing = "" if parameter.trailing is None else f"  {parameter.trailing}"
        lines.append(f"{indent}{_STEP}{name.ljust(width)} {rest},{trailing}")
    return "\n".join([*lines, f"{indent}){behind}"])


def _parameter(parameter: ast.Parameter) -> str:
    default = "" if parameter.default is None else f" = {_flat(parameter.default)}"
    return _type(parameter.type) + default


def _type(type_: ast.Type) -> str:
    columns = "" if type_.columns is None else "{" + ", ".join(_column(column) for column in type_.columns) + "}"
    by = "" if type_.by is None else f" by {type_.by.id}"
    within = "" if type_.within is None else f" within {type_.within.text}"
    return f"{type_.name}{columns}{'?' * type_.optional}{by}{within}"


def _column(column: ast.ColumnType) -> str:
    return column.name.id if column.type is None else f"{column.name.id}: {column.type.id}"


# Expressions ---------------------------------------------------------------------------------------------------------


def _binds(expr: ast.Expr) -> int:
    match expr:
        case ast.Choice():
            return _CHOICE
        case ast.Pipe():
            return _FLOW
        case ast.Binary():
            return _BINDING[expr.op]
        case ast.Unary():
            return _NOT if expr.op == "not" else _NEGATIVE
    return _POSTFIX


def _value(start: str, expr: ast.Expr, indent: str) -> str:
    """`start` and the expression, on one line if it fits there."""
    column = len(start.rsplit("\n", 1)[-1])
    return start + _fitted(expr, column, indent)


def _fitted(expr: ast.Expr, column: int, indent: str, least: int = _CHOICE) -> str:
    """The expression from `column` on, further lines indented by `indent`; bracketed if it binds less than `least`."""
    flat = _flat(expr, least)
    if column + len(flat) <= WIDTH and not _commented(expr):
        return flat
    if _binds(expr) < least:
        inner = indent + _STEP
        return f"(\n{inner}{_fitted(expr, len(inner), inner)}\n{indent})"
    match expr:
        case ast.Pipe():
            return _flow(expr, column, indent)
        case ast.Call():
            return _fitted(expr.callee, column, indent, _POSTFIX) + _arguments(expr, indent)
        case ast.List() if expr.items:
            inner = indent + _STEP
            items = [f"{inner}{_fitted(item, len(inner), inner)}," for item in expr.items]
            return "\n".join(["[", *items, f"{indent}]"])
        case ast.Binary():
            level = _BINDING[expr.op]
            left = _fitted(expr.left, column, indent, level + (level == _COMPARISON))
            inner = indent + _STEP
            head = f"{inner}{expr.op} "
            return f"{left}\n{head}{_fitted(expr.right, len(head), inner, level + 1)}"
        case ast.Unary():
            sign = "not " if expr.op == "not" else expr.op
            return sign + _fitted(expr.operand, column + len(sign), indent, _binds(expr))
        case ast.Choice():
            inner = indent + _STEP
            condition = _fitted(expr.condition, column + 3, inner)
            yes = _fitted(expr.yes, len(inner) + 5, inner)
            no = _fitted(expr.no, len(inner) + 5, inner)
            return f"if {condition}\n{inner}then {yes}\n{inner}else {no}"
        case ast.Member():
            return f"{_fitted(expr.base, column, indent, _POSTFIX)}.{expr.name.id}"
        case ast.At():
            return f"{_fitted(expr.base, column, indent, _POSTFIX)} @ {_fitted(expr.which, column, indent)}"
    return flat


def _flow(flow: ast.Pipe, column: int, indent: str) -> str:
    """A flow, one step to a line."""
    steps: list[ast.Pipe] = []
    head: ast.Expr = flow
    while isinstance(head, ast.Pipe):
        steps.append(head)
        head = head.value
    inner = indent + _STEP
    lines = [_fitted(head, column, indent, _FLOW)]
    for step in reversed(steps):
        lines += [inner + comment for comment in step.comments]
        behind = "" if step.trailing is None else f"  {step.trailing}"
        lines.append(f"{inner}|> {_fitted(step.step, len(inner) + 3, inner, _POSTFIX)}{behind}")
    return "\n".join(lines)


def _arguments(call: ast.Call, indent: str) -> str:
    """The arguments of a call, one to a line."""
    if not call.arguments and not call.closing:
        return "()"
    inner = indent + _STEP
    lines = ["("]
    for argument in call.arguments:
        lines += [inner + comment for comment in argument.comments]
        name = "" if argument.name is None else f"{argument.name.id} = "
        text = _fitted(argument.value, len(inner) + len(name) + 1, inner)
        behind = "" if argument.trailing is None else f"  {argument.trailing}"
        lines.append(f"{inner}{name}{text},{behind}")
    lines += [inner + comment for comment in call.closing]
    return "\n".join([*lines, f"{indent})"])


def _commented(expr: ast.Expr) -> bool:
    return any(
        (isinstance(node, ast.Argument | ast.Pipe) and (node.comments or node.trailing is not None))
        or (isinstance(node, ast.Call) and node.closing)
        for node in walk(expr)
    )


def _flat(expr: ast.Expr, least: int = _CHOICE) -> str:
    """The expression on one line, in brackets if it binds less than `least`."""
    if _binds(expr) < least:
        return f"({_flat(expr)})"
    match expr:
        case ast.Name():
            return expr.id
        case ast.Number() | ast.String():
            return expr.text
        case ast.Column():
            return f".{expr.name}"
        case ast.Member():
            return f"{_flat(expr.base, _POSTFIX)}.{expr.name.id}"
        case ast.Call():
            arguments = ", ".join(
                ("" if a.name is None else f"{a.name.id} = ") + _flat(a.value) for a in expr.arguments
            )
            return f"{_flat(expr.callee, _POSTFIX)}({arguments})"
        case ast.Pipe():
            return f"{_flat(expr.value, _FLOW)} |> {_flat(expr.step, _POSTFIX)}"
        case ast.Unary():
            sign = "not " if expr.op == "not" else expr.op
            return sign + _flat(expr.operand, _binds(expr))
        case ast.Binary():
            level = _BINDING[expr.op]
            left = _flat(expr.left, level + (level == _COMPARISON))
            return f"{left} {expr.op} {_flat(expr.right, level + 1)}"
        case ast.List():
            return f"[{', '.join(_flat(item) for item in expr.items)}]"
        case ast.At():
            return f"{_flat(expr.base, _POSTFIX)} @ {_flat(expr.which)}"
        case ast.Choice():
            return f"if {_flat(expr.condition)} then {_flat(expr.yes)} else {_flat(expr.no)}"
        case ast.Missing():
            raise AssertionError("a program with syntax errors is not printed")
