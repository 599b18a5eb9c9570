"""Checks of what a program takes from outside: pasted paths, small students of long traces."""

from __future__ import annotations

from ptc.compiler.checks.view import View
from ptc.compiler.findings import Findings, at

STORE = ".ptc/"
"""The default folder of a store: what lies there belongs to runs."""


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
