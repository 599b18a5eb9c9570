"""Recipes and files are ways to write a program, not part of what it means; observers look on."""

from __future__ import annotations

import re

import pytest
from graph_programs import HEAD, SETTINGS, WARM, graph, meanings, of_kind, stage

from ptc import api

ROUND = f"""
recipe round(start: Model, rows: Trajectories{{prompt, answer}}, n: Int = 4) -> Model {{
  source lessons = rows |> sample(start, n = n, max_tokens = 8) |> score(exact) |> keep(.reward == 1)
  stage tuned {{
    train policy = start
    minimize sft(lessons, policy)
    {SETTINGS}
  }}
  return tuned
}}
"""
FIRST, SECOND = "problems |> slice(0%, 50%)", "problems |> slice(50%, 100%)"
CALLS = f"model r1 = round(base, {FIRST})\nmodel r2 = round(r1, {SECOND}, n = 2)\n"
END = 'export r2 to "out"\n'


def by_hand(name: str, start: str, rows: str, n: int) -> str:
    lessons = f"source lessons_{name} = {rows} |> sample({start}, n = {n}, max_tokens = 8) |> score(exact)"
    kept = f"{lessons} |> keep(.reward == 1)\n"
    return kept + stage(name, f"train policy = {start}\nminimize sft(lessons_{name}, policy)")


def test_a_recipe_means_what_it_would_written_out() -> None:
    written = by_hand("r1", "base", FIRST, 4) + by_hand("r2", "r1", SECOND, 2)
    assert meanings(HEAD + ROUND + CALLS + END) == meanings(HEAD + written + END)


@pytest.mark.parametrize(
    ("name", "other"),
    [("round", "step"), ("start", "first"), ("rows", "given"), ("lessons", "good"), ("tuned", "after"), ("r1", "a")],
)
def test_names_of_recipes_their_parts_and_their_calls_mean_nothing(name: str, other: str) -> None:
    whole = ROUND + CALLS + END
    assert meanings(HEAD + re.sub(rf"\b{name}\b", other, whole)) == meanings(HEAD + whole)


def test_equal_calls_are_one_node_and_equal_beginnings_are_shared() -> None:
    twice = HEAD + ROUND + f"model a = round(base, {FIRST})\nmodel b = round(base, {FIRST})\n"
    assert len(of_kind(graph(twice), "train")) == 1
    one = graph(HEAD + ROUND + f'model a = round(base, {FIRST})\nexport a to "out"\n')
    two = graph(HEAD + ROUND + CALLS + END)
    assert {node.kind for meaning, node in one.nodes.items() if meaning not in two.nodes} == {"export"}


def test_a_file_beside_the_program_means_what_stands_in_it() -> None:
    imports = "from std.objectives import sft\nfrom std.verifiers import exact\nfrom .shared import problems, base\n"
    result = api.check_text(f"edition 2026\n{imports}{ROUND}{CALLS}{END}", siblings={"shared.pt": HEAD})
    assert result.sound, result.diagnostics
    assert set(api.compiled(result).nodes) == meanings(HEAD + ROUND + CALLS + END)


def test_stages_of_a_file_are_nodes_only_if_something_needs_them() -> None:
    other = stage("other", "train policy = base minimize sft(demos, policy) seed = 2")
    siblings = {"first.pt": HEAD + WARM + other + 'report skill\nexport other to "elsewhere"\n'}
    result = api.check_text('edition 2026\nfrom .first import warm\nexport warm to "out"\n', siblings=siblings)
    assert result.sound, result.diagnostics
    assert [node.label for node in of_kind(api.compiled(result), "train")] == ["first.warm"]
    assert set(api.compiled(result).nodes) == meanings(HEAD + WARM + 'export warm to "out"\n')


OBSERVED = HEAD + stage(
    "warm", "train policy = base\nfreeze spare = base\nminimize sft(demos, policy)", "expands skill"
)


@pytest.mark.parametrize(
    "observer",
    [
        "protect skill within 2 points\n",
        "protect skill within 2 points from base\n",
        "report skill\n",
        'eval other = reward(tasks |> slice(80%, 100%), exact, tag = "safety")\nreport other\n',
    ],
)
def test_what_looks_on_changes_no_stage(observer: str) -> None:
    before = {node.meaning for node in of_kind(graph(OBSERVED), "train")}
    assert {node.meaning for node in of_kind(graph(OBSERVED + observer), "train")} == before


@pytest.mark.parametrize(
    "observer",
    ['allow(unused_role, "kept")', "watch skill every 1 steps", "ensure skill >= 0%", "ensure kl(base) <= 9"],
)
def test_what_looks_on_inside_a_stage_does_not_either(observer: str) -> None:
    inside = OBSERVED.replace("minimize", f"{observer}\nminimize")
    assert {n.meaning for n in of_kind(graph(inside), "train")} == {
        n.meaning for n in of_kind(graph(OBSERVED), "train")
    }


# What is part of a meaning -------------------------------------------------------------------------------------------

LIVE = """train policy = warm
source tries = problems |> sample(policy, n = 4, max_tokens = 8) |> score(exact)
minimize {} grpo(tries, policy)
"""


@pytest.mark.parametrize(
    ("weight", "settings"),
    [
        ("0.5 *", ""),
        ("anneal(1, 0, over = 2 steps) *", ""),
        ("", "passes = 2"),
        ("", "rollout = 64 prompts"),
        ("", 'on_zero_std = "drop"'),
        ("", "track slow = ema(policy, 0.9)"),
    ],
)
def test_settings_make_another_stage(weight: str, settings: str) -> None:
    plain = HEAD + WARM + stage("last", LIVE.format(""))
    other = HEAD + WARM + stage("last", LIVE.format(weight) + settings)
    assert {n.meaning for n in of_kind(graph(plain), "train")} != {n.meaning for n in of_kind(graph(other), "train")}


@pytest.mark.parametrize("settings", ["passes = 1", 'truncate = "error"', 'on_zero_std = "keep"', "dropout = none"])
def test_a_default_that_is_written_is_the_default(settings: str) -> None:
    plain = HEAD + WARM + stage("last", LIVE.format(""))
    assert meanings(HEAD + WARM + stage("last", LIVE.format("") + settings)) == meanings(plain)


def test_the_other_results_of_a_stage_hang_on_it() -> None:
    tracked = stage("last", LIVE.format("") + "track slow = ema(policy, 0.9)")
    found = graph(HEAD + WARM + tracked + 'export last.slow to "out"\n')
    (result,) = of_kind(found, "result")
    trained = found.nodes[result.inputs["stage"]]
    assert trained.label == "last"
    assert trained.settings["models"][result.settings["model"]]["as"] == "track"


def test_a_checkpoint_is_one_node_and_changes_its_stage_not_at_all() -> None:
    watched = WARM.replace("minimize", "watch skill every 1 steps\nminimize")
    after = stage("after", "train policy = warm @ step(1)\nfreeze old = warm @ step(1)\nminimize sft(demos, policy)")
    found = graph(
        HEAD + watched + "model early = warm @ step(1)\n" + after + 'export after to "a"\nexport early to "b"\n'
    )
    assert len(of_kind(found, "checkpoint")) == 1
    alone = {node.meaning for node in of_kind(graph(HEAD + WARM), "train")}
    assert alone < {node.meaning for node in of_kind(found, "train")}
