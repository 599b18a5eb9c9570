"""Streams: what live steps draw, that they draw it again alike, and what they draw once for several flows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from small_chat import small_tokenizer

from ptc.compiler.graph import Json
from ptc.runtime.engines.fake import FakeEngine
from ptc.runtime.flows import LiveFlow, metrics_of
from ptc.runtime.losses.needs import Needs
from ptc.runtime.rendering.rows import Rendering
from ptc.runtime.rewards import Rewards
from ptc.runtime.rollouts import sample_rows, sampling_of
from ptc.runtime.streams.building import Building, replays
from ptc.runtime.streams.drawing import UNIT, Drawing, Stream
from ptc.runtime.tables import column

SAMPLE: dict[str, Json] = {
    "op": "sample",
    "model": "m0",
    "n": 3,
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "max_tokens": 3,
}
EXACT: dict[str, Json] = {"op": "score", "verifier": {"name": "exact", "options": {}}}
TAGS: dict[str, Json] = {"op": "score", "verifier": {"name": "made_up", "options": {}}}


def column_of(name: str) -> dict[str, Json]:
    return {"op": "column", "name": name}


RIGHT = {"op": "eq", "args": [column_of("reward"), {"op": "constant", "value": 1}]}
PROMPTS = pa.table({"prompt": [f"p{number}" for number in range(12)], "answer": ["a"] * 12})
OTHERS = pa.table({"prompt": [f"q{number}" for number in range(6)], "answer": ["b"] * 6})
DEMOS = pa.table(
    {"prompt": [f"p{number}" for number in range(12)] * 2, "response": ["x"] * 12 + ["y"] * 12, "by": list(range(24))}
)
INPUTS = {"s0": PROMPTS, "s1": PROMPTS, "x0": OTHERS, "x1": DEMOS, "x2": PROMPTS}


class World:
    """A stage of flows over a fake engine, which counts what it is asked for."""

    def __init__(self, **flows: Sequence[Mapping[str, Json]]) -> None:
        self.engine = FakeEngine(104, [3])
        identity = {name: str(id(table)) for name, table in INPUTS.items()}
        self.building = Building(flows, INPUTS.__getitem__, identity.__getitem__, self._sampler, Rewards, 7)

    def _sampler(self, step: Mapping[str, Json]) -> Callable[[pa.Table, int], pa.Table]:
        def sample(rows: pa.Table, version: int) -> pa.Table:
            return sample_rows(self.engine, small_tokenizer(), rows, sampling_of(step), step["n"], 7, version)

        return sample

    def stream(self, source: str = "s0") -> Stream:
        return self.building.flow(source)


def rows(drawing: Drawing) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = drawing.rows.to_pylist()
    return found


def test_a_draw_depends_on_its_step_and_prompts_alone() -> None:
    first, again = (World(s0=[SAMPLE, TAGS]).stream() for _ in range(2))
    assert rows(first.draw(3, [4, 2])) == rows(again.draw(3, [4, 2]))
    alone = [row["response"] for row in rows(again.draw(3, [2]))]
    assert [row["response"] for row in rows(first.draw(3, [4, 2])) if row[UNIT] == 1] == alone
    assert rows(first.draw(4, [4, 2])) != rows(first.draw(3, [4, 2]))


def test_sources_stand_together_as_they_are_or_in_shares() -> None:
    part = {"base": "x0", "steps": [SAMPLE, TAGS]}
    both = World(s0=[SAMPLE, TAGS, {"op": "concat", "of": "0", "with": {"1": part}}]).stream()
    assert both.size == 18 and both.prompts[11:13] == ["p11", "q0"]
    drawing = both.draw(0, [13, 0, 12])
    asked = {row[UNIT]: row["prompt"] for row in rows(drawing)}
    assert asked == {0: "q1", 1: "p0", 2: "q0"}
    groups = [row["group"] for row in rows(drawing)]
    assert len(set(groups)) == 3 and all(groups.count(group) == 3 for group in groups)
    mixed = World(s0=[SAMPLE, {"op": "mix", "of": "1", "weights": [0.25, 0.75], "with": {"0": part}}]).stream()
    assert sum(prompt.startswith("q") for prompt in mixed.prompts) == 4 and mixed.size == 16


def test_rows_that_stand_still_are_drawn_with_all_responses_to_their_prompt() -> None:
    mixture = World(s0=[SAMPLE, {"op": "concat", "of": "1", "with": {"0": {"base": "x1", "steps": []}}}]).stream()
    assert mixture.size == 24
    drawing = rows(mixture.draw(0, [2, 14]))
    assert [(row[UNIT], row["prompt"], row["response"]) for row in drawing[:2]] == [(0, "p2", "x"), (0, "p2", "y")]
    assert [row["prompt"] for row in drawing[2:]] == ["p2"] * 3


BEST = {"op": "max", "over": ["group"], "of": "partner", "args": [column_of("reward")]}
NONE_RIGHT = {"op": "eq", "args": [BEST, {"op": "constant", "value": 0}]}


def test_what_is_joined_follows_the_attempts_and_counts_what_they_are_worth() -> None:
    world = World(
        s0=[SAMPLE, TAGS],
        x1=[
            {"op": "join", "on": "prompt", "with": {"partner": {"base": "x2", "steps": [SAMPLE, TAGS]}}},
            {"op": "only", "where": NONE_RIGHT},
        ],
    )
    attempts, rescued = world.stream("s0"), world.stream("x1")
    assert rescued.origin is attempts.origin and rescued.size == 12
    drawn, joined = rows(attempts.draw(5, [7, 1, 9])), rows(rescued.draw(5, [7, 1, 9]))
    assert world.engine.generated == 9  # once for both
    assert [(row[UNIT], row["prompt"]) for row in sorted(joined, key=lambda row: row[UNIT])] == [
        (0, "p7"), (0, "p7"), (1, "p1"), (1, "p1"), (2, "p9"), (2, "p9")
    ]  # fmt: skip
    failed = {unit for unit in range(3) if max(row["reward"] for row in drawn if row[UNIT] == unit) == 0}
    assert {row[UNIT] for row in joined if row["$counts"]} == failed


def test_refilling_draws_other_prompts_until_the_batch_is_full() -> None:
    steps = [SAMPLE, TAGS, {"op": "keep", "where": RIGHT}, {"op": "best", "k": 1}]
    plain = World(s0=steps).stream()
    step = next(step for step in range(50) if len(set(column(plain.draw(step, [0, 1, 2, 3]).rows, UNIT))) < 4)
    left = set(column(plain.draw(step, [0, 1, 2, 3]).rows, UNIT))
    full, again = (World(s0=[*steps, {"op": "refill", "max": 20}]).stream() for _ in range(2))
    drawing = full.draw(step, [0, 1, 2, 3])
    assert set(column(drawing.rows, UNIT)) == {0, 1, 2, 3} and rows(drawing) == rows(again.draw(step, [0, 1, 2, 3]))
    for row in rows(drawing):
        assert (row["prompt"] == f"p{row[UNIT]}") == (row[UNIT] in left)
    assert metrics_of(drawing)["refill/missing"] == 0 and metrics_of(drawing)["refill/draws"] >= 1
    once = World(s0=[*steps, {"op": "refill", "max": 0}]).stream().draw(step, [0, 1, 2, 3])
    assert metrics_of(once)["refill/missing"] == 4 - len(left)


def replaying() -> LiveFlow:
    stream = World(s0=[SAMPLE, TAGS, {"op": "replay", "window": 2, "share": 0.5}]).stream()
    needs = Needs(numbers=frozenset({"reward"}), texts=("response",))
    return LiveFlow(stream, needs, small_tokenizer(), Rendering())


def test_replay_takes_a_share_from_the_last_steps_and_a_checkpoint_holds_them(tmp_path: Path) -> None:
    whole, cut = replaying(), replaying()
    first, second, third = (whole.draw(step, [4 * step + place for place in range(4)]) for step in range(3))
    assert "replay/share" not in first.metrics and second.metrics["replay/share"] == 0.5
    assert second.prompts[:2] == ["p4", "p5"] and set(second.prompts[2:]) <= {"p0", "p1", "p2", "p3"}
    for step in range(2):
        cut.draw(step, [4 * step + place for place in range(4)])
    cut.save(tmp_path, "s0")
    resumed = replaying()
    resumed.load(tmp_path, "s0")
    assert resumed.draw(2, [8, 9, 10, 11]) == third
    assert third.metrics["replay/age"] in (1.0, 1.5, 2.0)
    old = {sample.sequences["response"] for group in second.groups[2:] for sample in group}
    assert old <= {sample.sequences["response"] for group in first.groups for sample in group}
    [replay] = replays(resumed._stream)
    assert replay.kept is not None and set(column(replay.kept, "$drawn")) == {0, 1, 2}


def test_pairs_keep_the_tokens_that_were_sampled() -> None:
    stream = World(s0=[{**SAMPLE, "n": 6}, TAGS, {"op": "best_and_worst"}]).stream()
    flow = LiveFlow(stream, Needs(texts=("chosen", "rejected")), small_tokenizer(), Rendering())
    pairs = rows(stream.draw(1, list(range(6))))
    assert pairs and all(row["chosen_reward"] > row["rejected_reward"] for row in pairs)
    samples = {unit: group for unit, group in enumerate(flow.draw(1, list(range(6))).groups) if group}
    for row in pairs:
        [sample] = samples[row[UNIT]]
        assert sample.sequences["chosen"] == (tuple(row["prompt_tokens"]), tuple(row["chosen_tokens"]))
        assert sample.sequences["rejected"][1] == tuple(row["rejected_tokens"])


def test_steps_of_responses_are_told_apart() -> None:
    stream = World(s0=[SAMPLE, {"op": "split_steps", "separator": " "}]).stream()
    for row in rows(stream.draw(0, [0, 1])):
        assert row["steps"] == [part for part in row["response"].split(" ") if part.strip()]


def test_metrics_are_of_all_that_was_sampled_and_judged() -> None:
    drawing = World(s0=[SAMPLE, TAGS, {"op": "keep", "where": RIGHT}]).stream().draw(2, [0, 1, 2])
    found = metrics_of(drawing)
    assert found["reward"] == pytest.approx(drawing.rows.num_rows / 9) and found["rewards/unjudged"] == 0
    assert found["rewards/made_up/mean"] == found["reward"]
    lengths = [found[f"completions/{name}_length"] for name in ("min", "mean", "max")]
    assert lengths == sorted(lengths) and lengths[0] >= 1 and lengths[2] <= 3
