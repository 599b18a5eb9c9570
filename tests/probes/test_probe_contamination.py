"""What is learned and asked again: pain 79, and stages in a row by their rows."""

from __future__ import annotations

import json
import random

import pytest
from workshop import Workshop, codes, one, stage

ASKED = [f"What is {n} times {n + 7}, and why?" for n in range(40)]
SKILL = "eval skill = pass_rate(held_out, exact, n = 4, max_tokens = 64)\n"


def program(body: str = "", claim: str = "", **more: str) -> str:
    return (
        'source rows = jsonl("rows.jsonl") |> prompts(.prompt, response = .response)\n'
        'source held_out = jsonl("held.jsonl") |> prompts(.question, answer = .answer)\n'
        f'model base = local.model("model")\n{SKILL}'
        + stage("train policy = base", "minimize sft(rows, policy)", name=f"tuned{claim}")
        + body
    )


def asked(workshop: Workshop, learned: list[str], held: list[str], text: str = "") -> list[str]:
    workshop.rows("rows.jsonl", [{"prompt": prompt, "response": "so"} for prompt in learned])
    workshop.rows("held.jsonl", [{"question": prompt, "answer": str(n)} for n, prompt in enumerate(held)])
    workshop.model()
    return codes(workshop.check(text or program("report skill\n")), notes=True)


def test_pain_79_the_same_prompt_in_training_and_in_a_reported_eval(workshop: Workshop) -> None:
    assert "D407" not in asked(workshop, ASKED[:30], ASKED[30:])
    assert "D407" in asked(workshop, ASKED[:30], ASKED[29:])
    found = one(workshop.result_of().diagnostics, "D407")
    assert found.severity == "error"
    assert found.title == "1 of 11 prompts of `skill` are in what `tuned` learns from"
    assert found.notes == ("held.jsonl:1 is rows.jsonl:30: 'What is 29 times 36, and why?'",)
    assert found.helps == ("rows |> without(held_out)",)


def test_pain_79_but_for_case_and_spacing(workshop: Workshop) -> None:
    assert "D407" in asked(workshop, ASKED[:30], [*ASKED[30:], "what is 3 times  10 , and WHY?"])
    assert "but for case and spacing, rows.jsonl:4" in one(workshop.result_of().diagnostics, "D407").notes[0]


def test_pain_79_in_words(workshop: Workshop) -> None:
    generator = random.Random(0)
    letters = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]
    stories = [" ".join(generator.choices(letters, k=40)) for _ in range(9)]
    assert "D407" in asked(workshop, [*ASKED[:30], *stories], [*ASKED[30:], "Listen: " + stories[4] + " Well?"])
    found = one(workshop.result_of().diagnostics, "D407")
    assert found.notes[0].startswith("held.jsonl:11 is worded like rows.jsonl:35")


def test_pain_79_what_check_finds_without_takes_out(workshop: Workshop) -> None:
    clean = program("report skill\n").replace("sft(rows, policy)", "sft(rows |> without(held_out), policy)")
    assert "D407" not in asked(workshop, ASKED[:30], [*ASKED[29:], "what is 3 times  10 , and WHY?"], clean)


def test_an_eval_that_is_only_watched_is_a_note(workshop: Workshop) -> None:
    watched = program().replace("minimize", "watch skill every 5 steps\n  minimize")
    assert "D407" in asked(workshop, ASKED[:30], ASKED[29:], watched)
    assert one(workshop.result_of().diagnostics, "D407").severity == "note"


@pytest.mark.parametrize(
    "judged", ["reshapes skill", "ensure skill >= 20%", "protect skill within 2 points from tuned"]
)
def test_claims_gates_and_protection_are_judged(workshop: Workshop, judged: str) -> None:
    if judged.startswith("protect"):
        following = stage("train policy = tuned", "minimize sft(rows, policy)", name="next")
        text = program(f"{following}{judged}\n")
    elif judged.startswith("ensure"):
        text = program().replace("minimize", f"{judged}\n  minimize")
    else:
        text = program(claim=f" {judged}").replace("reshapes", "expands")
    assert "D407" in asked(workshop, ASKED[:30], ASKED[29:], text)


def test_an_overlap_may_be_allowed(workshop: Workshop) -> None:
    allowed = program('allow(train_eval_overlap, "a test of memory")\nreport skill\n')
    text = allowed.replace('allow(train_eval_overlap, "a test of memory")\n', "")
    text = text.replace("eval skill", 'allow(train_eval_overlap, "a test of memory")\neval skill')
    assert "D407" not in asked(workshop, ASKED[:30], ASKED[29:], text)


