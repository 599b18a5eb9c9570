"""Imports: of the standard library, and of files beside the program.

A file that is imported is elaborated once, in a scope of its own. Whatever it declares can be imported, and nothing
that it has imported itself. It may be a whole program: what it exports, reports and protects is its own business, and
its parameters keep their defaults. A stage of it becomes a node only if something of the program needs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from posixpath import dirname, join
from typing import TYPE_CHECKING

from ptc.compiler import core
from ptc.compiler.catalogue import Catalogue
from ptc.compiler.findings import Findings, at
from ptc.compiler.scope import Entry, Objective, Poison, Recipe, Scope, Thing
from ptc.compiler.unread import unread_words
from ptc.lang import ast
from ptc.lang.again import again
from ptc.lang.parse import parse
from ptc.lang.source import Source, Span, Via
from ptc.lang.suggest import closest

if TYPE_CHECKING:
    from ptc.compiler.declarations import Declarations, Made


@dataclass(frozen=True)
class Library:
    """The modules of the standard library: objectives, parsed when asked for, and the texts that recipes stand in."""

    objectives: Mapping[str, Mapping[str, Objective]]
    recipes: Mapping[str, Source] = field(default_factory=dict)
    """By the recipe's name."""


@dataclass(frozen=True)
class Module:
    """A file that has been imported."""

    scope: Scope
    made: Made
    text: Source


