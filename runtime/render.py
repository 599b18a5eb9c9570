"""Text to token ids and back: the one place that knows chat templates, end-of-sequence tokens and length limits.

A row's prompt is the user's turn, its response the assistant's. A prompt is rendered with the header of the assistant's
turn (`add_generation_prompt`), so that it is what an engine continues; a response is the rest of the rendered
conversation up to and including the end-of-sequence token. Every token of a response bears loss, none of a prompt does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from ptc.runtime.artifacts import InputWrong

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TokenIds = list[int]


def render_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str) -> TokenIds:
    """Token ids of the user's turn and the header of the assistant's. Raises `InputWrong` for a double BOS."""
    return render_prompts(tokenizer, [prompt])[0]


def render_response(tokenizer: PreTrainedTokenizerBase, prompt: str, response: str) -> TokenIds:
    """Token ids of the response, ended by the end-of-sequence token; `render_prompt` + this is the whole conversation.

    Raises `InputWrong` if the template does not continue its own prompt, or trains no end-of-sequence token.
    """
    return render_responses(tokenizer, [prompt], [response])[0]


def render_prompts(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]) -> list[TokenIds]:
    """`render_prompt` for many prompts; about 40 microseconds each."""
    rendered = _encode(tokenizer, _prompt_texts(tokenizer, prompts))
    for prompt, tokens in zip(prompts, rendered, strict=True):
        _refuse_double_bos(tokenizer, prompt, tokens)
    return rendered


def render_responses(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], responses: Sequence[str]
) -> list[TokenIds]:
    """`render_response` for many pairs; about 60 microseconds each. Equal prompts are rendered once."""
    distinct = list(dict.fromkeys(prompts))
    texts = dict(zip(distinct, _prompt_texts(tokenizer, distinct), strict=True))
    tokens = dict(zip(distinct, render_prompts(tokenizer, distinct), strict=True))
    whole_texts = _conversation_texts(tokenizer, prompts, responses)
    whole_tokens = _encode(tokenizer, whole_texts)
    return [
        _until_end(tokenizer, prompt, _rest(tokenizer, texts[prompt], tokens[prompt], whole_text, whole))
        for prompt, whole_text, whole in zip(prompts, whole_texts, whole_tokens, strict=True)
    ]


def decode(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int]) -> str:
    """The text of a completion, without special tokens."""
    return decode_all(tokenizer, [tokens])[0]


def decode_all(tokenizer: PreTrainedTokenizerBase, completions: Sequence[Sequence[int]]) -> list[str]:
    """`decode` for many completions; about 6 microseconds each."""
    return tokenizer.batch_decode([list(tokens) for tokens in completions], skip_special_tokens=True)


def end_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """Id of the token that ends the assistant's turn. Raises `InputWrong` if the tokenizer names none."""
    if tokenizer.eos_token_id is None:
        raise InputWrong(
            "the tokenizer names no end-of-sequence token (`eos_token`): a model trained with it never stops"
        )
    return cast("int", tokenizer.eos_token_id)


@dataclass(frozen=True)
class Fitted:
    """Rows after a length limit. `kept` are their indices, `longest` is the most tokens (prompt + response) seen."""

    kept: tuple[int, ...]
    dropped: int
    longest: int


def fit_length(
    prompts: Sequence[Sequence[int]],
    responses: Sequence[Sequence[int]],
    max_length: int,
    too_long: Literal["error", "drop"] = "error",
) -> Fitted:
    """Which pairs are at most `max_length` tokens long together.

    No row is ever cut: it would lose its header or its end-of-sequence token. With ``"error"`` a longer row raises
    `InputWrong`.
    """
    lengths = [len(prompt) + len(response) for prompt, response in zip(prompts, responses, strict=True)]
    kept = tuple(index for index, length in enumerate(lengths) if length <= max_length)
    fitted = Fitted(kept=kept, dropped=len(lengths) - len(kept), longest=max(lengths, default=0))
    if fitted.dropped and too_long == "error":
        raise InputWrong(
            f"{fitted.dropped} of {len(lengths)} rows are longer than max_length = {max_length} tokens, "
            f"the longest has {fitted.longest}: raise max_length or keep shorter rows"
        )
    return fitted


