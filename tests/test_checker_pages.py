"""Every finding of the checker has a page, and its programs do what the page says.

The rendered message on a page is what the checker prints: `pytest --update-spec` writes it anew.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from data_pages import looked_at
from pages import Fence, fences

from ptc import api
from ptc.compiler.findings import BY_CODE, CHECKS, Check
from ptc.experiments.grid import grid
from ptc.experiments.unmatched import Side, unmatched
from ptc.lang.diagnostic import Diagnostic
from ptc.lang.render import render

PAGES = Path(__file__).parent.parent / "docs" / "errors"
ROOT = Path(__file__).parent.parent
PARTS = (ROOT / "compiler", ROOT / "ptc" / "probes", ROOT / "ptc" / "experiments")
"""Where findings are made."""


def page(code: str) -> str:
    return (PAGES / f"{code}.md").read_text(encoding="utf-8")


COMPANIONS = {"D416": "D411"}
"""What cannot be wrong without something else being said too."""


def swept(result: api.CheckResult) -> api.CheckResult:
    """What is said of the runs of the sweep that the program's first line asks for."""
    _, _, *words = shlex.split(result.source.line(1).removeprefix("# ptc "))
    name, _, values = words[1].partition("=")
    points = [point[name] for point in grid({name: values}, paired=False)]
    checked = [(value, api.check_text(result.source.text, settings={name: value})) for value in points]
    return replace(
        result,
        diagnostics=tuple(unmatched([Side(f"{name}={v}", api.compiled(one), one.source) for v, one in checked])),
    )


AT_RUN = {"N110": api.refused, "N118": lambda result: api.unallowed(result, ()), "V708": swept}
"""What `ptc check` never says, and what says it."""


def checked(program: Fence, code: str) -> api.CheckResult:
    if program.files:
        return looked_at(program)
    result = api.check_text(program.text, siblings=program.siblings, placement=program.placement)
    return AT_RUN[code](result) or replace(result, diagnostics=()) if code in AT_RUN and result.sound else result


def said(program: Fence, code: str) -> tuple[Diagnostic, ...]:
    return checked(program, code).diagnostics


def rendered(code: str, program: Fence) -> str:
    result = checked(program, code)
    return "\n\n".join(render(each, result.source) for each in result.diagnostics if each.code == code) + "\n"


def test_every_finding_has_a_page_and_every_page_a_finding() -> None:
    of_the_text = {path.stem for path in PAGES.glob("S*.md")} | {path.stem for path in PAGES.glob("U1*.md")}
    assert {path.stem for path in PAGES.glob("*.md")} - of_the_text == set(BY_CODE)


def test_no_code_is_dead() -> None:
    files = (path for part in PARTS for path in part.rglob("*.py") if path.name != "findings.py")
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    assert set(re.findall(r'"([NUTPRCDVLG]\d{3})"', text)) == set(BY_CODE)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_page(check: Check, request: pytest.FixtureRequest) -> None:
    code, name = check.code, check.name
    if request.config.getoption("--update-spec"):
        _rewrite(code)
    assert re.match(rf"# {code}: {name}\n\n\S", page(code))
    bad, message, good = fences(page(code))
    assert [bad.tag, message.tag, good.tag] == ["pt", "text", "pt"]
    assert code in {each.code for each in said(bad, code)}
    assert {each.code for each in said(bad, code) if each.severity != "note"} <= {code, COMPANIONS.get(code)}
    assert message.text == rendered(code, bad)
    assert not {each.code for each in said(good, code) if each.severity != "note" or each.code == code}


def _rewrite(code: str) -> None:
    """Writes the rendered message of a page."""
    text = page(code)
    bad, message, _ = fences(text)
    new = text[: message.start] + rendered(code, bad) + text[message.end :]
    (PAGES / f"{code}.md").write_text(new, encoding="utf-8")
