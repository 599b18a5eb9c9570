"""A stage while it is read: what its statements have said so far."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ptc.compiler import core
from ptc.compiler.scope import Scope
from ptc.lang import ast


@dataclass
class Draft:
    """`name` is the whole path of the stage; `settings` and `targeted` hold what was written, not what it means."""

    declaration: ast.Stage
    scope: Scope
    name: str
    roles: list[core.Role] = field(default_factory=list)
    sources: list[core.Source] = field(default_factory=list)
    terms: list[core.Term] = field(default_factory=list)
    settings: dict[str, ast.Setting] = field(default_factory=dict)
    targeted: dict[str, dict[str, ast.Setting]] = field(default_factory=dict)
    """``batch(demos) = …`` by the setting's name and its target's."""
    gates: list[core.Gate] = field(default_factory=list)
    guards: list[core.Guard] = field(default_factory=list)
    watches: list[core.Watch] = field(default_factory=list)
    meant: set[str] = field(default_factory=set)
    """Settings that a misspelled one probably meant."""
    sound: bool = True
    readable: bool = True
    """False if a statement of the stage could not be parsed: then nothing is said of what is missing."""

    @property
    def trained(self) -> list[core.Role]:
        return [role for role in self.roles if role.verb == "train"]

    @property
    def learner(self) -> core.Role:
        """The trained role that the stage stands for: the first language model."""
        return next((role for role in self.trained if role.type.head == "language"), self.trained[0])

    @property
    def trains(self) -> bool:
        """Whether a model is trained, or may be in a statement that could not be parsed."""
        roles = (each for each in self.declaration.body.statements if isinstance(each, ast.Role))
        return not self.readable or any(role.verb.id == "train" for role in roles)

    def lacks(self, setting: str) -> bool:
        """Whether to say that a setting is missing."""
        return self.readable and setting not in self.meant

    def learned_from(self) -> Iterator[core.Source]:
        """Every source that a term reads, each once."""
        yield from dict.fromkeys(source for term in self.terms for source in (*term.sources.values(), term.source))
