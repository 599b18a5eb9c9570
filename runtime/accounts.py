"""What a node has cost, over all attempts at it: those that were interrupted and those of earlier runs too.

While a node is computed a note beside its sealed pieces (``ckpt/<key>.spent``) says what has been spent on it. It is
written with every heartbeat and every sealed piece; what an attempt spends behind its last heartbeat is lost when it is
killed (`SIGKILL`), and behind its last piece when the machine loses power.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ptc.compiler.graph import Json
from ptc.runtime.costs import NOTHING, OF_NODE, OF_WATCHES, Cost, Meter, metered


class Account:
    """The costs of one node; only for the one who holds the key's lock."""

    def __init__(self, path: Path, devices: int, meter: Meter) -> None:
        self._path = path
        self._devices = devices
        self._meter = meter
        self._began = time.monotonic()
        self._waited = 0.0
        self._earlier, self._earlier_watching = _noted(path)

    @property
    def spent(self) -> Cost:
        seconds = time.monotonic() - self._began - self._waited
        return self._earlier + self._by_devices(self._meter.spent + Cost(device_seconds=seconds))

    def _by_devices(self, cost: Cost) -> Cost:
        return replace(cost, device_seconds=cost.device_seconds * self._devices)

    @property
    def document(self) -> dict[str, Json]:
        """For the provenance of an action."""
        watching = self._earlier_watching + self._by_devices(self._meter.watching)
        return {OF_NODE: self.spent.document, **({OF_WATCHES: watching.document} if watching != NOTHING else {})}

    def waited(self, seconds: float) -> None:
        """So long the node waited for another process, and no device worked for it."""
        self._waited += seconds

    def note(self, durable: bool = False) -> None:
        fresh = self._path.with_suffix(".spending")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(self.document, file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        fresh.replace(self._path)


@contextmanager
def account(path: Path, devices: int) -> Iterator[Account]:
    """Inside the block what is spent goes to the node's account; what was spent in vain is noted down."""
    with metered() as meter:
        opened = Account(path, devices, meter)
        try:
            yield opened
        except BaseException:
            opened.note()
            raise


def _noted(path: Path) -> tuple[Cost, Cost]:
    """What earlier attempts have spent, and their watches of it. A note that a failing machine has cut is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return NOTHING, NOTHING
    return Cost.of(document[OF_NODE]), Cost.of(document.get(OF_WATCHES, NOTHING.document))
