"""From the syntax tree to the core: one walk over the declarations, in the order of the text.

A declaration that is wrong poisons its name: it is reported once, and whatever uses it stays silent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from ptc.compiler import core
from ptc.compiler.arguments import Parameter
from ptc.compiler.catalogue import Catalogue
from ptc.compiler.claims import Claims
from ptc.compiler.constants import fixed
from ptc.compiler.evals import Evals
from ptc.compiler.findings import Findings, at
from ptc.compiler.flows import Flows
from ptc.compiler.models import Models
from ptc.compiler.objectives import Objectives
from ptc.compiler.optimizers import Optimizers
from ptc.compiler.roles import Roles
from ptc.compiler.scope import Constant, Entry, Objective, Poison, Scope, Thing
from ptc.compiler.settings import Settings
from ptc.compiler.stages import Stages, renamed
from ptc.compiler.values import Unknown, Value, read
from ptc.lang import ast
from ptc.lang.suggest import closest

PARAM_KINDS = {"Real": "real", "Int": "int", "Text": "text", "Bool": "flag"}
DEFAULT_SEED = 42


@dataclass(frozen=True)
class Library:
    """The modules of the standard library, parsed: their objectives by module and name."""

    objectives: Mapping[str, Mapping[str, Objective]]


@dataclass
class _Drafted:
    sources: list[core.Source] = field(default_factory=list)
    models: list[core.Model] = field(default_factory=list)
    evals: list[core.Eval] = field(default_factory=list)
    stages: list[core.Stage] = field(default_factory=list)
    reports: list[core.Eval] = field(default_factory=list)
    exports: list[core.Export] = field(default_factory=list)


@dataclass(frozen=True)
class Elaborated:
    """The typed program, whole or as far as it made sense, and the stage that each stage model is the result of."""

    program: core.Program
    whole: bool
    """False if a declaration was left out because it is wrong."""


class Elaborator:
    """Walks the declarations of one program."""

    def __init__(self, catalogue: Catalogue, library: Library, settings: Mapping[str, str], findings: Findings) -> None:
        self.catalogue = catalogue
        self.library = library
        self.settings = settings
        self.findings = findings
        self.scope = Scope(findings)
        self.flows = Flows(catalogue, findings)
        self.evals = Evals(findings, self.flows)
        self.models = Models(catalogue, findings, self.flows, self.evals)
        self.flows.models = self.models
        self.stages = Stages(
            findings,
            self.flows,
            self.evals,
            Objectives(findings, self.flows),
            Roles(findings, self.models),
            Settings(findings, Optimizers(findings)),
            Claims(findings, self.models, self.evals),
        )
        self.drafted = _Drafted()
        self.whole = True

    def program(self, program: ast.Program) -> Elaborated:
        self.scope.unread = frozenset(unread_words(program))
        for statement in program.statements:
            self._statement(statement)
        self._unknown_settings(program)
        made = self.drafted
        whole = core.Program(
            self._seed(),
            tuple(made.sources),
            tuple(made.models),
            tuple(made.evals),
            tuple(made.stages),
            tuple(made.reports),
            tuple(made.exports),
        )
        return Elaborated(whole, self.whole)

    def _seed(self) -> int:
        """``--set seed=3``, or a parameter of that name, or 42."""
        entry = self.scope.entries.get("seed")
        if entry is not None and isinstance(entry.thing, Constant) and isinstance(entry.thing.value, int):
            return entry.thing.value
        value = from_command_line("int", self.settings.get("seed", str(DEFAULT_SEED)))
        if isinstance(value, int):
            return value
        self.findings.add("T105", f"--set seed={self.settings['seed']}: the seed is a whole number", [])
        self.whole = False
        return DEFAULT_SEED

    def _unknown_settings(self, program: ast.Program) -> None:
        """``--set`` of what the program has no `param` for."""
        known = [statement.name.id for statement in program.statements if isinstance(statement, ast.Param)]
        for name in self.settings:
            if name not in (*known, "seed"):
                guess = closest(name, known)
                self.findings.add(
                    "N101",
                    f"--set {name}: the program has no parameter `{name}`",
                    [],
                    [f"it has {', '.join(f'`{word}`' for word in known) or 'none'}"],
                    [f"did you mean `{guess}`?"] if guess else [f"param {name}: Real = …"],
                )
                self.whole = False

    def _statement(self, statement: ast.Statement) -> None:
        match statement:
            case ast.Edition():
                self._edition(statement)
            case ast.Import():
                self._import(statement)
            case ast.Param():
                self._param(statement)
            case ast.Define():
                self._define(statement)
            case ast.Objective():
                self.scope.declare(statement.name, Objective(statement))
            case ast.Stage():
                stage = self.stages.stage(statement, self.scope)
                self._declare(statement.name, stage)
                if stage is not None:
                    self.drafted.stages.append(stage)
                    self.models.derived.learn(stage)
            case ast.Report():
                found = [self.evals.named(name, self.scope) for name in statement.evals]
                self.drafted.reports.extend(eval_ for eval_ in found if eval_ is not None)
                self.whole &= None not in found
            case ast.Export():
                self._export(statement)
            case ast.Unreadable():
                self.whole = False
                for name in statement.names:
                    self.scope.entries.setdefault(name, Entry(Poison(), statement.span))
            case ast.Protect() | ast.Allow() | ast.TypeAlias() | ast.Recipe() | ast.Extern():
                word = "type" if isinstance(statement, ast.TypeAlias) else type(statement).__name__.lower()
                if isinstance(statement, ast.Recipe | ast.Extern):
                    self.scope.entries.setdefault(statement.name.id, Entry(Poison(), statement.name.span))
                self.findings.add("N110", f"`{word}` is not in this version", [at(statement.span, "remove it for now")])
                self.whole = False
            case _:
                self._only_in_stage(statement)

    def _only_in_stage(self, statement: ast.Statement) -> None:
        words = {ast.Role: "roles", ast.Minimize: "`minimize`", ast.Setting: "settings"}
        what = words.get(type(statement), "this")
        self.findings.add(
            "N107",
            f"{what} stand{'s' if what[-1] == '`' or what == 'this' else ''} inside a stage",
            [at(statement.span, "outside every stage")],
            helps=["stage name { … }"],
        )
        self.whole = False

    def _edition(self, statement: ast.Edition) -> None:
        if statement.year.value != 2026:
            self.findings.add(
                "N112",
                f"there is no edition {statement.year.text}",
                [at(statement.year.span, "not known")],
                helps=["edition 2026"],
            )

    def _import(self, statement: ast.Import) -> None:
        module = ".".join(part.id for part in statement.module)
        known: Mapping[str, Mapping[str, Thing]] = {
            **self.library.objectives,
            "std.verifiers": self.catalogue.verifiers,
        }
        if statement.relative or module not in known:
            guess = closest(module, known)
            place = statement.module[0].span.to(statement.module[-1].span)
            title = "imports of one's own files are not in this version" if statement.relative else ""
            self.findings.add(
                "N110" if statement.relative else "N106",
                title or f"the library has no module `{module}`",
                [at(place, "not known")],
                [f"there are {', '.join(known)}"],
                [f"did you mean `{guess}`?"] if guess and not statement.relative else [],
            )
            for name in statement.names:
                self._declare(name, None)
            return
        for name in statement.names:
            thing = known[module].get(name.id)
            if thing is None:
                self._not_in_library(module, name, known)
            self._declare(name, thing)

    def _not_in_library(self, module: str, name: ast.Name, known: Mapping[str, Mapping[str, Thing]]) -> None:
        elsewhere = next((other for other, things in known.items() if name.id in things), None)
        guess = closest(name.id, known[module])
        helps = [f"from {elsewhere} import {name.id}"] if elsewhere else []
        if guess and not elsewhere:
            helps = [f"did you mean `{guess}`?"]
        self.findings.add(
            "N106",
            f"`{module}` has no `{name.id}`",
            [at(name.span, "not there")],
            [f"it has {', '.join(known[module])}"],
            helps,
        )

    def _param(self, statement: ast.Param) -> None:
        name, kind = statement.name.id, PARAM_KINDS.get(statement.type.name)
        if kind is None:
            guess = closest(statement.type.name, PARAM_KINDS)
            self.findings.add(
                "N112",
                f"a parameter cannot be a `{statement.type.name}`",
                [at(statement.type.span, "not a type of constants")],
                [f"it is one of {', '.join(PARAM_KINDS)}"],
                [f"did you mean `{guess}`?"] if guess else [],
            )
            self._declare(statement.name, None)
            return
        value: Value | Unknown
        if name in self.settings:
            value = from_command_line(kind, self.settings[name])
            if isinstance(value, Unknown):
                self.findings.add(
                    "T105",
                    f"--set {name}={self.settings[name]}: `{name}` is of type {statement.type.name}",
                    [at(statement.type.span, f"{statement.type.name}")],
                )
        elif statement.default is not None:
            value = read(Parameter(name, kind, ...), statement.default, self.scope)
        else:
            self.findings.add(
                "N104",
                f"parameter `{name}` has no value",
                [at(statement.span, "no default")],
                helps=[f"ptc run FILE --set {name}=…"],
            )
            value = Unknown()
        self._declare(statement.name, None if isinstance(value, Unknown) else Constant(value))

    def _define(self, statement: ast.Define) -> None:
        name, value = statement.name, statement.value
        match statement.keyword:
            case "source":
                source = self.flows.source(value, self.scope)
                named = renamed(source, name.id) if source is not None else None
                self._declare(name, named)
                self.drafted.sources.extend([named] if named else [])
            case "model":
                model = self.models.model(value, self.scope)
                if model is not None and (not model.name or model.kind == "checkpoint"):
                    model = replace(model, span=name.span, name=self.scope.path_of(name.id))
                self._declare(name, model)
                self.drafted.models.extend([model] if model else [])
            case "eval":
                measured = self.evals.eval(value, name.id, self.scope)
                self._declare(name, measured)
                self.drafted.evals.extend([measured] if measured else [])
            case _:
                value_of = fixed(value, self.scope)
                self._declare(name, None if isinstance(value_of, Unknown) else Constant(value_of))

    def _export(self, statement: ast.Export) -> None:
        model = self.models.model(statement.value, self.scope)
        if model is None:
            self.whole = False
        else:
            self.drafted.exports.append(core.Export(model, statement.path.value, statement.span))

    def _declare(self, name: ast.Name, thing: Thing | None) -> None:
        """A declaration that came to nothing poisons its name."""
        if thing is None:
            self.whole = False
        self.scope.declare(name, thing if thing is not None else Poison())


def unread_words(program: ast.Program) -> Iterator[str]:
    """The words of the statements that could not be parsed."""
    for statement in program.statements:
        inside = statement.body.statements if isinstance(statement, ast.Stage | ast.Objective) else ()
        for unread in (statement, *inside):
            if isinstance(unread, ast.Unreadable):
                yield from re.findall(r"[^\W\d]\w*", program.source.text[unread.span.start : unread.span.end])


def from_command_line(kind: str, text: str) -> Value | Unknown:
    """The value of ``--set name=text`` for a parameter of a kind."""
    if kind == "text":
        return text
    if kind == "flag":
        return {"true": True, "false": False}.get(text, Unknown())
    share = text.endswith("%")
    try:
        number = float(text.rstrip("%").replace("_", ""))
    except ValueError:
        return Unknown()
    if not math.isfinite(number):
        return Unknown()
    number = number / 100 if share else number
    if kind == "int":
        return int(number) if number == int(number) else Unknown()
    return number
