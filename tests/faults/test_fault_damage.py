"""Altered, cut, missing and extra files are found before use, and made again."""

from __future__ import annotations

import shutil
from pathlib import Path

import fake_program
import pytest
from harness import digests

from ptc.runtime.artifacts import ResourceMissing
from ptc.runtime.executor import Outcome, execute
from ptc.runtime.fsio import Disk, Failpoint
from ptc.runtime.manifest import Damage
from ptc.runtime.store import Store


def run_here(root: Path, disk: Disk | None = None, steps: int = 12) -> Outcome:
    store = Store(root / "store", disk=disk)
    profile = fake_program.FakeProfile()
    return execute(fake_program.program(3, steps), store, profile, fake_program.IMPLEMENTATIONS, out=root)


def damaged(store: Path, key: str) -> bool:
    """Whether a process that opens the store now notices."""
    try:
        return Store(store, create=False).peek(key) is None
    except Damage as damage:
        assert str(store) in str(damage)  # it names the file
        return True


def files_of(store: Path) -> list[tuple[str, Path]]:
    """Keys, and the files that their results depend on."""
    opened = Store(store)
    pairs: list[tuple[str, Path]] = []
    for key, action in opened.actions():
        folder = opened.object_path(action.artifact)
        pairs.extend((key, path) for path in [store / "actions" / f"{key}.json", *folder.iterdir()])
    return pairs


@pytest.mark.parametrize("bits", [(0,), pytest.param(tuple(range(8)), marks=pytest.mark.slow)])
def test_every_flipped_bit_is_found(fast_path: Path, bits: tuple[int, ...]) -> None:
    assert run_here(fast_path).exit_code == 0
    store = fast_path / "store"
    cases = 0
    for key, path in files_of(store):
        content = path.read_bytes()
        path.chmod(0o644)
        for position in range(len(content)):
            for bit in bits:
                flipped = bytearray(content)
                flipped[position] ^= 1 << bit
                path.write_bytes(flipped)
                assert damaged(store, key), f"{path} byte {position} bit {bit}"
                cases += 1
        path.write_bytes(content)
        assert not damaged(store, key)
    print(f"{cases} of {cases} flipped bits found before use")


def test_every_length_is_found(fast_path: Path) -> None:
    assert run_here(fast_path).exit_code == 0
    store = fast_path / "store"
    for key, path in files_of(store):
        content = path.read_bytes()
        path.chmod(0o644)
        for length in range(len(content)):
            path.write_bytes(content[:length])
            assert damaged(store, key), f"{path} cut to {length}"
        path.write_bytes(content + b"\n")
        assert damaged(store, key)
        path.write_bytes(content)


@pytest.mark.parametrize("what", ["altered", "missing", "extra", "hidden", "manifest", "action", "folder"])
def test_a_damaged_node_is_quarantined_and_made_again(fast_path: Path, what: str) -> None:
    assert run_here(fast_path).exit_code == 0
    store = fast_path / "store"
    expected = digests(store)
    key, action = next(pair for pair in Store(store).actions() if pair[1].key_document["kind"] == "train")
    folder = Store(store).object_path(action.artifact)
    weights = folder / "model.safetensors"
    if what == "altered":
        weights.chmod(0o644)
        weights.write_bytes(b"x" + weights.read_bytes()[1:])
    elif what == "missing":
        weights.unlink()
    elif what == "extra":
        (folder / "more").write_text("more")
    elif what == "hidden":
        (folder / ".sub").mkdir()
        (folder / ".sub" / "more").symlink_to("/etc/passwd")
    elif what == "manifest":
        (folder / "manifest.json").unlink()
    elif what == "action":
        (store / "actions" / f"{key}.json").unlink()
        (store / "actions" / f"{key}.json").write_bytes(b"\xff\xfe" + b"[" * 100_000)
    else:
        shutil.rmtree(folder)
    outcome = run_here(fast_path)
    assert outcome.exit_code == 0
    kinds = [fake_program.program(3, 12).nodes[meaning].kind for meaning in outcome.ran]
    assert kinds == ["train"]  # equal bytes: nothing behind it
    assert digests(store) == expected
    assert list((store / "quarantine").iterdir())
    assert "QUARANTINED" in (outcome.folder / "events.jsonl").read_text()


@pytest.mark.parametrize("what", ["state.json", "weights/optimizer", "SEAL.json", "missing", "extra", "empty"])
def test_a_damaged_checkpoint_falls_back_on_the_one_before(fast_path: Path, what: str) -> None:
    whole = fast_path / "whole"
    assert run_here(whole, steps=20).exit_code == 0
    expected = digests(whole / "store")
    root = fast_path / "damaged"
    full = Disk(Failpoint("full", "fill", "*", 7))  # four chunks, two checkpoints, then the disk is full
    outcome = run_here(root, full, 20)
    assert outcome.exit_code == 6
    (pieces,) = [path for path in (root / "store/ckpt").iterdir() if any(path.glob("step-*"))]
    newest = pieces / "step-00000010"
    if what == "missing":
        (newest / "state.json").unlink()
    elif what == "extra":
        (newest / "more").write_text("more")
    elif what == "empty":
        shutil.rmtree(newest)
        newest.mkdir()
    else:
        (newest / what).chmod(0o644)
        (newest / what).write_bytes(b"{}")
    outcome = run_here(root, steps=20)
    assert outcome.exit_code == 0
    assert '"resumed":"step-00000005"' in (outcome.folder / "events.jsonl").read_text()
    assert digests(root / "store") == expected


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_a_full_disk_at_every_write(fast_path: Path, step: int) -> None:
    """Exit 6 and one line wherever it happens, no traceback; with room again the run ends as it would have."""
    whole = fast_path / "whole"
    assert run_here(whole).exit_code == 0
    expected = digests(whole / "store")
    for number in range(1, 10_000, step):
        root = fast_path / f"full-{number}"
        try:
            outcome = run_here(root, Disk(Failpoint("full", "write", "*/store/*", number)))
        except ResourceMissing as error:  # no room even for the journal
            assert number < 3 and "free space and run again" in str(error)
        else:
            if outcome.exit_code == 0:  # behind the last write
                break
            assert outcome.exit_code == 6 and "free space and run again" in outcome.message
            assert not list(outcome.folder.glob("trace*"))
        again = run_here(root)
        assert again.exit_code == 0
        assert digests(root / "store") == expected
    assert number > 50
    print(f"a full disk at every {step}th of {number} writes: exit 6, identical after one rerun")
