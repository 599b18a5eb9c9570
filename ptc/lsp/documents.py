"""An open file: its text, and what the language and the checker make of it, each found out once per change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ptc import api
from ptc.api import CheckResult
from ptc.compiler import core
from ptc.compiler.catalogue import Catalogue
from ptc.lang import ast
from ptc.lang.diagnostic import Diagnostic
from ptc.lang.parse import parse
from ptc.lang.reading import decode
from ptc.lang.source import Source
from ptc.lang.symbols import Index
from ptc.lsp.places import Places


@dataclass(frozen=True, eq=False)
class Document:
    """One version of an open file."""

    uri: str
    path: str
    text: str
    version: int | None = None
    encoding: str = "utf-16"
    known: Catalogue | None = None
    """What lies around it, as it was looked at last; None: to be looked at now."""

    @cached_property
    def _read(self) -> Source | Diagnostic:
        """As `ptc check` reads a file: a checkpoint is told apart, and every line ends in a line feed."""
        return decode(self.text.encode("utf-8", "replace"), self.path)

    @cached_property
    def source(self) -> Source:
        if isinstance(self._read, Source):
            return self._read
        return Source(self.path, self.text.replace("\r\n", "\n").replace("\r", "\n"))

    @cached_property
    def places(self) -> Places:
        return Places(self.source, self.encoding)

    @cached_property
    def result(self) -> CheckResult:
        """What the checker says. A file without a word in it is only begun, and no mistake yet."""
        if isinstance(self._read, Diagnostic) and self.text.strip():
            return CheckResult(self.source, (self._read,))
        return api.check_with(self.source, self.known or api.surroundings(self.path))

    @cached_property
    def tree(self) -> ast.Program:
        """The checker's own where it has been asked; of a file that is no program, an empty one."""
        if "result" in self.__dict__ and self.result.checked is not None:
            return self.result.checked.tree
        is_none = isinstance(self._read, Diagnostic) and self.text.strip()
        return parse(Source(self.path, "") if is_none else self.source)[0]

    @cached_property
    def typed(self) -> Mapping[tuple[int, int], list[core.Source | core.Model | core.Role]]:
        """What single expressions of this file turned out to be, by where they stand."""
        found: dict[tuple[int, int], list[core.Source | core.Model | core.Role]] = {}
        for thing in self.result.checked.typed if self.result.checked is not None else ():
            if thing.span.text is None or thing.span.text is self.source:
                found.setdefault((thing.span.start, thing.span.end), []).append(thing)
        return found

    @cached_property
    def index(self) -> Index:
        return Index(self.tree)
