"""A run killed anywhere goes on when it is started again, and ends as if nothing had happened."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import fake_program
import pytest
from harness import Command, Moment, digests, node_event, run, run_and_signal, tally

from ptc.compiler.graph import Node
from ptc.runtime.executor import Outcome, execute
from ptc.runtime.fsio import Disk, Failpoint, Fault
from ptc.runtime.store import Store

STEPS = 12
ROOT = Path(__file__).parents[2]


def run_here(root: Path, disk: Disk | None = None, steps: int = STEPS) -> Outcome:
    """The fake program, in this process."""
    store = Store(root / "store", disk=disk)
    profile = fake_program.FakeProfile()
    return execute(fake_program.program(3, steps), store, profile, fake_program.IMPLEMENTATIONS, out=root)


def run_in_child(root: Path, failpoint: Failpoint) -> int:
    """The fake program in a forked process: its exit code, negative for a signal."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(run_here(root, Disk(failpoint)).exit_code)
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def uninterrupted(folder: Path) -> dict[str, str]:
    """What the program yields."""
    assert run_here(folder).exit_code == 0
    return digests(folder / "store")


def die_and_rerun(root: Path, failpoint: Failpoint, expected: dict[str, str]) -> bool:
    """Whether the failpoint struck."""
    code = run_in_child(root, failpoint)
    assert code in (-signal.SIGKILL, 0), code
    outcome = run_here(root)
    assert (outcome.exit_code, outcome.message) == (0, "")
    assert digests(root / "store") == expected
    assert [path.name for path in (root / "out").iterdir()] == ["small"]
    assert (root / "out/small/model.safetensors").exists()
    assert list((root / "store/tmp").iterdir()) == [] and list((root / "store/trash").iterdir()) == []
    assert list((root / "store/ckpt").iterdir()) == []
    counted = tally(root / "store")
    assert counted.reruns_of_finished == 0
    assert all(repeated <= fake_program.CHECKPOINT_EVERY for repeated in counted.repeated_steps)
    return code != 0


def strike(fault: Fault, operation: str, step: int, folder: Path) -> int:
    """Lets the fault strike at every `step`-th such operation there is; how many that were."""
    expected = uninterrupted(folder / "whole")
    struck = 0
    while die_and_rerun(folder / str(struck), Failpoint(fault, operation, "*", 1 + struck * step), expected):
        struck += 1
    return struck


def test_killed_at_some_disk_operations(fast_path: Path) -> None:
    assert strike("kill", "*", 23, fast_path) > 10


@pytest.mark.slow
def test_killed_at_every_disk_operation(fast_path: Path) -> None:
    cases = strike("kill", "*", 1, fast_path)
    print(f"{cases} of {cases} kills, one at each disk operation: identical after one rerun")
    assert cases > 200


@pytest.mark.slow
def test_half_written_at_every_write(fast_path: Path) -> None:
    cases = strike("half", "write", 1, fast_path)
    print(f"{cases} of {cases} half-written files and lines: identical after one rerun")
    assert cases > 50


def test_killed_twice_in_a_row(fast_path: Path) -> None:
    expected = uninterrupted(fast_path / "whole")
    root = fast_path / "twice"
    assert run_in_child(root, Failpoint("kill", "rename", "*/ckpt/*/step*", 2)) == -signal.SIGKILL
    die_and_rerun(root, Failpoint("kill", "rename", "*/objects/*", 1), expected)


def test_what_a_killed_attempt_has_spent_is_booked(fast_path: Path) -> None:
    """Killed while it seals its 10th step: the 9 that it has told of count, and the 7 from the seal of the 5th on."""
    assert run_in_child(fast_path, Failpoint("kill", "rename", "*/ckpt/*/step*", 2)) == -signal.SIGKILL
    assert run_here(fast_path).exit_code == 0
    found = {
        action.key_document["kind"]: action.provenance["cost"] for _, action in Store(fast_path / "store").actions()
    }
    assert found["train"]["trained_tokens"] == 9 + (STEPS - 5)
    assert found["sample"]["sampled_tokens"] == fake_program.CHUNKS


def command(root: Path, *more: str) -> Command:
    script = str(Path(fake_program.__file__))
    arguments = [sys.executable, script, str(root / "store"), "--steps", "40", "--pause", "0.01", *more]
    return Command(arguments, {"PYTHONPATH": str(ROOT)}, root)


