"""Rendering: prompts, responses, end-of-sequence tokens, borders between tokens, lengths."""

from __future__ import annotations

import time

import pytest
from small_chat import TEMPLATE, small_tokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from ptc.runtime.artifacts import InputWrong
from ptc.runtime.render import decode, fit_length, render_prompt, render_prompts, render_response, render_responses


def test_prompt_and_response_are_the_rendered_conversation() -> None:
    tokenizer = small_tokenizer()
    conversation = [{"role": "user", "content": "1+1="}, {"role": "assistant", "content": "2"}]
    whole = tokenizer.apply_chat_template(conversation)["input_ids"]
    assert render_prompt(tokenizer, "1+1=") + render_response(tokenizer, "1+1=", "2") == whole
    assert render_response(tokenizer, "1+1=", "2")[-1] == tokenizer.eos_token_id


def test_an_empty_response_is_the_end_token() -> None:
    tokenizer = small_tokenizer()
    assert render_response(tokenizer, "a", "") == [tokenizer.eos_token_id]


def test_batches_are_the_single_ones() -> None:
    tokenizer = small_tokenizer()
    prompts, responses = ["a", "bb", "a"], ["x", "yy", "z z"]
    assert render_prompts(tokenizer, prompts) == [render_prompt(tokenizer, prompt) for prompt in prompts]
    assert render_responses(tokenizer, prompts, responses) == [
        render_response(tokenizer, prompt, response) for prompt, response in zip(prompts, responses, strict=True)
    ]


def test_what_follows_the_end_token_is_cut() -> None:
    tokenizer = small_tokenizer(TEMPLATE.replace("{{ eos_token }}", "{{ eos_token + '\\n' }}"))
    assert render_response(tokenizer, "a", "b")[-1] == tokenizer.eos_token_id


def test_a_completion_is_decoded_without_special_tokens() -> None:
    tokenizer = small_tokenizer()
    assert decode(tokenizer, render_response(tokenizer, "a", "b c\n")) == "b c\n"


def test_a_template_that_trains_no_end_token_is_refused() -> None:
    tokenizer = small_tokenizer(TEMPLATE.replace("{{ eos_token }}", ""))
    with pytest.raises(InputWrong, match="writes no end-of-sequence token"):
        render_response(tokenizer, "a", "b")


def test_a_template_that_forgets_its_prompt_is_refused() -> None:
    tokenizer = small_tokenizer("{{ messages[-1]['content'] }}{{ eos_token }}")
    with pytest.raises(InputWrong, match="renders a prompt differently once"):
        render_response(tokenizer, "a", "b")


def test_an_end_token_in_the_text_of_a_response_is_refused() -> None:
    with pytest.raises(InputWrong, match="in its text"):
        render_response(small_tokenizer(), "a", "b<|end|>c")


def test_two_beginnings_are_refused() -> None:
    tokenizer = small_tokenizer("{{ bos_token }}{{ bos_token }}" + TEMPLATE)
    with pytest.raises(InputWrong, match="two beginning-of-sequence"):
        render_prompt(tokenizer, "a")


def test_a_tokenizer_without_template_is_refused() -> None:
    tokenizer = small_tokenizer()
    tokenizer.chat_template = None
    with pytest.raises(InputWrong, match="no chat template"):
        render_prompt(tokenizer, "a")


def merging_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE in which two line feeds are one token, and a header that ends in a line feed."""
    alphabet = {character: index for index, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    newline = "Ċ"
    inner = Tokenizer(models.BPE({**alphabet, newline * 2: len(alphabet)}, [(newline, newline)]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|end|>")
    tokenizer.chat_template = (
        "{% for message in messages %}{{ message['role'] + ':\\n' + message['content'] }}"
        "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant:\\n' }}{% endif %}"
    )
    return tokenizer


def test_a_response_that_would_merge_with_the_header_is_tokenized_apart() -> None:
    tokenizer = merging_tokenizer()
    prompt = render_prompt(tokenizer, "a")
    response = render_response(tokenizer, "a", "\nb")
    assert tokenizer.decode(prompt + response) == "user:\naassistant:\n\nb<|end|>"
    assert decode(tokenizer, response) == "\nb"


def test_lengths() -> None:
    prompts, responses = [[1] * 3, [1] * 5], [[2] * 3, [2] * 5]
    assert fit_length(prompts, responses, 10).kept == (0, 1)
    fitted = fit_length(prompts, responses, 9, "drop")
    assert (fitted.kept, fitted.dropped, fitted.longest) == ((0,), 1, 10)
    with pytest.raises(InputWrong, match="1 of 2 rows are longer than max_length = 9 tokens, the longest has 10"):
        fit_length(prompts, responses, 9)


def test_thousands_of_rows_take_no_time() -> None:
    tokenizer = small_tokenizer()
    prompts = [f"{row}+{row}=" for row in range(2000)]
    begin = time.process_time()
    render_responses(tokenizer, prompts, prompts)
    assert time.process_time() - begin < 3
