"""The artifact store: immutable folders under their digests, found again by key. `docs/store.md` describes the layout.

Files with digests are the truth; renames make it safe and locks only make it cheap: if every lock failed, work would
be done twice and nothing damaged.
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ptc.compiler.graph import Json, canonical
from ptc.runtime.artifacts import Artifact
from ptc.runtime.fsio import Disk, FileDigest, StrangeFile, digest_of, regular_files
from ptc.runtime.keys import key_of
from ptc.runtime.manifest import Action, Damage, Manifest, parse_seal, seal_content

if TYPE_CHECKING:
    from filelock import FileLock

MANIFEST = "manifest.json"
SEAL = "SEAL.json"

Observe = Callable[[str, Mapping[str, Json]], None]
"""Told of what the store does beside its duty: ``QUARANTINED``, ``NONDETERMINISTIC``, ``PIECE_SEALED``, …"""


@dataclass(frozen=True)
class Holder:
    """Who computes a key right now."""

    host: str
    process: int
    run: str
    since: str

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}, run {self.run}, since {self.since}"


class Locked(Exception):
    """Another process computes this key."""

    def __init__(self, holder: Holder | None) -> None:
        super().__init__(f"being computed by {holder}" if holder else "being computed by another process")
        self.holder = holder


def ignore(_event: str, _data: Mapping[str, Json]) -> None:
    """Nobody listens."""


class Store:
    """One folder on one file system, shared by any number of processes."""

    def __init__(self, root: Path, disk: Disk | None = None, observe: Observe = ignore, create: bool = True) -> None:
        """A plan only reads: it opens with `create=False`, and a root that is not there is an empty store."""
        self.root = root.absolute()
        self.disk = disk or Disk.from_environment(os.environ)
        self.observe = observe
        self._verified: dict[str, tuple[tuple[str, int, int, int], ...]] = {}
        self._hashed: dict[tuple[int, int, int, int], FileDigest] = {}
        self._workspace: Path | None = None
        self._workspace_lock: FileLock | None = None
        if create:
            for name in ("objects", "actions", "ckpt", "tmp", "quarantine", "trash", "runs"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            (self.root / "locks").mkdir(mode=0o700, exist_ok=True)
            self.disk.sync(self.root)

    # Reading

    def lookup(self, key: str) -> Artifact | None:
        """The verified artifact of a key. What does not verify goes to quarantine, and counts as absent."""
        try:
            return self.peek(key)
        except Damage as damage:
            self._quarantine_action(key, str(damage))
            return None

    def peek(self, key: str) -> Artifact | None:
        """As `lookup`, but moves nothing: raises `Damage` instead."""
        action = self.action(key)
        if action is None:
            return None
        return self.open(action.artifact)

    def action(self, key: str) -> Action | None:
        """What is recorded under a key, its artifact not yet looked at. `Damage` if that is unreadable."""
        path = self._action_path(key)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Damage(f"{path}: {error.strerror}") from error
        try:
            action = Action.parse(content)
        except Damage as damage:
            raise Damage(f"{path}: {damage}") from damage
        if key_of(action.key_document) != key:
            raise Damage(f"{path}: its key document has another key")
        return action

    def actions(self) -> Iterator[tuple[str, Action]]:
        """All readable actions, newest first."""
        paths = sorted((self.root / "actions").glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for path in paths:
            try:
                action = self.action(path.stem)
            except Damage:
                continue
            if action is not None:
                yield path.stem, action

    def open(self, digest: str) -> Artifact:
        """An artifact by digest; `Damage` unless its folder holds exactly the files of its manifest, byte for byte."""
        folder = self.object_path(digest)
        manifest = _read_manifest(folder, digest)
        try:
            signature = _signature(folder)
            if self._verified.get(digest) != signature:
                _verify_files(folder, manifest.files, MANIFEST, self._digest_of)
                self._verified[digest] = signature
        except OSError as error:
            raise Damage(f"{error.filename or folder}: {error.strerror}") from error
        except StrangeFile as error:
            raise Damage(str(error)) from error
        return Artifact(digest, folder, manifest.document)

    def glance(self, digest: str) -> Artifact:
        """As `open`, for those who look back. Models and exports are judged by the names and sizes of their files: a
        report that reads none of them need not hash them all."""
        folder = self.object_path(digest)
        manifest = _read_manifest(folder, digest)
        if manifest.type not in ("model", "files"):
            return self.open(digest)
        for name, file in manifest.files.items():
            if not (folder / name).is_file() or (folder / name).stat().st_size != file.size:
                raise Damage(f"{folder / name}: missing, or altered since it was sealed")
        return Artifact(digest, folder, manifest.document)

    def _digest_of(self, path: Path) -> FileDigest:
        """Several artifacts may have one file in common, by links to it: it is read once."""
        status = path.stat()
        identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if identity not in self._hashed:
            self._hashed[identity] = digest_of(path)
        return self._hashed[identity]

    def object_path(self, digest: str) -> Path:
        return self.root / "objects" / digest[:2] / digest

    # Writing

    def publish(
        self, key_document: Mapping[str, Json], folder: Path, type: str, provenance: Mapping[str, Json] | None = None
    ) -> Artifact:
        """Seals a finished folder of `scratch` as the key's artifact, in the order that makes it survive: files,
        manifest, folder, rename, action. If the key has an artifact already, the first stays; ours is dropped, and a
        difference between them is reported as ``NONDETERMINISTIC``."""
        (folder / MANIFEST).unlink(missing_ok=True)  # of an artifact whose files were copied here whole
        manifest = Manifest(type, self.disk.seal(folder))
        self._place(manifest, folder)
        key = key_of(key_document)
        earlier = self.lookup(key)
        if earlier is not None:
            if earlier.digest != manifest.digest:
                self.observe("NONDETERMINISTIC", {"key": key, "kept": earlier.digest, "dropped": manifest.digest})
            return earlier
        action = Action(key_document, manifest.digest, provenance or {})
        self.disk.replace(self._action_path(key), action.content, self.scratch_path(f"action-{key}"))
        return self.open(manifest.digest)

    def _place(self, manifest: Manifest, folder: Path) -> None:
        """Moves a sealed folder into `objects`, or drops it where a whole one of that digest stands already."""
        if self._have(manifest.digest):
            self.discard(folder)
            return
        self.disk.write(folder / MANIFEST, manifest.content)
        (folder / MANIFEST).chmod(0o444)
        self.disk.sync(folder)
        target = self.object_path(manifest.digest)
        if not target.parent.exists():
            target.parent.mkdir(exist_ok=True)
            self.disk.sync(target.parent.parent)
        try:
            self.disk.rename(folder, target)
        except FileExistsError:  # another process was faster
            self.discard(folder)

    def _have(self, digest: str) -> bool:
        if not self.object_path(digest).exists():
            return False
        try:
            self.open(digest)
        except Damage as damage:
            self.quarantine(self.object_path(digest), str(damage))
            return False
        return True

    # Scratch: the only place written to

    def scratch(self, name: str) -> Path:
        """A fresh, empty folder, on the store's file system, for one result."""
        path = self.scratch_path(name)
        self.disk.make_folder(path)
        return path

    def scratch_path(self, name: str) -> Path:
        return self._own_workspace() / f"{name[:80]}-{uuid.uuid4().hex[:8]}"

    def _own_workspace(self) -> Path:
        """``tmp/<host>-<pid>-<uuid>``, held by a lock that dies with this process, so that others may sweep it then."""
        if self._workspace is None:
            name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
            self._workspace_lock = self._lock(f"tmp-{name}")
            self._workspace_lock.acquire(timeout=0)
            self._workspace = self.root / "tmp" / name
            self._workspace.mkdir()
        return self._workspace

    def discard(self, path: Path) -> None:
        """Removes what no one refers to: renamed to `trash` at once, deleted behind that."""
        trash = self.root / "trash" / uuid.uuid4().hex
        try:
            self.disk.rename(path, trash)
        except FileNotFoundError:
            return
        self.disk.remove(trash)

    def sweep(self) -> None:
        """Removes what killed processes of this host left in `tmp` and `trash`."""
        for folder in (self.root / "tmp").glob(f"{socket.gethostname()}-*"):
            lock = self._lock(f"tmp-{folder.name}")
            try:
                lock.acquire(timeout=0)
            except TimeoutError:  # its process lives
                continue
            self.discard(folder)
            self.disk.remove(Path(lock.lock_file))
            lock.release()
        for rest in (self.root / "trash").iterdir():
            self.disk.remove(rest)

    def close(self) -> None:
        """Gives the workspace back."""
        if self._workspace is not None and self._workspace_lock is not None:
            self.discard(self._workspace)
            self.disk.remove(Path(self._workspace_lock.lock_file))
            self._workspace_lock.release()
            self._workspace = self._workspace_lock = None

    # Damage

    def quarantine(self, path: Path, why: str) -> None:
        """Moves what does not verify out of the way, and says so."""
        target = self.root / "quarantine" / f"{path.name}-{uuid.uuid4().hex[:8]}"
        try:
            self.disk.rename(path, target)
        except FileNotFoundError:
            return
        self.observe("QUARANTINED", {"path": str(path.relative_to(self.root)), "why": why, "kept": target.name})

    def _quarantine_action(self, key: str, why: str) -> None:
        """A key whose action or artifact is damaged: both go, so that its producer runs again."""
        try:
            action = self.action(key)
        except Damage:
            action = None
        if action is not None and self.object_path(action.artifact).exists():
            self.quarantine(self.object_path(action.artifact), why)
        self.quarantine(self._action_path(key), why)

    # Single flight

    @contextmanager
    def lock(self, key: str, run: str = "", timeout: float = 0.0) -> Iterator[None]:
        """Holds a key alone. `Locked` if another still holds it after `timeout` seconds. Dies with its process."""
        lock = self._lock(key)
        holder = self.root / "locks" / f"{key}.holder"
        try:
            lock.acquire(timeout=timeout, poll_interval=0.02)
        except TimeoutError:
            raise Locked(_read_holder(holder)) from None
        try:
            since = datetime.now(UTC).isoformat(timespec="seconds")
            note = {"host": socket.gethostname(), "process": os.getpid(), "run": run, "since": since}
            holder.write_bytes(canonical(note).encode())  # a note for people: losing it loses nothing
            yield
        finally:
            lock.release()

    def is_locked(self, name: str) -> bool:
        """Whether a living process holds this lock."""
        if not (self.root / "locks" / f"{name}.lock").exists():
            return False
        lock = self._lock(name)
        try:
            lock.acquire(timeout=0)
        except TimeoutError:
            return True
        lock.release()
        return False

    def _lock(self, name: str) -> FileLock:
        from filelock import FileLock  # planning reads the store where it is not installed

        # Without kernel locks a pid file would pass for one and go stale: better to fail.
        return FileLock(self.root / "locks" / f"{name}.lock", fallback_to_soft=False)

    # Pieces of unfinished nodes

    def partial(self, key: str, observe: Observe | None = None) -> Pieces:
        """The sealed pieces of an unfinished node. Only for the one who holds the key's lock."""
        return Pieces(self, self.root / "ckpt" / key, observe or self.observe)

    def spent_path(self, key: str) -> Path:
        """Where it is noted what an unfinished node has cost so far."""
        return self.root / "ckpt" / f"{key}.spent"

    def forget_partial(self, key: str) -> None:
        """Drops the pieces of a key whose artifact is published, and the note of what they cost."""
        self.spent_path(key).unlink(missing_ok=True)
        if (self.root / "ckpt" / key).exists():
            self.discard(self.root / "ckpt" / key)

    def piece_names(self, key: str) -> list[str]:
        """Names of a key's sealed pieces, not verified: what a plan shows."""
        return sorted(path.parent.name for path in (self.root / "ckpt" / key).glob(f"*/{SEAL}"))

    def _action_path(self, key: str) -> Path:
        return self.root / "actions" / f"{key}.json"

    def runs_folder(self) -> Path:
        return self.root / "runs"


