"""Flows of trajectories: `gym(…) |> prompts(…) |> sample(…) |> score(…)`, with columns and provenance inferred.

Every step has one function here that gives the typed source it makes. Provenance is computed, never declared: a
`sample` from a role that the stage trains is live, from anything else fixed, and rows that nobody in this program
sampled are external.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ptc.compiler import core
from ptc.compiler.arguments import Bound, Parameter, Signature, bind, listed
from ptc.compiler.catalogue import Catalogue, Verifier
from ptc.compiler.findings import Findings, at
from ptc.compiler.graph import Json
from ptc.compiler.rows import check_column, in_words, ordered, row_expression
from ptc.compiler.scope import Scope
from ptc.compiler.values import UNKNOWN, Unknown, constant, read
from ptc.lang import ast
from ptc.lang.source import Span
from ptc.lang.suggest import closest

SAMPLING = (
    listed("sample", "temperature", "real", least=0),
    listed("sample", "top_p", "real", least=0, most=1),
    listed("sample", "top_k", "int", least=0),
    listed("sample", "max_tokens", "tokens", least=1),
)

ORIGINS = {
    "gym": Signature(
        "gym",
        (Parameter("task", "text"), Parameter("size", "int", least=1), Parameter("seed", "int", 42, least=0)),
        others="constant",
    ),
    "jsonl": Signature("jsonl", (Parameter("path", "text"),)),
    "parquet": Signature("parquet", (Parameter("path", "text"),)),
    "hf.dataset": Signature(
        "hf.dataset",
        (
            Parameter("name", "text"),
            Parameter("config", "text", None),
            Parameter("split", "text", "train"),
            Parameter("revision", "text", None),
        ),
    ),
}

STEPS = {
    "prompts": Signature("prompts", (Parameter("prompt", "row"),), others="row"),
    "slice": Signature("slice", (Parameter("from", "share"), Parameter("to", "share"))),
    "take": Signature("take", (Parameter("count", "int", least=1),)),
    "respond": Signature("respond", (Parameter("response", "row"),)),
    "keep": Signature("keep", (Parameter("where", "row"),)),
    "sample": Signature(
        "sample",
        (
            Parameter("model", "model"),
            listed("sample", "n", "int", least=1),
            *SAMPLING,
            listed("sample", "max_lag", "steps"),
            Parameter("seed", "int", 0, least=0),
        ),
    ),
    "shuffle": Signature("shuffle", (Parameter("column", "row"),)),
    "score": Signature("score", (Parameter("verifier", "verifier"),)),
}

LIVE_STEPS = ("score", "keep", "shuffle")
"""Steps through which rows can pass that are sampled while a stage runs."""

SYNONYMS = {
    "filter": "keep",
    "where": "keep",
    "reject": "keep",
    "select": "prompts",
    "map": "prompts",
    "rename": "prompts",
    "head": "take",
    "limit": "take",
    "first": "take",
    "split": "slice",
    "generate": "sample",
    "rollout": "sample",
    "verify": "score",
    "reward": "score",
    "grade": "score",
    "judge": "score",
    "complete": "respond",
    "answer": "respond",
}
"""What other libraries call the steps."""


@dataclass(frozen=True)
class Flows:
    """Elaborates source expressions in a scope."""

    catalogue: Catalogue
    findings: Findings

    def source(self, expr: ast.Expr, scope: Scope) -> core.Source | None:
        """The typed source that an expression stands for; None after a report."""
        match expr:
            case ast.Name():
                found = scope.look_up(expr, (core.Source,), "a source")
                return found if isinstance(found, core.Source) else None
            case ast.Pipe(value=value, step=step):
                rows = self.source(value, scope)
                return self._step(rows, step, scope)
            case ast.Binary(op="+", left=left, right=right):
                return self._concat(expr, self.source(left, scope), self.source(right, scope))
            case ast.Call():
                return self._origin(expr, scope)
            case ast.Missing():
                return None
            case _:
                self.findings.add("N107", "a source is needed here", [at(expr.span, "not a source")])
                return None

    # Origins ----------------------------------------------------------------------------------------------------------

    def _origin(self, call: ast.Call, scope: Scope) -> core.Source | None:
        name = dotted(call.callee)
        if name in STEPS:
            self.findings.add(
                "N107",
                f"`{name}` works on the rows of a source",
                [at(call.callee.span, "nothing flows in")],
                helps=[f"source |> {name}(…)"],
            )
            return None
        if name not in ORIGINS:
            self._unknown_function(call, name, (*ORIGINS, *STEPS))
            return None
        bound = bind(ORIGINS[name], call.arguments, call.span, self.findings)
        settings = constants(ORIGINS[name], bound, scope)
        if settings is None or not bound.whole:
            return None
        make = {"gym": self._gym, "hf.dataset": self._hub_dataset}.get(name)
        return make(call, settings) if make else self._file(call, name, settings, bound)

    def _gym(self, call: ast.Call, settings: dict[str, Json]) -> core.Source | None:
        task = settings["task"]
        columns = self.catalogue.tasks.get(task)
        if columns is None and self.catalogue.tasks:
            guess = closest(task, self.catalogue.tasks)
            self.findings.add(
                "N112",
                f'no task generator is called "{task}"',
                [at(call.arguments[0].span, "not known")],
                helps=[f'did you mean "{guess}"?'] if guess else [],
            )
            return None
        known = ("task", "size", "seed")
        document = {key: settings[key] for key in known}
        document["options"] = {key: value for key, value in settings.items() if key not in known}
        kind = core.Trajectories(ordered(set(columns or ())), open=columns is None)
        return core.Source("gym", document, {}, kind, call.span)

    def _file(self, call: ast.Call, form: str, settings: dict[str, Json], bound: Bound) -> core.Source | None:
        path = settings["path"]
        rows = self.catalogue.files.get(path)
        if rows is not None and rows.problem:
            place = bound.given["path"].span
            self.findings.add("D403", f'"{path}" cannot be read: {rows.problem}', [at(place, "named here")])
            return None
        document = {"path": path, "format": form, "sha256": rows.sha256 if rows else None}
        if rows is None:
            self._not_there(f'"{path}" is not here to be read: its columns are unknown', call)
            return core.Source("file", document, {}, core.Trajectories((), core.External(), open=True), call.span)
        return core.Source("file", document, {}, _outside(set(rows.columns), open=False), call.span)

    def _hub_dataset(self, call: ast.Call, settings: dict[str, Json]) -> core.Source:
        config, revision = settings["config"], settings["revision"]
        name = settings["name"] + (f":{config}" if config else "") + (f"@{revision}" if revision else "")
        rows = self.catalogue.hub_datasets.get(name)
        if rows is not None:
            return core.Source("hub_dataset", settings, {}, _outside(set(rows.columns), open=False), call.span)
        title = f'"{settings["name"]}" has not been fetched: its columns are unknown'
        self._not_there(title, call, *(() if self.catalogue.fetched else ("ptc check --data",)))
        return core.Source("hub_dataset", settings, {}, core.Trajectories((), core.External(), open=True), call.span)

    def _not_there(self, title: str, call: ast.Call, *helps: str) -> None:
        self.findings.add("D402", title, [at(call.span, "what uses its columns is not checked")], helps=helps)

    # Steps ------------------------------------------------------------------------------------------------------------

    def _step(self, rows: core.Source | None, step: ast.Expr, scope: Scope) -> core.Source | None:
        if not isinstance(step, ast.Call):
            if isinstance(step, ast.Missing):
                return None
            self.findings.add(
                "N107",
                "`|>` leads into a step",
                [at(step.span, "not a step")],
                helps=["|> keep(.reward == 1)"],
            )
            return None
        name = dotted(step.callee)
        if name not in STEPS:
            self._unknown_function(step, name, STEPS)
            return None
        bound = bind(STEPS[name], step.arguments, step.span, self.findings)
        if rows is None:
            return None
        make: Mapping[str, Callable[[core.Source, ast.Call, Bound, Scope], core.Source | None]] = {
            "prompts": self._prompts,
            "slice": self._slice,
            "take": self._take,
            "respond": self._respond,
            "keep": self._keep,
            "sample": self._sample,
            "shuffle": self._shuffle,
            "score": self._score,
        }
        if rows.live is not None and name not in LIVE_STEPS:
            self.findings.add(
                "N110",
                f"`{name}` on rows that are sampled while the stage runs is not in this version",
                [at(step.callee.span, "behind live samples"), at(rows.live.span, f"`{rows.live.name}` is trained")],
                [f"live samples can pass through {', '.join(f'`{word}`' for word in LIVE_STEPS)}"],
                [f"put it before the sampling:  … |> {name}(…) |> sample({rows.live.name}, …)"],
            )
            return None
        return make[name](rows, step, bound, scope) if bound.whole else None

    def _prompts(self, rows: core.Source, step: ast.Call, bound: Bound, scope: Scope) -> core.Source | None:
        columns = {"prompt": bound.given["prompt"], **bound.others}
        documents = {name: row_expression(expr, rows, scope) for name, expr in columns.items()}
        if any(isinstance(document, Unknown) for document in documents.values()):
            return None
        kind = core.Trajectories(ordered(set(documents)), _responded(documents, rows.type.provenance))
        return core.Source("prompts", {"columns": documents}, {"rows": rows}, kind, step.span)

    def _slice(self, rows: core.Source, step: ast.Call, bound: Bound, scope: Scope) -> core.Source | None:
        settings = constants(STEPS["slice"], bound, scope)
        if settings is None or not self._has_prompts(rows, step):
            return None
        if settings["from"] >= settings["to"]:
            self.findings.add(
                "U204",
                "a slice goes from a smaller share to a larger one",
                [at(step.span, "holds nothing")],
                helps=[f"slice({settings['to']:.0%}, {settings['from']:.0%})"]
                if settings["from"] > settings["to"]
                else [],
            )
            return None
        return core.Source("slice", settings, {"rows": rows}, rows.type, step.span)

    def _take(self, rows: core.Source, step: ast.Call, bound: Bound, scope: Scope) -> core.Source | None:
        settings = constants(STEPS["take"], bound, scope)
        if settings is None or not self._has_prompts(rows, step):
            return None
        return core.Source("take", settings, {"rows": rows}, rows.type, step.span)

    def _respond(self, rows: core.Source, step: ast.Call, bound: Bound, scope: Scope) -> core.Source | None:
        response = row_expression(bound.given["response"], rows, scope)
        if isinstance(response, Unknown) or not self._has_prompts(rows, step):
            return None
        columns = ordered({*rows.type.columns, "response"})
        kind = replace(rows.type, columns=columns, provenance=rows.type.provenance or core.External())
        return core.Source("respond", {"response": response}, {"rows": rows}, kind, step.span)

    def _keep(self, rows: core.Source, step: ast.Call, bound: Bound, scope: Scope) -> core.Source | None:
        where = row_expression(bound.given["where"], rows, scope)
        if isinstance(where, Unknown):
            return None
        kind = replace(rows.type, kept=(*rows.type.kept, in_words(where)))
        return core.Source("keep", {"where": where}, {"rows": rows}, kind, step.span)

    def _shuffle(self, rows: core.Source, step: ast.Call, bound: Bound, scope: Scope) -> core.Source | None:
        """The values of one column permuted among the rows: the control that keeps everything but the connection."""
        column = bound.given["column"]
        if not isinstance(column, ast.Column):
            self.findings.add(
                "N107", "`shuffle` takes a column", [at(column.span, "not a column")], helps=["|> shuffle(.reward)"]
            )
            return None
        if not check_column(column.name, column.span, rows, self.findings):
            return None
        kind = replace(rows.type, kept=(*rows.type.kept, f"{column.name} is shuffled"))
        return core.Source("shuffle", {"column": column.name}, {"rows": rows}, kind, step.span)

    def _sample(self, rows: core.Source, step: ast.Call, bound: Bound, scope: Scope) -> core.Source | None:
        model = self._sampled_model(bound.given["model"], scope)
        settings = constants(STEPS["sample"], bound, scope)
        if model is None or settings is None or not self._has_prompts(rows, step):
            return None
        lag = settings.pop("max_lag")
        if isinstance(model, core.Role) and model.verb != "freeze":
            provenance: core.Provenance = core.Live(model, lag)
            settings["max_lag"] = lag
        else:
            model = model.init if isinstance(model, core.Role) else model
            provenance = core.Fixed(model)
        columns = {*rows.type.columns, "group", "response", "logprobs"}
        shape = core.Sampling(
            settings["n"], settings["temperature"], settings["top_p"], settings["top_k"], settings["max_tokens"]
        )
        kind = core.Trajectories(ordered(columns), provenance, shape, open=rows.type.open)
        inputs = {"prompts": rows, "model": model}
        return core.Source("sample", settings, inputs, kind, step.span, places=dict(bound.spans))

    def _sampled_model(self, expr: ast.Expr, scope: Scope) -> core.Model | core.Role | None:
        if not isinstance(expr, ast.Name):
            self.findings.add("N107", "`sample` takes the name of a model", [at(expr.span, "not a name")])
            return None
        found = scope.look_up(expr, (core.Model, core.Role, core.Stage), "a model")
        if isinstance(found, core.Stage):
            return found.model
        return found if isinstance(found, core.Model | core.Role) else None

    def _score(self, rows: core.Source, step: ast.Call, bound: Bound, scope: Scope) -> core.Source | None:
        verifier = self.verifier(bound.given["verifier"], scope)
        if verifier is None:
            return None
        place = bound.given["verifier"].span
        if not all([check_column(column, place, rows, self.findings) for column in verifier.columns]):
            return None
        if rows.type.provenance is None and not rows.type.open:
            self._no_responses(step.span, "`score` judges responses", rows)
            return None
        kind = replace(rows.type, columns=ordered({*rows.type.columns, "reward"}))
        return core.Source("score", {"verifier": verifier_document(verifier)}, {"rows": rows}, kind, step.span)

    def _concat(self, expr: ast.Binary, left: core.Source | None, right: core.Source | None) -> core.Source | None:
        if left is None or right is None:
            return None
        live = left.live or right.live
        if live is not None:
            self.findings.add(
                "N110",
                "joining rows that are sampled while the stage runs is not in this version",
                [at(expr.span, "one of them is live"), at(live.span, f"`{live.name}` is trained")],
                helps=["give each its own objective:  minimize grpo(rollouts, policy) + sft(demos, policy)"],
            )
            return None
        columns = ordered(set(left.type.columns) & set(right.type.columns))
        parts = [kind.provenance for kind in (left.type, right.type) if kind.provenance is not None]
        provenance = None if not parts else parts[0] if len(set(map(str, parts))) == 1 else core.Mixed(tuple(parts))
        sampling = left.type.sampling if left.type.sampling == right.type.sampling else None
        kind = core.Trajectories(columns, provenance, sampling, open=left.type.open and right.type.open)
        return core.Source("concat", {}, {"0": left, "1": right}, kind, expr.span)

    def verifier(self, expr: ast.Expr, scope: Scope) -> Verifier | None:
        """The verifier that an expression names."""
        if not isinstance(expr, ast.Name):
            if not isinstance(expr, ast.Missing):
                self.findings.add("N107", "a verifier is needed here", [at(expr.span, "not a verifier")])
            return None
        found = scope.look_up(expr, (Verifier,), "a verifier")
        return found if isinstance(found, Verifier) else None

    def _has_prompts(self, rows: core.Source, step: ast.Call) -> bool:
        if rows.type.has("prompt"):
            return True
        self.findings.add(
            "T101",
            "these rows have no prompts yet",
            [at(step.span, "works on prompts"), at(rows.span, "the rows come from here")],
            [f"their columns are {', '.join(f'`{column}`' for column in rows.type.columns)}"],
            ["|> prompts(.question, answer = .answer)"],
        )
        return False

    def _no_responses(self, span: Span, title: str, rows: core.Source) -> None:
        self.findings.add(
            "T106",
            f"{title}, and these rows have none",
            [at(span, "no responses here"), at(rows.span, "prompts only")],
            helps=["|> sample(policy, n = 8, max_tokens = 64)", "|> respond(.answer)"],
        )

    def _unknown_function(self, call: ast.Call, name: str, known: Mapping[str, object] | tuple[str, ...]) -> None:
        guess = closest(name, known) or SYNONYMS.get(name)
        code = "N108" if known is STEPS else "N101"
        what = "no step of a flow" if known is STEPS else "nothing that makes a source"
        self.findings.add(
            code,
            f"{what} is called `{name}`",
            [at(call.callee.span, "not known")],
            [] if guess else [f"there are {', '.join(f'`{word}`' for word in known)}"],
            [f"did you mean `{guess}`?"] if guess else [],
        )


def dotted(expr: ast.Expr) -> str:
    """``new.model`` as one word; a callee that is no name is ``…``."""
    match expr:
        case ast.Name(id=name):
            return name
        case ast.Member(base=base, name=name):
            return f"{dotted(base)}.{name.id}"
        case _:
            return "…"


def constants(signature: Signature, bound: Bound, scope: Scope) -> dict[str, Json] | None:
    """The constant arguments of a call with defaults filled in; None after a report."""
    values: dict[str, Json] = {}
    for parameter in signature.parameters:
        if parameter.kind in ("row", "model", "source", "verifier", "tokenizer"):
            continue
        given = bound.given.get(parameter.name)
        values[parameter.name] = parameter.default if given is None else read(parameter, given, scope)
    if signature.others == "constant":
        for name, expr in bound.others.items():
            values[name] = _constant_or_list(expr, scope)
    return None if any(value is UNKNOWN or value is ... for value in values.values()) else values


def _constant_or_list(expr: ast.Expr, scope: Scope) -> Json | Unknown:
    if isinstance(expr, ast.List):
        items = [constant(item, scope) for item in expr.items]
        return UNKNOWN if any(isinstance(item, Unknown) for item in items) else items
    return constant(expr, scope)


def verifier_document(verifier: Verifier) -> Json:
    return {"name": verifier.name, "options": {}}


def _outside(columns: set[str], open: bool) -> core.Trajectories:
    """Rows from outside: external as soon as they hold responses."""
    responded = columns & {"response", "completion", "chosen", "messages", "text"}
    return core.Trajectories(ordered(columns), core.External() if responded else None, open=open)


def _responded(columns: Mapping[str, Json], inherited: core.Provenance | None) -> core.Provenance | None:
    responded = set(columns) & {"response", "chosen", "rejected"}
    return (inherited or core.External()) if responded else None
