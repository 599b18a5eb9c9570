"""The arguments of a function of a loss: first those by position, then those by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ptc.compiler.mathematics.problems import Problem
from ptc.lang import ast
from ptc.lang.suggest import closest


@dataclass(frozen=True)
class Arguments:
    """What a call of a function of losses gives, by position and by name."""

    given: tuple[ast.Expr, ...]
    named: Mapping[str, ast.Expr]


def arguments(call: ast.Call, name: str, wanted: tuple[str, ...], named: tuple[str, ...], example: str) -> Arguments:
    """What a call gives. `wanted` are filled by position, in words; `named` may be given by name."""
    given = tuple(argument.value for argument in call.arguments if argument.name is None)
    by_name: dict[str, ast.Expr] = {}
    for argument in call.arguments:
        if argument.name is None:
            continue
        if argument.name.id not in named:
            guess = closest(argument.name.id, named)
            raise Problem(
                "N103",
                f"`{name}` has no argument `{argument.name.id}`",
                argument.name.span,
                f"not an argument of `{name}`",
                (f"by name it takes {', '.join(f'`{word}`' for word in named)}",) if named else (),
                (f"did you mean `{guess}`?",) if guess else (),
            )
        by_name[argument.name.id] = argument.value
    if len(given) != len(wanted):
        raise Problem(
            "N104",
            f"`{name}` takes {_in_words(wanted)}",
            call.span,
            f"{len(given)} given",
            helps=(example,),
        )
    return Arguments(given, by_name)


def _in_words(wanted: tuple[str, ...]) -> str:
    return wanted[0] if len(wanted) == 1 else f"{', '.join(wanted[:-1])} and {wanted[-1]}"
