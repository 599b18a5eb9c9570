"""Rows become samples: steps of responses, contexts that only one model sees, and numbers that are all looked at."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pytest
from small_chat import small_tokenizer
from small_tokenizers import chatml, llama
from transformers import PreTrainedTokenizerFast

from ptc.runtime.artifacts import InputWrong
from ptc.runtime.batches import Sample, collate
from ptc.runtime.flows import FixedFlow
from ptc.runtime.losses.needs import Needs
from ptc.runtime.render import render_prompt, render_response
from ptc.runtime.rendering.context import with_context
from ptc.runtime.rendering.rows import Rendering
from ptc.runtime.rendering.steps import ends_of_steps, step_of_tokens
from ptc.runtime.samples import sampled, tokenised

STEPPED = Needs(texts=("response",), step_numbers=frozenset({"step_rewards"}), stepped=True)
MARKED = Needs(
    texts=("steps",),
    step_numbers=frozenset({"step_labels"}),
    conditions=frozenset({"step_labels"}),
    scored=frozenset({"steps"}),
    stepped=True,
)
GIVEN = Needs(texts=("response",), given=(("response", "context"),))


def only(rows: list[dict[str, Any]], needs: Needs, tokenizer: Any, **settings: Any) -> Sample:
    samples, _ = tokenised(pa.Table.from_pylist(rows), needs, tokenizer, Rendering(**settings))
    [[sample]] = samples
    return sample


# Steps ----------------------------------------------------------------------------------------------------------------


def told_apart(tokenizer: PreTrainedTokenizerFast, tokens: list[int], steps: list[str]) -> list[str]:
    """The text of the tokens of each step."""
    step = step_of_tokens(tokenizer, tokens, steps)
    assert isinstance(step, list)
    return [
        tokenizer.decode([token for token, own in zip(tokens, step, strict=True) if own == k])
        for k in range(len(steps))
    ]


def test_separators_belong_to_the_step_before_and_the_end_to_the_last() -> None:
    tokenizer = chatml()
    tokens = render_response(tokenizer, "a", "First, 2 + 2.\n\nThen 4.\n\nSo 4")
    found = told_apart(tokenizer, tokens, ["First, 2 + 2.", "Then 4.", "So 4"])
    assert found == ["First, 2 + 2.\n\n", "Then 4.\n\n", "So 4<|im_end|>"]


@pytest.mark.parametrize("make", [chatml, llama, small_tokenizer])
def test_each_token_lies_in_the_step_of_its_first_character(make: Any) -> None:
    """Against the places that the tokenizer itself says its tokens have in the text."""
    tokenizer, rng = make(), random.Random(0)
    plain = make is small_tokenizer
    for _ in range(20):
        parts = ["".join(rng.choices("ab1+ ." if plain else "ab1 é😀.", k=rng.randint(1, 8))) + "x" for _ in range(4)]
        text = rng.choice(["", " "]) + "\n\n".join(parts)
        read = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        places = [text.index(parts[0].strip())]
        for part in parts[1:]:
            places.append(text.index("\n\n" + part, places[-1]) + 2)
            places[-1] += len(part) - len(part.lstrip())
        expected = [
            max((k for k, place in enumerate(places) if place <= start), default=0)
            for start, _ in read["offset_mapping"]
        ]
        assert step_of_tokens(tokenizer, read["input_ids"], parts) == expected


class Pieces:
    """A tokenizer with tokens of our choice."""

    def __init__(self, *pieces: str) -> None:
        self.pieces = pieces

    def batch_decode(self, all_tokens: list[list[int]], skip_special_tokens: bool) -> list[str]:
        return ["".join(self.pieces[token] for token in tokens) for tokens in all_tokens]


def test_a_token_over_a_border_belongs_to_the_step_that_it_begins_in() -> None:
    tokenizer: Any = Pieces("one", "\ntw", "o", "\n3\n", "four", "")
    step = step_of_tokens(tokenizer, [0, 1, 2, 3, 4, 5], ["one", "two", "3", "four"])
    assert step == [0, 0, 1, 1, 3, 3]
    # `3` has no token of its own: its end is the token in which it lies.
    assert ends_of_steps(step, 4) == [1, 3, 3, 5]


def test_a_response_in_no_step_has_tokens_in_none() -> None:
    tokenizer: Any = Pieces(" ", "\n")
    assert step_of_tokens(tokenizer, [0, 1, 0], []) == [-1, -1, -1]


def test_sampled_tokens_are_told_apart_as_they_are() -> None:
    tokenizer = small_tokenizer()
    text = "a b\ncd\ne"
    response = [*tokenizer(text, add_special_tokens=False)["input_ids"], 3]
    rows = pa.table(
        {
            "prompt": ["q"],
            "response": [text],
            "prompt_tokens": [render_prompt(tokenizer, "q")],
            "response_tokens": [response],
            "steps": [["a b", "cd", "e"]],
            "step_rewards": [[0.5, 0.25, 1.0]],
        }
    )
    [sample] = sampled(rows, STEPPED, tokenizer)
    assert sample.sequences["response"] == (tuple(render_prompt(tokenizer, "q")), tuple(response))
    assert sample.steps == {"response": [0, 0, 0, 0, 1, 1, 1, 2, 2]}
    assert sample.step_numbers == {"step_rewards": [0.5, 0.25, 1.0]}


def test_steps_that_bring_no_response_make_one_line_by_line_and_are_read_at_their_ends() -> None:
    tokenizer = chatml()
    sample = only([{"prompt": "a", "steps": ["2 + 2", "is 4"], "step_labels": [True, False]}], MARKED, tokenizer)
    prompt, ids = sample.sequences["steps"]
    assert tokenizer.decode(list(ids)) == "2 + 2\nis 4<|im_end|>"
    read = [*prompt, *ids]
    beginnings = [tokenizer.decode(read[: end + 1]) for end in sample.ends["steps"]]
    assert [beginning.rpartition("assistant\n")[2] for beginning in beginnings] == ["2 + 2\n", "2 + 2\nis 4<|im_end|>"]
    batch = collate([[sample]])
    assert batch.step_numbers["step_labels"].tolist() == [1.0, 0.0]
    assert batch.sequences["steps"].inputs.tolist() == read
    assert batch.sequences["steps"].ends.nonzero().flatten().tolist() == sample.ends["steps"]


# Contexts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [chatml, llama])
def test_the_same_response_stands_behind_the_prompt_in_its_context(make: Any) -> None:
    tokenizer = make()
    sample = only([{"prompt": "What is 2 + 2?", "context": "Be brief.", "response": "4"}], GIVEN, tokenizer)
    plain, given = sample.sequences["response"], sample.sequences["response given context"]
    assert list(plain[0]) == render_prompt(tokenizer, "What is 2 + 2?")
    assert list(given[0]) == render_prompt(tokenizer, "Be brief.\n\nWhat is 2 + 2?")
    assert plain[1] == given[1] == tuple(render_response(tokenizer, "What is 2 + 2?", "4"))
    batch = collate([[sample]])
    assert batch.sequences["response given context"].tokens.tolist() == list(plain[1])


def test_a_context_of_turns_stands_before_the_question_and_behind_the_system() -> None:
    system, asked = {"role": "system", "content": "s"}, {"role": "user", "content": "q"}
    shown = [{"role": "user", "content": "1"}, {"role": "assistant", "content": "2"}]
    assert with_context((system, asked), shown) == (system, *shown, asked)
    assert with_context((system, asked), "") == (system, asked)
    assert with_context((asked,), "c") == ({"role": "user", "content": "c\n\nq"},)


def test_a_row_that_is_not_learned_from_bears_no_loss_in_its_context_either() -> None:
    rows = [{"prompt": "a", "context": "b", "response": "c", "$counts": False}]
    batch = collate([[only(rows, GIVEN, chatml())]])
    assert [len(sequences.tokens) for sequences in batch.sequences.values()] == [0, 0]


@pytest.mark.parametrize(
    ("changed", "settings", "said"),
    [
        (
            {"context": None},
            {},
            r"row 1 has None for `\.context`, where the objective needs a text: leave the row out with `keep`",
        ),
        ({}, {"mask": "all"}, r"row 1: what is learned begins elsewhere .* use mask"),
        (
            {"context": "long " * 40},
            {"max_length": 30},
            r"row 1 has \d+ tokens behind `\.context`, more than max_length",
        ),
    ],
)
def test_a_context_that_cannot_be_shown(changed: dict[str, Any], settings: dict[str, Any], said: str) -> None:
    rows = [{"prompt": "a", "context": "b", "response": "c", **changed}]
    with pytest.raises(InputWrong, match=said):
        only(rows, GIVEN, chatml(), **settings)


# Numbers --------------------------------------------------------------------------------------------------------------

LABELLED = Needs(numbers=frozenset({"label"}), conditions=frozenset({"label"}), texts=("response",))
REWARDED = Needs(numbers=frozenset({"reward"}), texts=("response",))
ROW: dict[str, Any] = {"prompt": "a", "response": "b\nc", "steps": ["b", "c"]}


@pytest.mark.parametrize(
    ("needs", "bad", "said"),
    [
        (
            REWARDED,
            {"reward": None},
            r"row 2 has None for `\.reward`, where the objective needs a number: leave .* out",
        ),
        (REWARDED, {"reward": float("nan")}, r"row 2 has nan for `\.reward`, where the objective needs a number"),
        (LABELLED, {"label": 2}, r"row 2 has 2 for `\.label`, where the objective needs true or false"),
        (STEPPED, {"step_rewards": [1.0]}, r"row 2 has 1 numbers in `\.step_rewards` for 2 steps"),
        (
            STEPPED,
            {"step_rewards": [1.0, None]},
            r"row 2 has None for `\.step_rewards`, where the objective needs a num",
        ),
        (STEPPED, {"step_rewards": None}, r"row 2 has None for `\.step_rewards`, where the objective needs a list"),
        (STEPPED, {"steps": ["b", "d"]}, r"row 2: step 2 \('d'\) does not stand in its response"),
        (MARKED, {"step_labels": [1, 3]}, r"row 2 has 3 for `\.step_labels`, where the objective needs true or false"),
        (
            MARKED,
            {"steps": None},
            r"row 2 has None for `\.steps`, where the objective needs a list of texts: leave .* out",
        ),
    ],
)
def test_what_is_missing_is_no_number(needs: Needs, bad: dict[str, Any], said: str) -> None:
    good = {**ROW, "reward": 1.0, "label": 1, "step_rewards": [1.0, 0.0], "step_labels": [1, 0]}
    rows = pa.Table.from_pylist([good, {**good, **bad}])
    with pytest.raises(InputWrong, match=said):
        tokenised(rows, needs, chatml(), Rendering())


def test_an_engines_log_probabilities_are_as_many_as_its_tokens() -> None:
    tokenizer = small_tokenizer()
    needs = Needs(token_numbers=frozenset({"logprobs"}), texts=("response",))
    rows = {"prompt_tokens": [[1, 2]], "response_tokens": [[7, 8, 3]], "logprobs": [[-0.5, -0.25]]}
    with pytest.raises(InputWrong, match=r"row 1 has 2 numbers in `\.logprobs` for 3 tokens of its response"):
        sampled(pa.table(rows), needs, tokenizer)


def test_documents_are_units_of_their_own() -> None:
    flow = FixedFlow(pa.table({"text": ["a b", "c", "c"]}), "prompts", Needs(texts=("text",)), chatml(), Rendering())
    assert flow.size == 3
