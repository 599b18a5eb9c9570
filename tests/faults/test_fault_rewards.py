"""Models that judge what a stage samples while it trains, killed with `kill -9`: the run goes on to the same weights.

A reward model and a judge with a rubric, summed, and a process reward model that gives each step a reward of its own.
All three are trained by the program itself, and stand still in the stages that they judge in.
"""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import ForkedCommand, Moment, Zygote, digests, node_event, run, run_and_signal, tally, unlike

ROOT = Path(__file__).parents[2]
PROFILE = 'device = "cpu"\nthreads = 1\ncheckpoint_every = 3\n'
ANSWERS = ("tie", "note", "seed", "tree", "moon", "red", "ten", "sea")
ASKED = (
    "Is it short?\n\n[Question]\nSay {0}\n\n[Response]\n{0}\n\n[Grade]\n"
    "Grade the response with a number from 0 (worst) to 1 (best). End with a line of its own: Grade: NUMBER"
)
"""What a judge is asked."""
LOOKED_AT = ("reward", "reward_std_in_groups", "rewards/reward_model/mean", "rewards/judge/mean", "grad_norm")


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    parent = Zygote({"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"})
    yield parent
    parent.close()


def command(zygote: Zygote, folder: Path) -> ForkedCommand:
    folder.mkdir(exist_ok=True)
    shutil.copy(Path(__file__).with_name("judged.pt"), folder)
    (folder / "profile.toml").write_text(PROFILE)
    rows = {
        "tasks": [{"prompt": f"Say {one}"} for one in ANSWERS],
        "pairs": [{"prompt": f"Say {one}", "chosen": one, "rejected": one[::-1]} for one in ANSWERS],
        "marked": [
            {"prompt": f"Say {one}", "steps": [one[:2], one[2:]], "step_labels": [True, len(one) > 3]}
            for one in ANSWERS
        ],
        "grades": [{"prompt": ASKED.format(one), "response": f"Grade: {len(one) % 2}"} for one in ANSWERS],
    }
    for name, own in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in own))
    return ForkedCommand(zygote, ["run", "judged.pt", "--profile", "profile.toml", "--store", "store"], folder)


def learnt(folder: Path, label: str, metric: str) -> list[float]:
    rows = [json.loads(line) for path in folder.glob("store/runs/*/metrics.jsonl") for line in path.open()]
    return [row[metric] for row in rows if row["label"] == label and metric in row]


@pytest.fixture(scope="module")
def whole(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program in a folder of its own, run twice."""
    folder = tmp_path_factory.mktemp("judged")
    for _ in range(2):
        ended = run(command(zygote, folder))
        assert ended.code == 0, ended.output
    return folder


@pytest.mark.slow
def test_they_judge_what_is_sampled_and_nothing_runs_twice(whole: Path) -> None:
    found = {name: learnt(whole, "pleasing", name) for name in LOOKED_AT}
    assert all(len(values) == 8 for values in found.values())
    for reward, learned, judged in zip(
        *(found[name] for name in (LOOKED_AT[0], LOOKED_AT[2], LOOKED_AT[3])), strict=True
    ):
        assert reward == pytest.approx(learned + 0.5 * judged, abs=1e-6)
    assert all(norm > 0 for norm in found["grad_norm"])
    unread = learnt(whole, "pleasing", "rewards/unjudged")  # what so small a judge writes is not always a grade
    assert len(unread) == 8 and max(unread) < 4 * 4 / 2
    assert all(norm > 0 for norm in learnt(whole, "stepwise", "grad_norm"))
    assert len(learnt(whole, "stepwise", "rewards/reward_model/mean")) == 8
    assert tally(whole / "store").reruns_of_finished == 0


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "step"), [("pleasing", 5), ("stepwise", 2)])
def test_a_killed_stage_goes_on_to_the_same_weights(
    zygote: Zygote, whole: Path, stage: str, step: int, tmp_path: Path
) -> None:
    happened = Moment(node_event("PROGRESS", stage), step, 0.0)
    killed = run_and_signal(command(zygote, tmp_path), tmp_path / "store", happened)
    assert killed.code == -signal.SIGKILL, killed.output
    again = run(command(zygote, tmp_path))
    assert again.code == 0, again.output
    assert unlike(tmp_path / "store", whole / "store") == []
    assert digests(tmp_path / "store") == digests(whole / "store")
