"""Real training, killed with `kill -9` thirty times: the same command goes on, and the weights are those of an
uninterrupted run, bit for bit."""

from __future__ import annotations

import json
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import ForkedCommand, Happened, Moment, Zygote, digests, node_event, run, run_and_signal, tally, unlike

CHECKPOINT_EVERY = 4
PROFILE = f'device = "cpu"\nthreads = 1\ncheckpoint_every = {CHECKPOINT_EVERY}\n'
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    parent = Zygote({"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"})
    yield parent
    parent.close()


def command(zygote: Zygote, folder: Path) -> ForkedCommand:
    """`ptc run` of the program beside this file, in a folder of its own."""
    folder.mkdir(exist_ok=True)
    shutil.copy(Path(__file__).with_name("survivor.pt"), folder)
    (folder / "profile.toml").write_text(PROFILE)
    return ForkedCommand(zygote, ["run", "survivor.pt", "--profile", "profile.toml", "--store", "store"], folder)


def whole(zygote: Zygote, folder: Path) -> dict[str, str]:
    """What the program yields when nothing happens."""
    ended = run(command(zygote, folder))
    assert ended.code == 0, ended.output
    return digests(folder / "store")


def weights(folder: Path) -> list[bytes]:
    return [(folder / "out" / name / "model.safetensors").read_bytes() for name in ("imitator", "reasoner")]


def learnt(folder: Path, label: str, metric: str) -> list[float]:
    rows = [json.loads(line) for path in folder.glob("store/runs/*/metrics.jsonl") for line in path.open()]
    return [row[metric] for row in rows if row["label"] == label and metric in row]


PLACES: dict[str, list[tuple[Happened, int, float]]] = {
    # The place, the number of its events to choose from, and the longest delay behind one, in seconds.
    "sampling": [(node_event("RUNNING", "sample"), 1, 0.3), (node_event("PROGRESS", "reasoner"), 19, 0.03)],
    "optimizer steps": [(node_event("PROGRESS", "cold_start"), 59, 0.03)],
    "checkpoint saves": [
        (node_event("PIECE_STARTED", "cold_start"), 15, 0.01),
        (node_event("PIECE_STARTED", "reasoner"), 5, 0.01),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_ten_kills_of_real_training(zygote: Zygote, fast_path: Path, place: str) -> None:
    expected = whole(zygote, fast_path / "whole")
    final = weights(fast_path / "whole")
    assert any(norm > 0 for norm in learnt(fast_path / "whole", "reasoner", "grad_norm"))  # there is something to lose
    chance = random.Random(place)
    finished, reruns, repeated = 0, 0, []
    for number in range(10):
        happened, most, longest = PLACES[place][number % len(PLACES[place])]
        folder = fast_path / f"killed-{number}"
        moment = Moment(happened, chance.randint(1, most), chance.uniform(0, longest))
        killed = run_and_signal(command(zygote, folder), folder / "store", moment)
        assert killed.code == -signal.SIGKILL, killed.output
        again = run(command(zygote, folder))
        assert again.code == 0, again.output
        assert unlike(folder / "store", fast_path / "whole" / "store") == [], number
        assert digests(folder / "store") == expected
        assert weights(folder) == final
        counted = tally(folder / "store")
        reruns += counted.reruns_of_finished
        repeated.append(sum(counted.repeated_steps))
        finished += 1
        shutil.rmtree(folder)
    print(f"kill -9 inside {place}: {finished} of 10 finished on rerun, weights identical to the uninterrupted run")
    print(f"steps repeated per kill: {repeated}, at most one checkpoint interval ({CHECKPOINT_EVERY})")
    print(f"finished nodes rerun: {reruns}")
    assert max(repeated) <= CHECKPOINT_EVERY and reruns == 0


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 5), (signal.SIGINT, 130)])
def test_a_signal_seals_and_the_next_run_goes_on(zygote: Zygote, fast_path: Path, number: int, code: int) -> None:
    expected = whole(zygote, fast_path / "whole")
    folder = fast_path / "stopped"
    moment = Moment(node_event("PROGRESS", "reasoner"), 6, 0.01)
    ended = run_and_signal(command(zygote, folder), folder / "store", moment, number)
    assert ended.code == code and "Traceback" not in ended.output, ended.output
    assert run(command(zygote, folder)).code == 0
    assert digests(folder / "store") == expected
    assert tally(folder / "store").repeated_steps == [0]  # the step on its way is ended and sealed
