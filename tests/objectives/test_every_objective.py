"""Every objective of the library is at home in some program, and says what it does in its own words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from against_numpy import compared
from suitable import CALLS, NAMES, program

from ptc import api
from ptc.compiler.executable import unsupported
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


@pytest.mark.parametrize("name", NAMES)
def test_it_is_its_reference(name: str) -> None:
    """Value, and slope along a random direction of what the learners say, in float64."""
    found = compared(name)
    assert found.value == pytest.approx(found.reference, rel=1e-6, abs=1e-9)
    assert abs(found.difference) > 1e-6
    assert found.slope == pytest.approx(found.difference, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_the_runtime_refuses_nothing_of_it(name: str) -> None:
    result = api.check_text(program(name))
    assert result.checked is not None
    [stage] = result.checked.program.stages
    refused = unsupported(replace(result.checked.program, sources=(), stages=(stage,)))
    assert not [found.title for found in refused if found.span == stage.terms[0].span]
