"""Every remedy is put behind the program that it is for, and checks there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_up_findings import attempts, judged, measured, right

from ptc import api
from ptc.compiler import core
from ptc.diagnosis.decision import Decision, Reason, decide
from ptc.diagnosis.evidence import Evidence, epsilon, instrument_of
from ptc.diagnosis.remedies import Names, Remedy, remedy
from ptc.diagnosis.subjects import Asked, Named, Subject, named, subjects
from ptc.runtime.artifacts import InputWrong

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "examples" / "spelling.pt").read_text(encoding="utf-8")
BARE = """\
edition 2026
from std.verifiers import exact
source tasks = gym("spell_backward", size = 2_000, seed = 1, min_word_len = 3, max_word_len = 6)
  |> prompts(.word, answer = .answer)
source held_out = tasks |> slice(80%, 90%)
model base = new.model("qwen3", hidden = 32, layers = 1, rope_theta = 100, tokenizer = characters(tasks))
eval skill = pass_rate(held_out, exact, n = 8, max_tokens = 8)
"""
REASON = (Reason("measured", decide(measured(attempts(right))).reasons[0].value, None),)
STAGES = ("collapsed", "consolidation", "support", "capacity", "reshaping", "format")


def program(text: str) -> core.Program:
    checked = api.check_text(text).checked
    assert checked is not None
    return checked.program


def offered(text: str, bottleneck: str, model: str) -> Remedy:
    whole = program(text)
    (subject,) = subjects(whole, Asked("skill", model))
    decision = Decision(bottleneck, "", REASON)  # type: ignore[arg-type]
    found = remedy(decision, Names(subject, whole, text, None), api.check_text)
    assert found is not None
    return found


@pytest.mark.parametrize("bottleneck", STAGES)
def test_a_stage_of_the_users_own_names_checks(bottleneck: str) -> None:
    found = offered(TEXT, bottleneck, "reasoner")
    checked = api.check_text(found.behind(TEXT))
    assert checked.sound and checked.checked is not None
    added = checked.checked.program.stages[len(program(TEXT).stages) :]
    assert len(added) == 1
    trained = "larger" if bottleneck == "capacity" else "cold_start" if bottleneck == "collapsed" else "reasoner"
    assert f"train policy = {trained}" in found.text
    assert not [each for each in checked.diagnostics if each.code == "P204"]


@pytest.mark.parametrize("bottleneck", ["support", "format", "capacity"])
def test_a_program_of_an_eval_alone_gets_the_import_and_the_prompts_that_are_left(
    bottleneck: str,
) -> None:
    found = offered(BARE, bottleneck, "base")
    assert found.imports.startswith("from std.objectives import ")
    assert "tasks |> without(held_out)" in found.text
    assert api.check_text(found.behind(BARE)).sound


@pytest.mark.parametrize("bottleneck", ["collapsed", "consolidation"])
def test_a_checkpoint_to_go_back_to_is_declared_once(bottleneck: str) -> None:
    whole = program(BARE)
    base = named(whole, "base")
    before = Named("kept", base.model, 'local.model("kept")')
    (subject,) = subjects(whole, Asked("skill", "base"))
    names = Names(replace(subject, earlier=(before,)), whole, BARE, None)
    found = remedy(Decision(bottleneck, "", REASON), names, api.check_text)  # type: ignore[arg-type]
    assert found is not None and found.text.count('local.model("kept")') == 1


def test_a_broken_verifier_gets_an_eval_with_another() -> None:
    whole = program(TEXT)
    (subject,) = subjects(whole, Asked("skill", "base"))
    decision = decide(Evidence(40, 64, epsilon(64), instrument_of(judged(0.0, 0.0))))
    found = remedy(decision, Names(subject, whole, TEXT, None), api.check_text)
    assert found is not None and "extern verifier judged" in found.text


def test_nothing_is_offered_for_nothing() -> None:
    whole = program(TEXT)
    (subject,) = subjects(whole, Asked("skill", "base"))
    assert remedy(Decision("none", "", REASON), Names(subject, whole, TEXT, None), api.check_text) is None


# Subjects -------------------------------------------------------------------------------------------------------------


def test_before_training_each_model_that_is_there_is_a_subject() -> None:
    found = subjects(program(TEXT), Asked())
    assert [(each.model.name, each.eval.name, each.earlier) for each in found] == [
        ("base", "skill", ()),
        ("init of primed", "skill", ()),
    ]


def test_a_finished_run_is_what_it_exports_with_what_came_before() -> None:
    (found,) = subjects(program(TEXT), Asked(finished=True))
    assert found.model.name == "small"
    assert [each.name for each in found.earlier] == ["primed", "reasoner", "cold_start"]


def test_a_stage_is_named_with_its_own_line() -> None:
    (found,) = subjects(program(TEXT), Asked(model="reasoner"))
    assert isinstance(found, Subject) and [each.name for each in found.earlier] == ["cold_start"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Asked(model="reasonr"), "did you mean `reasoner`"),
        (Asked(eval="skil"), "did you mean `skill`"),
        (Asked(model=str(ROOT / "docs")), "no checkpoint"),
    ],
)
def test_a_wrong_name_is_told_the_right_one(asked: Asked, said: str) -> None:
    with pytest.raises(InputWrong, match=said):
        subjects(program(TEXT), asked)


def test_a_model_by_its_name_is_written_by_its_name() -> None:
    found: Named = named(program(TEXT), "cold_start")
    assert found.text == "cold_start"
