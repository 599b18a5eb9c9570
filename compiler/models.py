"""Models and tokenizers: made from scratch, loaded from a folder or a hub, or left behind by a stage."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ptc.compiler import core, references, shapes
from ptc.compiler.arguments import Bound, Parameter, Signature, bind
from ptc.compiler.catalogue import Catalogue, Checkpoint
from ptc.compiler.derived import DERIVED, Derived
from ptc.compiler.evals import Evals
from ptc.compiler.findings import Absent, Findings, at
from ptc.compiler.flows import Flows, constants, dotted
from ptc.compiler.graph import Json
from ptc.compiler.scope import Scope
from ptc.lang import ast
from ptc.lang.suggest import closest

FAMILIES = ("qwen3", "llama")

MODELS = {
    "new.model": Signature(
        "new.model",
        (
            Parameter("family", "text", choices=FAMILIES),
            Parameter("hidden", "int", least=8),
            Parameter("layers", "int", least=1),
            Parameter("tokenizer", "tokenizer"),
            Parameter("heads", "int", None, least=1),
            Parameter("kv_heads", "int", None, least=1),
            Parameter("head_dim", "int", 32, least=8),
            Parameter("intermediate", "int", None, least=8),
            Parameter("context", "tokens", 2048, least=8),
            Parameter("tied", "flag", True),
            Parameter("rope_theta", "real", 10_000.0, least=1),
            Parameter("seed", "int", 0, least=0),
        ),
    ),
    "hf.model": Signature(
        "hf.model",
        (
            Parameter("name", "text"),
            Parameter("revision", "text", None),
            Parameter("context", "tokens", None, least=8),
            Parameter("aligned", "flag", False),
        ),
    ),
    "local.model": Signature("local.model", (Parameter("path", "text"), Parameter("aligned", "flag", False))),
    **DERIVED,
}

SCORING = ("ForSequenceClassification", "ForRewardModel", "RewardModel")
"""How architectures are called whose head gives one number per text."""

VALUING = "ForTokenClassification"
"""How architectures are called whose head gives one number per token."""

TOKENIZERS = {
    "characters": Signature("characters", (Parameter("source", "source"),)),
    "bpe": Signature("bpe", (Parameter("source", "source"), Parameter("vocabulary", "int", 2048, least=300))),
    "tokenizer": Signature("tokenizer", (Parameter("model", "model"),)),
}


@dataclass
class Models:
    """Elaborates model and tokenizer expressions in a scope."""

    catalogue: Catalogue
    findings: Findings
    flows: Flows
    evals: Evals
    derived: Derived = field(init=False)

    def __post_init__(self) -> None:
        self.derived = Derived(self.findings, self, self.evals)

    def model(self, expr: ast.Expr, scope: Scope) -> core.Model | None:
        """The model that an expression stands for: a path to one, a checkpoint of a stage, or a call that makes one."""
        found = self._model(expr, scope)
        if found is not None and not isinstance(expr, ast.Name):
            self.findings.typed.append(found)
        return found

    def _model(self, expr: ast.Expr, scope: Scope) -> core.Model | None:
        match expr:
            case ast.Call(callee=callee) if dotted(callee) in MODELS:
                return self._made(expr, dotted(callee), scope)
            case ast.At():
                return self.derived.chosen(expr, scope)
            case ast.Missing():
                return None
            case _ if references.is_path(expr):
                found = references.model(expr, scope)
                if isinstance(found, core.Role):
                    self._moves(expr, found)
                return found if isinstance(found, core.Model) else None
            case _:
                if not references.calls_recipe(expr, scope):
                    self._no_model(expr, scope)
                return None

    def _moves(self, expr: ast.Expr, role: core.Role) -> None:
        self.findings.add(
            "N107",
            f"`{role.name}` is a role of this stage, and a model that stands still is needed here",
            [at(expr.span, "changes while the stage runs"), at(role.span, "bound here")],
            helps=[f"name the model it starts from: {role.init.name}"] if role.init.name else [],
        )

    def _no_model(self, expr: ast.Expr, scope: Scope) -> None:
        name = dotted(expr.callee) if isinstance(expr, ast.Call) else ""
        if name in scope.unread:
            return
        guess = closest(name, (*MODELS, *scope.visible())) if name else None
        helps = [f"did you mean `{guess}`?"] if guess else []
        if name in self.catalogue.recipes:
            helps = [f"from std.recipes import {name}"]
        self.findings.add(
            "N107",
            "a model is needed here",
            [at(expr.span, "not a model")],
            [] if helps else [f"a model is a name, or made by {', '.join(f'`{word}(…)`' for word in MODELS)}"],
            helps,
        )

    def _made(self, call: ast.Call, name: str, scope: Scope) -> core.Model | None:
        if name in DERIVED:
            return self.derived.made(call, name, scope)
        signature = MODELS[name]
        bound = bind(signature, call.arguments, call.span, self.findings)
        settings = constants(signature, bound, scope)
        if name == "new.model":
            return self._new(call, bound, settings, scope)
        if settings is None or not bound.whole:
            return None
        return self._local(call, bound, settings) if name == "local.model" else self._hub(call, settings)

    def _new(self, call: ast.Call, bound: Bound, settings: dict[str, Json] | None, scope: Scope) -> core.Model | None:
        given = bound.given.get("tokenizer")
        tokenizer = self.tokenizer(given, scope) if given is not None else None
        if settings is None or tokenizer is None or not bound.whole:
            return None
        shape = with_default_shape(settings)
        if shape["heads"] % shape["kv_heads"]:
            place = bound.spans.get("heads", call.span)
            self.findings.add(
                "U204",
                f"{shape['heads']} heads cannot share {shape['kv_heads']} key-value heads",
                [at(place, "not a multiple")],
                helps=[f"kv_heads = {shape['heads']}"],
            )
            return None
        kind = core.ModelType(
            tokenizer,
            shape["context"],
            None,
            (),
            architecture=shape["family"],
            shape=shapes.from_settings(shape),
        )
        return core.Model("new_model", shape, {"tokenizer": tokenizer}, kind, call.span, places=dict(bound.spans))

    def _local(self, call: ast.Call, bound: Bound, settings: dict[str, Json]) -> core.Model | None:
        path = settings["path"]
        known = self.catalogue.models.get(path)
        if known is not None and known.problem:
            self.findings.add("D403", f'"{path}" is no usable model: {known.problem}', [at(bound.given["path"].span)])
            return None
        if known is None:
            self.findings.absent.append(Absent(path, "tokenizer and template", call.span, on_hub=False))
        document = {"path": path, "sha256": known.sha256 if known else None}
        kind = _type_of(known, call, settings["aligned"])
        return core.Model("local_model", document, {}, kind, call.span, places=dict(bound.spans))

    def _hub(self, call: ast.Call, settings: dict[str, Json]) -> core.Model:
        name, revision = settings["name"], settings["revision"]
        known = self.catalogue.hub_models.get(f"{name}@{revision}" if revision else name)
        if known is None or known.problem:
            self.findings.absent.append(Absent(name, "tokenizer and template", call.span, on_hub=True))
            known = None
        kind = _type_of(known, call, settings["aligned"])
        meant = known.revision if known is not None and known.revision else revision
        document = {"name": name, "revision": meant}
        if settings["context"] is not None:  # as the authors of many recipes change it before they train
            kind = replace(kind, context=settings["context"])
            document["context"] = settings["context"]
        return core.Model("hub_model", document, {}, kind, call.span)

    def tokenizer(self, expr: ast.Expr, scope: Scope) -> core.Tokenizer | None:
        """The tokenizer that an expression makes or names."""
        if not isinstance(expr, ast.Call) or dotted(expr.callee) not in TOKENIZERS:
            if not isinstance(expr, ast.Missing):
                self.findings.add(
                    "N107",
                    "a tokenizer is needed here",
                    [at(expr.span, "not a tokenizer")],
                    helps=["tokenizer = characters(tasks)", "tokenizer = tokenizer(base)"],
                )
            return None
        name = dotted(expr.callee)
        bound = bind(TOKENIZERS[name], expr.arguments, expr.span, self.findings)
        settings = constants(TOKENIZERS[name], bound, scope)
        if not bound.whole or settings is None:
            return None
        if name == "tokenizer":
            model = self.model(bound.given["model"], scope)
            if model is None:
                return None
            known = model.type.tokenizer
            return (
                known
                if known and known.kind != "files"
                else core.Tokenizer("tokenizer_of", {}, {"model": model}, expr.span)
            )
        rows = self.flows.source(bound.given["source"], scope)
        return core.Tokenizer(name, settings, {"rows": rows}, expr.span) if rows else None


def _type_of(known: Checkpoint | None, call: ast.Call, aligned: bool) -> core.ModelType:
    """What the header of a checkpoint says of the model; nothing, where it has not been read."""
    if known is None:
        return core.ModelType(None, None, None, (), aligned=aligned)
    tokenizer = core.Tokenizer("files", {"digest": known.tokenizer}, {}, call.span) if known.tokenizer else None
    return core.ModelType(
        tokenizer,
        known.context,
        known.parameters,
        (),
        template=known.template,
        end_of_sequence=known.end_of_sequence,
        head=_head(known.architecture or ""),
        architecture=known.architecture,
        vocabulary=known.vocabulary,
        dropout=known.dropout,
        shape=known.shape,
        aligned=aligned,
    )


def _head(architecture: str) -> str:
    if architecture.endswith(SCORING):
        return "reward"
    return "value" if architecture.endswith(VALUING) else "language"


def with_default_shape(settings: dict[str, Json]) -> dict[str, Json]:
    """Fills in what the width of a model implies: heads of `head_dim`, a gated feed-forward of 8/3 of the width."""
    shape = dict(settings)
    shape["heads"] = shape["heads"] or max(1, shape["hidden"] // shape["head_dim"])
    shape["kv_heads"] = shape["kv_heads"] or shape["heads"]
    shape["intermediate"] = shape["intermediate"] or max(8, (2 * shape["hidden"] + 3) // 6 * 8)
    return shape
