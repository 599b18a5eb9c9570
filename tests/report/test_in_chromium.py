"""The report of a real run, in a real browser: followed while it runs, then sorted, filtered, opened, printed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from attacks import ATTACKS
from browsers import browser, watched
from reports import handmade

from ptc.report.page import page

__all__ = ["browser"]

pytestmark = pytest.mark.slow

PROGRAM = """edition 2026
from std.objectives import sft, grpo
from std.verifiers import exact
source tasks = gym("spell_backward", size = 600, seed = 1, min_word_len = 3, max_word_len = 3)
  |> prompts(.word, answer = .answer)
source problems = tasks |> slice(0%, 60%)
source held_out = tasks |> slice(60%, 80%)
source demos    = tasks |> slice(80%, 100%) |> respond(.answer)
model base = new.model("qwen3", hidden = 32, layers = 2, rope_theta = 100, tokenizer = characters(tasks))
eval skill = pass_rate(held_out, exact, n = 4, max_tokens = 5)
stage cold expands skill {
  train policy = base
  minimize sft(demos, policy)
  optimizer = adamw(lr = 3e-3)
  batch = 16 samples
  budget = 500 steps
}
stage sharp reshapes skill {
  train policy = cold
  source rollouts = problems |> sample(policy, n = 4, max_tokens = 5) |> score(exact)
  minimize grpo(rollouts, policy)
  optimizer = adamw(lr = 6e-4)
  batch = 16 prompts
  budget = 60 steps
}
report skill
"""


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ptc", *words]
    return subprocess.Popen(command, cwd=folder, env=dict(os.environ), text=True, stdout=subprocess.DEVNULL)


def until(true: Any, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)


def test_a_run_followed_and_then_looked_at(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "program.pt").write_text(PROGRAM, encoding="utf-8")
    running = start(tmp_path, "run", "program.pt")
    until(lambda: any(tmp_path.glob(".ptc/runs/*/graph.json")))
    following = start(tmp_path, "report", "--live", "--out", "page.html")
    until((tmp_path / "page.html").exists)
    seen = watched(browser, tmp_path / "page.html")
    assert seen.page.locator("html[data-live]").count() == 1
    first = seen.page.locator("header").text_content()
    seen.page.wait_for_function("text => document.querySelector('header')?.textContent !== text", arg=first)
    assert running.wait(timeout=120) == 0 and following.wait(timeout=60) == 0
    seen.page.wait_for_selector("html:not([data-live])", timeout=20_000)
    assert "✓ done" in seen.page.locator(".state").text_content()
    assert not seen.problems

    # The table of prompts: sorted, filtered, opened.
    seen.page.get_by_role("button", name="Δ").click()
    falling = [float(each.replace("−", "-").replace("±", "")) for each in seen.cells(6)]
    assert falling == sorted(falling, reverse=True) and len(falling) > 20
    seen.page.locator("thead [aria-sort=descending] button").click()
    rising = [float(each.replace("−", "-").replace("±", "")) for each in seen.cells(6)]
    assert rising == sorted(rising)
    seen.page.get_by_label("Show").select_option("newly solved")
    assert set(seen.cells(7)) == {"▲ newly solved"}
    seen.page.get_by_label("Show").select_option("")
    word = seen.cells(1)[3]
    seen.page.get_by_label("Search").fill(word)
    assert seen.cells(1) == [word]
    seen.page.locator(".prompts .open").focus()
    seen.page.keyboard.press("Enter")
    attempts = seen.page.locator(".rollouts .attempt")
    assert attempts.count() >= 2 and "log p" in attempts.first.text_content()
    assert seen.page.locator(".prompts .open").get_attribute("aria-expanded") == "true"

    # The theme; a telephone; paper.
    colour = "getComputedStyle(document.body).backgroundColor"
    light = seen.page.evaluate(colour)
    for _ in ("light", "dark"):
        seen.page.locator("#theme").click()
    assert seen.page.evaluate(colour) != light
    small = watched(browser, tmp_path / "page.html", width=390, scheme="dark")
    assert small.width == 390 and small.page.evaluate(colour) == seen.page.evaluate(colour)
    small.page.emulate_media(media="print")
    assert small.page.evaluate(colour) == light and small.page.locator("#theme").is_hidden()
    assert len(small.page.pdf()) > 10_000
    assert not seen.problems and not small.problems


def test_no_text_is_executed(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(page(handmade("\n".join(ATTACKS))), encoding="utf-8")
    seen = watched(browser, tmp_path / "page.html")
    for button in seen.page.locator(".prompts .open").all():
        button.click()
    seen.page.wait_for_timeout(300)
    assert seen.page.evaluate("[window.executed, document.documentElement.dataset.executed]") == [None, None]
    assert (
        seen.page.locator("script").count() == 2 and seen.page.locator("iframe, img, form, object, embed").count() == 0
    )
    assert not seen.problems


def test_a_table_of_two_thousand_prompts_is_fluent_and_comes_back_as_it_was_left(browser: Any, tmp_path: Path) -> None:
    made = handmade("word", "running", count=2000)
    (tmp_path / "page.html").write_text(page(made, live=0.5), encoding="utf-8")
    seen = watched(browser, tmp_path / "page.html")
    assert len(seen.cells(1)) < 200  # the rest are drawn when they are reached
    began = time.monotonic()
    seen.page.get_by_role("button", name="prompt").click()
    assert time.monotonic() - began < 1.0
    seen.page.get_by_label("Show").select_option("better")
    seen.page.evaluate("scrollTo(0, 600); document.querySelector('details').open = true; document.activeElement.blur()")
    seen.page.evaluate("window.before = true")
    seen.page.wait_for_function("() => window.before === undefined", timeout=10_000)  # it has loaded itself again
    seen.page.wait_for_function("() => scrollY === 600")
    assert seen.page.evaluate("document.querySelector('details').open") is True
    assert set(seen.cells(7)) == {"△ better"} and seen.page.locator("[aria-sort=ascending]").count() == 1
    assert not seen.problems
