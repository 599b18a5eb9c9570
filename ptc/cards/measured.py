"""What was measured of the models of a run, for a card."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ptc.compiler.graph import Node
from ptc.runtime.history import History

METRICS: Mapping[str, str] = {
    "pass_rate": "pass@1",
    "reward": "reward",
    "win_rate": "win_rate",
    "bits_per_character": "bits_per_character",
}
RATES = frozenset({"pass_rate", "win_rate"})


@dataclass(frozen=True)
class Measurement:
    """An eval of one model; of several draws the first."""

    node: Node
    eval: str
    model: str
    """What the program calls it."""
    summary: Mapping[str, Any]

    @property
    def metric(self) -> str:
        return METRICS[self.node.kind]

    @property
    def words(self) -> str:
        """``93.1% [91.9, 94.3]``."""
        value, low, high = (self.summary.get(f"{self.metric}{end}") for end in ("", " low", " high"))
        if value is None:
            return "nothing could be judged"
        scale, sign, digits = (100, "%", 1) if self.node.kind in RATES else (1, "", 3)
        reach = "" if low is None or high is None else f" [{scale * low:.{digits}f}, {scale * high:.{digits}f}]"
        return f"{scale * value:.{digits}f}{sign}{reach}"

    @property
    def curve(self) -> Iterator[tuple[int, float]]:
        """pass@k by k, above 1."""
        for name, value in self.summary.items():
            if name.startswith("pass@") and name[5:].isdecimal() and name != "pass@1":
                yield int(name[5:]), value


def measurements(history: History) -> list[Measurement]:
    """In the order of the run."""
    order = {meaning: place for place, meaning in enumerate(history.graph.nodes)}
    found = [
        (order[node.inputs["model"]], _measurement(history, meaning, node))
        for meaning, node in history.graph.nodes.items()
        if node.kind in METRICS and node.settings.get("draw", 1) == 1 and meaning in history.artifacts
    ]
    return [each for _, each in sorted(found, key=lambda item: item[0])]


def verdicts(history: History, kind: str) -> Iterator[tuple[Node, Mapping[str, Any]]]:
    """Claims, or gates, with what became of them."""
    for meaning, node in history.graph.nodes.items():
        if node.kind == kind and meaning in history.artifacts:
            yield node, _document(history, meaning, "verdict.json")


def _measurement(history: History, meaning: str, node: Node) -> Measurement:
    model = history.graph.nodes[node.inputs["model"]].label
    name = node.names.get("eval") or node.label or node.kind
    return Measurement(node, name, model, _document(history, meaning, "summary.json"))


def _document(history: History, meaning: str, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((history.artifacts[meaning].path / name).read_text(encoding="utf-8"))
    return found
