"""A graph made small: the same nodes and edges, with tiny shapes, for `ptc run --smoke`.

Every node becomes one node of the same kind whose inputs are what its inputs became. The setting `smoke` holds the
meaning that it stands for: so no two nodes fall together, and what a smoke run makes is never found under the key of
anything real.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from math import ceil
from pathlib import PurePosixPath
from typing import Any

from ptc.compiler.graph import Graph, Json, Node, Watch

MARK = "smoke"
"""The setting of a node that says what it stands for."""
ROWS = 16
"""Rows of each source."""
TAKEN = 4
"""Rows that `take` leaves."""
STEPS = 2
ATTEMPTS = 2
TOKENS = 12
BATCH = 2
RANK = 4
VOCABULARY = 512
HIDDEN, LAYERS, HEADS, HEAD, INTERMEDIATE = 64, 2, 2, 32, 96

MADE_UP = "made_up"
"""The verifier that stands for those that a smoke run cannot ask: reads a response, and says what its digest says."""
UNABLE = ("extern", "judge")
"""Scorers that are Python outside of ptc, or a model that was asked in words: a tiny one has nothing to say."""

Settings = Mapping[str, Json]


@dataclass(frozen=True)
class Smoke:
    """A small graph, and what of it stands for something else."""

    graph: Graph
    stands_for: Mapping[str, str]
    """Meaning of each node to that of the node that it stands for."""
    stubbed: tuple[str, ...]
    """What is not asked, in the program's words, each once."""


def smoke(graph: Graph, allowed: Collection[str] | None = (), pinned: Mapping[str, Json] | None = None) -> Smoke:
    """The small graph.

    `allowed`: modules of Python outside of ptc that may be called, None for all. `pinned`: by meaning, what stands in
    for something outside, as a value that is part of the node's identity.
    """
    shrinking = _Shrinking(graph, allowed, pinned or {})
    became: dict[str, str] = {}
    nodes: dict[str, Node] = {}
    for meaning, node in graph.nodes.items():
        small = replace(
            node,
            settings={**shrinking.settings(meaning, node), MARK: meaning},
            inputs={role: became[source] for role, source in node.inputs.items()},
            after=tuple(became[gate] for gate in node.after),
            watches=tuple(shrinking.watch(watch, became) for watch in node.watches),
            guards=(),  # a few steps on a few rows say nothing of how training goes
        )
        became[meaning] = small.meaning
        nodes[small.meaning] = small
    roots = tuple(became[root] for root in graph.roots)
    stands_for = {small: meaning for meaning, small in became.items()}
    return Smoke(Graph(nodes, roots), stands_for, tuple(dict.fromkeys(shrinking.stubbed)))


