"""The demo as a user runs it, with budgets of some steps: the first run, the second, a changed one, and the export."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from browsers import browser, watched

__all__ = ["browser"]

DEMO = (Path(__file__).parents[1] / "examples" / "spelling.pt").read_text(encoding="utf-8")
SHORTER = {
    "size = 20_000": "size = 4_000",
    "budget    = 450 steps": "budget    = 40 steps",
    ">= 10%": ">= 0%",
    "budget    = 300 steps": "budget    = 4 steps",
    "|> keep(.reward == 1)": "",
    "budget    = 1_000 steps": "budget    = 30 steps",
    "budget    = 150 steps": "budget    = 4 steps",
    "every 50 steps": "every 2 steps",
}
WITHOUT_PTC = """
import json, sys
from transformers import AutoModelForCausalLM, AutoTokenizer
folder, prompts = sys.argv[1], json.load(sys.stdin)
model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
answers = []
for prompt in prompts:
    chat = [{"role": "user", "content": prompt}]
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True, return_tensors="pt")
    made = model.generate(**ids, max_new_tokens=8, do_sample=False)
    answers.append(tokenizer.decode(made[0, ids["input_ids"].shape[1]:], skip_special_tokens=True))
assert not any(name.split(".")[0] == "ptc" for name in sys.modules)
print(json.dumps(answers))
"""


def shorter(text: str = DEMO) -> str:
    for before, after in SHORTER.items():
        assert before in text, before
        text = text.replace(before, after)
    return text


def ptc(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "100"}
    command = [sys.executable, "-m", "ptc", *words]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    (folder / "demo.pt").write_text(shorter(), encoding="utf-8")
    first = ptc(folder, "run", "demo.pt")
    assert first.returncode == 0, first.stdout + first.stderr
    for word in ("claims", "cold_start", "reasoner", "small", "pass@1", "export", "generate", "serve"):
        assert word in first.stdout, word
    return folder


@pytest.mark.slow
def test_a_second_run_does_no_work(ran: Path) -> None:
    before = os.times().children_user
    again = ptc(ran, "run", "demo.pt")
    spent = os.times().children_user - before
    assert again.returncode == 0, again.stderr
    assert "started" not in again.stdout
    assert spent < 3, "seconds of processor time"


@pytest.mark.slow
def test_its_report_in_a_browser(ran: Path, browser: Any) -> None:
    made = ptc(ran, "report", "demo.pt", "--out", "page.html")
    assert made.returncode == 0, made.stderr
    for width, scheme in ((1440, "light"), (390, "dark")):
        seen = watched(browser, ran / "page.html", width, scheme)
        assert seen.width == width
        rows = seen.page.locator(".prompts tbody tr.row")
        assert rows.count() > 20
        seen.page.get_by_label("Show").select_option("never solved")
        assert rows.count() and set(seen.page.locator(".prompts .change").all_text_contents()[1:]) <= {"· never solved"}
        seen.page.locator(".prompts .open").first.click()
        assert seen.page.locator(".rollouts .attempt pre").count() >= 2
        assert not seen.problems


@pytest.mark.slow
def test_a_changed_budget_reruns_the_student_and_what_follows(ran: Path) -> None:
    changed = shorter().replace(
        'linear")\n  batch     = 32 prompts\n  budget    = 4 steps',
        'linear")\n  batch     = 32 prompts\n  budget    = 5 steps',
    )
    assert changed != shorter()
    (ran / "changed.pt").write_text(changed, encoding="utf-8")
    plan = json.loads(ptc(ran, "plan", "changed.pt", "--json").stdout)
    runs = {node["label"]: node["reasons"] for node in plan["nodes"] if node["action"] == "run"}
    measured = ["skill of small", "small consolidates skill", "evidence of skill at small"]
    assert list(runs) == ["small", *measured, "export out/spelling-small"]
    assert runs["small"] == ["budget.count: 4 -> 5"]


@pytest.mark.slow
def test_the_export_says_without_ptc_what_the_eval_recorded(ran: Path) -> None:
    import pyarrow.parquet

    counts = [
        path
        for path in ran.glob(".ptc/objects/*/*/counts.parquet")
        if json.loads((path.parent / "summary.json").read_text()).get("parameters", 60_000) < 60_000
    ]
    exported = ran / "out" / "spelling-small"
    recorded = [pyarrow.parquet.read_table(path).to_pylist()[:40] for path in counts]
    prompts = [row["prompt"] for row in recorded[0]]
    done = subprocess.run(
        [sys.executable, "-I", "-c", WITHOUT_PTC, str(exported)],
        input=json.dumps(prompts),
        cwd=ran,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    answers = json.loads(done.stdout)
    assert answers in [[row["greedy_response"] for row in rows] for rows in recorded]
    assert len(set(answers)) > 5, "a model that says the same to everything proves nothing"
