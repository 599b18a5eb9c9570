"""Where a training step's samples come from: rows that are there already, or attempts made for the step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ptc.compiler.graph import Json
from ptc.runtime.artifacts import InputWrong
from ptc.runtime.batches import Draw, Sample
from ptc.runtime.choosing import best_of, counting, with_spread
from ptc.runtime.engines.protocol import Engine
from ptc.runtime.expressions import evaluate
from ptc.runtime.judging import Weights
from ptc.runtime.losses.needs import Needs
from ptc.runtime.rendering.conversations import prompt_text
from ptc.runtime.rendering.rows import Rendering
from ptc.runtime.rendering.tables import records
from ptc.runtime.rewards import Rewards, Worth
from ptc.runtime.rollouts import sample_rows, sampling_of
from ptc.runtime.row_steps import shuffled
from ptc.runtime.samples import by_prompt, sampled, tokenised
from ptc.runtime.sampling import seed_of
from ptc.runtime.tables import column, with_columns

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

REWARDED = frozenset({"group", "reward"})
"""Columns of attempts that have been scored."""
UNIT = "unit"
"""Column that numbers the prompts of a draw, so that a prompt whose attempts are all filtered out still counts."""


class FixedFlow:
    """Rows as materialised, tokenised once. A unit is a row, or a prompt with all its rows."""

    def __init__(
        self, rows: pa.Table, unit: str, needs: Needs, tokenizer: PreTrainedTokenizerBase, rendering: Rendering
    ) -> None:
        """`unit` is ``samples`` or ``prompts``. Raises `InputWrong` for rows on which the loss cannot be computed."""
        samples, self.counts = tokenised(rows, needs, tokenizer, rendering)
        groups = by_prompt(rows) if unit == "prompts" else [[row] for row in range(rows.num_rows)]
        asked = [prompt_text(record) or "" for record in records(rows)]
        units = [([sample for row in group for sample in samples[row]], asked[group[0]]) for group in groups]
        self._units: list[list[Sample]] = [unit for unit, _ in units if unit]
        self._asked = [prompt for unit, prompt in units if unit]
        self._of_prompt = {prompt: unit for unit, prompt in zip(self._units, self._asked, strict=True)}
        if not self._units:
            raise InputWrong(
                f"all {rows.num_rows} rows are longer than max_length = {rendering.max_length}: none is left"
            )

    @property
    def size(self) -> int:
        return len(self._units)

    def draw(self, step: int, units: Sequence[int]) -> Draw:
        return Draw([self._units[unit] for unit in units], prompts=[self._asked[unit] for unit in units])

    def at(self, step: int, drawn: Draw) -> Draw:
        return Draw([self._of_prompt.get(prompt, []) for prompt in drawn.prompts], prompts=drawn.prompts)


class LiveFlow:
    """Attempts of a model that is being trained: sampled, scored and filtered for each step, with its weights then."""

    def __init__(
        self,
        prompts: pa.Table,
        steps: Sequence[Mapping[str, Json]],
        needs: Needs,
        tokenizer: PreTrainedTokenizerBase,
        engine: Callable[[int], Engine],
        seed: int,
        judges: Callable[[Mapping[str, Json], str], Weights],
        with_spread_only: bool = False,
    ) -> None:
        """`engine` gives the engine with the weights behind so many updates, `judges` the models of a step that judge,
        by the step's name for them; with `with_spread_only` groups whose
        rewards are all equal are left out in the end."""
        self._prompts = prompts
        self._steps = steps
        self._needs = needs
        self._tokenizer = tokenizer
        self._engine = engine
        self._seed = seed
        self._with_spread_only = with_spread_only
        self._rewards = {
            index: Rewards(step, judges=partial(judges, step))
            for index, step in enumerate(steps)
            if step["op"] == "score"
        }

    @property
    def size(self) -> int:
        return int(self._prompts.num_rows)

    def draw(self, step: int, units: Sequence[int]) -> Draw:
        rows = with_columns(self._prompts.take(units), {UNIT: range(len(units))})
        prompts = [prompt_text(record) or "" for record in records(rows)]
        metrics: dict[str, float] = {}
        for index, settings in enumerate(self._steps):
            rows = self._apply(index, settings, rows, step, metrics)
        if self._with_spread_only and set(rows.column_names) >= REWARDED:
            rows = with_spread(rows)
        groups: list[list[Sample]] = [[] for _ in units]
        for unit, sample in zip(column(rows, UNIT), sampled(rows, self._needs, self._tokenizer), strict=True):
            groups[unit].append(sample)
        return Draw(groups, metrics, prompts)

    def at(self, step: int, drawn: Draw) -> Draw:
        places = {prompt: place for place, prompt in enumerate(drawn.prompts)}
        asked = [prompt_text(record) or "" for record in records(self._prompts)]
        own = self.draw(step, [unit for unit, prompt in enumerate(asked) if prompt in places])
        groups: list[Sequence[Sample]] = [[] for _ in drawn.prompts]
        for prompt, group in zip(own.prompts, own.groups, strict=True):
            groups[places[prompt]] = group
        return Draw(groups, own.metrics, drawn.prompts)

    def close(self) -> None:
        """Ends the verifiers' processes."""
        for rewards in self._rewards.values():
            rewards.close()

    def _apply(
        self, index: int, settings: Mapping[str, Json], rows: pa.Table, step: int, metrics: dict[str, float]
    ) -> pa.Table:
        match settings["op"]:
            case "sample":
                sampling = sampling_of(settings)
                rows = sample_rows(self._engine(step), self._tokenizer, rows, sampling, settings["n"], self._seed, step)
                if settings.get("mask_truncated"):
                    rows = counting(rows, column(rows, "finished"))
                metrics |= completion_metrics(rows)
            case "score":
                rows, measured = scored(rows, self._rewards[index](rows, step))
                metrics |= measured
            case "keep":
                rows = rows.filter(pa.array([value is True for value in evaluate(settings["where"], rows)]))
            case "only":
                rows = counting(rows, evaluate(settings["where"], rows))
            case "best":
                rows = best_of(rows, settings["k"])
            case "shuffle":
                rows = shuffled(rows, settings["column"], seed_of(self._seed, "shuffle", index, step))
            case other:
                raise ValueError(f"a live source has no step `{other}`")
        return rows


