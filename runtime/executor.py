"""The executor: walks a graph, reuses what the store has, computes the rest, and ends with one exit code and one line.

It does not know what a node does, and a node does not know who runs it.
"""

from __future__ import annotations

import errno
import logging
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ptc.compiler.graph import Graph, Json, Node, digest
from ptc.runtime.accounts import Account, account
from ptc.runtime.artifacts import (
    Artifact,
    Context,
    Implementation,
    InputWrong,
    Interrupted,
    InvariantBroken,
    Partial,
    PlanDrift,
    Progress,
    ResourceMissing,
)
from ptc.runtime.costs import Cost, spend
from ptc.runtime.exports import lock_of, place
from ptc.runtime.fsio import StrangeFile, content_digest, disk_full, disk_is_low, is_disk_full
from ptc.runtime.kept import asked, stage_of, take
from ptc.runtime.keys import CONTENT_KINDS, key_document, key_of, numerics, versions
from ptc.runtime.listening import Listener, Silent
from ptc.runtime.manifest import Damage
from ptc.runtime.naming import name, placed
from ptc.runtime.nodes import DERIVED, STEPS
from ptc.runtime.runs import RunFolder, open_run
from ptc.runtime.signals import Stop
from ptc.runtime.store import Locked, Store

OUTPUTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "rows": ("rows", ("rows.parquet",)),
    "tokenizer": ("tokenizer", ("tokenizer_config.json",)),
    "model": ("model", ("*.safetensors", "config.json")),
    "counts": ("counts", ("counts.parquet", "summary.json")),
    "verdict": ("verdict", ("verdict.json",)),
    "files": ("files", ()),
}
"""Type of an artifact, and the files (patterns) that it cannot be without."""

ARTIFACT_OF: Mapping[str, str] = {
    **dict.fromkeys(("gym", "file", "hub_dataset", "extern_source", *STEPS, "sample", "score"), "rows"),
    **dict.fromkeys(("characters", "bpe", "tokenizer_of"), "tokenizer"),
    **dict.fromkeys(("new_model", "local_model", "hub_model", "train", "checkpoint", "merge", *DERIVED), "model"),
    **dict.fromkeys(("pass_rate", "reward", "win_rate", "bits_per_character", "informedness"), "counts"),
    **dict.fromkeys(("references", "evidence"), "counts"),
    **dict.fromkeys(("claim", "gate"), "verdict"),
    "export": "files",
}
"""Type of the artifact that a kind of node yields (`docs/graph.md`)."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `message` is the one line for the user, empty when all went well."""

    exit_code: int
    message: str
    run_id: str
    folder: Path
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    """By meaning; all of the graph's nodes if `exit_code` is 0."""
    ran: tuple[str, ...] = ()
    """Meanings of the nodes that were computed now, in order."""
    reused: tuple[str, ...] = ()
    exports: Mapping[str, Path] = field(default_factory=dict)
    """Meaning of an export node to the folder where its copy stands."""


def execute(
    graph: Graph,
    store: Store,
    profile: Any,
    implementations: Mapping[str, Implementation],
    *,
    label: str = "program",
    listener: Listener | None = None,
    stop: Stop | None = None,
    wait: bool = True,
    base: Path | None = None,
    out: Path | None = None,
    info: Mapping[str, Json] | None = None,
) -> Outcome:
    """Runs what the store does not have.

    Relative paths of sources start at `base`, those of exports at `out`; both are the working directory by default.
    `info` is what the run's folder is to keep of the program beside its graph (`runtime.history`).

    Exit codes: 0 done, 1 a bug (trace in the run's folder), 2 unusable input, 3 drift, 4 a gate or invariant, 5 or 130
    interrupted and resumable, 6 a resource is missing. Raises `ResourceMissing` only if there is no room for the run's
    folder.
    """
    stop = stop or Stop()
    with stop.listening(), open_run(store, label, _program(graph)) as folder, _logging(folder):
        run = _Run(
            graph,
            store,
            profile,
            implementations,
            listener or Silent(),
            stop,
            wait,
            base or Path.cwd(),
            out or Path.cwd(),
            folder,
            info or {},
        )
        before, store.observe = store.observe, run.observe
        try:
            exit_code, message = run.to_the_end()
            try:
                folder.finish(exit_code, message)
            except OSError as error:
                if not is_disk_full(error):
                    raise
                exit_code, message = 6, str(disk_full(store.root))
        finally:
            store.observe = before
            store.close()
        return Outcome(
            exit_code, message, folder.id, folder.path, run.artifacts, tuple(run.ran), tuple(run.reused), run.exports
        )


