"""The card of one export: what it is, where it comes from, what was claimed and measured, what it cost.

The same facts as the report's, and no clock, run or path of the machine: a second run writes the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from ptc.cards import lineage
from ptc.cards.front_matter import front_matter, task_of
from ptc.cards.markdown import code, fenced, table
from ptc.cards.measured import Measurement, measurements, verdicts
from ptc.compiler.graph import Node
from ptc.runtime import bills
from ptc.runtime.costs import NOTHING
from ptc.runtime.history import History
from ptc.runtime.ledger import ledger, lines
from ptc.runtime.model_folders import ADAPTER_CONFIG, parameter_count

CLASSES = {
    "text-generation": "AutoModelForCausalLM",
    "text-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
}


def card(history: History, meaning: str, folder: Path) -> str:
    """Of the export node `meaning`, whose copy stands in `folder`."""
    model = history.graph.nodes[meaning].inputs["model"]
    found = measurements(history)
    own = [each for each in found if each.node.inputs["model"] == model]
    name = PurePath(str(history.graph.nodes[meaning].settings["path"])).name
    parts = [
        f"# {code(name)}",
        _what(history, model, folder),
        _loading(folder),
        *_section("Claims", _claims(history)),
        *_section("Evals", _evals(found, own)),
        *_section("Ledger", _ledger(history)),
        *_section("Lineage", _lineage(history, model)),
        *_section("Data", _data(history, model)),
        *_section("Cost", _cost(history)),
        *_section("What the checker said", _findings(history)),
        *_section("Program", _program(history, model)),
    ]
    return front_matter(history, model, folder, name, own) + "\n" + "\n\n".join(parts) + "\n"


def _section(title: str, parts: Iterator[str]) -> list[str]:
    """Nothing where there is nothing to say."""
    found = list(parts)
    return [f"## {title}", *found] if found else []


def _what(history: History, model: str, folder: Path) -> str:
    node = history.graph.nodes[model]
    count = parameter_count(folder)
    kind = {"text-generation": "language model", "text-classification": "model that scores texts"}
    adapter = ", with an adapter over its base" if (folder / ADAPTER_CONFIG).exists() else ""
    what = kind.get(task_of(folder), "model that scores tokens")
    return (
        f"{code(node.label or node.kind)}: a {what} of {count:,} parameters{adapter}, made by `ptc` "
        f"{_version(history)} from the program below."
    )


def _version(history: History) -> str:
    return code(str(history.info.get("environment", {}).get("ptc") or "of an unknown version"))


def _loading(folder: Path) -> str:
    kind = CLASSES[task_of(folder)]
    lines = [
        f"from transformers import {kind}, AutoTokenizer",
        "",
        'folder = "."  # this folder',
        f"model = {kind}.from_pretrained(folder)",
        "tokenizer = AutoTokenizer.from_pretrained(folder)",
    ]
    if kind == "AutoModelForCausalLM":
        lines += [
            'chat = [{"role": "user", "content": "Hello"}]',
            "inputs = tokenizer.apply_chat_template(",
            '    chat, add_generation_prompt=True, return_dict=True, return_tensors="pt"',
            ")",
            "print(tokenizer.decode(model.generate(**inputs, max_new_tokens=64)[0]))",
        ]
    return "## How to load it\n\n" + fenced("\n".join(lines), "python")


def _claims(history: History) -> Iterator[str]:
    claims, gates = list(verdicts(history, "claim")), list(verdicts(history, "gate"))
    if claims:
        yield table(
            ["stage", "claims", "verdict", "prompts"],
            (
                [
                    code(node.names["stage"]),
                    code(f"{node.names['role']} {node.names['eval']}"),
                    f"**{code(found['verdict'])}**",
                    str(found["prompts"]),
                ]
                for node, found in claims
            ),
        )
    words = [f"{node.names['stage']}: {found['words']}" for node, found in claims]
    words += [f"{node.label}: {found['words']}" for node, found in gates]
    if words:
        yield fenced("\n".join(words))
        yield "\n".join(f"* {code(node.label)}: {_intervals(found)}" for node, found in claims)
        yield "Intervals are 95 % over prompts, of one training run: how much another seed would differ is not in them."


def _intervals(found: Any) -> str:
    told = (
        f"{code(name)} {each['value']:.4g} [{each['low']:.4g}, {each['high']:.4g}]"
        for name, each in found["intervals"].items()
    )
    return "; ".join(told)


def _evals(found: list[Measurement], own: list[Measurement]) -> Iterator[str]:
    if found:
        yield table(
            ["eval", "model", "", "prompts", "pass@k"],
            (
                [
                    code(each.eval),
                    f"**{code(each.model)}**" if each in own else code(each.model),
                    f"{each.metric} {each.words}",
                    str(each.summary["prompts"]),
                    ", ".join(f"{k}: {100 * value:.1f}%" for k, value in each.curve),
                ]
                for each in found
            ),
        )
        yield "This model's are in bold." if own else "Nothing was measured of this model itself."


def _ledger(history: History) -> Iterator[str]:
    told = list(lines(ledger(history.graph, history.artifacts)))
    if told:
        yield "What every stage did to each eval, and what it undid:"
        yield fenced("\n".join(told))


def _lineage(history: History, model: str) -> Iterator[str]:
    graph, said = history.graph, lineage.objectives(history)
    own, rows = lineage.weights(graph, model), []
    for meaning, node in lineage.models(graph, model):
        called = code(node.label or node.kind)
        rows.append([f"**{called}**" if meaning in own else called, *_made(history, node, said)])
    yield table(["model", "made by", "learns from, and beside", "budget"], rows)
    yield "In bold: what the weights of this model have been, from the first to the last."


def _made(history: History, node: Node, said: Mapping[str, list[str]]) -> list[str]:
    if node.kind != "train":
        return [code(f"{node.kind} {lineage.origin(node)}"), "", ""]
    learned = [*lineage.learned_from(history.graph, node), *lineage.beside(history.graph, node)]
    return ["; ".join(map(code, said.get(node.label, []))), ", ".join(map(code, learned)), _budget(node)]


def _budget(node: Node) -> str:
    budget = node.settings["budget"]
    return f"{budget['count']:g} {budget['unit']}"


def _data(history: History, model: str) -> Iterator[str]:
    digests = {
        id(node): history.artifacts[meaning].digest
        for meaning, node in history.graph.nodes.items()
        if meaning in history.artifacts
    }
    rows = [
        [
            code(node.label or node.kind),
            code(node.kind),
            code(lineage.origin(node)),
            code(lineage.pinned(node, digests.get(id(node)))[:16]),
        ]
        for node in lineage.data(history.graph, model)
    ]
    if rows:
        yield table(["name", "kind", "what", "pinned"], rows)


def _cost(history: History) -> Iterator[str]:
    told = list(bills.lines(history.graph, history.artifacts, history.provenance))
    if bills.measuring(history.graph, history.provenance).whole != NOTHING:
        yield fenced("\n".join(told))
        yield "Of the whole run: its other models and all measuring are in it. A teraflop is 10¹² operations."


def _findings(history: History) -> Iterator[str]:
    said = [(each, "") for each in history.info.get("findings", ())]
    said += [(each, ", allowed by the program") for each in history.info.get("accepted", ())]
    if said:
        yield fenced(
            "\n".join(f"{each['severity']}[{each['code']}{allowed}]: {each['title']}" for each, allowed in said)
        )


def _program(history: History, model: str) -> Iterator[str]:
    files = history.info.get("files", {})
    if files:
        digests = ((PurePath(path).name, hashlib.sha256(text.encode()).hexdigest()) for path, text in files.items())
        yield table(["file", "SHA-256"], ([code(name), code(digest)] for name, digest in digests))
    versions = history.provenance.get(model, {}).get("versions", {})
    if versions:
        yield "Libraries: " + ", ".join(code(f"{name} {version}") for name, version in versions.items()) + "."
    yield f"Meaning of the model (digest of everything that decides it): {code(model)}"
