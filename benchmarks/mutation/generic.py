"""Edits that know nothing of post-training: swap two names, drop an argument, delete or move a stage, take another
model, scale a number by ten."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from mutation.edits import Edit, Text, calls, every, short
from ptc.lang import ast
from ptc.lang.units import spelled

Operator = Callable[[Text], Iterator[Edit]]


@dataclass(frozen=True)
class Mutant:
    """A program with one edit. `about` names what was edited, as far as the table of survivors needs to know it."""

    program: str
    operator: str
    about: str
    edit: Edit


def swap_names(text: Text) -> Iterator[Edit]:
    """Two uses of different names that are declared by the same word trade places."""
    kinds = _declared(text)
    uses = _used(text, kinds)
    for place, first in enumerate(uses):
        second = next((o for o in uses[place + 1 :] if o.id != first.id and kinds[o.id] == kinds[first.id]), None)
        if second is not None:
            what = f"{first.id} <-> {second.id} (lines {text.line(first)}, {text.line(second)})"
            yield Edit(((first.span, second.id), (second.span, first.id)), what)


def drop_argument(text: Text) -> Iterator[Edit]:
    """One argument of a call is left out."""
    for call in every(ast.Call, text.tree):
        for place, argument in enumerate(call.arguments):
            after = call.arguments[place + 1] if place + 1 < len(call.arguments) else None
            before = call.arguments[place - 1] if place else None
            span = argument.span
            if after is not None:
                span = type(span)(span.start, after.span.start)
            elif before is not None:
                span = type(span)(before.span.end, span.end)
            what = f"without {short(text.of(argument))} (line {text.line(argument)})"
            yield Edit(((span, ""),), what)


def delete_stage(text: Text) -> Iterator[Edit]:
    for stage in every(ast.Stage, text.tree):
        yield Edit(((stage.span, ""),), f"without stage {stage.name.id}")


def reorder_stages(text: Text) -> Iterator[Edit]:
    """A stage and the one behind it trade places."""
    stages = [statement for statement in text.tree.statements if isinstance(statement, ast.Stage)]
    for first, second in pairwise(stages):
        what = f"stage {second.name.id} before {first.name.id}"
        yield Edit(((first.span, text.of(second)), (second.span, text.of(first))), what)


def other_model(text: Text) -> Iterator[Edit]:
    """A source is sampled from another model."""
    kinds = _declared(text)
    for call in calls("sample", text.tree):
        sampled = call.arguments[0].value if call.arguments else None
        if not isinstance(sampled, ast.Name):
            continue
        others = [name for name, kind in kinds.items() if kind == "model" and name != sampled.id]
        for other in others[-2:]:
            yield text.replaced(sampled, other)


def scale_number(text: Text) -> Iterator[Edit]:
    """A number becomes ten times what it was."""
    for number in every(ast.Number, text.tree):
        if number.value == 0 or any(isinstance(s, ast.Edition) and s.year is number for s in text.tree.statements):
            continue
        grown = number.value * 10
        unit = number.unit
        digits = str(int(grown)) if grown == int(grown) and grown < 1e15 else f"{grown:g}"
        yield text.replaced(number, spelled(digits, unit))


OPERATORS: Mapping[str, Operator] = {
    "swap two names": swap_names,
    "drop an argument": drop_argument,
    "delete a stage": delete_stage,
    "reorder stages": reorder_stages,
    "sample another model": other_model,
    "scale a number by ten": scale_number,
}


def mutants(texts: Mapping[str, Text], count: int, seed: int) -> list[Mutant]:
    """`count` mutants, the same for the same seed: operators in turn, each at a random place of a random program."""
    rng = random.Random(seed)
    pools: dict[str, list[tuple[str, Edit]]] = {}
    for name, operator in OPERATORS.items():
        pools[name] = [(program, edit) for program, text in sorted(texts.items()) for edit in operator(text)]
        rng.shuffle(pools[name])
    chosen: list[Mutant] = []
    while len(chosen) < count and any(pools.values()):
        for name, pool in pools.items():
            if pool and len(chosen) < count:
                program, edit = pool.pop()
                chosen.append(Mutant(program, name, _about(texts[program], edit), edit))
    return chosen


def _about(text: Text, edit: Edit) -> str:
    """The argument, setting or declaration that an edit touches: ``sample.max_tokens``, ``adamw.lr``, ``batch``."""
    span = edit.changes[0][0]

    def holds(node: ast.Node) -> bool:
        return node.span.start <= span.start and span.end <= node.span.end

    around = [node for node in every(ast.Node, text.tree) if holds(node)]
    named = [node for node in around if isinstance(node, ast.Argument | ast.Setting | ast.Gate | ast.Watch)]
    call = next((node for node in reversed(around) if isinstance(node, ast.Call)), None)
    callee = text.of(call.callee) if call is not None else ""
    match named[-1] if named else None:
        case ast.Argument(name=ast.Name(id=name)):
            return f"{callee}.{name}"
        case ast.Setting(name=name) if call is None:
            return name.id
        case ast.Gate(keyword=keyword):
            return keyword.id
        case ast.Watch():
            return "watch"
        case _:
            return callee or "declaration"


def _declared(text: Text) -> dict[str, str]:
    """What each name of a program is declared as: ``source``, ``model``, ``eval``, ``role``."""
    kinds: dict[str, str] = {}
    for node in every(ast.Node, text.tree):
        match node:
            case ast.Define(keyword=keyword, name=name) if keyword != "let":
                kinds[name.id] = keyword
            case ast.Stage(name=name):
                kinds[name.id] = "model"
            case ast.Role(name=name):
                kinds[name.id] = "role"
    return kinds


def _used(text: Text, kinds: Mapping[str, str]) -> list[ast.Name]:
    """The places at which declared names are used as values."""
    spelled_out: set[int] = set()
    for node in every(ast.Node, text.tree):
        match node:
            case ast.Define(name=name) | ast.Stage(name=name) | ast.Argument(name=ast.Name() as name):
                spelled_out.add(id(name))
            case ast.Role(verb=verb, name=name):
                spelled_out |= {id(verb), id(name)}
            case ast.Setting(name=name) | ast.Member(name=name):
                spelled_out.add(id(name))
            case ast.Import() | ast.Type():
                spelled_out |= {id(part) for part in every(ast.Name, node)}
    return [name for name in every(ast.Name, text.tree) if name.id in kinds and id(name) not in spelled_out]
