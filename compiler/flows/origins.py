"""Where rows come from: generators of tasks, files, data sets on the hub, sources written in Python."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

from ptc.compiler import core
from ptc.compiler.arguments import Bound, bind
from ptc.compiler.calls import constants
from ptc.compiler.catalogue import Catalogue, Rows
from ptc.compiler.findings import Absent, Findings, at
from ptc.compiler.flows.conventions import outside
from ptc.compiler.flows.signatures import ORIGINS
from ptc.compiler.graph import Json
from ptc.compiler.rows import ordered
from ptc.compiler.scope import ExternSource, Scope
from ptc.lang import ast
from ptc.lang.suggest import closest

NOWHERE: frozenset[str] = frozenset()


def origin(call: ast.Call, name: str, scope: Scope, catalogue: Catalogue) -> core.Source | None:
    """The source that a call such as ``jsonl("pairs.jsonl")`` makes; None after a report."""
    bound = bind(ORIGINS[name], call.arguments, call.span, scope.findings)
    settings = constants(ORIGINS[name], bound, scope)
    if settings is None or not bound.whole:
        return None
    match name:
        case "gym":
            return _gym(call, settings, bound, catalogue, scope.findings)
        case "hf.dataset":
            return _hub_dataset(call, settings, bound, catalogue, scope.findings)
        case form:
            return _file(call, form, settings, bound, catalogue, scope.findings)


def _gym(
    call: ast.Call, settings: dict[str, Json], bound: Bound, catalogue: Catalogue, findings: Findings
) -> core.Source | None:
    task = settings["task"]
    columns = catalogue.tasks.get(task)
    if columns is None and catalogue.tasks:
        guess = closest(task, catalogue.tasks)
        findings.add(
            "N112",
            f'no task generator is called "{task}"',
            [at(call.arguments[0].span, "not known")],
            helps=[f'did you mean "{guess}"?'] if guess else [],
        )
        return None
    known = ("task", "size", "seed")
    document = {key: settings[key] for key in known}
    document["options"] = {key: value for key, value in settings.items() if key not in known}
    texts = tuple((name, "Text") for name in ("question", "answer", "entry") if name in (columns or ()))
    kind = core.Trajectories(ordered(set(columns or ())), open=columns is None, column_types=texts)
    return core.Source("gym", document, {}, kind, call.span, places=dict(bound.spans))


FORMS = {".parquet": "parquet", ".jsonl": "jsonl", ".json": "jsonl"}
"""What reads a file, by the end of its name."""


def _file(
    call: ast.Call, form: str, settings: dict[str, Json], bound: Bound, catalogue: Catalogue, findings: Findings
) -> core.Source | None:
    path, by = settings["path"], settings["by"]
    rows = catalogue.files.get(path)
    if rows is not None and rows.problem:
        place = bound.given["path"].span
        findings.add("D403", f'"{path}" cannot be read: {rows.problem}', [at(place, "named here")])
        return None
    named_after = FORMS.get(PurePosixPath(path).suffix, form)
    if named_after != form:
        label, instead = at(call.callee.span, "reads another form"), f'{named_after}("{path}")'
        findings.add("D403", f'`{form}` does not read "{path}"', [label], helps=[instead])
        return None
    document = {"path": path, "format": form, "sha256": rows.sha256 if rows else None}
    if rows is None:
        findings.absent.append(Absent(path, "columns", call.span, on_hub=False))
        kind = outside(NOWHERE, by, open=True)
    else:
        kind = _known(rows, by)
    return core.Source("file", document, {}, kind, call.span, places=dict(bound.spans))


def _hub_dataset(
    call: ast.Call, settings: dict[str, Json], bound: Bound, catalogue: Catalogue, findings: Findings
) -> core.Source:
    by = settings.pop("by")
    config, revision = settings["config"], settings["revision"]
    name = settings["name"] + (f":{config}" if config else "") + (f"@{revision}" if revision else "")
    rows = catalogue.hub_datasets.get(name)
    if rows is not None:
        kind = _known(rows, by)
        settings["revision"] = rows.revision or revision
    else:
        findings.absent.append(Absent(settings["name"], "columns", call.span, on_hub=True))
        kind = outside(NOWHERE, by, open=True)
    return core.Source("hub_dataset", settings, {}, kind, call.span, places=dict(bound.spans))


def _known(rows: Rows, by: str | None) -> core.Trajectories:
    """The type of rows whose header has been read."""
    kind = outside(frozenset(rows.columns), by)
    conventional = dict(kind.column_types)
    types = {**{name: type_ for name, type_ in rows.types if name in kind.columns}, **conventional}
    return replace(kind, column_types=tuple(types.items()))


def extern(call: ast.Call, source: ExternSource, scope: Scope) -> core.Source | None:
    """The rows that a Python function yields."""
    bound = bind(source.signature, call.arguments, call.span, scope.findings)
    settings = constants(source.signature, bound, scope)
    if settings is None or not bound.whole:
        return None
    document = {"target": source.target, "arguments": settings}
    return core.Source("extern_source", document, {}, source.type, call.span, places=dict(bound.spans))
