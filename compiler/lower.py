"""From the core to the graph: what has to be made, measured and decided, as nodes with meanings.

Stages become nodes that train; claims become measurements at entry and exit and a verdict over them; gates become
nodes that what they guard has to wait for. Observers (claims, gates, watches, reports) never enter the meaning of a
stage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

from ptc.compiler import core
from ptc.compiler.allowances import encloses
from ptc.compiler.following import begun, followed
from ptc.compiler.graph import Graph, Guard, Json, Node, Watch
from ptc.compiler.guards import usual
from ptc.compiler.lineage import Lineage, bare, beneath, root
from ptc.compiler.meaning import PURPOSE, SEMANTICS, Meanings, chain, passing, seed_of
from ptc.compiler.monitors import BY_NAME
from ptc.compiler.protecting import bound
from ptc.compiler.scorers import judges

GATE_PROMPTS = 64
WATCH_PROMPTS = 128
EVIDENCE_PROMPTS = 64
EVIDENT = ("pass_rate", "reward")
"""Kinds of evals on whose prompts there is evidence: one model writes, and attempts are scored one by one."""
GROUP = 8
"""The size of the group for which the rate of informative ones is given."""
OBSERVERS = ("pass_rate", "reward", "win_rate", "bits_per_character", "evidence", "claim", "gate")
AGAIN = ("replay", "refill")
"""Steps that draw for later batches: of a single draw they change nothing."""
SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
TOLERANCE = 0.1
"""Share of what was reached before that a reshaping or a consolidation may lose (engineering default)."""


@dataclass
class _Lowering:
    """A program on its way to nodes: what has become of it so far."""

    program: core.Program
    meanings: Meanings
    roots: list[str] = field(default_factory=list)
    gates: dict[str, list[str]] = field(default_factory=dict)
    """The nodes that a stage's node waits for, by its meaning."""
    watches: dict[str, tuple[Watch, ...]] = field(default_factory=dict)
    guards: dict[str, tuple[Guard, ...]] = field(default_factory=dict)

    @cached_property
    def lineage(self) -> Lineage:
        return Lineage(self.program)

    def measured(self, measured: core.Eval, model: core.Model, stage: core.Stage, point: str, draw: int = 1) -> str:
        """The node that takes an eval of a model. One model is measured once, however many stages ask."""
        settings = measuring(measured)
        inputs = {"model": self.meanings.of(model), **self._beside(measured)}
        if measured.scorers:
            inputs["prompts"] = self.meanings.of(measured.source)
            settings["draw"] = draw
            own = int(settings.pop("seed", 0))
            settings["seed"] = seed_of(self.program.seed, "measuring", (measured.kind, str(draw)), own)
        else:
            inputs["rows"] = self.meanings.of(measured.source)
        names = {"stage": stage.name, "eval": measured.name, "point": point, "model": model.name}
        label = f"{measured.name} of {model.name or 'model'}"
        return self.meanings.add(Node(measured.kind, SEMANTICS[measured.kind], settings, inputs, label, names=names))

    def _beside(self, measured: core.Eval) -> dict[str, str]:
        """The models that an eval needs besides the one that it measures."""
        models = judges(measured.scorers, standing=True)
        if measured.against is not None:
            models["against"] = measured.against
        return {name: self.meanings.of(model) for name, model in models.items()}

    def claim(self, stage: core.Stage, claim: core.Claim) -> str:
        """The verdict on a claim: entry against exit, or carrier against exit."""
        eval_ = claim.eval
        inputs = {"exit": self.measured(eval_, stage.model, stage, "exit")}
        attempts = 1 if measuring(eval_).get("scaffold") else int(eval_.settings.get("n", 1))
        settings: dict[str, Json] = {"role": claim.role, "k": attempts, "tolerance": TOLERANCE}
        if claim.role == "consolidates" and claim.carrier is not None:
            inputs["carrier"] = self.measured(eval_, claim.carrier, stage, "carrier")
        else:
            inputs["entry"] = self.measured(eval_, stage.learner.init, stage, "entry")
        if claim.role != "consolidates" and eval_.kind == "pass_rate":
            inputs["again"] = self.measured(eval_, stage.learner.init, stage, "entry, again", draw=2)
        names = {"stage": stage.name, "eval": eval_.name, "role": claim.role}
        label = f"{stage.name} {claim.role} {eval_.name}"
        return self.meanings.add(Node("claim", SEMANTICS["claim"], settings, inputs, label, names=names))

    def evidences(self, stage: core.Stage, claim: core.Claim) -> Iterator[str]:
        """Evidence behind a claim: at the exit, and at what the claim compares it with."""
        if claim.eval.kind in EVIDENT and stage.model.type.head == "language":
            yield self.evidence(stage, claim.eval, stage.model, "exit")
            if claim.role == "consolidates" and claim.carrier is not None:
                yield self.evidence(stage, claim.eval, claim.carrier, "carrier")
            else:
                yield self.evidence(stage, claim.eval, stage.learner.init, "entry")

    def evidence(self, stage: core.Stage, measured: core.Eval, model: core.Model, point: str) -> str:
        """What a model is like on a few prompts of an eval, against what its own stage and its line began with."""
        made_in = self.lineage.stage_of(model)
        start = model if made_in is None else bare(made_in.learner.init)
        rows = {"rows": self.meanings.of(measured.source)}
        few = Node("take", SEMANTICS["take"], {"count": EVIDENCE_PROMPTS}, rows, "evidence prompts")
        inputs = {
            "prompts": self.meanings.add(few),
            "model": self.meanings.of(model),
            "start": self.meanings.of(start),
            "root": self.meanings.of(root(model)),
            "counts": self.measured(measured, model, stage, point),
        }
        left_out = {"n", "scaffold", *(("verifier", "scorers") if judges(measured.scorers, standing=True) else ())}
        counted = self.meanings.nodes[inputs["counts"]].settings
        settings = {name: value for name, value in counted.items() if name not in left_out} | {"group": GROUP}
        names = {"stage": stage.name, "eval": measured.name, "point": point, "model": model.name}
        label = f"evidence of {measured.name} at {model.name or 'model'}"
        return self.meanings.add(Node("evidence", SEMANTICS["evidence"], settings, inputs, label, names=names))

    def gate(self, stage: core.Stage, gate: core.Gate) -> str:
        """A gate's node: a source is drawn once with the entry weights, an eval is measured at entry or exit."""
        what = gate.subject.kind if isinstance(gate.subject, core.Eval) else gate.measure
        text = (
            f"{gate.when} {what} {SIGNS[gate.op]} {gate.limit:g}"  # without the user's names: it is part of the meaning
        )
        settings = {"when": gate.when, "measure": gate.measure, "op": gate.op, "limit": gate.limit, "text": text}
        if isinstance(gate.subject, core.Eval):
            model = stage.learner.init if gate.when == "require" else stage.model
            inputs = {"counts": self.measured(gate.subject, model, stage, "gate")}
        elif isinstance(gate.subject, core.Model):
            model = stage.learner.init if gate.when == "require" else stage.model
            inputs = {
                "model": self.meanings.of(model),
                "reference": self.meanings.of(gate.subject),
                "rows": self._drawn_once(stage.terms[0].source, stage, gate.when),
            }
        else:
            inputs = {"rows": self._drawn_once(gate.subject, stage, gate.when)}
        names = {"stage": stage.name}
        return self.meanings.add(Node("gate", SEMANTICS["gate"], settings, inputs, gate.text, names=names))

    def _drawn_once(self, source: core.Source, stage: core.Stage, when: str) -> str:
        """A live source as fixed nodes: its flow on a few prompts, from the weights at the stage's entry or exit."""
        if source.live is None:
            return self.meanings.of(source)
        return self._drawn(source, stage, when)

    def _drawn(self, source: core.Source, stage: core.Stage, when: str) -> str:
        if source.live is None:
            rows = {"rows": self.meanings.of(source)}
            return self.meanings.add(Node("take", SEMANTICS["take"], {"count": GATE_PROMPTS}, rows, "gate prompts"))
        if source.kind in AGAIN:
            return self._drawn(passing(source), stage, when)
        settings = {key: value for key, value in source.settings.items() if key != "max_lag"}
        inputs: dict[str, str] = {}
        for name, value in source.inputs.items():
            if isinstance(value, core.Source):
                inputs[name] = self._drawn(value, stage, when)
            else:
                leaving = when == "ensure" and value is stage.learner
                inputs[name] = self.meanings.of(stage.model if leaving else value)
        if source.kind in PURPOSE:
            model = source.inputs.get("model")
            leaving = when == "ensure" and model is stage.learner
            drawn_from = stage.model if leaving else model if model is not None else source
            settings["seed"] = seed_of(self.program.seed, "gate", chain(drawn_from), int(settings.get("seed", 0)))
        return self.meanings.add(Node(source.kind, SEMANTICS[source.kind], settings, inputs, f"gate {source.kind}"))

    def protection(self, stage: core.Stage, protect: core.Protect, origin: core.Model) -> str:
        """A gate at the exit of a stage that is bound: what it has become against what it must keep, by prompt."""
        least = -protect.points / 100
        text = f"ensure change >= {least:g}"
        settings = {"when": "ensure", "measure": "change", "op": "ge", "limit": least, "text": text}
        inputs = {
            "counts": self.measured(protect.eval, stage.model, stage, "exit"),
            "before": self.measured(protect.eval, origin, stage, "protected"),
            "model": self.meanings.of(origin),
        }
        label = f"protect {protect.eval.name} within {protect.points:g} points from {origin.name or 'model'}"
        names = {"stage": stage.name}
        return self.meanings.add(Node("gate", SEMANTICS["gate"], settings, inputs, label, names=names))

    def stage(self, stage: core.Stage) -> str:
        """The node that trains, with the gates it waits for and the watches that look on."""
        trained = self.meanings.of(stage.model)
        self.gates[trained] = [self.gate(stage, gate) for gate in stage.gates if gate.when == "require"]
        self.watches[trained] = tuple(self._watch(watch) for watch in stage.watches)
        self.guards[trained] = (*self._warning(stage), *(guarding(guard, stops=True) for guard in stage.guards))
        return trained

    def _warning(self, stage: core.Stage) -> Iterator[Guard]:
        """The limits of every stage, but those that the program accepts or sets itself."""
        allowed = {allow.check for allow in self.program.allows if encloses(allow.scope, stage.span)}
        own = {(guard.measure, guard.about) for guard in stage.guards}
        for guard in usual(stage.terms, stage.watches):
            lowered = guarding(guard, stops=False)
            if lowered.monitor not in allowed and (guard.measure, guard.about) not in own:
                yield lowered

    def _watch(self, watch: core.Watch) -> Watch:
        """One sample on a few fixed prompts."""
        rows = {"rows": self.meanings.of(watch.eval.source)}
        few = Node("take", SEMANTICS["take"], {"count": WATCH_PROMPTS}, rows, "watch prompts")
        settings = {"kind": watch.eval.kind, **measuring(watch.eval)}
        if watch.eval.scorers:
            own = int(settings.get("seed", 0))
            settings |= {"n": 1, "seed": seed_of(self.program.seed, "watching", (watch.eval.kind,), own)}
        return Watch(watch.eval.name, watch.every, self.meanings.add(few), settings, self._beside(watch.eval))


