"""A guarded stage, killed with `kill -9`: its monitors know what they knew, and stop it where it would have been."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import ForkedCommand, Moment, Zygote, node_event, run, run_and_signal

ROOT = Path(__file__).parents[2]
LIMIT = "  guard entropy >= 2.2 over 8 steps\n"
PROFILE = 'device = "cpu"\nthreads = 1\ncheckpoint_every = 4\n'


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    parent = Zygote({"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"})
    yield parent
    parent.close()


def guarded(zygote: Zygote, folder: Path) -> ForkedCommand:
    """The program beside this file, with a limit that its first stage does not keep."""
    folder.mkdir(exist_ok=True)
    program = Path(__file__).with_name("survivor.pt").read_text(encoding="utf-8")
    line = "  budget    = 60 steps\n"
    assert program.count(line) == 1
    (folder / "survivor.pt").write_text(program.replace(line, line + LIMIT), encoding="utf-8")
    (folder / "profile.toml").write_text(PROFILE)
    return ForkedCommand(zygote, ["run", "survivor.pt", "--profile", "profile.toml", "--store", "store"], folder)


def fired(folder: Path) -> list[tuple[int, float]]:
    rows = [json.loads(line) for path in folder.glob("store/runs/*/metrics.jsonl") for line in path.open()]
    return [(row["step"], row["value"]) for row in rows if row.get("event") == "monitor"]


@pytest.mark.slow
def test_a_killed_stage_is_stopped_at_the_same_step(zygote: Zygote, fast_path: Path) -> None:
    whole = run(guarded(zygote, fast_path / "whole"))
    assert whole.code == 4 and "guard of cold_start" in whole.output, whole.output
    (expected,) = fired(fast_path / "whole")
    assert expected[0] > 8
    folder = fast_path / "killed"
    moment = Moment(node_event("PROGRESS", "cold_start"), expected[0] - 2, 0.0)
    killed = run_and_signal(guarded(zygote, folder), folder / "store", moment)
    assert killed.code == -signal.SIGKILL and not fired(folder), killed.output
    assert run(guarded(zygote, folder)).code == 4
    assert fired(folder) == [expected]
