"""What a row says, as turns: the dataset conventions of the field, read in one place.

A prompt and a completion are a text or a list of messages; `messages` holds both; `chosen` and `rejected` may bring
their prompt along, as what both begin with. Which part is learned is a position: the turns before it are context.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import commonprefix
from typing import Any

from ptc.runtime.rendering.template import Message

Row = Mapping[str, Any]
SIDES = ("chosen", "rejected")
HUMAN, ASSISTANT = "\n\nHuman:", "\n\nAssistant:"
"""How Anthropic's dialogues are written, and the many sets after their pattern."""


@dataclass(frozen=True)
class Conversation:
    """Turns, of which those from position `learned` on are learned. A text without turns has `text` and no messages."""

    messages: tuple[Message, ...]
    learned: int = 0
    tools: tuple[Mapping[str, Any], ...] = ()
    text: str | None = None

    @property
    def prompt(self) -> tuple[Message, ...]:
        return self.messages[: self.learned]


@dataclass(frozen=True)
class NoConversation:
    """A row of which nothing can be made; `said` completes "row 7 …"."""

    said: str


def conversation(row: Row, column: str) -> Conversation | NoConversation:
    """The conversation whose learned part is `response`, `chosen`, `rejected` or `text`."""
    if column == "text":
        text = row.get("text")
        return Conversation((), text=text) if isinstance(text, str) else _not_text("text", text)
    if column in SIDES:
        return pair(row)[SIDES.index(column)]
    found = response_of(row)
    if found is None and row.get("messages") is not None:
        turns = _turns(row["messages"], "assistant", "messages")
        if isinstance(turns, NoConversation):
            return turns
        return Conversation(_with_system(row, turns), 0, tools_of(row))
    return _joined(prompt_turns(row), _turns(found, "assistant", "response"), row)


def pair(row: Row) -> tuple[Conversation | NoConversation, Conversation | NoConversation]:
    """Both sides of a preference. Without a prompt of its own, the row's prompt is what its two sides begin with."""
    if row.get("prompt") is not None:
        prompt = prompt_turns(row)
        answers = [_turns(row.get(side), "assistant", side) for side in SIDES]
        return _joined(prompt, answers[0], row), _joined(prompt, answers[1], row)
    chosen, rejected = (_whole(row.get(side)) for side in SIDES)
    if isinstance(chosen, str) and isinstance(rejected, str):
        return _split(chosen, rejected)
    sides = [_turns(side, "assistant", name) for side, name in zip((chosen, rejected), SIDES, strict=True)]
    broken = next((side for side in sides if isinstance(side, NoConversation)), None)
    if broken is not None:
        return broken, broken
    first, second = (_with_system(row, side) for side in sides if isinstance(side, tuple))
    shared = _shared(first, second)
    if shared == 0:
        return _NO_PROMPT, _NO_PROMPT
    return Conversation(first, shared, tools_of(row)), Conversation(second, shared, tools_of(row))


def response_of(row: Row) -> Any:
    """The response under either of its names."""
    return row["response"] if row.get("response") is not None else row.get("completion")


def prompt_text(row: Row) -> str | None:
    """What a model is asked in this row, as one text: for comparing prompts, not for rendering."""
    prompt = row.get("prompt")
    if isinstance(prompt, str):
        return prompt
    if prompt is None and row.get("messages") is not None:
        turns = _turns(row["messages"], "assistant", "messages")
        return None if isinstance(turns, NoConversation) else spoken(asked(turns))
    if prompt is None and row.get("chosen") is not None:
        side = pair(row)[0]
        return spoken(side.prompt) if isinstance(side, Conversation) else None
    turns = _turns(prompt, "user", "prompt")
    return None if isinstance(turns, NoConversation) else spoken(turns)


def asked(turns: Sequence[Message]) -> Sequence[Message]:
    """What a conversation asks: everything before the answer that it ends with, if it does."""
    return turns[:-1] if turns and turns[-1].get("role") == "assistant" else turns


def spoken(turns: Sequence[Message]) -> str:
    """What was said in some turns, without who said it; what a system turn sets is not said."""
    return "\n\n".join(content_text(turn) for turn in turns if turn["role"] != "system")


def content_text(turn: Message) -> str:
    """The text of a turn, whose content may be a list of parts."""
    content = turn.get("content")
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text") or "") for part in content or () if isinstance(part, Mapping))


