"""The processes beside the run: they end with it however it ends, and one that fails is one message."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ptc import cli

ROOT = Path(__file__).parents[2]
PROGRAM = """edition 2026
from std.objectives import grpo
from std.verifiers import exact
source tasks = jsonl("tasks.jsonl") |> prompts(.prompt, answer = .answer)
model base = new.model("qwen3", hidden = 32, layers = 1, context = 64, tokenizer = characters(tasks))
stage reasoner {
  train policy = base
  source rollouts = tasks |> sample(policy, n = 4, max_tokens = 2) |> score(exact)
  minimize grpo(rollouts, policy)
  optimizer = adamw(lr = 1e-3)
  batch = 8 prompts
  budget = 5000 steps
}
"""
DEADLINE = 60.0


@dataclass
class Run:
    """`ptc run` with two processes, in a folder."""

    folder: Path
    process: subprocess.Popen[str]

    @staticmethod
    def start(folder: Path, program: str = PROGRAM, profile: str = "devices = 2\n") -> Run:
        rows = [{"prompt": f"{letter}{digit}", "answer": letter} for letter in "abcd" for digit in range(8)]
        (folder / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "program.pt").write_text(program)
        (folder / "two.toml").write_text(f'device = "cpu"\nthreads = 1\n{profile}')
        command = [sys.executable, "-m", "ptc", "run", "program.pt", "--profile", "two.toml"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
        process = subprocess.Popen(
            command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        return Run(folder, process)

    def wait_for_steps(self, count: int) -> None:
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.process.communicate()[0]
            if (
                sum(len(path.read_text().splitlines()) for path in self.folder.glob(".ptc/runs/*/metrics.jsonl"))
                > count
            ):
                return
            time.sleep(0.1)
        raise AssertionError("it does not train")

    def members(self) -> list[int]:
        """The processes that this run has started to train with."""
        return [
            pid for pid, words in processes() if "ptc.runtime.crew_member" in words and str(self.process.pid) in words
        ]

    def end(self) -> tuple[int, str]:
        said, _ = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, said


def processes() -> Iterator[tuple[int, list[str]]]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield int(path.parent.name), path.read_text().split("\0")
        except OSError:
            continue


def gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not {pid for pid, words in processes() if any(words)} & set(pids):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 5), (signal.SIGKILL, -9)])
def test_they_end_with_the_run(number: int, code: int, tmp_path: Path) -> None:
    run = Run.start(tmp_path)
    run.wait_for_steps(2)
    members = run.members()
    assert len(members) == 1
    for member in members if number != signal.SIGKILL else ():
        os.kill(member, number)  # as a terminal does, which asks the whole group
    run.process.send_signal(number)
    assert run.end()[0] == code
    assert gone(members)


@pytest.mark.slow
def test_one_that_is_killed_is_one_message(tmp_path: Path) -> None:
    run = Run.start(tmp_path)
    run.wait_for_steps(2)
    [member] = run.members()
    os.kill(member, signal.SIGKILL)
    code, said = run.end()
    assert code == 6
    assert "training process 2 of 2 was killed by signal 9" in said
    assert "Traceback" not in said


def test_a_launcher_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "program.pt").write_text(PROGRAM)
    for name, value in (("LOCAL_RANK", "0"), ("ACCELERATE_USE_FSDP", "true"), ("ACCELERATE_MIXED_PRECISION", "no")):
        with monkeypatch.context() as launched:
            launched.setenv(name, value)
            assert cli.main(["run", "program.pt"]) == 6
        assert "starts its training processes itself" in capsys.readouterr().err


def test_vllm_beside_other_processes_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ptc.running.check_packages", lambda profile: None)
    (tmp_path / "tasks.jsonl").write_text('{"prompt": "a1", "answer": "a"}\n')
    (tmp_path / "program.pt").write_text(PROGRAM)
    (tmp_path / "two.toml").write_text('device = "cpu"\ndevices = 2\nengine = "vllm"\n')
    assert cli.main(["run", "program.pt", "--profile", "two.toml"]) == 6
    assert "`reasoner` samples while 2 processes train, and vLLM runs beside one alone" in capsys.readouterr().err
    assert not (tmp_path / ".ptc").exists()