@dataclass
class _Run:
    """One walk over the graph. Holds what is known so far."""

    graph: Graph
    store: Store
    profile: Any
    implementations: Mapping[str, Implementation]
    listener: Listener
    stop: Stop
    wait: bool
    base: Path
    out: Path
    folder: RunFolder
    info: Mapping[str, Json]
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)
    exports: dict[str, Path] = field(default_factory=dict)
    node: Node | None = None
    """The one it is at."""
    meaning: str = ""
    attempt: int = 0
    account: Account | None = None
    """Of the node that is being computed."""

    def to_the_end(self) -> tuple[int, str]:
        """Runs everything; the exit code and the user's line."""
        try:
            self.store.sweep()
            self.folder.describe(self.graph, self.info)
            self.folder.journal.append("PLANNED", data={"nodes": list(self.graph.nodes)})
            for meaning, node in self.graph.nodes.items():
                self.stop.check()
                self.node, self.meaning, self.attempt = node, meaning, 0
                self.artifacts[meaning] = self._artifact(meaning, node)
                if node.kind == "export":
                    self._export(meaning, node)
            return 0, ""
        except Exception as error:  # noqa: BLE001  the one place where every failure becomes an exit code
            exit_code, message = self._ending(error)
            self._stopped(exit_code, message)
            return exit_code, message

    # One node

    def _artifact(self, meaning: str, node: Node) -> Artifact:
        """From the store, or computed by the one process that holds the key."""
        inputs = {role: self.artifacts[source] for role, source in node.inputs.items()}
        content = content_of(node, self.base)
        digests = {role: artifact.digest for role, artifact in inputs.items()}
        document = key_document(node, digests, numerics(node, self.profile), content)
        key = key_of(document)
        artifact = self._found(key)
        if artifact is None:
            with self._alone(node, key):
                artifact = self.store.lookup(key)  # another run may have made it while this one waited
                if artifact is None:
                    return self._compute(meaning, node, inputs, document, content)
        self._forget(meaning, node, key)  # a run that was killed right after publishing left them
        self.reused.append(meaning)
        self._journal("REUSED", {"key": key, "artifact": artifact.digest}, durable=False)
        self.folder.say(f"{name(node)}: reused {artifact.digest[:12]}")
        self.listener.reused(node, artifact)
        return artifact

    def _found(self, key: str) -> Artifact | None:
        """A look without the lock: what is damaged may be in repair this moment, so only the lock's holder moves it."""
        try:
            return self.store.peek(key)
        except Damage:
            return None

    @contextmanager
    def _alone(self, node: Node, key: str) -> Iterator[None]:
        """Holds the key's lock. While another does, waits for it, and leaves when asked to stop."""
        told, began = False, time.monotonic()
        while True:
            lock = self.store.lock(key, self.folder.id, timeout=0.2 if told else 0.0)
            try:
                lock.__enter__()
                break
            except Locked as locked:
                if not self.wait:
                    raise ResourceMissing(f"{name(node)} is {locked}; run again when that has ended") from None
                if not told:
                    self._journal("WAITING", {"key": key}, durable=False)
                    self.folder.say(f"{name(node)}: {locked}; waiting")
                    self.listener.waiting(node, locked.holder)
                told = True
                self.stop.check()
        if told and self.account is not None:
            self.account.waited(time.monotonic() - began)
        try:
            yield
        finally:
            lock.__exit__(None, None, None)

    def _compute(
        self,
        meaning: str,
        node: Node,
        inputs: Mapping[str, Artifact],
        document: Mapping[str, Json],
        content: str | None,
    ) -> Artifact:
        key = key_of(document)
        self.attempt = self.folder.node_attempts(meaning) + 1
        self._journal("LOCKED", {"key": key}, durable=False)
        pieces = self.store.partial(key, self.observe)
        names = pieces.names()
        resumed = names[-1] if names else None
        self._journal("RUNNING", {"key": key, "kind": node.kind, "label": node.label, "resumed": resumed})
        self.folder.say(f"{name(node)}: attempt {self.attempt}" + (f", from {resumed}" if resumed else ""))
        self.listener.started(node, self.attempt, resumed)
        began = time.monotonic()
        result = self.store.scratch(node.kind)
        with self._accounted(node, key) as spent:
            if node.kind == "checkpoint":
                self._take(meaning, node, result)
            else:
                context = self._context(meaning, node, pieces)
                self.implementations[node.kind](context.node, inputs, result, context)
            self._check_inputs(node, inputs, content)
            type = _check_output(node, result)
            cost = spent.document
        seconds = time.monotonic() - began
        provenance: dict[str, Json] = {
            "label": node.label,
            "place": node.place,
            "run": self.folder.id,
            "attempt": self.attempt,
            "seconds": round(seconds, 3),
            **cost,
            "versions": dict(versions(document["numerics"])),
        }
        artifact = self.store.publish(document, result, type, provenance)
        self._journal("SEALED", {"key": key, "artifact": artifact.digest, "seconds": round(seconds, 3)})
        self._forget(meaning, node, key)
        self.ran.append(meaning)
        self.folder.say(f"{name(node)}: sealed {artifact.digest[:12]} after {seconds:.1f} s")
        self.listener.finished(node, artifact, seconds)
        return artifact

    def _context(self, meaning: str, node: Node, pieces: Partial) -> Context:
        return Context(
            _with_absolute_path(node, self.base),
            pieces,
            self.profile,
            self._heartbeat(node),
            self._metrics(meaning, node),
            {needed: self.artifacts[needed] for watch in node.watches for needed in watch.inputs},
            tuple(asked(self.graph, meaning).values()) if node.kind == "train" else (),
            self.folder.id,
            lambda **amounts: spend(Cost(**amounts)),
        )

    @contextmanager
    def _accounted(self, node: Node, key: str) -> Iterator[Account]:
        devices = self.profile.devices if node.kind in ("train", "checkpoint") else 1
        with account(self.store.spent_path(key), devices) as self.account:
            try:
                yield self.account
            finally:
                self.account = None

    # What a stage keeps on its way

    def _take(self, meaning: str, node: Node, result: Path) -> None:
        """Fills the folder of a `checkpoint` with what its stage kept; the stage runs again if that is not there."""
        stage = stage_of(self.graph, node)
        train, kept = self.graph.nodes[stage], asked(self.graph, stage)[meaning]
        inputs = {role: self.artifacts[source] for role, source in train.inputs.items()}
        key = self._key(train)
        with self._alone(train, key):
            pieces = self.store.partial(key, self.observe)
            if take(pieces, kept, result):
                return
            self.folder.say(f"{name(train)}: runs again, for weights that it did not keep")
            self.store.forget_partial(key)
            again, context = self.store.scratch(train.kind), self._context(stage, train, pieces)
            self.implementations[train.kind](context.node, inputs, again, context)
            self.store.discard(again)
            if not take(pieces, kept, result):
                raise InvariantBroken(
                    f"{name(train)} ended without keeping {name(node)}: run again; if it stays so, it is a bug in ptc"
                )

    def _key(self, node: Node) -> str:
        inputs = {role: self.artifacts[source].digest for role, source in node.inputs.items()}
        return key_of(key_document(node, inputs, numerics(node, self.profile)))

    def _forget(self, meaning: str, node: Node, key: str) -> None:
        """Drops the pieces of a finished node; what a stage kept only when all who asked for it have it."""
        if node.kind == "checkpoint":
            stage = stage_of(self.graph, node)
            if asked(self.graph, stage).keys() <= {*self.artifacts, meaning}:
                self.store.forget_partial(self._key(self.graph.nodes[stage]))
        elif node.kind == "train" and asked(self.graph, meaning):
            return
        self.store.forget_partial(key)

    def _check_inputs(self, node: Node, inputs: Mapping[str, Artifact], content: str | None) -> None:
        """What went in must still be what the key says, or the result would be found under a wrong name."""
        for role, artifact in inputs.items():
            try:
                self.store.open(artifact.digest)
            except Damage as damage:
                raise InvariantBroken(
                    f"{name(node)}: its input {role} changed while it ran: {damage}; run again, and it is made anew"
                ) from damage
        if content is not None and content_of(node, self.base) != content:
            raise InvariantBroken(f"{node.settings['path']} changed while it was read; run again")

    def _heartbeat(self, node: Node) -> Callable[[Progress], None]:
        latest: tuple[int, str] | None = None

        def heartbeat(progress: Progress) -> None:
            nonlocal latest
            if self.account is not None:
                self.account.note()
            self.stop.check()
            if latest != (progress.done, progress.unit):
                latest = (progress.done, progress.unit)
                data: dict[str, Json] = {"done": progress.done, "total": progress.total, "unit": progress.unit}
                self._journal("PROGRESS", data, durable=False)
            self.listener.progress(node, progress)

        return heartbeat

    def _metrics(self, meaning: str, node: Node) -> Callable[[Mapping[str, Json]], None]:
        where: dict[str, Json] = {"node": meaning, "label": node.label, "kind": node.kind, "attempt": self.attempt}

        def log(row: Mapping[str, Json]) -> None:
            self.folder.metrics({**where, **row})

        return log

    def _export(self, meaning: str, node: Node) -> None:
        """Puts a copy where the program says, on every run: the user may have deleted it."""
        target = self.out / str(node.settings["path"])
        with self._alone(node, lock_of(target)):
            if place(self.artifacts[meaning], target, self.store.disk):
                self.folder.say(f"{name(node)}: copied to {target}")
        self.exports[meaning] = target

    # What is told to whom

    def observe(self, event: str, data: Mapping[str, Json]) -> None:
        """Takes down what the store reports."""
        durable = event not in ("PIECE_STARTED", "PIECE_READ")
        if event == "PIECE_SEALED" and self.account is not None:
            self.account.note(durable=True)
        self._journal(event, data, durable)
        self.folder.say(f"{event.lower()} {' '.join(f'{key}={value}' for key, value in data.items())}")

    def _journal(self, type: str, data: Mapping[str, Json], durable: bool = True) -> None:
        self.folder.journal.append(type, self.meaning, self.attempt, data, durable)

    def _stopped(self, exit_code: int, message: str) -> None:
        state = "PREEMPTED" if exit_code in (5, 130) else "FAILED"
        self.store.disk.remove(self.folder.path / "ballast")
        try:
            if self.node is not None:
                self._journal(state, {"exit_code": exit_code, "message": message})
            self.folder.say(message)
        except OSError as error:
            if not is_disk_full(error):
                raise
        if self.node is not None:
            self.listener.stopped(self.node, message)

    # How it ends

    def _ending(self, error: Exception) -> tuple[int, str]:
        """Exit code and message for whatever ended the walk."""
        if isinstance(error, Interrupted):
            return self.stop.exit_code, self._interrupted()
        if isinstance(error, OSError) and is_disk_full(error):
            return 6, str(disk_full(self.store.root))
        if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return 6, f"{error.filename or self.store.root}: {(error.strerror or 'refused').lower()}"
        for kind, code in ((InputWrong, 2), (PlanDrift, 3), (InvariantBroken, 4), (ResourceMissing, 6)):
            if isinstance(error, kind):
                return code, placed(str(error), self.node)
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, for any device
            return 6, f"out of memory in {self._where()}: a smaller `micro_batch` in the profile needs less"
        if disk_is_low(self.store.root):  # libraries hide a full disk behind errors of their own
            return 6, str(disk_full(self.store.root))
        path = self.folder.trace("".join(traceback.format_exception(error)))
        return 1, f"{type(error).__name__} in {self._where()}: a bug in ptc; its trace is in {path}"

    def _interrupted(self) -> str:
        return f"stopped in {self._where()}; what is sealed is kept: run the same command to go on"

    def _where(self) -> str:
        return name(self.node) if self.node is not None else "the start of the run"


