"""Every objective of the library is at home in some program, and says what it does in its own words."""

from __future__ import annotations

import pytest
from suitable import CALLS, NAMES, program

from ptc import api
from ptc.lang.render import render_all


def test_every_objective_has_a_program() -> None:
    assert set(CALLS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_checks(name: str) -> None:
    result = api.check_text(program(name))
    assert result.checked is not None
    errors = [found for found in result.diagnostics if found.severity == "error"]
    assert not errors, render_all(result.diagnostics, result.source)
    [stage] = result.checked.program.stages
    assert stage.terms[0].objective == name
    assert not stage.terms[0].loss.axes
    assert any(role.verb == "train" for part in stage.terms[0].loss.walk() for role in part.models)
