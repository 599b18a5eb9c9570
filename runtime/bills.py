"""What a run has cost and what for: how much of it was measuring, and what each claiming stage brought for its cost.

From a graph and the provenance of what has been made of it so far. A node that was reused counts with what it cost when
it was made: a second run of a program gives the same bill.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ptc.compiler.graph import Graph, Json, Node
from ptc.runtime.artifacts import Artifact
from ptc.runtime.costs import NOTHING, Cost, cost_of, cost_of_watches, total

Provenance = Mapping[str, Mapping[str, Json]]
"""By meaning, of what has been made."""

YIELDS = frozenset({"train", "export"})
"""Kinds of what a program is written for; what none of them needs was made to measure."""
PETAFLOP = 10**15


@dataclass(frozen=True)
class Bill:
    """What a run has cost, and the part of it that measured: evals, claims, evidence, gates, watches, and the rows that
    only they need."""

    whole: Cost
    measuring: Cost
    by_kind: Mapping[str, Cost]
    """The parts of `measuring`: by kind of node, and watches."""

    @property
    def share(self) -> float:
        """Of device time."""
        return _share(self.measuring.device_seconds, self.whole.device_seconds)

    @property
    def share_of_flops(self) -> float:
        return _share(self.measuring.flops, self.whole.flops)


@dataclass(frozen=True)
class Gain:
    """What a stage's claim measured, and what the stage cost: training, sampling and judging what it learned from, its
    references and teachers; not what measured it, nor what earlier stages needed too."""

    stage: str
    eval: str
    points: float | None
    """Of pass@1, between entry and exit; None where that is not what the claim is about."""
    cost: Cost

    @property
    def per_million_tokens(self) -> float | None:
        """Points per million tokens trained on."""
        return self._per(self.cost.trained_tokens / 1e6)

    @property
    def per_petaflop(self) -> float | None:
        return self._per(self.cost.flops / PETAFLOP)

    @property
    def per_device_minute(self) -> float | None:
        return self._per(self.cost.device_seconds / 60)

    def _per(self, amount: float) -> float | None:
        return None if self.points is None or not amount else self.points / amount


def measuring(graph: Graph, provenance: Provenance) -> Bill:
    """The bill of what has been made so far."""
    for_models = _needed(graph, (meaning for meaning, node in graph.nodes.items() if node.kind in YIELDS))
    parts: dict[str, list[Cost]] = {}
    for meaning, node in graph.nodes.items():
        cost, watches = _costs(provenance, meaning)
        if meaning not in for_models:
            parts.setdefault(node.kind, []).append(cost)
        parts.setdefault("watch", []).append(watches)
    by_kind = {kind: total(costs) for kind, costs in parts.items() if total(costs) != NOTHING}
    whole = total(_costs(provenance, meaning)[0] for meaning in graph.nodes)
    return Bill(whole, total(by_kind.values()), by_kind)


def stage_costs(graph: Graph, provenance: Provenance) -> dict[str, Cost]:
    """What each stage has cost, by the meaning of its node: with all that it needs and no stage before it did."""
    costs: dict[str, Cost] = {}
    known: set[str] = set()
    for meaning, node in graph.nodes.items():
        if node.kind == "train":
            own = _needed(graph, [meaning]) - known
            known |= own
            costs[meaning] = total(_less_watches(*_costs(provenance, each)) for each in own)
    return costs


def gains(graph: Graph, artifacts: Mapping[str, Artifact], provenance: Provenance) -> list[Gain]:
    """One for each claim that has been judged, in the order of the run."""
    costs = stage_costs(graph, provenance)
    labels = {graph.nodes[meaning].label: cost for meaning, cost in costs.items()}
    return [
        Gain(node.names["stage"], node.names["eval"], _points(artifacts[meaning], node), labels[node.names["stage"]])
        for meaning, node in graph.nodes.items()
        if node.kind == "claim" and meaning in artifacts and node.names["stage"] in labels
    ]


def _points(verdict: Artifact, claim: Node) -> float | None:
    """Unknown of a consolidation: it is measured against its carrier, from which the model did not start."""
    found = json.loads((verdict.path / "verdict.json").read_text(encoding="utf-8"))["intervals"]
    if claim.settings["role"] == "consolidates" or "Δpass@1" not in found:
        return None
    return 100 * float(found["Δpass@1"]["value"])


def _needed(graph: Graph, meanings: Iterable[str]) -> set[str]:
    """These nodes and all that goes into them."""
    found: set[str] = set()
    waiting = list(meanings)
    while waiting:
        meaning = waiting.pop()
        if meaning not in found:
            found.add(meaning)
            waiting.extend(graph.nodes[meaning].inputs.values())
    return found


def _costs(provenance: Provenance, meaning: str) -> tuple[Cost, Cost]:
    """A node's cost and the part of it that its watches had; nothing of what is not made, or has no cost noted."""
    known = provenance.get(meaning, {})
    return cost_of(known) or NOTHING, cost_of_watches(known)


