"""Bills by hand: what a run cost, what of it was measuring, and what a stage brought for its cost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ptc.compiler.graph import Graph, Node
from ptc.runtime.artifacts import Artifact
from ptc.runtime.bills import Provenance, gains, lines, measuring, stage_costs
from ptc.runtime.costs import Cost

PROMPTS = Node("slice", 1, {}, {}, "held_out")
TASKS = Node("slice", 1, {"from": 0.5}, {}, "tasks")
BASE = Node("new_model", 1, {}, {}, "base")
ENTRY = Node("pass_rate", 1, {}, {"model": BASE.meaning, "prompts": PROMPTS.meaning}, "skill of base")
ATTEMPTS = Node("sample", 1, {}, {"prompts": TASKS.meaning, "model": BASE.meaning}, "attempts")
STAGE = Node("train", 1, {}, {"m0": BASE.meaning, "s0": ATTEMPTS.meaning}, "sharp")
EXIT = Node("pass_rate", 1, {}, {"model": STAGE.meaning, "prompts": PROMPTS.meaning}, "skill of sharp")
CLAIM = Node(
    "claim",
    1,
    {"role": "reshapes"},
    {"entry": ENTRY.meaning, "exit": EXIT.meaning},
    "sharp reshapes skill",
    names={"stage": "sharp", "eval": "skill", "role": "reshapes"},
)
OUT = Node("export", 1, {"path": "out"}, {"model": STAGE.meaning}, "export out")
NODES = (PROMPTS, TASKS, BASE, ENTRY, ATTEMPTS, STAGE, EXIT, CLAIM, OUT)
GRAPH = Graph({node.meaning: node for node in NODES}, (CLAIM.meaning, OUT.meaning))
WATCHES = Cost(device_seconds=2.0, sampled_tokens=5, flops=10**12)
COSTS = {
    PROMPTS.meaning: Cost(device_seconds=1.0),
    TASKS.meaning: Cost(device_seconds=1.0),
    BASE.meaning: Cost(device_seconds=1.0),
    ENTRY.meaning: Cost(device_seconds=4.0, sampled_tokens=100, read_tokens=10, flops=2 * 10**12),
    ATTEMPTS.meaning: Cost(device_seconds=6.0, sampled_tokens=300, read_tokens=30, flops=6 * 10**12),
    STAGE.meaning: Cost(device_seconds=54.0, sampled_tokens=5, trained_tokens=2_000_000, flops=41 * 10**12),
    EXIT.meaning: Cost(device_seconds=4.0, sampled_tokens=90, read_tokens=10, flops=2 * 10**12),
    CLAIM.meaning: Cost(),
    OUT.meaning: Cost(),
}


def provenance() -> Provenance:
    known = {meaning: {"cost": cost.document} for meaning, cost in COSTS.items()}
    known[STAGE.meaning]["watching"] = WATCHES.document
    return known


def verdicts(folder: Path) -> dict[str, Artifact]:
    (folder / "verdict.json").write_text(json.dumps({"intervals": {"Δpass@1": {"value": 0.12}}}), encoding="utf-8")
    return {CLAIM.meaning: Artifact("", folder, {})}


def test_measuring_is_what_no_model_needs_and_what_watches() -> None:
    bill = measuring(GRAPH, provenance())
    assert bill.whole == Cost(71.0, 495, 50, 2_000_000, 51 * 10**12)
    assert bill.measuring == Cost(1.0 + 4.0 + 4.0 + 2.0, 195, 20, 0, 5 * 10**12)
    assert bill.by_kind["watch"] == WATCHES and bill.by_kind["pass_rate"].device_seconds == 8.0
    assert (bill.share, bill.share_of_flops) == (11 / 71, 5 / 51)


def test_a_stage_costs_what_it_learned_from_too_and_not_what_looked_on() -> None:
    assert stage_costs(GRAPH, provenance()) == {STAGE.meaning: Cost(61.0 - 1.0, 300, 30, 2_000_000, 46 * 10**12)}


def test_what_a_stage_gained_for_its_cost(tmp_path: Path) -> None:
    (gain,) = gains(GRAPH, verdicts(tmp_path), provenance())
    assert gain.points == pytest.approx(12)
    assert gain.per_million_tokens == pytest.approx(6) and gain.per_device_minute == pytest.approx(12)
    assert gain.per_petaflop == pytest.approx(12 / 0.046)


def test_in_words(tmp_path: Path) -> None:
    assert list(lines(GRAPH, verdicts(tmp_path), provenance())) == [
        "cost       71.0 s of devices; tokens: 495 sampled, 50 read, 2.0M trained on; 51 teraflop",
        "measuring  11.0 s of 71.0 s, 15% (10% of operations): pass_rate 8.0 s, watch 2.0 s, slice 1.0 s",
        "gained     sharp: skill +12.0 points, +6 per million tokens trained on, +0.261 per teraflop, "
        "+12 per device-minute",
    ]


def test_of_what_was_made_before_costs_were_noted_nothing_is_said(tmp_path: Path) -> None:
    assert list(lines(GRAPH, verdicts(tmp_path), {node.meaning: {"seconds": 3.0} for node in NODES})) == []
