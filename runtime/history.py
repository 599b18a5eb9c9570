"""A run as it can be read afterwards, or while it goes on: its graph, what came of each node, and what was logged.

Everything comes from the run's folder and the store: the program may have changed, or be gone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ptc.compiler.graph import Graph, Json
from ptc.compiler.graph_document import from_document
from ptc.runtime.artifacts import Artifact, InputWrong
from ptc.runtime.journal import Event, read
from ptc.runtime.manifest import Damage
from ptc.runtime.runs import GRAPH, INFO, RunState, RunSummary, runs, summary
from ptc.runtime.store import Store


@dataclass(frozen=True)
class Running:
    """The node that a run is at."""

    meaning: str
    attempt: int
    since: float
    """Unix time in seconds."""
    done: int = 0
    total: int | None = None
    unit: str = ""


@dataclass(frozen=True)
class History:
    """A run, read at one moment."""

    summary: RunSummary
    graph: Graph
    info: Mapping[str, Json]
    """``run.json``: the program's path and files, settings, profile, findings, command, environment."""
    artifacts: Mapping[str, Artifact]
    """Of what was sealed or reused so far, by meaning, as far as the store still has it."""
    lost: Mapping[str, str]
    """What the store had and has no more, by meaning, and why."""
    keys: Mapping[str, str]
    """The key of each node that came to an end, by meaning."""
    reused: frozenset[str]
    """Meanings of what another run had made."""
    provenance: Mapping[str, Mapping[str, Json]]
    """Of each of `keys`: what its action says of run, seconds, cost, …"""
    running: Running | None
    failed: str
    """Meaning of the node that a run failed or was stopped at; empty otherwise."""
    message: str
    """The line that the run ended with; empty if all went well or it goes on."""
    ended: float | None
    """Unix time in seconds of the last thing that the run wrote; None while it goes on."""
    _runs: Path
    _journals: dict[str, tuple[Event, ...]] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.summary.folder

    @property
    def id(self) -> str:
        return self.summary.id

    @property
    def state(self) -> RunState:
        return self.summary.state

    @property
    def exit_code(self) -> int | None:
        return self.summary.exit_code

    @property
    def started(self) -> float:
        return self.summary.started

    def rows(self, meaning: str) -> list[dict[str, Json]]:
        """Rows of ``metrics.jsonl`` of a node, from the run that made it, each step once: the latest attempt counts.

        Another run may know the node under another meaning, where its inputs were made differently with the same bytes;
        its journal says which node had this key.
        """
        run = str(self.provenance.get(meaning, {}).get("run") or self.id)
        there = meaning if run == self.id else self._meaning_in(run, self.keys[meaning])
        return _each_step_once(self._metrics(run).get(there, []))

    def _meaning_in(self, run: str, key: str) -> str:
        sealed = (event.node for event in self._journal(run) if event.type == "SEALED" and event.data["key"] == key)
        return next(sealed, "")

    def _journal(self, run: str) -> tuple[Event, ...]:
        path = self._runs / run / "events.jsonl"
        if run not in self._journals:
            self._journals[run] = read(path).events if path.is_file() else ()
        return self._journals[run]

    def _metrics(self, run: str) -> dict[str, list[dict[str, Json]]]:
        if run not in self._read:
            self._read[run] = _by_node(self._runs / run / "metrics.jsonl")
        return self._read[run]

    @cached_property
    def _read(self) -> dict[str, dict[str, list[dict[str, Json]]]]:
        return {}


def history(store: Store, folder: Path) -> History:
    """Reads the run in a folder. Raises `InputWrong` for a folder without one, or whose graph was not kept."""
    if not (folder / "events.jsonl").is_file():
        raise InputWrong(f"{folder}: not the folder of a run; `ptc runs` lists them")
    graph, info = _graph(folder), _json(folder / INFO)
    events = read(folder / "events.jsonl").events
    ended = [event for event in events if event.type in ("SEALED", "REUSED") and event.node in graph.nodes]
    keys = {event.node: str(event.data["key"]) for event in ended}
    digests = {event.node: str(event.data["artifact"]) for event in ended}
    artifacts, lost = _artifacts(store, digests)
    about = summary(store, folder)
    running = _running(events, keys) if about.state == "running" else None
    return History(
        summary=about,
        graph=graph,
        info=info,
        artifacts=artifacts,
        lost=lost,
        keys=keys,
        reused=frozenset(event.node for event in ended if event.type == "REUSED") - _sealed(ended),
        provenance={meaning: _provenance(store, key) for meaning, key in keys.items()},
        running=running,
        failed="" if running else _failed(events),
        message=str(events[-1].data["message"]) if events and events[-1].type == "RUN_FINISHED" else "",
        ended=None if running or about.state == "running" or not events else events[-1].t,
        _runs=folder.parent,
    )


