"""What a node of the core means: its document, without names, places or order of declaration.

`docs/graph.md` describes the documents. The digest of a document is the node's identity; so two declarations that say
the same are one node, and a comment, a name or a device changes none.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TypeVar

from ptc.compiler import core
from ptc.compiler.graph import Json, Node, canonical

SEMANTICS = {
    "gym": 1,
    "from_verl": 1,
    "from_open_instruct": 1,
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
    "best_and_worst": 1,
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
    "tokenizer_of": 1,
    "sample": 1,
    "score": 1,
    "train": 1,
    "pass_rate": 1,
    "reward": 1,
    "win_rate": 1,
    "bits_per_character": 1,
    "claim": 1,
    "gate": 1,
    "export": 1,
}
"""Raised by hand when the implementation of a kind changes what it yields."""

Named = TypeVar("Named")
PURPOSE = {
    "new_model": "initialisation",
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
        if id(thing) not in self._done:
            self._kept.append(thing)
            self._done[id(thing)] = self.add(self._node(thing, whose))
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
                return Node("train", SEMANTICS["train"], {"stage": thing.name}, {"init": self.of(thing.inputs["init"])})
            return self.train(stage)
        name = "" if isinstance(thing, core.Tokenizer) else thing.name
        inputs = {role: self.of(value, name or whose) for role, value in thing.inputs.items()}
        settings = dict(thing.settings)
        if isinstance(thing, core.Source) and thing.kind == "slice":
            settings["from"], settings["to"] = interval(thing)
            inputs["rows"] = self.of(beneath_slices(thing), name or whose)
        if thing.kind in PURPOSE:
            settings["seed"] = seed_of(self.seed, PURPOSE[thing.kind], chain(thing), int(settings.get("seed", 0)))
        label = name or (f"{whose}: {thing.kind}" if whose else thing.kind)
        return Node(thing.kind, SEMANTICS[thing.kind], settings, inputs, label)

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
            "models": {name: {"as": role.verb} for name, role in naming.models.items()},
            "flows": flows,
            "terms": [
                {"weight": term.weight, "source": naming.source(term.source), "loss": naming.expression(term.loss)}
                for term in stage.terms
            ],
            "batch": {
                name: {"count": stage.batch[source].count, "unit": stage.batch[source].unit}
                for name, source in naming.sources.items()
            },
            "budget": {"count": stage.budget.count, "unit": stage.budget.unit},
            "optimizer": {naming.model(stage.learner): dict(stage.optimizer)},
            "max_length": stage.settings.get("max_length"),
            "result": naming.model(stage.learner),
            "seed": seed_of(self.seed, "training", chain(stage.model), int(stage.settings.get("seed") or 0)),
        }
        inputs |= {name: self.of(thing) for name, thing in naming.others.items()}
        names = {name: role.name for name, role in naming.models.items()}
        names |= {name: source.name or "rows" for name, source in naming.sources.items()}
        return Node("train", SEMANTICS["train"], settings, inputs, stage.name, names=names)


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
            for expression in term.loss.walk():
                for role in expression.models:
                    self.model(role)
        for source in list(self.sources.values()):
            for step in flow(source)[1]:
                if isinstance(step.inputs.get("model"), core.Role):
                    self.model(step.inputs["model"])  # type: ignore[arg-type]

    def model(self, role: core.Role) -> str:
        return _name(self.models, role, "m")

    def source(self, source: core.Source) -> str:
        return _name(self.sources, source, "s")

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
                base, steps = flow(value)
                document.setdefault("with", {})[name] = {
                    "base": self.other(base),
                    "steps": [self.step(each) for each in steps],
                }
            elif isinstance(value, core.Model):
                document[name] = self.other(value)
        return document

    def other(self, thing: core.Source | core.Model) -> str:
        return _name(self.others, thing, "x")

    def expression(self, expression: core.Expression) -> Json:
        document: dict[str, Json] = {"op": expression.op, "axes": sorted(expression.axes), **expression.fields}
        if expression.models:
            document["model"] = self.model(expression.models[0])
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


def chain(thing: core.Input) -> tuple[str, ...]:
    """The kinds of nodes on the way to a source or a model."""
    if isinstance(thing, core.Role):
        return chain(thing.init)
    first = next((thing.inputs[name] for name in ("init", "model", "rows", "0") if name in thing.inputs), None)
    before = chain(first) if first is not None and not isinstance(thing, core.Tokenizer) else ()
    return (*before, thing.kind)


# Slices ---------------------------------------------------------------------------------------------------------------


def interval(source: core.Source) -> tuple[float, float]:
    """The shares of the hash of a prompt between which the rows of a source lie."""
    below = rows_of(source)
    if source.kind == "slice":
        assert below is not None
        low, high = interval(below)
        width = high - low
        return (
            round(low + float(source.settings["from"]) * width, 12),
            round(low + float(source.settings["to"]) * width, 12),
        )
    if below is None or source.kind in ("prompts", "concat"):
        return (0.0, 1.0)
    return interval(below)


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
