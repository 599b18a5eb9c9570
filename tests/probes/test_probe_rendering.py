"""Pains of rendering: ends, beginnings, history, masks and cuts, on tokenizers after the families of the field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from small_tokenizers import LLAMA, NO_END, NO_HEADER, THINKING, TWO_BEGINNINGS, chatml, glm, llama
from workshop import DPO, SFT, Workshop, codes, one, stage

from ptc.probes import view
from ptc.runtime.rendering.rows import RenderedRow

EXCHANGES = [{"prompt": f"What is {n} + {n}?", "response": f"It is {2 * n}."} for n in range(12)]
TALKS = [
    {
        "messages": [
            {"role": "user", "content": f"What is {n} + {n}?"},
            {"role": "assistant", "content": f"<think>twice {n}</think>It is {2 * n}."},
            {"role": "user", "content": "And one more?"},
            {"role": "assistant", "content": f"It is {2 * n + 1}."},
        ]
    }
    for n in range(12)
]
TOOLED = [
    {
        "messages": [
            {"role": "user", "content": "How warm is Paris?"},
            {"role": "assistant", "content": "I look it up."},
            {"role": "tool", "content": f"{n} degrees"},
            {"role": "assistant", "content": f"It is {n} degrees."},
        ]
    }
    for n in range(12)
]
LONG = "one two three four five six seven eight nine ten " * 20


def test_what_is_right_is_not_mentioned(workshop: Workshop) -> None:
    for rows in (EXCHANGES, TALKS, TOOLED):
        assert codes(workshop.learned(rows)) == []
    assert codes(workshop.learned(EXCHANGES, llama())) == []


def test_pain_01_stop_token_of_assistant_turn_is_trained(workshop: Workshop) -> None:
    found = one(workshop.learned(EXCHANGES, glm()), "D405")
    assert found.severity == "error"
    assert "no turn ends in `<|endoftext|>`" in found.title
    assert "12 of 12 rows have a turn of the assistant without `<|endoftext|>`" in found.notes[0]
    assert "behind an answer it writes nothing" in found.notes
    program = (workshop.folder / "program.pt").read_text()
    assert [program[label.span.start : label.span.end] for label in found.labels] == ["rows", "base"]


def test_pain_02_an_untrained_end_is_an_error_and_cannot_be_allowed(workshop: Workshop) -> None:
    found = one(workshop.learned(EXCHANGES, chatml(NO_END)), "D405")
    assert found.severity == "error" and r"behind an answer the template writes '\n'" in found.notes
    body = SFT.replace("train policy", 'allow(eos_unlearnable, "we know")\n  train policy')
    assert codes(workshop.learned(EXCHANGES, chatml(NO_END), body)) == ["N122"]


def test_pain_03_two_beginnings(workshop: Workshop) -> None:
    found = one(workshop.learned(EXCHANGES, llama(TWO_BEGINNINGS)), "D409")
    assert found.severity == "error" and found.title == "12 of 12 rows begin with `<|begin_of_text|>` twice"
    assert found.notes[0] == "rows.jsonl:1 is the first of them"


def test_pain_04_an_end_of_another_name_never_stops_the_tuned_model(workshop: Workshop) -> None:
    tokenizer = chatml()
    tokenizer.eos_token = "<|endoftext|>"
    found = one(workshop.learned(EXCHANGES, tokenizer), "D405")
    assert "no turn ends in `<|endoftext|>`" in found.title
    assert r"behind an answer the template writes '<|im_end|>\n'" in found.notes


def test_pain_08_only_the_last_token_is_trained(workshop: Workshop) -> None:
    rows = [{"prompt": LONG, "response": ""} for _ in range(9)]
    found = one(workshop.learned(rows), "D414")
    assert found.severity == "warning" and "train one token" in found.title
    assert found.notes[0].endswith("<|im_start|>assistant\\n⟦<|im_end|>⟧")


def test_pain_09_masks_are_what_the_stage_declares(workshop: Workshop) -> None:
    found = one(workshop.learned(EXCHANGES, chatml(NO_HEADER)), "D417")
    assert found.severity == "error" and "add_generation_prompt" in found.title
    assert any("⟦<|im_start|>assistant" in note for note in found.notes)


def test_pain_11_history_is_rendered_as_it_was_sampled(workshop: Workshop) -> None:
    found = one(workshop.learned(TALKS, chatml(THINKING)), "D410")
    assert found.severity == "error" and "rows.jsonl:1: the chat template renders turn 2 differently" in found.notes[1]
    assert found.helps == ('mask = "last"',)
    last = stage("train policy = base", "minimize sft(rows, policy)", 'mask = "last"')
    assert codes(workshop.learned(TALKS, chatml(THINKING), last)) == []


def test_pain_12_tool_turns_weigh_nothing(workshop: Workshop) -> None:
    """A template that puts what a tool says into the assistant's own turn would have it learned."""
    merging = (
        "{% for message in messages %}"
        "{% if message['role'] == 'tool' %}{{ '\n<tool_response>' + message['content'] + '</tool_response>\n' }}"
        "{% elif message['role'] == 'assistant' and loop.previtem and loop.previtem['role'] == 'tool' %}"
        "{{ message['content'] + '<|im_end|>' }}"
        "{% else %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] }}"
        "{% if message['role'] == 'user' or loop.last %}{{ '<|im_end|>' }}{% endif %}{% endif %}{% endfor %}"
        "{% if add_generation_prompt and messages[-1]['role'] != 'tool' %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    assert codes(workshop.learned(TOOLED, chatml(merging))) == ["D410"]
    assert codes(workshop.learned(TOOLED)) == []


def test_pain_09_and_12_a_mask_that_covers_every_role(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the renderer to train all tokens, the roles of a few rows would show it."""
    right = view.rendered_rows

    def everything(*given: Any) -> list[RenderedRow]:
        return [
            replace(row, parts=tuple({n: replace(one, loss_mask=(True,) * len(one.tokens)) for n, one in part.items()}
                                     for part in row.parts))
            for row in right(*given)
        ]  # fmt: skip

    monkeypatch.setattr(view, "rendered_rows", everything)
    found = one(workshop.learned(TOOLED), "D417")
    assert found.title == "turns of `user` bear loss, and the stage learns the assistant's"
    assert found.notes[0].startswith("rows.jsonl:1: ") and "tokens of `user` bear loss" in found.notes[0]


def test_pain_13_cuts_are_declared_and_counted_by_column(workshop: Workshop) -> None:
    rows = [*EXCHANGES, {"prompt": "a", "response": LONG}]
    body = SFT.replace("minimize", "max_length = 60\n  minimize")
    undeclared = one(workshop.learned(rows, body=body), "D411")
    assert undeclared.severity == "error" and undeclared.title == "1 of 13 rows are longer than max_length = 60"
    assert "rows.jsonl:13: has " in undeclared.notes[1]
    declared = one(workshop.learned(rows, body=body.replace("minimize", 'truncate = "right"\n  minimize')), "D411")
    assert declared.severity == "warning" and declared.title.endswith("`response` is cut in 1 of 13 rows")


def test_pain_14_rows_without_a_trained_token_are_listed(workshop: Workshop) -> None:
    rows = [*TALKS, {"messages": [{"role": "user", "content": "a"}]}]
    found = one(workshop.learned(rows), "D414")
    assert found.severity == "error" and found.title == "1 of 13 rows have nothing to learn from"
    assert found.notes[0].startswith("rows.jsonl:13: ")


def test_pain_15_a_cut_comes_with_a_histogram(workshop: Workshop) -> None:
    rows = [*EXCHANGES, {"prompt": LONG, "response": "b"}]
    body = SFT.replace("minimize", 'max_length = 60\n  truncate = "drop"\n  minimize')
    found = one(workshop.learned(rows, body=body), "D411")
    assert found.title.endswith("1 of 13 rows are left out")
    assert found.notes[-1].startswith("tokens: up to 60: 12, up to ")


def test_pain_16_paired_columns_lose_the_same(workshop: Workshop) -> None:
    rows = [{"prompt": f"a{n}", "chosen": LONG, "rejected": f"no {n}"} for n in range(12)]
    body = DPO.replace("minimize", 'max_length = 60\n  truncate = "right"\n  minimize')
    found = workshop.learned(rows, body=body)
    lopsided = one(found, "D416")
    assert lopsided.title == "only one side of 12 of 12 pairs is cut" and "`chosen`" in lopsided.labels[0].text
    both = [{**row, "rejected": LONG + "no"} for row in rows]
    assert "D416" not in codes(workshop.learned(both, body=body))


def test_pain_17_a_cut_never_takes_the_end(workshop: Workshop) -> None:
    rows = [{"prompt": LONG, "response": LONG} for _ in range(9)]
    body = SFT.replace("minimize", 'max_length = 400\n  truncate = "right"\n  minimize')
    found = workshop.learned(rows, body=body)
    assert codes(found) == ["D411"]
    fits_nothing = body.replace("400", "40")
    assert one(workshop.learned(rows, body=fits_nothing), "D411").severity == "error"


def test_a_beginning_in_the_right_place_is_fine(workshop: Workshop) -> None:
    assert codes(workshop.learned(EXCHANGES, llama(LLAMA.replace("{{ bos_token }}", "", 1)))) == []