def guarding(guard: core.Guard, stops: bool) -> Guard:
    """A guard in the graph: what the program writes has its place."""
    monitor = BY_NAME[guard.measure].monitor if guard.measure in BY_NAME else guard.measure
    about = guard.about.name if guard.about is not None else ""
    place = guard.span.line if stops else ""
    return Guard(monitor, guard.measure, guard.op, guard.limit, guard.over, about, stops, place)


def measuring(measured: core.Eval) -> dict[str, Json]:
    """The settings of an eval that are part of what it means: what it stands for, and a help that is none, are not."""
    return {
        name: value
        for name, value in measured.settings.items()
        if name != "tag" and not (name == "scaffold" and value in (None, "none"))
    }


def lower(program: core.Program) -> Graph:
    """The graph of a checked program."""
    lowering = _Lowering(program, Meanings(program.seed))
    meanings = lowering.meanings
    for stage in program.stages:
        meanings.stages.update({id(model): stage for model in stage.results.values()})
    needed, lineage = _needed(program), lowering.lineage
    for stage in program.stages:
        if stage not in needed:
            continue
        trained = lowering.stage(stage)
        lowering.roots.append(trained)
        lowering.roots.extend(lowering.claim(stage, claim) for claim in stage.claims)
        for claim in stage.claims:
            lowering.roots.extend(lowering.evidences(stage, claim))
        ensures = [lowering.gate(stage, gate) for gate in stage.gates if gate.when == "ensure"]
        ensures += [lowering.protection(stage, protect, origin) for protect, origin in bound(program, stage, lineage)]
        for ensured in ensures:
            lowering.roots.append(ensured)
            lowering.gates.setdefault(trained + " exit", []).append(ensured)
        reported = program.reports if stage.model.type.head == "language" else ()
        for each in (*reported, *followed(stage, lineage)):
            lowering.roots.append(lowering.measured(each, stage.model, stage, "exit"))
        for each in begun(stage, lineage):
            lowering.roots.append(lowering.measured(each, stage.learner.init, stage, "entry"))
    for export in program.exports:
        inputs = {"model": meanings.of(export.model)}
        settings = {"path": export.path, **_base_of_adapter(export.model)}
        node = Node("export", SEMANTICS["export"], settings, inputs, f"export {export.path}")
        lowering.roots.append(meanings.add(node))
    return Graph(_ordered(lowering), tuple(dict.fromkeys(lowering.roots)))


