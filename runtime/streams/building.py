"""The streams of a stage, as its flows spell them. What two flows have in common is one stream, which draws once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import pyarrow as pa

from ptc.compiler.graph import Json, canonical
from ptc.runtime.rewards import Rewards
from ptc.runtime.streams.again import Refilled, Replayed
from ptc.runtime.streams.drawing import Remembered, Standing, Stream
from ptc.runtime.streams.mixtures import Joined, Mixed
from ptc.runtime.streams.steps import Changed, Sampled, Scored, change_of

Step = Mapping[str, Json]


class Building:
    """Makes streams of flows, each once."""

    def __init__(
        self,
        flows: Mapping[str, Sequence[Step]],
        rows: Callable[[str], pa.Table],
        identity: Callable[[str], str],
        sampler: Callable[[Step], Callable[[pa.Table, int], pa.Table]],
        rewards: Callable[[Step], Rewards],
        seed: int,
    ) -> None:
        """`rows` and `identity` give the rows of an input of the stage, and what tells them from others'; `sampler` and
        `rewards` what samples and judges as a step says."""
        self._flows = flows
        self._rows = rows
        self._identity = identity
        self._sampler = sampler
        self._rewards = rewards
        self._seed = seed
        self._made: dict[str, Stream] = {}

    def flow(self, source: str) -> Stream:
        """The stream of a source."""
        return self._of(source, self._flows[source])

    def _of(self, base: str, steps: Sequence[Step]) -> Stream:
        """The rows of an input of the stage, and the steps that they pass."""
        joins = bool(steps) and steps[0]["op"] == "join"
        if joins:
            stream = self._once(base, steps[:1], lambda: self._joined(base, steps[0]))
        else:
            prompts = bool(steps) and steps[0]["op"] == "sample"
            kind = {"op": "prompts" if prompts else "responses"}
            stream = self._once(base, [kind], lambda: Standing(self._rows(base), responded=not prompts))
        for place in range(joins, len(steps)):
            stream = self._once(base, steps[: place + 1], self._maker(stream, steps[place], place))
        return stream

    def _once(self, base: str, steps: Sequence[Step], make: Callable[[], Stream]) -> Stream:
        key = canonical([self._identity(base), [self._named(step) for step in steps]])
        if key not in self._made:
            self._made[key] = Remembered(make())
        return self._made[key]

    def _named(self, step: Step) -> Json:
        """A step with the rows that it takes besides by what they are, and not by what the stage calls them."""
        beside = {
            name: value if "flow" in value else {**value, "base": self._identity(value["base"])}
            for name, value in step.get("with", {}).items()
        }
        return {**step, **({"with": beside} if beside else {})}

    def _maker(self, stream: Stream, step: Step, place: int) -> Callable[[], Stream]:
        match step["op"]:
            case "sample":
                return lambda: Sampled(stream, step, self._sampler(step))
            case "score":
                return lambda: Scored(stream, self._rewards(step))
            case "refill":
                return lambda: Refilled(stream, int(step["max"]), self._seed)
            case "replay":
                return lambda: Replayed(stream, int(step["window"]), float(step["share"]), self._seed)
            case "concat" | "mix":
                return lambda: self._mixed(stream, step)
        return lambda: Changed(stream, change_of(step, self._seed, place))

    def _mixed(self, stream: Stream, step: Step) -> Stream:
        parts = {step["of"]: stream, **{name: self._beside(value) for name, value in step["with"].items()}}
        return Mixed([parts[name] for name in sorted(parts, key=int)], step.get("weights"), self._seed)

    def _joined(self, base: str, step: Step) -> Stream:
        return Joined(self._rows(base), self._beside(step["with"]["partner"]), step["on"])

    def _beside(self, value: Mapping[str, Json]) -> Stream:
        return self.flow(value["flow"]) if "flow" in value else self._of(value["base"], value["steps"])


def replays(stream: Stream) -> Iterator[Replayed]:
    """Those among a stream and all that it stands upon that learn again from earlier rows."""
    if isinstance(stream, Replayed):
        yield stream
    for below in stream.below:
        yield from replays(below)


def standing(stream: Stream) -> Iterator[pa.Table]:
    """The responses that stand still among what a stream gives."""
    if isinstance(stream, Joined) or (isinstance(stream, Standing) and stream.responded):
        yield stream.rows
    for below in () if isinstance(stream, Joined) else stream.below:
        yield from standing(below)
