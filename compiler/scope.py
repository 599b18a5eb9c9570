"""Names and what they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ptc.compiler import core
from ptc.compiler.arguments import Signature
from ptc.compiler.catalogue import Verifier
from ptc.compiler.findings import Findings, at
from ptc.compiler.objective_names import LIBRARY
from ptc.compiler.unread import ANY
from ptc.lang import ast
from ptc.lang.source import Span
from ptc.lang.suggest import closest


@dataclass(frozen=True)
class Objective:
    """An objective's text, to be elaborated anew at each call; or only its head, where the loss is Python's."""

    declaration: ast.Objective | ast.Extern

    @property
    def name(self) -> str:
        return self.declaration.name.id

    @property
    def body(self) -> tuple[ast.Statement, ...]:
        return () if isinstance(self.declaration, ast.Extern) else self.declaration.body.statements


@dataclass(frozen=True)
class Constant:
    """The value of a `param` or a `let`."""

    value: float | int | str | bool | core.Count | None


@dataclass(frozen=True)
class Scorers:
    """What an argument of type `Verifier` was given: a sum of weighted scorers."""

    scorers: tuple[core.Scorer, ...]


@dataclass(frozen=True)
class ExternVerifier:
    """``extern verifier f(response: Text, tests: Text) -> Real = "module:function"``."""

    name: str
    columns: tuple[tuple[str, str], ...]
    """What it reads of a row besides the response, with the type of each."""
    result: str
    """``Real`` or ``Bool``."""
    target: str
    span: Span


@dataclass(frozen=True)
class ExternSource:
    """``extern source s(n: Int) -> Trajectories{prompt, answer} = "module:function"``."""

    name: str
    signature: Signature
    type: core.Trajectories
    target: str
    span: Span


@dataclass(frozen=True, eq=False)
class Recipe:
    """A recipe's text, to be elaborated anew at each call, and the names that stand above it."""

    declaration: ast.Recipe
    outer: Scope

    @property
    def name(self) -> str:
        return self.declaration.name.id


@dataclass(frozen=True, eq=False)
class Alias:
    """``type Pairs = Trajectories{prompt, chosen, rejected}``."""

    type: ast.Type


@dataclass(frozen=True)
class Poison:
    """A name whose declaration is wrong: reported there, and silent here."""


Thing = (
    core.Source
    | core.Model
    | core.Role
    | core.Eval
    | core.Stage
    | core.Tokenizer
    | Objective
    | Verifier
    | Scorers
    | ExternVerifier
    | ExternSource
    | Recipe
    | Alias
    | Constant
    | Poison
)

_KIND = {
    core.Source: "a source",
    core.Model: "a model",
    core.Role: "a model role",
    core.Eval: "an eval",
    core.Stage: "a stage",
    core.Tokenizer: "a tokenizer",
    Objective: "an objective",
    Verifier: "a verifier",
    Scorers: "a verifier",
    ExternVerifier: "a verifier",
    ExternSource: "a source",
    Recipe: "a recipe",
    Alias: "a type",
    Constant: "a parameter",
}


def kind_of(thing: Thing) -> str:
    """``a source``, ``a model``, … for messages."""
    return _KIND[type(thing)]


@dataclass(frozen=True)
class Entry:
    """What a name stands for, and where it is declared."""

    thing: Thing
    span: Span
    members: Scope | None = None
    """What can be reached through the name: the parts of a recipe's call."""
    imported: bool = False
    """Whether the file that declares the name is another one."""


