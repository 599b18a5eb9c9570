"""Real text through the whole path: GSM8K's rows, a BPE tokenizer, bits per character, math-verify in a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "gsm8k"


@pytest.mark.slow
@pytest.mark.skipif(not DATA.exists(), reason="GSM8K is not here: ../shared/data/gsm8k")
def test_the_program_runs_on_real_rows(tmp_path: Path) -> None:
    settings = {
        "train_file": str(DATA / "train.jsonl"),
        "test_file": str(DATA / "test.jsonl"),
        "rows": "384",
        "held": "24",
        "asked": "2",
    }
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    done = subprocess.run(
        [sys.executable, "-m", "ptc", "run", str(ROOT / "examples" / "gsm8k.pt"), *words],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    verdict = json.loads(next(tmp_path.glob(".ptc/objects/*/*/verdict.json")).read_text())
    assert verdict["verdict"] == "supported"
    summaries = [json.loads(path.read_text()) for path in tmp_path.glob(".ptc/objects/*/*/summary.json")]
    bits = sorted(each["bits_per_character"] for each in summaries if "bits_per_character" in each)
    assert len(bits) == 2 and 1 < bits[0] < bits[1] - 0.5
    solved = [each for each in summaries if "pass@1" in each]
    assert [each["not_judged"] for each in solved] == [0]
