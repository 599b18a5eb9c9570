"""Who shows a run while it goes on: what the executor tells of each node."""

from __future__ import annotations

from typing import Protocol

from ptc.compiler.graph import Node
from ptc.runtime.artifacts import Artifact, Progress
from ptc.runtime.store import Holder


class Listener(Protocol):
    """Who shows a run while it goes on."""

    def reused(self, node: Node, artifact: Artifact) -> None:
        """The store had it."""

    def waiting(self, node: Node, holder: Holder | None) -> None:
        """Another process computes it right now."""

    def started(self, node: Node, attempt: int, resumed: str | None) -> None:
        """It is being computed, for the `attempt`-th time, from the sealed piece `resumed` if there is one."""

    def progress(self, node: Node, progress: Progress) -> None:
        """How far it is."""

    def finished(self, node: Node, artifact: Artifact, seconds: float) -> None:
        """It is published."""

    def stopped(self, node: Node, message: str) -> None:
        """It failed or was interrupted."""


class Silent:
    """A listener that shows nothing."""

    def reused(self, node: Node, artifact: Artifact) -> None: ...

    def waiting(self, node: Node, holder: Holder | None) -> None: ...

    def started(self, node: Node, attempt: int, resumed: str | None) -> None: ...

    def progress(self, node: Node, progress: Progress) -> None: ...

    def finished(self, node: Node, artifact: Artifact, seconds: float) -> None: ...

    def stopped(self, node: Node, message: str) -> None: ...
