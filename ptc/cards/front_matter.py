"""What the hub reads of a card: YAML as `huggingface_hub` writes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from ptc.cards.lineage import SOURCES, bases, data, weights
from ptc.cards.measured import RATES, Measurement
from ptc.compiler.graph import Graph
from ptc.runtime.history import History
from ptc.runtime.model_folders import ADAPTER_CONFIG, read_json

TASKS = {
    "ForCausalLM": "text-generation",
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
}
"""The hub's words for what a model does, by how the name of its architecture ends."""


def task_of(folder: Path) -> str:
    """Of a folder that does not say its architecture, what most of them do."""
    named = read_json(folder / "config.json").get("architectures") or ()
    found = (task for ending, task in TASKS.items() for architecture in named if architecture.endswith(ending))
    return next(found, "text-generation")


def front_matter(history: History, model: str, folder: Path, name: str, own: Sequence[Measurement]) -> str:
    """`model` is the meaning of what is exported, `own` what was measured of it."""
    graph = history.graph
    base, task = bases(graph, model), task_of(folder)
    more: dict[str, Any] = {"base_model_relation": _relation(graph, model, folder)} if base else {}
    found = ModelCardData(
        base_model=base or None,
        datasets=[str(node.settings["name"]) for node in data(graph, model) if node.kind == "hub_dataset"] or None,
        library_name="transformers",
        pipeline_tag=task,
        tags=["ptc"],
        model_name=name if own else None,
        eval_results=[result for each in own for result in _results(graph, each, task)] or None,
        **more,
    )
    return f"---\n{found.to_yaml()}\n---\n"


def _relation(graph: Graph, model: str, folder: Path) -> str:
    if (folder / ADAPTER_CONFIG).exists():
        return "adapter"
    return "merge" if any(graph.nodes[each].kind == "merge" for each in weights(graph, model)) else "finetune"


def _results(graph: Graph, measured: Measurement, task: str) -> list[EvalResult]:
    """pass@k for each k; of other evals the one number."""
    value = measured.summary.get(measured.metric)
    told = {} if value is None else {measured.metric: value, **{f"pass@{k}": each for k, each in measured.curve}}
    source = _source(graph, measured)
    return [
        EvalResult(
            task_type=task,
            dataset_type=source,
            dataset_name=measured.eval,
            metric_type=metric,
            metric_name=f"{metric} of {measured.eval}",
            metric_value=round(100 * number, 2) if measured.node.kind in RATES else round(number, 4),
        )
        for metric, number in told.items()
    ]


def _source(graph: Graph, measured: Measurement) -> str:
    """Where an eval's prompts come from: a data set of the hub by its name there."""
    prompts = measured.node.inputs.get("prompts") or measured.node.inputs["rows"]
    for node in (graph.nodes[prompts], *data(graph, prompts)):
        if node.kind in SOURCES:
            return str(node.settings.get("name") or node.settings.get("task") or node.kind)
    return measured.eval
