"""The runtime knows no objective by name: under random words the same mathematics trains the same weights."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import string
import subprocess
import sys
from pathlib import Path

import pytest
from test_demo import shorter

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("lang", "compiler", "runtime", "stdlib")
NAMES = sorted(path.stem for path in (ROOT / "stdlib" / "objectives").glob("*.pt"))
RUNTIME = sorted((ROOT / "runtime").rglob("*.py"))
MOST_LINES = 400


def test_nothing_of_the_runtime_names_an_objective() -> None:
    named = {path.name: found for path in RUNTIME if (found := set(words_of(path)) & set(NAMES))}
    assert len(RUNTIME) > 50 and not named


def words_of(path: Path) -> list[str]:
    return re.findall(r"[A-Za-z0-9_]+", path.read_text(encoding="utf-8"))


def test_there_is_one_trainer_with_one_loop() -> None:
    text = (ROOT / "runtime" / "trainer.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    assert len(re.findall(r"^\s*while ", text, re.MULTILINE)) == 1
    trainers = [
        path for part in PARTS for path in (ROOT / part).rglob("*.py") if "optimizer.step()" in path.read_text()
    ]
    assert trainers == [ROOT / "runtime" / "trainer.py"]


def words(seed: int) -> dict[str, str]:
    """A word that means nothing for each objective."""
    chance = random.Random(seed)
    return {name: "".join(chance.choices(string.ascii_lowercase, k=12)) for name in NAMES}


def renamed(text: str, by: dict[str, str]) -> str:
    """The text with every objective's name, where it stands as a word of its own, replaced."""
    return re.sub(rf"\b({'|'.join(map(re.escape, by))})\b(?!\.pt)", lambda match: by[match[1]], text)


def library(folder: Path, by: dict[str, str]) -> None:
    """A copy of ptc whose objectives have these names."""
    for part in (*PARTS, "ptc"):
        shutil.copytree(ROOT / part, folder / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "docs").symlink_to(ROOT / "docs")
    for path in [*folder.glob("stdlib/objectives/*.pt"), *folder.glob("stdlib/recipes/*.pt")]:
        text = renamed(path.read_text(encoding="utf-8"), by)
        path.unlink()
        path.with_stem(by.get(path.stem, path.stem)).write_text(text, encoding="utf-8")


def ptc(home: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(home), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "ptc", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )


def weights(folder: Path) -> dict[str, bytes]:
    """Of every model in the store of a run, and of those that it exported, by name."""
    paths = [*folder.glob("out/*/model.safetensors"), *folder.glob(".ptc/objects/*/*/model.safetensors")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.mark.slow
def test_random_words_for_all_objectives_leave_the_weights_of_the_demo_as_they_are(tmp_path: Path) -> None:
    by = words(7)
    home = tmp_path / "renamed"
    library(home, by)
    assert not {path.stem for path in home.glob("stdlib/objectives/*.pt")} & set(NAMES)
    programs = {"usual": (ROOT, shorter()), "renamed": (home, renamed(shorter(), by))}
    assert all(f" {by[name]}(" in programs["renamed"][1] for name in ("sft", "grpo", "reverse_kl"))
    exported = {}
    for name, (source, text) in programs.items():
        folder = tmp_path / f"runs-{name}"
        folder.mkdir()
        (folder / "demo.pt").write_text(text, encoding="utf-8")
        done = ptc(source, folder, "run", "demo.pt")
        assert done.returncode == 0, done.stdout + done.stderr
        exported[name] = weights(folder)
    assert len(exported["usual"]) > 5 and exported["usual"] == exported["renamed"]
    # The names are no part of any meaning: in the store of the one, the other has nothing left to do.
    (tmp_path / "runs-usual" / "other.pt").write_text(programs["renamed"][1], encoding="utf-8")
    plan = ptc(home, tmp_path / "runs-usual", "plan", "other.pt", "--json")
    assert plan.returncode == 0, plan.stdout + plan.stderr
    assert "run" not in {node["action"] for node in json.loads(plan.stdout)["nodes"]}
