"""The runs of an experiment: all are checked before one of them starts, and what they have in common is counted."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ptc import api, checking, placing, planning, running
from ptc.compiler.graph import Graph, Node
from ptc.experiments.ablations import Ablation
from ptc.lang.reading import read
from ptc.lang.source import Source
from ptc.runtime.artifacts import InputWrong
from ptc.runtime.bills import amount
from ptc.runtime.profile import Profile, load_profile
from ptc.runtime.store import Store
from ptc.stand_ins import StandIns

SEED = 42
"""The seed of a program that sets none: seeds are counted from it, so that a run that is there already is one."""


@dataclass(frozen=True)
class Trial:
    """One run of an experiment, checked and compiled. `shown` is what it differs in from the others, but for seeds."""

    name: str
    shown: Mapping[str, str]
    settings: Mapping[str, str]
    seed: int
    checked: api.CheckResult
    graph: Graph
    note: str = ""
    """What makes its budget another one by design."""

    @property
    def title(self) -> str:
        return f"{self.name}, seed {self.seed}"


@dataclass(frozen=True)
class Wanted:
    """A trial before it is checked: the text, and what is set."""

    name: str
    shown: Mapping[str, str]
    settings: Mapping[str, str]
    seed: int
    source: Source
    note: str = ""


def source_of(path: str) -> Source:
    """The text of a program's file. Raises `InputWrong`."""
    found = read(Path(path))
    if isinstance(found, Source):
        return found
    raise InputWrong(found.title)


def prepared(wanted: Sequence[Wanted], request: running.Request) -> list[Trial]:
    """All trials, checked for the machine that they will run on. Raises `Refused` if one of them is wrong: none starts.

    What the checker remarks on the program is shown once, and each error once.
    """
    profile = profile_of(request)
    place = placing.placed(profile, request.profile or "this machine")
    stand_ins = StandIns(Path(request.stand_ins)) if request.stand_ins is not None else None
    trials, wrong, seen = [], [], set[str]()
    for each in wanted:
        settings = {**each.settings, "seed": str(each.seed)}
        result = api.check_source(each.source, settings, stand_ins=stand_ins, placement=place)
        result = _with_refusals(result, request, profile)
        said = {f"{one.severity} {one.code} {one.title}" for one in result.diagnostics}
        if not result.sound:
            wrong.append(result)
        if not said <= seen:
            if not result.sound:
                print(f"{each.name}:", file=sys.stderr)
            checking.show(result, sys.stderr)
        seen |= said
        if result.sound:
            graph = running.restricted(without_exports(api.compiled(result)), request.to)
            trials.append(Trial(each.name, each.shown, settings, each.seed, result, graph, each.note))
    if wrong:
        count = f"{len(wrong)} of {len(wanted)}" if len(wanted) > 1 else "this"
        print(f"{request.file}: {count} settings are wrong: nothing has started", file=sys.stderr)
        raise running.Refused(checking.exit_code(wrong))
    return trials


def profile_of(request: running.Request) -> Profile:
    profile = load_profile(None if request.profile is None else Path(request.profile), here=True)
    return profile if request.store is None else profile.model_copy(update={"store": Path(request.store)})


def _with_refusals(result: api.CheckResult, request: running.Request, profile: Profile) -> api.CheckResult:
    """A sound program with what a run of it would be refused for."""
    if result.sound and not request.allow_extern:
        result = api.unallowed(result, profile.allow_extern) or result
    return api.refused(result) or result if result.sound else result


def without_exports(graph: Graph) -> Graph:
    """The graph with the models that it exports in the place of the exports: trials would overwrite each other's.

    The last root is what was exported last: the model that an experiment is about.
    """
    exported = [node.inputs["model"] for node in graph.nodes.values() if node.kind == "export"]
    exports = {meaning for meaning, node in graph.nodes.items() if node.kind == "export"}
    nodes = {meaning: node for meaning, node in graph.nodes.items() if meaning not in exports}
    roots = [root for root in graph.roots if root not in exports and root not in exported]
    return Graph(nodes, (*roots, *dict.fromkeys(exported)))


