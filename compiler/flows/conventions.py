"""Columns as data sets bring them: the usual conventions, and adapters to the layouts of other trainers.

TRL's names are understood where a source begins. What another trainer lays out in its own way is taken apart by a step
that is named after it, so that a reader sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ptc.compiler import core
from ptc.compiler.findings import at
from ptc.compiler.flows.step import RESPONDED, Step, with_types
from ptc.compiler.rows import ordered

IMPLIED: tuple[tuple[frozenset[str], tuple[str, ...]], ...] = (
    (frozenset({"messages"}), ("prompt", "response")),
    (frozenset({"completion"}), ("response",)),
    (frozenset({"chosen", "rejected"}), ("prompt",)),
    (frozenset({"completions", "labels"}), ("steps", "step_labels")),
)
"""Columns that are there, and what they are read as."""

TYPES = {"messages": "Messages", "completions": "List", "labels": "List", "steps": "List", "step_labels": "List"}


def implied(columns: frozenset[str]) -> frozenset[str]:
    """The columns that a data set has by convention, its own included."""
    found = set(columns)
    for given, brought in IMPLIED:
        if given <= columns:
            found.update(brought)
    return frozenset(found)


def outside(columns: frozenset[str], by: str | None, open: bool = False) -> core.Trajectories:
    """The type of rows from outside: external if they hold responses, or somebody is said to have written them."""
    responded = bool(columns & RESPONDED) or open or by is not None
    whole = implied(columns)
    types = tuple((name, kind) for name, kind in TYPES.items() if name in whole)
    return core.Trajectories(
        ordered(set(whole)), core.External(by) if responded else None, open=open, column_types=types
    )


@dataclass(frozen=True)
class Adapter:
    """The columns that a layout must have, and what becomes of them; others ride along."""

    layout: str
    wanted: tuple[str, ...]
    taken: tuple[str, ...]
    """Columns that are not there afterwards."""
    brought: Mapping[str, str]
    """Columns afterwards, with their types."""
    responds: bool = False
    """Whether the rows hold responses."""


ADAPTERS = {
    "from_verl": Adapter(
        "verl",
        ("data_source", "prompt", "ability", "reward_model", "extra_info"),
        ("reward_model", "extra_info"),
        {"prompt": "Messages", "answer": "Text"},
    ),
    "from_open_instruct": Adapter(
        "open-instruct",
        ("messages", "ground_truth", "dataset"),
        ("messages", "ground_truth", "response"),
        {"prompt": "Messages", "answer": "Text"},
    ),
    "from_sharegpt": Adapter(
        "ShareGPT",
        ("conversations",),
        ("conversations",),
        {"messages": "Messages", "prompt": "Messages", "response": "Text"},
        responds=True,
    ),
}


def adapted(step: Step) -> core.Source | None:
    """The rows of another trainer's layout with the names of this language."""
    adapter = ADAPTERS[step.name]
    missing = [column for column in adapter.wanted if not step.type.has(column)]
    if missing:
        names = " and ".join(f"`{column}`" for column in missing)
        step.findings.add(
            "T101",
            f"rows as {adapter.layout} lays them out have {names}, and these have not",
            [at(step.call.span, f"wants {adapter.layout}'s columns"), at(step.rows.span, "the rows come from here")],
            [
                f"wanted: {', '.join(f'`{column}`' for column in adapter.wanted)}",
                f"   has: {', '.join(f'`{column}`' for column in step.type.columns)}",
            ],
            ["|> prompts(.question, answer = .answer)"],
        )
        return None
    author = step.type.provenance or core.External()
    stated = isinstance(author, core.External) and author.by is not None
    kind = replace(
        step.type,
        columns=ordered((set(step.type.columns) - set(adapter.taken)) | set(adapter.brought)),
        provenance=author if adapter.responds or stated else None,
        column_types=with_types(step.type, {**dict.fromkeys(adapter.taken), **adapter.brought}),
    )
    return step.made(kind, {})