def tools_of(row: Row) -> tuple[Mapping[str, Any], ...]:
    """The tools that a row declares: a list, or the JSON of one."""
    tools = row.get("tools")
    if isinstance(tools, str):
        tools = json.loads(tools) if tools.strip() else None
    return tuple(_plain(tool) for tool in tools or ())


def transcript(text: str) -> tuple[Message, ...] | None:
    """The turns of a text that alternates ``Human:`` and ``Assistant:``; None for any other text."""
    if not text.startswith(HUMAN) or ASSISTANT not in text:
        return None
    turns = []
    for exchange in text.split(HUMAN)[1:]:
        human, *answers = exchange.split(ASSISTANT)
        turns.append({"role": "user", "content": human.strip()})
        turns += [{"role": "assistant", "content": answer.strip()} for answer in answers]
    return tuple(turns)


def prompt_turns(row: Row) -> tuple[Message, ...] | NoConversation:
    """The turns of a row's prompt: the system's, where the row has a column `system`, and what is asked."""
    turns = _turns(row.get("prompt"), "user", "prompt")
    return turns if isinstance(turns, NoConversation) else _with_system(row, turns)


# From the values of a row ---------------------------------------------------------------------------------------------


def _with_system(row: Row, turns: tuple[Message, ...]) -> tuple[Message, ...]:
    """With the system turn that a row's column sets, unless the turns begin with one."""
    system = row.get("system")
    if not isinstance(system, str) or turns[0]["role"] == "system":
        return turns
    return ({"role": "system", "content": system}, *turns)


def _joined(
    prompt: tuple[Message, ...] | NoConversation, answer: tuple[Message, ...] | NoConversation, row: Row
) -> Conversation | NoConversation:
    if isinstance(prompt, NoConversation):
        return prompt
    if isinstance(answer, NoConversation):
        return answer
    if len(answer) > len(prompt) and answer[: len(prompt)] == prompt:  # an answer that repeats what was asked
        answer = answer[len(prompt) :]
    return Conversation((*prompt, *answer), len(prompt), tools_of(row))


def _turns(value: Any, role: str, column: str) -> tuple[Message, ...] | NoConversation:
    """A text is one turn of `role`; a list of messages is what it is."""
    if isinstance(value, str):
        return ({"role": role, "content": value},)
    if not isinstance(value, Sequence) or not value:
        return _not_text(column, value)
    turns = []
    for place, message in enumerate(value, start=1):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            return NoConversation(f"has no `role` in message {place} of `.{column}`")
        turn = _plain(message)
        if not _has_text(turn):
            return NoConversation(f"has no text in message {place} of `.{column}` (role {turn['role']})")
        turns.append(turn)
    return tuple(turns)


def _has_text(turn: Message) -> bool:
    content = turn.get("content")
    if isinstance(content, list):
        return bool(content) and all(isinstance(part, dict) and part.get("type") == "text" for part in content)
    return isinstance(content, str) or bool(turn.get("tool_calls"))


def _plain(value: Any) -> Any:
    """Without what columnar files add: a field that is null in this message, because another message has it."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items() if item is not None or name == "content"}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _not_text(column: str, value: Any) -> NoConversation:
    return NoConversation(f"has {value!r:.60} for `.{column}`, where the objective needs a text")


_NO_PROMPT = NoConversation("has no `prompt`, and its `chosen` and `rejected` do not begin alike")


def _whole(value: Any) -> Any:
    """A side that brings its own prompt: messages, the turns of a transcript, or one text."""
    return (transcript(value) or value) if isinstance(value, str) else value


def _shared(chosen: Sequence[Message], rejected: Sequence[Message]) -> int:
    """How many turns both begin with; a turn of each remains to be learned."""
    shortest = min(len(chosen), len(rejected)) - 1
    pairs = zip(chosen[:shortest], rejected[:shortest], strict=True)
    return next((place for place, (one, other) in enumerate(pairs) if one != other), shortest)


def _split(chosen: str, rejected: str) -> tuple[Conversation | NoConversation, Conversation | NoConversation]:
    """Two texts: what both begin with, up to the last blank, was asked; the rest of each is an answer."""
    alike = commonprefix([chosen, rejected])  # noqa: RUF071 - of texts, character by character
    border = max(alike.rfind(" "), alike.rfind("\n")) + 1
    asked = alike[:border].rstrip()
    if not asked:
        return _NO_PROMPT, _NO_PROMPT
    prompt = {"role": "user", "content": asked}
    first, second = (
        Conversation((prompt, {"role": "assistant", "content": side[border:]}), 1) for side in (chosen, rejected)
    )
    return first, second
