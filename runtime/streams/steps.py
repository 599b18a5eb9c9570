"""The steps of a flow that look at the rows of one draw: sampling, scoring, filters and choices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from ptc.compiler.graph import Json
from ptc.runtime.choosing import best_of, counting, pairs_of
from ptc.runtime.expressions import evaluate
from ptc.runtime.rewards import Rewards
from ptc.runtime.row_steps import shuffled, split_steps
from ptc.runtime.samples import LIVE
from ptc.runtime.sampling import seed_of
from ptc.runtime.streams.drawing import Drawing, Stream, Upon
from ptc.runtime.tables import column, with_columns


class Sampled(Upon):
    """Attempts at each prompt, with the weights as they are."""

    def __init__(
        self, stream: Stream, settings: Mapping[str, Json], sample: Callable[[pa.Table, int], pa.Table]
    ) -> None:
        """`sample` makes rows of attempts of rows, for a step."""
        self.stream = stream
        self.settings = settings
        self.sample = sample

    @property
    def origin(self) -> Stream:
        return self

    def draw(self, step: int, units: Sequence[int]) -> Drawing:
        rows = self.sample(self.stream.draw(step, units).rows, step)
        rows = with_columns(rows, {LIVE: [True] * rows.num_rows})
        if self.settings.get("mask_truncated"):
            rows = counting(rows, column(rows, "finished"))
        return Drawing(rows, sampled=(rows,))


class Scored(Upon):
    """The rows with their `reward`, without those that could not be judged."""

    def __init__(self, stream: Stream, rewards: Rewards) -> None:
        self.stream = stream
        self.rewards = rewards

    def draw(self, step: int, units: Sequence[int]) -> Drawing:
        drawing = self.stream.draw(step, units)
        worth = self.rewards(drawing.rows, step)
        rewards = worth.rewards
        rows = with_columns(drawing.rows, {"reward": pa.array(rewards, pa.float64()), **worth.columns})
        known = rows.filter(pa.array([reward is not None for reward in rewards], pa.bool_()))
        return replace(drawing, rows=known, judged=(*drawing.judged, (rows, worth)))


class Changed(Upon):
    """A step that looks at nothing but the rows of a draw."""

    def __init__(self, stream: Stream, change: Callable[[pa.Table, int], pa.Table]) -> None:
        """`change` makes rows of rows, for a step."""
        self.stream = stream
        self.change = change

    def draw(self, step: int, units: Sequence[int]) -> Drawing:
        drawing = self.stream.draw(step, units)
        return drawing.with_rows(self.change(drawing.rows, step))


def change_of(settings: Mapping[str, Json], seed: int, place: int) -> Callable[[pa.Table, int], pa.Table]:
    """What a filter or a choice, the `place`-th step of its flow, makes of the rows of a draw."""
    match settings["op"]:
        case "keep":
            return lambda rows, step: rows.filter(
                pa.array([value is True for value in evaluate(settings["where"], rows)], pa.bool_())
            )
        case "only":
            return lambda rows, step: counting(rows, evaluate(settings["where"], rows))
        case "best":
            return lambda rows, step: best_of(rows, settings["k"])
        case "best_and_worst":
            return lambda rows, step: pairs_of(rows)
        case "split_steps":
            return lambda rows, step: split_steps(settings, {"rows": rows})
        case "shuffle":
            return lambda rows, step: shuffled(rows, settings["column"], seed_of(seed, "shuffle", place, step))
        case other:
            raise ValueError(f"a live source has no step `{other}`")
