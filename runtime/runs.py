"""Runs: one folder per run of a program, continued by the next `ptc run` if it was interrupted, and their listing."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from ptc.compiler.graph import Graph, Json
from ptc.compiler.graph_document import to_document
from ptc.runtime.environment import environment
from ptc.runtime.fsio import disk_full, is_disk_full
from ptc.runtime.journal import Event, Journal, JournalDamaged, first_event, read
from ptc.runtime.store import Locked, Store

RunState = Literal["running", "done", "failed", "interrupted", "damaged"]

GRAPH, INFO = "graph.json", "run.json"
"""The files of a run's folder that say what was run."""

_RESUMABLE = frozenset({5, 6, 130})
_BALLAST = 1 << 20
"""Bytes set aside so that a run that fills the disk can still close its journal."""


@dataclass(frozen=True)
class RunSummary:
    """A line of `ptc runs`. `started` is Unix time in seconds; `exit_code` is None while it runs and after a crash."""

    id: str
    label: str
    program: str
    started: float
    state: RunState
    exit_code: int | None
    attempts: int
    """How often the program was started for this run."""
    folder: Path


class RunFolder:
    """``runs/<id>/`` while its run goes on: the journal, ``metrics.jsonl``, and the log."""

    def __init__(self, store: Store, path: Path, label: str, program: str) -> None:
        self._store = store
        self.path = path
        self.id = path.name
        path.mkdir(exist_ok=True)
        store.disk.sync(path.parent)
        self.journal = Journal(path / "events.jsonl", store.disk)
        starts = [event for event in self.journal.earlier if event.type == "RUN_STARTED"]
        self.attempt = len(starts) + 1
        self._metrics = _open_lines(path / "metrics.jsonl")
        self._log = (path / "run.log").open("a", encoding="utf-8", buffering=1)
        store.disk.remove(path / "ballast")
        store.disk.write(path / "ballast", bytes(_BALLAST))
        self.journal.append("RUN_STARTED", attempt=self.attempt, data=_start(label, program))

    def describe(self, graph: Graph, info: Mapping[str, Json]) -> None:
        """Keeps what is run, whole: a run is read long after its program has changed (`runtime.history`)."""
        for name, document in ((GRAPH, to_document(graph)), (INFO, {**info, "environment": environment()})):
            content = json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"
            self._store.disk.replace(self.path / name, content, self.path / f"{name}.fresh")

    def node_attempts(self, node: str) -> int:
        """How often the node was begun in this run before now."""
        return max((event.attempt for event in self.journal.earlier if _began(event, node)), default=0)

    def metrics(self, row: Mapping[str, Json]) -> None:
        """One row of ``metrics.jsonl``, handed to the system whole and at once: what ended before a kill is there."""
        os.write(self._metrics, json.dumps({"t": round(time.time(), 3), **row}).encode() + b"\n")

    def say(self, line: str) -> None:
        """One line of ``run.log``."""
        self._log.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {line}\n")

    def trace(self, text: str) -> Path:
        """Keeps the traceback of a bug; where it stands."""
        path = self.path / f"trace-{self.attempt}.txt"
        path.write_text(text, encoding="utf-8")
        return path

    def finish(self, exit_code: int, message: str) -> None:
        """The last event. The ballast goes first: the disk may be full."""
        self._store.disk.remove(self.path / "ballast")
        self.journal.append("RUN_FINISHED", attempt=self.attempt, data={"exit_code": exit_code, "message": message})

    def close(self) -> None:
        self._store.disk.remove(self.path / "ballast")
        self.journal.close()
        self._log.close()
        os.close(self._metrics)


@contextmanager
def open_run(store: Store, label: str, program: str) -> Iterator[RunFolder]:
    """The folder to run in: the program's newest run if it was interrupted and nobody goes on with it, or a new one."""
    with ExitStack() as stack:
        folder = _interrupted(store, program)
        if folder is None or not _claim(stack, store, folder):
            folder = store.runs_folder() / f"{datetime.now():%Y%m%d-%H%M%S}-{_word(label)}-{os.urandom(2).hex()}"
            stack.enter_context(store.lock(f"run-{folder.name}", timeout=1.0))
        try:
            run = RunFolder(store, folder, label, program)
        except OSError as error:
            if is_disk_full(error):
                raise disk_full(store.root) from error
            raise
        yield stack.enter_context(closing(run))


def runs(store: Store) -> list[RunSummary]:
    """All runs of a store, newest first."""
    found = [summary(store, path.parent) for path in store.runs_folder().glob("*/events.jsonl")]
    return sorted(found, key=lambda each: (each.started, each.id), reverse=True)  # a second may see several begin


def _claim(stack: ExitStack, store: Store, folder: Path) -> bool:
    try:
        stack.enter_context(store.lock(f"run-{folder.name}", timeout=1.0))
    except Locked:  # somebody else goes on with it
        return False
    return True


def _interrupted(store: Store, program: str) -> Path | None:
    """The program's newest run, if it did not come to an end of its own."""
    for path in sorted(store.runs_folder().glob("*/events.jsonl"), reverse=True):
        first = first_event(path)
        if first is not None and first.data.get("program") == program:
            newest = summary(store, path.parent)
            return newest.folder if newest.state == "interrupted" else None
    return None


def summary(store: Store, folder: Path) -> RunSummary:
    """The line of one run."""
    try:
        events = read(folder / "events.jsonl").events
    except JournalDamaged:
        return RunSummary(folder.name, "", "", folder.stat().st_mtime, "damaged", None, 0, folder)
    starts = [event for event in events if event.type == "RUN_STARTED"]
    if not starts:
        return RunSummary(folder.name, "", "", folder.stat().st_mtime, "interrupted", None, 0, folder)
    first, last = starts[0], events[-1]
    exit_code = int(last.data["exit_code"]) if last.type == "RUN_FINISHED" else None
    label, program = str(first.data["label"]), str(first.data["program"])
    state = _state(store, folder, exit_code)
    return RunSummary(folder.name, label, program, first.t, state, exit_code, len(starts), folder)


def _state(store: Store, folder: Path, exit_code: int | None) -> RunState:
    if exit_code is None:
        return "running" if store.is_locked(f"run-{folder.name}") else "interrupted"
    if exit_code == 0:
        return "done"
    return "interrupted" if exit_code in _RESUMABLE else "failed"


def _began(event: Event, node: str) -> bool:
    return event.type == "RUNNING" and event.node == node


def _open_lines(path: Path) -> int:
    """Opens a file of lines to append to. A last line that a crash cut short is removed."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    content = path.read_bytes()
    os.ftruncate(descriptor, content.rfind(b"\n") + 1)
    return descriptor


def _start(label: str, program: str) -> dict[str, Json]:
    return {"label": label, "program": program, "process": os.getpid()}


def _word(label: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in label)[:40].strip("-") or "run"
