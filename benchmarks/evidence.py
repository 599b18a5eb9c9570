"""The demo over several seeds, with its two controls: `make demo-evidence`.

For each seed the demo and `examples/controls.pt` are run (they share every node that they have in common), and what
was measured is printed: all seeds, then medians against what the demo is to show, then the prompts that any source
shares with the eval.

    python benchmarks/evidence.py --seeds 0 1 2 3 4
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from ptc import api, progress
from ptc.compiler.graph import Graph, Node
from ptc.running import Implementations
from ptc.runtime.artifacts import Artifact
from ptc.runtime.executor import Outcome, execute
from ptc.runtime.profile import Profile
from ptc.runtime.store import Store
from ptc.runtime.tables import column, read_rows

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@dataclass(frozen=True)
class Measured:
    """What one seed gave: shares of 1, and the counts they are to be compared at."""

    seed: int
    pass_1: Mapping[str, float]
    pass_n: Mapping[str, float]
    parameters: Mapping[str, int]
    tokens: Mapping[str, int]
    gain: Mapping[str, Any]
    """The verdict on the reshaping stage: its paired interval."""
    seconds: float
    shared: Mapping[str, int]


def run(program: Path, seed: int, store: Store, profile: Profile) -> tuple[Graph, Outcome]:
    """Runs a program with a seed; ends this process if it fails."""
    checked = api.check_file(program, {"seed": str(seed)})
    assert checked.sound, f"{program} does not check"
    graph = api.compiled(checked)
    with progress.listening(Console(stderr=True, highlight=False), len(graph.nodes)) as listener:
        outcome = execute(graph, store, profile, Implementations(), label=program.stem, listener=listener)
    if outcome.exit_code != 0:
        sys.exit(f"{program.name}, seed {seed}: exit {outcome.exit_code}: {outcome.message}")
    return graph, outcome


def measured(seed: int, runs: Sequence[tuple[Graph, Outcome]], store: Store) -> Measured:
    """Collects what the artifacts of the runs say."""
    pass_1: dict[str, float] = {}
    pass_n: dict[str, float] = {}
    parameters: dict[str, int] = {}
    gain: Mapping[str, Any] = {}
    shared: dict[str, int] = {}
    for graph, outcome in runs:
        for node, artifact in _nodes(graph, outcome):
            if node.kind == "pass_rate" and node.settings["draw"] == 1:
                summary, model = _read(artifact, "summary.json"), node.names["model"]
                pass_1[model], pass_n[model] = summary["pass@1"], summary[f"pass@{summary['n']}"]
                parameters[model] = summary["parameters"]
            elif node.kind == "claim" and node.names["role"] == "reshapes":
                gain = _read(artifact, "verdict.json")
        shared |= prompts_shared_with_evals(graph, outcome)
    tokens = tokens_trained(store, [outcome for _, outcome in runs])
    seconds = _seconds(store, runs[0][1])
    return Measured(seed, pass_1, pass_n, parameters, tokens, gain, seconds, shared)


def _nodes(graph: Graph, outcome: Outcome) -> Iterator[tuple[Node, Artifact]]:
    for meaning, node in graph.nodes.items():
        yield node, outcome.artifacts[meaning]


def _read(artifact: Artifact, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((artifact.path / name).read_text(encoding="utf-8"))
    return document


def prompts_shared_with_evals(graph: Graph, outcome: Outcome) -> dict[str, int]:
    """For every source that a stage learns from: how many of its prompts an eval measures on."""
    evals = {node.inputs["prompts"] for node in graph.nodes.values() if node.kind == "pass_rate"}
    held = {identity for meaning in evals for identity in _identities(outcome.artifacts[meaning])}
    return {
        f"{node.label}.{node.names[role]}": len(held.intersection(_identities(outcome.artifacts[meaning])))
        for node in graph.nodes.values()
        if node.kind == "train"
        for role, meaning in node.inputs.items()
        if role.startswith("s")
    }


def _identities(artifact: Artifact) -> set[str]:
    return set(column(read_rows(artifact), "prompt_id"))


def tokens_trained(store: Store, outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Tokens that each stage learned from, of the run in which it was trained."""
    tokens: dict[str, int] = {}
    for log in sorted(store.root.glob("runs/*/metrics.jsonl")):
        for line in log.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row.get("kind") == "train" and "num_tokens" in row:
                tokens[row["label"]] = int(row["num_tokens"])
    return tokens


