"""Models made from models: merges, adapters, heads, another template, and checkpoints of a stage."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ptc.compiler import core, references
from ptc.compiler.arguments import Bound, Parameter, Signature, bind, listed
from ptc.compiler.calls import constants, dotted
from ptc.compiler.catalogue import Template
from ptc.compiler.evals import Evals
from ptc.compiler.findings import Findings, at
from ptc.compiler.graph import Json
from ptc.compiler.merging import MERGE, Merging
from ptc.compiler.scope import Scope
from ptc.compiler.values import Unknown, read
from ptc.lang import ast
from ptc.lang.source import Span
from ptc.lang.suggest import closest

if TYPE_CHECKING:
    from ptc.compiler.models import Models

DERIVED = {
    "merge": MERGE,
    "lora": Signature(
        "lora",
        (
            Parameter("base", "model"),
            listed("lora", "rank", "int", least=1),
            listed("lora", "alpha", "real", least=0),
            listed("lora", "dropout", "share"),
            listed("lora", "targets", "targets"),
        ),
    ),
    "merge_adapter": Signature("merge_adapter", (Parameter("model", "model"),)),
    "value_head": Signature("value_head", (Parameter("model", "model"),)),
    "reward_head": Signature("reward_head", (Parameter("model", "model"),)),
    "retemplate": Signature(
        "retemplate", (Parameter("model", "model"), Parameter("template", "text"), Parameter("end", "text", None))
    ),
}
UNSEEN = ("hub_model", "local_model", "parameter")
"""Kinds of models that may be anything."""
CHOICES = {
    "best": Signature("best", (Parameter("eval", "eval"),)),
    "step": Signature("step", (Parameter("number", "int", least=1),)),
}


@dataclass
class Derived:
    """Elaborates models that are made from other models."""

    findings: Findings
    models: Models
    evals: Evals
    trained: dict[int, core.Stage] = field(default_factory=dict)
    """The stage of each model that a stage left behind, by the model's identity."""
    _chosen: dict[tuple[int, str, object], core.Model] = field(default_factory=dict)

    def learn(self, stage: core.Stage) -> None:
        """Remembers a stage as what its models were trained in."""
        self.trained.update({id(model): stage for model in stage.results.values()})

    def made(self, call: ast.Call, name: str, scope: Scope) -> core.Model | None:
        """The model that a call of one of `DERIVED` makes; None after a report."""
        signature = DERIVED[name]
        bound = bind(signature, call.arguments, call.span, self.findings)
        if name == "merge":
            return Merging(self.findings, self.models).merge(call, bound, scope)
        given = bound.given.get(signature.parameters[0].name)
        base = self.models.model(given, scope) if given is not None else None
        if base is None or not bound.whole:
            return None
        match name:
            case "lora":
                return self._adapted(call, bound, base, scope)
            case "merge_adapter":
                return self._merged_adapter(call, base)
            case "retemplate":
                return self._retemplated(call, bound, base, scope)
            case _:
                return self._headed(call, bound, base, name.removesuffix("_head"))

    # Adapters, heads, templates ---------------------------------------------------------------------------------------

    def _adapted(self, call: ast.Call, bound: Bound, base: core.Model, scope: Scope) -> core.Model | None:
        plain = Signature("lora", tuple(each for each in DERIVED["lora"].parameters if each.kind != "targets"))
        settings = constants(plain, bound, scope)
        targets = self._targets(bound.given.get("targets"), scope)
        if settings is None or targets is None:
            return None
        if base.type.adapter is not None:
            self.findings.add(
                "N107",
                f"`{base.name or 'this model'}` has an adapter already",
                [at(bound.given["base"].span, "a second adapter"), at(base.span, "has one")],
                ["training goes on with the one that is there"],
                [f"lora(merge_adapter({base.name or '…'}))"],
            )
            return None
        document: dict[str, Json] = {**settings, "targets": targets}
        adapter = tuple(sorted((key, _hashable(value)) for key, value in document.items()))
        return _made("lora", document, base, call.span, bound.spans, adapter=adapter)

    def _targets(self, expr: ast.Expr | None, scope: Scope) -> Json | None:
        """``"all-linear"``, or a list of the modules' names."""
        if expr is None:
            return "all-linear"
        items = expr.items if isinstance(expr, ast.List) else (expr,)
        names = [read(Parameter("targets", "text"), item, scope) for item in items]
        if any(isinstance(name, Unknown) for name in names):
            return None
        if not isinstance(expr, ast.List):
            return names[0]
        if names:
            return names
        self.findings.add("U204", "`targets` names no module", [at(expr.span, "empty")], helps=['targets = ["q_proj"]'])
        return None

    def _merged_adapter(self, call: ast.Call, base: core.Model) -> core.Model | None:
        if base.type.adapter is None and base.kind not in UNSEEN:
            self.findings.add(
                "N107",
                f"`{base.name or 'this model'}` has no adapter to merge",
                [at(call.span, "merges what?"), at(base.span, "full weights")],
                helps=[f"train policy = lora({base.name or '…'})"],
            )
            return None
        return _made("merge_adapter", {}, base, call.span, {}, adapter=None)

    def _retemplated(self, call: ast.Call, bound: Bound, base: core.Model, scope: Scope) -> core.Model | None:
        settings = constants(DERIVED["retemplate"], bound, scope)
        if settings is None:
            return None
        template = self._template(settings["template"], bound.given["template"])
        if template is None:
            return None
        end = settings["end"] or template.end
        document = {"template": template.text} | ({"end": end} if end else {})
        changed: dict[str, object] = {"template": hashlib.sha256(template.text.encode()).hexdigest()}
        if end:
            changed["end_of_sequence"] = (end,)
        return _made("retemplate", document, base, call.span, bound.spans, **changed)

    def _template(self, written: str, expr: ast.Expr) -> Template | None:
        """A template by its name in the library, or as the Jinja text itself."""
        known = self.models.catalogue.templates
        if written in known:
            return known[written]
        if "{{" in written or "{%" in written:
            return Template(written, None)
        guess = closest(written, known)
        self.findings.add(
            "N101",
            f'no chat template is called "{written}"',
            [at(expr.span, "not known")],
            [f"there are {', '.join(known)}; a template of one's own is its Jinja text"],
            [f'did you mean "{guess}"?'] if guess else [],
        )
        return None

    def _headed(self, call: ast.Call, bound: Bound, base: core.Model, head: str) -> core.Model | None:
        if base.type.head == head:
            self.findings.add(
                "N107",
                f"`{base.name or 'this model'}` has a {head} head already",
                [at(bound.given["model"].span, "a second one"), at(base.span, f"ends in a {head} head")],
                helps=[base.name] if base.name else [],
            )
            return None
        return _made(f"{head}_head", {}, base, call.span, bound.spans, head=head)

    # Checkpoints ------------------------------------------------------------------------------------------------------

    def chosen(self, expr: ast.At, scope: Scope) -> core.Model | None:
        """``stage @ best(skill)``, ``stage @ step(200)``: another checkpoint than the last."""
        model = self._last(expr.base, scope)
        name = dotted(expr.which.callee)
        if name not in CHOICES:
            guess = closest(name, CHOICES)
            self.findings.add(
                "N101",
                f"no way to choose a checkpoint is called `{name}`",
                [at(expr.which.span, "not known")],
                helps=[f"did you mean `{guess}`?"] if guess else ["@ best(skill)", "@ step(200)"],
            )
            return None
        bound = bind(CHOICES[name], expr.which.arguments, expr.which.span, self.findings)
        if model is None or not bound.whole:
            return None
        stage = self.trained[id(model)]
        path = dotted(expr.base)
        if name == "step":
            return self._at_step(expr, path, model, stage, bound, scope)
        return self._at_best(expr, path, model, stage, bound, scope)

    def _last(self, base: ast.Expr, scope: Scope) -> core.Model | None:
        """What the stage, or its role, has become in the end."""
        found = references.model(base, scope)
        if found is None or id(found) in self.trained:
            return found if isinstance(found, core.Model) else None
        self.findings.add(
            "N107",
            "`@` chooses among the checkpoints of a stage",
            [at(base.span, "not the result of a stage"), at(found.span, "declared here")],
            helps=["stage_name @ best(skill)"],
        )
        return None

    def _at_step(
        self, expr: ast.At, path: str, model: core.Model, stage: core.Stage, bound: Bound, scope: Scope
    ) -> core.Model | None:
        given = bound.given["number"]
        if isinstance(given, ast.Number) and given.unit in ("step", "steps"):
            given = replace(given, unit=None)
        number = read(CHOICES["step"].parameters[0], given, scope)
        if not isinstance(number, int):
            return None
        if stage.budget.unit == "steps" and number > stage.budget.count:
            self.findings.add(
                "U204",
                f"`{stage.name}` has {stage.budget.count} steps, and step {number} is not among them",
                [at(given.span, "after its end"), at(stage.places.get("budget", stage.span), "its budget")],
                helps=[f"{path} @ step({stage.budget.count})"],
            )
            return None
        return self._checkpoint(expr, f"{path} @ step({number})", model, "step", number, {"step": number})

    def _at_best(
        self, expr: ast.At, path: str, model: core.Model, stage: core.Stage, bound: Bound, scope: Scope
    ) -> core.Model | None:
        measured = self.evals.named(bound.given["eval"], scope)
        if measured is None:
            return None
        watch = next((watch for watch in stage.watches if watch.eval is measured), None)
        if watch is None:
            others = [f"{path} @ best({watch.eval.name})" for watch in stage.watches[:2]]
            self.findings.add(
                "N124",
                f"`{stage.name}` does not watch `{measured.name}`: none of its steps is known to be the best",
                [at(bound.given["eval"].span, "not measured while it trains"), at(stage.span, "the stage")],
                helps=[f"watch {measured.name} every 20 steps", *others],
            )
            return None
        best = {"every": watch.every, "eval": {"kind": measured.kind, **measured.settings}}
        chosen = self._checkpoint(
            expr, f"{path} @ best({measured.name})", model, "best", id(measured), {"best": best}, measured
        )
        return chosen

    def _checkpoint(
        self,
        expr: ast.At,
        name: str,
        model: core.Model,
        how: str,
        which: object,
        settings: Mapping[str, Json],
        measured: core.Eval | None = None,
    ) -> core.Model:
        """One model however often it is written, as the stage itself is."""
        key = (id(model), how, which)
        if key not in self._chosen:
            inputs: dict[str, core.Input] = {"stage": model}
            if measured is not None:
                inputs["prompts"] = measured.source
            kind = replace(model.type, ancestry=(model, *model.type.ancestry))
            self._chosen[key] = core.Model("checkpoint", settings, inputs, kind, expr.span, name)
        return self._chosen[key]


def _made(
    kind: str, settings: Mapping[str, Json], base: core.Model, span: Span, places: Mapping[str, Span], **changed: object
) -> core.Model:
    """A model that is `base` but for what is said."""
    type_ = replace(base.type, ancestry=(base, *base.type.ancestry), **changed)  # type: ignore[arg-type]
    return core.Model(kind, settings, {"init": base}, type_, span, places=dict(places))


def _hashable(value: Json) -> Json:
    return tuple(value) if isinstance(value, list) else value