def refuse_overlong(context: int, prompt_tokens: int, max_tokens: int) -> None:
    """Raises `InputWrong` if a prompt and its completion, at their longest, do not fit into a model's context."""
    if prompt_tokens + max_tokens > context:
        raise InputWrong(
            f"a prompt of {prompt_tokens} tokens and max_tokens = {max_tokens} do not fit into the model's "
            f"context of {context} tokens: lower max_tokens, or keep shorter prompts"
        )


def _prompt_texts(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]) -> list[str]:
    return _apply_template(tokenizer, [[_turn("user", prompt)] for prompt in prompts], generation_prompt=True)


def _conversation_texts(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], responses: Sequence[str]
) -> list[str]:
    conversations = [
        [_turn("user", prompt), _turn("assistant", response)]
        for prompt, response in zip(prompts, responses, strict=True)
    ]
    return _apply_template(tokenizer, conversations, generation_prompt=False)


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _apply_template(
    tokenizer: PreTrainedTokenizerBase, conversations: list[list[dict[str, str]]], *, generation_prompt: bool
) -> list[str]:
    if not conversations:
        return []
    if tokenizer.chat_template is None:
        raise InputWrong("the tokenizer has no chat template (`chat_template.jinja`)")
    return cast(
        "list[str]",
        tokenizer.apply_chat_template(conversations, tokenize=False, add_generation_prompt=generation_prompt),
    )


def _encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[TokenIds]:
    if not texts:
        return []
    return cast("list[TokenIds]", tokenizer(list(texts), add_special_tokens=False)["input_ids"])


def _rest(
    tokenizer: PreTrainedTokenizerBase, prompt_text: str, prompt: TokenIds, whole_text: str, whole: TokenIds
) -> TokenIds:
    """What the conversation has beyond its prompt.

    Where tokens merge across the border (a header that ends in a line feed and a response that begins with one), the
    response is tokenized apart: an engine, too, continues from the prompt's own tokens.
    """
    if whole[: len(prompt)] == prompt:
        return whole[len(prompt) :]
    if not whole_text.startswith(prompt_text):
        raise InputWrong(
            "the chat template renders a prompt differently once it has been answered: "
            f"{_excerpt(prompt_text)} does not begin {_excerpt(whole_text)}"
        )
    rest = _encode(tokenizer, [whole_text[len(prompt_text) :]])[0]
    if tokenizer.decode(prompt + rest) != tokenizer.decode(whole):
        raise InputWrong(
            f"the tokenizer joins the end of the rendered prompt {_excerpt(prompt_text)} with the response's "
            "beginning: let the template's header for the assistant end in a special token"
        )
    return rest


def _until_end(tokenizer: PreTrainedTokenizerBase, prompt: str, rest: TokenIds) -> TokenIds:
    end = end_token(tokenizer)
    ends = rest.count(end)
    if ends == 0:
        raise InputWrong(
            f"the chat template writes no end-of-sequence token {tokenizer.eos_token!r} after a response "
            f"(prompt {_excerpt(prompt)}): a model trained on it never stops"
        )
    if ends > 1:
        raise InputWrong(
            f"the response to {_excerpt(prompt)} holds the end-of-sequence token {tokenizer.eos_token!r} in its text"
        )
    return rest[: rest.index(end) + 1]


def _refuse_double_bos(tokenizer: PreTrainedTokenizerBase, prompt: str, tokens: TokenIds) -> None:
    begin = tokenizer.bos_token_id
    if begin is not None and tokens[:2] == [begin, begin]:
        raise InputWrong(
            f"the prompt {_excerpt(prompt)} is rendered with two beginning-of-sequence tokens {tokenizer.bos_token!r}: "
            "remove one from the chat template"
        )


def _excerpt(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "…")
