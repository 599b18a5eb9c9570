"""The syntax tree: what the user wrote, with places, before any name is resolved.

Nodes are frozen and compared by identity, so that a node can key a table. Comments hang on the statement they
precede (`comments`) or trail (`trailing`); the formatter prints both and refuses to lose one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ptc.lang.source import Source, Span


@dataclass(frozen=True, eq=False)
class Node:
    """A piece of the text: `span` says which."""

    span: Span


# Expressions ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Name(Node):
    """``policy``: a name as it stands in an expression or a declaration."""

    id: str


@dataclass(frozen=True, eq=False)
class Number(Node):
    """``1e-6``, ``4_096``, ``10%``, ``16Ki``, ``2 epochs``. `value` is the bare number, `unit` what follows it."""

    text: str
    value: int | float
    unit: str | None = None
    unit_span: Span | None = None


@dataclass(frozen=True, eq=False)
class String(Node):
    """``"rows.jsonl"``, ``f"out/{name}"``, or a text over several lines in three quotes."""

    text: str
    """As written, quotes included."""
    value: str
    parts: tuple[str | Name, ...] | None = None
    """Of ``f"out/{name}"``: its pieces, in order; None for a plain string."""


@dataclass(frozen=True, eq=False)
class Column(Node):
    """``.reward``: a column of the rows in hand."""

    name: str


@dataclass(frozen=True, eq=False)
class Member(Node):
    """``new.model``, ``stage.policy``."""

    base: Expr
    name: Name


@dataclass(frozen=True, eq=False)
class Argument(Node):
    """``lr = 1e-6`` or a value alone, in the parentheses of a call."""

    name: Name | None
    value: Expr
    comments: tuple[str, ...] = ()
    """Comment lines before it, as written."""
    trailing: str | None = None


@dataclass(frozen=True, eq=False)
class Call(Node):
    """``sample(policy, n = 8)``."""

    callee: Expr
    arguments: tuple[Argument, ...]
    closing: tuple[str, ...] = ()
    """Comment lines between the last argument and the closing parenthesis."""


@dataclass(frozen=True, eq=False)
class Pipe(Node):
    """``value |> step(…)``: one step of the flow of trajectories."""

    value: Expr
    step: Expr
    comments: tuple[str, ...] = ()
    """Comment lines before ``|>``, as written."""
    trailing: str | None = None


@dataclass(frozen=True, eq=False)
class Unary(Node):
    """`op` is ``-`` or ``not``."""

    op: str
    operand: Expr


@dataclass(frozen=True, eq=False)
class Binary(Node):
    """`op` is one of ``+ - * / == != < <= > >= and or``."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, eq=False)