class Pieces:
    """Sealed pieces in one folder: a `runtime.artifacts.Partial`. `SEAL.json`, written last, holds the digests."""

    def __init__(self, store: Store, folder: Path, observe: Observe) -> None:
        self._store = store
        self._folder = folder
        self._observe = observe
        self._good: set[str] = set()

    def names(self) -> list[str]:
        """Names of the pieces that verify, in order; the others are quarantined."""
        if not self._folder.exists():
            return []
        names = sorted(path.name for path in self._folder.iterdir())
        return [name for name in names if self._verifies(name)]

    def read(self, name: str) -> Path:
        """The folder of a sealed piece. `KeyError` if there is none."""
        if not self._verifies(name):
            raise KeyError(name)
        self._observe("PIECE_READ", {"name": name})
        return self._folder / name

    def write(self, name: str, fill: Callable[[Path], None]) -> None:
        """`fill` writes into a fresh folder, which is then sealed under `name`; durable when this returns."""
        disk = self._store.disk
        self._observe("PIECE_STARTED", {"name": name})
        fresh = self._store.scratch(name)
        disk.at("fill", fresh)
        fill(fresh)
        disk.at("filled", fresh)
        seal = seal_content(disk.seal(fresh))
        disk.write(fresh / SEAL, seal)
        disk.sync(fresh)
        if not self._folder.exists():
            self._folder.mkdir(parents=True)
            disk.sync(self._folder.parent)
        if (self._folder / name).exists():
            self._store.discard(self._folder / name)
        try:
            disk.rename(fresh, self._folder / name)
        except FileExistsError:  # only where locks do not exclude: somebody else's is as good
            self._store.discard(fresh)
        self._good.add(name)
        self._observe("PIECE_SEALED", {"name": name})

    def forget(self, name: str) -> None:
        """Removes a piece; refuses to remove the newest."""
        if name == max(self.names()):
            raise ValueError(f"{name} is the newest piece: it is the one to resume from")
        self._good.discard(name)
        self._store.discard(self._folder / name)

    def _verifies(self, name: str) -> bool:
        if name in self._good:
            return True
        folder = self._folder / name
        if not folder.exists():
            return False
        try:
            _verify_files(folder, parse_seal((folder / SEAL).read_bytes()), SEAL)
        except (Damage, StrangeFile) as damage:
            self._store.quarantine(folder, str(damage))
            return False
        except OSError as error:
            self._store.quarantine(folder, f"{name}: {error.strerror}")
            return False
        self._good.add(name)
        return True