def find(store: Store, word: str | None) -> Path:
    """The folder of a run by its id, the beginning of its id, its folder, or its program's file (the newest run of it).

    Without a word, the newest run of the store. Raises `InputWrong` where none or several are meant.
    """
    known = sorted(runs(store), key=lambda each: each.started, reverse=True)
    if not known:
        raise InputWrong(f"no runs in {store.root}: `ptc run` makes one, and --store names another store")
    if word is None:
        return known[0].folder
    if (Path(word) / "events.jsonl").is_file():
        return Path(word).absolute()
    if Path(word).suffix == ".pt":
        return _newest_of(known, Path(word), store)
    meant = [each.folder for each in known if each.id.startswith(word)]
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise InputWrong(f"{len(meant)} runs begin with `{word}`: {', '.join(path.name for path in meant[:4])} …")
    raise InputWrong(f"there is no run `{word}` in {store.root}; the newest is {known[0].id}, `ptc runs` lists all")


def _newest_of(known: Iterable[RunSummary], program: Path, store: Store) -> Path:
    for each in known:
        path = _json(each.folder / INFO).get("path")
        same = Path(path).resolve() == program.resolve() if path else each.label == program.stem
        if same:
            return each.folder
    raise InputWrong(f"there is no run of {program} in {store.root}: `ptc run {program}` makes one")


# Reading --------------------------------------------------------------------------------------------------------------


def _graph(folder: Path) -> Graph:
    try:
        return from_document(json.loads((folder / GRAPH).read_bytes()))
    except FileNotFoundError:
        raise InputWrong(
            f"run {folder.name} kept no graph: it was made by an earlier version of ptc, or ended before its first "
            "node; `ptc run` of its program reuses what it made, and that run can be read"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputWrong(
            f"{folder / GRAPH} cannot be read ({error}); `ptc run` of its program writes it anew"
        ) from None


def _json(path: Path) -> dict[str, Json]:
    """A document of a run; empty where there is none."""
    try:
        document: dict[str, Json] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    return document


def _artifacts(store: Store, digests: Mapping[str, str]) -> tuple[dict[str, Artifact], dict[str, str]]:
    artifacts: dict[str, Artifact] = {}
    lost: dict[str, str] = {}
    for meaning, digest in digests.items():
        try:
            artifacts[meaning] = store.glance(digest)
        except Damage as damage:
            lost[meaning] = str(damage)
    return artifacts, lost


def _provenance(store: Store, key: str) -> Mapping[str, Json]:
    try:
        action = store.action(key)
    except Damage:
        return {}
    return action.provenance if action is not None else {}


def _sealed(events: Iterable[Event]) -> frozenset[str]:
    """A run that was interrupted finds again what it made itself."""
    return frozenset(event.node for event in events if event.type == "SEALED")


def _running(events: Iterable[Event], done: Mapping[str, str]) -> Running | None:
    found: Running | None = None
    for event in events:
        if event.type == "RUN_STARTED":
            found = None
        elif event.type == "RUNNING":
            found = Running(event.node, event.attempt, event.t)
        elif event.type == "PROGRESS" and found is not None and event.node == found.meaning:
            found = Running(found.meaning, found.attempt, found.since, **event.data)
    return found if found is not None and found.meaning not in done else None


def _failed(events: tuple[Event, ...]) -> str:
    """The node of the last attempt's end, if that was no good one."""
    for event in reversed(events):
        if event.type in ("FAILED", "PREEMPTED"):
            return event.node
        if event.type in ("SEALED", "REUSED", "RUN_STARTED"):
            return ""
    return ""


def _by_node(path: Path) -> dict[str, list[dict[str, Json]]]:
    found: dict[str, list[dict[str, Json]]] = {}
    for row in _lines(path):
        found.setdefault(str(row["node"]), []).append(row)
    return found


def _lines(path: Path) -> Iterator[dict[str, Json]]:
    """The rows of a file; a last line that a crash cut short is left out."""
    if not path.is_file():
        return
    lines = path.read_bytes().split(b"\n")
    for line in lines[:-1]:
        yield json.loads(line)


def _each_step_once(rows: list[dict[str, Json]]) -> list[dict[str, Json]]:
    """A stage that went on from a checkpoint logs the steps behind it again: what an earlier attempt said goes."""
    kept: list[dict[str, Json]] = []
    attempt = None
    for row in rows:
        if row["attempt"] != attempt:
            attempt, first = row["attempt"], row.get("step")
            if first is not None:
                first += row.get("event") == "resumed"  # which names the last step that is kept
                kept = [one for one in kept if one.get("step") is None or one["step"] < first]
        kept.append(row)
    return kept
