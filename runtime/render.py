"""A prompt and a response to token ids and back: what engines read and write, and what single exchanges are trained on.

A row's prompt is the user's turn, or a list of messages; its response is the assistant's turn. A prompt is rendered
with the header of the assistant's turn (`add_generation_prompt`), so that it is what an engine continues; a response
is the rest of the rendered conversation up to and including the end-of-sequence token. Longer conversations, masks and
cuts are in `runtime.rendering`, on which this is built.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ptc.runtime.artifacts import InputWrong
from ptc.runtime.rendering.conversations import conversation
from ptc.runtime.rendering.template import (
    Asked,
    Message,
    Refusal,
    TokenIds,
    apply_template,
    decode_all,
    encode,
    excerpt,
)
from ptc.runtime.rendering.turns import Problem, refuse_double_begin, render

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Prompt = str | Sequence[Message]


def render_prompt(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> TokenIds:
    """Token ids of the prompt's turns and the header of the assistant's. Raises `InputWrong` for a double BOS."""
    return render_prompts(tokenizer, [prompt])[0]


def render_response(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, response: str) -> TokenIds:
    """Token ids of the response, ended by the end-of-sequence token; `render_prompt` + this is the whole conversation.

    Raises `InputWrong` if the template does not continue its own prompt, or trains no end-of-sequence token.
    """
    return render_responses(tokenizer, [prompt], [response])[0]


def render_prompts(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt]) -> list[TokenIds]:
    """`render_prompt` for many prompts; about 40 microseconds each."""
    asked = [Asked(_turns(prompt), header=True) for prompt in prompts]
    texts = [_text(text) for text in (apply_template(tokenizer, asked) if asked else ())]
    rendered = encode(tokenizer, texts)
    for prompt, tokens in zip(prompts, rendered, strict=True):
        problem = refuse_double_begin(tokenizer, tokens, excerpt(str(prompt)))
        if problem is not None:
            raise InputWrong(problem.sentence)
    return rendered


def render_responses(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt], responses: Sequence[str]
) -> list[TokenIds]:
    """`render_response` for many pairs; about 80 microseconds each."""
    pairs = zip(prompts, responses, strict=True)
    rendered = render(
        tokenizer, [conversation({"prompt": prompt, "response": response}, "response") for prompt, response in pairs]
    )
    learned = []
    for one in rendered:
        if isinstance(one, Problem):
            raise InputWrong(one.sentence)
        learned.append(list(one.learned))
    return learned


def _turns(prompt: Prompt) -> tuple[Message, ...]:
    return ({"role": "user", "content": prompt},) if isinstance(prompt, str) else tuple(prompt)


def _text(text: str | Refusal) -> str:
    if isinstance(text, Refusal):
        raise InputWrong(f"the chat template refuses a prompt ({text.said}): leave such prompts out with `keep`")
    return text


def decode(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int]) -> str:
    """The text of a completion, without special tokens."""
    return decode_all(tokenizer, [tokens])[0]


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


def refuse_overlong(context: int, prompts: Iterable[Sequence[int]], max_tokens: int) -> None:
    """Raises `InputWrong` if a prompt and its completion, at their longest, do not fit into a model's context."""
    prompt_tokens = max(map(len, prompts), default=0)
    if prompt_tokens + max_tokens > context:
        raise InputWrong(
            f"a prompt of {prompt_tokens} tokens and max_tokens = {max_tokens} do not fit into the model's "
            f"context of {context} tokens: lower max_tokens, or keep shorter prompts"
        )
