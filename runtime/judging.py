"""Models that judge: a reward model gives each text a number, a language model grades it by a rubric or compares two.

Both read a row through their own tokenizer and chat template. A grade that cannot be read is no grade: nothing is said
of that response, and it is counted.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from ptc.compiler.graph import Json
from ptc.runtime import costs
from ptc.runtime.artifacts import InputWrong
from ptc.runtime.engines.protocol import Engine, Request, Sampling
from ptc.runtime.render import render_prompts
from ptc.runtime.rendering.conversations import content_text, conversation, prompt_text
from ptc.runtime.rendering.steps import ends_of_steps, step_of_tokens
from ptc.runtime.rendering.tables import records
from ptc.runtime.rendering.template import decode_all
from ptc.runtime.rendering.turns import Problem, render
from ptc.runtime.tables import column
from ptc.stdlib.verifiers import Graded, Refused, Verdict

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

GRADE_TOKENS = 512
"""The most that a judge may write before its grade is due; fewer where its context is short."""
SHORTEST_GRADE = 8
"""Tokens without which no grade can be written."""
TOKENS_AT_ONCE = 1 << 14
"""Padded tokens that a reward model reads at a time."""


@dataclass(frozen=True)
class Weights:
    """A model that judges, with its tokenizer. What it is asked for is opened when it is first needed."""

    name: str
    tokenizer: PreTrainedTokenizerBase
    context: int
    """Tokens that fit into it."""
    engine: Callable[[int], Engine]
    """Of a language model, with the weights behind so many updates."""
    module: Callable[[], PreTrainedModel]
    """Of a reward model, as it is now."""


Judges = Callable[[str], Weights]
"""The models that judge, by the name under which a node or a step has them."""


class RewardModel:
    """A model that ends in one number per text, read at the text's last token."""

    inline = False

    def __init__(self, weights: Weights) -> None:
        self._weights = weights

    @property
    def name(self) -> str:
        return "reward_model"

    def __call__(self, rows: pa.Table, step: int) -> list[Verdict]:
        rendered = render(self._weights.tokenizer, [conversation(row, "response") for row in records(rows)], "last")
        verdicts: list[Verdict] = [
            Refused(one.said)
            if isinstance(one, Problem)
            else Refused(f"it has {len(one.tokens)} tokens, more than fit into the reward model")
            if len(one.tokens) > self._weights.context
            else Graded(0.0)
            for one in rendered
        ]
        texts = {row: one.tokens for row, one in enumerate(rendered) if isinstance(verdicts[row], Graded)}  # type: ignore[union-attr]
        scores = text_scores(self._weights.module(), list(texts.values()))
        for row, score in zip(texts, scores, strict=True):
            verdicts[row] = Graded(score)
        return verdicts

    def steps(self, rows: pa.Table) -> list[list[float]] | None:
        """What the model says at the last token of each step, where the rows have `steps`."""
        if "steps" not in rows.column_names:
            return None
        rendered = render(self._weights.tokenizer, [conversation(row, "response") for row in records(rows)], "last")
        found: list[list[float]] = []
        for row, (one, steps) in enumerate(zip(rendered, column(rows, "steps"), strict=True)):
            if isinstance(one, Problem) or len(one.tokens) > self._weights.context:
                found.append([0.0] * len(steps))  # such a row has no reward either, and is left out
                continue
            told_apart = step_of_tokens(self._weights.tokenizer, one.learned, steps)
            if isinstance(told_apart, int):
                raise InputWrong(
                    f"row {row + 1}: step {told_apart + 1} does not stand in its response: make the steps of the "
                    "response with `split_steps`"
                )
            ends = ends_of_steps(told_apart, len(steps))
            beginnings = [one.tokens[: len(one.prompt) + end + 1] for end in ends]
            found.append(text_scores(self._weights.module(), beginnings))
        return found

    def close(self) -> None:
        """Whoever gave the weights closes them."""


def text_scores(model: PreTrainedModel, texts: Sequence[Sequence[int]]) -> list[float]:
    """The number that a model with a reward head gives each sequence of tokens, at its last one."""
    import torch

    from ptc.runtime.adapters import answering
    from ptc.runtime.arithmetic import arithmetic_of

    costs.read(arithmetic_of(model), list(map(len, texts)))
    scores = [0.0] * len(texts)
    with answering(model) as plain, torch.inference_mode():
        training = plain.training
        plain.train(False)
        try:
            for some in _batches(texts):
                for index, score in zip(some, _scored(plain, [texts[index] for index in some]), strict=True):
                    scores[index] = score
        finally:
            plain.train(training)
    return scores


def _scored(model: PreTrainedModel, texts: Sequence[Sequence[int]]) -> list[float]:
    """Padded on the right, where causal attention does not look."""
    import torch

    head = getattr(model, "score", None)
    if not isinstance(head, torch.nn.Module):
        raise InputWrong(
            f"{type(model).__name__} gives no score: name a reward model, which ends in one number per text"
        )
    longest = max(map(len, texts))
    tokens = torch.tensor([[*text, *[0] * (longest - len(text))] for text in texts], device=model.device)
    hidden = model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
    last = torch.tensor([len(text) - 1 for text in texts], device=model.device)
    found = head(hidden[torch.arange(len(texts), device=model.device), last])
    if found.shape[-1] != 1:
        raise InputWrong(
            f"{type(model).__name__} gives {found.shape[-1]} numbers per text: name a reward model, which gives one"
        )
    scores: list[float] = found.squeeze(-1).float().tolist()
    return scores


