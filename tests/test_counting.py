"""How many steps a stage has, as far as the text says."""

from __future__ import annotations

import pytest

from ptc import api
from ptc.compiler.counting import steps

PROGRAM = """edition 2026
from std.objectives import sft, grpo
from std.verifiers import exact
source tasks = gym("chain_sum", size = 100) |> prompts(.question, answer = .answer)
source demos = tasks |> respond(.answer)
model base = new.model("qwen3", hidden = 32, layers = 1, tokenizer = characters(tasks))
stage tuned {
  train policy = base
  source rollouts = tasks |> sample(policy, n = 4, max_tokens = 4) |> score(exact)
  minimize TERMS
  optimizer = adamw(lr = 1e-3)
  batch(rollouts) = 10 prompts
  OTHER
  budget = 3 epochs
  passes = PASSES
}
"""


@pytest.mark.parametrize(
    ("terms", "other", "passes", "expected"),
    [
        ("grpo(rollouts, policy)", "", 1, 30),
        ("grpo(rollouts, policy)", "", 2, 60),
        ("sft(demos, policy) + grpo(rollouts, policy)", "batch(demos) = 20 samples", 1, 15),
        ("sft(demos, policy) + grpo(rollouts, policy)", "batch(demos) = 20 samples", 2, 15),
    ],
)
def test_an_epoch_of_what_is_sampled_goes_over_it_in_every_pass(
    terms: str, other: str, passes: int, expected: int
) -> None:
    text = PROGRAM.replace("TERMS", terms).replace("OTHER", other).replace("PASSES", str(passes))
    checked = api.check_text(text).checked
    assert checked is not None
    assert steps(checked.program.stages[0]) == expected
