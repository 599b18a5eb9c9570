"""Types at borders: of parameters, recipes and what is written in Python. Inside they are inferred.

A name that `type` declares stands for the type that it is given; it is filled in where a head is declared, so that
whoever reads heads finds none of these names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ptc.compiler import core
from ptc.compiler.findings import Findings, at
from ptc.compiler.flows.conventions import outside
from ptc.compiler.scope import Alias, Poison, Scope
from ptc.compiler.types import columns
from ptc.lang import ast
from ptc.lang.suggest import closest

CONSTANTS: Mapping[str, str] = {"Real": "real", "Int": "int", "Text": "text", "Bool": "flag", "Count": "count"}
"""Types of constants, with what fills them."""
MODELS = ("Trained", "Anchor", "Frozen")
ROWS = "Trajectories"

PARAM = tuple(CONSTANTS)
OBJECTIVE = (ROWS, *MODELS, *CONSTANTS)
RECIPE = (ROWS, "Model", "Verifier", "Eval", *CONSTANTS)
RESULT = ("Model", ROWS, "Eval")
COLUMN = ("Text", "Real", "Int", "Bool", "Messages", "List")
EXTERN_VERIFIER = COLUMN
EXTERN_SOURCE = ("Real", "Int", "Text", "Bool")
ANY = tuple(dict.fromkeys((*OBJECTIVE, *RECIPE, *COLUMN)))


@dataclass(frozen=True)
class Borders:
    """Reads types."""

    findings: Findings

    def read(self, type_: ast.Type, scope: Scope, allowed: tuple[str, ...], what: str) -> ast.Type | None:
        """The type with names of `type` filled in; None after a report. `what` is whose type it is."""
        named = scope.find(type_.name) if type_.name not in ANY else None
        if named is not None and isinstance(named.thing, Poison):
            return None
        if named is not None and isinstance(named.thing, Alias):
            type_ = _filled(named.thing.type, type_)
        if type_.name in allowed:
            return type_ if self._columns_known(type_) else None
        self._no_type(type_, scope, allowed, what)
        return None

    def _columns_known(self, type_: ast.Type) -> bool:
        """Whether the types of columns are types of columns."""
        known = True
        for column in type_.columns or ():
            if column.type is not None and column.type.id not in COLUMN:
                guess = closest(column.type.id, COLUMN)
                self.findings.add(
                    "N112",
                    f"a column cannot be of type `{column.type.id}`",
                    [at(column.type.span, "not a type of columns")],
                    [f"it is one of {', '.join(COLUMN)}"],
                    [f"did you mean `{guess}`?"] if guess else [],
                )
                known = False
        return known

    def _no_type(self, type_: ast.Type, scope: Scope, allowed: tuple[str, ...], what: str) -> None:
        if scope.may_be_unread(type_.name):
            return
        aliases = [name for each in scope.chain() for name, e in each.entries.items() if isinstance(e.thing, Alias)]
        guess = closest(type_.name, (*allowed, *aliases))
        known = type_.name in ANY
        self.findings.add(
            "N112",
            f"{what} cannot be a `{type_.name}`" if known else f"no type is called `{type_.name}`",
            [at(type_.span, "not possible here" if known else "not known")],
            [f"it is one of {', '.join(allowed)}"],
            [f"did you mean `{guess}`?"] if guess else [],
        )


def _filled(meant: ast.Type, written: ast.Type) -> ast.Type:
    """What a name stands for, with what is written behind the name."""
    return replace(
        meant,
        span=written.span,
        by=written.by or meant.by,
        within=written.within or meant.within,
        optional=written.optional or meant.optional,
    )


# Types in words -------------------------------------------------------------------------------------------------------


def spelled(type_: ast.Type) -> str:
    """A type as it is written."""
    inside = [f"{each.name.id}: {each.type.id}" if each.type else each.name.id for each in type_.columns or ()]
    text = f"{type_.name}{{{', '.join(inside)}}}" if type_.columns else type_.name
    text += "?" if type_.optional else ""
    text += f" by {type_.by.id}" if type_.by else ""
    return text + (f" within {type_.within.text}" if type_.within else "")


def type_of_rows(rows: core.Source) -> str:
    """The type of a source as one would write it."""
    return columns(rows.type)


def rows_from_outside(type_: ast.Type) -> core.Trajectories:
    """The type of rows that have what is written, and come from nobody in this program."""
    kind = outside(frozenset(each.name.id for each in type_.columns or ()), None)
    written = tuple((each.name.id, each.type.id) for each in type_.columns or () if each.type is not None)
    names = {name for name, _ in written}
    return replace(kind, column_types=(*(pair for pair in kind.column_types if pair[0] not in names), *written))
