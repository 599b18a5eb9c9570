"""From the syntax tree to the core: one walk over the declarations, in the order of the text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ptc.compiler import core
from ptc.compiler.borders import Borders
from ptc.compiler.catalogue import Catalogue
from ptc.compiler.claims import Claims
from ptc.compiler.declarations import Declarations, Made, Shop
from ptc.compiler.evals import Evals
from ptc.compiler.externs import Externs
from ptc.compiler.findings import Findings
from ptc.compiler.flows import Flows
from ptc.compiler.given import Given
from ptc.compiler.imports import Imports, Library
from ptc.compiler.models import Models
from ptc.compiler.objectives import Objectives
from ptc.compiler.observers import Observers
from ptc.compiler.optimizers import Optimizers
from ptc.compiler.parameters import Parameters, from_command_line
from ptc.compiler.recipes import Recipes
from ptc.compiler.roles import Roles
from ptc.compiler.scope import Constant, Scope
from ptc.compiler.settings import Settings
from ptc.compiler.stages import Stages
from ptc.compiler.unread import unread_words
from ptc.lang import ast

DEFAULT_SEED = 42


@dataclass(frozen=True)
class Elaborated:
    """The typed program, whole or as far as it made sense, and the stage that each stage model is the result of."""

    program: core.Program
    whole: bool
    """False if a declaration was left out because it is wrong."""


class Elaborator:
    """Elaborates one program."""

    def __init__(self, catalogue: Catalogue, library: Library, settings: Mapping[str, str], findings: Findings) -> None:
        self.settings = settings
        self.findings = findings
        self.scope = Scope(findings)
        self.made = Made()
        self.shop = _shop(catalogue, library, settings, findings)

    def program(self, program: ast.Program) -> Elaborated:
        self.scope.unread = frozenset(unread_words(program.statements))
        declarations = Declarations(self.shop, self.scope, self.made)
        declarations.all(program.statements)
        self.shop.recipes.read_uncalled(declarations)
        self.made.whole &= not self.shop.parameters.unknown(program)
        made, seed = self.made, self._seed()
        stages = (*self.shop.imports.needed(self._used()), *made.stages)
        whole = core.Program(
            seed,
            tuple(made.sources),
            tuple(made.models),
            tuple(made.evals),
            tuple(dict.fromkeys(stages)),
            tuple(dict.fromkeys(made.reports)),
            tuple(made.exports),
            tuple(made.protects),
            tuple(made.allows),
        )
        return Elaborated(whole, made.whole)

    def _seed(self) -> int:
        """``--set seed=3``, or a parameter of that name, or 42."""
        entry = self.scope.entries.get("seed")
        if entry is not None and isinstance(entry.thing, Constant) and isinstance(entry.thing.value, int):
            return entry.thing.value
        value = from_command_line("int", self.settings.get("seed", str(DEFAULT_SEED)))
        if isinstance(value, int):
            return value
        self.findings.add("T105", f"--set seed={self.settings['seed']}: the seed is a whole number", [])
        self.made.whole = False
        return DEFAULT_SEED

    def _used(self) -> set[int]:
        """The identities of the stages that what the program declares is made from, learns from or is measured by."""
        trained = self.shop.models.derived.trained
        used: set[int] = set()
        seen: set[int] = set()
        waiting: list[core.Input] = [*self.made.sources, *self.made.models]
        waiting += [export.model for export in self.made.exports]
        waiting += [measured.source for measured in self.made.evals]
        waiting += [protect.origin for protect in self.made.protects if protect.origin is not None]
        waiting += [thing for stage in self.made.stages for thing in stage.inputs()]
        while waiting:
            thing = waiting.pop()
            if id(thing) in seen:
                continue
            seen.add(id(thing))
            if isinstance(thing, core.Role):
                waiting.append(thing.init)
                continue
            waiting.extend(thing.inputs.values())
            stage = trained.get(id(thing))
            if stage is not None and id(stage) not in used:
                used.add(id(stage))
                waiting.extend(stage.inputs())
        return used


def _shop(catalogue: Catalogue, library: Library, settings: Mapping[str, str], findings: Findings) -> Shop:
    """Everything that elaborates, put together."""
    flows = Flows(catalogue, findings)
    evals = Evals(findings, flows)
    models = Models(catalogue, findings, flows, evals)
    flows.models = models
    borders = Borders(findings)
    stages = Stages(
        findings,
        flows,
        evals,
        Objectives(findings, flows),
        Roles(findings, models),
        Settings(findings, Optimizers(findings)),
        Claims(findings, models, evals),
    )
    return Shop(
        findings,
        flows,
        models,
        evals,
        stages,
        borders,
        Parameters(findings, borders, settings),
        Externs(findings, borders),
        Recipes(findings, borders, Given(findings)),
        Imports(catalogue, library, findings),
        Observers(findings, models, evals),
    )
