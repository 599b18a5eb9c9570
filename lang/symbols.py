"""Who declares a name, where it can be seen, and who uses it: an index over the tree of one program.

It judges nothing and knows no library: editors ask it where a name is declared, what may be written at a place, and
what has to change with a name. It is made of any tree, those with unreadable statements too, whose words are looked
up as they stand. Scopes are the file, and whatever has parameters or a body.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields

from ptc.lang import ast
from ptc.lang.keywords import KEYWORDS
from ptc.lang.layout import scan
from ptc.lang.source import Source, Span

CONSTANTS = ("none", "true", "false")

_NO_NAMES = {
    (ast.Member, "name"),
    (ast.Argument, "name"),
    (ast.Setting, "name"),
    (ast.Allow, "check"),
    (ast.Claim, "role"),
    (ast.Role, "verb"),
    (ast.Gate, "keyword"),
    (ast.Import, "module"),
    (ast.Import, "names"),
    (ast.ColumnType, "name"),
    (ast.Extern, "kind"),
}
"""Fields that hold a word which stands for nothing that is declared in the program."""

_WORD = re.compile(r"[^\W\d]\w*")
_HOLE = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, eq=False)
class Symbol:
    """A name that a program declares."""

    name: str
    kind: str
    """The word that declares it (``source``, ``stage``, ``objective``, …), ``role``, ``parameter``, or ``import`` for a
    name of another file."""
    span: Span
    """Of the name."""
    node: ast.Node
    """What declares it."""
    scope: Scope

    @property
    def doc(self) -> str:
        """What its ``##`` lines say."""
        lines = [*getattr(self.node, "doc", ()), *getattr(self.node, "comments", ())]
        return "\n".join(line.removeprefix("##").strip() for line in lines if line.startswith("##"))


@dataclass(eq=False)
class Scope:
    """A part of the text with names of its own. `kind` is ``file``, or the word that opens the statement."""

    kind: str
    span: Span
    node: ast.Node
    parent: Scope | None = None
    names: dict[str, Symbol] = field(default_factory=dict)
    inner: list[Scope] = field(default_factory=list)

    def chain(self) -> Iterator[Scope]:
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def find(self, name: str) -> Symbol | None:
        return next((scope.names[name] for scope in self.chain() if name in scope.names), None)


@dataclass(frozen=True, eq=False)
class Reference:
    """A use of a name; `symbol` is None for what the program does not declare (a function of the library, an axis)."""

    name: str
    span: Span
    symbol: Symbol | None


