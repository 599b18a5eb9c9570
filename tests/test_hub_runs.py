"""Programs that name the hub, run against a local server that answers as the hub does (`hub_stub`).

Each command is a process of its own: the libraries read `HF_ENDPOINT` when they are first imported.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from hub_stub import Hub, commit, serving
from pyarrow import parquet

from ptc.runtime.smoke.models import write_small

ROOT = Path(__file__).resolve().parents[1]
STAND_INS = ROOT / "examples" / "recipes" / "stand_ins"
SETTINGS = 'device = "cpu"\n'
PROGRAM = """edition 2026
from std.objectives import sft

source sums = hf.dataset("org/sums", config = "main", split = "train") |> prompts(.question, answer = .answer)
model base  = hf.model("org/tiny")

stage tuned {
  train policy = base
  minimize sft(sums |> respond(.answer), policy)
  optimizer = adamw(lr = 1e-4)
  batch     = 8 samples
  budget    = 2 steps
}

export tuned to "out"
"""
CARD = """---
configs:
- config_name: main
  data_files:
  - split: train
    path: main/train-*
  - split: test
    path: main/test-*
---
"""

pytestmark = pytest.mark.slow


@dataclass
class Place:
    """A program, a hub and a cache."""

    folder: Path
    hub: Hub

    def ptc(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """One command. Fails the test where it ends with a trace."""
        quiet = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        env = {**quiet, "HF_ENDPOINT": self.hub.url, "HF_HOME": str(self.folder / "cache"), "CUDA_VISIBLE_DEVICES": ""}
        command = [sys.executable, "-m", "ptc", *words]
        ended = subprocess.run(
            command, cwd=self.folder, env={**env, **more}, capture_output=True, text=True, timeout=240, check=False
        )
        assert "Traceback" not in ended.stderr, ended.stderr
        return ended

    def run(self, profile: str = "hub", *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return self.ptc("run", "program.pt", "--profile", f"{profile}.toml", *words, **more)

    def forget(self) -> None:
        """As if nothing had been computed; the cache of the hub stays."""
        shutil.rmtree(self.folder / ".ptc", ignore_errors=True)
        self.hub.asked.clear()


def said(ended: subprocess.CompletedProcess[str]) -> str:
    """The one line of ptc about what went wrong."""
    (line,) = (line for line in ended.stderr.splitlines() if line.startswith("ptc"))
    return line


def dataset(folder: Path, count: int) -> Path:
    """Sums, as a repository of a data set has them."""
    rows = [{"question": f"{row} + 1?", "answer": f"That is #### {row + 1}"} for row in range(count)]
    (folder / "main").mkdir(parents=True)
    for split in ("train", "test"):
        parquet.write_table(pa.Table.from_pylist(rows), folder / "main" / f"{split}-00000-of-00001.parquet")
    (folder / "README.md").write_text(CARD)
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    model = tmp_path / "hub" / "tiny"
    model.mkdir(parents=True)
    write_small(STAND_INS / "models" / "Qwen" / "Qwen3-0.6B", model, seed=1)
    (tmp_path / "program.pt").write_text(PROGRAM)
    (tmp_path / "hub.toml").write_text(SETTINGS + "allow_hub = true\n")
    (tmp_path / "offline.toml").write_text(SETTINGS + "allow_hub = false\n")
    with serving(Hub({"org/tiny": model}, {"org/sums": dataset(tmp_path / "hub" / "sums", 40)})) as hub:
        yield Place(tmp_path, hub)


def test_a_locked_program_runs_again_without_the_hub_and_means_the_same_commits(place: Place) -> None:
    assert place.ptc("lock", "program.pt").returncode == 0
    lock = json.loads((place.folder / "ptc.lock").read_text())
    commits = commit(place.hub.models["org/tiny"]), commit(place.hub.datasets["org/sums"])
    assert (lock["models"]["org/tiny"]["commit"], lock["datasets"]["org/sums:main"]["commit"]) == commits
    assert lock["datasets"]["org/sums:main"]["columns"] == ["question", "answer"]
    first = place.run()
    assert first.returncode == 0, first.stderr
    exported = (place.folder / "out" / "model.safetensors").read_bytes()
    place.forget()
    shutil.rmtree(place.folder / "out")
    (place.hub.models["org/tiny"] / "README.md").write_text("The hub has moved on.\n")
    again = place.run("offline", HF_HUB_OFFLINE="1")
    assert again.returncode == 0, again.stderr
    assert place.hub.asked == []
    assert (place.folder / "out" / "model.safetensors").read_bytes() == exported


def test_what_the_cache_has_of_another_commit_is_not_taken_for_the_locked_one(place: Place) -> None:
    assert place.ptc("lock", "program.pt").returncode == 0
    assert place.run().returncode == 0
    place.forget()
    lock = json.loads((place.folder / "ptc.lock").read_text())
    lock["datasets"]["org/sums:main"]["commit"] = "0123456789abcdef" + "0" * 24
    (place.folder / "ptc.lock").write_text(json.dumps(lock))
    ended = place.run("offline")
    assert ended.returncode == 6
    assert "not in the cache at commit 0123456789ab" in said(ended)


MODEL, DATASET = "org/tiny", "org/sums"
REFUSED = [
    (MODEL, "gated", "the model `org/tiny` is gated: accept its conditions on"),
    (DATASET, "gated", "the dataset `org/sums` is gated: accept its conditions on"),
    (MODEL, "missing", "the hub has no public model `org/tiny`: check its name; if it is private, set HF_TOKEN"),
    (DATASET, "missing", "the hub has no dataset `org/sums` that can be read: check its name"),
    (MODEL, "unauthorised", "the hub refuses the model `org/tiny` (HTTP 401): set HF_TOKEN"),
    (DATASET, "unauthorised", "the hub refuses the dataset `org/sums` (HTTP 401): set HF_TOKEN"),
]


@pytest.mark.parametrize(("name", "how", "sentence"), REFUSED, ids=lambda part: str(part)[:20])
def test_a_refusal_is_one_sentence_with_the_remedy(place: Place, name: str, how: str, sentence: str) -> None:
    place.hub.refused[name] = how
    ended = place.run()
    assert ended.returncode == 2
    assert sentence in said(ended)
    locked = place.ptc("lock", "program.pt")
    assert locked.returncode == 2
    assert sentence in said(locked)


@pytest.mark.parametrize("file", ["model.safetensors", "train-00000-of-00001.parquet"])
def test_a_download_that_breaks_off_ends_in_one_sentence_and_goes_on_with_the_same_command(
    place: Place, file: str
) -> None:
    place.hub.breaks[file] = 100
    ended = place.run()
    assert ended.returncode == 6
    assert "broke off" in said(ended)
    assert "run again" in said(ended)
    place.hub.breaks.clear()
    place.hub.asked.clear()
    ended = place.run()
    assert ended.returncode == 0, ended.stderr
    assert len([asked for asked in place.hub.asked if asked.startswith("GET") and file in asked]) == 1
    assert not [asked for asked in place.hub.asked if asked.startswith("GET") and "tokenizer.json" in asked]


def test_a_hub_that_is_not_reached_and_an_empty_cache_say_so(place: Place) -> None:
    ended = place.run(HF_ENDPOINT="http://127.0.0.1:9")
    assert ended.returncode == 6
    assert "the hub cannot be reached" in said(ended)
    ended = place.run("offline")
    assert ended.returncode == 6
    assert "allow_hub = true in the profile" in said(ended)


FIRST_HOUR = ROOT / "examples" / "qwen3_lora_gpu.pt"
SMALL = ("--set", "held=6", "--set", "group=2", "--set", "tokens=4", "--set", "least=0", "--set", "updates=3 steps")


def test_the_first_program_for_a_gpu_from_lock_to_both_exports_and_again_without_the_hub(place: Place) -> None:
    shutil.copyfile(FIRST_HOUR, place.folder / "program.pt")
    shutil.copyfile(ROOT / "examples" / "gpu80.toml", place.folder / "gpu80.toml")
    place.hub.models["Qwen/Qwen3-4B-Base"] = place.hub.models.pop("org/tiny")
    place.hub.datasets["openai/gsm8k"] = place.hub.datasets.pop("org/sums")
    assert place.ptc("lock", "program.pt").returncode == 0
    planned = place.ptc("plan", "program.pt", "--profile", "gpu80.toml")
    assert planned.returncode == 0, planned.stderr
    assert "of 80.0 GB" in planned.stdout
    first = place.run("hub", *SMALL)
    assert first.returncode == 0, first.stderr
    exports = sorted(path for path in (place.folder / "out").rglob("*.safetensors"))
    assert {f"{path.parent.name}/{path.name}" for path in exports} == {
        "qwen3-4b-gsm8k/model.safetensors",
        "qwen3-4b-gsm8k-adapter/model.safetensors",
        "qwen3-4b-gsm8k-adapter/adapter_model.safetensors",
    }
    made = {path: path.read_bytes() for path in exports}
    place.forget()
    shutil.rmtree(place.folder / "out")
    again = place.run("offline", *SMALL, HF_HUB_OFFLINE="1")
    assert again.returncode == 0, again.stderr
    assert place.hub.asked == []
    assert {path: path.read_bytes() for path in made} == made


def test_what_the_card_does_not_hold_is_said_before_anything_is_fetched(place: Place) -> None:
    shutil.copyfile(FIRST_HOUR, place.folder / "program.pt")
    profile = (ROOT / "examples" / "gpu80.toml").read_text()
    (place.folder / "small.toml").write_text(profile.replace('"80GB"', '"24GB"'))
    ended = place.ptc(
        *("check", "program.pt", "--profile", "small.toml", "--stand-ins", str(STAND_INS)),
    )
    assert ended.returncode == 6
    assert "there are 24.0 GB" in ended.stdout
    assert place.hub.asked == []
