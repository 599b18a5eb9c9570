"""One text in the tokens of two tokenizers: they meet where both begin a token behind the same text, and only there."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_tokenizers import CHATML, LLAMA, NO_END, chatml, llama
from transformers import PreTrainedTokenizerFast

from ptc.runtime.artifacts import InputWrong
from ptc.runtime.rendering.conversations import Conversation
from ptc.runtime.rendering.meeting import Met, Reader, alike, met
from ptc.runtime.rendering.tables import all_borne
from ptc.runtime.rendering.turns import Rendered, render

TEXT = "The capital of France is Paris."
EMPTY_THOUGHT = CHATML.replace(
    "{% if message['content'] is string %}",
    "{% if message['role'] == 'assistant' %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{% if message['content'] is string %}",
)
"""Writes a thought before what the assistant says."""


def said(*turns: str, learned: int = 1) -> Conversation:
    roles = ("user", "assistant")
    return Conversation(tuple({"role": roles[place % 2], "content": turn} for place, turn in enumerate(turns)), learned)


def read(tokenizer: PreTrainedTokenizerFast, conversation: Conversation) -> Rendered:
    [one] = render(tokenizer, [conversation])
    assert isinstance(one, Rendered)
    return one


def between(
    first: PreTrainedTokenizerFast, second: PreTrainedTokenizerFast, text: str, context: int | None = None
) -> tuple[Rendered, Met]:
    asked = said("What?", text)
    one = read(first, asked)
    return one, met(Reader(second, context), first, one, asked, "assistant")


def pairs(one: Rendered, found: Met) -> list[tuple[int, int]]:
    """The tokens that meet, each counted from the first of its response."""
    borne = [place for place, bears in enumerate(one.loss_mask) if bears]
    there = [place for place, bears in enumerate(found.rendered.loss_mask) if bears]
    first = found.rendered.border
    return [(borne[own] - one.border, its - first) for own, its in zip(found.places, there, strict=True)]


def before(tokenizer: PreTrainedTokenizerFast, tokens: tuple[int, ...]) -> list[bytes]:
    """What has been said before each token, as bytes: by the bytes that stand for them in the vocabulary."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    back = {letter: byte for byte, letter in bytes_to_unicode().items()}
    special = set(tokenizer.all_special_ids)
    written = [
        b"" if token in special else bytes(back[letter] for letter in tokenizer.convert_ids_to_tokens(token))
        for token in tokens
    ]
    return [b"".join(written[:place]) for place in range(len(tokens))]


def whole(beginning: bytes) -> bool:
    try:
        beginning.decode()
    except UnicodeDecodeError:
        return False
    return True


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    text=st.text(
        st.one_of(st.sampled_from("The capital of France 12+é漢🙂"), st.characters(codec="utf-8")), max_size=20
    )
)
def test_they_meet_behind_the_same_text_and_nowhere_else(text: str) -> None:
    first, second = chatml(size=400), chatml(size=300)
    one, other = (read(each, said("What?", text)) for each in (first, second))
    mine, its = (before(each, rendered.learned) for each, rendered in ((first, one), (second, other)))
    common = [beginning for beginning in mine if beginning in its and whole(beginning)]
    _, found = between(first, second, text)
    assert pairs(one, found) == [(mine.index(beginning), its.index(beginning)) for beginning in common]


def test_both_ends_of_a_response_meet() -> None:
    one, found = between(chatml(size=400), llama(), TEXT)
    reached = pairs(one, found)
    assert reached[0] == (0, 0)
    assert reached[-1][0] == one.trained - 1
    assert found.rendered.tokens[-1] == llama().eos_token_id
    assert len(found.places) == found.rendered.trained


def test_what_a_template_writes_before_a_response_or_cuts_from_it_does_not_part_them() -> None:
    first = chatml()
    one, found = between(first, chatml(EMPTY_THOUGHT), TEXT)
    assert found.places == tuple(range(one.trained))
    assert chatml().decode(found.rendered.tokens).count("</think>") == 1
    one, found = between(first, llama(LLAMA), f"  {TEXT}\n")
    reached = pairs(one, found)
    assert len(reached) > 3
    for own, its in reached:
        said_there = llama().decode(found.rendered.tokens[: found.rendered.border + its])
        assert said_there.endswith("<|end_header_id|>\n\n" + first.decode(one.learned[:own]).strip())
    assert first.decode(one.learned[: reached[-1][0]]).strip() == TEXT