class List(Node):
    """``[0.9, 0.95]``."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, eq=False)
class At(Node):
    """``stage @ best(skill)``, ``stage @ step(200)``."""

    base: Expr
    which: Call


@dataclass(frozen=True, eq=False)
class Choice(Node):
    """``if condition then yes else no``: chooses values only."""

    condition: Expr
    yes: Expr
    no: Expr


@dataclass(frozen=True, eq=False)
class Missing(Node):
    """Stands where an expression could not be read; the parser has reported it, later phases stay silent about it."""


Expr = Name | Number | String | Column | Member | Call | Pipe | Unary | Binary | List | At | Choice | Missing


# Types, written at borders only --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ColumnType(Node):
    """``prompt``, or ``label: Bool``: a column that the rows must have, and of what."""

    name: Name
    type: Name | None = None


@dataclass(frozen=True, eq=False)
class Type(Node):
    """``Trajectories{prompt, label: Bool} by policy within 8 steps``, ``Anchor?``, ``Real``."""

    name: str
    columns: tuple[ColumnType, ...] | None = None
    by: Name | None = None
    within: Number | None = None
    optional: bool = False


@dataclass(frozen=True, eq=False)
class Parameter(Node):
    """``policy: Trained``, ``beta: Real = 0.1``: of an objective, a recipe or an extern."""

    name: Name
    type: Type
    default: Expr | None
    doc: tuple[str, ...] = ()
    comments: tuple[str, ...] = ()
    trailing: str | None = None


# Statements ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Statement(Node):
    """What stands in a file or a block, with the comments that belong to it."""

    comments: tuple[str, ...] = field(default=(), kw_only=True)
    """Comment lines before it, each as written (``# …`` or ``## …``); an empty string is a blank line kept."""
    trailing: str | None = field(default=None, kw_only=True)
    """The comment that ends its first line (of a block: the line of ``{``)."""


@dataclass(frozen=True, eq=False)
class Block(Node):
    """``{ … }``: the statements of a stage, an objective or a recipe."""

    statements: tuple[Statement, ...]
    closing: tuple[str, ...] = ()
    """Comments between the last statement and the closing brace."""


@dataclass(frozen=True, eq=False)
class Edition(Statement):
    """``edition 2026``."""

    year: Number


@dataclass(frozen=True, eq=False)
class Import(Statement):
    """``from std.objectives import sft, grpo``; a leading dot means beside this file."""

    module: tuple[Name, ...]
    relative: bool
    names: tuple[Name, ...]


@dataclass(frozen=True, eq=False)
class Param(Statement):
    """``param lr: Real = 1e-6``: what `--set` may change."""

    name: Name
    type: Type
    default: Expr | None


@dataclass(frozen=True, eq=False)
class Define(Statement):
    """``source NAME = …``, ``model NAME = …``, ``eval NAME = …``, ``let NAME = …``."""

    keyword: str
    name: Name
    value: Expr


@dataclass(frozen=True, eq=False)
class Claim(Node):
    """``expands skill``. `role` is ``expands``, ``reshapes`` or ``consolidates``."""

    role: Name
    evals: tuple[Name, ...]
    carrier: Expr | None = None
    """``consolidates skill from teacher``."""


@dataclass(frozen=True, eq=False)
class Stage(Statement):
    """``stage reasoner expands skill { … }``."""

    name: Name
    claims: tuple[Claim, ...]
    body: Block


@dataclass(frozen=True, eq=False)
class Role(Statement):
    """``train policy = base``; `verb` is ``train``, ``freeze`` or ``track``."""

    verb: Name
    name: Name
    value: Expr


@dataclass(frozen=True, eq=False)
class Minimize(Statement):
    """``minimize grpo(rollouts, policy)``."""

    loss: Expr


@dataclass(frozen=True, eq=False)
class Setting(Statement):
    """``batch = 32 prompts``, ``batch(demos) = 64 samples``."""

    name: Name
    target: Name | None
    value: Expr


@dataclass(frozen=True, eq=False)
class Gate(Statement):
    """``require EXPR`` before a stage, ``ensure EXPR`` after it, ``guard EXPR over 20 steps`` while it runs."""

    keyword: Name
    condition: Expr
    over: Number | None
    """Of how many steps the mean is compared; only behind `guard`."""


@dataclass(frozen=True, eq=False)
class Watch(Statement):
    """``watch skill every 20 steps``."""

    eval: Expr
    every: Number | None


@dataclass(frozen=True, eq=False)
class Protect(Statement):
    """``protect skill within 2 points from stage``."""

    eval: Expr
    within: Number | None
    origin: Expr | None


@dataclass(frozen=True, eq=False)
class Allow(Statement):
    """``allow(check_name, "reason")``."""

    check: Name
    reason: String


@dataclass(frozen=True, eq=False)
class Report(Statement):
    """``report skill, retained``."""

    evals: tuple[Expr, ...]


@dataclass(frozen=True, eq=False)
class Export(Statement):
    """``export reasoner to "out"``."""

    value: Expr
    path: String


@dataclass(frozen=True, eq=False)
class Loss(Statement):
    """``loss = …`` in an objective."""

    value: Expr


@dataclass(frozen=True, eq=False)
class Where(Statement):
    """``where tokenizer(teacher) == tokenizer(student)`` in an objective."""

    condition: Expr


@dataclass(frozen=True, eq=False)
class Objective(Statement):
    """``objective dpo(rows: …, policy: Trained) { … }``."""

    name: Name
    parameters: tuple[Parameter, ...]
    body: Block


@dataclass(frozen=True, eq=False)
class TypeAlias(Statement):
    """``type Pairs = Trajectories{prompt, chosen, rejected}``."""

    name: Name
    type: Type


@dataclass(frozen=True, eq=False)
class Recipe(Statement):
    """``recipe round(start: Model, lr: Real = 1e-6) -> Model { … return tuned }``."""

    name: Name
    parameters: tuple[Parameter, ...]
    result: Type | None
    """A bare name: the columns of rows are given a name by `type` first."""
    body: Block


@dataclass(frozen=True, eq=False)
class Return(Statement):
    """``return tuned``: the last statement of a recipe, and there only."""

    value: Expr


@dataclass(frozen=True, eq=False)
class Extern(Statement):
    """``extern verifier unit_tests(response: Text) -> Real = "my_lab.verify:run"``."""

    kind: Name
    """``verifier``, ``objective`` or ``source``."""
    name: Name
    parameters: tuple[Parameter, ...]
    result: Type | None
    """None for an objective, whose result is the loss."""
    target: String
    """``"module:function"``."""


@dataclass(frozen=True, eq=False)
class Unreadable(Statement):
    """A statement that did not parse. It declares `names` if they could be read off, so that uses do not cascade."""

    names: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Program(Node):
    """A file."""

    source: Source
    statements: tuple[Statement, ...]
    closing: tuple[str, ...] = ()
