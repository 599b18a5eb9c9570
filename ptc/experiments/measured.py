"""What a run's last model measured, prompt by prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptc.compiler.graph import Graph, Node
from ptc.runtime.artifacts import Artifact
from ptc.runtime.executor import ARTIFACT_OF
from ptc.runtime.history import History
from ptc.runtime.intervals import CHANGE_OF_RATIO, DIFFERENCE, MEAN, RATE, RATE_DIFFERENCE, RATIO, Statistic
from ptc.runtime.tables import COUNTS_FILE, column, read_table

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """What an eval of a kind is summed up by: of one model, and of the change between two."""

    name: str
    value: Statistic
    change: Statistic
    share: bool
    """Whether it is a share, told in percent and its changes in points."""
    more_is_better: bool = True


MEASURED: Mapping[str, Metric] = {
    "pass_rate": Metric("pass@1", RATE, RATE_DIFFERENCE, True),
    "win_rate": Metric("win rate", RATE, RATE_DIFFERENCE, True),
    "reward": Metric("reward", MEAN, DIFFERENCE, False),
    "bits_per_character": Metric("bits per character", RATIO, CHANGE_OF_RATIO, False, more_is_better=False),
}


@dataclass(frozen=True)
class Measured:
    """An eval of one model: by prompt its value, and what that is of (characters; 1 for everything but bits)."""

    eval: str
    kind: str
    by_prompt: Mapping[str, tuple[float, float]]


def last_model(graph: Graph) -> str | None:
    """The meaning of the model that a program is about: what it exports last, or else what it makes last."""
    exported = [node.inputs["model"] for node in graph.nodes.values() if node.kind == "export"]
    made = [root for root in graph.roots if ARTIFACT_OF[graph.nodes[root].kind] == "model"]
    return next(iter([*exported[-1:], *made[-1:]]), None)


def final_evals(history: History) -> dict[str, Measured]:
    """The evals of a run's last model, by name; where that is measured by none, those of the last model that is."""
    last = last_model(history.graph)
    found: dict[str, dict[str, Measured]] = {}
    for meaning, node in _measuring(history.graph):
        if meaning in history.artifacts:
            measured = _measured(node, history.artifacts[meaning])
            found.setdefault(node.inputs["model"], {})[measured.eval] = measured
    if last in found:
        return found[last]
    if history.exit_code != 0:
        return {}
    order = [meaning for meaning in history.graph.nodes if meaning in found]
    return found[order[-1]] if order else {}


def _measuring(graph: Graph) -> Iterator[tuple[str, Node]]:
    for meaning, node in graph.nodes.items():
        if node.kind in MEASURED and "eval" in node.names and node.settings.get("draw", 1) == 1:
            yield meaning, node


def _measured(node: Node, artifact: Artifact) -> Measured:
    table = read_table(artifact.path / COUNTS_FILE)
    if node.kind == "bits_per_character":
        names = [f"row {number}" for number in range(table.num_rows)]
        tops, bottoms = column(table, "bits"), column(table, "characters")
    elif node.kind == "pass_rate":
        names = column(table, "prompt_id")
        counts = column(table, "n")
        tops = [correct / n if n else None for correct, n in zip(column(table, "correct"), counts, strict=True)]
        bottoms = [1.0] * table.num_rows
    else:
        names, tops = column(table, "prompt_id"), column(table, "mean_score")
        bottoms = [1.0] * table.num_rows
    rows = zip(names, tops, bottoms, strict=True)
    return Measured(
        node.names["eval"],
        node.kind,
        {name: (float(top), float(bottom)) for name, top, bottom in rows if top is not None and bottom > 0},
    )