def scored(rows: pa.Table, worth: Worth) -> tuple[pa.Table, dict[str, float]]:
    """The rows with their `reward`, without those that could not be judged; and what is measured of the rewards."""
    rewards = worth.rewards
    judged = [reward is not None for reward in rewards]
    table = with_columns(rows, {"reward": [0.0 if reward is None else reward for reward in rewards]})
    table = table.filter(pa.array(judged))
    metrics = reward_metrics(table)
    for part in worth.parts if metrics else ():
        values = [reward for reward, known in zip(part.rewards, judged, strict=True) if known and reward is not None]
        metrics |= {f"rewards/{part.name}/mean": fmean(values), f"rewards/{part.name}/std": float(np.std(values))}
    return table, {**metrics, "rewards/unjudged": float(judged.count(False))}


def completion_metrics(rows: pa.Table) -> dict[str, float]:
    """Lengths in tokens, and the share of completions that `max_tokens` cut off."""
    lengths = [len(tokens) for tokens in column(rows, "response_tokens")]
    return {
        "completions/mean_length": fmean(lengths),
        "completions/min_length": float(min(lengths)),
        "completions/max_length": float(max(lengths)),
        "completions/clipped_ratio": fmean(not finished for finished in column(rows, "finished")),
    }


def reward_metrics(rows: pa.Table) -> dict[str, float]:
    """Mean reward; its spread within groups, averaged over them; the share of groups without any."""
    rewards: list[float] = column(rows, "reward")
    if not rewards:
        return {}
    groups = [[rewards[row] for row in group] for group in by_prompt(rows)]
    spreads = [float(np.std(group, ddof=1)) if len(group) > 1 else 0.0 for group in groups]
    return {
        "reward": fmean(rewards),
        "reward_std": fmean(spreads),
        "frac_reward_zero_std": fmean(spread == 0 for spread in spreads),
    }
