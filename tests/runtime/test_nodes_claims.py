"""Verdicts on claims, and gates, from counts made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from nodes_world import World

from ptc.runtime.artifacts import Artifact, InvariantBroken
from ptc.runtime.nodes.gates import informative_groups
from ptc.runtime.tables import write_table

N = 16


class Measured(World):
    """Measurements of 400 prompts whose chances of success are given."""

    def counts(self, chances: Any, seed: int, n: int = N, parameters: int = 1000) -> Artifact:
        correct = np.random.default_rng(seed).binomial(n, chances)
        folder = self._folder()
        prompts = [f"{index:064x}" for index in range(len(correct))]
        write_table(
            pa.table({"prompt_id": prompts, "n": [n] * len(correct), "correct": correct}), folder / "counts.parquet"
        )
        (folder / "summary.json").write_text(json.dumps({"parameters": parameters}))
        return Artifact(folder.name, folder, {})

    def verdict(self, role: str, tolerance: float = 0.1, **inputs: Artifact) -> dict[str, Any]:
        settings = {"role": role, "k": N, "tolerance": tolerance}
        document: dict[str, Any] = json.loads((self.run("claim", settings, **inputs).path / "verdict.json").read_text())
        return document

    def reshaped(self, before: np.ndarray, after: np.ndarray) -> dict[str, Any]:
        """The verdict on a claim to reshape, of two draws at entry and one at exit."""
        return self.verdict(
            "reshapes", entry=self.counts(before, 1), again=self.counts(before, 2), exit=self.counts(after, 3)
        )


def chances(*groups: tuple[int, float]) -> np.ndarray:
    return np.concatenate([np.full(count, chance) for count, chance in groups])


NOTHING = chances((400, 0.0))
HALF = chances((200, 0.6), (200, 0.0))
MORE = chances((300, 0.6), (100, 0.0))
SHARPER = chances((200, 0.95), (200, 0.0))
NARROWER = chances((140, 1.0), (60, 0.0), (200, 0.0))


def test_expansion_is_supported_where_new_prompts_are_solved(tmp_path: Path) -> None:
    world = Measured(tmp_path)
    found = world.verdict(
        "expands", entry=world.counts(HALF, 1), again=world.counts(HALF, 2), exit=world.counts(MORE, 3)
    )
    assert found["verdict"] == "supported"
    assert found["words"].startswith("claimed expand, measured expand: NSCR 0.33")
    assert found["numbers"]["confirmed new"] == 100 and found["prompts"] == 400
    assert found["intervals"]["NSCR"]["low"] > 0.2


def test_expansion_from_nothing(tmp_path: Path) -> None:
    world = Measured(tmp_path)
    entry, again = world.counts(NOTHING, 1), world.counts(NOTHING, 2)
    assert world.verdict("expands", entry=entry, again=again, exit=world.counts(HALF, 3))["verdict"] == "supported"


def test_sharpening_is_no_expansion(tmp_path: Path) -> None:
    world = Measured(tmp_path)
    entry, again, after = world.counts(HALF, 1), world.counts(HALF, 2), world.counts(SHARPER, 3)
    found = world.verdict("expands", entry=entry, again=again, exit=after)
    assert found["verdict"] == "undecided"
    assert found["words"].startswith("claimed expand, measured reshape: NSCR 0.000")
    assert found["words"].endswith("; undecided: 400 prompts tell no less than 0.014")
    assert world.verdict("reshapes", entry=entry, again=again, exit=after)["verdict"] == "supported"


def test_what_comes_and_goes_by_chance_is_not_called_attrition(tmp_path: Path) -> None:
    world = Measured(tmp_path)
    rare = chances((400, 0.03))
    found = world.verdict(
        "expands", entry=world.counts(rare, 1), again=world.counts(rare, 2), exit=world.counts(rare, 3)
    )
    assert found["verdict"] == "undecided"
    assert found["numbers"]["lost"] > 50 and found["numbers"]["lost by chance"] > 50
    assert "measured no measurable change" in found["words"]


def test_attempts_from_the_same_seeds_hide_neither_gain_nor_loss(tmp_path: Path) -> None:
    """Entry and exit are sampled from the same seeds: a stage that does nothing gives the very counts of the entry."""
    world = Measured(tmp_path)
    entry = world.counts(chances((400, 0.06)), 1)
    found = world.verdict("expands", entry=entry, again=world.counts(chances((400, 0.06)), 2), exit=entry)
    assert found["verdict"] == "undecided"
    assert found["intervals"]["newly solved"]["value"] == found["intervals"]["attrition"]["value"] == 0
    half = chances((200, 0.06), (200, 0.0))
    lost = np.random.default_rng(1).binomial(N, chances((400, 0.06))) * (half > 0)
    kept = world.counts(half, 0)
    counts = pa.table({"prompt_id": [f"{index:064x}" for index in range(400)], "n": [N] * 400, "correct": lost})
    write_table(counts, kept.path / "counts.parquet")
    found = world.verdict("reshapes", entry=entry, again=world.counts(chances((400, 0.06)), 2), exit=kept)
    truth = (1 - (1 - 0.06) ** N) / 2
    assert found["intervals"]["attrition"]["low"] < truth < found["intervals"]["attrition"]["high"]


def test_reshaping_with_attrition(tmp_path: Path) -> None:
    world = Measured(tmp_path)
    found = world.reshaped(HALF, NARROWER)
    assert found["verdict"] == "refuted"
    assert found["words"].startswith("claimed reshape, measured reshape with attrition: Δpass@1 +5.")
    assert found["numbers"]["lost"] == 60
    assert found["numbers"]["share of Δpass@1 from prompts solved at entry"] == 1.0


def test_a_rise_is_not_refuted_by_what_chance_loses(tmp_path: Path) -> None:
    world = Measured(tmp_path)
    entry, after = chances((200, 0.5), (200, 0.03)), chances((200, 0.9), (200, 0.03))
    found = world.reshaped(entry, after)
    assert found["intervals"]["SRR"]["value"] < 0.9
    assert found["words"].startswith("claimed reshape, measured reshape: ") and found["verdict"] == "supported"
    assert found["intervals"]["attrition"]["low"] < 0 < found["intervals"]["attrition"]["high"]


def test_reshaping_that_lowers_is_refuted_and_noise_undecided(tmp_path: Path) -> None:
    world = Measured(tmp_path)
    worse = world.reshaped(SHARPER, HALF)
    assert worse["verdict"] == "refuted" and "measured decline" in worse["words"]
    assert world.reshaped(HALF, HALF)["verdict"] == "undecided"


@pytest.mark.parametrize(("share", "verdict"), [(1.0, "supported"), (0.95, "supported"), (0.7, "refuted")])
def test_consolidation_against_the_carrier(tmp_path: Path, share: float, verdict: str) -> None:
    world = Measured(tmp_path)
    carrier = world.counts(SHARPER, 1, parameters=2000)
    found = world.verdict("consolidates", carrier=carrier, exit=world.counts(SHARPER * share, 2))
    assert found["verdict"] == verdict
    assert found["words"].endswith("of the carrier's pass@1, at 50% of the parameters")
    assert found["intervals"]["retention"]["value"] == pytest.approx(share, abs=0.02)


def test_support_and_pass_rates_agree(tmp_path: Path) -> None:
    world = Measured(tmp_path)
    numbers = world.reshaped(HALF, MORE)["numbers"]
    rise = numbers["pass@16 after"] - numbers["pass@16 before"]
    assert numbers["gained"] - numbers["lost"] == pytest.approx(400 * rise)


def test_measurements_of_different_prompts_are_not_compared(tmp_path: Path) -> None:
    world = Measured(tmp_path)
    with pytest.raises(InvariantBroken, match="different prompts"):
        world.reshaped(HALF, HALF[:10])


def bits(world: World, per_character: float) -> Artifact:
    folder = world._folder()
    noise = np.random.default_rng(0).normal(1, 0.05, 50)
    table = {"prompt_id": [str(i) for i in range(50)], "characters": [100] * 50, "bits": 100 * per_character * noise}
    write_table(pa.table({**table, "texts": [1] * 50}), folder / "counts.parquet")
    (folder / "summary.json").write_text(json.dumps({"parameters": 1}))
    return Artifact(folder.name, folder, {})


def test_claims_on_bits_per_character(tmp_path: Path) -> None:
    world = Measured(tmp_path)
    found = world.verdict("reshapes", entry=bits(world, 4.0), exit=bits(world, 2.0))
    assert found["verdict"] == "supported" and "fewer bits" in found["words"]
    assert world.verdict("reshapes", entry=bits(world, 2.0), exit=bits(world, 4.0))["verdict"] == "refuted"
    assert world.verdict("consolidates", carrier=bits(world, 2.0), exit=bits(world, 2.1))["verdict"] == "supported"
    assert world.verdict("consolidates", carrier=bits(world, 2.0), exit=bits(world, 3.0))["verdict"] == "refuted"
    assert world.verdict("expands", entry=bits(world, 4.0), exit=bits(world, 2.0))["verdict"] == "supported"


# Gates


def gate(op: str, limit: float, measure: str = "value", text: str = "ensure skill >= 0.4") -> dict[str, Any]:
    return {"when": "ensure", "measure": measure, "op": op, "limit": limit, "text": text}


def test_a_gate_that_holds_says_what_it_measured(tmp_path: Path) -> None:
    world = Measured(tmp_path)
    verdict = json.loads(
        (world.run("gate", gate("ge", 0.2), counts=world.counts(HALF, 1)).path / "verdict.json").read_text()
    )
    assert verdict["words"].startswith("ensure skill >= 0.4: measured 0.299 [0.269, ")
    assert verdict["prompts"] == 400 and verdict["verdict"] == "supported"


def test_a_gate_that_does_not_hold_stops_the_run(tmp_path: Path) -> None:
    world = Measured(tmp_path)
    with pytest.raises(InvariantBroken, match=r"ensure skill >= 0.4: measured 0.299 \[0.269, 0.33\] over 400 prompts"):
        world.run("gate", gate("ge", 0.4), counts=world.counts(HALF, 1))


def test_gates_on_bits(tmp_path: Path) -> None:
    world = Measured(tmp_path)
    world.run("gate", gate("lt", 2.5), counts=bits(world, 2.0))
    with pytest.raises(InvariantBroken):
        world.run("gate", gate("lt", 1.5), counts=bits(world, 2.0))


def test_informative_rate_counts_groups_with_different_rewards(tmp_path: Path) -> None:
    groups, rewards = [0, 0, 1, 1, 2, 2, 3, 3], [0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, None]
    assert informative_groups(pa.table({"group": groups, "reward": rewards})).tolist() == [1, 0, 0, 0]
    world = Measured(tmp_path)
    rows = world.rows(group=groups, reward=rewards)
    world.run("gate", gate("ge", 0.25, "informative_rate"), rows=rows)
    with pytest.raises(InvariantBroken):
        world.run("gate", gate("gt", 0.25, "informative_rate"), rows=rows)


def test_a_protected_rate_is_compared_prompt_by_prompt(tmp_path: Path) -> None:
    world = Measured(tmp_path)
    before, after = world.counts(HALF, 1), world.counts([0.9 * share for share in HALF], 2)
    lost = float(np.mean(HALF)) * 0.1

    def protected(points: float, counts: Artifact) -> dict[str, Any]:
        done = world.run("gate", gate("ge", -points, "change"), counts=counts, before=before, model=before)
        document: dict[str, Any] = json.loads((done.path / "verdict.json").read_text())
        return document

    assert protected(lost + 0.05, after)["verdict"] == "supported"
    with pytest.raises(InvariantBroken, match=r"changed by -\d.* points .* to go back: local.model\(\"") as stopped:
        protected(0.001, after)
    assert str(before.path) in str(stopped.value)
    undecided = protected(lost, after)
    assert undecided["verdict"] == "undecided"
    assert undecided["words"].endswith("points") and "400 prompts tell no less than" in undecided["words"]
    assert protected(0.05, before)["numbers"]["value"] == 0
