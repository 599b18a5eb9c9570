"""Which prompts two sources share, and which only look alike."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from ptc.runtime.overlap import Prompts, matches, words
from ptc.runtime.row_steps import STEPS

STORY = "A train leaves the old station at noon and reaches the harbour after three hours and twenty minutes of travel"


def how(asked: list[str], known: list[str], loosely: bool = True) -> dict[str, str]:
    vocabulary: dict[str, int] = {}
    first, second = (Prompts(pa.table({"prompt": texts}), vocabulary) for texts in (asked, known))
    return {asked[match.row]: match.how for match in matches(first, second, loosely)}


def test_words_and_signs_are_told_apart() -> None:
    assert words("  2+2 =  X\n") == ("2", "+", "2", "=", "x")
    assert words("ﬁ Ａ") == ("fi", "a")
    assert words("4 + 3") != words("4 - 3")


def test_three_ways_of_being_the_same() -> None:
    known = [STORY, "What is 2 + 2?"]
    assert how(["What is 2 + 2?"], known) == {"What is 2 + 2?": "exactly"}
    assert how(["what  is 2+2?"], known) == {"what  is 2+2?": "but for case and spacing"}
    assert how(["what  is 2+2?"], known, loosely=False) == {}
    longer = STORY + ", and then it goes back again"
    assert how([longer], known) == {longer: "in words"}
    assert how(["What is 2 + 3?", "A train leaves"], known) == {}


def test_how_a_task_is_put_is_no_overlap() -> None:
    put = "Read the following text with care and give the number of its words as one number: "
    assert how([f"{put}{n} apples" for n in range(9)], [f"{put}{n} pears" for n in range(9)]) == {}
    mixed = how([*(f"{put}{n} apples" for n in range(9)), put + STORY], [*(f"{put}{n}" for n in range(9)), STORY])
    assert mixed == {put + STORY: "in words"}


def test_pieces_of_many_prompts_do_not_add_up() -> None:
    generator = random.Random(0)
    known = [" ".join(generator.choices("abcdefghij", k=30)) for _ in range(300)]
    pieces = [text.split()[:14] for text in known]
    asked = [" ".join(pieces[n] + pieces[n + 1] + pieces[n + 2]) for n in range(0, 27, 3)]
    assert how(asked, known) == {}


def test_a_turn_of_a_conversation_may_be_the_question() -> None:
    talk = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "What is 2 + 2?"},
        {"role": "assistant", "content": "4"},
    ]
    vocabulary: dict[str, int] = {}
    known = Prompts(pa.Table.from_pylist([{"messages": talk}]), vocabulary)
    asked = Prompts(pa.table({"prompt": ["What is 2 + 2?", "4"]}), vocabulary)
    assert [(match.row, match.how) for match in matches(asked, known)] == [(0, "exactly")]


@pytest.mark.parametrize("text", ["what is  2+2?", STORY + " or so"])
def test_without_takes_out_what_is_found(text: str) -> None:
    rows = pa.table({"prompt": [text, "Something else altogether?"]})
    left = STEPS["without"]({}, {"rows": rows, "other": pa.table({"prompt": ["What is 2 + 2?", STORY]})})
    assert left.column("prompt").to_pylist() == ["Something else altogether?"]