def _base_of_adapter(model: core.Model) -> dict[str, Json]:
    """The name by which anyone can load what is under a model's adapter."""
    base = beneath(model)
    if base is None or base.kind != "hub_model":
        return {}
    return {"base": {name: base.settings[name] for name in ("name", "revision")}}


def _needed(program: core.Program) -> list[core.Stage]:
    """The stages that an export depends on, and without an export all."""
    if not program.exports:
        return list(program.stages)
    stages = {id(model): stage for stage in program.stages for model in stage.results.values()}
    wanted: set[int] = set()
    seen: set[int] = set()
    waiting: list[core.Input] = [export.model for export in program.exports]
    while waiting:  # without recursion: a line of stages may be as long as the program
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        stage = stages.get(id(thing))
        if isinstance(thing, core.Role):
            waiting.append(thing.init)
        elif stage is None:
            waiting.extend(thing.inputs.values())
        elif id(stage) not in wanted:
            wanted.add(id(stage))
            waiting.extend(_needs(stage))
    return [stage for stage in program.stages if id(stage) in wanted]


def _needs(stage: core.Stage) -> Iterator[core.Input]:
    """What a stage learns from and is measured against."""
    yield from (role.init for role in stage.roles)
    for term in stage.terms:
        yield from (term.source, *term.sources.values())
    yield from (claim.carrier for claim in stage.claims if claim.carrier is not None)


