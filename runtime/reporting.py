"""Metrics of a stage in the trackers that the profile names: accelerate's, and those registered with it.

A tracker sees what `metrics.jsonl` holds; what a stage yields does not depend on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate.tracking import (  # type: ignore[import-untyped]
    LOGGER_TYPE_TO_CLASS,
    GeneralTracker,
    get_available_trackers,
)
from accelerate.utils import LoggerType  # type: ignore[import-untyped]

from ptc.compiler.graph import Json, Node
from ptc.runtime.artifacts import Context, InputWrong, ResourceMissing
from ptc.runtime.profile import Profile

PROJECT = "ptc"
FOLDER = "trackers"
"""In the store: where trackers that write files do so, by stage."""
RUN_NAME = {"wandb": "name", "trackio": "name"}
"""What a tracker with projects calls the name of a run in one."""


@contextmanager
def reported(context: Context) -> Iterator[Context]:
    """The context, whose record goes to the profile's trackers as well.

    Raises `InputWrong` for a tracker that nobody knows, `ResourceMissing` for one whose package is not installed:
    accelerate leaves it out without a word.
    """
    trackers = [_started(name, context.node, context.profile) for name in context.profile.report_to]

    def log(row: Mapping[str, Json]) -> None:
        context.log(row)
        if "step" in row:
            values = {name: value for name, value in row.items() if name != "step"}
            for tracker in trackers:
                tracker.log(values, step=row["step"])

    try:
        yield replace(context, log=log) if trackers else context
    finally:
        for tracker in trackers:
            tracker.finish()


def _started(name: str, node: Node, profile: Profile) -> GeneralTracker:
    kinds: Mapping[str, type[GeneralTracker]] = LOGGER_TYPE_TO_CLASS
    if name not in kinds:
        raise InputWrong(f"report_to = {name!r}: no tracker is called so; there are {', '.join(sorted(kinds))}")
    if name in LoggerType.list() and LoggerType(name) not in get_available_trackers():
        raise ResourceMissing(
            f"report_to = {name!r}: its package is not installed: pip install {name.replace('_', '-')}"
        )
    kind = kinds[name]
    stage = node.label or node.kind
    places = [str(Path(profile.store) / FOLDER / stage)] if kind.requires_logging_directory else []
    if places:
        Path(places[0]).mkdir(parents=True, exist_ok=True)
    tracker = kind(PROJECT, *places, **({RUN_NAME[name]: stage} if name in RUN_NAME else {}))
    tracker.start()
    tracker.store_init_configuration(flat(node.settings))
    return tracker


def flat(settings: Mapping[str, Json], prefix: str = "") -> dict[str, Any]:
    """Settings as numbers and texts under one name each; objectives, which are trees, are left out."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}/")
        elif isinstance(value, bool | int | float | str):
            found[prefix + name] = value
    return found
