"""What `ptc diagnose` measures of a model, as nodes: no new meaning, only observers of models and prompts.

The instrument comes first and by itself: where a verifier cannot tell right from wrong, nothing else is worth sampling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ptc.compiler import core
from ptc.compiler.graph import Graph, Json, Node
from ptc.compiler.lower import measuring
from ptc.compiler.meaning import SEMANTICS, Meanings, seed_of
from ptc.compiler.scorers import judges

SHARES = (0.0, 0.25, 0.5, 0.75)
"""Of a reference, given before a model goes on (engineering default)."""
GOING_ON = 8
"""Attempts from each share of a reference (engineering default)."""
WHOLE: Mapping[str, Json] = {"temperature": 1.0, "top_p": 1.0, "top_k": 0}
"""The model's own distribution: in it log-probabilities are those of the weights, and entropies say what they mean."""
ALTERED = ("min_p", "repetition_penalty", "scaffold")
"""Settings of an eval that would change what the model itself does."""


@dataclass(frozen=True)
class Wish:
    """What is to be measured."""

    program: core.Program
    eval: core.Eval
    model: core.Model
    name: str
    """What the model is called."""
    earlier: Mapping[str, core.Model] = field(default_factory=dict)
    """What it was before, by name, the latest first."""
    prompts: int = 64
    samples: int = 64
    references: str | None = None
    """The column of the eval's prompts that holds them; None where nothing does."""
    file: str | None = None
    """The file that holds them, instead."""


@dataclass(frozen=True)
class Measurements:
    """A graph, and which of its nodes says what."""

    graph: Graph
    informedness: str | None
    own: str = ""
    """Attempts of the model itself, at temperature 1."""
    deployed: str = ""
    """Attempts as the eval draws them; `own` where that is the same."""
    probe: str | None = None
    earlier: Mapping[str, str] = field(default_factory=dict)
    model: str = ""
    ancestors: Mapping[str, str] = field(default_factory=dict)
    """The earlier models themselves."""


def instrument(wish: Wish) -> Measurements:
    """The verifier alone; no model but those that judge is asked."""
    lowering = _Lowering.of(wish)
    tried = lowering.informedness() if lowering.known else None
    return Measurements(lowering.graph(tried), tried)


def measurements(wish: Wish) -> Measurements:
    """Everything, the instrument included."""
    lowering = _Lowering.of(wish)
    tried = lowering.informedness() if lowering.known else None
    model = lowering.meanings.of(wish.model)
    own = lowering.attempts(model, wish.name, deployed=False)
    deployed = lowering.attempts(model, wish.name, deployed=True)
    probe = lowering.probe(model) if lowering.known else None
    ancestors = {name: lowering.meanings.of(each) for name, each in wish.earlier.items()}
    earlier = {name: lowering.attempts(each, name, deployed=False) for name, each in ancestors.items()}
    graph = lowering.graph(tried, own, deployed, probe, *earlier.values())
    return Measurements(graph, tried, own, deployed, probe, earlier, model, ancestors)


@dataclass(frozen=True)
class _Lowering:
    """A wish on its way to nodes."""

    wish: Wish
    meanings: Meanings
    prompts: str
    references: Mapping[str, str]
    """The node that reads the file of references, if there is one."""
    judges: Mapping[str, str]

    @staticmethod
    def of(wish: Wish) -> _Lowering:
        meanings = Meanings(wish.program.seed)
        for stage in wish.program.stages:
            meanings.stages.update({id(model): stage for model in stage.results.values()})
        rows = {"rows": meanings.of(wish.eval.source)}
        few = Node("take", SEMANTICS["take"], {"count": wish.prompts}, rows, f"prompts of {wish.eval.name}")
        references = {}
        if wish.file is not None:
            kind = "parquet" if wish.file.endswith(".parquet") else "jsonl"
            settings = {"path": wish.file, "format": kind}
            references["references"] = meanings.add(Node("file", SEMANTICS["file"], settings, {}, "references"))
        asked = {name: meanings.of(model) for name, model in judges(wish.eval.scorers, standing=True).items()}
        return _Lowering(wish, meanings, meanings.add(few), references, asked)

    @property
    def known(self) -> bool:
        """Whether there are reference solutions."""
        return self.wish.references is not None or self.wish.file is not None

    def informedness(self) -> str:
        settings = {**self._scorers(), "references": self.wish.references}
        inputs = {"prompts": self.prompts, **self.references, **self.judges}
        return self._add("informedness", settings, inputs, f"verifier of {self.wish.eval.name}")

    def attempts(self, model: str, name: str, deployed: bool) -> str:
        """A `pass_rate` of as many attempts as are wished for, without any scaffold."""
        settings = {key: value for key, value in measuring(self.wish.eval).items() if key != "scaffold"}
        if not deployed:
            settings = {**{key: value for key, value in settings.items() if key not in ALTERED}, **WHOLE}
        settings |= {"n": self.wish.samples, "draw": 1, "seed": self._seed("attempts")}
        inputs = {"model": model, "prompts": self.prompts, **self.judges}
        return self._add("pass_rate", settings, inputs, f"{self.wish.eval.name} of {name}")

    def probe(self, model: str) -> str:
        settings = {
            **self._scorers(),
            **WHOLE,
            "max_tokens": self.wish.eval.settings["max_tokens"],
            "shares": list(SHARES),
            "n": GOING_ON,
            "seed": self._seed("references"),
            "references": self.wish.references,
        }
        inputs = {"model": model, "prompts": self.prompts, **self.references, **self.judges}
        return self._add("references", settings, inputs, f"references under {self.wish.name}")

    def graph(self, *roots: str | None) -> Graph:
        """What these nodes need, in order."""
        wanted = tuple(dict.fromkeys(root for root in roots if root is not None))
        needed: set[str] = set()
        waiting = list(wanted)
        while waiting:
            meaning = waiting.pop()
            if meaning not in needed:
                needed.add(meaning)
                waiting.extend(self.meanings.nodes[meaning].inputs.values())
        return Graph({key: node for key, node in self.meanings.nodes.items() if key in needed}, wanted)

    def _scorers(self) -> dict[str, Json]:
        return {
            name: self.wish.eval.settings[name] for name in ("verifier", "scorers") if name in self.wish.eval.settings
        }

    def _seed(self, purpose: str) -> int:
        own = int(self.wish.eval.settings.get("seed", 0))
        return seed_of(self.wish.program.seed, "diagnosing", (purpose,), own)

    def _add(self, kind: str, settings: dict[str, Json], inputs: dict[str, str], label: str) -> str:
        names = {"eval": self.wish.eval.name, "point": "diagnosis"}
        return self.meanings.add(Node(kind, SEMANTICS[kind], settings, inputs, label, names=names))