def test_the_prompts_that_a_teacher_was_given_count(workshop: Workshop) -> None:
    text = (
        'source asked = jsonl("rows.jsonl") |> prompts(.prompt)\n'
        'source held_out = jsonl("held.jsonl") |> prompts(.question, answer = .answer)\n'
        'model base = local.model("model")\nmodel teacher = local.model("model")\n'
        "source lessons = asked |> sample(teacher, n = 1, max_tokens = 64)\n"
        + SKILL
        + stage("train policy = base", "minimize sft(lessons, policy)")
        + "report skill\n"
    )
    assert "D407" in asked(workshop, ASKED[:30], ASKED[29:], text)


def test_one_generator_is_compared_exactly(workshop: Workshop) -> None:
    text = (
        'source tasks = gym("chain_sum", size = 60, seed = 1) |> prompts(.question, answer = .answer)\n'
        'source other = gym("chain_sum", size = 60, seed = 500) |> prompts(.question, answer = .answer)\n'
        'model base = new.model("qwen3", hidden = 32, layers = 1, tokenizer = characters(tasks))\n'
        "eval skill = pass_rate(other, exact, n = 4, max_tokens = 64)\n"
        + stage("train policy = base", "minimize sft(tasks |> respond(.answer), policy)")
        + "report skill\n"
    )
    assert "D407" not in codes(workshop.check(text))


# Stages in a row ------------------------------------------------------------------------------------------------------


def rows_of(workshop: Workshop, learned: list[str], explored: list[str]) -> None:
    workshop.rows("cold.jsonl", [{"prompt": prompt, "response": "so"} for prompt in learned])
    workshop.rows("tasks.jsonl", [{"question": prompt, "answer": "4"} for prompt in explored])
    workshop.model()


EXPLORES = (
    'source cold = jsonl("cold.jsonl") |> prompts(.prompt, response = .response)\n'
    'source tasks = jsonl("tasks.jsonl") |> prompts(.question, answer = .answer)\n'
    'model base = local.model("model")\n'
    + stage("train policy = base", "minimize sft(cold, policy)", name="first")
    + stage(
        "train policy = first",
        "source rollouts = tasks |> sample(policy, n = 4, max_tokens = 64) |> score(exact)",
        "minimize grpo(rollouts, policy)",
        name="second",
        batch="4 prompts",
    )
)


def test_prompts_of_a_cold_start_that_are_explored_again(workshop: Workshop) -> None:
    rows_of(workshop, ASKED[:30], ASKED[20:])
    found = one(workshop.check(EXPLORES), "C603")
    assert found.severity == "warning"
    assert found.title == "`second` explores 10 of 20 prompts whose answers `first` has imitated"
    assert found.notes[0].startswith("tasks.jsonl:1 is cold.jsonl:21: ")
    rows_of(workshop, ASKED[:20], ASKED[20:])
    assert "C603" not in codes(workshop.check(EXPLORES))


def test_a_teacher_from_before_on_prompts_of_what_came_between(workshop: Workshop) -> None:
    again = EXPLORES + 'source later = jsonl("later.jsonl") |> prompts(.q)\n' + stage(
        "train student = second",
        "freeze teacher = first",
        "source attempts = later |> sample(student, n = 1, max_tokens = 64)",
        "minimize reverse_kl(attempts, student, teacher)",
        name="third",
        batch="4 prompts",
    )  # fmt: skip
    rows_of(workshop, ASKED[:10], ASKED[20:])
    workshop.rows("later.jsonl", [{"q": prompt} for prompt in ASKED[10:30]])
    found = one(workshop.check(again), "C605")
    assert found.severity == "warning" and "10 of 20 prompts are taught again" in found.labels[1].text
    workshop.rows("later.jsonl", [{"q": prompt} for prompt in ASKED[20:]])
    assert one(workshop.check(again), "C605").severity == "error"
    workshop.rows("later.jsonl", [{"q": prompt} for prompt in ASKED[10:20]])
    assert "C605" not in codes(workshop.check(again))


def test_pain_42_nothing_is_remembered_between_two_looks(workshop: Workshop) -> None:
    """Rows, tokenizer and template are read anew each time: there is no cache of tokens to be stale."""
    from small_tokenizers import NO_END, chatml

    assert asked(workshop, ASKED[:30], ASKED[30:]) == asked(workshop, ASKED[:30], ASKED[30:])
    workshop.model(tokenizer=chatml(NO_END))
    assert "D405" in codes(workshop.result_of().diagnostics)
    workshop.model()
    workshop.rows("rows.jsonl", [{"prompt": json.dumps(n), "response": 3} for n in range(9)])
    assert "D405" not in codes(workshop.result_of().diagnostics)
