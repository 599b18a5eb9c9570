"""The third law of the language: what does not change the meaning of a program changes no node."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest
from graph_programs import (
    HEAD,
    SPELLING,
    WARM,
    declared,
    graph,
    meanings,
    named,
    of_kind,
    renamed,
    reordered,
    respaced,
    stage,
)

from ptc import api
from ptc.compiler.graph import Graph, Node
from ptc.compiler.passes.drop_unused import drop_unused
from ptc.compiler.passes.share_common import share_common
from ptc.lang.source import Source


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("rewrite", [renamed, respaced, reordered])
def test_rewrites_change_no_node(rewrite: Callable[[str, random.Random], str], seed: int) -> None:
    text = rewrite(SPELLING, random.Random(seed))
    assert text != SPELLING
    assert meanings(text) == meanings(SPELLING)


def test_all_rewrites_together() -> None:
    rng = random.Random(7)
    text = respaced(reordered(renamed(SPELLING, rng), rng), rng)
    assert not re.search(
        rf"\b({'|'.join(set(declared(SPELLING)))})\b", re.sub(r'#[^\n]*|"[^"\n]*"|tokenizer', "", text)
    )
    assert meanings(text) == meanings(SPELLING)


def test_formatting_changes_no_node() -> None:
    from ptc.lang.format import format as lay_out
    from ptc.lang.parse import parse

    assert meanings(lay_out(parse(Source("program.pt", SPELLING))[0])) == meanings(SPELLING)


@pytest.mark.parametrize(
    "unused",
    [
        "source spare = tasks |> slice(97%, 100%)\n",
        'model spare = new.model("llama", hidden = 32, layers = 1, tokenizer = characters(problems))\n',
        "eval spare = pass_rate(held_out, exact, n = 2)\n",
    ],
)
def test_what_is_unused_adds_nothing(unused: str) -> None:
    assert meanings(SPELLING + unused) == meanings(SPELLING)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("  watch skill every 50 steps\n", ""),
        ("  watch skill every 50 steps\n", "  watch skill every 7 steps\n"),
        ("  require informative_rate(rollouts) >= 10%\n", ""),
        ("  minimize grpo", "  ensure skill >= 1%\n  minimize grpo"),
        (" reshapes skill", ""),
        (" expands skill", ""),
        ("report skill\n", ""),
        ("report skill\n", "eval other = pass_rate(held_out, exact, n = 2, max_tokens = 4)\nreport skill, other\n"),
        ('export small to "out/spelling-small"', 'export small to "elsewhere"'),
    ],
)
def test_observers_change_no_stage(before: str, after: str) -> None:
    assert before in SPELLING
    changed = SPELLING.replace(before, after)
    assert {node.meaning for node in of_kind(graph(changed), "train")} == {
        node.meaning for node in of_kind(graph(SPELLING), "train")
    }


def test_the_students_budget_changes_the_student_alone() -> None:
    before, after = graph(SPELLING), graph(SPELLING.replace("budget    = 150 steps", "budget    = 100 steps"))
    student = named(before, "small")
    downstream = {student.meaning}
    for meaning, node in before.nodes.items():  # every node stands behind its inputs
        if downstream & set(node.inputs.values()):
            downstream.add(meaning)
    assert set(before.nodes) - set(after.nodes) == downstream
    assert {before.nodes[meaning].kind for meaning in downstream} == {
        "train",
        "pass_rate",
        "evidence",
        "claim",
        "export",
    }


def test_a_setting_changes_what_comes_after_it_alone() -> None:
    before, after = graph(SPELLING), graph(SPELLING.replace("clip_high = 0.28", "clip_high = 0.3"))
    assert named(before, "cold_start").meaning == named(after, "cold_start").meaning
    for name in ("reasoner", "primed", "small"):
        assert named(before, name).meaning != named(after, name).meaning


def test_the_seed_of_the_program_reaches_every_draw() -> None:
    program = api.check_text(SPELLING, settings={"seed": "3"})
    before, after = graph(SPELLING), api.compiled(program)
    for kind in ("new_model", "sample", "train", "pass_rate"):
        assert not {n.meaning for n in of_kind(before, kind)} & {n.meaning for n in of_kind(after, kind)}
    for kind in ("gym", "prompts", "slice", "characters"):
        assert {n.meaning for n in of_kind(before, kind)} == {n.meaning for n in of_kind(after, kind)}


# Objectives -----------------------------------------------------------------------------------------------------------


def test_names_of_objectives_mean_nothing() -> None:
    rng = random.Random(3)
    words = {name: "".join(rng.choice("bcdfghjklm") for _ in range(9)) for name in ("sft", "grpo", "dpo", "reverse_kl")}

    def other(text: str) -> str:
        for name, word in words.items():
            text = re.sub(rf"\b{name}\b", word, text)
        return text

    library = {path: Source(text.path, other(text.text)) for path, text in api.catalogue().library.items()}
    assert set(graph(other(SPELLING), library).nodes) == meanings(SPELLING)


def test_an_objective_in_the_program_is_as_good_as_the_librarys() -> None:
    text = api.catalogue().library["sft.pt"].text.replace("edition 2026", "").replace("objective sft", "objective own")
    own = HEAD + text + stage("warm", "train policy = base minimize own(demos, policy)")
    assert meanings(own) == meanings(HEAD + WARM)


# Equal declarations ---------------------------------------------------------------------------------------------------


def test_equal_declarations_are_one_node() -> None:
    twin = HEAD + WARM + WARM.replace("warm", "tepid")
    assert len(of_kind(graph(twin), "train")) == 1
    apart = HEAD + WARM + WARM.replace("warm", "tepid").replace("budget", "seed = 2 budget")
    assert len(of_kind(graph(apart), "train")) == 2


def test_a_seed_makes_a_twin_of_a_model() -> None:
    other = 'model other = new.model("qwen3", hidden = 64, layers = 2, tokenizer = characters(tasks){})\n'
    second = stage("second", "train policy = other minimize sft(demos, policy)")
    assert len(of_kind(graph(HEAD + other.format("") + WARM + second), "new_model")) == 1
    assert len(of_kind(graph(HEAD + other.format(", seed = 2") + WARM + second), "new_model")) == 2


def test_a_second_draw_of_a_claim_is_another_node() -> None:
    found = graph(HEAD + WARM.replace("stage warm", "stage warm expands skill"))
    assert sorted(node.settings["draw"] for node in of_kind(found, "pass_rate")) == [1, 1, 2]


def test_a_slice_of_a_slice_is_a_slice() -> None:
    learned = " |> respond(.answer)\n" + stage("a", "train p = base minimize sft(some, p)")
    nested = HEAD + "source some = problems |> slice(50%, 100%)" + learned
    assert meanings(nested) == meanings(HEAD + "source some = tasks |> slice(40%, 80%)" + learned)


# Passes ---------------------------------------------------------------------------------------------------------------


def node(kind: str, label: str = "", after: tuple[str, ...] = (), **inputs: str) -> Node:
    return Node(kind, 1, {}, inputs, label, after=after)


def test_share_common() -> None:
    gate = node("gate")
    first, again = node("gym", "first"), node("gym", "again", after=(gate.meaning,))
    shared = share_common(Graph({gate.meaning: gate, "one": first, "two": again}, (first.meaning, first.meaning)))
    assert set(shared.nodes) == {gate.meaning, first.meaning}
    assert shared.nodes[first.meaning].label == "first"
    assert shared.nodes[first.meaning].after == (gate.meaning,)
    assert shared.roots == (first.meaning,)


def test_drop_unused() -> None:
    gate, rows = node("gate"), node("gym")
    kept = node("slice", after=(gate.meaning,), rows=rows.meaning)
    spare = node("take", rows=rows.meaning)
    found = drop_unused(Graph({n.meaning: n for n in (gate, rows, kept, spare)}, (kept.meaning,)))
    assert set(found.nodes) == {gate.meaning, rows.meaning, kept.meaning}