@dataclass
class Scope:
    """The names that are visible at one place; the inner one is asked first."""

    findings: Findings
    parent: Scope | None = None
    entries: dict[str, Entry] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    unread: frozenset[str] = frozenset()
    """The words of statements that could not be parsed: one of them may declare what is not found."""
    path: str = ""
    """What stands before the names of nodes declared here: ``r1.`` inside the call that is named `r1`."""

    def inner(self) -> Scope:
        return Scope(self.findings, self, unread=self.unread, path=self.path)

    def may_be_unread(self, name: str) -> bool:
        """Whether a statement that could not be parsed may declare a name."""
        return name in self.unread or ANY in self.unread

    def is_unreadable(self, name: str) -> bool:
        """Whether a name is declared wrongly, or by what could not be parsed: that has been reported."""
        entry = self.find(name)
        return self.may_be_unread(name) if entry is None else isinstance(entry.thing, Poison)

    def path_of(self, name: str) -> str:
        """A name declared here as it is shown everywhere: ``r1.tuned``."""
        return self.path + name

    def chain(self) -> Iterator[Scope]:
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def find(self, name: str) -> Entry | None:
        for scope in self.chain():
            if name in scope.entries:
                scope.used.add(name)
                return scope.entries[name]
        return None

    def visible(self) -> list[str]:
        return [name for scope in self.chain() for name in scope.entries]

    def snapshot(self) -> Scope:
        """The names as they stand now: what is declared later is not seen."""
        entries = {name: entry for scope in reversed(list(self.chain())) for name, entry in scope.entries.items()}
        return Scope(self.findings, None, entries, unread=self.unread, path=self.path)

    def declare(self, name: ast.Name, thing: Thing, members: Scope | None = None, imported: bool = False) -> None:
        """Adds a name; a second declaration of it, or one that shadows, is reported and the first one stays."""
        earlier = self.find(name.id)
        if earlier is not None:
            self.findings.add(
                "N102",
                f"`{name.id}` is declared twice",
                [at(name.span, "declared again"), at(earlier.span, "declared here first")],
                helps=[f"give one of them another name, such as `{name.id}_2`"],
            )
            return
        self.entries[name.id] = Entry(thing, name.span, members, imported)

    def look_up(self, name: ast.Name, wanted: tuple[type, ...], wanted_text: str) -> Thing | None:
        """What a name stands for, if it is one of `wanted`; otherwise None, and the user has been told."""
        entry = self.find(name.id)
        if entry is None:
            if not self.may_be_unread(name.id):
                self._unknown(name, wanted, wanted_text)
            return None
        if isinstance(entry.thing, Poison):
            return None
        if not isinstance(entry.thing, wanted):
            self.findings.add(
                "N107",
                f"`{name.id}` is {kind_of(entry.thing)}, and {wanted_text} is needed here",
                [at(name.span, f"{wanted_text} is needed"), at(entry.span, f"`{name.id}` is {kind_of(entry.thing)}")],
                self._visible(wanted),
            )
            return None
        return entry.thing

    def _unknown(self, name: ast.Name, wanted: tuple[type, ...], wanted_text: str) -> None:
        fitting = self._fitting(wanted)
        guess = closest(name.id, fitting) or closest(name.id, self.visible())
        helps = [f"did you mean `{guess}`?"] if guess else []
        notes = [] if guess else self._visible(wanted)
        library = _where_in_library(name.id)
        if library and not guess:
            helps.append(f"from {library} import {name.id}")
        self.findings.add(
            "N101", f"nothing here is called `{name.id}`", [at(name.span, f"{wanted_text} is needed")], notes, helps
        )

    def _fitting(self, wanted: tuple[type, ...]) -> list[str]:
        entries = (item for scope in self.chain() for item in scope.entries.items())
        return [name for name, entry in entries if isinstance(entry.thing, wanted)]

    def _visible(self, wanted: tuple[type, ...]) -> list[str]:
        """A note that lists what would fit, or none."""
        fitting = [f"`{name}`" for name in self._fitting(wanted)]
        return [f"visible here: {', '.join(fitting[:8])}{', …' if len(fitting) > 8 else ''}"] if fitting else []


def _where_in_library(name: str) -> str | None:
    verifiers = {"exact", "math", "gym_scorer", "format_tags", "overlong"}
    if name in LIBRARY:
        return "std.objectives"
    return "std.verifiers" if name in verifiers else None
