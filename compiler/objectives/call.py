"""The call of an objective: how its head says that it may be called, and the places that diagnostics point at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ptc.compiler import core
from ptc.compiler.arguments import Bound, Parameter, Signature
from ptc.compiler.scope import Objective
from ptc.lang import ast
from ptc.lang.source import Span

MODEL_TYPES = ("Trained", "Anchor", "Frozen")
NUMBER_TYPES = {"Real": "real", "Int": "int", "Bool": "flag"}
SOURCE_TYPE = "Trajectories"


@dataclass(frozen=True)
class Call:
    """An objective's call, with the types of its parameters resolved."""

    objective: Objective
    bound: Bound
    span: Span
    types: Mapping[str, ast.Type]

    @property
    def name(self) -> str:
        return self.objective.name

    def place(self, parameter: str) -> Span:
        given = self.bound.given.get(parameter)
        return given.span if given is not None else self.span

    def written(self, parameter: str) -> str:
        """The name that fills a parameter; empty where it is no name."""
        given = self.bound.given.get(parameter)
        return given.id if isinstance(given, ast.Name) else ""

    def of_type(self, *names: str) -> Iterator[str]:
        """The parameters of a type, in the order of the head."""
        return (name for name, kind in self.types.items() if kind.name in names)


@dataclass
class Given:
    """What fills the parameters of a call."""

    sources: dict[str, core.Source] = field(default_factory=dict)
    models: dict[str, core.Role | None] = field(default_factory=dict)
    numbers: dict[str, float | core.Anneal] = field(default_factory=dict)
    sound: bool = True
    """False after a report."""

    @property
    def roles(self) -> dict[str, core.Role]:
        return {name: role for name, role in self.models.items() if role is not None}


def signature_of(objective: Objective, types: Mapping[str, ast.Type]) -> Signature:
    """How an objective may be called."""
    parameters = []
    for parameter in objective.declaration.parameters:
        default: object = ...
        if parameter.default is not None:
            default = None if is_none(parameter.default) else parameter.default
        kind = types[parameter.name.id].name
        parameters.append(Parameter(parameter.name.id, NUMBER_TYPES.get(kind, kind), default))
    return Signature(objective.name, tuple(parameters))


def is_none(expr: ast.Expr) -> bool:
    return isinstance(expr, ast.Name) and expr.id == "none"


def columns_of(kind: ast.Type) -> dict[str, str | None]:
    """The columns that a type names, with the types that it states."""
    return {column.name.id: column.type.id if column.type else None for column in kind.columns or ()}
