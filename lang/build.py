"""Lark's tree to ours: one method per rule of grammar.lark, under its name.

A method is given the children of its rule, tokens included, and the span they cover. What reads well but means
nothing (an unknown unit, a name in capitals, a setting given twice) is reported here, in `lang.mistakes`' words.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable
from typing import TypeAlias, cast

from lark import Token, Tree

from ptc.lang import ast, mistakes
from ptc.lang.comments import Comments
from ptc.lang.diagnostic import Diagnostic
from ptc.lang.keywords import KEYWORDS
from ptc.lang.source import Source, Span
from ptc.lang.units import UNITS, spelled

Branch: TypeAlias = "Tree[Token]"
Child: TypeAlias = "Branch | Token"

DEEPEST = 200
"""How many expressions may stand inside each other: what every later phase can walk without running out of stack."""

_NUMBER = re.compile(
    r"(?P<number>[0-9_]+(?:\.[0-9_]+)?(?:[eE][+-]?[0-9]+)?)"
    r"(?P<gap>[ \t]*)(?:(?P<scale>Ki|Mi|k|M)[ \t]+)?(?P<unit>%|\w+)?\Z"
)
_ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "{": "{", "}": "}"}
_DECLARED = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
_DECLARED_TYPE = re.compile(r"[A-Z][A-Za-z0-9_]{0,63}\Z")
_CONSTANTS = {"True": "true", "False": "false", "None": "none"}
_REST = re.compile(r"[ \t]*#[^\n]*(?:[ \t\r\n]|#[^\n]*)*(?P<next>.?)")
_HOLE = re.compile(r"\{([^{}]*)\}")


class Builder:
    """Builds the statements of one parsed piece of `source`, which begins at character `base`."""

    def __init__(self, source: Source, base: int, comments: Comments) -> None:
        self.source = source
        self.base = base
        self.comments = comments
        self.diagnostics: list[Diagnostic] = []
        self.nodes = 0
        self._depth = 0
        self._told_too_deep = False

    # Places ----------------------------------------------------------------------------------------------------------

    def _span(self, child: Child) -> Span:
        if isinstance(child, Token):
            assert child.start_pos is not None and child.end_pos is not None
            return Span(self.base + child.start_pos, self.base + child.end_pos, self.source)
        return Span(self.base + child.meta.start_pos, self.base + child.meta.end_pos, self.source)

    def _part(self, start: int, end: int) -> Span:
        return Span(start, end, self.source)

    def _say(self, diagnostic: Diagnostic) -> None:
        self.diagnostics.append(diagnostic)

    def _begins_line(self, offset: int) -> bool:
        text = self.source.text
        return not text[text.rfind("\n", 0, offset) + 1 : offset].strip()

    def _ends_line(self, offset: int) -> bool:
        """Only a comment follows on the line, and what comes after it is neither `,` nor a closing bracket."""
        match = _REST.match(self.source.text, offset)
        return match is not None and match["next"] not in (",", ")", "]")

    # Statements ------------------------------------------------------------------------------------------------------

    def statements(self, trees: Iterable[Child]) -> tuple[ast.Statement, ...]:
        return tuple(self.statement(tree) for tree in trees if isinstance(tree, Tree))

    def statement(self, tree: Branch) -> ast.Statement:
        span = self._span(tree)
        before = self.comments.before_statement(span.start)
        rule = str(tree.data)
        node = cast(ast.Statement, getattr(self, f"_{rule}")(tree.children, span))
        if isinstance(node, ast.Stage | ast.Objective | ast.Recipe):
            head_end = node.body.span.start + 1
        else:
            head_end = self._first_line_end(span)
        trailing = self.comments.behind(head_end)
        left = self.comments.within(span.start, span.end)
        end_comment = None if trailing is not None or left else self.comments.behind(span.end)
        if end_comment is not None:
            trailing = end_comment
        if before or left or trailing is not None:
            object.__setattr__(node, "comments", (*before, *left))
            object.__setattr__(node, "trailing", trailing)
        return node

    def _first_line_end(self, span: Span) -> int:
        """The end of a statement's text on its first line."""
        line_end = self.source.text.find("\n", span.start, span.end)
        if line_end < 0:
            return span.end
        code = self.source.text[span.start : line_end].split("#", 1)[0].rstrip()
        return span.start + len(code)

    def _edition(self, children: list[Child], span: Span) -> ast.Statement:
        year = self._number_of(children[1])
        return ast.Edition(span, year) if isinstance(year, ast.Number) else ast.Unreadable(span)

    def _imports(self, children: list[Child], span: Span) -> ast.Statement:
        module = cast(Branch, children[1]).children
        relative = _type(module[0]) == "DOT"
        path = tuple(self._plain_name(part) for part in module if _type(part) != "DOT")
        return ast.Import(span, path, relative, tuple(self._imported(n) for n in children[3:] if _type(n) == "NAME"))

    def _imported(self, child: Child) -> ast.Name:
        """Types are imported too, and they alone begin with a capital letter."""
        return self._plain_name(child) if _DECLARED_TYPE.match(str(child)) else self._declared(child)

    def _param(self, children: list[Child], span: Span) -> ast.Statement:
        default = self._expr(children[5]) if len(children) > 5 else None
        return ast.Param(span, self._declared(children[1]), self._type_of(children[3]), default)

    def _define(self, children: list[Child], span: Span) -> ast.Statement:
        return ast.Define(span, str(children[0]), self._declared(children[1]), self._expr(children[3]))

    def _stage(self, children: list[Child], span: Span) -> ast.Statement:
        claims = self._claims(cast(Branch, children[2])) if len(children) == 4 else ()
        return ast.Stage(span, self._declared(children[1]), claims, self._block(children[-1]))

    def _claims(self, tree: Branch) -> tuple[ast.Claim, ...]:
        claims: list[tuple[ast.Name, list[ast.Name], ast.Expr | None, Span]] = []
        for child in tree.children:
            kind, span = _type(child), self._span(child)
            if kind in ("EXPANDS", "RESHAPES", "CONSOLIDATES"):
                claims.append((self._plain_name(child), [], None, span))
            elif kind == "NAME":
                role, evals, carrier, place = claims.pop()
                if carrier is not None:
                    claims.append((role, evals, carrier, place))
                    evals, carrier, place = [], None, span
                claims.append((role, [*evals, self._plain_name(child)], carrier, place.to(span)))
            elif kind == "carrier":
                role, evals, _, place = claims.pop()
                claims.append((role, evals, self._expr(cast(Branch, child).children[1]), place.to(span)))
        return tuple(ast.Claim(place, role, tuple(evals), carrier) for role, evals, carrier, place in claims)

    def _block(self, child: Child) -> ast.Block:
        tree = cast(Branch, child)
        statements = self.statements(tree.children)
        span = self._span(tree)
        return ast.Block(span, statements, self.comments.closing(span.end - 1))

    def _role(self, children: list[Child], span: Span) -> ast.Statement:
        return ast.Role(span, self._plain_name(children[0]), self._declared(children[1]), self._expr(children[3]))

    def _minimize(self, children: list[Child], span: Span) -> ast.Statement:
        return ast.Minimize(span, self._expr(children[1]))

    def _setting(self, children: list[Child], span: Span) -> ast.Statement:
        name = self._plain_name(children[0])
        target = self._plain_name(children[2]) if len(children) == 6 else None
        return ast.Setting(span, name, target, self._expr(children[-1]))

    def _gate(self, children: list[Child], span: Span) -> ast.Statement:
        return ast.Gate(span, self._plain_name(children[0]), self._expr(children[1]), None)

    def _guard(self, children: list[Child], span: Span) -> ast.Statement:
        over = self._quantity(_after("OVER", children))
        return ast.Gate(span, self._plain_name(children[0]), self._expr(children[1]), over)

    def _watch(self, children: list[Child], span: Span) -> ast.Statement:
        return ast.Watch(span, self._expr(children[1]), self._quantity(_after("EVERY", children)))

    def _protect(self, children: list[Child], span: Span) -> ast.Statement:
        origin = _after("FROM", children)
        return ast.Protect(
            span,
            self._expr(children[1]),
            self._quantity(_after("WITHIN", children)),
            None if origin is None else self._expr(origin),
        )

    def _allow(self, children: list[Child], span: Span) -> ast.Statement:
        return ast.Allow(span, self._plain_name(children[2]), self._string_of(children[4]))

    def _report(self, children: list[Child], span: Span) -> ast.Statement:
        return ast.Report(span, tuple(self._expr(child) for child in children[1:] if _type(child) != "COMMA"))

    def _export(self, children: list[Child], span: Span) -> ast.Statement:
        return ast.Export(span, self._expr(children[1]), self._string_of(children[3]))

    def _where(self, children: list[Child], span: Span) -> ast.Statement:
        return ast.Where(span, self._expr(children[1]))

    def _objective(self, children: list[Child], span: Span) -> ast.Statement:
        body = self._block(children[-1])
        statements = tuple(with_loss(statement) for statement in body.statements)
        return ast.Objective(
            span,
            self._declared(children[1]),
            self._parameters(children),
            ast.Block(body.span, statements, body.closing),
        )

    def _recipe(self, children: list[Child], span: Span) -> ast.Statement:
        result = _after("ARROW", children)
        kind = None if result is None else ast.Type(self._span(result), str(cast(Branch, result).children[0]))
        return ast.Recipe(
            span, self._declared(children[1]), self._parameters(children), kind, self._block(children[-1])
        )

    def _return(self, children: list[Child], span: Span) -> ast.Statement:
        return ast.Return(span, self._expr(children[1]))

    def _alias(self, children: list[Child], span: Span) -> ast.Statement:
        name = self._plain_name(children[1])
        if not _DECLARED_TYPE.match(name.id):
            self._say(mistakes.bad_type_name(name.id, name.span))
        return ast.TypeAlias(span, name, self._type_of(children[3]))

    def _extern(self, children: list[Child], span: Span) -> ast.Statement:
        kind = self._plain_name(cast(Branch, children[1]).children[0])
        result = _after("ARROW", children)
        made = ast.Extern(
            span,
            kind,
            self._declared(children[2]),
            self._parameters(children),
            None if result is None else self._type_of(result),
            self._string_of(children[-1]),
        )
        wrong = mistakes.wrong_extern(made)
        if wrong is None:
            return made
        self._say(wrong)
        return ast.Unreadable(span, (made.name.id,))

    def _parameters(self, children: list[Child]) -> tuple[ast.Parameter, ...]:
        made = tuple(self._parameter(cast(Branch, child)) for child in children if _type(child) == "parameter")
        seen: dict[str, ast.Name] = {}
        for parameter in made:
            if parameter.name.id in seen:
                self._say(mistakes.given_twice("parameter", parameter.name, seen[parameter.name.id]))
            seen.setdefault(parameter.name.id, parameter.name)
        return made

    def _parameter(self, tree: Branch) -> ast.Parameter:
        span = self._span(tree)
        before = self.comments.before(span.start)
        children = tree.children
        name, type_ = self._declared(children[0]), self._type_of(children[2])
        default = self._expr(children[4]) if len(children) > 4 else None
        doc = tuple(line.removeprefix("##").strip() for line in before if line.startswith("##"))
        return ast.Parameter(span, name, type_, default, doc, before, self._behind_item(span.end))

    def _behind_item(self, end: int) -> str | None:
        """The comment behind an item of a list in brackets, and behind the comma that follows it."""
        text = self.source.text
        comma = end
        while comma < len(text) and text[comma] in " \t":
            comma += 1
        after = comma + 1 if text.startswith(",", comma) else end
        rest = text.find("\n", after)
        behind = text[after : len(text) if rest < 0 else rest].lstrip(" \t")
        return self.comments.behind(after) if behind.startswith("#") else None

    def _type_of(self, child: Child) -> ast.Type:
        tree = cast(Branch, child)
        children = tree.children
        columns: tuple[ast.ColumnType, ...] | None = None
        by: ast.Name | None = None
        for part in children:
            if _type(part) == "columns":
                typed = [child for child in cast(Branch, part).children if _type(child) == "typed"]
                columns = tuple(self._column_type(cast(Branch, child)) for child in typed)
        author = _after("BY", children)
        if author is not None:
            by = self._plain_name(author)
        optional = any(_type(part) == "QUESTION" for part in children)
        within = self._quantity(_after("WITHIN", children))
        return ast.Type(self._span(tree), str(children[0]), columns, by, within, optional)

    def _column_type(self, tree: Branch) -> ast.ColumnType:
        name, *kind = (self._plain_name(child) for child in tree.children if _type(child) != "COLON")
        return ast.ColumnType(self._span(tree), name, kind[0] if kind else None)

    # Names, numbers, strings -----------------------------------------------------------------------------------------

    def _plain_name(self, child: Child) -> ast.Name:
        assert isinstance(child, Token)
        return ast.Name(self._span(child), str(child))

    def _declared(self, child: Child) -> ast.Name:
        name = self._plain_name(child)
        if not _DECLARED.match(name.id):
            self._say(mistakes.bad_name(name.id, name.span))
        return name

    def _quantity(self, child: Child | None) -> ast.Number | None:
        number = None if child is None else self._number_of(child)
        return number if isinstance(number, ast.Number) else None

    def _number_of(self, child: Child) -> ast.Number | ast.Missing:
        span = self._span(child)
        match = _NUMBER.match(str(child))
        assert match is not None
        number, scale, unit = match["number"], match["scale"], match["unit"]
        unit_span = None if unit is None else self._part(span.start + match.start("unit"), span.end)
        if unit_span is not None and unit not in UNITS:
            self._say(mistakes.unknown_unit(number, unit, unit_span))
            return ast.Missing(span)
        if scale is not None and (unit is None or UNITS[unit].dimension in ("share", "number", "bytes", "time")):
            self._say(mistakes.two_units(scale, str(unit), span))
            return ast.Missing(span)
        digits = number.replace("_", "")
        if digits.isdigit() and len(digits.lstrip("0")) > 18:
            self._say(mistakes.number_too_long(span))
            return ast.Missing(span)
        value: int | float = int(digits) if digits.isdigit() else float(digits)
        if math.isinf(value):
            self._say(mistakes.number_too_long(span))
            return ast.Missing(span)
        if scale is not None:
            value *= UNITS[scale].factor
        return ast.Number(span, spelled(number + (scale or ""), unit), value, unit, unit_span)

    def _string_of(self, child: Child) -> ast.String:
        text, span = str(child), self._span(child)
        formatted = text.startswith("f")
        quotes = '"""' if text.removeprefix("f").startswith('"""') else '"'
        open_end = len(quotes) + formatted
        body = text[open_end : -len(quotes)].replace("\r\n", "\n")
        body_start = span.start + open_end
        for escape in re.finditer(r"\\([\s\S])", body):
            if escape[1] not in _ESCAPES:
                place = self._part(body_start + escape.start(), body_start + escape.end())
                self._say(mistakes.bad_escape(escape[0], place))
        if quotes == '"""':
            body = _dedented(body)
        if not formatted:
            return ast.String(span, text, _unescaped(body))
        parts: list[str | ast.Name] = []
        done = 0
        for hole in _HOLE.finditer(body):
            place = self._part(body_start + hole.start(1), body_start + hole.end(1)) if quotes == '"' else span
            if not hole[1].isidentifier() or hole[1] in KEYWORDS:
                self._say(mistakes.bad_hole(hole[1], place))
                continue
            if hole.start() > done:
                parts.append(_unescaped(body[done : hole.start()]))
            parts.append(ast.Name(place, hole[1]))
            done = hole.end()
        if body[done:]:
            parts.append(_unescaped(body[done:]))
        return ast.String(span, text, _unescaped(body), tuple(parts))

    # Expressions -----------------------------------------------------------------------------------------------------

    def _expr(self, child: Child) -> ast.Expr:
        self._depth += 1
        self.nodes += 1
        try:
            if self._depth > DEEPEST:
                if not self._told_too_deep:
                    self._say(mistakes.too_deep(self._span(child)))
                self._told_too_deep = True
                return ast.Missing(self._span(child))
            tree = cast(Branch, child)
            return cast(ast.Expr, getattr(self, f"_{tree.data}")(tree.children, self._span(tree)))
        finally:
            self._depth -= 1

    def _group(self, children: list[Child], span: Span) -> ast.Expr:
        return self._expr(children[1])

    def _name(self, children: list[Child], span: Span) -> ast.Expr:
        word = str(children[0])
        if word in _CONSTANTS:
            self._say(mistakes.other_spelling(word, span, f"`{word}` is written small", f"write  {_CONSTANTS[word]}"))
            return ast.Missing(span)
        return ast.Name(span, word)

    def _chooser(self, children: list[Child], span: Span) -> ast.Expr:
        """``where(condition, yes, no)``: the word of the language as a function of a loss."""
        return ast.Name(span, str(children[0]))

    def _number(self, children: list[Child], span: Span) -> ast.Expr:
        return self._number_of(children[0])

    def _string(self, children: list[Child], span: Span) -> ast.Expr:
        return self._string_of(children[0])

    def _column(self, children: list[Child], span: Span) -> ast.Expr:
        return ast.Column(span, str(children[1]))

    def _list(self, children: list[Child], span: Span) -> ast.Expr:
        return ast.List(span, tuple(self._expr(child) for child in children[1:-1] if _type(child) != "COMMA"))

    def _choice(self, children: list[Child], span: Span) -> ast.Expr:
        return ast.Choice(span, self._expr(children[1]), self._expr(children[3]), self._expr(children[5]))

    def _pipe(self, children: list[Child], span: Span) -> ast.Expr:
        value = self._expr(children[0])
        sign = self._span(children[1]).start
        before = self.comments.before(sign)
        step = self._expr(children[2])
        if not isinstance(step, ast.Call | ast.Name | ast.Member | ast.Missing):
            self._say(mistakes.step_is_no_call(step.span))
            step = ast.Missing(step.span)
        trailing = self.comments.behind(span.end) if self._begins_line(sign) and self._ends_line(span.end) else None
        return ast.Pipe(span, value, step, before, trailing)

    def _binary(self, children: list[Child], span: Span) -> ast.Expr:
        op = children[1]
        return ast.Binary(span, str(op), self._expr(children[0]), self._expr(children[2]))

    def _unary(self, children: list[Child], span: Span) -> ast.Expr:
        return ast.Unary(span, str(children[0]), self._expr(children[1]))

    def _member(self, children: list[Child], span: Span) -> ast.Expr:
        return ast.Member(span, self._expr(children[0]), self._plain_name(children[2]))

    def _at(self, children: list[Child], span: Span) -> ast.Expr:
        base = self._expr(children[0])
        tree = cast(Branch, children[2])
        callee = self._plain_name(tree.children[0])
        which = self._call_of(callee, tree.children, self._span(tree))
        return ast.At(span, base, which) if self._in_order(which.arguments) else ast.Missing(span)

    def _call(self, children: list[Child], span: Span) -> ast.Expr:
        call = self._call_of(self._expr(children[0]), children, span)
        return call if self._in_order(call.arguments) else ast.Missing(span)

    def _call_of(self, callee: ast.Expr, children: list[Child], span: Span) -> ast.Call:
        arguments = tuple(self._argument(cast(Branch, child)) for child in children if _type(child) == "argument")
        seen: dict[str, ast.Name] = {}
        for argument in arguments:
            if argument.name is not None and argument.name.id in seen:
                self._say(mistakes.given_twice("argument", argument.name, seen[argument.name.id]))
            elif argument.name is not None:
                seen[argument.name.id] = argument.name
        return ast.Call(span, callee, arguments, self.comments.before(span.end - 1))

    def _in_order(self, arguments: tuple[ast.Argument, ...]) -> bool:
        """Whether those without a name come first; which one is meant by another order cannot be said."""
        names = [argument.name for argument in arguments if argument.name is not None]
        late = [a for number, a in enumerate(arguments) if a.name is None and any(b.name for b in arguments[:number])]
        for argument in late:
            self._say(mistakes.positional_after_named(argument.span, names[0]))
        return not late

    def _argument(self, tree: Branch) -> ast.Argument:
        span = self._span(tree)
        before = self.comments.before(span.start)
        name = None
        if len(tree.children) == 3:
            name = self._plain_name(cast(Branch, tree.children[0]).children[0])
        value = self._expr(tree.children[-1])
        return ast.Argument(span, name, value, before, self._behind_item(span.end))


def with_loss(statement: ast.Statement) -> ast.Statement:
    """In an objective, `loss = …` is no setting."""
    if isinstance(statement, ast.Setting) and statement.name.id == "loss" and statement.target is None:
        return ast.Loss(statement.span, statement.value, comments=statement.comments, trailing=statement.trailing)
    return statement


def _type(child: Child) -> str:
    return child.type if isinstance(child, Token) else str(child.data)


def _after(keyword: str, children: list[Child]) -> Child | None:
    """What follows a keyword among the children, if it is there."""
    for place, child in enumerate(children):
        if _type(child) == keyword:
            return children[place + 1]
    return None


def _unescaped(text: str) -> str:
    return re.sub(r"\\([\s\S])", lambda escape: _ESCAPES.get(escape[1], escape[0]), text)


def _dedented(body: str) -> str:
    r'''The text of a ``"""`` string: the line break behind the opening quotes and the line of the closing ones are
    layout, as is the white space that all lines begin with.'''
    if not body.startswith("\n"):
        return body
    return textwrap.dedent(body[1:]).removesuffix("\n")
