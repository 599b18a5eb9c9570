"""The end of a run: per stage what was claimed and what was measured, and where everything is."""

from __future__ import annotations

import json
import shlex
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ptc.compiler.graph import Graph, Node
from ptc.progress import duration
from ptc.runtime import bills
from ptc.runtime.artifacts import Artifact
from ptc.runtime.bills import amount
from ptc.runtime.costs import cost_of
from ptc.runtime.executor import Outcome
from ptc.runtime.history import history
from ptc.runtime.ledger import ledger, lines, undoing
from ptc.runtime.monitors.record import warnings
from ptc.runtime.store import Store

LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The ranks that vLLM can be told to make room for."""


@dataclass(frozen=True)
class ClaimRow:
    """``expands skill``, ``supported``, and the verdict in words."""

    claim: str
    verdict: str
    words: str


@dataclass(frozen=True)
class StageRow:
    """One stage of the table. What was not measured is None."""

    name: str
    claims: tuple[ClaimRow, ...]
    protected: tuple[str, ...]
    """What became of what is protected, in words."""
    entry: Mapping[str, float] | None
    """Summary of the stage's eval on the weights that it started from, or took over from."""
    exit: Mapping[str, float] | None
    parameters: int | None
    tokens: int | None
    """Tokens trained on."""
    seconds: float | None


def show(console: Console, graph: Graph, store: Store, outcome: Outcome, command: str) -> None:
    """The table of stages, if all was done, and the lines that say where things are and how to go on."""
    if outcome.exit_code == 0 and any(node.kind == "train" for node in graph.nodes.values()):
        provenance = history(store, outcome.folder).provenance
        rows = list(stage_rows(graph, provenance, outcome))
        console.print()
        console.print(table(rows))
        for line in (*measured(rows), "", *bills.lines(graph, outcome.artifacts, provenance)):
            console.print(Text(line), soft_wrap=True)
    for line in kept_and_undone(graph, outcome):
        console.print(Text(line), soft_wrap=True)
    for line in warned(graph, store, outcome):
        console.print(Text(line), soft_wrap=True)
    console.print()
    for name, text in places(graph, store, outcome, command):
        console.print(Text(f"{name:<9} {text}"), soft_wrap=True)


def warned(graph: Graph, store: Store, outcome: Outcome) -> Iterator[str]:
    """What the monitors said of stages that trained in this run, once more where the eye ends up."""
    here = history(store, outcome.folder)
    trained = [meaning for meaning, node in graph.nodes.items() if node.kind == "train"]
    said = [
        f"warning   {graph.nodes[meaning].label}: {row['words']}"
        for meaning in trained
        if meaning not in outcome.reused
        for row in warnings(here.rows(meaning))
        if row["level"] == "warning"
    ]
    yield from ("", *said) if said else ()


# The table -----------------------------------------------------------------------------------------------------------


def stage_rows(graph: Graph, provenance: bills.Provenance, outcome: Outcome) -> Iterator[StageRow]:
    """In the order of the run."""
    for meaning, node in graph.nodes.items():
        if node.kind != "train" or meaning not in outcome.artifacts:
            continue
        artifact = outcome.artifacts[meaning]
        record = provenance[meaning]
        cost = cost_of(record)
        claims = {
            other: each
            for other, each in graph.nodes.items()
            if each.kind == "claim" and each.names["stage"] == node.label and other in outcome.artifacts
        }
        entry, exit = _measured(graph, meaning, claims.values(), outcome)
        yield StageRow(
            name=node.label,
            claims=tuple(_claim(claim, outcome.artifacts[other]) for other, claim in claims.items()),
            protected=tuple(_protected(graph, node.label, outcome)),
            entry=entry,
            exit=exit,
            parameters=parameter_count(artifact.path / "model.safetensors"),
            tokens=cost.trained_tokens if cost is not None else None,
            seconds=record.get("seconds"),
        )


def _measured(
    graph: Graph, meaning: str, claims: Iterable[Node], outcome: Outcome
) -> tuple[Mapping[str, float] | None, Mapping[str, float] | None]:
    """Entry (or the carrier of a consolidation) and exit of the first claim; of a stage without one, its report."""
    for claim in claims:
        before = claim.inputs.get("entry") or claim.inputs.get("carrier")
        return _summary(outcome, before), _summary(outcome, claim.inputs["exit"])
    for other, node in graph.nodes.items():
        if node.kind in ("pass_rate", "bits_per_character") and node.inputs["model"] == meaning:
            return None, _summary(outcome, other)
    return None, None


def _summary(outcome: Outcome, meaning: str | None) -> Mapping[str, float] | None:
    if meaning is None or meaning not in outcome.artifacts:
        return None
    found: Mapping[str, float] = _document(outcome.artifacts[meaning].path / "summary.json")
    return found


def _claim(node: Node, artifact: Artifact) -> ClaimRow:
    document = _document(artifact.path / "verdict.json")
    return ClaimRow(f"{node.names['role']} {node.names['eval']}", str(document["verdict"]), str(document["words"]))


def _protected(graph: Graph, stage: str, outcome: Outcome) -> Iterator[str]:
    """What became at the end of a stage of what is protected there, in words."""
    gates = {meaning: node for meaning, node in graph.nodes.items() if node.kind == "gate"}
    for meaning, node in gates.items():
        asked = node.settings["measure"] == "change" and node.names["stage"] == stage
        if asked and meaning in outcome.artifacts:
            yield f"{node.label}: {_document(outcome.artifacts[meaning].path / 'verdict.json')['words']}"


def parameter_count(weights: Path) -> int | None:
    """Numbers in a safetensors file, from its header alone; None for a sharded model."""
    if not weights.is_file():
        return None
    with weights.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
    return sum(int(prod(tensor["shape"])) for name, tensor in header.items() if name != "__metadata__")


