"""What the library offers for a bottleneck: a stage in the user's own names, to paste behind the program.

Every text is put behind the program and checked before it is offered; of several sources to learn from the first is
taken with which the program has no error and nothing of the eval is trained on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ptc import api
from ptc.compiler import core
from ptc.compiler.graph import Json
from ptc.diagnosis.decision import Decision
from ptc.diagnosis.subjects import Named, Subject
from ptc.runtime.artifacts import Artifact

LEARNING_RATE, FROM_SCRATCH = 1e-5, 1e-3
"""Where the program has no stage whose rate could be taken (the library's recipes, and for a small new model)."""
SMALL = 512
"""Width below which a model is a small one (engineering default)."""
LEAKS = ("P204",)
"""Findings that say that the eval is trained on."""
Check = Callable[[str], api.CheckResult]


@dataclass(frozen=True)
class Remedy:
    """What to do in a sentence, the import that goes to the top of the program, and what goes to its end."""

    words: str
    imports: str
    text: str

    def behind(self, program: str) -> str:
        """The program with the remedy in it."""
        lines = program.rstrip().splitlines()
        at = next((place + 1 for place, line in enumerate(lines) if line.startswith("edition")), 0)
        added = [line for line in self.imports.splitlines() if line]
        return "\n".join([*lines[:at], *added, *lines[at:], "", self.text, ""])


def remedy(decision: Decision, names: Names, check: Check) -> Remedy | None:
    """The first offer that checks; None where nothing is to be done, or nothing that a stage could do."""
    for offered in _offers(decision, names):
        checked = check(offered.behind(names.text))
        leaks = any(one.code in LEAKS for one in checked.diagnostics)
        if checked.sound and not leaks:
            return offered
    return None


def _offers(decision: Decision, names: Names) -> Iterator[Remedy]:
    match decision.bottleneck:
        case "instrument" if decision.reasons[0].words.startswith("right answers"):
            yield from names.imitating("in_form", "imitate answers in the form that the verifier reads", "")
        case "instrument":
            yield names.another_verifier()
        case "format":
            yield from names.imitating("in_form", "imitate a few answers in the form that is read", "")
        case "support":
            yield from names.imitating("reached", "demonstrations of the prompts that it never solves", "expands")
        case "capacity":
            yield from names.larger()
        case "reshaping":
            yield from names.reinforced("chosen", "learn from verified attempts of its own", names.model, None)
        case "consolidation" if names.before is not None:
            yield from names.kept(names.before)
        case "collapsed" if names.before is not None:
            words = f"go back to `{names.before.name}`, and stay near it: a smaller step, and a price for leaving"
            yield from names.reinforced("anchored", words, names.before.text, names.before)


@dataclass(frozen=True)
class Names:
    """The user's own names, as a program writes them."""

    subject: Subject
    program: core.Program
    text: str
    artifact: Artifact | None

    @property
    def model(self) -> str:
        return self.subject.model.text

    @property
    def eval(self) -> str:
        return self.subject.eval.name

    @property
    def before(self) -> Named | None:
        """The checkpoint to go back to: the latest that was named."""
        return self.subject.earlier[0] if self.subject.earlier else None

    @property
    def verifier(self) -> str:
        span = self.subject.eval.places.get("verifier")
        return (
            self.text[span.start : span.end].partition("=")[2].strip() or self.text[span.start : span.end]
            if span
            else "exact"
        )

    @property
    def length(self) -> int:
        return int(self.subject.eval.settings.get("max_tokens", 256))

    @property
    def rate(self) -> float:
        rates = [stage.optimizer.get("lr") for stage in self.program.stages if stage.learner.type.head == "language"]
        known = [rate for rate in rates if isinstance(rate, int | float)]
        if known:
            return float(min(known))
        return FROM_SCRATCH if int(self.config.get("hidden_size", SMALL)) < SMALL else LEARNING_RATE

    @property
    def config(self) -> dict[str, Json]:
        """The shape of the model; empty before it has been opened."""
        if self.artifact is None:
            return {}
        found: dict[str, Json] = json.loads((self.artifact.path / "config.json").read_text(encoding="utf-8"))
        return found

    def fresh(self, name: str) -> str:
        """A name that the program does not have."""
        taken = set(re.findall(r"\w+", self.text))
        return name if name not in taken else next(f"{name}_{n}" for n in range(2, 1000) if f"{name}_{n}" not in taken)

    def declared(self, model: Named) -> tuple[str, str]:
        """A declaration of a model that the program does not name, one for all who use it, and its name."""
        if model.text.isidentifier():
            return "", model.text
        name = self.fresh("before")
        return f"model {name} = {model.text}\n\n", name

    def imports(self, *objectives: str) -> str:
        """The imports that the program lacks."""
        known = set(re.findall(r"\w+", " ".join(re.findall(r"from std\.objectives\s+import ([^\n]*)", self.text))))
        missing = [name for name in objectives if name not in known]
        return f"from std.objectives import {', '.join(missing)}" if missing else ""

    def sources(self) -> Iterator[str]:
        """What prompts there are to learn from: sources that stages learn from first, then whatever the eval leaves."""
        measured = {id(each) for each in self.subject.eval.source.upstream()}
        named = [each for each in self.program.sources if each.name and each.live is None and each.type.has("prompt")]
        fit = [each for each in named if each is not self.subject.eval.source and each.type.provenance is None]
        yield from (each.name for each in fit if id(each) not in measured)
        if self.subject.eval.source.name:
            yield from (
                f"{each.name} |> without({self.subject.eval.source.name})" for each in fit if id(each) in measured
            )

    def imitating(self, name: str, words: str, role: str) -> Iterator[Remedy]:
        stage, rows = self.fresh(name), self.fresh("shown")
        claim = f" {role} {self.eval}" if role else ""
        for source in self.sources():
            yield Remedy(
                words,
                self.imports("sft"),
                f"source {rows} = {source} |> respond(.answer)\n\n"
                f"stage {stage}{claim} {{\n  train policy = {self.model}\n  minimize sft({rows}, policy)\n"
                f"  optimizer = adamw(lr = {self.rate:g})\n  batch     = 32 samples\n  budget    = 300 steps\n}}",
            )

    def reinforced(self, name: str, words: str, model: str, anchor: Named | None) -> Iterator[Remedy]:
        stage, rows = self.fresh(name), self.fresh("rollouts")
        declared, frozen = "", ""
        if anchor is not None:
            declared, model = self.declared(anchor)
            frozen = f"  freeze anchor = {model}\n"
        loss = f"grpo({rows}, policy, reference = anchor, kl = 0.02)" if anchor is not None else f"grpo({rows}, policy)"
        rate = self.rate / (10 if anchor is not None else 2)
        for source in self.sources():
            yield Remedy(
                words,
                self.imports("grpo"),
                f"{declared}stage {stage} reshapes {self.eval} {{\n  train policy = {model}\n{frozen}"
                f"  source {rows} = {source}\n    |> sample(policy, n = 8, max_tokens = {self.length})\n"
                f"    |> score({self.verifier})\n  require informative_rate({rows}) >= 10%\n  minimize {loss}\n"
                f"  optimizer = adamw(lr = {rate:g})\n  batch     = 32 prompts\n  budget    = 200 steps\n}}",
            )

    def kept(self, carrier: Named) -> Iterator[Remedy]:
        stage, rows = self.fresh("restored"), self.fresh("remembered")
        declared, before = self.declared(carrier)
        for source in self.sources():
            yield Remedy(
                f"imitate what `{carrier.name}` got right, and protect it from there on",
                self.imports("sft"),
                f"{declared}source {rows} = {source}\n  |> sample({before}, n = 2, max_tokens = {self.length})\n"
                f"  |> score({self.verifier})\n  |> keep(.reward == 1)\n\n"
                f"stage {stage} consolidates {self.eval} from {before} {{\n  train policy = {self.model}\n"
                f"  minimize sft({rows}, policy)\n  optimizer = adamw(lr = {self.rate:g})\n"
                f"  batch     = 32 samples\n  budget    = 300 steps\n}}\n\n"
                f"protect {self.eval} within 2 points from {stage}",
            )

    def larger(self) -> Iterator[Remedy]:
        stage, rows, model = self.fresh("grown"), self.fresh("shown"), self.fresh("larger")
        for source in self.sources():
            yield Remedy(
                "the same demonstrations in a larger model (of a pretrained one: its larger sister)",
                self.imports("sft"),
                f"model {model} = {self._twice()}\nsource {rows} = {source} |> respond(.answer)\n\n"
                f"stage {stage} expands {self.eval} {{\n  train policy = {model}\n  minimize sft({rows}, policy)\n"
                f"  optimizer = adamw(lr = {FROM_SCRATCH:g})\n  batch     = 32 samples\n  budget    = 1_000 steps\n}}",
            )

    def _twice(self) -> str:
        """A new model of four times the width and one more layer, with the same tokenizer."""
        config = self.config
        heads = int(config.get("num_attention_heads", 4))
        width = 4 * int(config.get("hidden_size", 64))
        return (
            f'new.model(\n  "qwen3",\n  hidden = {width},\n  layers = {int(config.get("num_hidden_layers", 2)) + 1},\n'
            f"  heads = {max(heads, 4)},\n  tokenizer = tokenizer({self.model}),\n)"
        )

    def another_verifier(self) -> Remedy:
        verifier, measured = self.fresh("judged"), self.fresh("mended")
        source = self.subject.eval.source.name or "held_out"
        return Remedy(
            "another verifier (`exact`, `math`, or your own Python), measured on the same prompts",
            "",
            f'extern verifier {verifier}(response: Text, answer: Text) -> Real = "my_lab.verify:run"\n'
            f"eval {measured} = pass_rate({source}, {verifier}, n = 16, max_tokens = {self.length})",
        )
