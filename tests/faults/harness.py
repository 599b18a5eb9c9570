"""Runs a command in a process of its own, kills it at a chosen moment, and counts what that cost.

Everything is read from the journals in the store: nothing has to be told to the program under test.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from ptc.runtime.journal import Event, read
from ptc.runtime.keys import difference, nearest
from ptc.runtime.store import Store

Happened = Callable[[Event], bool]


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code (negative: the signal), and what it printed."""

    code: int
    output: str


class Running(Protocol):
    """A process that leads a group of its own."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """Its exit code if it has ended."""

    def wait(self, seconds: float) -> Ended:
        """Waits for its end; kills it and raises `AssertionError` when that takes longer."""


class Startable(Protocol):
    """What can be run, again and again."""

    def start(self) -> Running: ...


@dataclass(frozen=True)
class Command:
    """What is run: arguments, environment on top of this process's, folder, and how long it may take, in seconds."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: Path

    def start(self) -> Process:
        return Process(
            subprocess.Popen(
                self.arguments,
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        )


class Process:
    """A started `Command`."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self.pid = popen.pid

    def poll(self) -> int | None:
        return self._popen.poll()

    def wait(self, seconds: float) -> Ended:
        try:
            output, _ = self._popen.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            output, _ = self._popen.communicate(timeout=60)
            raise AssertionError(f"still running after {seconds} s:\n{output.decode(errors='replace')}") from None
        return Ended(self._popen.returncode, output.decode(errors="replace"))


class Zygote:
    """Starts `ptc` without its start-up time: see `zygote.py`. One run at a time."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("zygote.py"))],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    def fork(self, arguments: Sequence[str], folder: Path) -> Forked:
        assert self._popen.stdin is not None and self._popen.stdout is not None
        output = folder / "output.txt"
        output.unlink(missing_ok=True)
        wanted = {"arguments": list(arguments), "folder": str(folder), "output": str(output)}
        self._popen.stdin.write(json.dumps(wanted).encode() + b"\n")
        return Forked(int(self._popen.stdout.readline()), self._popen.stdout, output)

    def close(self) -> None:
        self._popen.kill()
        self._popen.wait(timeout=60)


class Forked:
    """A run of `ptc` in a child of the zygote."""

    def __init__(self, pid: int, answers: IO[bytes], output: Path) -> None:
        self.pid = pid
        self._answers = answers
        self._output = output
        self._code: int | None = None

    def poll(self, seconds: float = 0.0) -> int | None:
        if self._code is None and select.select([self._answers], [], [], seconds)[0]:
            self._code = int(self._answers.readline())
        return self._code

    def wait(self, seconds: float) -> Ended:
        code = self.poll(seconds)
        output = self._output.read_text(errors="replace") if self._output.exists() else ""
        if code is None:
            os.killpg(self.pid, signal.SIGKILL)
            raise AssertionError(f"still running after {seconds} s:\n{output}")
        return Ended(code, output)


@dataclass(frozen=True)
class ForkedCommand:
    """`ptc` with these arguments, started by a zygote."""

    zygote: Zygote
    arguments: Sequence[str]
    folder: Path

    def start(self) -> Forked:
        return self.zygote.fork(self.arguments, self.folder)


@dataclass(frozen=True)
class Moment:
    """`delay` seconds after the `nth` event, counted from the start of the process, for which `happened` holds."""

    happened: Happened
    nth: int = 1
    delay: float = 0.0


@dataclass(frozen=True)
class Tally:
    """What all runs in a store did together."""

    attempts: Mapping[str, int]
    """Key to how often its node was begun."""
    reruns_of_finished: int
    """Nodes begun although their artifact was published."""
    repeated_steps: Sequence[int]
    """For each training attempt that followed another: steps begun in it that had been begun before."""


def run(command: Startable, seconds: float = 600.0) -> Ended:
    """Runs to the end."""
    return command.start().wait(seconds)


def run_and_signal(
    command: Startable, store: Path, moment: Moment, number: int = signal.SIGKILL, seconds: float = 600.0
) -> Ended:
    """Runs, sends the signal to the whole group at that moment, and waits. Without that moment it runs to the end."""
    watch = _Watch(store)
    process = command.start()
    deadline = time.monotonic() + seconds
    count = 0
    while process.poll() is None and time.monotonic() < deadline:
        count += sum(1 for event in watch.fresh() if moment.happened(event))
        if count >= moment.nth:
            time.sleep(moment.delay)
            break
        time.sleep(0.001)
    if process.poll() is None:
        os.killpg(process.pid, number)
    return process.wait(60.0)


def node_event(type: str, node: str) -> Happened:
    """Events of a type at nodes of this label or kind (``train``, ``sample``)."""
    nodes: set[str] = set()

    def happened(event: Event) -> bool:
        if event.type == "RUNNING" and node in (event.data["label"], event.data["kind"]):
            nodes.add(event.node)
        return event.type == type and event.node in nodes

    return happened


def digests(store: Path) -> dict[str, str]:
    """Key to artifact digest, of everything published that verifies."""
    opened = Store(store, create=False)
    return {key: opened.open(action.artifact).digest for key, action in opened.actions()}


@dataclass
class _Attempt:
    """Steps of one attempt at a training stage: done before it began, and done when it was last heard of."""

    resumed: int
    done: int
    total: int | None = None

    @property
    def begun(self) -> set[int]:
        """Numbers, from 1, of the steps begun; the one behind the last done was on its way, or being saved."""
        last = self.done if self.done == self.total else self.done + 1
        return set(range(self.resumed + 1, last + 1))


def unlike(store: Path, other: Path) -> list[str]:
    """For each published node of `store` that `other` has not with equal bytes: what it is, and how its key differs."""
    theirs = digests(other)
    others = [action.key_document for _, action in Store(other, create=False).actions()]
    lines = []
    for key, action in Store(store, create=False).actions():
        if theirs.get(key) != action.artifact:
            old = nearest(action.key_document, others)
            differing = "; ".join(difference(action.key_document, old)) if old else "no such node"
            lines.append(f"{action.provenance['label']} ({action.key_document['kind']}): {differing or 'other bytes'}")
    return lines


def tally(store: Path) -> Tally:
    """Counts over all journals of a store, in order of time."""
    attempts: dict[str, int] = {}
    sealed: set[str] = set()
    reruns = 0
    training: dict[str, list[_Attempt]] = {}
    for event in _all_events(store):
        if event.type == "RUNNING":
            key = str(event.data["key"])
            attempts[key] = attempts.get(key, 0) + 1
            reruns += key in sealed
            if event.data["kind"] == "train":
                resumed = int(str(event.data["resumed"] or "step-0").removeprefix("step-"))
                training.setdefault(event.node, []).append(_Attempt(resumed, resumed))
        elif event.type == "SEALED":
            sealed.add(str(event.data["key"]))
        elif event.type == "PROGRESS" and event.node in training and event.data["unit"] == "steps":
            latest = training[event.node][-1]
            latest.done, latest.total = int(event.data["done"]), event.data["total"]
    return Tally(attempts, reruns, [count for of_node in training.values() for count in _repeated(of_node)])


def _repeated(attempts: Sequence[_Attempt]) -> list[int]:
    before: set[int] = set()
    counts = []
    for attempt in attempts:
        counts.append(len(attempt.begun & before))
        before |= attempt.begun
    return counts[1:]


def _all_events(store: Path) -> list[Event]:
    events = [event for path in (store / "runs").glob("*/events.jsonl") for event in read(path).events]
    return sorted(events, key=lambda event: event.t)


class _Watch:
    """Follows the journals of a store from where they stand now."""

    def __init__(self, store: Path) -> None:
        self._runs = store / "runs"
        self._offsets = {path: path.stat().st_size for path in self._runs.glob("*/events.jsonl")}

    def fresh(self) -> list[Event]:
        """Events written since the last call."""
        events = []
        for path in self._runs.glob("*/events.jsonl"):
            offset = self._offsets.get(path, 0)
            if path.stat().st_size <= offset:
                continue
            with path.open("rb") as file:
                file.seek(offset)
                lines = file.read()
            whole = lines[: lines.rfind(b"\n") + 1]
            self._offsets[path] = offset + len(whole)
            for line in whole.splitlines():
                document = json.loads(line)
                document.pop("crc32")
                events.append(Event(**document))
        return events