@pytest.mark.slow
def test_thirty_kills_at_random_moments(fast_path: Path) -> None:
    """Ten inside sampling, ten inside steps, ten inside checkpoint saves; after each the same command ends the run."""
    whole = fast_path / "whole"
    whole.mkdir()
    assert run(command(whole)).code == 0
    expected = digests(whole / "store")
    chance = random.Random(7)
    finished = 0
    for kind, type in (("sample", "PIECE_STARTED"), ("train", "PROGRESS"), ("train", "PIECE_STARTED")):
        for number in range(10):
            root = fast_path / f"{kind}-{type}-{number}"
            root.mkdir()
            most = 4 if kind == "sample" else 8 if type == "PIECE_STARTED" else 39
            moment = Moment(node_event(type, kind), chance.randint(1, most), delay=chance.uniform(0, 0.012))
            assert run_and_signal(command(root), root / "store", moment).code == -signal.SIGKILL
            assert run(command(root)).code == 0
            assert digests(root / "store") == expected
            counted = tally(root / "store")
            assert counted.reruns_of_finished == 0
            assert max(counted.repeated_steps, default=0) <= fake_program.CHECKPOINT_EVERY
            finished += 1
    print(f"{finished} of 30 kills: finished on rerun, digests identical, no finished node began again")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 5), (signal.SIGUSR1, 5), (signal.SIGINT, 130)])
def test_a_signal_stops_at_the_next_heartbeat(fast_path: Path, number: int, code: int) -> None:
    moment = Moment(node_event("PROGRESS", "train"), 12)
    ended = run_and_signal(command(fast_path), fast_path / "store", moment, number)
    assert ended.code == code
    assert "run the same command to go on" in ended.output and "Traceback" not in ended.output
    assert run(command(fast_path)).code == 0
    assert len(list((fast_path / "store/runs").iterdir())) == 1  # the same run went on
    assert max(tally(fast_path / "store").repeated_steps) <= fake_program.CHECKPOINT_EVERY


def test_a_second_signal_leaves_at_once(fast_path: Path) -> None:
    slow = Command([*command(fast_path).arguments, "--pause", "5"], command(fast_path).environment, fast_path)
    process = slow.start()
    deadline = time.monotonic() + 20
    while not list(fast_path.glob("store/runs/*/metrics.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    began = time.monotonic()
    os.kill(process.pid, signal.SIGTERM)
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(20).code == 5 and time.monotonic() - began < 2


def test_two_runs_at_once_compute_each_node_once(fast_path: Path) -> None:
    processes = [command(fast_path).start() for _ in range(2)]
    for process in processes:
        ended = process.wait(60)
        assert ended.code == 0, ended.output
    assert set(tally(fast_path / "store").attempts.values()) == {1}
    assert len(digests(fast_path / "store")) == 6


def in_children(count: int, work: Callable[[int], int]) -> list[int]:
    """Does `work` in forked processes at the same time; their exit codes."""
    children = []
    for number in range(count):
        child = os.fork()
        if child == 0:
            try:
                os._exit(work(number))
            finally:
                os._exit(99)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def test_many_processes_compute_many_keys_once_each(fast_path: Path) -> None:
    nodes = [Node("gym", 1, {"size": size}, {}) for size in range(1, 31)]

    def work(number: int) -> int:
        order = random.Random(number).sample(nodes, len(nodes))
        store = Store(fast_path / "store")
        graph = fake_program.graph_of(*order)
        return execute(graph, store, fake_program.FakeProfile(), fake_program.IMPLEMENTATIONS).exit_code

    assert in_children(4, work) == [0, 0, 0, 0]
    attempts = tally(fast_path / "store").attempts
    assert len(attempts) == 30 and set(attempts.values()) == {1}


def test_without_locks_work_is_doubled_and_nothing_damaged(fast_path: Path) -> None:
    class Lockless(Store):
        @contextmanager
        def lock(self, key: str, run: str = "", timeout: float = 0.0) -> Iterator[None]:
            yield

    expected = uninterrupted(fast_path / "whole")
    root = fast_path / "lockless"

    def work(_number: int) -> int:
        graph, profile = fake_program.program(3, STEPS), fake_program.FakeProfile()
        return execute(graph, Lockless(root / "store"), profile, fake_program.IMPLEMENTATIONS, out=root).exit_code

    assert 0 in in_children(3, work)
    assert digests(root / "store") == expected
    assert run_here(root).ran == ()


def test_the_lock_of_a_killed_process_is_free(fast_path: Path) -> None:
    moment = Moment(node_event("PROGRESS", "train"), 5)
    assert run_and_signal(command(fast_path), fast_path / "store", moment).code == -signal.SIGKILL
    ended = run(command(fast_path, "--no-wait"))
    assert ended.code == 0, ended.output