@dataclass
class Imports:
    """Elaborates imports. `modules` holds those of the program, by the path from the program's folder."""

    catalogue: Catalogue
    library: Library
    findings: Findings
    modules: dict[str, Module | None] = field(default_factory=dict)
    """None for one that cannot be read."""
    _loading: list[tuple[str, ast.Import]] = field(default_factory=list)

    def imported(self, statement: ast.Import, declarations: Declarations) -> None:
        """Declares the names that an import brings in."""
        if statement.relative:
            self._beside(statement, declarations)
        else:
            self._of_library(statement, declarations)

    # Files beside the program -----------------------------------------------------------------------------------------

    def _beside(self, statement: ast.Import, declarations: Declarations) -> None:
        here = self._loading[-1][0] if self._loading else ""
        path = join(dirname(here), *(part.id for part in statement.module)) + ".pt"
        module = self._module(path, statement, declarations)
        if module is not None:
            declarations.made.whole &= module.made.whole
        for name in statement.names:
            entry = module.scope.entries.get(name.id) if module is not None else None
            if module is not None and (entry is None or entry.imported):
                self._not_in_module(module, name, statement, entry)
                entry = None
            thing = entry.thing if entry is not None else Poison()
            declarations.made.whole &= not isinstance(thing, Poison)
            declarations.scope.declare(name, thing, entry.members if entry is not None else None, imported=True)
            if not declarations.scope.path and module is not None:
                self.findings.called[module.scope.path_of(name.id)] = name.id

    def _module(self, path: str, statement: ast.Import, declarations: Declarations) -> Module | None:
        """The file, elaborated at its first import."""
        if any(loading == path for loading, _ in self._loading):
            self._cycle(path, statement)
            return None
        if path not in self.modules:
            text = self._text(path, statement)
            self._loading.append((path, statement))
            self.modules[path] = self._elaborated(text, path, statement, declarations) if text is not None else None
            self._loading.pop()
        return self.modules[path]

    def _text(self, path: str, statement: ast.Import) -> Source | None:
        """The text of the file; None after a report."""
        found = self.catalogue.modules.get(path)
        if isinstance(found, Source):
            return found
        place = _module_span(statement)
        if found is not None:
            self.findings.add("N114", f"`{path}` cannot be read: {found}", [at(place, "imported here")])
            return None
        dots = {_dotted(other): other for other in self.catalogue.modules if other != path}
        written = ".".join(part.id for part in statement.module)
        guess = closest(f".{written}", dots)
        self.findings.add(
            "N114",
            f"there is no file `{path}` beside this one",
            [at(place, "not there")],
            [f"there are {', '.join(f'`{word}`' for word in list(dots)[:8])}"] if dots and not guess else [],
            [f"from {guess} import {', '.join(name.id for name in statement.names)}"] if guess else [],
        )
        return None

    def _cycle(self, path: str, statement: ast.Import) -> None:
        names = [loading for loading, _ in self._loading]
        round_ = [*names[names.index(path) :], path]
        self.findings.add(
            "N115",
            f"`{path}` imports itself" if len(round_) == 2 else f"{' imports '.join(f'`{name}`' for name in round_)}",
            [at(_module_span(statement), "and so on without end")],
            helps=["put what both need into a third file, and import it from there"],
        )

    def _elaborated(self, text: Source, path: str, statement: ast.Import, declarations: Declarations) -> Module:
        from ptc.compiler.declarations import Made

        name = statement.module[-1].id
        via = Via(_module_span(statement), f"`.{_dotted(path)[1:]}` is imported here", "")
        tree, problems = parse(text)
        for problem in problems:
            self.findings.take(problem, via)
        tree = again(tree, via)
        scope = Scope(self.findings, None, path=f"{name}.", unread=frozenset(unread_words(tree.statements)))
        made = Made()
        declarations.elsewhere(scope, made).all(tree.statements)
        made.whole &= not problems
        return Module(scope, made, text)

    def _not_in_module(self, module: Module, name: ast.Name, statement: ast.Import, entry: Entry | None) -> None:
        if module.scope.may_be_unread(name.id):
            return
        own = [word for word, each in module.scope.entries.items() if not each.imported]
        written = "." + ".".join(part.id for part in statement.module)
        guess = closest(name.id, own)
        notes = [f"it declares {', '.join(f'`{word}`' for word in own[:8])}"] if own and not guess else []
        if entry is not None:
            notes = ["it imports the name itself: import it from where it is declared"]
        self.findings.add(
            "N101",
            f"`{written}` declares no `{name.id}`",
            [at(name.span, "not there")],
            notes,
            [f"did you mean `{guess}`?"] if guess and entry is None else [],
        )

    def needed(self, used: set[int]) -> list[core.Stage]:
        """The stages of imported files that are among what the program uses, in the order of the imports."""
        stages = (stage for module in self.modules.values() if module is not None for stage in module.made.stages)
        return [stage for stage in stages if id(stage) in used]

    # The library ------------------------------------------------------------------------------------------------------

    def _of_library(self, statement: ast.Import, declarations: Declarations) -> None:
        module = ".".join(part.id for part in statement.module)
        known: dict[str, Mapping[str, object]] = {
            **self.library.objectives,
            "std.verifiers": self.catalogue.verifiers,
            "std.recipes": self.library.recipes,
        }
        known = {name: things for name, things in known.items() if things}
        if module not in known:
            self._no_module(module, statement, known)
        for name in statement.names:
            thing: Thing | None = None
            if module in known:
                if name.id not in known[module]:
                    self._not_in_library(module, name, known)
                else:
                    thing = self._thing(module, name, declarations)
            declarations.made.whole &= thing is not None
            declarations.scope.declare(name, thing if thing is not None else Poison(), imported=True)

    def _thing(self, module: str, name: ast.Name, declarations: Declarations) -> Thing | None:
        if module == "std.verifiers":
            return self.catalogue.verifiers[name.id]
        if module == "std.recipes":
            return self._recipe(name, declarations)
        return self.library.objectives[module][name.id]

    def _recipe(self, name: ast.Name, declarations: Declarations) -> Recipe | None:
        """A recipe of the library: its file is elaborated like any other."""
        from ptc.compiler.declarations import Made

        text = self.library.recipes[name.id]
        if text.path not in self.modules:
            tree, problems = parse(text)
            assert not problems, f"the library file {text.path} does not parse"
            scope, made = Scope(self.findings), Made()
            declarations.elsewhere(scope, made).all(tree.statements)
            self.modules[text.path] = Module(scope, made, text)
        module = self.modules[text.path]
        entry = module.scope.entries.get(name.id) if module is not None else None
        return entry.thing if entry is not None and isinstance(entry.thing, Recipe) else None

    def _no_module(self, module: str, statement: ast.Import, known: Mapping[str, object]) -> None:
        guess = closest(module, known)
        self.findings.add(
            "N106",
            f"the library has no module `{module}`",
            [at(_module_span(statement), "not known")],
            [f"there are {', '.join(known)}"],
            [f"did you mean `{guess}`?"] if guess else [],
        )

    def _not_in_library(self, module: str, name: ast.Name, known: Mapping[str, Mapping[str, object]]) -> None:
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


def _module_span(statement: ast.Import) -> Span:
    return statement.module[0].span.to(statement.module[-1].span)


def _dotted(path: str) -> str:
    """``sub/other.pt`` as an import spells it: ``.sub.other``."""
    return "." + path.removesuffix(".pt").replace("/", ".")
