"""The journal of a run: one writer, one line per event, each with its number and checksum.

States of a node: ``PLANNED -> LOCKED -> RUNNING(attempt) -> SEALED | FAILED | PREEMPTED``; one found in the store goes
``PLANNED -> REUSED``. Changes of state are durable before anything is built on them; the rest (``PROGRESS``) is not.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ptc.compiler.graph import Json, canonical
from ptc.runtime.artifacts import InvariantBroken
from ptc.runtime.fsio import Disk


@dataclass(frozen=True)
class Event:
    """One line of ``events.jsonl``. `node` is a meaning, or empty for events of the whole run; `t`: Unix seconds."""

    seq: int
    t: float
    type: str
    node: str
    attempt: int
    data: Mapping[str, Json]

    @property
    def line(self) -> bytes:
        body: dict[str, Json] = {
            "seq": self.seq,
            "t": self.t,
            "type": self.type,
            "node": self.node,
            "attempt": self.attempt,
            "data": dict(self.data),
        }
        return canonical({**body, "crc32": zlib.crc32(canonical(body).encode())}).encode() + b"\n"


class JournalDamaged(InvariantBroken):
    """A line that is not the last does not verify: nothing behind it can be trusted."""


@dataclass(frozen=True)
class Reading:
    """The events of a journal, and where the good part of the file ends."""

    events: tuple[Event, ...]
    size: int
    torn: bool
    """A last line, cut short by a crash, follows the good part."""


def read(path: Path) -> Reading:
    """Reads a journal. A torn last line is left out; `JournalDamaged` for anything wrong before it."""
    content = path.read_bytes()
    events: list[Event] = []
    size = 0
    lines = content.split(b"\n")
    whole, rest = lines[:-1], lines[-1]
    for number, line in enumerate(whole):
        event = _parse(line)
        if event is None or event.seq != number:
            if number == len(whole) - 1 and not rest:
                return Reading(tuple(events), size, torn=True)
            raise JournalDamaged(f"{path}: line {number + 1} is damaged")
        events.append(event)
        size += len(line) + 1
    return Reading(tuple(events), size, torn=bool(rest))


def first_event(path: Path) -> Event | None:
    """The first event of a journal, if there is a whole one: says which program a run is of, without reading it all."""
    with path.open("rb") as file:
        return _parse(file.readline().removesuffix(b"\n"))


class Journal:
    """Appends events to ``events.jsonl``. The caller makes sure that nobody else writes."""

    def __init__(self, path: Path, disk: Disk) -> None:
        """Opens or makes the journal. A torn last line is cut off, and that is an event itself."""
        self._path = path
        self._disk = disk
        self.earlier: tuple[Event, ...] = ()
        torn = False
        if path.exists():
            reading = read(path)
            self.earlier, torn = reading.events, reading.torn
            if torn:
                disk.cut(path, reading.size)
        self._seq = len(self.earlier)
        self._file = path.open("ab", buffering=0)
        disk.sync(path.parent)
        if torn:
            self.append("TORN", durable=True)

    def append(
        self,
        type: str,
        node: str = "",
        attempt: int = 0,
        data: Mapping[str, Json] | None = None,
        durable: bool = True,
    ) -> Event:
        """Writes one event; on disk for good when this returns, if `durable`."""
        event = Event(self._seq, round(time.time(), 3), type, node, attempt, data or {})
        self._disk.append(self._file, self._path, event.line, durable)
        self._seq += 1
        return event

    def close(self) -> None:
        self._file.close()


def _parse(line: bytes) -> Event | None:
    """The event of an undamaged line, given without its end; None for any other bytes."""
    try:
        document = json.loads(line)
        event = Event(*(document[name] for name in ("seq", "t", "type", "node", "attempt", "data")))
        return event if event.line == line + b"\n" else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
