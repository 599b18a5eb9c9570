"""The ledger of an eval: what every stage did to it, and which stage undid what an earlier one had brought.

From a graph and what has been made of it so far: one point for every model of which the eval was measured, in the order
of the run, with its interval, and the change since the model before on its line of weights. `docs/evidence.md` says
how to read it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ptc.compiler.graph import Graph, Node, digest
from ptc.runtime.artifacts import Artifact
from ptc.runtime.intervals import RATIO, Interval, interval
from ptc.runtime.measured import Measured, Together
from ptc.runtime.spelling import amount, difference, reach, share

METRICS: Mapping[str, str] = {
    "pass_rate": "pass@1",
    "win_rate": "win_rate",
    "reward": "reward",
    "bits_per_character": "bits_per_character",
}
"""By kind of eval, what its value is called."""


@dataclass(frozen=True)
class Change:
    """What became of an eval between two models, over the prompts that were measured of both."""

    since: str
    """The stage, or the model, that it is counted from."""
    difference: Interval
    """In the units of the metric: a rate of 1 is 100 points; fewer bits are better."""
    gained: int | None
    """Prompts solved by one of the attempts now and by none before; None where no prompt is solved or not."""
    lost: int | None
    kept: int | None
    words: str
    share: Interval | None = None
    """Of what was undone: the part of what the earlier stages had brought."""


@dataclass(frozen=True)
class Point:
    """An eval of one model."""

    stage: str
    """The stage that left the model behind; empty for a model that was not trained here."""
    model: str
    meaning: str
    """The node that measured it."""
    prompts: int
    value: Interval
    curve: Mapping[int, float]
    """pass@k by k."""
    change: Change | None = None
    """Since the model before on its line of weights; since the carrier, where none before was measured."""
    undone: Change | None = None
    """Where the change is a loss for sure, and earlier stages on the line had brought a rise for sure."""
    scaffold: Change | None = None
    """Amortisation gap: how much a scaffolded eval of the same prompts and scorer is above this one."""


@dataclass(frozen=True)
class EvalLedger:
    """All points of an eval, in the order of the run."""

    eval: str
    kind: str
    metric: str
    points: tuple[Point, ...]


def ledger(graph: Graph, artifacts: Mapping[str, Artifact]) -> tuple[EvalLedger, ...]:
    """The ledgers of all evals of which something has been measured."""
    return tuple(
        _Line(graph, nodes, artifacts).ledger(_scaffolded(graph, nodes, artifacts))
        for nodes in _evals(graph, artifacts).values()
    )


def undoing(ledgers: tuple[EvalLedger, ...]) -> bool:
    """Whether some stage undid something."""
    return any(point.undone is not None for each in ledgers for point in each.points)


def lines(ledgers: tuple[EvalLedger, ...]) -> Iterator[str]:
    """One line for each eval and model; the widths are those of the whole."""
    rows = [
        (each.eval, point.stage or point.model, _words(each.kind, point)) for each in ledgers for point in each.points
    ]
    widths = [max((len(row[place]) for row in rows), default=0) for place in (0, 1)]
    for name, stage, words in rows:
        yield f"{name:<{widths[0]}}  {stage:<{widths[1]}}  {words}"


def _words(kind: str, point: Point) -> str:
    parts = [f"{amount(kind, point.value.value)} {reach(kind, point.value)}"]
    if point.change is not None:
        parts.append(point.change.words)
    if point.scaffold is not None:
        parts.append(point.scaffold.words)
    return ", ".join(parts) + ("" if point.undone is None else f": {point.undone.words}")


def _evals(graph: Graph, artifacts: Mapping[str, Artifact]) -> dict[str, dict[str, Node]]:
    """The measurements of each eval, by the model that was measured; second draws apart, which stand for no model."""
    places = {meaning: place for place, meaning in enumerate(graph.nodes)}
    found: dict[str, dict[str, Node]] = {}
    for meaning, node in graph.nodes.items():
        if node.kind in METRICS and node.settings.get("draw", 1) == 1 and meaning in artifacts:
            found.setdefault(_same_but(node), {})[node.inputs["model"]] = node
    return {key: dict(sorted(nodes.items(), key=lambda item: places[item[0]])) for key, nodes in found.items()}


def _same_but(node: Node, *settings: str) -> str:
    """What two measurements of one eval have in common: all but the model, and these settings besides."""
    document = {name: value for name, value in node.settings.items() if name not in (*settings, "smoke")}
    others = {name: value for name, value in node.inputs.items() if name != "model"}
    return digest({"kind": node.kind, "settings": document, "inputs": others})


def _scaffolded(graph: Graph, nodes: Mapping[str, Node], artifacts: Mapping[str, Artifact]) -> dict[str, Node]:
    """Of an eval without a scaffold: the measurements of its scaffolded twin, by model. The twin has the prompts, the
    scorer and the length of an attempt; how many attempts it chooses from is its own."""
    first = next(iter(nodes.values()))
    if first.settings.get("scaffold"):
        return {}
    own = _same_but(first, "scaffold", "n", "seed")
    return {
        node.inputs["model"]: node
        for meaning, node in graph.nodes.items()
        if node.kind == first.kind
        and node.settings.get("scaffold")
        and node.settings.get("draw", 1) == 1
        and meaning in artifacts
        and _same_but(node, "scaffold", "n", "seed") == own
    }


class _Line:
    """One eval on its way to a ledger: what was measured, and which model comes from which."""

    def __init__(self, graph: Graph, nodes: Mapping[str, Node], artifacts: Mapping[str, Artifact]) -> None:
        self._graph = graph
        self._nodes = nodes
        measured = {model: Measured.of(artifacts[node.meaning]) for model, node in nodes.items()}
        self._measured = {model: each for model, each in measured.items() if (each.sizes > 0).any()}
        self._artifacts = artifacts
        self._first = next(iter(nodes.values()))

    def ledger(self, scaffolded: Mapping[str, Node]) -> EvalLedger:
        points = {model: self._point(model) for model in self._measured}
        for model, point in points.items():
            undone = self._undone(model, points)
            gap = self._gap(model, scaffolded)
            points[model] = replace(point, undone=undone, scaffold=gap)
        kind = self._first.kind
        return EvalLedger(self._first.names.get("eval", kind), kind, METRICS[kind], tuple(points.values()))

    def _point(self, model: str) -> Point:
        node, measured = self._nodes[model], self._measured[model]
        value, prompts = measured.value()
        attempts = 1 if node.settings.get("scaffold") else int(node.settings.get("n", 1))
        made = self._graph.nodes[model]
        stage = made.label if made.kind == "train" else ""
        curve = measured.curve(attempts)
        return Point(stage, made.label, node.meaning, prompts, value, curve, self._change(model, attempts))

    # Changes ----------------------------------------------------------------------------------------------------------

    def _change(self, model: str, attempts: int) -> Change | None:
        since = self._before(model) or self._carrier(model)
        if since is None:
            return None
        both = Together.of([self._measured[since], self._measured[model]])
        if not len(both.sizes):
            return None
        return _changed(both, self._graph.nodes[since].label, attempts)

    def _before(self, model: str) -> str | None:
        """The nearest model on the line of weights that was measured."""
        while (parent := parent_of(self._graph, model)) is not None:
            model = parent
            if model in self._measured:
                return model
        return None

    def _carrier(self, model: str) -> str | None:
        """The model that a claim compares it with, where it consolidates what another one carries."""
        for node in self._graph.nodes.values():
            if node.kind == "claim" and "carrier" in node.inputs and node.inputs["exit"] == self._nodes[model].meaning:
                carrier = self._graph.nodes[node.inputs["carrier"]].inputs["model"]
                if carrier in self._measured:
                    return carrier
        return None

    def _undone(self, model: str, points: Mapping[str, Point]) -> Change | None:
        """What earlier stages on the line had brought for sure and this one took away for sure: the nearest first, as
        many as it takes to make up for the loss."""
        point, before = points[model], self._before(model)
        if before is None or point.change is None or not _worse(self._first.kind, point.change.difference):
            return None
        loss = abs(point.change.difference.value)
        rises: list[tuple[str, str]] = []
        brought = 0.0
        later = before
        while brought < loss and (earlier := self._before(later)) is not None:
            change = points[later].change
            if change is not None and _better(self._first.kind, change.difference):
                rises.append((earlier, later))
                brought += abs(change.difference.value)
            later = earlier
        return self._of_rises(before, model, rises, point.change) if rises else None

    def _of_rises(self, before: str, model: str, rises: list[tuple[str, str]], lost: Change) -> Change | None:
        """The loss as a part of these rises, over the prompts that were measured of all of these models."""
        models = list(dict.fromkeys([before, model, *(end for rise in rises for end in rise)]))
        all_of_them = Together.of([self._measured[each] for each in models])
        if not len(all_of_them.sizes):
            return None
        values = dict(zip(models, all_of_them.values, strict=True))
        fall = values[before] - values[model]
        rise = sum((values[later] - values[earlier] for earlier, later in rises), start=0 * fall)
        sign = 1 if self._first.kind != "bits_per_character" else -1
        part = interval(RATIO, sign * fall, sign * rise)
        kind, stages = self._first.kind, [self._graph.nodes[later].label for _, later in rises]
        size = float(rise.sum() / all_of_them.sizes.sum())
        words = (
            f"{self._graph.nodes[model].label} undid {difference(kind, lost.difference, signed=False)} of the "
            f"{amount(kind, abs(size), bare=True)} that {' and '.join(stages)} brought ({share(part)})"
        )
        return replace(lost, since=" and ".join(stages), words=words, share=part)

    def _gap(self, model: str, scaffolded: Mapping[str, Node]) -> Change | None:
        """Scaffolded minus plain, prompt by prompt: what a consolidation has not yet put into the weights."""
        if model not in scaffolded:
            return None
        node = scaffolded[model]
        both = Together.of([self._measured[model], Measured.of(self._artifacts[node.meaning])])
        if not len(both.sizes):
            return None
        gap = both.difference(0, 1)
        words = f"{difference(self._first.kind, gap)} with {node.settings['scaffold']}"
        return Change(node.names.get("eval", node.kind), gap, None, None, None, words)


def parent_of(graph: Graph, model: str) -> str | None:
    """The model whose weights a model started from; behind a merge, the first."""
    node = graph.nodes[model]
    if node.kind == "train":
        return node.inputs[node.settings["result"]]
    if node.kind == "result":
        stage = graph.nodes[node.inputs["stage"]]
        return stage.inputs[node.settings["model"]]
    if node.kind == "checkpoint":
        return parent_of(graph, node.inputs["stage"])
    return node.inputs.get("init") or (node.inputs["0"] if node.kind == "merge" else None)


def _changed(both: Together, since: str, attempts: int) -> Change:
    change = both.difference(0, 1)
    words = f"{difference(both.kind, change)} since {since}"
    if not both.solved:
        return Change(since, change, None, None, None, words)
    before, after = both.solved
    gained, lost, kept = (int(each.sum()) for each in (after & ~before, before & ~after, before & after))
    at = f" at {attempts}" if attempts > 1 else ""
    return Change(since, change, gained, lost, kept, f"{words} ({gained} gained, {lost} lost, {kept} kept{at})")


def _better(kind: str, change: Interval) -> bool:
    """Whether a change is for the better, for sure."""
    return change.high < 0 if kind == "bits_per_character" else change.low > 0


def _worse(kind: str, change: Interval) -> bool:
    return change.low > 0 if kind == "bits_per_character" else change.high < 0
