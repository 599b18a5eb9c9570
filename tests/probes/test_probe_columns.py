"""Pain 73 and its kin: what columns really hold, and rows that go missing on the way."""

from __future__ import annotations

from workshop import DPO, SFT, Workshop, codes, one, stage

EXCHANGES = [{"prompt": f"What is {n} + {n}?", "response": f"It is {2 * n}."} for n in range(12)]


def test_pain_73_a_column_that_some_rows_lack(workshop: Workshop) -> None:
    rows = [*EXCHANGES, {"prompt": "And now?"}, {"prompt": "And then?"}]
    found = one(workshop.learned(rows), "D412")
    assert found.severity == "error" and found.title == "2 of 14 rows cannot be learned from"
    assert found.notes[0] == "rows.jsonl:13: has None for `.response`, where the objective needs a text"


def test_pain_73_a_step_that_its_rows_refuse(workshop: Workshop) -> None:
    rows = [{"question": "a", "answer": "b"}, {"question": "", "answer": "c"}]
    workshop.rows("rows.jsonl", rows)
    workshop.model()
    program = (
        'source rows = jsonl("rows.jsonl") |> prompts(.question, response = .answer)\n'
        f'model base = local.model("model")\n{SFT}'
    )
    assert one(workshop.check(program), "D412").title.endswith(
        "row 2 has the prompt '', where a text that is not empty is needed: "
        "leave the row out with `keep`, or mend the column"
    )


def test_pain_73_a_file_that_breaks_off_behind_its_first_line(workshop: Workshop) -> None:
    workshop.rows("rows.jsonl", EXCHANGES)
    with (workshop.folder / "rows.jsonl").open("a") as file:
        file.write('{"prompt": "cut o')
    workshop.model()
    found = workshop.check(f'source rows = jsonl("rows.jsonl")\nmodel base = local.model("model")\n{SFT}')
    assert one(found, "D403").title.startswith("rows.jsonl:13: not one JSON object on one line")


def test_pain_73_rows_that_a_filter_drops_without_saying_so(workshop: Workshop) -> None:
    rows = [{**row, "good": n % 2 == 0} for n, row in enumerate(EXCHANGES)] + [{"prompt": "a", "response": "b"}] * 3
    workshop.rows("rows.jsonl", rows)
    workshop.model()
    program = f'source rows = jsonl("rows.jsonl") |> keep(.good)\nmodel base = local.model("model")\n{SFT}'
    found = one(workshop.check(program), "D412")
    assert found.severity == "warning" and found.title == "`keep` drops 3 of 15 rows of `rows` that have no `.good`"
    workshop.rows("rows.jsonl", rows[:12])
    assert codes(workshop.result_of().diagnostics) == []


def test_pain_73_answers_that_are_lost_with_their_prompt(workshop: Workshop) -> None:
    rows = [*EXCHANGES, {"prompt": "What is 3 + 3?", "response": "Six."}, EXCHANGES[0]]
    workshop.rows("rows.jsonl", rows)
    workshop.model()
    program = (
        'source rows = jsonl("rows.jsonl") |> prompts(.prompt, response = .response)\n'
        f'model base = local.model("model")\n{SFT}'
    )
    found = one(workshop.check(program), "D412")
    assert found.severity == "warning" and "1 of 14 rows say otherwise, and are lost" in found.title
    assert found.notes == ("rows.jsonl:13: says 'Six.' after 'It is 6.'",)


def test_numbers_that_are_texts(workshop: Workshop) -> None:
    rows = [{"prompt": "a", "response": "b", "weight": 1}, {"prompt": "c", "response": "d", "weight": 2}]
    workshop.rows("rows.jsonl", [{**row, "label": "yes"} for row in rows])
    workshop.model()
    program = (
        "from std.objectives import kto\n"
        'source rows = jsonl("rows.jsonl")\nmodel base = local.model("model")\n'
        + stage("train policy = base", "freeze reference = base", "minimize kto(rows, policy, reference)")
    )
    found = one(workshop.check(program), "T110")
    assert found.title == "`.label` is read as a number, and in 2 of 2 rows it is none"
    assert found.notes[0] == "rows.jsonl:1: `.label` is a text, 'yes'"


def test_gold_answers_that_are_lists(workshop: Workshop) -> None:
    workshop.rows("rows.jsonl", [{"question": f"q{n}", "answer": [str(n)]} for n in range(9)])
    workshop.model()
    program = (
        'source tasks = jsonl("rows.jsonl") |> prompts(.question, answer = .answer)\n'
        'model base = local.model("model")\n'
        + stage(
            "train policy = base",
            "source rollouts = tasks |> sample(policy, n = 4, max_tokens = 64) |> score(exact)",
            "minimize grpo(rollouts, policy)",
            batch="4 prompts",
        )
    )
    assert (
        one(workshop.check(program), "T110").title
        == "`.answer` is read as a text or a number, and in 9 of 9 rows it is none"
    )


def test_pairs_without_a_prompt_in_common(workshop: Workshop) -> None:
    found = workshop.learned([{"chosen": "yes it is", "rejected": "no never"}] * 9, body=DPO)
    assert one(found, "D412").notes[0].startswith("rows.jsonl:1: has no `prompt`")
