"""What a node of the core means: its document, without names, places or order of declaration.

`docs/graph.md` describes the documents. The digest of a document is the node's identity; so two declarations that say
the same are one node, and a comment, a name or a device changes none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ptc.compiler import anneal, core
from ptc.compiler.graph import Json, Node, canonical
from ptc.compiler.mathematics.forwards import OWN_TOKENS
from ptc.compiler.names import defaults

SEMANTICS = {
    "gym": 1,
    "extern_source": 1,
    "from_verl": 1,
    "from_open_instruct": 1,
    "from_sharegpt": 1,
    "chat": 1,
    "hint": 1,
    "prefix": 1,
    "only": 1,
    "unique": 1,
    "without": 1,
    "join": 1,
    "mix": 1,
    "replay": 1,
    "refill": 1,
    "best": 1,
    "best_and_worst": 2,
    "against": 1,
    "split_steps": 1,
    "file": 1,
    "hub_dataset": 1,
    "prompts": 1,
    "slice": 1,
    "take": 1,
    "respond": 1,
    "keep": 1,
    "shuffle": 1,
    "concat": 1,
    "characters": 1,
    "bpe": 1,
    "new_model": 1,
    "local_model": 1,
    "hub_model": 1,
    "merge": 1,
    "lora": 1,
    "merge_adapter": 1,
    "value_head": 2,
    "reward_head": 2,
    "retemplate": 1,
    "checkpoint": 1,
    "result": 1,
    "tokenizer_of": 1,
    "informedness": 1,
    "references": 1,
    "evidence": 1,
    "sample": 1,
    "score": 1,
    "train": 3,
    "pass_rate": 3,
    "reward": 4,
    "win_rate": 3,
    "bits_per_character": 1,
    "claim": 4,
    "gate": 3,
    "export": 2,
}
"""Raised by hand when the implementation of a kind changes what it yields."""

Named = TypeVar("Named")
PURPOSE = {
    "new_model": "initialisation",
    "lora": "initialisation",
    "value_head": "initialisation",
    "reward_head": "initialisation",
    "merge": "merging",
    "sample": "sampling",
    "shuffle": "shuffling",
    "mix": "mixing",
    "train": "training",
}


def seed_of(program_seed: int, purpose: str, chain: tuple[str, ...], own: int) -> int:
    """The seed of a node: from the program's seed, the purpose and the chain of node kinds; never from a name."""
    text = canonical([program_seed, purpose, list(chain), own])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


