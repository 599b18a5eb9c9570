"""The chat template and the tokenizer at work: messages to text, text to token ids and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ptc.runtime.artifacts import InputWrong

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TokenIds = list[int]
Message = Mapping[str, Any]
"""One turn: `role`, `content`, and what a template may want besides, such as `tool_calls`."""


@dataclass(frozen=True)
class Asked:
    """What a template is to render: the turns, and whether the header of the assistant's next one follows."""

    messages: tuple[Message, ...]
    header: bool = False
    tools: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Refusal:
    """The template raised instead of rendering: what it said."""

    said: str


def apply_template(tokenizer: PreTrainedTokenizerBase, asked: Sequence[Asked]) -> list[str | Refusal]:
    """The text of each conversation, in order. Raises `InputWrong` for a tokenizer without a template."""
    if tokenizer.chat_template is None:
        raise InputWrong("the tokenizer has no chat template (`chat_template.jinja`): give it one with `retemplate`")
    return [_applied(tokenizer, one) for one in asked]


def _applied(tokenizer: PreTrainedTokenizerBase, asked: Asked) -> str | Refusal:
    from jinja2 import TemplateError

    try:
        return cast(
            "str",
            tokenizer.apply_chat_template(
                [dict(message) for message in asked.messages],
                tools=[dict(tool) for tool in asked.tools] or None,
                tokenize=False,
                add_generation_prompt=asked.header,
            ),
        )
    except (TemplateError, TypeError, KeyError, ValueError, AttributeError) as problem:  # whatever its code runs into
        return Refusal(str(problem) or type(problem).__name__)


def encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[TokenIds]:
    """Token ids of texts in which every special token is written out; equal texts are encoded once."""
    distinct = list(dict.fromkeys(texts))
    if not distinct:
        return []
    ids = cast("list[TokenIds]", tokenizer(distinct, add_special_tokens=False)["input_ids"])
    known = dict(zip(distinct, ids, strict=True))
    return [known[text] for text in texts]


def decode_all(tokenizer: PreTrainedTokenizerBase, completions: Sequence[Sequence[int]]) -> list[str]:
    """The texts of completions, without special tokens; about 6 microseconds each."""
    return tokenizer.batch_decode([list(tokens) for tokens in completions], skip_special_tokens=True)


def end_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """Id of the token that ends the assistant's turn. Raises `InputWrong` if the tokenizer names none."""
    if tokenizer.eos_token_id is None:
        raise InputWrong(
            "the tokenizer names no end-of-sequence token (`eos_token`): a model trained with it never stops: "
            "name one in tokenizer_config.json"
        )
    return cast("int", tokenizer.eos_token_id)


def excerpt(text: str, longest: int = 60) -> str:
    """A text as messages show it: quoted, and not too long."""
    return repr(text if len(text) <= longest else text[: longest - 3] + "…")
