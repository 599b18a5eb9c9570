"""The store: published once, verified on read, damaged things out of the way, one process at a time per key."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptc.compiler.graph import Json
from ptc.runtime.artifacts import Artifact
from ptc.runtime.fsio import Disk, FileDigest, digest_of, share
from ptc.runtime.keys import key_of
from ptc.runtime.manifest import Action, Damage, Manifest, parse_seal, seal_content
from ptc.runtime.store import Locked, Store


def document(name: str = "a") -> dict[str, Json]:
    return {"kind": "gym", "settings": {"name": name}}


def publish(store: Store, name: str = "a", text: str = "rows") -> Artifact:
    folder = store.scratch(name)
    (folder / "rows.parquet").write_text(text)
    (folder / "deep").mkdir()
    (folder / "deep" / "more").write_text(text)
    return store.publish(document(name), folder, "rows", {"label": name})


def test_what_is_published_is_found_under_its_key(tmp_path: Path) -> None:
    store = Store(tmp_path)
    artifact = publish(store)
    found = Store(tmp_path).lookup(key_of(document()))
    assert found == artifact
    assert (artifact.path / "rows.parquet").read_text() == "rows"
    assert artifact.manifest["type"] == "rows" and set(artifact.manifest["files"]) == {"rows.parquet", "deep/more"}
    assert Store(tmp_path).lookup(key_of(document("b"))) is None


def test_an_artifact_is_named_by_its_files_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert publish(store, "a").digest == publish(store, "b").digest
    assert publish(store, "c", "other").digest != publish(store, "a").digest
    assert publish(Store(tmp_path / "elsewhere")).digest == publish(store, "a").digest


def test_a_manifest_that_was_copied_along_is_none_of_its_files(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.scratch("copy")
    shutil.copytree(publish(store).path, folder, dirs_exist_ok=True)
    assert store.publish(document("b"), folder, "rows").digest == publish(store).digest


def test_files_of_an_artifact_are_read_only(tmp_path: Path) -> None:
    artifact = publish(Store(tmp_path))
    for path in (artifact.path / "rows.parquet", artifact.path / "manifest.json"):
        assert not path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)


def test_of_two_results_for_a_key_the_first_stays_and_the_difference_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, Mapping[str, Json]]] = []
    store = Store(tmp_path, observe=lambda event, data: told.append((event, data)))
    first = publish(store)
    assert publish(store) == first and told == []
    assert publish(store, text="other") == first
    assert [event for event, _ in told] == ["NONDETERMINISTIC"]


def test_publishing_is_durable_before_it_is_visible(tmp_path: Path) -> None:
    """Every file is synced before its folder is renamed, the rename before the action that names it."""
    steps: list[tuple[str, str]] = []

    class Recording(Disk):
        def at(self, operation: str, path: Path) -> bool:
            steps.append((operation, path.name))
            return False

    store = Store(tmp_path, Recording())
    artifact = publish(store)
    key = key_of(document())
    scratch = next(name for operation, name in steps if operation == "mkdir")
    action = next(name for operation, name in steps if operation == "write" and name.startswith("action"))
    for order in (
        [("fsync", "rows.parquet"), ("fsync", scratch)],
        [("fsync", "more"), ("fsync", "deep"), ("fsync", scratch)],
        [("write", "manifest.json"), ("fsync", "manifest.json"), ("fsync", scratch), ("rename", artifact.digest)],
        [("fsync", "objects"), ("rename", artifact.digest), ("fsync", artifact.digest[:2]), ("write", action)],
        [("write", action), ("fsync", action), ("rename", f"{key}.json"), ("fsync", "actions")],
    ):
        assert [steps.index(step) for step in order] == sorted(steps.index(step) for step in order)


def test_an_action_under_a_wrong_name_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store)
    key, other = key_of(document()), key_of(document("b"))
    (tmp_path / "actions" / f"{other}.json").write_bytes((tmp_path / "actions" / f"{key}.json").read_bytes())
    with pytest.raises(Damage, match="another key"):
        store.peek(other)
    assert store.lookup(other) is None
    assert store.lookup(key) is not None


def test_a_damaged_artifact_goes_to_quarantine_with_its_action(tmp_path: Path) -> None:
    told: list[str] = []
    store = Store(tmp_path, observe=lambda event, data: told.append(event))
    artifact = publish(store)
    path = artifact.path / "rows.parquet"
    path.chmod(0o644)
    path.write_text("swor")
    assert store.lookup(key_of(document())) is None
    assert told == ["QUARANTINED", "QUARANTINED"]
    assert not artifact.path.exists()
    assert publish(store) == artifact


# One file in several artifacts


def linked(store: Store, name: str, first: Artifact) -> Artifact:
    """An artifact with a file of another one, and one of its own."""
    folder = store.scratch(name)
    share(first.path / "rows.parquet", folder / "rows.parquet")
    (folder / "own").write_text(name)
    return store.publish(document(name), folder, "rows")


def test_a_file_that_nothing_changes_is_on_the_disk_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = publish(store)
    second = linked(store, "b", first)
    one, other = (artifact.path / "rows.parquet" for artifact in (first, second))
    assert one.samefile(other) and one.stat().st_nlink == 2 and not other.stat().st_mode & 0o222
    copied = store.scratch("unsealed")
    (copied / "mine").write_text("rows")
    share(copied / "mine", copied / "copy")
    assert not (copied / "mine").samefile(copied / "copy") and (copied / "copy").read_text() == "rows"


def test_an_artifact_stays_whole_without_the_other(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = publish(store)
    second = linked(store, "b", first)
    store.discard(first.path)
    assert Store(tmp_path).lookup(key_of(document("b"))) == second
    assert (second.path / "rows.parquet").read_text() == "rows"


def test_damage_to_a_common_file_is_seen_in_both(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = publish(store)
    second = linked(store, "b", first)
    (first.path / "rows.parquet").chmod(0o644)
    (first.path / "rows.parquet").write_text("rowz")
    fresh = Store(tmp_path)
    assert [fresh.lookup(key_of(document(name))) for name in ("a", "b")] == [None, None]
    assert not first.path.exists() and not second.path.exists()
    again = publish(fresh)
    assert linked(fresh, "b", again) == second and Store(tmp_path).lookup(key_of(document("b"))) == second


def test_a_common_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    first = publish(store)
    linked(store, "b", first)
    read: list[str] = []
    monkeypatch.setattr("ptc.runtime.store.digest_of", lambda path: read.append(path.name) or digest_of(path))
    fresh = Store(tmp_path)
    assert fresh.lookup(key_of(document("a"))) and fresh.lookup(key_of(document("b")))
    assert sorted(read) == ["more", "own", "rows.parquet"]


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP])
def test_where_there_is_no_link_there_is_a_copy(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("ptc.runtime.fsio.os.link", refuse)
    store = Store(tmp_path)
    first = publish(store)
    second = linked(store, "b", first)
    assert not (first.path / "rows.parquet").samefile(second.path / "rows.parquet")
    assert Store(tmp_path).lookup(key_of(document("b"))) == second


def test_a_full_disk_is_no_reason_for_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("ptc.runtime.fsio.os.link", refuse)
    store = Store(tmp_path)
    first = publish(store)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        linked(store, "b", first)


def test_locks_exclude_and_name_their_holder(tmp_path: Path) -> None:
    ours, theirs = Store(tmp_path), Store(tmp_path)
    with ours.lock("key", "run-1"):
        assert theirs.is_locked("key")
        with pytest.raises(Locked, match=rf"process {os.getpid()} on .*, run run-1, since"), theirs.lock("key"):
            pass
    assert not theirs.is_locked("key")
    with theirs.lock("key"):
        pass


def test_scratch_of_the_living_is_left_alone(tmp_path: Path) -> None:
    living = Store(tmp_path)
    folder = living.scratch("a")
    dead = tmp_path / "tmp" / f"{os.uname().nodename}-1-00000000"
    dead.mkdir()
    Store(tmp_path).sweep()
    assert folder.exists() and not dead.exists()
    living.close()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_plan_makes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "none", create=False)
    assert store.lookup("0" * 64) is None and list(store.actions()) == []
    assert not (tmp_path / "none").exists()


class TestPieces:
    def test_sealed_pieces_are_listed_in_order(self, tmp_path: Path) -> None:
        pieces = Store(tmp_path).partial("key")
        assert pieces.names() == []
        for name in ("step-00000010", "step-00000005"):
            pieces.write(name, lambda folder, name=name: self.fill(folder, name))  # type: ignore[misc]
        again = Store(tmp_path).partial("key")
        assert again.names() == ["step-00000005", "step-00000010"]
        assert (again.read("step-00000005") / "deep" / "state").read_text() == "step-00000005"
        with pytest.raises(KeyError):
            again.read("step-00000099")

    def test_a_fill_that_fails_leaves_nothing(self, tmp_path: Path) -> None:
        def fail(folder: Path) -> None:
            (folder / "half").write_text("half")
            raise RuntimeError("no")

        pieces = Store(tmp_path).partial("key")
        with pytest.raises(RuntimeError):
            pieces.write("step-00000001", fail)
        assert pieces.names() == []

    def test_a_piece_is_replaced_as_a_whole(self, tmp_path: Path) -> None:
        pieces = Store(tmp_path).partial("key")
        for text in ("old", "new"):
            pieces.write("step-00000001", lambda folder, text=text: self.fill(folder, text))  # type: ignore[misc]
        assert (Store(tmp_path).partial("key").read("step-00000001") / "deep" / "state").read_text() == "new"

    def test_the_newest_is_not_forgotten(self, tmp_path: Path) -> None:
        pieces = Store(tmp_path).partial("key")
        for name in ("step-00000001", "step-00000002"):
            pieces.write(name, lambda folder: self.fill(folder, "x"))
        with pytest.raises(ValueError, match="newest"):
            pieces.forget("step-00000002")
        pieces.forget("step-00000001")
        assert pieces.names() == ["step-00000002"]

    def test_an_unsealed_folder_goes_to_quarantine(self, tmp_path: Path) -> None:
        store = Store(tmp_path)
        self.fill(tmp_path / "ckpt" / "key" / "step-00000003", "x")
        assert store.partial("key").names() == []
        assert [path.name[:13] for path in (tmp_path / "quarantine").iterdir()] == ["step-00000003"]

    @staticmethod
    def fill(folder: Path, text: str) -> None:
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "state").write_text(text)


FILES = {"a": FileDigest("0" * 64, 3), "b/c": FileDigest("f" * 64, 0)}


def test_what_is_written_is_read_back() -> None:
    assert Manifest.parse(Manifest("rows", FILES).content) == Manifest("rows", FILES)
    assert parse_seal(seal_content(FILES)) == FILES
    action = Action({"kind": "gym"}, "0" * 64, {"label": "a"})
    assert Action.parse(action.content) == action


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "a//b", "", ".", "a/\0"])
def test_names_that_leave_the_folder_are_refused(name: str) -> None:
    with pytest.raises(Damage):
        Manifest.parse(Manifest("rows", {name: FileDigest("0" * 64, 3)}).content)


@pytest.mark.parametrize(
    "content",
    [b"", b"[" * 100_000, b"\xff", b"NaN", b"1" * 5000, b'{"a":1,"a":2}', b"null", b'{"files":{},"schema":1e999}'],
)
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for parse in (Manifest.parse, Action.parse, parse_seal):
        with pytest.raises(Damage):
            parse(content)


@given(st.binary(max_size=200), st.integers(0, 300), st.integers(0, 7))
def test_any_change_to_a_manifest_is_refused_or_names_another_artifact(noise: bytes, at: int, bit: int) -> None:
    whole = Manifest("rows", FILES)
    content = bytearray(whole.content)
    content[at % len(content)] ^= 1 << bit
    for changed in (bytes(content), noise):
        with contextlib.suppress(Damage):
            assert Manifest.parse(changed).digest != whole.digest
