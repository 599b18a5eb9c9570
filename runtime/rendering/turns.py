"""A conversation as token ids, with a mask of those that bear loss.

The template is asked again and again for longer beginnings of the conversation: with the header of the assistant's next
turn, and with that turn. Each beginning must be how the whole conversation begins, or the model would be trained on
another history than it meets. An assistant's turn bears loss from behind its header to its end-of-sequence token,
that token included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from ptc.runtime.remedies import ROW
from ptc.runtime.rendering.conversations import Conversation, NoConversation
from ptc.runtime.rendering.template import Asked, Refusal, TokenIds, apply_template, encode, end_token, excerpt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Mask = Literal["assistant", "last", "all"]
"""Which turns bear loss: the assistant's that are learned, the last one of them, or every token of everything."""


class Fault(StrEnum):
    """What keeps a row from being rendered as it should be."""

    NO_CONVERSATION = "no conversation"
    TEMPLATE_REFUSES = "template refuses"
    NOT_PRESERVED = "not preserved"
    NO_END = "no end"
    END_IN_TEXT = "end in text"
    BORDER_MERGED = "border merged"
    DOUBLE_BEGIN = "double begin"
    NOTHING_TRAINED = "nothing trained"
    TOO_LONG = "too long"


REMEDIES: Mapping[Fault, str] = {
    Fault.NO_CONVERSATION: ROW,
    Fault.TEMPLATE_REFUSES: "leave the row out with `keep`, or give the model another template with `retemplate`",
    Fault.NOT_PRESERVED: "give the model a template that keeps what was said with `retemplate`",
    Fault.NO_END: "give the model a template that writes one with `retemplate`",
    Fault.END_IN_TEXT: "leave the row out with `keep`",
    Fault.NOTHING_TRAINED: "leave the row out with `keep`",
}
"""Where the sentence itself says none."""


@dataclass(frozen=True)
class Problem:
    """Why there are no tokens. `said` is a sentence without a row; `turn` counts from 1."""

    fault: Fault
    said: str
    turn: int | None = None

    @property
    def sentence(self) -> str:
        """What is wrong, and what to do about it."""
        return f"{self.said}: {REMEDIES[self.fault]}" if self.fault in REMEDIES else self.said


@dataclass(frozen=True)
class Rendered:
    """Token ids from the first to the last that bears loss, and for each whether it does."""

    tokens: tuple[int, ...]
    loss_mask: tuple[bool, ...]

    @property
    def trained(self) -> int:
        return sum(self.loss_mask)

    @cached_property
    def border(self) -> int:
        """The first token that bears loss; behind the last where none does."""
        return self.loss_mask.index(True) if True in self.loss_mask else len(self.tokens)

    @property
    def prompt(self) -> tuple[int, ...]:
        """What stands before the first token that bears loss."""
        return self.tokens[: self.border]

    @property
    def learned(self) -> tuple[int, ...]:
        """What follows, to the end."""
        return self.tokens[self.border :]

    @property
    def learned_mask(self) -> tuple[bool, ...]:
        """Which tokens of `learned` bear loss."""
        return self.loss_mask[self.border :]


def render(
    tokenizer: PreTrainedTokenizerBase,
    conversations: Sequence[Conversation | NoConversation],
    mask: Mask = "assistant",
) -> list[Rendered | Problem]:
    """Each conversation's tokens and mask; about 60 microseconds for one exchange. A template is needed for turns."""
    with_turns = [one for one in conversations if isinstance(one, Conversation) and one.text is None]
    plans = [_Plan.of(one, mask) for one in with_turns]
    asked = [request for plan in plans for request in plan.asked]
    texts = iter(apply_template(tokenizer, asked) if asked else ())
    rendered = [[next(texts) for _ in plan.asked] for plan in plans]
    encoded = _Encoded(tokenizer, [text for own in rendered for text in own if isinstance(text, str)])
    readings = iter([_Reading(tokenizer, encoded, *each) for each in zip(plans, rendered, strict=True)])
    return [
        Problem(Fault.NO_CONVERSATION, one.said)
        if isinstance(one, NoConversation)
        else next(readings).rendered()
        if one.text is None
        else _plain_text(tokenizer, one.text)
        for one in conversations
    ]


