"""Pains 60 and 64: verifiers where they judge, and what evals can show."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from workshop import Workshop, codes, one, stage

from ptc.lang.diagnostic import Diagnostic
from ptc.runtime.verifier_pool import Judge
from ptc.stdlib.verifiers import PASS, WRONG, Verdict

TASKS = [{"question": f"What is {n} + {n}?", "answer": str(2 * n)} for n in range(24)]


def scored(workshop: Workshop, verifier: str, rows: Sequence[dict[str, Any]] = TASKS) -> tuple[Diagnostic, ...]:
    workshop.rows("tasks.jsonl", rows)
    workshop.model()
    return workshop.check(
        'source tasks = jsonl("tasks.jsonl") |> prompts(.question, answer = .answer)\n'
        'model base = local.model("model")\n'
        + stage(
            "train policy = base",
            f"source rollouts = tasks |> sample(policy, n = 4, max_tokens = 64) |> score({verifier})",
            "minimize grpo(rollouts, policy)",
            batch="4 prompts",
        )
    )


@pytest.mark.parametrize("verifier", ["exact", "math"])
def test_pain_60_gold_is_right_and_corrupted_gold_is_not_where_it_is_judged(workshop: Workshop, verifier: str) -> None:
    assert codes(scored(workshop, verifier)) == []


def test_pain_60_from_a_thread(workshop: Workshop) -> None:
    """math-verify raises in any thread but the main one; it is asked in the process in which it judges."""
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.extend(codes(scored(workshop, "math"))))
    thread.start()
    thread.join()
    assert found == []


def test_pain_60_a_verifier_that_finds_nothing_right(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(self: Judge, rows: Sequence[Any]) -> list[Verdict]:
        return [WRONG for _ in rows]

    monkeypatch.setattr(Judge, "verdicts", nothing)
    found = one(scored(workshop, "math"), "V710")
    assert found.severity == "error" and "`math` does not tell right from wrong" in found.title
    assert found.notes[0] == "it finds 0% of gold answers right, and 0% of wrong ones"
    assert found.notes[1] == "tasks.jsonl:1: gold '0' is judged fail"


def test_a_verifier_that_passes_what_is_wrong(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = Judge.verdicts

    def lenient(self: Judge, rows: Sequence[Any]) -> list[Verdict]:
        return [PASS if row["response"] == "0" else own for row, own in zip(rows, judged(self, rows), strict=True)]

    monkeypatch.setattr(Judge, "verdicts", lenient)
    found = one(scored(workshop, "exact"), "V710")
    assert found.severity == "warning" and "`exact` passes " in found.title
    assert any("'0' passes for " in note for note in found.notes)


def test_pain_64_gold_answers_that_cannot_be_read(workshop: Workshop) -> None:
    rows = [{**row, "answer": "####"} for row in TASKS[:12]] + TASKS[12:]
    found = one(scored(workshop, "math", rows), "V713")
    assert found.severity == "error" and found.title == "`math` cannot read 12 of 24 gold answers"
    assert found.notes[0] == "tasks.jsonl:1: '####'"
    one_of_them = one(scored(workshop, "math", [{**TASKS[0], "answer": "####"}, *TASKS[1:]]), "V713")
    assert one_of_them.severity == "warning"


def test_a_marker_that_nothing_asks_for(workshop: Workshop) -> None:
    found = one(scored(workshop, "exact + 0.1 * format_tags()"), "V709")
    assert found.severity == "warning" and found.title == "`format_tags` looks for `<think>`, and no prompt asks for it"
    asked = [{**row, "question": f"{row['question']} Begin with <think>."} for row in TASKS]
    assert codes(scored(workshop, "exact + 0.1 * format_tags()", asked)) == []


def claimed(workshop: Workshop, answers: Sequence[str], n: int = 8, more: str = "") -> tuple[Diagnostic, ...]:
    workshop.rows("rows.jsonl", [{"prompt": f"Say {k}", "response": "so"} for k in range(9)])
    rows = [{"question": f"Is {k} a good number?", "answer": answer} for k, answer in enumerate(answers)]
    workshop.rows("held.jsonl", rows)
    workshop.model()
    return workshop.check(
        'source rows = jsonl("rows.jsonl")\n'
        'source held = jsonl("held.jsonl") |> prompts(.question, answer = .answer)\nmodel base = local.model("model")\n'
        f"eval skill = pass_rate(held, exact, n = {n}, max_tokens = 64)\n"
        + stage("train policy = base", "minimize sft(rows, policy)", name="tuned expands skill")
        + more
    )


def test_answers_that_can_be_guessed(workshop: Workshop) -> None:
    found = one(claimed(workshop, ["yes", "no"] * 30), "V711")
    assert found.severity == "warning"
    assert found.title == "`skill` can be guessed: 2 different answers, and 8 attempts at each prompt"
    assert "V711" not in codes(claimed(workshop, [str(k) for k in range(60)]))


def test_tolerances_that_an_eval_cannot_show(workshop: Workshop) -> None:
    more = stage("train policy = tuned", "minimize sft(rows, policy)", name="later") + "protect skill within 2 points\n"
    found = one(claimed(workshop, [str(k) for k in range(30)], more=more), "V712")
    assert found.severity == "warning"
    assert found.title == "`skill` has 30 prompts: it shows differences from 17.9 points on"
    assert found.notes == ("2,401 prompts would show 2 points",)
    assert "V712" not in codes(claimed(workshop, [str(k) for k in range(2500)], more=more))