def _seconds(store: Store, outcome: Outcome) -> float:
    """Seconds of work in the nodes of a run, whenever they were computed."""
    wanted = {artifact.digest for artifact in outcome.artifacts.values()}
    return sum(float(action.provenance.get("seconds", 0)) for _, action in store.actions() if action.artifact in wanted)


def show(rows: Sequence[Measured]) -> None:
    """Prints all seeds, the medians and what they are to be."""
    models = ("cold_start", "reasoner", "primed", "small", "sft_continued", "shuffled_rewards")
    print(f"{'seed':<8}" + "".join(f"{model:>18}" for model in models) + f"{'seconds':>10}")
    for row in rows:
        cells = "".join(f"{100 * row.pass_1[m]:9.1f} /{100 * row.pass_n[m]:6.1f}" + " " for m in models)
        print(f"{row.seed:<8}{cells}{row.seconds:10.0f}")
    print("pass@1 / pass@16 in percent; the last two are controls at the tokens of `reasoner`\n")
    tokens = rows[-1].tokens
    print("tokens trained on, last seed: " + ", ".join(f"{m} {tokens.get(m, 0):,}" for m in models))
    for line in verdicts(rows):
        print(line)


def verdicts(rows: Sequence[Measured]) -> Iterator[str]:
    """What the demo is to show, and whether it does; medians over the seeds."""

    def median(of: Sequence[float]) -> float:
        return 100 * statistics.median(of)

    cold = median([row.pass_1["cold_start"] for row in rows])
    head = median([row.pass_n["cold_start"] - row.pass_1["cold_start"] for row in rows])
    closed = median(
        [(row.pass_1["reasoner"] - row.pass_1["cold_start"]) / (1 - row.pass_1["cold_start"]) for row in rows]
    )
    fall = median([row.pass_n["cold_start"] - row.pass_n["reasoner"] for row in rows])
    kept = median([row.pass_1["small"] / row.pass_1["reasoner"] for row in rows])
    size = 100 * rows[0].parameters["small"] / rows[0].parameters["reasoner"]
    continued = median([row.pass_1["sft_continued"] - row.pass_1["cold_start"] for row in rows])
    shuffled = median([row.pass_1["shuffled_rewards"] - row.pass_1["cold_start"] for row in rows])
    gained = median([row.pass_1["reasoner"] - row.pass_1["cold_start"] for row in rows])
    shared = sum(sum(row.shared.values()) for row in rows)
    yield _line("cold start pass@1", f"{cold:.1f} %", 20 <= cold <= 70, "20 to 70 %")
    yield _line("cold start pass@16 above pass@1", f"{head:.1f} points", head >= 10, "at least 10")
    yield _line("gap to 100 % that GRPO closes", f"{closed:.1f} %", closed >= 50, "at least 50 %")
    lows = ", ".join(_interval(row.gain) for row in rows)
    yield f"  paired 95 % intervals of the gain in pass@1, seed by seed: {lows}"
    yield _line("fall of pass@16 through GRPO", f"{fall:.1f} points", fall <= 3, "at most 3")
    yield _line("student's parameters", f"{size:.0f} % of the teacher's", size <= 50, "at most 50 %")
    yield _line("student's pass@1 of the teacher's", f"{kept:.1f} %", kept >= 80, "at least 80 %")
    yield f"  gain in pass@1: GRPO {gained:.1f}, SFT continued {continued:.1f}, shuffled rewards {shuffled:.1f} points"
    yield _line("prompts shared between any source and the eval", str(shared), shared == 0, "0")


def _interval(verdict: Mapping[str, Any]) -> str:
    interval = verdict["intervals"]["Δpass@1"]
    return f"[{100 * interval['low']:+.1f}, {100 * interval['high']:+.1f}]"


def _line(what: str, value: str, holds: bool, wanted: str) -> str:
    return f"{'ok  ' if holds else 'NOT '} {what}: {value} (wanted {wanted})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--store", type=Path, default=Path(".ptc"))
    parser.add_argument("--demo", type=Path, default=EXAMPLES / "spelling.pt")
    parser.add_argument("--controls", type=Path, default=EXAMPLES / "controls.pt")
    found = parser.parse_args()
    profile = Profile(store=found.store)
    rows = []
    for seed in found.seeds:
        store = Store(found.store)
        runs = [run(program, seed, store, profile) for program in (found.demo, found.controls)]
        rows.append(measured(seed, runs, store))
    show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
