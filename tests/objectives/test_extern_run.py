"""Programs whose objectives are in Python, run whole: allowed or not, rewritten, killed, in two processes, on LoRA."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ptc import cli

MODULE = '''"""The losses of this program."""
import torch
from torch.nn.functional import logsigmoid


def preferred(pairs, policy, reference, beta):
    better = pairs.chosen.sum(policy.logp(pairs.chosen) - reference.logp(pairs.chosen))
    worse = pairs.rejected.sum(policy.logp(pairs.rejected) - reference.logp(pairs.rejected))
    return -logsigmoid(beta * (better - worse))


def relative(rollouts, policy, clip):
    advantage = (rollouts.reward - rollouts.group_mean("reward")) / (rollouts.group_std("reward") + 1e-4)
    ratio = torch.exp(policy.logp(rollouts.response) - rollouts.logprobs)
    advantage = rollouts.response.each(advantage)
    gain = torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
    return -rollouts.response.mean(gain)


def averaged(pairs, policy, reference, beta):
    return preferred(pairs, policy, reference, beta).mean()
'''
PROGRAM = """edition 2026
from std.objectives import dpo, grpo
from std.verifiers import exact
extern objective preferred(
  pairs: Trajectories{{prompt, chosen, rejected}}, policy: Trained, reference: Anchor, beta: Real = 0.1,
) = "my_losses:{preferred}"
extern objective relative(
  rollouts: Trajectories{{prompt, group, response, logprobs, reward}} by policy within 2 steps,
  policy: Trained, clip: Real = 0.2,
) = "my_losses:relative"
source tasks = jsonl("tasks.jsonl") |> prompts(.prompt, chosen = .answer, rejected = .other, answer = .answer)
model base = new.model("qwen3", hidden = 32, layers = 1, context = 64, tokenizer = characters(tasks))
stage liked {{
  train policy = {entry}
  freeze reference = base
  minimize {dpo}
  optimizer = adamw(lr = 3e-3)
  batch = 16 samples
  budget = 4 steps
  {more}
}}
stage reasoner {{
  train policy = liked
  source rollouts = tasks |> sample(policy, n = 4, max_tokens = 2, temperature = 0.7) |> score(exact)
  minimize {grpo}
  optimizer = adamw(lr = 3e-3)
  batch = 8 prompts
  rollout = 16 prompts
  budget = 3 steps
}}
export reasoner to "out"
"""
PYTHON = {"dpo": "preferred(tasks, policy, reference, beta = 0.5)", "grpo": "relative(rollouts, policy)"}
LANGUAGE = {"dpo": "dpo(tasks, policy, reference, beta = 0.5)", "grpo": "grpo(rollouts, policy)"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    rows = [
        {"prompt": f"{letter}{digit}", "answer": letter, "other": letter * (2 + digit % 3)}
        for letter in "abcd"
        for digit in range(8)
    ]
    (tmp_path / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "my_losses.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    sys.modules.pop("my_losses", None)
    yield tmp_path
    sys.modules.pop("my_losses", None)


def run(folder: Path, *words: str, entry: str = "base", preferred: str = "preferred", **calls: str) -> int:
    more = calls.pop("more", "")
    text = PROGRAM.format(entry=entry, preferred=preferred, more=more, **{**PYTHON, **calls})
    (folder / "program.pt").write_text(text)
    return cli.main(["run", "program.pt", *words])


def losses(folder: Path, store: str = ".ptc") -> list[float]:
    """Of the steps of the latest run."""
    latest = max((folder / store / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    rows = [json.loads(line) for line in (latest / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


@pytest.mark.slow
def test_it_learns_what_the_same_does_in_the_language(folder: Path) -> None:
    assert run(folder, "--allow-extern", "--store", "python") == 0
    assert run(folder, "--store", "language", **LANGUAGE) == 0
    found, expected = losses(folder, "python"), losses(folder, "language")
    assert len(found) == 7
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert len({round(loss, 4) for loss in found}) > 3


def test_it_is_called_only_if_that_is_allowed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder) == 2
    refused = capsys.readouterr().err
    assert refused.count("error[N118]") == 2
    assert '"my_losses:preferred" is Python outside of ptc, and this run does not allow it' in refused
    assert 'allow_extern = ["my_losses"]' in refused


def test_a_module_that_is_nowhere_is_said_before_anything_runs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "my_losses.py").unlink()
    assert run(folder, "--allow-extern") == 2
    said = capsys.readouterr().err
    assert '"my_losses:preferred" cannot be loaded: no module is called my_losses: install it, put it on' in said
    assert "or put my_losses.py where the run is started" in said
    assert not list((folder / ".ptc").glob("objects/*/*"))


def test_a_module_that_cannot_be_read_is_one_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "my_losses.py").write_text(MODULE + "\nbeta = = 1\n")
    assert run(folder, "--allow-extern") == 2
    said = capsys.readouterr().err
    assert '"my_losses:preferred" cannot be loaded: SyntaxError: invalid syntax' in said
    assert f"mend it at my_losses.py:{MODULE.count(chr(10)) + 2}" in said
    assert "Traceback" not in said


def test_a_mean_of_the_micro_batch_ends_the_run_with_4(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--allow-extern", preferred="averaged") == 4
    said = capsys.readouterr().err
    assert (
        'identity-violated: a batch has one loss and one gradient however it is cut, and "my_losses:averaged"' in said
    )
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_function_that_was_rewritten_learns_anew(folder: Path) -> None:
    assert run(folder, "--allow-extern") == 0
    assert run(folder, "--allow-extern") == 0
    assert losses(folder) == []
    (folder / "my_losses.py").write_text(MODULE.replace("-logsigmoid(beta", "-2 * logsigmoid(beta"))
    sys.modules.pop("my_losses")
    assert run(folder, "--allow-extern") == 0
    assert len(losses(folder)) == 7


@pytest.mark.slow
def test_a_smoke_run_calls_it_if_it_may_and_names_what_it_does_not_call(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "--smoke") == 0
    said = capsys.readouterr().out
    assert "stubbed: my_losses:preferred (a loss in Python that is not allowed)" in said
    assert "stubbed: my_losses:relative (a loss in Python that is not allowed)" in said
    assert "my_losses" not in sys.modules
    assert run(folder, "--smoke", "--allow-extern") == 0
    assert "stubbed" not in capsys.readouterr().out
    assert "my_losses" in sys.modules


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["none", "full"])
def test_two_processes_learn_what_one_does(folder: Path, sharding: str) -> None:
    (folder / "two.toml").write_text(f'device = "cpu"\ndevices = 2\nthreads = 1\nsharding = "{sharding}"\n')
    assert run(folder, "--allow-extern", "--store", "one") == 0
    assert run(folder, "--allow-extern", "--store", "two", "--profile", "two.toml") == 0
    assert losses(folder, "two") == pytest.approx(losses(folder, "one"), rel=1e-4, abs=1e-5)


@pytest.mark.slow
def test_what_fails_in_two_processes_is_one_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "two.toml").write_text('device = "cpu"\ndevices = 2\nthreads = 1\n')
    assert run(folder, "--allow-extern", "--profile", "two.toml", preferred="averaged") == 4
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ptc:")]
    assert len(said) == 1
    assert "identity-violated" in said[0]


@pytest.mark.slow
def test_adapters_packing_and_precomputed_references_go_with_it(folder: Path) -> None:
    (folder / "packed.toml").write_text('device = "cpu"\npacking = true\nmicro_batch = 3\n')
    whole = {"entry": "lora(base, rank = 4)", "more": "precompute = true"}
    assert run(folder, "--allow-extern", "--store", "packed", "--profile", "packed.toml", **whole) == 0
    assert run(folder, "--store", "language", entry="lora(base, rank = 4)", **LANGUAGE) == 0
    assert losses(folder, "packed")[:4] == pytest.approx(losses(folder, "language")[:4], rel=1e-4, abs=1e-5)