def table(rows: list[StageRow]) -> Table:
    evals = [summary for row in rows for summary in (row.entry, row.exit) if summary]
    names = _columns(evals)
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in ("stage", "claims", "verdict"):
        shown.add_column(head, overflow="fold")
    for head in (*names, "parameters", "tokens", "time"):
        shown.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        shown.add_row(
            Text(row.name),
            Text("\n".join(claim.claim for claim in row.claims) or "–"),
            Text("\n".join(claim.verdict for claim in row.claims) or "–"),
            *(_change(row, name) for name in names),
            amount(row.parameters) if row.parameters is not None else "–",
            amount(row.tokens) if row.tokens is not None else "–",
            duration(row.seconds) if row.seconds is not None else "–",
        )
    return shown


def measured(rows: list[StageRow]) -> Iterator[str]:
    """What was measured of each claim and of what is protected, in words with intervals."""
    found = [(row.name, words) for row in rows for words in (*(claim.words for claim in row.claims), *row.protected)]
    if found:
        yield ""
    width = max((len(name) for name, _ in found), default=0)
    for name, words in found:
        yield f"{name:<{width}}  {words}"


def _columns(evals: list[Mapping[str, float]]) -> list[str]:
    """pass@1, pass@k of the largest k, bits per character: whichever was measured."""
    largest = max((int(name[5:]) for summary in evals for name in summary if name[5:].isdecimal()), default=0)
    wanted = ["pass@1", f"pass@{largest}", "bits_per_character"]
    return [name for name in dict.fromkeys(wanted) if any(name in summary for summary in evals)]


def _change(row: StageRow, name: str) -> str:
    values = [_value(summary, name) for summary in (row.entry, row.exit)]
    return " → ".join(value for value in values if value) or "–"


def _value(summary: Mapping[str, float] | None, name: str) -> str:
    if summary is None or name not in summary:
        return ""
    return f"{summary[name]:.1%}" if name.startswith("pass@") else f"{summary[name]:.3f}"


def kept_and_undone(graph: Graph, outcome: Outcome) -> Iterator[str]:
    """The ledger of each eval that says more than its claims do: what was measured of three models or more, or what a
    stage undid; also of a run that a gate has stopped."""
    telling = tuple(each for each in ledger(graph, outcome.artifacts) if len(each.points) > 2 or undoing((each,)))
    if telling and outcome.exit_code in (0, 4):
        yield ""
        yield from lines(telling)


# Where everything is -------------------------------------------------------------------------------------------------


def places(graph: Graph, store: Store, outcome: Outcome, command: str) -> Iterator[tuple[str, str]]:
    """What to look at next, and the lines to type."""
    here = Path.cwd()
    yield "run", _shown(outcome.folder, here)
    yield "store", _shown(store.root, here)
    yield "metrics", _shown(outcome.folder / "metrics.jsonl", here)
    yield "log", _shown(outcome.folder / "run.log", here)
    yield "report", f"ptc report {outcome.run_id}{_store_of(command)}"
    for folder in outcome.exports.values():
        yield "export", _shown(folder, here)
    for folder in filter(_writes_text, outcome.exports.values()):
        yield "generate", generate(_shown(folder, here), _example(graph, outcome))
        yield "serve", serve(folder, _shown(folder, here))
    yield "resume" if outcome.exit_code else "again", command


def _store_of(command: str) -> str:
    """The options by which a command named its store: what looks at its run needs them as well."""
    words = shlex.split(command)
    pairs = [words[place : place + 2] for place, word in enumerate(words) if word in ("--store", "--profile")]
    return "".join(f" {shlex.join(pair)}" for pair in pairs)


def _writes_text(folder: Path) -> bool:
    """Whether an export is a language model: reward models and critics end in a number."""
    return any(name.endswith("ForCausalLM") for name in _document(folder / "config.json").get("architectures") or ())


def serve(folder: Path, shown: str) -> str:
    """A line for the shell. vLLM reads a folder with an adapter as the base, and as what answers to `adapted`."""
    adapter = folder / "adapter_config.json"
    if not adapter.exists():
        return f"vllm serve {shown}"
    rank = _document(adapter)["r"]
    most = next((size for size in LORA_RANKS if size >= rank), rank)
    return f"vllm serve {shown} --enable-lora --max-lora-rank {most} --lora-modules adapted={shown}"


def generate(folder: str, prompt: str) -> str:
    """A line for the shell that completes a prompt with nothing but transformers."""
    code = (
        "from transformers import AutoModelForCausalLM as M, AutoTokenizer as T; "
        f"m, t = M.from_pretrained({folder!r}), T.from_pretrained({folder!r}); "
        f"chat = [{{'role': 'user', 'content': {prompt!r}}}]; "
        "x = t.apply_chat_template(chat, add_generation_prompt=True, return_dict=True, return_tensors='pt'); "
        "print(t.decode(m.generate(**x, max_new_tokens=64)[0]))"
    )
    return f'python -c "{code}"'


def _example(graph: Graph, outcome: Outcome) -> str:
    """A prompt that an eval measured with."""
    for meaning, node in graph.nodes.items():
        if node.kind == "pass_rate" and meaning in outcome.artifacts:
            return _first_prompt(outcome.artifacts[meaning].path / "counts.parquet")
    return "Hello"


def _first_prompt(counts: Path) -> str:
    from pyarrow import parquet

    batch = next(parquet.ParquetFile(counts).iter_batches(batch_size=1, columns=["prompt"]))
    prompt = str(batch.column("prompt")[0])
    return prompt if prompt.isprintable() and '"' not in prompt and "$" not in prompt else "Hello"


def _shown(path: Path, here: Path) -> str:
    """Relative where that is shorter."""
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _document(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
