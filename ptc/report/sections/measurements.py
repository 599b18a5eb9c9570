"""The measurements of a run: which eval, of which model, at which point. Sections that show evals begin here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ptc.compiler.graph import Node
from ptc.runtime.artifacts import Artifact
from ptc.runtime.history import History

METRICS = {
    "pass_rate": "pass@1",
    "reward": "reward",
    "win_rate": "win_rate",
    "bits_per_character": "bits_per_character",
}
"""The number of a summary that an eval of this kind is told by."""
EVALS = frozenset(METRICS)


@dataclass(frozen=True)
class Measurement:
    """One eval of one model. `model` is what the user calls it."""

    meaning: str
    node: Node
    artifact: Artifact

    @property
    def eval(self) -> str:
        return self.node.names["eval"]

    @property
    def model(self) -> str:
        return self.node.names.get("model") or self.node.label

    @property
    def metric(self) -> str:
        return METRICS[self.node.kind]


def measurements(history: History) -> Iterator[Measurement]:
    """In the order of the run; of two draws of one model the first. Those whose artifact is there."""
    for meaning, node in history.graph.nodes.items():
        first = node.settings.get("draw", 1) == 1
        if node.kind in EVALS and "eval" in node.names and first and meaning in history.artifacts:
            yield Measurement(meaning, node, history.artifacts[meaning])


def by_eval(history: History) -> dict[str, list[Measurement]]:
    """The measurements of each eval, models in the order in which the run made them."""
    order = {meaning: place for place, meaning in enumerate(history.graph.nodes)}
    found: dict[str, list[Measurement]] = {}
    for each in measurements(history):
        found.setdefault(each.eval, []).append(each)
    return {name: sorted(each, key=lambda one: order[one.node.inputs["model"]]) for name, each in found.items()}
