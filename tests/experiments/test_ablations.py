"""Every ablation of every program that ships: it reads, it stays as it is laid out, and it checks or says why not."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from ptc import api
from ptc.compiler.graph import Graph
from ptc.experiments import edits
from ptc.experiments.ablations import Ablation, Wish, ablations
from ptc.lang.format import lay_out
from ptc.lang.parse import parse
from ptc.lang.source import Source
from ptc.stand_ins import StandIns

ROOT = Path(__file__).parent.parent.parent
RECIPES = ROOT / "examples" / "recipes"
SMALL = sorted([*(ROOT / "examples").glob("*.pt"), *(ROOT / "ptc/templates").rglob("*.pt")])
PROGRAMS = [
    *(pytest.param(path, id=f"{path.parent.name}-{path.stem}") for path in SMALL),
    *(pytest.param(path, id=path.stem, marks=pytest.mark.slow) for path in sorted(RECIPES.glob("*.pt"))),
]


def all_of(path: Path) -> list[Ablation]:
    stand_ins = StandIns(RECIPES / "stand_ins") if path.parent == RECIPES else None
    result = api.check_file(path, stand_ins=stand_ins)
    if not result.sound:
        return []
    return ablations(result, Wish(all=True), lambda source: api.check_source(source, stand_ins=stand_ins))


@pytest.mark.parametrize("path", PROGRAMS)
def test_every_ablation_is_a_program_or_says_why_not(path: Path) -> None:
    for ablation in all_of(path):
        tree, found = parse(Source("again.pt", ablation.text))
        assert not found, ablation.name
        assert lay_out(tree) == ablation.text, ablation.name
        if ablation.refused:
            assert "[" in ablation.refused  # the finding that speaks against it
        else:
            assert ablation.checked is not None and ablation.checked.sound


@cache
def spelling() -> tuple[api.CheckResult, dict[str, Ablation]]:
    path = ROOT / "examples" / "spelling.pt"
    return api.check_file(path), {each.name: each for each in all_of(path)}


def trained(graph: Graph) -> dict[str, str]:
    return {node.label: meaning for meaning, node in graph.nodes.items() if node.kind == "train"}


def compiled(ablation: Ablation) -> Graph:
    assert ablation.checked is not None
    return api.compiled(ablation.checked)


def test_the_demo_has_these() -> None:
    _, found = spelling()
    assert {name for name, each in found.items() if not each.refused} == {
        *("without-cold_start", "without-reasoner", "without-primed", "without-small"),
        *("reasoner-before-cold_start", "small-before-primed"),
        *("demos-live", "lessons-live", "lessons-demonstrations"),
        *("random-reward-reasoner", "random-reward-primed"),
    }
    assert "P201" in found["rollouts-fixed"].refused


def test_the_control_is_the_one_that_is_written_by_hand() -> None:
    """`examples/controls.pt` has the same stage, and both come to the same node."""
    _, found = spelling()
    by_hand = api.compiled(api.check_file(ROOT / "examples" / "controls.pt"))
    ours = trained(compiled(found["random-reward-reasoner"]))
    assert ours["reasoner"] == trained(by_hand)["shuffled_rewards"]
    assert ours["cold_start"] == trained(by_hand)["cold_start"]


def test_what_comes_before_an_edit_is_the_same_node() -> None:
    result, found = spelling()
    whole, without = trained(api.compiled(result)), trained(compiled(found["without-small"]))
    assert whole["reasoner"] == without["reasoner"] and whole["primed"] != without["primed"]


def test_the_budget_of_a_stage_left_out_is_spent_by_another() -> None:
    _, found = spelling()
    without = found["without-reasoner"]
    assert without.matched and "budget    = 2850 steps" in without.text
    assert "`cold_start` learns for 2,850 steps instead of 450: the 76,800 samples of `reasoner`" in without.budget


def test_a_claim_that_nothing_could_produce_any_more_goes() -> None:
    _, found = spelling()
    without = found["without-cold_start"]
    assert without.unclaimed == ("reasoner",) and "\nstage reasoner {" in without.text


def test_two_stages_exchanged_start_from_each_other() -> None:
    _, found = spelling()
    text = found["reasoner-before-cold_start"].text
    assert text.index("stage reasoner") < text.index("stage cold_start")
    tree, _ = parse(Source("x.pt", text))
    starts = {each.name.id: edits.trained(each)[0].value for each in edits.stages(tree)}
    assert (starts["reasoner"].id, starts["cold_start"].id) == ("base", "reasoner")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        (Wish(drop=["resoner"]), "the program has no stage `resoner`: did you mean `reasoner`?"),
        (Wish(permute=[("cold_start", "small")]), "`small` does not start from `cold_start`"),
        (Wish(swap=[("lesons", "live")]), "the program has no source `lesons`: did you mean `lessons`?"),
        (Wish(swap=[("lessons", "fixd")]), "there is no source `fixd`: did you mean `fixed`?"),
        (Wish(random_reward=["cold_start"]), "`cold_start` learns from no scored attempts"),
    ],
)
def test_what_has_no_meaning_is_said(wish: Wish, why: str) -> None:
    result, _ = spelling()
    (found,) = ablations(result, wish, api.check_source)
    assert found.refused == why and found.checked is None