def _read_manifest(folder: Path, digest: str) -> Manifest:
    try:
        content = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise Damage(f"{folder / MANIFEST}: {error.strerror}") from error
    try:
        manifest = Manifest.parse(content)
    except Damage as damage:
        raise Damage(f"{folder / MANIFEST}: {damage}") from damage
    if manifest.digest != digest:
        raise Damage(f"{folder / MANIFEST}: belongs to artifact {manifest.digest[:12]}")
    return manifest


def _verify_files(
    folder: Path, files: Mapping[str, FileDigest], own: str, digest: Callable[[Path], FileDigest] = digest_of
) -> None:
    """`Damage` unless the folder holds exactly these files, besides its `own` list of them, byte for byte."""
    present = set(regular_files(folder)) - {own}
    for name in sorted(present - files.keys()):
        raise Damage(f"{folder / name}: not in {own}")
    for name, expected in files.items():
        if name not in present:
            raise Damage(f"{folder / name}: missing")
        if digest(folder / name) != expected:
            raise Damage(f"{folder / name}: altered since it was sealed")


def _signature(folder: Path) -> tuple[tuple[str, int, int, int], ...]:
    """Names, sizes, times and identities of a folder's files: equal ones need not be hashed twice in one process."""
    signature = []
    for name in sorted(regular_files(folder)):
        status = (folder / name).stat()
        signature.append((name, status.st_size, status.st_mtime_ns, status.st_ino))
    return tuple(signature)


def _read_holder(path: Path) -> Holder | None:
    try:
        note = json.loads(path.read_bytes())
        return Holder(**note)
    except (OSError, ValueError, TypeError):  # being written this moment
        return None
