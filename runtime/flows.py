"""Where a training step's samples come from: rows that are there already, or attempts made for the step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ptc.runtime.artifacts import InputWrong
from ptc.runtime.batches import Draw, Sample
from ptc.runtime.choosing import with_spread
from ptc.runtime.losses.needs import Needs
from ptc.runtime.rendering.conversations import prompt_text
from ptc.runtime.rendering.meeting import Reader
from ptc.runtime.rendering.rows import Rendering
from ptc.runtime.rendering.tables import records
from ptc.runtime.rewards import Worth
from ptc.runtime.samples import ALONE, by_prompt, drawn, tokenised
from ptc.runtime.stateless import Stateless
from ptc.runtime.streams.building import replays
from ptc.runtime.streams.drawing import UNIT, Drawing, Stream
from ptc.runtime.tables import column, read_table, write_table

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

REWARDED = frozenset({"group", "reward"})
"""Columns of attempts that have been scored."""


class FixedFlow(Stateless):
    """Rows as materialised, tokenised once. A unit is a row, or a prompt with all its rows."""

    def __init__(
        self,
        rows: pa.Table,
        unit: str,
        needs: Needs,
        tokenizer: PreTrainedTokenizerBase,
        rendering: Rendering,
        readers: Mapping[str, Reader] = ALONE,
    ) -> None:
        """`unit` is ``samples`` or ``prompts``; `readers` have tokenizers of their own. Raises `InputWrong` for rows on
        which the loss cannot be computed."""
        samples, self.counts = tokenised(rows, needs, tokenizer, rendering, readers)
        groups = by_prompt(rows) if unit == "prompts" else [[row] for row in range(rows.num_rows)]
        asked = [prompt_text(record) or "" for record in records(rows)]
        units = [([sample for row in group for sample in samples[row]], asked[group[0]]) for group in groups]
        self._units: list[list[Sample]] = [unit for unit, _ in units if unit]
        self._asked = [prompt for unit, prompt in units if unit]
        self._of_prompt: dict[str, list[Sample]] = {}
        for own, prompt in zip(self._units, self._asked, strict=True):
            self._of_prompt.setdefault(prompt, []).extend(own)
        if not self._units:
            raise InputWrong(
                f"all {rows.num_rows} rows are longer than max_length = {rendering.max_length}, and none is "
                "left: raise max_length, or take shorter rows"
            )

    @property
    def size(self) -> int:
        return len(self._units)

    def draw(self, step: int, units: Sequence[int]) -> Draw:
        return Draw([self._units[unit] for unit in units], prompts=[self._asked[unit] for unit in units])

    def at(self, step: int, drawn: Draw) -> Draw:
        return Draw([self._of_prompt.get(prompt, []) for prompt in drawn.prompts], prompts=drawn.prompts)


class LiveFlow:
    """A stream of a stage as samples: drawn for each step, with the weights as they are then."""

    def __init__(
        self,
        stream: Stream,
        needs: Needs,
        tokenizer: PreTrainedTokenizerBase,
        rendering: Rendering,
        readers: Mapping[str, Reader] = ALONE,
        *,
        follows: str | None = None,
        with_spread_only: bool = False,
    ) -> None:
        """`follows` is the source whose units it takes, where two draw from the same sampling. With `with_spread_only`
        groups whose rewards are all equal are left out in the end."""
        self._stream = stream
        self._needs = needs
        self._tokenizer = tokenizer
        self._rendering = rendering
        self._readers = readers
        self.follows = follows
        self._replays = list(replays(stream))
        self._with_spread_only = with_spread_only

    @property
    def size(self) -> int:
        return self._stream.size

    def draw(self, step: int, units: Sequence[int]) -> Draw:
        drawing = self._stream.draw(step, units)
        rows = drawing.rows
        if self._with_spread_only and set(rows.column_names) >= REWARDED:
            rows = with_spread(rows)
        groups: list[list[Sample]] = [[] for _ in units]
        samples = drawn(rows, self._needs, self._tokenizer, self._rendering, self._readers)
        prompts = [self._stream.prompts[unit] for unit in units]
        for unit, own, record in zip(column(rows, UNIT), samples, records(rows), strict=True):
            groups[unit] += own
            prompts[unit] = prompt_text(record) or ""
        return Draw(groups, metrics_of(drawing), prompts)

    def at(self, step: int, drawn: Draw) -> Draw:
        places = {prompt: place for place, prompt in enumerate(drawn.prompts)}
        own = self.draw(step, [unit for unit, prompt in enumerate(self._stream.prompts) if prompt in places])
        groups: list[Sequence[Sample]] = [[] for _ in drawn.prompts]
        for prompt, group in zip(own.prompts, own.groups, strict=True):
            if prompt in places:
                groups[places[prompt]] = group
        return Draw(groups, own.metrics, drawn.prompts)

    def save(self, folder: Path, source: str) -> None:
        """Writes down the rows that may be learned from again."""
        for number, replay in enumerate(self._replays):
            if replay.kept is not None:
                write_table(replay.kept, _place(folder, source, number))

    def load(self, folder: Path, source: str) -> None:
        """Takes up those of a checkpoint."""
        for number, replay in enumerate(self._replays):
            place = _place(folder, source, number)
            replay.kept = read_table(place) if place.exists() else None


def _place(folder: Path, source: str, number: int) -> Path:
    return folder / f"{source}.replay-{number}.parquet"


# What is measured, under TRL's names ----------------------------------------------------------------------------------


REPETITION = 8
"""Tokens that a response must have before it can be said to repeat one."""


def metrics_of(drawing: Drawing) -> dict[str, float]:
    """Of all that was sampled and scored for a draw, whatever was left of it."""
    judged = reward_metrics(drawing.judged) if drawing.judged else {}
    return {**completion_metrics(drawing.sampled), **judged, **drawing.counted}


def completion_metrics(sampled: Sequence[pa.Table]) -> dict[str, float]:
    """Lengths in tokens, also of those that ended themselves, and the share of those that `max_tokens` cut off."""
    lengths = [len(tokens) for table in sampled for tokens in column(table, "response_tokens")]
    finished = [one for table in sampled for one in column(table, "finished")]
    if not lengths:
        return {}
    return {
        **_spanned("length", lengths),
        **_spanned("terminated_length", [length for length, one in zip(lengths, finished, strict=True) if one]),
        "completions/clipped_ratio": fmean(not one for one in finished),
        "completions/empty_ratio": fmean(length - one <= 0 for length, one in zip(lengths, finished, strict=True)),
        "completions/repetition_ratio": fmean(
            _repeats(tokens) for table in sampled for tokens in column(table, "response_tokens")
        ),
    }


def _repeats(tokens: Sequence[int]) -> bool:
    """Whether one token takes up nine in ten places of a response of some length."""
    return len(tokens) >= REPETITION and max(Counter(tokens).values()) >= 0.9 * len(tokens)


def _spanned(what: str, lengths: Sequence[int]) -> dict[str, float]:
    if not lengths:
        return {}
    measured = {"mean": fmean(lengths), "min": float(min(lengths)), "max": float(max(lengths))}
    return {f"completions/{name}_{what}": value for name, value in measured.items()}


def reward_metrics(judged: Sequence[tuple[pa.Table, Worth]]) -> dict[str, float]:
    """Mean reward; its spread, in all and within groups, averaged over them; the share of groups without any; each
    summand."""
    rewards = [(column(table, "reward"), table) for table, _ in judged]
    known = [reward for values, _ in rewards for reward in values if reward is not None]
    unjudged = {"rewards/unjudged": float(sum(len(values) for values, _ in rewards) - len(known))}
    if not known:
        return unjudged
    spreads = [spread for values, table in rewards for spread in _spreads(values, table)]
    return {
        "reward": fmean(known),
        "reward_std": _spread(known),
        "reward_std_in_groups": fmean(spreads),
        "frac_reward_zero_std": fmean(spread == 0 for spread in spreads),
        **_alike(rewards),
        **_lengths_by_advantage(rewards),
        **_summands([worth for _, worth in judged]),
        **unjudged,
    }


def _groups(rewards: Sequence[float | None], table: pa.Table) -> list[list[tuple[float, int]]]:
    """The rewards of each group, with the rows that have them."""
    groups = ([(reward, row) for row in group if (reward := rewards[row]) is not None] for group in by_prompt(table))
    return [group for group in groups if group]


def _alike(judged: Sequence[tuple[Sequence[float | None], pa.Table]]) -> dict[str, float]:
    """The share of groups without spread, split: all of them right (a reward above 0), or all wrong."""
    groups = [[reward for reward, _ in group] for one in judged for group in _groups(*one)]
    alike = [group[0] if min(group) == max(group) else None for group in groups]
    return {
        "frac_reward_zero_std/all_right": fmean(reward is not None and reward > 0 for reward in alike),
        "frac_reward_zero_std/all_wrong": fmean(reward is not None and reward <= 0 for reward in alike),
    }


def _lengths_by_advantage(judged: Sequence[tuple[Sequence[float | None], pa.Table]]) -> dict[str, float]:
    """Tokens per attempt, of those with a reward above the mean of their group, and of those below."""
    ahead, behind = list[int](), list[int]()
    for rewards, table in judged:
        if "response_tokens" not in table.column_names:
            continue
        lengths = [len(tokens) for tokens in column(table, "response_tokens")]
        for group in _groups(rewards, table):
            mean = fmean(reward for reward, _ in group)
            ahead += [lengths[row] for reward, row in group if reward > mean]
            behind += [lengths[row] for reward, row in group if reward < mean]
    sides = {"ahead": ahead, "behind": behind}
    return {f"completions/mean_length_{side}": fmean(own) for side, own in sides.items() if own}


def _spreads(rewards: Sequence[float | None], table: pa.Table) -> list[float]:
    groups = [[reward for row in group if (reward := rewards[row]) is not None] for group in by_prompt(table)]
    return [_spread(group) for group in groups if group]


def _spread(values: Sequence[float]) -> float:
    """n - 1 in the denominator; that of a single value is 0."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _summands(worths: Sequence[Worth]) -> dict[str, float]:
    """Mean and spread of what each summand says of the rows that all of them could judge."""
    values: dict[str, list[float]] = {}
    for worth in worths:
        judged = [reward is not None for reward in worth.rewards]
        for part in worth.parts:
            own = zip(part.rewards, judged, strict=True)
            values.setdefault(part.name, []).extend(reward for reward, all_ in own if all_ and reward is not None)
    found = {name: own for name, own in values.items() if own}
    return {
        f"rewards/{name}/{what}": value
        for name, own in found.items()
        for what, value in (("mean", fmean(own)), ("std", _spread(own)))
    }
