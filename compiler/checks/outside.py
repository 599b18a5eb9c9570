"""Checks of what a program takes from outside: pasted paths, small students of long traces."""

from __future__ import annotations

from ptc.compiler import core
from ptc.compiler.checks.view import View, name_of, step_of
from ptc.compiler.findings import Findings, at
from ptc.compiler.lineage import authors, sources, supervised
from ptc.compiler.memory import amount

STORE = ".ptc/"
"""The default folder of a store: what lies there belongs to runs."""
SMALL_STUDENT = 3_000_000_000
"""Parameters up to which a student learns less from long traces than from a mixture (2502.12143, secondary)."""
LONG_TRACE = 8_192
"""Tokens from which a response counts as a long chain of thought (engineering default)."""


def check_pasted_path(view: View, findings: Findings) -> None:
    """C616: a path into what another stage leaves behind, instead of the stage's name."""
    models = dict.fromkeys(
        one
        for named in (*view.program.models, *(role.init for stage in view.program.stages for role in stage.roles))
        for one in view.lineage.ancestors(named)
        if one.kind == "local_model"
    )
    for model in models:
        path = _folder(str(model.settings["path"]))
        export = next((e for e in view.program.exports if (path + "/").startswith(_folder(e.path) + "/")), None)
        if export is not None:
            stage = view.lineage.stage_of(export.model)
            name = stage.name if stage is not None else export.model.name or "…"
            findings.add(
                "C616",
                f'"{path}" is what this program exports: name the stage instead',
                [at(model.span, "a path, read before the run"), at(export.span, "written by the run")],
                ["a path says nothing of where the weights come from: what the stage changes would not be noticed"],
                [f"train policy = {name}"],
            )
        elif path.startswith(STORE):
            findings.add(
                "C616",
                f'"{path}" lies in the store, among the results of other runs',
                [at(model.span, "a path into the store")],
                ["it may be collected as rubbish, and nobody would know what it was made from"],
                ["name the stage in this program", 'export stage to "out/model"  in the other one'],
            )


def _folder(path: str) -> str:
    return path.removeprefix("./").rstrip("/")


def check_capacity_gap(view: View, findings: Findings) -> None:
    """C615: a small student that learns from nothing but long traces."""
    for stage in view.program.stages:
        size = stage.learner.type.size
        if size is None or size > SMALL_STUDENT or not all(supervised(term) for term in stage.terms):
            continue
        rows = [source for term in stage.terms for source in sources(term)]
        if all(_long_traces_of_a_larger(source, size) for source in rows):
            sample = step_of(rows[0], "sample")
            assert sample is not None
            findings.add(
                "C615",
                f"a student of {amount(size)} parameters learns from long traces alone",
                [
                    at(stage.learner.span, f"starts from {name_of(stage.learner.init)}"),
                    at(sample.places.get("max_tokens", sample.span), "traces of a larger model"),
                ],
                ["small models learn more from long and short answers mixed, unless there are very many"],
                ["mix([long, short], weights = [0.2, 0.8])"],
            )


def _long_traces_of_a_larger(source: core.Source, size: int) -> bool:
    kind = source.type
    if kind.sampling is None or kind.sampling.max_tokens < LONG_TRACE or kind.provenance is None:
        return False
    writers = [author.model for author in authors(kind.provenance) if isinstance(author, core.Fixed)]
    return bool(writers) and all((model.type.size or 0) > size for model in writers)
