"""Published recipes at full size: no error, only the findings that the catalogue of checks expects, reviewed types."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from ptc import api
from ptc.formatting import Wish, fmt
from ptc.stand_ins import StandIns

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FOLDER = ROOT / "examples" / "recipes"
RECIPES = sorted(path.stem for path in FOLDER.glob("*.pt"))
EXPECTED = tomllib.loads((HERE / "findings.toml").read_text(encoding="utf-8"))
"""Per recipe what `ptc check` says of it, each with the sentence of the catalogue of checks that expects it there."""


def checked(recipe: str, data: bool = False) -> api.CheckResult:
    return api.check_file(FOLDER / f"{recipe}.pt", data=data, stand_ins=StandIns(FOLDER / "stand_ins"))


def test_seventeen_recipes() -> None:
    assert len(RECIPES) == 17
    assert set(EXPECTED) <= set(RECIPES)


def findings(result: api.CheckResult) -> list[str]:
    """``note C601 69``: how severe, which, in which line."""
    places = [one.labels[0].span for one in result.diagnostics]
    lines = [(place.text or result.source).position(place.start)[0] for place in places]
    return [f"{one.severity} {one.code} {line}" for one, line in zip(result.diagnostics, lines, strict=True)]


def expected(recipe: str, rows: bool = False) -> list[str]:
    """What is expected of the text alone; with `rows`, of the rows as well."""
    return [one["finding"] for one in EXPECTED.get(recipe, []) if rows or not one.get("rows")]


@pytest.mark.parametrize("recipe", RECIPES)
def test_findings_are_the_expected_ones(recipe: str) -> None:
    found = findings(checked(recipe))
    assert not [finding for finding in found if finding.startswith("error")]
    assert found == expected(recipe)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_rows_show_nothing_more(recipe: str) -> None:
    result = checked(recipe, data=True)
    assert result.looked is not None and result.looked.startswith("looked at")
    assert findings(result) == expected(recipe, rows=True)


@pytest.mark.parametrize("recipe", sorted(EXPECTED))
def test_every_finding_says_who_expects_it(recipe: str) -> None:
    for one in EXPECTED[recipe]:
        assert re.match(r"§[1-9] \S", one["why"]), one


@pytest.mark.parametrize("recipe", RECIPES)
def test_types_are_as_reviewed(recipe: str, request: pytest.FixtureRequest) -> None:
    result = checked(recipe)
    types = "\n".join([*result.types, "", *result.regimes]) + "\n"
    page = HERE / "types" / f"{recipe}.txt"
    if request.config.getoption("--update-spec"):
        page.parent.mkdir(exist_ok=True)
        page.write_text(types, encoding="utf-8")
    assert page.read_text(encoding="utf-8") == types


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.pt")), ids=lambda path: path.stem)
def test_recipes_are_laid_out(path: Path) -> None:
    assert fmt([str(path)], Wish(check=True)) == 0


def test_the_page_of_recipes_lists_their_findings() -> None:
    page = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| \[`(\w+)`\]\(\S+\) \|.*\| ([^|]*) \|$", page, re.MULTILINE))
    assert sorted(rows) == RECIPES
    for recipe, cell in rows.items():
        codes = sorted({one["finding"].split()[1] for one in EXPECTED.get(recipe, [])})
        assert sorted(set(re.findall(r"[A-Z]\d{3}", cell))) == codes, recipe
