"""What a diagnostic offers to paste for a source, a step or an eval is itself right."""

from __future__ import annotations

import pytest

from ptc import api
from ptc.compiler.evals import EXAMPLES as EVALS
from ptc.compiler.flows.signatures import EXAMPLES, MIX, ORIGINS, STEPS
from ptc.lang.render import render_all

BEFORE = """edition 2026
from std.verifiers import exact
source raw = gym("chain_sum", size = 1_000, seed = 1)
source tasks = raw |> prompts(.question, answer = .answer, solution = .answer)
source held_out = tasks |> slice(80%, 100%)
source demos = tasks |> respond(.answer)
source chat = demos
source rejected = demos
model policy = local.model("policy")
model base = local.model("base")
model judging = local.model("judge")
source sampled = tasks |> sample(policy, n = 8)
source rollouts = sampled |> score(exact)
source verl = parquet("verl.parquet")
"""
STARTS = {
    **dict.fromkeys(("prompts",), "raw"),
    **dict.fromkeys(("hint", "prefix", "sample", "respond", "chat"), "tasks"),
    **dict.fromkeys(("from_verl", "from_open_instruct", "from_sharegpt"), "verl"),
}
"""What the step works on; the others on scored attempts."""


def errors(text: str) -> str:
    """What is wrong with a line behind those that make its names."""
    result = api.check_text(BEFORE + text.replace("judge(model", "judge(judging"))
    wrong = tuple(found for found in result.diagnostics if found.severity == "error")
    return render_all(wrong, result.source) if wrong else ""


def test_everything_has_an_example() -> None:
    assert set(EXAMPLES) == {*ORIGINS, *STEPS, MIX.name}


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "refill"])
def test_examples_of_flows(name: str) -> None:
    example = EXAMPLES[name]
    assert not errors(f"source made = {STARTS.get(name, 'rollouts') if example.startswith('|>') else ''} {example}\n")


def test_refill_is_for_live_rows() -> None:
    assert "error[N130]" in errors(f"source made = rollouts {EXAMPLES['refill']}\n")


@pytest.mark.parametrize("name", EVALS)
def test_examples_of_evals(name: str) -> None:
    assert not errors(f"eval made = {EVALS[name]}\n")
