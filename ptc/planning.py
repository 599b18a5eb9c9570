"""The plan: what a run of a program would do, what it would reuse and why, and what each stage costs at most.

Pydantic stands at the border: `Plan` is the document that ``ptc plan --json`` prints.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from ptc import powers
from ptc.amounts import measuring_share, parameters, rows, sampled_tokens, steps_of
from ptc.compiler import names
from ptc.compiler.graph import Graph, Json, Node
from ptc.compiler.memory import Estimate, spelled
from ptc.powers import PlannedEval
from ptc.runtime.forecast import Forecast, forecast
from ptc.runtime.learning_rates import OptimizerSettings
from ptc.runtime.profile import Profile
from ptc.runtime.store import Store


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlannedNode(_Document):
    """One node, in the order of the run."""

    meaning: str
    kind: str
    label: str
    action: Literal["reuse", "run"]
    reasons: tuple[str, ...]
    """Why it runs, one line each."""
    resumes: str | None
    """The sealed piece that it goes on from."""
    artifact: str | None
    """Digest of what is reused."""


class Setting(_Document):
    """A setting of a stage, and where its value is from: the program, TRL, PyTorch or ptc."""

    name: str
    value: str
    origin: str


class PlannedStage(_Document):
    """What a stage does. Counts are upper bounds where filters decide; None where the data must be read first."""

    name: str
    claims: tuple[str, ...]
    action: Literal["reuse", "run"]
    steps: int | None
    trained: int | None
    """Parameters that receive gradient, embeddings apart: their number is known once the tokenizer is made."""
    frozen: int | None
    models: Mapping[str, str]
    """What each model is in the stage, by its name there: trained, frozen, tracked, a judge."""
    sampled_tokens: int | None
    """At most: every attempt as long as it may be."""
    memory: int | None
    """Bytes on each device at most; None where a shape is not known. Embeddings whose tokenizer is yet to be made come
    on top."""
    memory_parts: Mapping[str, int]
    """What that is the sum of."""
    learning_rates: tuple[float, ...] | None
    """At the beginning, a quarter, half, three quarters and the end; None where the data must be read first."""
    settings: tuple[Setting, ...]


class Plan(_Document):
    """What a run would do."""

    schema_version: Literal[1] = 1
    program: str
    profile: dict[str, Any]
    nodes: tuple[PlannedNode, ...]
    stages: tuple[PlannedStage, ...]
    evals: tuple[PlannedEval, ...]
    """What is claimed, protected, gated or reported, and what it can decide; empty without the packages of a run."""
    measuring: float | None
    """The share of measuring in all tokens that are sampled, every attempt as long as it may be; None where there are
    none, or data must be read first."""

    @property
    def reused(self) -> int:
        return sum(1 for node in self.nodes if node.action == "reuse")


def make_plan(
    program: str, graph: Graph, store: Store, profile: Profile, base: Path, needs: Mapping[str, Estimate] | None = None
) -> Plan:
    """Asks the store about every node. Reads; changes nothing. `needs`: memory of stages, by name."""
    fates = forecast(graph, store, profile, base)
    stages = [(meaning, node) for meaning, node in graph.nodes.items() if node.kind == "train"]
    return Plan(
        program=program,
        profile=profile.model_dump(mode="json"),
        nodes=tuple(_node(graph, meaning, fates) for meaning in graph.nodes),
        stages=tuple(_stage(graph, node, fates[meaning], (needs or {}).get(node.label)) for meaning, node in stages),
        evals=tuple(_evals(graph, store, fates)),
        measuring=measuring_share(graph),
    )


def _evals(graph: Graph, store: Store, fates: Mapping[str, Forecast]) -> Iterator[PlannedEval]:
    """Planning needs none of what a run needs; only what is measured there is judged with NumPy."""
    if all(find_spec(name) is not None for name in ("numpy", "scipy", "pyarrow")):
        from ptc.deciding import planned_evals

        yield from planned_evals(graph, store, fates, rows)


def _node(graph: Graph, meaning: str, fates: Mapping[str, Forecast]) -> PlannedNode:
    node, fate = graph.nodes[meaning], fates[meaning]
    running = [graph.nodes[source] for source in node.inputs.values() if fates[source].action == "run"]
    behind = ", ".join(dict.fromkeys(each.label or each.kind for each in running))
    return PlannedNode(
        meaning=meaning,
        kind=node.kind,
        label=node.label,
        action=fate.action,
        reasons=(f"behind {behind}",) if behind else fate.reasons,
        resumes=fate.resumes,
        artifact=fate.artifact,
    )


def _stage(graph: Graph, node: Node, fate: Forecast, needed: Estimate | None) -> PlannedStage:
    updates = steps_of(graph, node)
    roles: dict[str, int | None] = {"train": 0, "freeze": 0}
    for model, settings in node.settings["models"].items():
        found = parameters(graph, node.inputs[model])
        so_far = roles[settings["as"]]
        roles[settings["as"]] = None if found is None or so_far is None else so_far + found
    trained, frozen = roles["train"], roles["freeze"]
    return PlannedStage(
        name=node.label,
        claims=tuple(_claims(graph, node.label)),
        action=fate.action,
        steps=updates,
        trained=trained,
        frozen=frozen,
        models=dict(_models(node)),
        sampled_tokens=sampled_tokens(node, updates),
        memory=None if needed is None else needed.peak,
        memory_parts={} if needed is None else {part.name: part.bytes for part in needed.counted},
        learning_rates=_learning_rates(node, updates),
        settings=tuple(_settings(node)),
    )


AS = {"train": "trained", "freeze": "frozen", "track": "tracked"}


def _models(node: Node) -> Iterator[tuple[str, str]]:
    for name, settings in node.settings["models"].items():
        yield node.names.get(name, name), AS[settings["as"]]


def _learning_rates(node: Node, steps: int | None) -> tuple[float, ...] | None:
    """The rate of the first trained model at the first step, a quarter, half, three quarters and the last."""
    if steps is None:
        return None
    settings = OptimizerSettings.of(node.settings["optimizer"][node.settings["result"]])
    return tuple(settings.learning_rate(share * (steps - 1) // 4, steps) for share in range(5))


def _claims(graph: Graph, stage: str) -> Iterator[str]:
    for node in graph.nodes.values():
        if node.kind == "claim" and node.names.get("stage") == stage:
            yield f"{node.names['role']} {node.names['eval']}"


# Settings ------------------------------------------------------------------------------------------------------------

_AS_SHARE = frozenset({"warmup"})


def _settings(node: Node) -> Iterator[Setting]:
    """What a stage was told, and what it was not told, with the origin of each."""
    labels = node.names
    for source, batch in node.settings["batch"].items():
        name = f"batch({labels.get(source, source)})" if len(node.settings["batch"]) > 1 else "batch"
        yield Setting(name=name, value=_counted(batch), origin="program")
    budget = node.settings["budget"]
    yield Setting(name="budget", value=_counted(budget), origin="program")
    for flow in node.settings["flows"].values():
        for step in flow:
            if step["op"] == "sample":
                yield from _with_origins("sample", step)
    for optimizer in node.settings["optimizer"].values():
        yield from _with_origins("adamw", optimizer)
    yield from _with_origins("stage", {"max_length": node.settings["max_length"]})


def _counted(quantity: Mapping[str, Json]) -> str:
    """``1 epoch``, ``64 samples``."""
    unit = str(quantity["unit"])
    return f"{quantity['count']:g} {unit.removesuffix('s') if quantity['count'] == 1 else unit}"


def _with_origins(place: names.Place, settings: Mapping[str, Json]) -> Iterator[Setting]:
    """A value that equals the default is said to be the default's, even if the program repeats it."""
    for row in names.rows(place):
        if row.ours not in settings:
            continue
        value = settings[row.ours]
        value = tuple(value) if isinstance(value, list) else value
        default = not row.required and value == row.default
        text = names.spelled(value)
        if row.ours in _AS_SHARE and isinstance(value, float) and 0 < value < 1:
            text = f"{value * 100:g}%"
        yield Setting(name=f"{place}.{row.ours}", value=text, origin=row.origin if default else "program")


