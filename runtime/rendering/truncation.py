"""Making a conversation shorter: content goes, never a token of the template, never the end of a turn.

The shortened conversation is rendered anew, so that its headers and ends are whole by construction. `left` cuts what
was said first, up to the turn that is answered last; `right` cuts answers from their end. Both sides of a pair lose the
same: the same beginning of their common prompt, or everything behind the same number of characters of the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from ptc.runtime.rendering.conversations import Conversation, content_text
from ptc.runtime.rendering.template import Message

Truncate = Literal["error", "drop", "left", "right", "split"]
"""What happens to a row that is longer than a stage's `max_length`."""
Side = Literal["left", "right"]


def shortened(
    sides: Sequence[Conversation], side: Side, fits: Callable[[Sequence[Conversation]], bool]
) -> tuple[Conversation, ...] | None:
    """The conversations with as much content as fits; None if even the least does not. `fits` is monotone."""
    most = max(len(_cuttable(one, side)) for one in sides)
    least = 1
    if most < least or not fits(_kept(sides, side, least)):
        return None
    while least < most:
        middle = (least + most + 1) // 2
        if fits(_kept(sides, side, middle)):
            least = middle
        else:
            most = middle - 1
    return _kept(sides, side, least)


def split(one: Conversation, fits: Callable[[Sequence[Conversation]], bool]) -> tuple[Conversation, ...] | None:
    """Consecutive conversations that fit, cut between exchanges, the system's turn in each; None if one exchange is
    too long by itself."""
    system, exchanges = _exchanges(one)
    pieces: list[Conversation] = []
    held: list[Message] = []
    for exchange in exchanges:
        if held and not fits([_piece(one, system, [*held, *exchange])]):
            pieces.append(_piece(one, system, held))
            held = []
        held += exchange
        if not fits([_piece(one, system, held)]):
            return None
    return (*pieces, _piece(one, system, held))


def _piece(one: Conversation, system: Sequence[Message], turns: Sequence[Message]) -> Conversation:
    return replace(one, messages=(*system, *turns))


def _exchanges(one: Conversation) -> tuple[list[Message], list[list[Message]]]:
    """The system's turn, and the rest cut before each user's turn; what is only context stays with what is learned."""
    system = [turn for turn in one.messages[:1] if turn["role"] == "system"]
    exchanges: list[list[Message]] = []
    for place, turn in enumerate(one.messages[len(system) :], start=len(system)):
        if not exchanges or (turn["role"] == "user" and place > one.learned):
            exchanges.append([])
        exchanges[-1].append(turn)
    return system, exchanges


# Cutting --------------------------------------------------------------------------------------------------------------


def _kept(sides: Sequence[Conversation], side: Side, count: int) -> tuple[Conversation, ...]:
    return tuple(_ending(one, count) if side == "left" else _beginning(one, count) for one in sides)


def _border(one: Conversation, side: Side) -> int:
    """The first turn that `left` must keep, or that `right` may cut."""
    if one.learned:
        return one.learned
    answers = [place for place, turn in enumerate(one.messages) if turn["role"] == "assistant"]
    return answers[-1 if side == "left" else 0]


def _cuttable(one: Conversation, side: Side) -> str:
    if one.text is not None:
        return one.text
    border = _border(one, side)
    turns = one.messages[:border] if side == "left" else one.messages[border:]
    return "".join(content_text(turn) for turn in turns if turn["role"] != "system")


def _ending(one: Conversation, count: int) -> Conversation:
    """The last `count` characters before the last answer, from the beginning of a user's words on, and that answer."""
    if one.text is not None:
        return replace(one, text=one.text[-count:])
    border = _border(one, "left")
    kept: list[Message] = []
    for turn in reversed(one.messages[:border]):
        text = content_text(turn)
        if turn["role"] == "system":
            kept.insert(0, turn)
        elif count > 0:
            kept.insert(0, turn if len(text) <= count else {**turn, "content": text[-count:]})
            count -= len(text)
    if kept != list(one.messages[:border]):
        kept = _from_a_user(kept)
    return replace(one, messages=(*kept, *one.messages[border:]), learned=len(kept) if one.learned else 0)


def _from_a_user(turns: Sequence[Message]) -> list[Message]:
    """Without the answers that nobody asked for any more, once what was asked has been cut away."""
    system = [turn for turn in turns if turn["role"] == "system"]
    rest = turns[len(system) :]
    first = next((place for place, turn in enumerate(rest) if turn["role"] == "user"), 0)
    return [*system, *rest[first:]]


def _beginning(one: Conversation, count: int) -> Conversation:
    """What was asked first, and the first `count` characters of what follows, up to the end of an answer."""
    if one.text is not None:
        return replace(one, text=one.text[:count])
    border = _border(one, "right")
    kept = list(one.messages[:border])
    for turn in one.messages[border:]:
        text = content_text(turn)
        if count <= 0:
            break
        kept.append(turn if len(text) <= count else {**turn, "content": text[:count]})
        count -= len(text)
    while kept[-1]["role"] != "assistant":
        kept.pop()
    return replace(one, messages=tuple(kept))