@dataclass
class Meanings:
    """Turns core nodes into graph nodes, each once."""

    seed: int
    nodes: dict[str, Node] = field(default_factory=dict)
    """By meaning, in an order in which every node stands behind its inputs."""
    stages: dict[int, core.Stage] = field(default_factory=dict)
    """The stage that a model is the result of, by the identity of the model."""
    _done: dict[int, str] = field(default_factory=dict)
    _kept: list[object] = field(default_factory=list)

    def of(self, thing: core.Input, whose: str = "") -> str:
        """The meaning of a source, model, role or tokenizer; its node and all it needs are in `nodes` afterwards.

        `whose` is the name of what it is a step of: the label of a step that has no name of its own.
        """
        if isinstance(thing, core.Role):
            return self.of(thing.init, thing.name)
        waiting = [(thing, whose)]
        while waiting:  # without recursion: a flow may be as long as the program
            one, label = waiting[-1]
            missing = [value for value in _inputs(one) if id(value) not in self._done]
            if missing:
                waiting.extend((value, getattr(one, "name", "") or label) for value in reversed(missing))
                continue
            waiting.pop()
            if id(one) not in self._done:
                self._kept.append(one)
                self._done[id(one)] = self.add(self._node(one, label))
        return self._done[id(thing)]

    def add(self, node: Node) -> str:
        """Puts a node in; one that means the same and is already there stays."""
        meaning = node.meaning
        self.nodes.setdefault(meaning, node)
        return meaning

    def _node(self, thing: core.Source | core.Model | core.Tokenizer, whose: str) -> Node:
        if isinstance(thing, core.Model) and thing.kind == "train":
            stage = self.stages.get(id(thing))
            if stage is None:  # while a program is checked, stages are told apart by their names
                return Node("train", SEMANTICS["train"], {"stage": thing.name}, {})
            return self.train(stage) if thing is stage.model else self._result(stage, thing)
        name = "" if isinstance(thing, core.Tokenizer) else thing.name
        inputs = {role: self.of(value, name or whose) for role, value in thing.inputs.items()}
        settings = dict(thing.settings)
        if isinstance(thing, core.Source) and thing.kind == "slice":
            settings["from"], settings["to"] = interval(thing)
            inputs["rows"] = self.of(beneath_slices(thing), name or whose)
        if thing.kind in PURPOSE and (thing.kind != "merge" or "seed" in settings):
            settings["seed"] = seed_of(self.seed, PURPOSE[thing.kind], chain(thing), int(settings.get("seed", 0)))
        label = name or (f"{whose}: {thing.kind}" if whose else thing.kind)
        return Node(thing.kind, SEMANTICS[thing.kind], settings, inputs, label, names=_columns(thing))

    # A stage ----------------------------------------------------------------------------------------------------------

    def train(self, stage: core.Stage) -> Node:
        """The node of a stage: one loop over batches, whatever its objectives are called."""
        naming = Naming(stage)
        inputs = {canonical_name: self.of(role) for canonical_name, role in naming.models.items()}
        flows = {}
        for name, source in naming.sources.items():
            base, steps = flow(source)
            inputs[name] = self.of(base, source.name)
            flows[name] = [naming.step(step) for step in steps]
        settings: dict[str, Json] = {
            "models": {name: naming.bound(role) for name, role in naming.models.items()},
            "flows": flows,
            "terms": [
                {
                    "weight": anneal.document(term.weight),
                    "source": naming.source(term.source),
                    "loss": naming.expression(term.loss),
                }
                for term in stage.terms
            ],
            "batch": {name: _counted(stage.batch[source]) for name, source in naming.sources.items()},
            "budget": _counted(stage.budget),
            "optimizer": {
                naming.model(role): dict(stage.optimizers.get(role.name, stage.optimizer)) for role in stage.learners
            },
            "max_length": stage.settings.get("max_length"),
            "result": naming.model(stage.learner),
            "seed": seed_of(self.seed, "training", chain(stage.model), int(stage.settings.get("seed") or 0)),
            **_unusual(stage),
        }
        inputs |= {name: self.of(thing) for name, thing in naming.others.items()}
        names = {name: role.name for name, role in naming.models.items()}
        names |= {name: source.name or "rows" for name, source in naming.sources.items()}
        return Node("train", SEMANTICS["train"], settings, inputs, stage.name, names=names)

    def _result(self, stage: core.Stage, thing: core.Model) -> Node:
        """What another role than the first trained one has become: a part of what its stage leaves behind."""
        name = next(name for name, model in stage.results.items() if model is thing)
        role = next(role for role in stage.roles if role.name == name)
        settings = {"model": Naming(stage).model(role)}
        return Node("result", SEMANTICS["result"], settings, {"stage": self.of(stage.model)}, thing.name)


def _inputs(thing: core.Source | core.Model | core.Tokenizer) -> list[core.Source | core.Model | core.Tokenizer]:
    """What a node is made from directly; a stage asks for what it needs itself."""
    if isinstance(thing, core.Model) and thing.kind == "train":
        return []
    values = [value.init if isinstance(value, core.Role) else value for value in thing.inputs.values()]
    if isinstance(thing, core.Source) and thing.kind == "slice":
        return [beneath_slices(thing), *(value for value in values if not isinstance(value, core.Source))]
    return values


