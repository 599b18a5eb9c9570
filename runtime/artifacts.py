"""What node implementations see of the world: the artifacts that go in, a folder that goes out, and a context."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ptc.compiler.graph import Json, Node


@dataclass(frozen=True)
class Artifact:
    """A sealed, verified, read-only folder of the store."""

    digest: str
    path: Path
    manifest: Mapping[str, Json]


@dataclass(frozen=True)
class Progress:
    """One message about a running node: how far it is, and its latest metrics under TRL's names."""

    done: int
    total: int | None
    unit: str
    metrics: Mapping[str, float]
    said: tuple[str, ...] = ()
    """What monitors have to say of it."""


class Partial(Protocol):
    """The sealed pieces of an unfinished node: training checkpoints (`step-…`), chunks of rows (`chunk-…`)."""

    def names(self) -> list[str]:
        """Names of the sealed, verified pieces, in order. A piece that does not verify is quarantined, not listed."""

    def read(self, name: str) -> Path:
        """The folder of a sealed piece."""

    def write(self, name: str, fill: Callable[[Path], None]) -> None:
        """`fill` writes into a fresh folder, which is then sealed under `name`, atomically and durably."""

    def forget(self, name: str) -> None:
        """Removes a piece; refuses to remove the newest."""


class Interrupted(Exception):
    """Raised by `Context.heartbeat` after SIGTERM or Ctrl-C: save what is worth saving, and leave."""


class InvariantBroken(Exception):
    """A promise of ptc or of the program does not hold (canary, gate, NaN): exit code 4. The message is one line."""


class ResourceMissing(Exception):
    """A device, package or disk space is missing: exit code 6. The message says what, what is there, and what to do."""


class InputWrong(Exception):
    """Data, a file or a model that a program names cannot be used: exit code 2. The message names it and the remedy."""


class PlanDrift(Exception):
    """A pinned digest or commit does not match what is there now: exit code 3. The message names it and both values."""


@dataclass(frozen=True)
class Kept:
    """Weights that a stage is to keep on its way, for a `checkpoint` node."""

    model: str
    """Its name in the stage."""
    piece: str
    """How the name of the piece begins in which they are sealed."""
    step: int | None
    """The step after which; else …"""
    watch: int | None
    """… the watch, of those of the node, at whose best."""


@dataclass(frozen=True)
class Context:
    """What a node's implementation may use besides its inputs."""

    node: Node
    partial: Partial
    profile: Any
    """`runtime.profile.Profile`."""
    heartbeat: Callable[[Progress], None]
    """To be called often; raises `Interrupted` when the run is to stop."""
    log: Callable[[Mapping[str, Json]], None]
    """Appends one row to ``metrics.jsonl``."""
    watched: Mapping[str, Artifact] = field(default_factory=dict)
    """What `node.watches` need, by meaning. Observers: what a node yields must not depend on them."""
    kept: tuple[Kept, ...] = ()
    """What a stage seals in `partial` on its way, beside what it yields."""
    run: str = ""
    """What the run is called. The same when it is continued; what a node yields must not depend on it."""
    spent: Callable[..., None] = lambda **amounts: None
    """Adds to the node's cost, by the names of `runtime.costs.Cost`. Models tell it themselves: engines, the trainer,
    and what scores texts."""


Implementation = Callable[[Node, Mapping[str, Artifact], Path, Context], None]
"""Fills the folder with the artifact's files. Yields the same wherever it is interrupted: what is sealed in `partial`
is not done again. A `path` in a source's settings is absolute by then; an export's is not its concern: the executor
copies the artifact there."""