def render_text(tokenizer: PreTrainedTokenizerBase, text: str) -> Rendered:
    """A text without turns: every token of it bears loss, and the end that it is given; it follows another's end."""
    end = end_token(tokenizer)
    ids = encode(tokenizer, [text])[0]
    begin = [] if ids[:1] == [tokenizer.bos_token_id] else [tokenizer.bos_token_id or end]
    tokens = (*begin, *ids, end)
    return Rendered(tokens, (False, *(True for _ in tokens[1:])))


def refuse_double_begin(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int], what: str) -> Problem | None:
    """A problem if the tokens begin with two beginning-of-sequence tokens."""
    begin = tokenizer.bos_token_id
    if begin is None or list(tokens[:2]) != [begin, begin]:
        return None
    return Problem(
        Fault.DOUBLE_BEGIN,
        f"the prompt {what} is rendered with two beginning-of-sequence tokens {tokenizer.bos_token!r}: "
        "remove one from the chat template",
    )


def _plain_text(tokenizer: PreTrainedTokenizerBase, text: str) -> Rendered | Problem:
    rendered = render_text(tokenizer, text)
    return refuse_double_begin(tokenizer, rendered.tokens, excerpt(text)) or rendered


@dataclass(frozen=True)
class _Plan:
    """Which beginnings of a conversation are asked for: the whole, then two for each turn that bears loss."""

    conversation: Conversation
    mask: Mask
    turns: tuple[int, ...]
    """Positions of the assistant's turns that bear loss."""

    @staticmethod
    def of(conversation: Conversation, mask: Mask) -> _Plan:
        places = range(0 if mask == "all" else conversation.learned, len(conversation.messages))
        turns = tuple(place for place in places if conversation.messages[place]["role"] == "assistant")
        return _Plan(conversation, mask, turns[-1:] if mask == "last" else turns)

    @property
    def asked(self) -> list[Asked]:
        messages, tools = self.conversation.messages, self.conversation.tools
        whole = [Asked(messages, tools=tools)]
        for turn in self.turns:
            whole += [Asked(messages[:turn], header=True, tools=tools), Asked(messages[: turn + 1], tools=tools)]
        return whole


class _Encoded:
    """Texts with their token ids; a text that was not foreseen is encoded when it is asked for."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, TokenIds] = dict(zip(texts, encode(tokenizer, texts), strict=True))

    def __getitem__(self, text: str) -> TokenIds:
        if text not in self._known:
            self._known[text] = encode(self._tokenizer, [text])[0]
        return self._known[text]


@dataclass(frozen=True)
class _Turn:
    """An assistant's turn in the rendered text: where its header ends, and where its own text does."""

    number: int
    header: str
    upto: str


