"""What the parameters of an objective stand for at one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ptc.compiler import core


@dataclass(frozen=True, eq=False)
class Table:
    """A source as a loss sees it: the columns that the signature names, with the types that it states."""

    name: str
    """The parameter."""
    source: core.Source
    columns: Mapping[str, str | None]

    def shares_prompts_with(self, other: Table) -> bool:
        """Whether both come prompt by prompt: the one is joined to the other."""
        return _joined_to(self.source, other.source) or _joined_to(other.source, self.source)


def _joined_to(source: core.Source, partner: core.Source) -> bool:
    return any(
        step.kind == "join" and any(value is partner for value in step.inputs.values()) for step in source.upstream()
    )


@dataclass(frozen=True)
class Bindings:
    """What the names in an expression stand for: sources of rows, models and numbers."""

    tables: Mapping[str, Table]
    models: Mapping[str, core.Role | None]
    numbers: Mapping[str, float | core.Anneal]

    def read_of(self, table: Table) -> core.Source | None:
        """What an expression names as its source: nothing where there is only one."""
        return table.source if len(self.tables) > 1 else None