def _columns(thing: core.Source | core.Model | core.Tokenizer) -> dict[str, str]:
    """The columns of rows from outside, as far as they are known, with their types: what stands for them has these."""
    if not isinstance(thing, core.Source) or thing.inputs:
        return {}
    return {column: thing.type.type_of(column) or "" for column in thing.type.columns}


def _counted(count: core.Count) -> Json:
    return {"count": count.count, "unit": count.unit}


def _unusual(stage: core.Stage) -> dict[str, Json]:
    """The settings of a stage that are not what they are where nothing is said: a default is no part of a meaning."""
    usual = defaults("stage")
    settings = {
        name: value
        for name, value in stage.settings.items()
        if name not in ("max_length", "seed") and value != usual.get(name)
    }
    if stage.rollout is not None:
        settings["rollout"] = _counted(stage.rollout)
    if stage.passes != 1:
        settings["passes"] = stage.passes
    return settings


@dataclass
class Naming:
    """Canonical names inside a stage: `m0`, `s0`, … in the order in which the terms use them."""

    stage: core.Stage
    models: dict[str, core.Role] = field(default_factory=dict)
    sources: dict[str, core.Source] = field(default_factory=dict)
    others: dict[str, core.Source | core.Model] = field(default_factory=dict)
    """What stands still beside the flows: rows that live ones are mixed or joined with, models that judge."""

    def __post_init__(self) -> None:
        self.model(self.stage.learner)
        for term in self.stage.terms:
            self.source(term.source)
            for source in term.sources.values():
                self.source(source)
            for expression in term.loss.walk():
                for role in expression.models:
                    self.model(role)
        for source in list(self.sources.values()):
            for step in (*flow(source)[1], *source.upstream()):
                for value in step.inputs.values():
                    if isinstance(value, core.Role) and step.live is not None:
                        self.model(value)
        for role in self.stage.roles:
            if role.verb != "freeze":
                self.model(role)

    def model(self, role: core.Role) -> str:
        return _name(self.models, role, "m")

    def source(self, source: core.Source) -> str:
        return _name(self.sources, source, "s")

    def bound(self, role: core.Role) -> Json:
        """How a model is bound: trained, frozen, or following another."""
        tracking = role.tracking
        if tracking is None:
            return {"as": role.verb}
        how = {"decay": tracking.decay} if tracking.kind == "ema" else {"every": tracking.every}
        return {"as": role.verb, "by": tracking.kind, "follows": self.model(tracking.follows), **how}

    def step(self, step: core.Source) -> Json:
        """One step of a live flow: its settings, and what it takes beside the rows that flow through it."""
        document = {"op": step.kind, **step.settings}
        flowing = passing(step)
        for name, value in step.inputs.items():
            if value is flowing:
                if name not in ("prompts", "rows"):
                    document["of"] = name
            elif isinstance(value, core.Role):
                document[name] = self.model(value)
            elif isinstance(value, core.Source):
                document.setdefault("with", {})[name] = self._beside(value)
            elif isinstance(value, core.Model):
                document[name] = self.other(value)
        return document

    def _beside(self, source: core.Source) -> Json:
        """Rows that a live step takes besides: those of another flow of the stage, or their own."""
        flowing = next((name for name, known in self.sources.items() if known is source), None)
        if flowing is not None:
            return {"flow": flowing}
        base, steps = flow(source)
        return {"base": self.other(base), "steps": [self.step(each) for each in steps]}

    def other(self, thing: core.Source | core.Model) -> str:
        return _name(self.others, thing, "x")

    def expression(self, expression: core.Expression) -> Json:
        """A loss as the graph spells it. Where each rollout batch is used for one step, a model at the start of the
        batch is that model without gradient."""
        if expression.fields.get("at") == "batch_start" and self.stage.updates_per_rollout == 1:
            fields = {name: value for name, value in expression.fields.items() if name != "at"}
            now = self.expression(replace(expression, fields=fields))
            return {"op": "stop", "axes": sorted(expression.axes), "args": [now]}
        document: dict[str, Json] = {"op": expression.op, "axes": sorted(expression.axes), **expression.fields}
        if expression.source is not None:
            document["source"] = self.source(expression.source)
        if expression.op == "extern":
            document["models"] = [self.model(role) for role in expression.models]
        elif expression.models:
            document["model"] = self.model(expression.models[0])
            if OWN_TOKENS in expression.fields:
                document[OWN_TOKENS] = document["model"]
        if expression.args:
            document["args"] = [self.expression(arg) for arg in expression.args]
        return document