class _Reading:
    """One conversation, its beginnings rendered."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, encoded: _Encoded, plan: _Plan, texts: Sequence[str | Refusal]
    ) -> None:
        self._tokenizer = tokenizer
        self._encoded = encoded
        self._plan = plan
        self._texts = texts

    def rendered(self) -> Rendered | Problem:
        refused = next((text for text in self._texts if isinstance(text, Refusal)), None)
        if refused is not None:
            return Problem(Fault.TEMPLATE_REFUSES, f"the chat template refuses the conversation: {refused.said}")
        whole, *beginnings = (text for text in self._texts if isinstance(text, str))
        headers, wholes = beginnings[::2], beginnings[1::2]
        numbers = (place + 1 for place in self._plan.turns)
        turns = [_Turn(*each) for each in zip(numbers, headers, wholes, strict=True)]
        if not turns:
            return Problem(Fault.NOTHING_TRAINED, "no turn of the assistant is there to learn from")
        return self._unfaithful(whole, turns) or self._tokens(whole, turns)

    def _unfaithful(self, whole: str, turns: Sequence[_Turn]) -> Problem | None:
        """A problem if a beginning of the conversation is not how the conversation begins."""
        for turn in turns:
            if not turn.upto.startswith(turn.header) or not whole.startswith(turn.header):
                later = turn.upto if not turn.upto.startswith(turn.header) else whole
                return Problem(
                    Fault.NOT_PRESERVED,
                    "the chat template renders a prompt differently once it has been answered: "
                    f"{_parting(turn.header, later)}",
                    turn.number,
                )
            if not whole.startswith(turn.upto):
                return Problem(
                    Fault.NOT_PRESERVED,
                    f"the chat template renders turn {turn.number} differently once others follow it: "
                    f"{_parting(turn.upto, whole)}",
                    turn.number,
                )
        return None

    def _tokens(self, whole: str, turns: Sequence[_Turn]) -> Rendered | Problem:
        split = self._split(whole, turns)
        if isinstance(split, Problem):
            return split
        tokens, starts = split
        begun = refuse_double_begin(self._tokenizer, tokens, excerpt(turns[0].header))
        if begun is not None:
            return begun
        end = end_token(self._tokenizer)
        borne = [False] * len(tokens)
        stop = 0
        for turn, start in zip(turns, starts, strict=True):
            ends = self._encoded[turn.upto].count(end) - self._encoded[turn.header].count(end)
            if ends != 1 or end not in tokens[start:]:
                return self._without_one_end(turn, ends)
            stop = tokens.index(end, start) + 1
            borne[start:stop] = [True] * (stop - start)
        if self._plan.mask == "all":
            if self._plan.conversation.messages[-1]["role"] != "assistant":
                stop = len(tokens)
            borne = [False, *(True for _ in tokens[1:])]
        return Rendered(tuple(tokens[:stop]), tuple(borne[:stop]))

    def _split(self, whole: str, turns: Sequence[_Turn]) -> tuple[TokenIds, list[int]] | Problem:
        """The whole's tokens, and at which of them each turn's own begin.

        Where tokens merge across that border (a header that ends in a line feed and a response that begins with one),
        the response is tokenized apart: an engine, too, continues from the prompt's own tokens.
        """
        tokens = list(self._encoded[whole])
        starts: list[int] = []
        text_done, done = 0, 0
        for turn in turns:
            before = tokens[:done] + self._encoded[turn.header[text_done:]]
            if tokens[: len(before)] != before:
                tokens = before + self._encoded[whole[len(turn.header) :]]
                if self._tokenizer.decode(tokens) != self._tokenizer.decode(self._encoded[whole]):
                    return Problem(
                        Fault.BORDER_MERGED,
                        f"the tokenizer joins the end of the rendered prompt {excerpt(turn.header)} with the "
                        "response's beginning: let the template's header for the assistant end in a special token",
                        turn.number,
                    )
                text_done, done = len(turn.header), len(before)
            starts.append(len(before))
        return tokens, starts

    def _without_one_end(self, turn: _Turn, ends: int) -> Problem:
        answered = excerpt(turn.header)
        name = repr(self._tokenizer.eos_token)
        if ends > 1:
            said = f"the response to {answered} holds the end-of-sequence token {name} in its text"
            return Problem(Fault.END_IN_TEXT, said, turn.number)
        return Problem(
            Fault.NO_END,
            f"the chat template writes no end-of-sequence token {name} after a response "
            f"(prompt {answered}): a model trained on it never stops",
            turn.number,
        )


def _parting(beginning: str, whole: str) -> str:
    """Where two texts part that should be one and its beginning."""
    shortest = min(len(beginning), len(whole))
    place = next((place for place in range(shortest) if beginning[place] != whole[place]), shortest)
    place = max(0, place - 20)
    return f"{excerpt(beginning[place:])} becomes {excerpt(whole[place:])}"


def roles(tokenizer: PreTrainedTokenizerBase, one: Conversation, rendered: Rendered) -> Mapping[str, tuple[int, int]]:
    """By role: how many of its tokens bear loss, and how many it has.

    Each turn's tokens are what the rendered beginning of the conversation gains by it; a beginning that the template
    refuses (a system turn alone) counts with the turn behind it.
    """
    counted: dict[str, tuple[int, int]] = {}
    start = 0
    for place, message in enumerate(one.messages, start=1):
        text = apply_template(tokenizer, [Asked(one.messages[:place], tools=one.tools)])[0]
        if isinstance(text, Refusal):
            continue
        stop = min(len(encode(tokenizer, [text])[0]), len(rendered.tokens))
        trained, total = counted.get(message["role"], (0, 0))
        own = rendered.loss_mask[start:stop]
        counted[message["role"]] = (trained + sum(own), total + len(own))
        start = max(start, stop)
    return counted
