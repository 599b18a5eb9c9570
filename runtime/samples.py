"""Rows of an artifact, or of a live source, become samples: the token ids and numbers that a loss reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from ptc.runtime.artifacts import InputWrong
from ptc.runtime.batches import Sample, TokenIds, reading
from ptc.runtime.choosing import counts
from ptc.runtime.guidance import BEGUN
from ptc.runtime.losses.needs import Needs
from ptc.runtime.remedies import ROW
from ptc.runtime.rendering.context import prompts_behind
from ptc.runtime.rendering.conversations import Conversation, conversation, prompt_text
from ptc.runtime.rendering.meeting import Met, Reader, alike, met, unread
from ptc.runtime.rendering.rows import Counts, Rendering
from ptc.runtime.rendering.steps import ends_of_steps, step_of_tokens
from ptc.runtime.rendering.tables import all_borne, learned_records, records, rendered_rows
from ptc.runtime.rendering.turns import Fault, Problem, Rendered
from ptc.runtime.row_numbers import agree, lists_of_numbers, numbers
from ptc.runtime.tables import column, with_columns

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BETWEEN_STEPS = "\n"
"""What stands between the steps of a row that brings steps and no response."""
Part = Mapping[str, Rendered]
"""By text: what becomes of a row, or of a part of it."""
ALONE: Mapping[str, Reader] = {}
"""No model reads with a tokenizer of its own."""


LIVE = "$live"
"""Marks the rows that a stage samples itself, with the tokens of the model that learns."""


def drawn(
    rows: pa.Table,
    needs: Needs,
    tokenizer: PreTrainedTokenizerBase,
    rendering: Rendering,
    readers: Mapping[str, Reader] = ALONE,
) -> list[list[Sample]]:
    """The samples of each row of a live draw: those that were sampled for it with the very tokens that the engine read
    and wrote, what has been joined or mixed with them as `tokenised` has it."""
    if not rows.num_rows:
        return []
    live = [mark is True for mark in column(rows, LIVE)] if LIVE in rows.column_names else [False] * rows.num_rows
    if all(live):
        return [[sample] for sample in sampled(rows, needs, tokenizer, readers)]
    own = iter(sampled(rows.filter(pa.array(live)), needs, tokenizer, readers) if any(live) else ())
    others = iter(tokenised(rows.filter(pa.array([not one for one in live])), needs, tokenizer, rendering, readers)[0])
    return [[next(own)] if one else next(others) for one in live]


def sampled(
    rows: pa.Table, needs: Needs, tokenizer: PreTrainedTokenizerBase, readers: Mapping[str, Reader] = ALONE
) -> list[Sample]:
    """One sample per row of completions, or of pairs of them, with the very tokens that the engine read and wrote."""
    written = {text: column(rows, f"{'response' if text == 'steps' else text}_tokens") for text in needs.texts}
    rendered = [
        [{text: all_borne(prompt, ids[row]) for text, ids in written.items()}]
        for row, prompt in enumerate(column(rows, "prompt_tokens"))
    ]
    return [
        sample
        for samples in _Rows(rows, needs, tokenizer, Rendering(), readers).samples(rendered)
        for sample in samples
    ]


def tokenised(
    rows: pa.Table,
    needs: Needs,
    tokenizer: PreTrainedTokenizerBase,
    rendering: Rendering,
    readers: Mapping[str, Reader] = ALONE,
) -> tuple[list[list[Sample]], Counts]:
    """The samples of each row of texts or messages: one, several where it was split, none where it was dropped.

    A row that an engine wrote keeps its tokens where this tokenizer reads them alike: text does not tell how it was
    tokenised, nor that it was cut off. Raises `InputWrong` for rows on which the loss cannot be computed.
    """
    rows = _with_response(rows) if "steps" in needs.texts else rows
    written = {text: "response" if text == "steps" else text for text in needs.texts}
    columns = sorted(set(written.values()))
    rendered = rendered_rows(rows, columns, tokenizer, rendering, aligned=bool(needs.token_numbers))
    for row, one in enumerate(rendered, start=1):
        if one.problem is not None:
            raise InputWrong(_refusal(one.problem, row, rows))
    parts = [[{text: part[name] for text, name in written.items()} for part in one.parts] for one in rendered]
    return _Rows(rows, needs, tokenizer, rendering, readers).samples(parts), Counts.of(rendered)


def refuse_unreadable(rows: pa.Table, needs: Needs, tokenizer: PreTrainedTokenizerBase, rendering: Rendering) -> None:
    """Raises `InputWrong`, before anything is sampled, for rows that a live source brings along and nobody could learn
    from."""
    columns = sorted({"response" if text == "steps" else text for text in needs.texts} & set(rows.column_names))
    for row, one in enumerate(rendered_rows(rows, columns, tokenizer, rendering) if columns else (), start=1):
        if one.problem is not None:
            raise InputWrong(_refusal(one.problem, row, rows))


def by_prompt(rows: pa.Table) -> list[list[int]]:
    """The rows of each prompt: of each `group`, or of each text; a row that asks nothing stands for itself."""
    groups: dict[object, list[int]] = {}
    for row, key in enumerate(prompt_keys(rows)):
        groups.setdefault(row if key is None else key, []).append(row)
    return list(groups.values())


def prompt_keys(rows: pa.Table) -> list[object]:
    """What tells the prompts of rows apart: their `group`, or in a source without groups what they ask."""
    grouped = "group" in rows.column_names
    return column(rows, "group") if grouped else [prompt_text(record) for record in records(rows)]


class _Rows:
    """Rows on their way to samples."""

    def __init__(
        self,
        rows: pa.Table,
        needs: Needs,
        tokenizer: PreTrainedTokenizerBase,
        rendering: Rendering,
        readers: Mapping[str, Reader],
    ) -> None:
        self._needs = needs
        self._tokenizer = tokenizer
        self._rendering = rendering
        self._readers = readers
        self._alike = {model for _, model in needs.translated if readers[model].reads_as(tokenizer)}
        self._said = learned_records(rows) if needs.translated else []
        self._begun = column(rows, BEGUN) if BEGUN in rows.column_names else [None] * rows.num_rows
        self._learned = counts(rows)
        self._records = records(rows)
        self._contexts = {context: column(rows, context) for _, context in needs.given}
        self._steps: list[list[str]] = _steps(rows) if needs.stepped else [[] for _ in self._records]
        self._numbers = {name: numbers(rows, name, name in needs.conditions) for name in sorted(needs.numbers)}
        self._of_tokens = {name: lists_of_numbers(rows, name, False) for name in sorted(needs.token_numbers)}
        self._of_steps = {
            name: lists_of_numbers(rows, name, name in needs.conditions) for name in sorted(needs.step_numbers)
        }

    def samples(self, rendered: Sequence[Sequence[Part]]) -> list[list[Sample]]:
        """The samples of each row; what else the loss reads of a row is the same for all of its parts."""
        return [[self._sample(row, part) for part in parts] for row, parts in enumerate(rendered)]

    def _sample(self, row: int, part: Part) -> Sample:
        of_steps = {name: values[row] for name, values in self._of_steps.items()}
        for name, own in of_steps.items():
            agree(row + 1, name, len(own), len(self._steps[row]), "steps")
        read: dict[str, tuple[TokenIds, TokenIds]] = {text: (one.prompt, one.learned) for text, one in part.items()}
        masks = {text: self._mask(one, row) for text, one in part.items()}
        for text, context in self._needs.given:
            read[reading(text, context)] = (self._behind(row, text, context, part[text]), part[text].learned)
            masks[reading(text, context)] = masks[text]
        translated = {
            reading(text, tokenizer=model): self._translated(row, text, model, part[text])
            for text, model in self._needs.translated
        }
        read |= {name: (one.rendered.prompt, one.rendered.learned) for name, one in translated.items()}
        masks |= {name: one.rendered.learned_mask for name, one in translated.items()}
        steps = {text: self._step_of_tokens(row, ids) for text, (_, ids) in read.items() if self._stepped(text)}
        return Sample(
            sequences=read,
            numbers={name: values[row] for name, values in self._numbers.items()},
            token_numbers={name: self._of_each_token(name, row, part) for name in self._of_tokens},
            masks={name: mask for name, mask in masks.items() if not all(mask)},
            step_numbers=of_steps,
            steps=steps,
            ends={name: self._ends(row, name, *read[name], steps) for name in self._needs.scored},
            met={name: one.places for name, one in translated.items()},
        )

    def _mask(self, one: Rendered, row: int) -> Sequence[bool]:
        """Which tokens behind the prompt bear loss: none of a row that counts and is not learned from."""
        return one.learned_mask if self._learned[row] else [False] * len(one.learned_mask)

    def _of_each_token(self, name: str, row: int, part: Part) -> Sequence[float]:
        values = self._of_tokens[name][row]
        agree(row + 1, name, len(values), len(part["response"].learned), "tokens of its response")
        return values if self._learned[row] else ()

    # Steps ------------------------------------------------------------------------------------------------------------

    def _stepped(self, text: str) -> bool:
        own = text not in {reading(name, tokenizer=model) for name, model in self._needs.translated}
        return own and self._needs.stepped and text.split(" ")[0] in ("response", "steps")

    def _step_of_tokens(self, row: int, ids: TokenIds) -> list[int]:
        steps = self._steps[row]
        found = step_of_tokens(self._tokenizer, ids, steps)
        if isinstance(found, int):
            raise InputWrong(
                f"row {row + 1}: step {found + 1} ({steps[found]!r:.60}) does not stand in its response behind the one "
                "before: make the steps of the response with `split_steps`, and leave out rows that are cut"
            )
        return found

    def _ends(
        self, row: int, name: str, prompt: TokenIds, ids: TokenIds, steps: Mapping[str, Sequence[int]]
    ) -> list[int]:
        """Where a reward head is asked: at the last token of each step, or of the text."""
        if name.split(" ")[0] != "steps":
            return [len(prompt) + len(ids) - 1]
        return [len(prompt) + place for place in ends_of_steps(steps[name], len(self._steps[row]))]

    # Contexts ---------------------------------------------------------------------------------------------------------

    def _behind(self, row: int, text: str, context: str, one: Rendered) -> TokenIds:
        """The tokens of what a row asks, behind its context: what follows them is the response, token by token."""
        asked = conversation(self._records[row], "response" if text == "steps" else text)
        given = self._contexts[context][row]
        if not isinstance(given, str | list):
            raise InputWrong(
                f"row {row + 1} has {given!r:.60} for `.{context}`, where the objective needs a text: {ROW}"
            )
        assert isinstance(asked, Conversation)
        plain, behind = prompts_behind(self._tokenizer, [asked, asked], ["", given])
        if isinstance(behind, str):
            raise InputWrong(
                f"row {row + 1}: the chat template refuses the prompt behind `.{context}` ({behind}): {ROW}"
            )
        if list(one.prompt) != plain:
            raise InputWrong(
                f"row {row + 1}: what is learned begins elsewhere than behind its prompt, so that it cannot be read "
                f'behind `.{context}` as well: use mask = "assistant", and rows whose prompt is not cut'
            )
        limit = self._rendering.max_length
        if limit is not None and len(behind) + len(one.learned) > limit:
            raise InputWrong(
                f"row {row + 1} has {len(behind) + len(one.learned)} tokens behind `.{context}`, more than max_length "
                f"= {limit}: raise max_length, or keep shorter rows"
            )
        return behind

    # Other tokenizers -------------------------------------------------------------------------------------------------

    def _translated(self, row: int, text: str, model: str, one: Rendered) -> Met:
        """A text in the tokens of another model."""
        if not self._learned[row]:
            return unread(one)
        if model in self._alike:
            return alike(one)
        asked = conversation(self._said[row], "response" if text == "steps" else text)
        assert isinstance(asked, Conversation)
        begun = len(self._begun[row] or ())
        own = begun if one.prompt[len(one.prompt) - begun :] == tuple(self._begun[row] or ()) else 0
        try:
            return met(self._readers[model], self._tokenizer, one, asked, self._rendering.mask, own)
        except InputWrong as problem:
            raise InputWrong(f"row {row + 1}: {problem}") from None


def _steps(rows: pa.Table) -> list[list[str]]:
    found: list[list[str]] = column(rows, "steps")
    for row, steps in enumerate(found, start=1):
        if not isinstance(steps, list) or not all(isinstance(step, str) for step in steps):
            raise InputWrong(
                f"row {row} has {steps!r:.60} for `.steps`, where the objective needs a list of texts: {ROW}"
            )
    return found


def _with_response(rows: pa.Table) -> pa.Table:
    """The rows with the response that their steps make up, where they do not bring the one that was cut into them."""
    if {"response", "completion", "messages"} & set(rows.column_names):
        return rows
    return with_columns(rows, {"response": [BETWEEN_STEPS.join(steps) for steps in _steps(rows)]})


def _refusal(problem: Problem, row: int, rows: pa.Table) -> str:
    if problem.fault is Fault.NO_CONVERSATION:
        return f"row {row} {problem.sentence}"
    asked = repr(column(rows, "prompt")[row - 1]) if "prompt" in rows.column_names else ""
    prompt = f" (prompt {asked if len(asked) <= 62 else asked[:61] + '…'})" if asked else ""
    if problem.fault is Fault.TOO_LONG:
        return f"row {row} {problem.sentence}{prompt}"
    return f"row {row}: {problem.sentence}"
