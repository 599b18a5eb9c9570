"""What the checks ask of a loss is answered by its structure: a copy under another name gives the same answers."""

from __future__ import annotations

import pytest
from suitable import CALLS, LIBRARY, NAMES, program

from ptc import api
from ptc.compiler import core, losses

RATIO = {
    *(
        "grpo",
        "dr_grpo",
        "dapo",
        "gspo",
        "cispo",
        "lite_ppo",
        "ppo",
        "rloo",
        "reinforce_pp",
        "process_sum",
        "process_min",
    ),
    *("sapo", "luspo", "vespo", "two_sided_grpo", "deepseek_grpo", "off_policy_grpo"),
    *("luffy", "on_policy_distillation", "mopd", "g_opd", "minillm", "proximal_sft"),
}
"""The objectives that compare the learner with what it was when the rows were drawn."""
ANCHORED = {name for name, (call, _) in CALLS.items() if "reference" in call and name != "g_opd"}


def term(text: str) -> core.Term:
    checked = api.check_text(text).checked
    assert checked is not None
    [stage] = checked.program.stages
    return stage.terms[0]


@pytest.mark.parametrize("name", NAMES)
def test_ratios_and_anchors(name: str) -> None:
    asked = term(program(name))
    assert losses.forms_ratio(asked) == (name in RATIO)
    assert losses.has_kl(asked) == (name in ANCHORED)
    assert losses.explores(asked) == (name == "entropy_bonus")


@pytest.mark.parametrize("name", ["grpo", "dr_grpo", "dapo", "lite_ppo"])
def test_a_weight_against_the_sampler_is_a_correction(name: str) -> None:
    assert not losses.correction(term(program(name, f"{name}(rollouts, policy)")))
    assert losses.correction(term(program(name, f"{name}(rollouts, policy, tis = 2)")))


def test_a_clipped_weight_without_gradient_is_a_correction() -> None:
    assert losses.correction(term(program("cispo")))
    assert not losses.correction(term(program("gspo")))


def test_estimators_of_a_divergence() -> None:
    def unweighted(call: str) -> int:
        return len(list(losses.unweighted_estimators(term(program("grpo", call)).loss)))

    assert unweighted("grpo(rollouts, policy, reference, kl = 0.1)") == 1
    assert unweighted("grpo(rollouts, policy, reference, kl = 0.1, unbiased_kl = true)") == 0
    assert unweighted("grpo(rollouts, policy, reference)") == 0


@pytest.mark.parametrize(("estimator", "biased"), [("k1", 0), ("k2", 0), ("k3", 1)])
def test_an_estimator_is_known_by_its_form(estimator: str, biased: int) -> None:
    own = f"""objective held(rows: Trajectories{{prompt, response}}, policy: Trained, reference: Anchor) {{
  let away = {estimator}(policy, reference, .response)
  loss = mean(0.1 * away - logp(policy, .response), over = [token, sample])
}}
stage learner"""
    text = program("dpo", "held(demos, policy, reference)").replace("stage learner", own)
    assert len(list(losses.unweighted_estimators(term(text).loss))) == biased


def test_the_name_decides_nothing() -> None:
    body = (LIBRARY / "grpo.pt").read_text(encoding="utf-8").replace("edition 2026", "").replace("grpo", "sft_like")
    call = "sft_like(rollouts, policy, reference, kl = 0.05, tis = 2)"
    asked = term(program("grpo", call).replace("stage learner", body + "\nstage learner"))
    assert losses.forms_ratio(asked)
    assert losses.correction(asked)
    assert losses.has_kl(asked)