def _name(known: dict[str, Named], thing: Named, letter: str) -> str:
    for name, value in known.items():
        if value is thing:
            return name
    name = f"{letter}{len(known)}"
    known[name] = thing
    return name


def flow(source: core.Source) -> tuple[core.Source, list[core.Source]]:
    """The fixed rows that a source starts from, and the live steps behind them."""
    steps: list[core.Source] = []
    while source.live is not None:
        steps.insert(0, source)
        source = passing(source)
    return source, steps


def passing(step: core.Source) -> core.Source:
    """The rows that flow through a live step: the first live ones, where it has several."""
    rows = step.inputs.get("prompts") or step.inputs.get("rows")
    if rows is None:
        rows = next(part for part in step.parts if part.live is not None)
    assert isinstance(rows, core.Source)
    return rows


CHAINED = ("init", "stage", "model", "rows")
"""The inputs that a chain follows, in the order in which they are looked for."""


def chain(thing: core.Input) -> tuple[str, ...]:
    """The kinds of nodes on the way to a source or a model."""
    kinds: list[str] = []
    following: core.Input | None = thing
    while following is not None:  # without recursion: a line of stages may be as long as the program
        if isinstance(following, core.Role):
            following = following.init
            continue
        kinds.append(following.kind)
        inputs = following.inputs
        stop = isinstance(following, core.Tokenizer)
        following = None if stop else next((inputs[name] for name in CHAINED if name in inputs), None)
    return tuple(reversed(kinds))


# Slices ---------------------------------------------------------------------------------------------------------------


def interval(source: core.Source) -> tuple[float, float]:
    """The shares of the hash of a prompt between which the rows of a source lie."""
    low, high = 0.0, 1.0
    for cut in reversed(list(_slices(source))):
        width = high - low
        start = low + float(cut.settings["from"]) * width
        low, high = round(start, 12), round(low + float(cut.settings["to"]) * width, 12)
    return low, high


def _slices(source: core.Source) -> Iterator[core.Source]:
    """The slices on the way to where the prompts were made, the last one first."""
    below: core.Source | None = source
    while below is not None and below.kind not in ("prompts", "concat"):
        if below.kind == "slice":
            yield below
        below = rows_of(below)


def rows_of(source: core.Source) -> core.Source | None:
    """The source that a step works on."""
    below = source.inputs.get("rows") or source.inputs.get("prompts")
    return below if isinstance(below, core.Source) else None


def beneath_slices(source: core.Source) -> core.Source:
    """What a slice, or a slice of slices, is cut from."""
    while source.kind == "slice":
        below = rows_of(source)
        assert below is not None
        source = below
    return source


def same_tokenizer(first: core.Tokenizer | None, second: core.Tokenizer | None) -> bool | None:
    """Whether two tokenizers are one; None as long as either is not known."""
    if first is None or second is None:
        return None
    first, second = _found(first), _found(second)
    if first is second:
        return True
    if first.kind != second.kind and {"tokenizer_of", "files"} & {first.kind, second.kind}:
        return None
    if first.kind == "files":
        return bool(first.settings["digest"] == second.settings["digest"])
    meanings = Meanings(0)
    return meanings.of(first) == meanings.of(second)


def _found(tokenizer: core.Tokenizer) -> core.Tokenizer:
    """The tokenizer itself, where one is taken from a model whose files have been looked at."""
    model = tokenizer.inputs.get("model")
    return model.type.tokenizer or tokenizer if isinstance(model, core.Model) else tokenizer