class Index:
    """The names of one program."""

    def __init__(self, program: ast.Program) -> None:
        self.program = program
        self.source: Source = program.source
        self.symbols: list[Symbol] = []
        self.references: list[Reference] = []
        self._scopes: dict[ast.Node, Scope] = {}
        self.file = Scope("file", program.span, program)
        self._declare(program.statements, self.file)
        self._visit(program, self.file)

    # Asking ----------------------------------------------------------------------------------------------------------

    def scope_at(self, offset: int) -> Scope:
        """The innermost scope around a place."""
        scope = self.file
        while True:
            inside = next((s for s in scope.inner if s.span.start <= offset < self._end(s)), None)
            if inside is None:
                return scope
            scope = inside

    def _end(self, scope: Scope) -> int:
        """Where a scope ends. One that is not closed yet goes on to the next thing that is written."""
        text, end = self.source.text, scope.span.end
        if text[end - 1 : end] == "}":
            return end
        rest = text[end:]
        return len(text) + 1 if not rest.strip() else end + len(rest) - len(rest.lstrip())

    def resolve(self, name: str, offset: int) -> Symbol | None:
        """What a name means at a place."""
        return self.scope_at(offset).find(name)

    def visible(self, offset: int) -> list[Symbol]:
        """What may be used at a place: declared before it, in a scope around it; the nearest first."""
        found: dict[str, Symbol] = {}
        for scope in self.scope_at(offset).chain():
            for symbol in reversed(scope.names.values()):
                if symbol.span.end < offset and not self._holds(symbol, offset):
                    found.setdefault(symbol.name, symbol)
        return list(found.values())

    def _holds(self, symbol: Symbol, offset: int) -> bool:
        """Whether a place is inside the statement that declares the symbol, where it cannot be used yet."""
        span = symbol.node.span
        if isinstance(symbol.node, ast.Unreadable) and not self.source.text[span.end : offset].strip(" \t"):
            return True
        return not isinstance(symbol.node, ast.Parameter) and span.start <= offset <= span.end

    def symbol_at(self, offset: int) -> Symbol | None:
        """The symbol whose name, declared or used, stands at a place (or ends right before it)."""
        touching = [reference for reference in self.references if reference.span.start <= offset <= reference.span.end]
        declared = [symbol for symbol in self.symbols if symbol.span.start <= offset <= symbol.span.end]
        return declared[0] if declared else next((r.symbol for r in touching if r.symbol is not None), None)

    def places(self, symbol: Symbol) -> list[Span]:
        """Its declaration and every use of it, in the order of the text."""
        uses = [reference.span for reference in self.references if reference.symbol is symbol]
        return sorted({(span.start, span.end): span for span in (symbol.span, *uses)}.values(), key=_start)

    def behind(self, path: str, offset: int) -> Scope | None:
        """The names behind the dot of a dotted path: the roles of a stage, the parts that a recipe made."""
        first, *rest = path.split(".")
        symbol = self.resolve(first, offset)
        inside = self._inside(symbol) if symbol is not None else None
        for name in rest:
            symbol = inside.names.get(name) if inside is not None else None
            inside = self._inside(symbol) if symbol is not None else None
        return inside

    # Declaring -------------------------------------------------------------------------------------------------------

    def _declare(self, statements: tuple[ast.Statement, ...], scope: Scope) -> None:
        for statement in statements:
            if isinstance(statement, ast.Unreadable):
                self._declare_unreadable(statement, scope)
            elif isinstance(statement, ast.Import):
                for name in statement.names:
                    self._add(name.id, "import", name.span, statement, scope)
            elif (declared := _declared(statement)) is not None:
                self._add(declared.id, _kind(statement), declared.span, statement, scope)
            self._open(statement, scope)

    def _open(self, statement: ast.Statement, around: Scope) -> None:
        """The scope of a statement with parameters or a body."""
        parameters = [p for p in getattr(statement, "parameters", ()) if isinstance(p, ast.Parameter)]
        body = getattr(statement, "body", None)
        if not parameters and not isinstance(body, ast.Block):
            return
        scope = Scope(_kind(statement), statement.span, statement, around)
        around.inner.append(scope)
        self._scopes[statement] = scope
        for parameter in parameters:
            self._add(parameter.name.id, "parameter", parameter.name.span, parameter, scope)
        if isinstance(body, ast.Block):
            self._declare(body.statements, scope)

    def _declare_unreadable(self, statement: ast.Unreadable, scope: Scope) -> None:
        text = self.source.text[statement.span.start : statement.span.end]
        first = _WORD.match(text)
        kind = first.group() if first else "let"
        for name in statement.names:
            place = re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", text)
            if place is not None:
                start = statement.span.start + place.start()
                kind = "import" if kind == "from" else "role" if kind in ("train", "freeze", "track") else kind
                self._add(name, kind, Span(start, start + len(name), self.source), statement, scope)

    def _add(self, name: str, kind: str, span: Span, node: ast.Node, scope: Scope) -> None:
        symbol = Symbol(name, kind, span, node, scope)
        self.symbols.append(symbol)
        scope.names.setdefault(name, symbol)  # the first one stays; the checker reports the second

    # Using -----------------------------------------------------------------------------------------------------------

    def _visit(self, node: ast.Node, scope: Scope) -> None:
        scope = self._scopes.get(node, scope)
        match node:
            case ast.Name():
                self._refer(node.id, node.span, scope.find(node.id))
            case ast.Unreadable():
                self._visit_text(node, scope)
            case ast.String(parts=tuple()):
                self._visit_holes(node, scope)
                return
            case ast.Type():
                named = Span(node.span.start, node.span.start + len(node.name), node.span.text)
                self._refer(node.name, named, scope.find(node.name))
            case ast.Member():
                inside = self._members(node.base, scope)
                self._refer(node.name.id, node.name.span, inside.names.get(node.name.id) if inside else None)
            case ast.Call():
                self._visit_head(node, scope)
            case ast.Argument(name=ast.Name(id="over")):
                return  # axes
        declared = _declared(node)
        for child, name in _children(node):
            if child is not declared and (type(node), name) not in _NO_NAMES and not _is_called(node, child):
                self._visit(child, scope)

    def _refer(self, name: str, span: Span, symbol: Symbol | None) -> None:
        if name not in CONSTANTS:
            self.references.append(Reference(name, span, symbol))

    def _visit_head(self, call: ast.Call, scope: Scope) -> None:
        """What is called, and the names of arguments where the program itself declares it."""
        if not isinstance(call.callee, ast.Name):
            return
        called = _callable(scope.find(call.callee.id))
        self._refer(call.callee.id, call.callee.span, called)
        head = self._scopes.get(called.node) if called is not None else None
        for argument in call.arguments:
            if head is not None and argument.name is not None:
                symbol = head.names.get(argument.name.id)
                if symbol is not None and symbol.kind == "parameter":
                    self._refer(argument.name.id, argument.name.span, symbol)

    def _visit_holes(self, text: ast.String, scope: Scope) -> None:
        """The names in the braces of an f-string."""
        for hole in _HOLE.finditer(self.source.text, text.span.start, text.span.end):
            self._refer(hole[1], Span(*hole.span(1), self.source), scope.find(hole[1]))

    def _visit_text(self, statement: ast.Unreadable, scope: Scope) -> None:
        """The words of a statement that could not be read, where the program declares them."""
        for word in _words(self.source.text, statement.span):
            symbol = scope.find(word.group())
            if self.source.text[word.end() : word.end() + 1] == "(":
                symbol = _callable(symbol)
            if symbol is not None and (word.start(), word.end()) != (symbol.span.start, symbol.span.end):
                self._refer(word.group(), Span(*word.span(), self.source), symbol)

    def _members(self, expr: ast.Node, scope: Scope, before: int | None = None) -> Scope | None:
        """`before`: where a definition stands that leads here; only what is above it can be meant, so this ends."""
        match expr:
            case ast.Name():
                symbol = scope.find(expr.id)
                above = symbol is not None and (before is None or symbol.span.start < before)
                return self._inside(symbol) if symbol is not None and above else None
            case ast.Member():
                inside = self._members(expr.base, scope, before)
                symbol = inside.names.get(expr.name.id) if inside is not None else None
                return None if symbol is None else self._inside(symbol)
            case ast.At():
                return self._members(expr.base, scope, before)
        return None

    def _inside(self, symbol: Symbol) -> Scope | None:
        """What stands behind the dot of a symbol."""
        node = symbol.node
        if isinstance(node, ast.Stage):
            return self._scopes.get(node)
        if isinstance(node, ast.Define):
            if isinstance(node.value, ast.Call) and isinstance(node.value.callee, ast.Name):
                called = symbol.scope.find(node.value.callee.id)
                return self._scopes.get(called.node) if called and isinstance(called.node, ast.Recipe) else None
            return self._members(node.value, symbol.scope, symbol.span.start)
        return None


