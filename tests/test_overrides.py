"""`--set` by path: a value inside what a program declares, wherever it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptc import api

PROGRAM = (Path(__file__).parent.parent / "examples" / "spelling.pt").read_text(encoding="utf-8")


def check(**settings: str) -> api.CheckResult:
    return api.check_text(PROGRAM, settings=settings)


@pytest.mark.parametrize(
    ("path", "value", "written"),
    [
        ("reasoner.optimizer.lr", "1e-4", "optimizer = adamw(lr = 1e-4, betas = [0.9, 0.95], warmup = 3%)"),
        ("reasoner.budget", "7 steps", "budget    = 7 steps"),
        ("reasoner.rollouts.sample.n", "4", "|> sample(policy, n = 4, temperature = 1.0, max_tokens = 8)"),
        ("reasoner.rollouts.n", "4", "|> sample(policy, n = 4, temperature = 1.0, max_tokens = 8)"),
        ("reasoner.minimize.clip_low", "0.3", "minimize grpo(rollouts, policy, clip_high = 0.28, clip_low = 0.3)"),
        ("reasoner.max_length", "128", "max_length = 128"),
        ("reasoner.policy", "primed", "train policy = primed"),
        ("base.hidden", "32", "hidden = 32"),
        ("base.heads", "4", "tokenizer = characters(tasks), heads = 4,"),
        ("tasks.gym.seed", "5", 'gym("spell_backward", size = 20_000, seed = 5,'),
    ],
)
def test_a_path_leads_to_one_place(path: str, value: str, written: str) -> None:
    result = check(**{path: value})
    assert written in result.source.text
    assert len(result.source.text.splitlines()) - len(PROGRAM.splitlines()) in (0, 2)


def test_what_is_set_by_path_is_what_the_program_would_say() -> None:
    ours = api.compiled(check(**{"reasoner.optimizer.lr": "1e-4", "reasoner.budget": "7 steps"}))
    written = PROGRAM.replace("lr = 6e-4", "lr = 1e-4").replace("300 steps", "7 steps")
    assert ours.roots == api.compiled(api.check_text(written)).roots


@pytest.mark.parametrize(
    ("path", "value", "code", "guess"),
    [
        ("resoner.budget", "3 steps", "N101", "`reasoner`"),
        ("reasoner.optimizr.lr", "1", "N101", "`optimizer`"),
        ("reasoner.bugdet", "3 steps", "N105", "`budget`"),
        ("reasoner.minimize.clip_hihg", "0.3", "N103", "`clip_high`"),
        ("reasoner.optimizer.lr", "1e-4 # of old", "T105", ""),
        ("reasoner.optimizer.lr", ")", "T105", ""),
        ("reasoner.optimizer.lr", "1\nbudget = 3 steps", "T105", ""),
        ("problems.slice", "3", "N101", "arguments"),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(path: str, value: str, code: str, guess: str) -> None:
    result = check(**{path: value})
    wrong = [each for each in result.diagnostics if each.severity == "error"]
    assert [each.code for each in wrong] == [code]
    said = [*wrong[0].helps, *wrong[0].notes, *(label.text for label in wrong[0].labels)]
    assert any(guess in text for text in said)
    assert not result.sound


def test_one_place_is_not_set_twice() -> None:
    result = check(**{"reasoner.optimizer": "adamw(lr = 1e-3)", "reasoner.optimizer.lr": "1e-4"})
    assert [each.code for each in result.diagnostics if each.severity == "error"] == ["N102"]


def test_two_settings_may_be_added_at_one_place() -> None:
    result = check(**{"reasoner.minimize.clip_low": "0.3", "reasoner.minimize.tis": "2.0"})
    assert "clip_low = 0.3" in result.source.text and "tis = 2.0" in result.source.text