def test_tokens_that_a_model_sampled_need_not_be_those_that_a_text_has() -> None:
    tokenizer = chatml()
    prompt = read(tokenizer, said("What?", "")).prompt
    spelled = [*(tokenizer.convert_tokens_to_ids(letter) for letter in "Paris"), tokenizer.eos_token_id]
    one = all_borne(prompt, spelled)
    found = met(Reader(chatml(size=300)), tokenizer, one, said("What?", "Paris"), "assistant")
    theirs = before(chatml(size=300), found.rendered.learned)
    assert [theirs[its].decode() for _, its in pairs(one, found)] == ["Paris"[:own] for own, _ in pairs(one, found)]
    assert found.places[0] == 0 and found.places[-1] == len(spelled) - 1


def test_the_beginning_that_bears_no_loss_is_text_too() -> None:
    tokenizer = chatml()
    whole = read(tokenizer, said("What?", TEXT))
    begun = 3
    one = all_borne(whole.tokens[: whole.border + begun], whole.learned[begun:])
    found = met(Reader(llama()), tokenizer, one, said("What?", TEXT), "assistant", begun)
    _, usual = between(tokenizer, llama(), TEXT)
    assert found.places == tuple(place - begun for place in usual.places if place >= begun)


def test_several_turns_meet_each_in_its_own() -> None:
    asked = said("What?", TEXT, "And?", "What is 2 + 2?", learned=0)
    one = read(chatml(), asked)
    found = met(Reader(llama()), chatml(), one, asked, "assistant")
    ends = [
        token == llama().eos_token_id
        for token, bears in zip(found.rendered.tokens, found.rendered.loss_mask, strict=True)
        if bears
    ]
    assert sum(ends) == 2
    with pytest.raises(InputWrong, match="2 turns are learned, and 1 in the tokens"):
        met(Reader(llama()), chatml(), one, asked, "last")


def test_what_does_not_fit_is_not_met() -> None:
    _, usual = between(chatml(), llama(), TEXT)
    context = len(usual.rendered.tokens) - 4
    _, found = between(chatml(), llama(), TEXT, context)
    assert len(found.rendered.tokens) <= context
    assert found.places == usual.places[: len(found.places)] != usual.places
    _, none = between(chatml(), llama(), TEXT, 3)
    assert none.places == () and none.rendered.trained == 0


def test_the_same_tokenizer_meets_at_every_token() -> None:
    one, found = between(chatml(), chatml(), TEXT)
    assert found == alike(one)
    assert Reader(chatml()).reads_as(chatml())
    assert not Reader(chatml(size=300)).reads_as(chatml()) and not Reader(chatml(EMPTY_THOUGHT)).reads_as(chatml())


def test_a_text_that_holds_the_end_of_the_other_is_not_read_and_a_template_without_one_is_refused() -> None:
    _, found = between(chatml(), llama(), "Now <|eot_id|> and on")
    assert found.places == ()
    with pytest.raises(InputWrong, match="no end-of-sequence token"):
        between(chatml(), chatml(NO_END, size=300), TEXT)


@pytest.mark.slow
@pytest.mark.parametrize("text", [TEXT, "What is 2 + 2? It is 4.", "é漢🙂 and so on", ""])
def test_trl_finds_the_same_borders(text: str) -> None:
    gold = pytest.importorskip("trl.experimental.gold.gold_trainer")
    first, second = chatml(size=400), chatml(size=300)
    one, found = between(first, second, text)
    offsets = []
    for tokenizer in (first, second):
        starts = [len(beginning) for beginning in before(tokenizer, read(tokenizer, said("What?", text)).learned)]
        offsets.append([*zip(starts, [*starts[1:], starts[-1]], strict=True)])
    groups = gold.ULDLoss._align_by_byte_offsets(*offsets)
    borders = [(mine[0], its[0]) for mine, its in zip(*groups, strict=True)]
    halves = before(first, one.learned)
    assert pairs(one, found) == [border for border in borders if whole(halves[border[0]])]
