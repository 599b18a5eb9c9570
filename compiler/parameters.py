"""`param`: the values that a program may be given from outside."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ptc.compiler import borders, core
from ptc.compiler.arguments import Parameter
from ptc.compiler.borders import Borders
from ptc.compiler.constants import Fixed, fixed
from ptc.compiler.findings import Findings, at
from ptc.compiler.scope import Scope
from ptc.compiler.values import COUNTED, UNKNOWN, Unknown, read
from ptc.lang import ast
from ptc.lang.suggest import closest

EXAMPLES = {"Real": "0.1", "Int": "8", "Text": '"small"', "Bool": "true", "Count": "100 steps"}


@dataclass(frozen=True)
class Parameters:
    """Reads parameters; `settings` is what ``--set`` gives to those of the program itself."""

    findings: Findings
    borders: Borders
    settings: Mapping[str, str]

    def value(self, statement: ast.Param, scope: Scope) -> Fixed | Unknown:
        """The value of a parameter: given from outside, or its default; UNKNOWN after a report."""
        name = statement.name.id
        type_ = self.borders.read(statement.type, scope, borders.PARAM, "a parameter")
        if type_ is None:
            return UNKNOWN
        if name in self.settings and not scope.path:
            return self._given(name, type_)
        if statement.default is not None:
            return filled(name, type_.name, statement.default, scope)
        here = not scope.path
        self.findings.add(
            "N104",
            f"parameter `{name}` has no value",
            [at(statement.span, "no default")],
            helps=[f"ptc run FILE --set {name}=…"]
            if here
            else [f"param {name}: {type_.name} = {EXAMPLES[type_.name]}"],
        )
        return UNKNOWN

    def _given(self, name: str, type_: ast.Type) -> Fixed | Unknown:
        text = self.settings[name]
        value = from_command_line(borders.CONSTANTS[type_.name], text)
        if isinstance(value, Unknown):
            example = EXAMPLES[type_.name]
            self.findings.add(
                "T105",
                f"--set {name}={text}: `{name}` is of type {type_.name}",
                [at(type_.span, f"{type_.name}")],
                helps=[f'--set {name}="{example}"'] if type_.name == "Count" else [],
            )
        return value

    def unknown(self, program: ast.Program) -> bool:
        """Reports ``--set`` of what the program has no `param` for."""
        known = [statement.name.id for statement in program.statements if isinstance(statement, ast.Param)]
        surplus = [name for name in self.settings if name not in (*known, "seed")]
        for name in surplus:
            guess = closest(name, known)
            self.findings.add(
                "N101",
                f"--set {name}: the program has no parameter `{name}`",
                [],
                [f"it has {', '.join(f'`{word}`' for word in known) or 'none'}"],
                [f"did you mean `{guess}`?"] if guess else [f"param {name}: Real = …"],
            )
        return bool(surplus)


def filled(name: str, type_: str, expr: ast.Expr, scope: Scope) -> Fixed | Unknown:
    """The constant of a type that an expression gives; UNKNOWN after a report."""
    if type_ != "Count":
        return read(Parameter(name, borders.CONSTANTS[type_], ...), expr, scope)
    value = fixed(expr, scope)
    if isinstance(value, core.Count | Unknown):
        return value
    scope.findings.add(
        "U201",
        f"`{name}` needs a unit",
        [at(expr.span, "a bare value")],
        helps=[f"{value:g} {unit}" for unit in ("steps", "prompts")]
        if isinstance(value, int | float)
        else ["100 steps"],
    )
    return UNKNOWN


def from_command_line(kind: str, text: str) -> Fixed | Unknown:
    """The value of ``--set name=text`` for a parameter of a kind."""
    if kind == "text":
        return text
    if kind == "flag":
        return {"true": True, "false": False}.get(text, UNKNOWN)
    if kind == "count":
        return _count(text)
    share = text.endswith("%")
    try:
        number = float(text.rstrip("%").replace("_", ""))
    except ValueError:
        return UNKNOWN
    if not math.isfinite(number):
        return UNKNOWN
    number = number / 100 if share else number
    if kind == "int":
        return int(number) if number == int(number) else UNKNOWN
    return number


def _count(text: str) -> core.Count | Unknown:
    """``200 steps``."""
    match = re.fullmatch(r"([0-9][0-9_]*) *([a-z]+)", text)
    if match is None or match[2] not in COUNTED:
        return UNKNOWN
    return core.Count(int(match[1].replace("_", "")), COUNTED[match[2]])