# What they have in common --------------------------------------------------------------------------------------------


def union(graphs: Sequence[Graph]) -> Graph:
    """All nodes of several graphs, each once, in an order in which each stands behind its inputs."""
    nodes: dict[str, Node] = {}
    for graph in graphs:
        for meaning, node in graph.nodes.items():
            nodes.setdefault(meaning, node)
    return Graph(nodes, tuple(dict.fromkeys(root for graph in graphs for root in graph.roots)))


def plan_lines(trials: Sequence[Trial], store: Store, profile: Profile) -> Iterator[str]:
    """How many nodes there are in all, how often each stage runs, what is there already, and what is to be paid."""
    whole = union([trial.graph for trial in trials])
    plan = planning.make_plan("", whole, store, profile, Path.cwd())
    used = Counter(meaning for trial in trials for meaning in trial.graph.nodes)
    together, shared = sum(used.values()), sum(1 for count in used.values() if count > 1)
    yield (
        f"{len(trials)} runs of {together} nodes together, {len(whole.nodes)} of them different: {shared} shared by "
        f"several, {plan.reused} there already, {len(whole.nodes) - plan.reused} to run"
    )
    stages: dict[str, list[str]] = {}
    for meaning, node in whole.nodes.items():
        if node.kind == "train":
            stages.setdefault(node.label, []).append(meaning)
    width = max(map(len, stages), default=0)
    fates = {node.meaning: node.action for node in plan.nodes}
    for name, meanings in stages.items():
        runs = sum(used[meaning] for meaning in meanings)
        there = sum(fates[meaning] == "reuse" for meaning in meanings)
        times = "once" if len(meanings) == 1 else f"{len(meanings)} times"
        yield f"  {name:<{width}}  trained {times} for {runs} runs" + (f", {there} there already" if there else "")
    yield f"to pay: {_cost(plan)}"


def _cost(plan: planning.Plan) -> str:
    """Steps and tokens of the stages that run."""
    running = [stage for stage in plan.stages if stage.action == "run"]
    steps = sum(stage.steps or 0 for stage in running)
    unknown = any(stage.steps is None for stage in running)
    sampled = sum(stage.sampled_tokens or 0 for stage in running)
    parts = [f"{'at least ' if unknown else ''}{steps:,} optimizer steps in {len(running)} stages"]
    if sampled:
        parts.append(f"at most {amount(sampled)} tokens sampled while they train")
    return ", ".join(parts)


# From settings, from edits -------------------------------------------------------------------------------------------


def seeded(wanted: Sequence[Wanted], seeds: Sequence[int]) -> list[Wanted]:
    """Every trial with every seed; all seeds of one beside each other."""
    return [replace(each, seed=seed) for each in wanted for seed in seeds]


def of_grid(source: Source, grid: Sequence[Mapping[str, str]]) -> list[Wanted]:
    """A trial for each setting of a sweep; what is the same in all is not shown."""
    names = {name for one in grid for name in one}
    varied = [name for name in names if len({one.get(name) for one in grid}) > 1]
    return [
        Wanted(
            ", ".join(f"{name}={one[name]}" for name in one if name in varied) or "as written",
            {name: value for name, value in one.items() if name in varied},
            one,
            SEED,
            source,
        )
        for one in grid
    ]


def of_ablations(source: Source, settings: Mapping[str, str], ablations: Sequence[Ablation]) -> list[Wanted]:
    """The program as it is, and every edit of it."""
    by_path = {name: value for name, value in settings.items() if "." not in name}
    edits = [
        Wanted(
            each.title.replace("`", ""),
            {"edit": each.title.replace("`", "")},
            by_path,  # what is set by path stands in the text already
            SEED,
            each.source,
            each.budget,
        )
        for each in ablations
        if each.checked is not None and not each.refused
    ]
    return [Wanted("as written", {"edit": "as written"}, settings, SEED, source), *edits]