def content_of(node: Node, base: Path) -> str | None:
    """Digest of what a source's path holds now; None for nodes without one. `PlanDrift` if another one is pinned."""
    if node.kind not in CONTENT_KINDS:
        return None
    path = base / str(node.settings["path"])
    try:
        content = content_digest(path)
    except OSError as error:
        raise InputWrong(
            f"{path}: {(error.strerror or 'cannot be read').lower()}: name what is there and may be read"
        ) from error
    except StrangeFile as error:
        raise InputWrong(str(error)) from error
    pinned = node.settings.get("sha256")
    if pinned and pinned != content:
        raise PlanDrift(f"{path}: planned with content {pinned[:12]}, now {content[:12]}; run `ptc plan` again")
    return content


def _with_absolute_path(node: Node, base: Path) -> Node:
    """So that implementations need not know where relative paths start."""
    if node.kind not in CONTENT_KINDS:
        return node
    return replace(node, settings={**node.settings, "path": str(base / str(node.settings["path"]))})


def _check_output(node: Node, folder: Path) -> str:
    """The artifact's type, once its files are there: that an implementation returned proves nothing."""
    type, files = OUTPUTS[ARTIFACT_OF[node.kind]]
    missing = [file for file in files if not any(folder.glob(file))]
    if missing:
        raise InvariantBroken(
            f"{name(node)} ended without writing {', '.join(missing)}: run again; if it stays so, it is a bug in ptc"
        )
    return type


def _program(graph: Graph) -> str:
    """What makes two runs runs of the same program: the meanings of the roots."""
    return digest(sorted(graph.roots))


@contextmanager
def _logging(folder: RunFolder) -> Iterator[None]:
    """Warnings of libraries go into the run's log as well."""
    handler = logging.FileHandler(folder.path / "run.log")
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
