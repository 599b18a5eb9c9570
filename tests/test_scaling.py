"""Long programs: nothing runs out of stack, and time grows with length."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from ptc import api

SCALING = runpy.run_path(str(Path(__file__).parent.parent / "benchmarks" / "scaling.py"))
HEAD = SCALING["HEAD"]
LONG = 1_200


@pytest.mark.parametrize("shape", ["line", "recipe"])
def test_a_thousand_stages_become_a_graph(shape: str) -> None:
    last = "s999" if shape == "line" else "r999"
    result = api.check_text(SCALING["SHAPES"][shape](1_000) + f'export {last} to "out"\n', siblings={})
    assert result.sound
    assert sum(node.kind == "train" for node in api.compiled(result).nodes.values()) == 1_000


@pytest.mark.parametrize(
    ("first", "step"),
    [
        ("source x0 = tasks", "source x{next} = x{last} |> take(100)"),
        ("source x0 = tasks", "source x{next} = x{last} |> slice(0%, 99.9%)"),
        ("source x0 = tasks |> take(9)", "source x{next} = x{last} + x{last}"),
        ("model x0 = lora(base)", "model x{next} = lora(merge_adapter(x{last}))"),
    ],
)
def test_a_long_chain_is_walked(first: str, step: str) -> None:
    lines = (step.format(last=n, next=n + 1) for n in range(LONG))
    result = api.check_text(
        HEAD + "\n".join((first, *lines)) + f"\neval other = pass_rate(x{LONG}, exact)\n", siblings={}
    )
    assert result.checked is not None
    api.refused(result)


@pytest.mark.slow
def test_time_grows_with_length() -> None:
    low, high = (SCALING["line"](stages) for stages in (100, 1_000))
    few, many = SCALING["ratio"](lambda: SCALING["checked"](low), lambda: SCALING["checked"](high), 1)
    assert many < 15 * few