# Printing ------------------------------------------------------------------------------------------------------------


def lines(plan: Plan) -> Iterator[str]:
    """The plan as text."""
    place = f"{plan.profile['devices']} × {plan.profile['device']}"
    for stage in plan.stages:
        yield from _stage_lines(stage, place, plan.profile["memory"])
        yield ""
    if plan.evals:
        yield from powers.lines(plan.evals)
        if plan.measuring is not None:
            yield f"measuring: {plan.measuring:.0%} of the tokens sampled, if every attempt is as long as it may be"
        yield ""
    width = max(len(_title(node)) for node in plan.nodes)
    for node in plan.nodes:
        reason = "; ".join(node.reasons)
        start = f"from {node.resumes}" if node.resumes else ""
        why = ", ".join(part for part in (start, reason) if part)
        yield f"{node.action:<5}  {_title(node):<{width}}  {why}".rstrip()
    yield ""
    to_run = len(plan.nodes) - plan.reused
    yield f"{plan.program}: {len(plan.nodes)} nodes, {plan.reused} reused, {to_run} to run"


def _title(node: PlannedNode) -> str:
    return f"{node.label} ({node.kind})" if node.label and node.label != node.kind else node.kind


def _stage_lines(stage: PlannedStage, place: str, memory: int | None) -> Iterator[str]:
    claims = ", ".join(stage.claims) or "claims nothing"
    yield f"stage {stage.name}: {claims}"
    yield f"  {_counts(stage)}"
    yield f"  {', '.join(f'{name} ({how})' for name, how in stage.models.items())} on {place}"
    yield from (f"  {line}" for line in _needs(stage, memory))
    groups: dict[str, list[str]] = {}
    for setting in stage.settings:
        groups.setdefault(setting.origin, []).append(f"{setting.name} = {setting.value}")
    for origin, settings in groups.items():
        yield f"  {origin + ':':<10} {', '.join(settings)}"


