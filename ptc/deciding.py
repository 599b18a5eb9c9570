"""How large a change must be to be told from none, by the code that will judge it and what the store has.

The measure is the half-width of the interval: at worst, for prompts that are known or not and a stage that has nothing
to do with which; and as measured, where the store has earlier measurements of the same eval on the same prompts.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ptc.compiler.graph import Graph, Json, Node
from ptc.powers import METRICS, Decidable, PlannedEval
from ptc.runtime.forecast import Forecast
from ptc.runtime.intervals import (
    DIFFERENCE,
    NET_SUPPORT_CHANGE,
    RATE_DIFFERENCE,
    RETENTION,
    Reals,
    Statistic,
    interval,
)
from ptc.runtime.manifest import Action, Damage
from ptc.runtime.store import Store
from ptc.runtime.tables import COUNTS_FILE, ROWS_FILE, column, read_table

RATES = ("pass_rate", "win_rate")
_Values = dict[str, float]
"""What each prompt came to."""
_ROWS = {"bits_per_character": "rows"}


def planned_evals(
    graph: Graph, store: Store, fates: Mapping[str, Forecast], at_most: Callable[[Graph, str], int | None]
) -> Iterator[PlannedEval]:
    """Each eval that something asks for. `at_most`: how many rows a node has at most."""
    actions = [action for _, action in store.actions()]
    for nodes in _grouped(graph):
        node = graph.nodes[nodes[0]]
        rows = node.inputs[_ROWS.get(node.kind, "prompts")]
        read = _rows_read(store, fates[rows].artifact)
        prompts = at_most(graph, rows) if read is None else read
        measured = list(_measured(store, actions, node, fates[rows].artifact))
        yield PlannedEval(
            name=node.names["eval"],
            kind=node.kind,
            prompts=prompts,
            counted=read is not None,
            attempts=int(node.settings.get("n", 1)),
            measurements=len(nodes),
            decides=tuple(_decidable(graph, node.kind, nodes, prompts, measured)),
        )


def _grouped(graph: Graph) -> Iterable[list[str]]:
    """The measurements of each eval, by meaning."""
    groups: dict[str, list[str]] = defaultdict(list)
    for meaning, node in graph.nodes.items():
        if node.kind in METRICS:
            inputs = {role: source for role, source in node.inputs.items() if role != "model"}
            groups[json.dumps([node.kind, _settings(node.settings), inputs], sort_keys=True)].append(meaning)
    return groups.values()


def _settings(settings: Mapping[str, Json]) -> dict[str, Json]:
    """Of an eval, in whichever draw."""
    return {name: value for name, value in settings.items() if name not in ("draw", "seed")}


# What is asked --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Asked:
    """A statistic of what a prompt came to before and after."""

    name: str
    statistic: Statistic
    allowed: float | None = None
    solved: bool = False
    """Of whether a prompt was solved at all, and not of how often."""


def _decidable(
    graph: Graph, kind: str, nodes: Sequence[str], prompts: int | None, measured: Sequence[_Values]
) -> Iterator[Decidable]:
    asks: dict[_Asked, list[str]] = defaultdict(list)
    for node in graph.nodes.values():
        if node.kind in ("claim", "gate") and not set(nodes).isdisjoint(node.inputs.values()):
            asks[_asked(kind, node)].append(node.label)
    for asked, labels in (asks or {_change(kind): ["report"]}).items():
        yield Decidable(
            statistic=asked.name,
            asks=tuple(dict.fromkeys(labels)),
            at_worst=None if prompts is None or kind not in RATES else _half_width(asked, *_worst(prompts)),
            as_measured=None if kind == "bits_per_character" else _as_measured(asked, measured),
            allowed=asked.allowed,
        )


def _asked(kind: str, node: Node) -> _Asked:
    settings = node.settings
    if node.kind == "gate" and settings["measure"] == "change":
        return _change(kind, -float(settings["limit"]))
    if node.kind == "claim" and kind in RATES and settings["role"] == "consolidates":
        return _Asked("retention", RETENTION, float(settings["tolerance"]))
    if node.kind == "claim" and kind == "pass_rate" and settings["role"] == "expands":
        return _Asked("NSCR", NET_SUPPORT_CHANGE, solved=True)
    return _change(kind)


def _change(kind: str, allowed: float | None = None) -> _Asked:
    return _Asked(f"Δ{METRICS[kind]}", RATE_DIFFERENCE if kind in RATES else DIFFERENCE, allowed)


def _half_width(asked: _Asked, before: Reals, after: Reals) -> float:
    if asked.solved:
        before, after = (before > 0).astype(np.float64), (after > 0).astype(np.float64)
    return interval(asked.statistic, before, after).half_width


def _worst(prompts: int) -> tuple[Reals, Reals]:
    """Half of the prompts are known before, half after, and the one says nothing about the other."""
    before, after = np.resize([0.0, 1.0, 0.0, 1.0], prompts), np.resize([0.0, 0.0, 1.0, 1.0], prompts)
    return before, after


def _as_measured(asked: _Asked, measured: Sequence[_Values]) -> float | None:
    """The widest interval between two models of which prompts are known in pairs.

    Of a retention, only between models that are not worlds apart. Where there is no pair, one model's values are
    shuffled against themselves: pairing then helps nothing. Models that solve nothing tell nothing.
    """
    pairs = []
    for one, other in combinations(measured, 2):
        shared = [prompt for prompt in one if prompt in other]
        before, after = (np.array([each[prompt] for prompt in shared], dtype=np.float64) for each in (one, other))
        if shared and (asked.statistic is not RETENTION or 0.5 * before.mean() <= after.mean() <= 2 * before.mean()):
            pairs.append((before, after))
    if not pairs and measured:
        values = max((np.array(list(each.values()), dtype=np.float64) for each in measured), key=np.var)
        pairs = [(values, np.random.default_rng(0).permutation(values))]
    whole = (asked.statistic.most - asked.statistic.least) / 2
    widths = [width for pair in pairs if (width := _half_width(asked, *pair)) < whole]
    return max(widths, default=None)


# What the store has ---------------------------------------------------------------------------------------------------


def _rows_read(store: Store, artifact: str | None) -> int | None:
    if artifact is None:
        return None
    return int(pq.read_metadata(store.object_path(artifact) / ROWS_FILE).num_rows)


def _measured(store: Store, actions: Iterable[Action], node: Node, rows: str | None) -> Iterator[_Values]:
    """What each prompt came to, in every first draw that the store has of this eval."""
    for action in actions if rows is not None else ():
        key = action.key_document
        same = key["kind"] == node.kind and _settings(key["settings"]) == _settings(node.settings)
        if same and key["inputs"].get(_ROWS.get(node.kind, "prompts")) == rows and key["settings"].get("draw", 1) == 1:
            try:
                yield _values(node.kind, read_table(store.open(action.artifact).path / COUNTS_FILE))
            except Damage:
                continue


_SHARES = {"pass_rate": ("correct", "n"), "win_rate": ("won", "n"), "bits_per_character": ("bits", "characters")}


def _values(kind: str, counts: pa.Table) -> _Values:
    prompts = column(counts, "prompt_id")
    if kind not in _SHARES:
        scores = zip(prompts, column(counts, "mean_score"), strict=True)
        return {prompt: score for prompt, score in scores if score is not None}
    rows = zip(prompts, *(column(counts, name) for name in _SHARES[kind]), strict=True)
    return {prompt: part / whole for prompt, part, whole in rows if whole}
