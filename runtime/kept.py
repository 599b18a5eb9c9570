"""Weights that a stage leaves on its way: those after a step, and those at which a watched eval was best.

Nobody who asks for them changes what a stage means, so they are no part of its artifact: the stage seals them as pieces
while it trains, and each `checkpoint` node takes its own. One that is asked for later has the stage run again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ptc.compiler.graph import Graph, Json, Node, Watch, digest
from ptc.runtime.artifacts import InputWrong, Kept, Partial
from ptc.runtime.model_folders import copy_model

PREFIX = "kept-"
MODEL = "model"
VALUE = "value.json"
"""In a piece: the weights, and beside them the step and how good the eval was."""
LESS_IS_BETTER = frozenset({"bits_per_character"})
OBSERVED = frozenset({"n", "seed", "tag", "scaffold"})
"""Settings in which an eval and the watch over it differ, or that mean nothing."""
Observer = Callable[[int], Mapping[str, float]]


def stage_of(graph: Graph, checkpoint: Node) -> str:
    """The meaning of the stage that a `checkpoint` node chooses from."""
    meaning = checkpoint.inputs["stage"]
    node = graph.nodes[meaning]
    return node.inputs["stage"] if node.kind == "result" else meaning


def asked(graph: Graph, stage: str) -> dict[str, Kept]:
    """What a stage is to keep, by the meaning of the `checkpoint` node that asks for it."""
    checkpoints = {meaning: node for meaning, node in graph.nodes.items() if node.kind == "checkpoint"}
    return {
        meaning: _kept(graph, node, graph.nodes[stage])
        for meaning, node in checkpoints.items()
        if stage_of(graph, node) == stage
    }


def take(partial: Partial, kept: Kept, out: Path) -> bool:
    """Copies what was kept; False as long as there is none."""
    piece = piece_of(partial, kept)
    if piece is not None:
        copy_model(partial.read(piece) / MODEL, out)
    return piece is not None


def piece_of(partial: Partial, kept: Kept) -> str | None:
    """The name of the sealed piece; None as long as there is none."""
    return next((name for name in reversed(partial.names()) if name.startswith(kept.piece)), None)


class Keeper:
    """Seals what is asked for while a stage trains."""

    def __init__(self, kept: Sequence[Kept], partial: Partial, save: Callable[[str, Path], None]) -> None:
        """`save` writes a model of the stage, by its name there, into a folder."""
        self._kept = kept
        self._partial = partial
        self._save = save

    def refuse_beyond(self, steps: int, watches: Sequence[Watch]) -> None:
        """Raises `InputWrong` for weights that a stage of so many steps never has."""
        for kept in self._kept:
            step = watches[kept.watch].every if kept.watch is not None else kept.step
            if step is not None and step > steps:
                what = f"its eval is first measured at step {step}" if kept.step is None else f"there is no step {step}"
                raise InputWrong(f"`@`: the stage ends after {steps} steps, {what}: ask for an earlier one")

    def observers(self, measures: Sequence[Observer]) -> Iterator[Observer]:
        """The watches of the stage, which keep what they find best, and one that keeps what a step is asked for."""
        for index, measure in enumerate(measures):
            yield self._over(index, measure)
        if any(kept.step is not None for kept in self._kept):
            yield self._at_step

    def _over(self, index: int, measure: Observer) -> Observer:
        def observe(step: int) -> Mapping[str, float]:
            measured = measure(step)
            for kept in self._kept:
                if kept.watch == index and measured:
                    ((name, value),) = measured.items()
                    self._keep_best(kept, step, -value if name.rpartition("/")[2] in LESS_IS_BETTER else value)
            return measured

        return observe

    def _at_step(self, step: int) -> Mapping[str, float]:
        for kept in self._kept:
            if kept.step == step:
                self._seal(kept, step, None)
        return {}

    def _keep_best(self, kept: Kept, step: int, value: float) -> None:
        """Of equal ones the earlier stays."""
        before = piece_of(self._partial, kept)
        if before is not None and json.loads((self._partial.read(before) / VALUE).read_text())["value"] >= value:
            return
        self._seal(kept, step, value)
        if before is not None:
            self._partial.forget(before)

    def _seal(self, kept: Kept, step: int, value: float | None) -> None:
        def fill(folder: Path) -> None:
            (folder / MODEL).mkdir()
            self._save(kept.model, folder / MODEL)
            (folder / VALUE).write_text(json.dumps({"step": step, "value": value}))

        name = f"{kept.piece}-{step:08d}"
        if name not in self._partial.names():  # a stage that is resumed passes here again
            self._partial.write(name, fill)


def _kept(graph: Graph, checkpoint: Node, stage: Node) -> Kept:
    above = graph.nodes[checkpoint.inputs["stage"]]
    model = above.settings["model"] if above.kind == "result" else stage.settings["result"]
    prompts, step, best = checkpoint.inputs.get("prompts"), checkpoint.settings.get("step"), None
    if step is None:
        best = _watch(graph, checkpoint, stage)
    piece = f"{PREFIX}{digest([model, dict(checkpoint.settings), prompts])[:16]}"
    return Kept(model, piece, step, best)


def _watch(graph: Graph, checkpoint: Node, stage: Node) -> int:
    """Which of the stage's watches measures the eval of a ``best``."""
    best = checkpoint.settings["best"]
    return next(
        index
        for index, watch in enumerate(stage.watches)
        if watch.every == best["every"]
        and graph.nodes[watch.prompts].inputs["rows"] == checkpoint.inputs["prompts"]
        and _measuring(watch.settings) == _measuring(best["eval"])
    )


def _measuring(settings: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in settings.items() if name not in OBSERVED}
