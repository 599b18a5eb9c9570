"""The decision order: each bottleneck from the evidence that it leaves, and what comes before what."""

from __future__ import annotations

import math

import pytest
from made_up_findings import attempts, gold, judged, measured, probe, right

from ptc.diagnosis.decision import Decision, decide
from ptc.diagnosis.evidence import Evidence, epsilon, instrument_of
from ptc.diagnosis.stating import ends_in

KNOWN = probe([-0.01] * 6, [True] * 4)
CONFIDENT = probe([-0.1, -0.1, -9.0, -9.0, -9.0, -9.0], [False] * 4)
CALIBRATED = probe([-1.5, -1.5, -1.5, -1.5, -4.0, -0.5], [False, False, False, True])
EARLY = probe([-4.0, -0.1, -0.1, -0.1, -0.1, -0.1], [False, True, True, True])


def said(found: Evidence) -> str:
    return decide(found).bottleneck


def wrong(prompt: int, attempt: int) -> str:
    return f"other{prompt}"


def test_epsilon_is_what_so_many_attempts_may_miss() -> None:
    assert epsilon(64) == pytest.approx(0.0457, abs=1e-4)
    assert epsilon(256) == pytest.approx(1.16e-2, abs=1e-4)
    assert epsilon(8192) == pytest.approx(3.66e-4, abs=1e-6)


def test_a_model_that_is_right_has_nothing() -> None:
    found = decide(measured(attempts(right), KNOWN))
    assert found.bottleneck == "none" and found.sure == "sure"


@pytest.mark.parametrize(("true", "false"), [(0.0, 0.0), (0.5, 0.6), (0.8, 0.0)])
def test_a_verifier_that_cannot_tell_is_the_instrument(true: float, false: float) -> None:
    found = decide(Evidence(40, 64, epsilon(64), instrument_of(judged(true, false))))
    assert found.bottleneck == "instrument"
    assert found.examples


@pytest.mark.parametrize("form", ["<answer>{}</answer>", "It is {}.", "[{}]", "#### {}"])
def test_right_answers_in_another_form_are_the_instrument(form: str) -> None:
    found = decide(measured(attempts(lambda prompt, attempt: form.format(gold(prompt))), CONFIDENT))
    assert found.bottleneck == "instrument"
    assert gold(0) in found.examples[0]


def test_an_answer_within_a_longer_one_is_not_stated() -> None:
    assert not ends_in("password1", "word1")
    assert not ends_in("word12", "word1")
    assert not ends_in("word1 or word2", "word1")
    assert ends_in("so it is word1.", "word1")


def test_what_is_not_found_is_the_format() -> None:
    assert said(measured(attempts(wrong, parsed=0.3), CONFIDENT)) == "format"


def test_confidently_wrong_is_support_and_says_that_it_may_be_lost() -> None:
    found = decide(measured(attempts(wrong, logp=-0.1), CONFIDENT))
    assert found.bottleneck == "support"
    assert "cannot tell lost from never learned" in found.open[0]


def test_a_first_part_that_is_enough_is_support() -> None:
    assert said(measured(attempts(wrong, logp=-6.0), EARLY)) == "support"


def test_uncertain_as_it_should_be_is_capacity() -> None:
    found = decide(measured(attempts(lambda prompt, attempt: f"{prompt}-{attempt}", logp=-10.5), CALIBRATED))
    assert found.bottleneck == "capacity"


def test_a_model_that_knows_nothing_of_such_answers_is_not_too_small() -> None:
    uniform = probe([-math.log(400)] * 6, [False] * 4)
    found = measured(attempts(lambda prompt, attempt: f"{prompt}-{attempt}", logp=-6 * math.log(400)), uniform)
    assert said(found) == "support"


def test_references_of_another_length_say_nothing() -> None:
    assert said(measured(attempts(wrong, tokens=60), CONFIDENT)) == "undetermined"
    assert said(measured(attempts(wrong))) == "undetermined"


def test_what_is_reached_and_seldom_chosen_is_reshaping() -> None:
    seldom = attempts(lambda prompt, attempt: gold(prompt) if attempt % 5 == 0 else f"other{attempt}")
    assert said(measured(seldom, KNOWN)) == "reshaping"


def test_what_was_better_before_is_consolidation() -> None:
    found = decide(measured(attempts(wrong, logp=-0.1), CONFIDENT, before=attempts(right)))
    assert found.bottleneck == "consolidation"
    assert "`before`" in found.summary
    assert not found.open


def test_the_same_answer_to_everything_is_collapsed_with_and_without_the_past() -> None:
    stuck = attempts(lambda prompt, attempt: "yes", parsed=0.0)
    assert said(measured(stuck, CONFIDENT, before=attempts(right))) == "collapsed"
    assert said(measured(stuck, CONFIDENT)) == "collapsed"


def test_one_of_the_answers_from_before_is_collapsed() -> None:
    before = attempts(lambda prompt, attempt: gold(prompt) if attempt % 2 else f"slip{prompt}-{attempt % 7}")
    now = attempts(lambda prompt, attempt: f"slip{prompt}-2")
    assert said(measured(now, CONFIDENT, before=before)) == "collapsed"


def test_loops_are_collapsed_however_many_there_are() -> None:
    loops = attempts(lambda prompt, attempt: "mD"[attempt % 2] * (5 + (prompt + attempt) % 7) + "R" * (attempt % 5))
    found = measured(loops, CONFIDENT, before=attempts(right))
    assert decide(found).bottleneck == "collapsed" and found.earlier[0].variety.value < 0.75


def test_less_in_many_attempts_and_more_in_one_is_no_loss() -> None:
    before = attempts(lambda prompt, attempt: gold(prompt) if attempt % 8 == 0 else f"other{attempt}")
    now = attempts(lambda prompt, attempt: gold(prompt) if prompt % 5 else f"other{prompt}")
    assert said(measured(now, KNOWN, before=before)) == "none"


def test_sure_says_how_the_intervals_lie() -> None:
    clear: Decision = decide(measured(attempts(right), KNOWN))
    near = decide(measured(attempts(lambda prompt, attempt: gold(prompt) if prompt % 5 else "no"), KNOWN))
    assert (clear.sure, near.bottleneck, near.sure) == ("sure", "none", "likely")
