"""What must hold at the first step of a stage, whatever weights and rows: read from the losses and the graph.

Three kinds, none of which knows an objective by name. *Two models are one*: what is frozen or tracked and has the
meaning of the learner's entry says what the learner says, and so does the engine that has just sampled from it. *Values
less their mean* sum to 0 over what the mean was taken of. *One batch has one gradient*, however it is cut:
`runtime.rehearsal` computes it a second time, with the learner in the place of every model that is one with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ptc.compiler.graph import Json, Node

ASKED = frozenset({"logp", "logp_all", "value", "score"})
HARMLESS = frozenset({"sample", "score", "keep", "only", "best", "refill", "split_steps"})
"""Steps of a live source that leave what was sampled, and what it was sampled behind, as it is."""
WHOLE = {"top_p": 1, "top_k": 0, "min_p": 0, "repetition_penalty": 1}
"""Settings of a sampler that draws from the whole distribution."""
START = "batch_start"
SAMPLER = "logprobs"
"""The column in which a sampler says what it thought of its tokens."""


@dataclass(frozen=True)
class Same:
    """Two values that are the same at the first step."""

    one: Json
    other: Json
    source: str
    said: str
    """In words, with the program's names."""
    cause: str
    """What is wrong where it does not hold."""

    @property
    def difference(self) -> Json:
        """The largest."""
        apart = _op("abs", _op("sub", self.one, self.other))
        return {"op": "max_over", "over": apart["axes"], "args": [apart], "axes": []}


@dataclass(frozen=True)
class Centred:
    """A value less its mean, whose sum over what the mean is of is 0."""

    value: Json
    over: Sequence[str]
    source: str

    @property
    def largest_sum(self) -> Json:
        left = [axis for axis in self.value["axes"] if axis not in _apart(self.over)]
        summed = _op("abs", {"op": "sum", "over": self.over, "args": [self.value], "axes": left})
        return {"op": "max_over", "over": left, "args": [summed], "axes": []} if left else summed

    @property
    def scale(self) -> Json:
        """What it is the sum of, by size."""
        size = _op("abs", self.value["args"][0])
        return {"op": "sum", "over": size["axes"], "args": [size], "axes": []}


class Twins:
    """Which models, and which samplers, are one with a learner when its stage begins."""

    def __init__(self, node: Node, engine_is_exact: bool, fresh: Mapping[str, str]) -> None:
        """`engine_is_exact`: engine and trainer compute in one precision, by one implementation.

        `fresh`: models that are a learner without its adapter, which changes nothing yet.
        """
        self._node = node
        roles = node.settings["models"]
        learners = [name for name, role in roles.items() if role["as"] == "train"]
        self._learners = frozenset(learners)
        entries = {node.inputs[name]: name for name in reversed(learners) if name in node.inputs}
        self._of: dict[str, str] = dict(fresh)
        for name, role in roles.items():
            if role["as"] == "track":
                self._of[name] = role["follows"]
            elif role["as"] == "freeze" and node.inputs.get(name) in entries:
                self._of[name] = entries[node.inputs[name]]
        self._samplers: dict[str, tuple[str, float]] = {}
        for source, steps in node.settings["flows"].items():
            sampled = next((step for step in steps if step["op"] == "sample"), None)
            if engine_is_exact and sampled is not None and sampled["model"] in learners and _plain(steps, sampled):
                self._samplers[source] = (sampled["model"], float(sampled["temperature"]))

    def same(self, terms: Sequence[Json]) -> list[Same]:
        """What the terms read of twins, each once."""
        found: dict[str, Same] = {}
        for term in terms:
            for part in walked(term["loss"]):
                one = self._same(part, part.get("source", term["source"]))
                if one is not None:
                    found.setdefault(f"{one.source} {one.one}", one)
        return list(found.values())

    def as_one(self, document: Json, source: str) -> Json:
        """The document with the learner, without gradient, in the place of everything that is one with it."""
        twin = self._twin(document, document.get("source", source))
        if twin is not None:
            return _op("stop", twin)
        if "args" not in document:
            return document
        return {**document, "args": [self.as_one(arg, source) for arg in document["args"]]}

    def _same(self, part: Json, source: str) -> Same | None:
        if part["op"] == "logp_all":
            part = {**part, "op": "logp", "axes": [axis for axis in part["axes"] if axis != "vocab"]}
        twin = self._twin(part, source)
        if twin is None:
            return None
        learner = self._named(twin["model"])
        if part["op"] == "column":
            said = f"the engine gives the tokens that it has just sampled from `{learner}` the probabilities that the "
            said += "trainer gives them, so every ratio is 1"
            return Same(part, twin, source, said, "it did not sample with these weights, or not by this distribution")
        if part.get("at") == START:
            said = f"`{learner}` as the first batch was taken up is `{learner}` as it is learned from"
            return Same(part, twin, source, said, "what it said then was not kept, or is that of other rows")
        other, column = self._named(part["model"]), part["column"]
        said = f"`{other}` is what `{learner}` starts from, so both say the same of `.{column}`"
        return Same(part, twin, source, f"{said} and any divergence is 0", f"`{other}` was given other weights")

    def _twin(self, part: Json, source: str) -> Json | None:
        """What a learner says in the place of a leaf."""
        if part["op"] in ASKED and part["model"] in self._learners and part.get("at") == START:
            return {name: value for name, value in part.items() if name != "at"}
        if part["op"] in ASKED and part["model"] in self._of:
            return {**part, "model": self._of[part["model"]]}
        if part["op"] == "column" and part["name"] == SAMPLER and "token" in part["axes"] and source in self._samplers:
            model, temperature = self._samplers[source]
            asked = {"op": "logp", "model": model, "column": "response", "temperature": temperature}
            return {**asked, "source": source, "axes": part["axes"]}
        return None

    def _named(self, model: str) -> str:
        return self._node.names.get(model, model)


def centred(terms: Sequence[Json]) -> list[Centred]:
    """Every value less its mean in which no model is asked, each once."""
    found: dict[str, Centred] = {}
    for term in terms:
        for part in walked(term["loss"]):
            if (
                part["op"] == "sub"
                and part["args"][1]["op"] == "mean"
                and part["args"][1]["args"][0] == part["args"][0]
            ):
                over = part["args"][1]["over"]
                if not any(below["op"] in ASKED for below in walked(part)):
                    found.setdefault(f"{term['source']} {part}", Centred(part, over, term["source"]))
    return list(found.values())


def walked(document: Json) -> Iterator[Json]:
    yield document
    for arg in document.get("args", ()):
        yield from walked(arg)


def _op(op: str, *args: Json) -> Json:
    """An operation on values of the same axes."""
    return {"op": op, "args": list(args), "axes": args[0]["axes"]}


def _apart(axes: Sequence[str]) -> set[str]:
    """`sample` is prompt and group."""
    return set(axes) | ({"prompt", "group"} if "sample" in axes else set())


def _plain(steps: Sequence[Mapping[str, Json]], sampled: Mapping[str, Json]) -> bool:
    """Whether the rows of a live source are attempts as they were sampled, from the whole distribution."""
    whole = all(float(sampled.get(name, value)) == value for name, value in WHOLE.items())
    return whole and not sampled.get("stop") and all(step["op"] in HARMLESS for step in steps)