class _Shrinking:
    """Settings made small, and a list of what is not asked."""

    def __init__(self, graph: Graph, allowed: Collection[str] | None, pinned: Mapping[str, Json]) -> None:
        self._graph = graph
        self._allowed = allowed
        self._pinned = pinned
        self.stubbed: list[str] = []

    def settings(self, meaning: str, node: Node) -> dict[str, Json]:
        settings = dict(node.settings)
        if meaning in self._pinned:
            settings["stand_in"] = self._pinned[meaning]
        if node.kind in ("pass_rate", "reward", "win_rate", "score", "evidence"):
            settings = self._measured(settings)
        if node.kind == "extern_source" and not self._may_call(settings["target"]):
            self.stubbed.append(f"{settings['target']} (rows of Python that is not allowed)")
            settings["stand_in"] = settings.get("stand_in", True)
        if node.kind == "train":
            terms = [self._term(term) for term in settings["terms"]]
            settings = {**_stage({**settings, "terms": terms}), "flows": self._flows(settings["flows"])}
        if node.kind == "checkpoint":
            settings = self._checkpoint(settings, self._graph.nodes[node.inputs["stage"]])
        return settings if node.kind not in SMALLER else SMALLER[node.kind](settings)

    def watch(self, watch: Watch, became: Mapping[str, str]) -> Watch:
        models = {name: became[meaning] for name, meaning in watch.models.items()}
        settings = self._measured(dict(watch.settings))
        return replace(watch, every=1, prompts=became[watch.prompts], settings=settings, models=models)

    def _flows(self, flows: Mapping[str, list[Json]]) -> dict[str, Json]:
        return {name: [self._step(step) for step in steps] for name, steps in flows.items()}

    def _step(self, step: Settings) -> dict[str, Json]:
        """One step of a live flow, and of the flows beside it."""
        small = self._measured(dict(step))
        small = SMALLER[step["op"]](small) if step["op"] in SMALLER else small
        if "with" in step:
            small["with"] = {name: self._beside(value) for name, value in step["with"].items()}
        return small

    def _beside(self, value: Settings) -> Json:
        return {**value, "steps": [self._step(step) for step in value["steps"]]} if "steps" in value else value

    def _checkpoint(self, settings: dict[str, Json], stage: Node) -> dict[str, Json]:
        """The weights within a stage that are asked for: those at the step in proportion, or the best."""
        budget = stage.settings["budget"]
        steps = budget["count"] if budget["unit"] == "steps" else None
        if "step" in settings:
            return {**settings, "step": in_proportion(settings["step"], steps)}
        best = settings["best"]
        return {**settings, "best": {**best, "every": 1, "eval": self._measured(dict(best["eval"]))}}

    # What is asked ----------------------------------------------------------------------------------------------------

    def _measured(self, settings: dict[str, Json]) -> dict[str, Json]:
        """Fewer and shorter attempts, and nobody asked who cannot answer."""
        if "scorers" in settings:
            scorers = [self._scorer(scorer) for scorer in settings.pop("scorers")]
            settings |= _spelled(scorers)
        return _attempts(settings)

    def _scorer(self, scorer: Settings) -> Json:
        verifier = scorer["verifier"]
        if scorer["kind"] not in UNABLE or (scorer["kind"] == "extern" and self._may_call(verifier["target"])):
            return scorer
        options = verifier["options"]
        if scorer["kind"] == "extern":
            self.stubbed.append(f"{verifier['name']} ({verifier['target']}: Python that is not allowed)")
        else:
            self.stubbed.append(f"judge “{_shortened(options['rubric'])}” (a model with random weights)")
        return {"kind": "verifier", "weight": scorer["weight"], "verifier": {"name": MADE_UP, "options": {}}}

    def _term(self, term: Settings) -> Json:
        """A loss in Python that may not be called becomes the mean of everything that it would be given."""
        loss = term["loss"]
        if loss["op"] != "extern" or self._may_call(loss["target"]):
            return term
        self.stubbed.append(f"{loss['target']} (a loss in Python that is not allowed)")
        given = [leaf for source in loss["args"] for leaf in source["args"] if leaf["op"] != "column"]
        return {**term, "loss": reduce(_added, map(_mean, given))}

    def _may_call(self, target: str) -> bool:
        return self._allowed is None or target.partition(":")[0] in self._allowed


def _mean(value: Json) -> Json:
    """The mean over everything that it has one of, sample by sample."""
    inner = [axis for axis in value["axes"] if axis not in ("group", "prompt")]
    if inner:
        value = {"op": "mean", "over": inner, "axes": ["group", "prompt"], "args": [value]}
    return {"op": "mean", "over": ["group", "prompt"], "axes": [], "args": [value]}


def _added(one: Json, other: Json) -> Json:
    return {"op": "add", "axes": [], "args": [one, other]}


def _spelled(scorers: list[Json]) -> dict[str, Json]:
    """One plain verifier is spelled as itself, as everywhere."""
    first = scorers[0]
    plain = len(scorers) == 1 and first["kind"] == "verifier" and first["weight"] == 1
    return {"verifier": first["verifier"]} if plain else {"scorers": scorers}


