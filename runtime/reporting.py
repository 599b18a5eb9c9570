"""Metrics of a stage in the trackers that the profile names: accelerate's, and those registered with it.

A tracker sees what `metrics.jsonl` holds of each step; what a stage yields does not depend on it, and no tracker can
end a stage that has begun. Each stage of a run is a run of its own there, and the same one when it is resumed.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from accelerate.tracking import (  # type: ignore[import-untyped]
    LOGGER_TYPE_TO_CLASS,
    GeneralTracker,
    get_available_trackers,
)
from accelerate.utils import LoggerType  # type: ignore[import-untyped]

from ptc.compiler.graph import Json
from ptc.runtime.artifacts import Context, InputWrong, ResourceMissing
from ptc.runtime.checkpoint import newest_step

PROJECT = "ptc"
FOLDER = "trackers"
"""In the store: where trackers that write files do so, by run and stage."""
REFUSED = {"mlflow": re.compile(r"[^\w\-. :/]")}
"""What may not stand in the name of a metric; an underscore takes its place."""

say = logging.getLogger(__name__)


@contextmanager
def reported(context: Context) -> Iterator[Context]:
    """The context, whose record of steps goes to the profile's trackers as well.

    Raises `InputWrong` for a tracker that nobody knows, `ResourceMissing` for one that cannot be started: accelerate
    leaves out one whose package is not installed without a word. One that fails later is let go.
    """
    with ExitStack() as opened:
        tellers = list[_Teller]()
        for name in _known(context.profile.report_to):
            tellers.append(_Teller(name, _started(name, context), context))
            opened.callback(tellers[-1].finish)

        def log(row: Mapping[str, Json]) -> None:
            context.log(row)
            if "step" in row and "event" not in row:
                for teller in tellers:
                    teller.tell(row)

        yield replace(context, log=log) if tellers else context


@dataclass
class _Teller:
    """Tells one tracker, as long as it listens."""

    name: str
    tracker: GeneralTracker
    context: Context
    listens: bool = True

    def tell(self, row: Mapping[str, Json]) -> None:
        named = {self._spelled(name): value for name, value in row.items() if name != "step"}
        self._try(partial(self.tracker.log, named, step=row["step"]), f"at step {row['step']}")

    def finish(self) -> None:
        self._try(self.tracker.finish, "when it was closed")

    def _spelled(self, name: str) -> str:
        return REFUSED[self.name].sub("_", name) if self.name in REFUSED else name

    def _try(self, call: Callable[[], object], when: str) -> None:
        if not self.listens:
            return
        try:
            call()
        except Exception as problem:  # noqa: BLE001  its server gone, its disk full: training goes on without it
            self.listens = False
            self.context.log({"event": "tracker_failed", "tracker": self.name, "problem": _line(problem)})
            say.warning("%s failed %s and is told no more; metrics.jsonl has all: %s", self.name, when, _line(problem))


def _known(names: list[str]) -> list[str]:
    """The trackers, each of which can be started as far as one can say before."""
    kinds: Mapping[str, type[GeneralTracker]] = LOGGER_TYPE_TO_CLASS
    for name in names:
        if name not in kinds:
            raise InputWrong(f"report_to = {name!r}: no tracker is called so; there are {', '.join(sorted(kinds))}")
        if name in LoggerType.list() and LoggerType(name) not in get_available_trackers():
            package = name.replace("_", "-")
            raise ResourceMissing(f"report_to = {name!r}: its package is not installed: pip install {package}")
    return names


def _started(name: str, context: Context) -> GeneralTracker:
    kind: type[GeneralTracker] = LOGGER_TYPE_TO_CLASS[name]
    stage = context.node.label or context.node.kind
    places = [Path(context.profile.store) / FOLDER / context.run / stage] if kind.requires_logging_directory else []
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
    try:
        tracker = kind(PROJECT, *map(str, places), **_settings(name, context.run, stage, newest_step(context.partial)))
        if name == "mlflow":
            tracker.run_id = tracker.run_id or _run_of_mlflow(tracker)
        tracker.start()
        tracker.store_init_configuration(_configuration(context))
    except Exception as problem:  # it may ask a server, a key or a database for anything
        raise ResourceMissing(
            f"report_to = {name!r}: it cannot be started ({_line(problem)}): mend that, or leave it out"
        ) from problem
    return tracker


def _settings(name: str, run: str, stage: str, step: int) -> dict[str, Any]:
    """What one of accelerate's trackers is told about the run, so that a resumed stage goes on in what it wrote before.

    `step`: of the checkpoint from which it goes on; what was told of later steps is told again.
    """
    own = f"{run}-{stage}" if run else stage
    match name:
        case "wandb":
            identity = re.sub(r"[^\w\-]", "-", own)
            return {"name": own, "id": identity, "resume": "allow", "group": run or stage}
        case "trackio":
            return {"name": own, "resume": "allow", "group": run or stage}
        case "mlflow":
            return {"run_name": own}
        case "tensorboard":
            return {"purge_step": step + 1} if step else {}
        case _:
            return {}


def _run_of_mlflow(tracker: GeneralTracker) -> str | None:
    """The run of this name, if there is one: mlflow gives out identities of its own."""
    import mlflow

    named = f"attributes.run_name = '{tracker.run_name}'"
    found = mlflow.search_runs(
        experiment_names=[tracker.experiment_name], filter_string=named, output_format="list", max_results=1
    )
    return str(found[0].info.run_id) if found else None


def _configuration(context: Context) -> dict[str, Any]:
    node = context.node
    return {"run": context.run, "stage": node.label, **flat(node.settings, node.names)}


def flat(settings: Mapping[str, Json], names: Mapping[str, str]) -> dict[str, Any]:
    """Settings as numbers and texts under one name each, models and sources called as in the program.

    Trees of operations (objectives, conditions of rows) are left out.
    """
    found: dict[str, Any] = {}
    for name, value in settings.items():
        called = names.get(name, name)
        if isinstance(value, Mapping) and "args" not in value:
            found |= {f"{called}/{inner}": one for inner, one in flat(value, names).items()}
        elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
            own = flat({str(place): one for place, one in enumerate(value)}, names)
            found |= {f"{called}/{inner}": one for inner, one in own.items()}
        elif isinstance(value, str):
            found[called] = names.get(value, value)
        elif isinstance(value, bool | int | float):
            found[called] = value
        elif isinstance(value, list) and value:
            found[called] = json.dumps(value)
    return found


def _line(problem: Exception) -> str:
    return f"{type(problem).__name__}: {' '.join(str(problem).split())[:300]}"
