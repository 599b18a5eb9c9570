"""A prompt with something before it that only one of several models sees (`given` in a loss)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ptc.runtime.rendering.conversations import Conversation, content_text
from ptc.runtime.rendering.template import Asked, Message, Refusal, TokenIds, apply_template, encode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def with_context(prompt: Sequence[Message], context: Any) -> tuple[Message, ...]:
    """The turns of a prompt behind a context: a text stands before what the user says first, a blank line between;
    turns stand before that turn. The system's turn stays where it is."""
    place = next((place for place, turn in enumerate(prompt) if turn["role"] == "user"), len(prompt))
    if not isinstance(context, str):
        return (*prompt[:place], *context, *prompt[place:])
    if not context:
        return tuple(prompt)
    if place == len(prompt):
        return (*prompt, {"role": "user", "content": context})
    said = {**prompt[place], "content": f"{context}\n\n{content_text(prompt[place])}"}
    return (*prompt[:place], said, *prompt[place + 1 :])


def prompts_behind(
    tokenizer: PreTrainedTokenizerBase, asked: Sequence[Conversation], contexts: Sequence[Any]
) -> list[TokenIds | str]:
    """The tokens of what each conversation asks behind a context, with the header of the answer; or why there are
    none, as the template says."""
    turns = [with_context(one.prompt, context) for one, context in zip(asked, contexts, strict=True)]
    texts = apply_template(
        tokenizer, [Asked(own, True, one.tools) for own, one in zip(turns, asked, strict=True)] if turns else []
    )
    encoded = iter(encode(tokenizer, [text for text in texts if not isinstance(text, Refusal)]))
    return [text.said if isinstance(text, Refusal) else next(encoded) for text in texts]
