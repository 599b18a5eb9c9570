"""What `ptc check --data` finds out beyond headers: some rows of every source, rendered, compared and judged.

`drawing` takes rows through the steps that need no model, `tokenizers` finds what renders them, and each other module
holds the checks of one idea. All of it ends in diagnostics with a place in the program; nothing is trained or sampled.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ptc.compiler import core
from ptc.compiler.allowances import judge
from ptc.compiler.findings import Findings, at
from ptc.compiler.pipeline import Checked
from ptc.lang.diagnostic import Diagnostic
from ptc.probes.drawing import Drawer, Limits
from ptc.runtime.artifacts import InputWrong, ResourceMissing
from ptc.stand_ins import StandIns

if TYPE_CHECKING:
    from ptc.probes.view import View

NEEDED = ("transformers", "tokenizers", "pyarrow", "numpy", "jinja2")


@dataclass(frozen=True)
class Probed:
    diagnostics: tuple[Diagnostic, ...]
    looked: str
    """What was looked at, in a line."""


def probe(checked: Checked, stand_ins: StandIns | None = None, **limited: int) -> Probed:
    """Looks at the data of a program that reads soundly, within `Limits`.

    Raises `ResourceMissing` without what renders rows.
    """
    missing = next((name for name in NEEDED if find_spec(name) is None), None)
    if missing is not None:
        raise ResourceMissing(f"check --data renders rows and needs the package {missing}: pip install 'ptc[run]'")
    from ptc.probes.tokenizers import Tokenizers
    from ptc.probes.view import View

    limits = Limits(**limited)
    drawer = Drawer(limits, stand_ins)
    findings = Findings()
    with tempfile.TemporaryDirectory() as folder:
        view = View(checked.program, drawer, Tokenizers(drawer, Path(folder), stand_ins), limits)
        for run in probes():
            _taken(run, view, findings)
        _unreadable(view, findings)
    known = {(one.code, one.span) for one in (*checked.diagnostics, *checked.accepted)}
    found = [one for one in judge(findings.found, checked.program.allows).kept if (one.code, one.span) not in known]
    return Probed(tuple(found), _looked(drawer) + _rendered_as(view))


def probes() -> tuple[Callable[..., None], ...]:
    """All probes, in the order in which they are taken."""
    from ptc.probes import columns, contamination, lengths, models, pairs, power, rendering, verifiers

    return (
        columns.check_types,
        columns.check_dropped,
        models.check_tokenizers,
        models.check_template_drift,
        models.check_pad_is_eos,
        rendering.check_templates_there,
        rendering.check_rendering,
        rendering.check_cuts,
        rendering.check_masks,
        rendering.check_little_trained,
        lengths.check_prompt_too_long,
        lengths.check_truncation_budget,
        lengths.check_capacity_gap,
        contamination.check_train_eval_overlap,
        contamination.check_cold_start_prompt_reuse,
        contamination.check_ancestor_teacher_regression,
        pairs.check_pair_degenerate,
        verifiers.check_verifiers,
        verifiers.check_verifier_contract,
        verifiers.check_guessable,
        power.check_underpowered,
    )


def _taken(run: Callable[..., None], view: View, findings: Findings) -> None:
    """One probe; rows that it cannot take at all are a finding, as they would end a run."""
    try:
        run(view, findings)
    except InputWrong as problem:
        first = next(iter(view.lessons), None)
        place = [at(first.place, "learned here")] if first is not None else []
        findings.add("D412", f"a run would end with: {problem}", place)


def _unreadable(view: View, findings: Findings) -> None:
    """D403, D412: files and tokenizers that cannot be used, and steps that their rows do not allow."""
    for refused in view.drawer.refused:
        if refused.source.parts:
            findings.add(
                "D412", f"this step cannot be taken: {refused.said}", [at(refused.source.span, "refused here")]
            )
        else:
            findings.add("D403", refused.said, [at(refused.source.span, "read here")])
    for model in view.tokenizers.refused:
        findings.add("D403", f"{_name(model.model)} cannot be used: {model.said}", [at(model.model.span, "named here")])


def _name(model: core.Model) -> str:
    return f"`{model.name}`" if model.name else "this model"


READ = ("file", "hub_dataset")


def _rendered_as(view: View) -> str:
    """What becomes of prompts that are plain text, which other trainers may hand to the model as they are."""
    for lesson in view.lessons:
        shown = view.shown(lesson)
        read = any(source.kind in READ for source in lesson.source.upstream())
        if shown is None or not read or shown.headers.tokenizer.chat_template is None:
            continue
        schema = shown.drawn.table.schema
        if "prompt" in schema.names and str(schema.field("prompt").type).endswith("string"):
            return "; a prompt of plain text is a user's turn of the chat template"
    return ""


def _looked(drawer: Drawer) -> str:
    rows = sum(origin.table.num_rows for origin in drawer.origins)
    sources = len(drawer.origins)
    if not sources:
        return "looked at no rows: none of the sources is here to be read"
    return f"looked at {rows:,} rows of {sources} source{'s' if sources > 1 else ''}"