def _counts(stage: PlannedStage) -> str:
    from ptc.runtime.bills import amount

    parts = ["steps known once the data is read" if stage.steps is None else f"{stage.steps} steps"]
    if stage.trained is not None:
        parts.append(f"trains {amount(stage.trained)} parameters and embeddings")
    if stage.sampled_tokens:
        parts.append(f"samples at most {amount(stage.sampled_tokens)} tokens")
    return ", ".join(parts)


def _needs(stage: PlannedStage, memory: int | None) -> Iterator[str]:
    """What a stage needs of the memory of each device, as far as the profile says how much that is."""
    if stage.memory is not None:
        parts = " + ".join(f"{name} {spelled(size)}" for name, size in stage.memory_parts.items())
        given = "" if memory is None else f" of {spelled(memory)}"
        yield f"memory at most {spelled(stage.memory)}{given} = {parts}"
    if stage.learning_rates is not None:
        yield f"lr {', '.join(f'{rate:.3g}' for rate in stage.learning_rates)} at 0, 25, 50, 75, 100 % of the steps"


def restricted(graph: Graph, label: str) -> Graph:
    """The part of a graph that one node needs, that node its only root. Raises `KeyError` if no node is called so."""
    target = _labelled(graph, label)
    needed: set[str] = set()

    def visit(meaning: str) -> None:
        if meaning not in needed:
            needed.add(meaning)
            for before in _before(graph.nodes[meaning]):
                visit(before)

    visit(target)
    return Graph({meaning: node for meaning, node in graph.nodes.items() if meaning in needed}, (target,))


def _labelled(graph: Graph, label: str) -> str:
    """The first node of that name: a source or model before what measures it."""
    for meaning, node in graph.nodes.items():
        if node.label == label:
            return meaning
    raise KeyError(label)


def _before(node: Node) -> Iterator[str]:
    yield from node.inputs.values()
    yield from node.after
    yield from (meaning for watch in node.watches for meaning in watch.inputs)
