"""A whole program of cheap nodes with real seals: rows, a model, chunks of samples, training steps, an export.

Every result is a chain of digests over all that went in, so that a lost, repeated or reordered step shows in the end.
As a script: ``fake_program.py STORE [--steps N] [--pause SECONDS] [--size N]`` runs it and leaves with its exit code.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ptc.compiler.graph import Graph, Json, Node
from ptc.runtime.artifacts import Artifact, Context, Implementation, Interrupted, Progress
from ptc.runtime.executor import execute
from ptc.runtime.store import Store

CHUNKS = 4
CHECKPOINT_EVERY = 5


@dataclass(frozen=True)
class FakeProfile:
    """The part of a profile that keys know, and how long a step takes, in seconds."""

    engine: str = "fake"
    precision: str = "fp32"
    engine_precision: str | None = None
    devices: int = 1
    pause: float = 0.0


def graph_of(*nodes: Node) -> Graph:
    """All given nodes, inputs first; the last is the root."""
    return Graph({node.meaning: node for node in nodes}, (nodes[-1].meaning,))


def program(size: int = 12, steps: int = 20, export: str = "out/small") -> Graph:
    """Source, tokenizer, new model, samples in chunks, training in steps, export."""
    source = Node("gym", 1, {"task": "fake", "size": size, "seed": 1}, {}, "tasks")
    tokenizer = Node("characters", 1, {}, {"rows": source.meaning}, "tokenizer")
    model = Node("new_model", 1, {"hidden": 8}, {"tokenizer": tokenizer.meaning}, "base")
    sample = Node("sample", 1, {"n": 2}, {"prompts": source.meaning, "model": model.meaning}, "attempts")
    train = Node(
        "train",
        1,
        {"budget": {"count": steps, "unit": "steps"}, "seed": 3},
        {"m0": model.meaning, "s0": sample.meaning},
        "policy",
        names={"m0": "base", "s0": "attempts"},
    )
    out = Node("export", 1, {"path": export}, {"model": train.meaning}, "export")
    return graph_of(source, tokenizer, model, sample, train, out)


def chain(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def digest_of_inputs(node: Node, inputs: Mapping[str, Artifact]) -> str:
    settings: dict[str, Json] = {name: value for name, value in node.settings.items() if name != "path"}
    return chain(node.kind, json.dumps(settings, sort_keys=True), *(inputs[role].digest for role in sorted(inputs)))


def rows(node: Node, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> None:
    seed = digest_of_inputs(node, inputs)
    text = "".join(chain(seed, str(row)) + "\n" for row in range(int(node.settings.get("size", 3))))
    (folder / "rows.parquet").write_text(text)


def tokenizer(node: Node, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> None:
    (folder / "tokenizer_config.json").write_text(digest_of_inputs(node, inputs))


def new_model(node: Node, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> None:
    write_model(folder, digest_of_inputs(node, inputs))


def write_model(folder: Path, state: str) -> None:
    (folder / "model.safetensors").write_text(state * 4)
    (folder / "config.json").write_text("{}")


def sample(node: Node, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> None:
    """Chunks in any number of attempts; each is made once and joined in order."""
    seed = digest_of_inputs(node, inputs)
    names = [f"chunk-{index:08d}" for index in range(CHUNKS)]
    have = set(context.partial.names())
    for index, name in enumerate(names):
        context.heartbeat(Progress(index, CHUNKS, "chunks", {}))
        if name not in have:
            time.sleep(pause(context))
            text = chain(seed, name)
            context.spent(sampled_tokens=1)
            context.partial.write(name, lambda piece, text=text: write(piece / "rows", text))  # type: ignore[misc]
    (folder / "rows.parquet").write_text("\n".join((context.partial.read(name) / "rows").read_text() for name in names))


def train(node: Node, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> None:
    """The state after a step is a digest of the state before it; a checkpoint every few steps, two are kept."""
    state, step = digest_of_inputs(node, inputs), 0
    total = int(node.settings["budget"]["count"])
    sealed = context.partial.names()
    if sealed:
        saved = json.loads((context.partial.read(sealed[-1]) / "state.json").read_text())
        state, step = saved["state"], saved["step"]
    try:
        while step < total:
            time.sleep(pause(context))
            state, step = chain(state, str(step)), step + 1
            context.spent(trained_tokens=1)
            if step % CHECKPOINT_EVERY == 0:
                checkpoint(context, state, step)
            context.log({"step": step, "loss": 1.0 / step})
            context.heartbeat(Progress(step, total, "steps", {"loss": 1.0 / step}))
    except Interrupted:
        checkpoint(context, state, step)
        raise
    write_model(folder, state)


def checkpoint(context: Context, state: str, step: int) -> None:
    def fill(piece: Path) -> None:
        write(piece / "state.json", json.dumps({"state": state, "step": step}))
        time.sleep(pause(context))
        write(piece / "weights" / "optimizer", state)

    context.partial.write(f"step-{step:08d}", fill)
    for old in context.partial.names()[:-2]:
        context.partial.forget(old)


def export(node: Node, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> None:
    for name in ("model.safetensors", "config.json"):
        (folder / name).write_bytes((inputs["model"].path / name).read_bytes())


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def pause(context: Context) -> float:
    return float(context.profile.pause)


IMPLEMENTATIONS: Mapping[str, Implementation] = {
    "gym": rows,
    "characters": tokenizer,
    "new_model": new_model,
    "sample": sample,
    "train": train,
    "export": export,
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type=Path)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--size", type=int, default=12)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--no-wait", action="store_true")
    options = parser.parse_args(arguments)
    outcome = execute(
        program(options.size, options.steps),
        Store(options.store),
        FakeProfile(pause=options.pause),
        IMPLEMENTATIONS,
        label="fake",
        wait=not options.no_wait,
        out=options.store.parent,
    )
    print(outcome.exit_code, len(outcome.ran), len(outcome.reused), outcome.message)
    return outcome.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