def _upstream(lowering: _Lowering, gates: list[str]) -> set[str]:
    """Everything that these gates are measured on."""
    found: set[str] = set()
    waiting = list(gates)
    while waiting:
        meaning = waiting.pop()
        if meaning not in found:
            found.add(meaning)
            waiting.extend(lowering.meanings.nodes[meaning].inputs.values())
    return found


def _ordered(lowering: _Lowering) -> dict[str, Node]:
    """All nodes with what they wait for, every node behind its inputs and its gates."""
    # What a stage's own exit is measured on cannot wait for that exit. Gates of other exits cannot depend on it: what
    # is measured stands in the text before what is trained from it.
    measuring = {key: _upstream(lowering, gates) for key, gates in lowering.gates.items() if key.endswith(" exit")}
    nodes = {
        meaning: replace(
            node,
            after=tuple(
                gate
                for key in (meaning, *(f"{source} exit" for source in node.inputs.values()))
                for gate in lowering.gates.get(key, [])
                if key == meaning or (node.kind not in OBSERVERS and meaning not in measuring[key])
            ),
            watches=lowering.watches.get(meaning, ()),
            guards=lowering.guards.get(meaning, ()),
        )
        for meaning, node in lowering.meanings.nodes.items()
    }
    ordered: dict[str, Node] = {}

    def place(meaning: str) -> None:
        if meaning in ordered:
            return
        node = nodes[meaning]
        for before in (
            *node.inputs.values(),
            *node.after,
            *(meaning for watch in node.watches for meaning in watch.inputs),
        ):
            place(before)
        ordered[meaning] = node

    for meaning in nodes:
        place(meaning)
    return ordered