def _batches(texts: Sequence[Sequence[int]]) -> list[list[int]]:
    batches: list[list[int]] = []
    for index in sorted(range(len(texts)), key=lambda index: len(texts[index])):
        if not batches or (len(batches[-1]) + 1) * len(texts[index]) > TOKENS_AT_ONCE:
            batches.append([])
        batches[-1].append(index)
    return batches


class Grader:
    """A language model that grades each response by a rubric, greedily."""

    inline = False

    def __init__(self, weights: Weights, options: Mapping[str, Json]) -> None:
        self._weights = weights
        self._rubric: str = options["rubric"]
        self._least, self._most = float(options["min"]), float(options["max"])

    @property
    def name(self) -> str:
        return "judge"

    def __call__(self, rows: pa.Table, step: int) -> list[Verdict]:
        asked = [self._asked(question, response) for question, response in _exchanges(rows)]
        return [self._verdict(said) for said in answers(self._weights, asked, step)]

    def steps(self, rows: pa.Table) -> None:
        """A judge grades a response as a whole."""

    def close(self) -> None:
        """Whoever gave the weights closes them."""

    def _asked(self, question: str, response: str) -> str:
        return (
            f"{self._rubric.strip()}\n\n[Question]\n{question}\n\n[Response]\n{response}\n\n[Grade]\n"
            f"Grade the response with a number from {self._least:g} (worst) to {self._most:g} (best). "
            "End with a line of its own: Grade: NUMBER"
        )

    def _verdict(self, said: str | None) -> Verdict:
        if said is None:
            return Refused("question and response do not fit into the judge")
        grade = number_in(said)
        if grade is None:
            return Refused("the judge gave no grade")
        if not self._least <= grade <= self._most:
            return Refused(f"the judge gave {grade:g}, outside of its range")
        return Graded(grade)


def compare(weights: Weights, rubric: str, rows: pa.Table, others: Sequence[str], step: int = 0) -> list[float | None]:
    """How far each row's response is better than the other one, as a language model sees it: 1, 0, or ½ for a tie.

    It is asked twice, each response being first once. Who prefers what stands first prefers nothing: that is a tie.
    None where an answer of the two cannot be read.
    """
    pairs = list(zip(_exchanges(rows), others, strict=True))
    asked = [_comparison(rubric, question, response, other) for (question, response), other in pairs]
    asked += [_comparison(rubric, question, other, response) for (question, response), other in pairs]
    said = [_preferred(answer) for answer in answers(weights, asked, step)]
    halves = zip(said[: len(pairs)], said[len(pairs) :], strict=True)
    return [None if first is None or second is None else (first + 1 - second) / 2 for first, second in halves]


def _comparison(rubric: str, question: str, first: str, second: str) -> str:
    return (
        f"{rubric.strip()}\n\n[Question]\n{question}\n\n[Response A]\n{first}\n\n[Response B]\n{second}\n\n[Verdict]\n"
        "Say which response is better. End with a line of its own: Better: A, Better: B, or Better: tie"
    )


def _preferred(said: str | None) -> float | None:
    """1 if the first is preferred, 0 if the second, ½ for neither."""
    found = re.findall(r"better\W*\b(a|b|tie)\b", said or "", re.IGNORECASE) or re.findall(
        r"^\W*(a|b|tie)\W*$", said or "", re.IGNORECASE | re.MULTILINE
    )
    return {"a": 1.0, "b": 0.0, "tie": 0.5}[found[-1].lower()] if found else None


def number_in(said: str) -> float | None:
    """The grade in what a judge wrote: what follows its last ``Grade:`` (or ``Score:``), else a last line that is a
    number; None without either, for a number somewhere in its reasons is no grade."""
    marked = _MARKED.findall(said)
    if marked:
        return float(marked[-1])
    alone = _ALONE.search(said)
    return float(alone[1]) if alone else None


_MARKED = re.compile(r"\b(?:grade|score)\W*?(-?\d+(?:\.\d+)?)", re.IGNORECASE)
_ALONE = re.compile(r"^\W*?(-?\d+(?:\.\d+)?)\W*\Z", re.MULTILINE)


def answers(weights: Weights, asked: Sequence[str], step: int) -> list[str | None]:
    """What a model says to each question, at temperature 0; None where the question does not fit into it."""
    prompts = render_prompts(weights.tokenizer, asked)
    said: list[str | None] = [None] * len(asked)
    alike: dict[int, list[int]] = defaultdict(list)  # by room, so that no answer depends on what else is asked
    for row, tokens in enumerate(prompts):
        alike[min(GRADE_TOKENS, weights.context - len(tokens))].append(row)
    for room, rows in alike.items():
        if room >= SHORTEST_GRADE:
            requests = [Request(prompts[row], [0]) for row in rows]
            completions = weights.engine(step).generate(requests, Sampling(temperature=0.0, max_tokens=room))
            texts = decode_all(weights.tokenizer, [attempts[0].tokens for attempts in completions])
            for row, text in zip(rows, texts, strict=True):
                said[row] = text
    return said


def _exchanges(rows: pa.Table) -> list[tuple[str, str]]:
    """What each row asks and answers, as texts."""
    asked = [prompt_text(row) or "" for row in records(rows)]
    return list(zip(asked, [_text(value) for value in column(rows, "response")], strict=True))


def _text(value: object) -> str:
    """A response, whose turns may be several."""
    if isinstance(value, str):
        return value
    return "\n\n".join(content_text(turn) for turn in value or ())  # type: ignore[attr-defined]
