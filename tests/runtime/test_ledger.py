"""The ledger of an eval: points, changes, what a stage undid, and the gap that a scaffold still makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ptc.compiler.graph import Graph, Node
from ptc.runtime.artifacts import Artifact
from ptc.runtime.intervals import DIFFERENCE, RATE, RATE_DIFFERENCE, RATIO, interval
from ptc.runtime.ledger import EvalLedger, ledger, lines, undoing
from ptc.runtime.tables import COUNTS_FILE, write_table

N = 8
PROMPTS = 200


class Program:
    """A line of stages, and what was measured of each."""

    def __init__(self, folder: Path) -> None:
        self.nodes: dict[str, Node] = {}
        self.artifacts: dict[str, Artifact] = {}
        self._folder = folder

    def add(self, kind: str, label: str, settings: Mapping[str, object], **inputs: str) -> str:
        node = Node(kind, 1, settings, inputs, label, names={"eval": "skill"})
        self.nodes[node.meaning] = node
        return node.meaning

    def stage(self, label: str, init: str) -> str:
        return self.add("train", label, {"result": "m0", "seed": label}, m0=init)

    def measured(self, kind: str, model: str, table: pa.Table, **settings: object) -> str:
        counted = {} if kind == "bits_per_character" else {"n": N, "draw": 1, "verifier": {"name": "exact"}}
        meaning = self.add(kind, "", {**counted, **settings}, model=model)
        folder = self._folder / meaning
        folder.mkdir()
        write_table(table, folder / COUNTS_FILE)
        self.artifacts[meaning] = Artifact(meaning, folder, {})
        return meaning

    def ledgers(self) -> tuple[EvalLedger, ...]:
        return ledger(Graph(self.nodes, ()), self.artifacts)


def passed(correct: Sequence[int], n: int = N) -> pa.Table:
    names = [f"p{place}" for place in range(len(correct))]
    return pa.table({"prompt_id": names, "n": [n] * len(correct), "correct": [int(each) for each in correct]})


def draws(rate: float, seed: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.random.default_rng(seed).binomial(N, rate, PROMPTS)


def test_a_line_of_stages(tmp_path: Path) -> None:
    program = Program(tmp_path)
    base = program.add("new_model", "base", {})
    cold, sharp = program.stage("cold", base), ""
    sharp = program.stage("sharp", cold)
    between = program.add("lora", "adapted", {}, init=sharp)
    third = program.stage("third", between)
    rates = {base: draws(0.02, 0), cold: draws(0.3, 1), sharp: draws(0.6, 2), third: draws(0.45, 3)}
    for model in (third, cold, base, sharp):  # whatever was measured first
        program.measured("pass_rate", model, passed(list(rates[model])))
    (found,) = program.ledgers()
    assert (found.eval, found.kind, found.metric) == ("skill", "pass_rate", "pass@1")
    assert [point.stage for point in found.points] == ["", "cold", "sharp", "third"]
    assert [point.model for point in found.points] == ["base", "cold", "sharp", "third"]
    assert found.points[0].change is None and found.points[0].prompts == PROMPTS
    line = [base, cold, sharp, third]
    for place, point in enumerate(found.points):
        now = rates[line[place]] / N
        assert point.value == interval(RATE, now)
        assert point.curve[1] == pytest.approx(now.mean()) and set(point.curve) == {1, 2, 4, 8}
        if point.change is None:
            continue
        before = rates[line[place - 1]] / N
        assert point.change.difference == interval(RATE_DIFFERENCE, before, now)
        assert point.change.since == found.points[place - 1].model
        assert point.change.gained == int(((before == 0) & (now > 0)).sum())
        assert point.change.lost == int(((before > 0) & (now == 0)).sum())
        assert point.change.kept == int(((before > 0) & (now > 0)).sum())
    assert [point.undone is not None for point in found.points] == [False, False, False, True]
    undone = found.points[3].undone
    assert undone is not None and undone.since == "sharp" and undoing((found,))
    fall, rise = (rates[sharp] - rates[third]) / N, (rates[sharp] - rates[cold]) / N
    assert undone.share == interval(RATIO, fall, rise)
    assert undone.share.value == pytest.approx(fall.mean() / rise.mean())
    assert f"third undid {100 * fall.mean():.1f} points [" in undone.words
    assert f"of the {100 * rise.mean():.1f} that sharp brought" in undone.words
    shown = list(lines((found,)))
    assert len(shown) == 4 and shown[3].startswith("skill  third  ") and undone.words in shown[3]


def test_a_loss_beyond_the_last_rise_is_of_the_rises_before(tmp_path: Path) -> None:
    program = Program(tmp_path)
    model = program.add("new_model", "base", {})
    for label, rate in (("base", 0.0), ("cold", 0.4), ("sharp", 0.6), ("third", 0.2)):
        model = model if label == "base" else program.stage(label, model)
        program.measured("pass_rate", model, passed(list(draws(rate, len(label)))))
    undone = program.ledgers()[0].points[3].undone
    assert undone is not None and undone.since == "sharp and cold"
    assert undone.share is not None and undone.share.value == pytest.approx(0.4 / 0.6, abs=0.05)


def test_a_loss_that_may_be_none_undoes_nothing(tmp_path: Path) -> None:
    program = Program(tmp_path)
    base = program.add("new_model", "base", {})
    cold = program.stage("cold", base)
    third = program.stage("third", cold)
    rates = draws(0.5, 1)
    for model, correct in ((base, draws(0.1, 0)), (cold, rates), (third, rates - (np.arange(PROMPTS) == 0))):
        program.measured("pass_rate", model, passed(list(np.maximum(correct, 0))))
    (found,) = program.ledgers()
    change = found.points[2].change
    assert change is not None and change.difference.low < 0 <= change.difference.high
    assert not undoing((found,))


def test_fewer_bits_are_a_rise(tmp_path: Path) -> None:
    program = Program(tmp_path)
    model = program.add("new_model", "base", {})
    random = np.random.default_rng(0)
    characters = random.integers(5, 30, PROMPTS)
    bits = []
    for label, rate in (("base", 4.0), ("cold", 1.0), ("third", 2.0)):
        model = model if label == "base" else program.stage(label, model)
        bits.append(characters * (rate + 0.1 * random.standard_normal(PROMPTS)))
        table = pa.table({"prompt_id": [None] * PROMPTS, "characters": characters, "bits": bits[-1]})
        program.measured("bits_per_character", model, table, columns=["text"])
    (found,) = program.ledgers()
    changes = [point.change for point in found.points]
    assert changes[1] is not None and changes[1].difference.high < 0 and changes[1].gained is None
    assert [point.undone is not None for point in found.points] == [False, False, True]
    undone = found.points[2].undone
    assert undone is not None and undone.share is not None
    assert undone.share.value == pytest.approx(sum(bits[2] - bits[1]) / sum(bits[0] - bits[1]))
    assert "third undid 1.0" in undone.words and "brought" in undone.words


def test_what_is_not_on_the_line_is_compared_with_its_carrier(tmp_path: Path) -> None:
    program = Program(tmp_path)
    base, small = program.add("new_model", "base", {}), program.add("new_model", "tiny", {"hidden": 8})
    teacher = program.stage("teacher", base)
    pupil = program.stage("pupil", small)
    carrier = program.measured("pass_rate", teacher, passed(list(draws(0.8, 0))))
    exit = program.measured("pass_rate", pupil, passed(list(draws(0.3, 1))))
    program.add("claim", "", {"role": "consolidates"}, carrier=carrier, exit=exit)
    (found,) = program.ledgers()
    change = found.points[1].change
    assert change is not None and change.since == "teacher" and change.difference.high < 0
    assert found.points[1].undone is None


def test_rewards_and_second_draws(tmp_path: Path) -> None:
    program = Program(tmp_path)
    base = program.add("new_model", "base", {})
    scores = [np.random.default_rng(seed).standard_normal(PROMPTS) + seed for seed in (0, 1)]
    for model, own in ((base, scores[0]), (program.stage("tuned", base), scores[1])):
        names = [f"p{place}" for place in range(PROMPTS)]
        table = pa.table({"prompt_id": names, "n": [N] * PROMPTS, "mean_score": own})
        program.measured("reward", model, table)
        program.measured("reward", model, table, draw=2)
    (found,) = program.ledgers()
    change = found.points[1].change
    assert found.metric == "reward" and change is not None
    assert change.difference == interval(DIFFERENCE, *scores) and change.kept is None


def test_the_gap_to_a_scaffolded_twin(tmp_path: Path) -> None:
    program = Program(tmp_path)
    base = program.add("new_model", "base", {})
    plain = draws(0.4, 0)
    helped = (plain > 0).astype(np.int64)
    program.measured("pass_rate", base, passed(list(plain)))
    program.measured("pass_rate", base, passed(list(helped), n=1), n=16, scaffold="best_of_n")
    program.measured("pass_rate", base, passed(list(helped), n=1), scaffold="majority", max_tokens=7)
    first, *others = program.ledgers()
    gap = first.points[0].scaffold
    assert gap is not None and gap.difference == interval(RATE_DIFFERENCE, plain / N, helped.astype(np.float64))
    assert gap.words.endswith("with best_of_n")
    assert [each.points[0].scaffold for each in others] == [None, None]