def _shortened(rubric: str, most: int = 40) -> str:
    text = " ".join(rubric.split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _attempts(settings: Settings) -> dict[str, Json]:
    least = {"n": ATTEMPTS, "max_tokens": TOKENS, "max_lag": 1}
    return {name: min(value, least[name]) if name in least else value for name, value in settings.items()}


def _at_most(**most: int) -> Callable[[dict[str, Json]], dict[str, Json]]:
    """Settings with some numbers no larger than these."""

    def smaller(settings: dict[str, Json]) -> dict[str, Json]:
        return {name: min(value, most[name]) if name in most else value for name, value in settings.items()}

    return smaller


# Stages ---------------------------------------------------------------------------------------------------------------


def _stage(settings: dict[str, Json]) -> dict[str, Json]:
    """Two steps of two samples, in which everything that happens in the whole stage happens."""
    budget, batch = settings["budget"], settings["batch"]
    steps = budget["count"] if budget["unit"] == "steps" else None
    small = {
        **settings,
        "budget": {"count": STEPS if steps is None else min(STEPS, steps), "unit": "steps"},
        "batch": {name: _fewer(count, BATCH) for name, count in batch.items()},
        "optimizer": {name: _optimizer(each, steps) for name, each in settings["optimizer"].items()},
        "models": {name: _bound(each) for name, each in settings["models"].items()},
        "terms": [_shortened_courses(term, steps) for term in settings["terms"]],
    }
    if "rollout" in settings:
        largest = max(count["count"] for count in batch.values())
        small["rollout"] = _fewer(settings["rollout"], 2 * BATCH if settings["rollout"]["count"] > largest else BATCH)
    if "passes" in settings:
        small["passes"] = min(settings["passes"], STEPS)
    return small


def _fewer(count: Settings, most: int) -> Json:
    return {**count, "count": min(count["count"], most)}


def _optimizer(settings: Settings, steps: int | None) -> Json:
    warmup = settings.get("warmup")
    if not isinstance(warmup, Mapping):
        return settings
    return {**settings, "warmup": {**warmup, "steps": in_proportion(warmup["steps"], steps)}}


def _bound(model: Settings) -> Json:
    return {**model, "every": 1} if "every" in model else model


def _shortened_courses(part: Json, steps: int | None) -> Json:
    """A term with every number that changes while the stage runs changing as far in its two steps."""
    if isinstance(part, list):
        return [_shortened_courses(each, steps) for each in part]
    if not isinstance(part, Mapping):
        return part
    small: dict[str, Any] = {name: _shortened_courses(value, steps) for name, value in part.items()}
    if "anneal" in part:
        small["over"] = in_proportion(part["over"], steps)
    if part.get("op") == "anneal":
        small["steps"] = in_proportion(part["steps"], steps)
    return small


def in_proportion(step: int, steps: int | None) -> int:
    """A step of a budget as one of the two; of a budget that nobody knows, the first."""
    return 1 if not steps else min(STEPS, max(1, ceil(STEPS * step / steps)))


# Models and rows ------------------------------------------------------------------------------------------------------


def _new_model(settings: dict[str, Json]) -> dict[str, Json]:
    """A tiny model of the family, wide enough for its heads to stay what they are to one another."""
    heads = min(HEADS, settings["heads"])
    return {
        **settings,
        "hidden": min(HIDDEN, settings["hidden"]),
        "layers": min(LAYERS, settings["layers"]),
        "heads": heads,
        "kv_heads": heads if settings["kv_heads"] == settings["heads"] else 1,
        "head_dim": min(HEAD, settings["head_dim"]),
        "intermediate": min(INTERMEDIATE, settings["intermediate"]),
    }


def _lora(settings: dict[str, Json]) -> dict[str, Json]:
    """A smaller rank with the same scale."""
    rank = min(RANK, settings["rank"])
    alpha = settings.get("alpha")
    scaled = {} if alpha is None else {"alpha": alpha * rank / settings["rank"]}
    return {**settings, "rank": rank, **scaled}


def _export(settings: dict[str, Json]) -> dict[str, Json]:
    """A path that leads nowhere outside, since the executor puts it below the store of smoke runs; and no word of the
    model of the hub that an adapter was made for, since it was made for a tiny one."""
    parts = _inside(PurePosixPath(str(settings["path"]).replace("\\", "/")))
    kept = {name: value for name, value in settings.items() if name != "base"}
    return {**kept, "path": "/".join(parts) or "export"}


def _inside(path: PurePosixPath) -> Iterator[str]:
    yield from (part for part in path.parts if part not in ("/", ".", "..") and not part.endswith(":"))


SMALLER: Mapping[str, Callable[[dict[str, Json]], dict[str, Json]]] = {
    "gym": _at_most(size=ROWS),
    "take": _at_most(count=TAKEN),
    "best": _at_most(k=1),
    "sample": _attempts,
    "refill": _at_most(max=2),
    "replay": _at_most(window=1),
    "bpe": _at_most(vocabulary=VOCABULARY),
    "claim": _at_most(k=ATTEMPTS),
    "evidence": _at_most(group=ATTEMPTS),
    "new_model": _new_model,
    "lora": _lora,
    "export": _export,
}
"""By kind of node, or step of a live flow, what becomes of its settings."""
