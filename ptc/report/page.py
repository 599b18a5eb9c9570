"""The page: one HTML file with everything in it, that asks the network for nothing.

Everything that a program, a model or a log says goes through Jinja's escaping or, in tables of prompts, as JSON into
text nodes. A policy in the page itself forbids whatever else there could be: `docs/decisions/0036-….md`.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ptc.progress import duration
from ptc.report.document import Report
from ptc.report.drawings import Drawings, drawings
from ptc.report.figures.canvas import Drawing
from ptc.report.sections.prompts import EvalPrompts, Outcomes
from ptc.runtime.bills import amount

TEMPLATES = Path(__file__).parent / "templates"
SECTIONS = (
    *("claims", "dag", "ledger", "evidence", "prompts", "rollouts", "training", "monitors", "cost"),
    *("diagnosis", "findings", "lineage", "environment"),
)
"""The templates of a page, in its order."""
CONTENTS = (
    ("claims", "Claims"),
    ("program", "Program"),
    ("evals", "Evals"),
    ("evidence", "Evidence"),
    ("prompts", "Prompts"),
    ("rollouts", "Rollouts"),
    ("training", "Training"),
    ("monitors", "Monitors"),
    ("cost", "Cost"),
    ("diagnosis", "Diagnosis"),
    ("findings", "Findings"),
    ("lineage", "Lineage"),
    ("environment", "Environment"),
)


def page(report: Report, live: float | None = None) -> str:
    """The page of a report. `live`: seconds after which it loads itself again."""
    script = _text("page.js")
    drawn = drawings(report)
    text: str = (
        _templates()
        .get_template("page.html.jinja")
        .render(
            report=report,
            sections=SECTIONS,
            contents=[(name, title) for name, title in CONTENTS if _there(report, name)],
            style=Markup(_text("style.css")),
            script=Markup(script),
            script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            live=None if live is None else round(1000 * live),
            made=datetime.now(UTC).isoformat(timespec="seconds").removesuffix("+00:00"),
            **_by_name(drawn),
        )
    )
    return text


def _by_name(drawn: Drawings) -> dict[str, Any]:
    names = ("dag", "forest", "strips", "curves", "ledgers", "metrics", "monitors")
    return {name: getattr(drawn, name) for name in names}


def _there(report: Report, name: str) -> bool:
    parts = {
        "evals": report.ledger.evals,
        "evidence": report.evidence.evals,
        "prompts": report.prompts.evals,
        "training": report.training.stages,
        "monitors": report.monitors.stages,
        "rollouts": report.rollouts.sources,
        "diagnosis": report.diagnosis.diagnoses,
    }
    return bool(parts.get(name, True))


@cache
def _templates() -> Environment:
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"amount": amount, "duration": duration, "number": _number, "data": _data}
    found.tests["single"] = lambda values: len(values) == 1
    found.globals["inline"] = _inline
    return found


@cache
def _text(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _number(value: float | None) -> str:
    return "NaN" if value is None else f"{value:.4g}"


def _inline(drawing: Drawing) -> Markup:
    """A figure; markup by matplotlib, in which every label is escaped."""
    return Markup(_drawn(drawing))


@lru_cache(maxsize=1024)
def _drawn(drawing: Drawing) -> str:
    """Drawings are equal if their data are: a page that is written every few seconds draws what is new."""
    return drawing.inline()


def _data(found: EvalPrompts) -> Markup:
    """The prompts of an eval as JSON that no parser of HTML takes for anything else."""
    document = {
        "models": found.models,
        "comparisons": [{"before": each.before, "after": each.after} for each in found.comparisons],
        "total": found.total,
        "prompts": [[each.prompt, each.answer, list(_models(each.models))] for each in found.prompts],
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


def _models(models: tuple[Outcomes | None, ...]) -> Iterator[list[Any] | None]:
    for each in models:
        if each is None:
            yield None
            continue
        attempts = [
            [one.response, one.times, one.score, one.verdict, one.finished, one.tokens, one.logp, one.cut]
            for one in each.attempts
        ]
        yield [each.n, each.correct, each.score, each.left_out, attempts]