def path(tree: ast.Node, offset: int) -> list[ast.Node]:
    """The nodes around a place, the outermost first."""
    found = [tree]
    while True:
        around = [child for child, _ in _children(found[-1]) if child.span.start <= offset <= child.span.end]
        if not around:
            return found
        # At the border of two nodes the one that begins there is meant.
        found.append(max(around, key=lambda child: child.span.start))


def _children(node: ast.Node) -> Iterator[tuple[ast.Node, str]]:
    """The nodes that a node holds, each with the field that holds it."""
    for each in fields(node):
        value = getattr(node, each.name)
        for child in value if isinstance(value, tuple) else (value,):
            if isinstance(child, ast.Node):
                yield child, each.name


def _declared(node: ast.Node) -> ast.Name | None:
    """The name that a node declares."""
    name = getattr(node, "name", None)
    return name if isinstance(name, ast.Name) and (type(node), "name") not in _NO_NAMES else None


CALLABLE = ("objective", "recipe", "verifier", "import", "parameter")


def _callable(symbol: Symbol | None) -> Symbol | None:
    """The symbol if a call can be meant for it: a source called `score` does not hide the step `score(…)`."""
    fits = symbol is not None and (symbol.kind in CALLABLE or isinstance(symbol.node, ast.Extern))
    return symbol if fits else None


def _is_called(node: ast.Node, child: ast.Node) -> bool:
    return isinstance(node, ast.Call) and child is node.callee and isinstance(child, ast.Name)


def _kind(node: ast.Node) -> str:
    match node:
        case ast.Define():
            return node.keyword
        case ast.Extern():
            return node.kind.id
        case ast.TypeAlias():
            return "type"
    return type(node).__name__.lower()


def _words(text: str, span: Span) -> Iterator[re.Match[str]]:
    """The words of a part of a text that may be names: no keyword, column, argument's name, comment or string."""
    silent = [(comment.start, comment.end) for comment in scan(text, span.start, span.end).comments]
    silent += [match.span() for match in re.finditer(r'"(?:[^"\\\n]|\\.)*"?', text[span.start : span.end])]
    for word in _WORD.finditer(text, span.start, span.end):
        before = text[: word.start()].rstrip(" \t")[-1:]
        given = re.match(r"[ \t]*=(?!=)", text[word.end() : word.end() + 80])
        quiet = any(start <= word.start() < end for start, end in silent)
        if word.group() not in KEYWORDS and before != "." and not given and not quiet:
            yield word


def _start(span: Span) -> int:
    return span.start