def _less_watches(cost: Cost, watches: Cost) -> Cost:
    return Cost(*(whole - part for whole, part in zip(cost.amounts, watches.amounts, strict=True)))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


# In words -------------------------------------------------------------------------------------------------------------


def lines(graph: Graph, artifacts: Mapping[str, Artifact], provenance: Provenance) -> Iterator[str]:
    """What the run has cost, how much of it was measuring, and what each claim brought for the cost of its stage."""
    bill = measuring(graph, provenance)
    if bill.whole == NOTHING:
        return
    yield f"cost       {spelled(bill.whole)}"
    if bill.measuring != NOTHING:
        most = sorted(bill.by_kind.items(), key=lambda item: -item[1].device_seconds)
        parts = ", ".join(f"{kind} {cost.device_seconds:.1f} s" for kind, cost in most if cost.device_seconds >= 0.05)
        yield (
            f"measuring  {bill.measuring.device_seconds:.1f} s of {bill.whole.device_seconds:.1f} s, {bill.share:.0%} "
            f"({bill.share_of_flops:.0%} of operations): {parts}"
        )
    for gain in gains(graph, artifacts, provenance):
        if gain.points is not None:
            yield f"gained     {gain.stage}: {gain.eval} {gain.points:+.1f} points, {_rates(gain, *_unit(bill.whole))}"


def _rates(gain: Gain, unit: str, size: int) -> str:
    by_operations = gain.per_petaflop
    rates = (
        (gain.per_million_tokens, "million tokens trained on"),
        (by_operations and by_operations * size / PETAFLOP, unit),
        (gain.per_device_minute, "device-minute"),
    )
    return ", ".join(f"{rate:+.3g} per {unit}" for rate, unit in rates if rate is not None)


def spelled(cost: Cost) -> str:
    """``62.0 s of devices; tokens: 1.4M sampled, 0.9M read, 2.5M trained on; 1.5 petaflop``."""
    tokens = [
        f"{amount(count)} {verb}"
        for count, verb in (
            (cost.sampled_tokens, "sampled"),
            (cost.read_tokens, "read"),
            (cost.trained_tokens, "trained on"),
        )
        if count
    ]
    parts = [f"{cost.device_seconds:.1f} s of devices"]
    parts += [f"tokens: {', '.join(tokens)}"] if tokens else []
    unit, size = _unit(cost)
    parts += [f"{cost.flops / size:.3g} {unit}"] if cost.flops else []
    return "; ".join(parts)


def _unit(cost: Cost) -> tuple[str, int]:
    """In what operations are told, and how many that are."""
    return ("petaflop", PETAFLOP) if cost.flops >= PETAFLOP else ("teraflop", 10**12)


def amount(count: float) -> str:
    """``812``, ``4.1k``, ``1.3M``, ``2.0G``."""
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= limit:
            return f"{count / limit:.1f}{suffix}"
    return f"{count:.0f}"
