"""What a stage learns from, counted before it runs, and who gets it when the stage is left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ptc import amounts
from ptc.compiler.graph import Graph, Node
from ptc.experiments.edits import roles, stage, stages, trained
from ptc.lang import ast
from ptc.lang.same import walk


@dataclass(frozen=True)
class Learning:
    """Steps of a stage, and how many samples it learns from in one."""

    steps: int
    per_step: int

    @property
    def samples(self) -> int:
        return self.steps * self.per_step


def learning(graph: Graph, name: str, taken: int | None = None) -> Learning | None:
    """What a stage learns from; None where rows must be read to know how many steps it takes, and none are `taken`."""
    for node in graph.nodes.values():
        if node.kind == "train" and node.label == name:
            steps = amounts.steps_of(graph, node) if taken is None else taken
            return None if steps is None else Learning(steps, sum(_per_step(graph, node)))
    return None


def _per_step(graph: Graph, node: Node) -> Iterator[int]:
    for source, batch in node.settings["batch"].items():
        each = 1
        if batch["unit"] == "prompts":
            drawn = [step["n"] for step in node.settings["flows"].get(source, ()) if step["op"] == "sample"]
            each = int(drawn[-1]) if drawn else _drawn(graph, node.inputs[source])
        yield int(batch["count"]) * each


def _drawn(graph: Graph, meaning: str) -> int:
    """Attempts at a prompt among rows that are there already."""
    node = graph.nodes[meaning]
    if node.kind == "sample":
        return int(node.settings["n"])
    return _drawn(graph, node.inputs["rows"]) if "rows" in node.inputs else 1


def heir(program: ast.Program, name: str) -> str | None:
    """Who goes on with the budget of a stage: the first that starts from it, else the one that it starts from."""
    for other in stages(program):
        if any(_mentions(role.value, name) for role in trained(other)):
            return other.name.id
    known = [each.name.id for each in stages(program)]
    starts = [role.value for role in roles(stage(program, name)) if role.verb.id == "train"]
    return next((each for each in known if starts and _mentions(starts[0], each)), None)


def _mentions(expr: ast.Expr, name: str) -> bool:
    return any(isinstance(node, ast.Name) and node.id == name for node in walk(expr))


def with_budget(program: ast.Program, name: str, steps: int) -> ast.Program:
    """The program with another budget for a stage."""
    target = stage(program, name)
    statements = tuple(
        replace(
            each,
            value=ast.Number(each.value.span, f"{steps:_} steps" if steps > 9999 else f"{steps} steps", steps, "steps"),
        )
        if isinstance(each, ast.Setting) and each.name.id == "budget"
        else each
        for each in target.body.statements
    )
    changed = replace(target, body=replace(target.body, statements=statements))
    return replace(program, statements=tuple(changed if each is target else each for each in program.statements))
