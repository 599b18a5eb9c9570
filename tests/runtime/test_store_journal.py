"""The journal: a torn end is cut off, damage inside stops, and runs are listed from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptc.runtime.fsio import Disk
from ptc.runtime.journal import Journal, JournalDamaged, read
from ptc.runtime.runs import open_run, runs
from ptc.runtime.store import Store


def journal_of(path: Path, count: int = 3) -> bytes:
    journal = Journal(path, Disk())
    for number in range(count):
        journal.append("PROGRESS", node="n", attempt=1, data={"done": number, "text": "a\r\nb"})
    journal.close()
    return path.read_bytes()


def test_events_come_back_in_order(tmp_path: Path) -> None:
    journal_of(tmp_path / "events.jsonl")
    reading = read(tmp_path / "events.jsonl")
    assert [(event.seq, event.data["done"]) for event in reading.events] == [(0, 0), (1, 1), (2, 2)]
    assert not reading.torn


def test_a_torn_end_is_cut_off_at_every_length(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    content = journal_of(path)
    whole = content.rfind(b"\n", 0, -1) + 1
    for length in range(whole + 1, len(content)):
        path.write_bytes(content[:length])
        assert len(read(path).events) == 2 and read(path).torn
        journal = Journal(path, Disk())
        journal.append("RUN_FINISHED")
        journal.close()
        assert [event.type for event in read(path).events[2:]] == ["TORN", "RUN_FINISHED"]


def test_damage_inside_stops(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    content = journal_of(path)
    last = content.rfind(b"\n", 0, -1) + 1
    for position in range(last - 1):  # without its end the second line would be part of a torn last one
        for bit in (0, 5):
            changed = bytearray(content)
            changed[position] ^= 1 << bit
            path.write_bytes(changed)
            with pytest.raises(JournalDamaged, match=r"line [12] is damaged"):
                read(path)
    lines = content.splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2] + lines[1])
    with pytest.raises(JournalDamaged, match="line 2"):
        read(path)


def test_an_interrupted_run_goes_on_in_its_folder(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with open_run(store, "a b", "program") as first:
        first.metrics({"step": 1})
        assert [summary.state for summary in runs(store)] == ["running"]
    with (first.path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 2, "los')
    assert [(summary.state, summary.exit_code) for summary in runs(store)] == [("interrupted", None)]
    with open_run(store, "a b", "program") as second:
        assert second.path == first.path and second.attempt == 2
        second.metrics({"step": 2})
        second.finish(0, "")
    assert [line.split(", ")[1] for line in (first.path / "metrics.jsonl").read_text().splitlines()] == [
        '"step": 1}',
        '"step": 2}',
    ]
    (summary,) = runs(store)
    assert (summary.label, summary.state, summary.exit_code, summary.attempts) == ("a b", "done", 0, 2)
    assert not (first.path / "ballast").exists()


@pytest.mark.parametrize(("code", "goes_on"), [(0, False), (1, False), (2, False), (4, False), (5, True), (130, True)])
def test_only_what_can_go_on_goes_on(tmp_path: Path, code: int, goes_on: bool) -> None:
    store = Store(tmp_path)
    with open_run(store, "a", "program") as first:
        first.finish(code, "")
    with open_run(store, "a", "program") as second:
        assert (second.path == first.path) is goes_on


def test_programs_and_processes_do_not_share_a_run(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with open_run(store, "a", "program") as first:
        with open_run(Store(tmp_path), "a", "program") as second:
            assert second.path != first.path
        with open_run(store, "b", "other program") as third:
            assert third.path not in (first.path, second.path)
    assert len(runs(store)) == 3


def test_a_damaged_journal_is_listed_as_such(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with open_run(store, "a", "program") as run:
        run.finish(0, "")
    path = run.path / "events.jsonl"
    path.write_bytes(b"x" + path.read_bytes()[1:])
    assert [summary.state for summary in runs(store)] == ["damaged"]
