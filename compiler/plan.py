"""The plan: what a run would do, what it would reuse and why, how much of everything, and where each value is from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from math import ceil
from typing import Literal, Protocol

from ptc.compiler.graph import Graph, Json, Node
from ptc.compiler.names import NAMES, PTC, Origin, Place, spelled
from ptc.lang import ast


class Fate(Protocol):
    """What the store knows of a node: `ptc.runtime.forecast.Forecast`."""

    @property
    def action(self) -> Literal["reuse", "run"]: ...
    @property
    def reasons(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Size:
    """How much a node is, at most: duplicates, filters and early ends make it less. None where it does not apply."""

    rows: int | None = None
    steps: int | None = None
    completions: int | None = None
    tokens: int | None = None
    """New tokens sampled."""


@dataclass(frozen=True)
class Step:
    """One node of the plan."""

    meaning: str
    kind: str
    label: str
    action: Literal["reuse", "run"]
    reasons: tuple[str, ...]
    size: Size
    measures: bool
    """Whether it only observes."""


@dataclass(frozen=True)
class Value:
    """One setting of a stage, given or not."""

    stage: str
    where: str
    name: str
    value: str
    origin: Origin | Literal["given"]


@dataclass(frozen=True)
class Plan:
    """Everything `ptc plan` prints."""

    steps: tuple[Step, ...]
    values: tuple[Value, ...]
    unclaimed: tuple[str, ...]
    """Stages that claim nothing."""

    @property
    def measuring(self) -> float | None:
        """Share of the sampled tokens that only measures, over what would run now."""
        running = [step for step in self.steps if step.action == "run" and step.size.tokens]
        total = sum(step.size.tokens or 0 for step in running)
        return sum(step.size.tokens or 0 for step in running if step.measures) / total if total else None

    def to_json(self) -> Json:
        return {
            "schema": 1,
            "steps": [asdict(step) for step in self.steps],
            "values": [asdict(value) for value in self.values],
            "unclaimed": list(self.unclaimed),
            "measuring_share_of_tokens": self.measuring,
        }


def plan(tree: ast.Program, graph: Graph, fates: Mapping[str, Fate]) -> Plan:
    """The plan of a compiled program, given what the store knows of each node."""
    sizes: dict[str, Size] = {}
    for meaning, node in graph.nodes.items():
        sizes[meaning] = size(node, sizes)
    steps = tuple(
        Step(
            meaning,
            node.kind,
            node.label,
            fates[meaning].action,
            tuple(fates[meaning].reasons),
            sizes[meaning],
            node.kind in ("pass_rate", "bits_per_character", "claim", "gate") or node.label.startswith("gate "),
        )
        for meaning, node in graph.nodes.items()
    )
    stages = [statement for statement in tree.statements if isinstance(statement, ast.Stage)]
    unclaimed = tuple(stage.name.id for stage in stages if not stage.claims)
    return Plan(steps, tuple(value for stage in stages for value in stage_values(stage)), unclaimed)


# How much -------------------------------------------------------------------------------------------------------------


def size(node: Node, known: Mapping[str, Size]) -> Size:
    """The size of a node from the sizes of its inputs."""
    rows = next((known[node.inputs[role]].rows for role in ("rows", "prompts", "0") if role in node.inputs), None)
    settings = node.settings
    match node.kind:
        case "gym":
            return Size(rows=settings["size"])
        case "slice":
            return Size(rows=_share(rows, settings["to"] - settings["from"]))
        case "take":
            return Size(rows=settings["count"] if rows is None else min(rows, settings["count"]))
        case "sample":
            return _sampled(rows, settings["n"], settings["max_tokens"])
        case "pass_rate":
            return _sampled(rows, settings["n"] + 1, settings["max_tokens"])
        case "concat":
            counts = [known[source].rows for source in node.inputs.values()]
            return Size(rows=None if None in counts else sum(count or 0 for count in counts))
        case "train":
            return _trained(node, known)
        case _:
            return Size(rows=rows)


def _share(rows: int | None, share: float) -> int | None:
    return None if rows is None else round(rows * share)


def _sampled(rows: int | None, n: int, max_tokens: int) -> Size:
    if rows is None:
        return Size()
    return Size(rows=rows * n, completions=rows * n, tokens=rows * n * max_tokens)


def _trained(node: Node, known: Mapping[str, Size]) -> Size:
    """Steps of a stage; what its live flows sample on the way."""
    settings = node.settings
    first = settings["terms"][0]["source"]
    rows = known[node.inputs[first]].rows
    budget, batch = settings["budget"], settings["batch"]
    steps: int | None = budget["count"]
    if budget["unit"] == "epochs":
        steps = None if rows is None else budget["count"] * ceil(rows / batch[first]["count"])
    if steps is None:
        return Size()
    completions = tokens = 0
    for name, flow in settings["flows"].items():
        for step in (step for step in flow if step["op"] == "sample"):
            prompts = batch[name]["count"] if batch[name]["unit"] == "prompts" else batch[name]["count"] // step["n"]
            completions += steps * prompts * step["n"]
            tokens += steps * prompts * step["n"] * step["max_tokens"]
    return Size(steps=steps, completions=completions or None, tokens=tokens or None)


# Values and their origins ---------------------------------------------------------------------------------------------


def stage_values(stage: ast.Stage) -> Iterator[Value]:
    """Every setting of a stage and of the calls in it: what was given, and the defaults with where they are from."""
    given = {s.name.id: s.value for s in stage.body.statements if isinstance(s, ast.Setting)}
    for name in ("batch", "budget"):
        if name in given:
            yield Value(stage.name.id, "stage", name, written(given[name]), "given")
    for call in calls(stage):
        place = _place(call)
        if place is not None:
            yield from call_values(stage.name.id, call, place)


def call_values(stage: str, call: ast.Call, place: Place) -> Iterator[Value]:
    named = {argument.name.id: argument.value for argument in call.arguments if argument.name is not None}
    for row in (row for row in NAMES if row.where == place):
        if row.ours in named:
            yield Value(stage, place, row.ours, written(named[row.ours]), "given")
        elif not row.required:
            yield Value(stage, place, row.ours, spelled(row.default), row.origin or PTC)


def _place(call: ast.Call) -> Place | None:
    name = call.callee.id if isinstance(call.callee, ast.Name) else None
    return next((row.where for row in NAMES if row.where == name), None)


def calls(node: object) -> Iterator[ast.Call]:
    """All calls below a node, outermost first, in the order of the text."""
    if isinstance(node, ast.Call):
        yield node
    if isinstance(node, ast.Node):
        for name in node.__dataclass_fields__:
            yield from calls(getattr(node, name))
    elif isinstance(node, tuple):
        for item in node:
            yield from calls(item)


def written(expr: ast.Expr) -> str:
    """A constant as the user wrote it."""
    match expr:
        case ast.Number(text=text) | ast.String(text=text):
            return text
        case ast.Name(id=name):
            return name
        case ast.List(items=items):
            return f"[{', '.join(written(item) for item in items)}]"
        case ast.Unary(op=op, operand=operand):
            return f"{op}{written(operand)}"
        case _:
            return "…"
