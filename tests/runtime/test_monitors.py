"""Monitors on rows that were made up: each fires where it must, and hardly ever on noise."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from ptc.compiler import monitors as known
from ptc.compiler.graph import Guard, Node
from ptc.runtime.monitors.monitors import Firing, Monitors
from ptc.runtime.monitors.record import curves
from ptc.runtime.monitors.remedies import REMEDIES
from ptc.runtime.monitors.series import SERIES
from ptc.runtime.monitors.trends import climb, falls, rises

Rows = Iterable[Mapping[str, float]]
STEPS = 60
WATCHED = 5
"""Steps from one measurement of the eval to the next."""
PROMPTS = 128


def guards(*monitors: str) -> list[Guard]:
    """The usual limits, of all monitors or of some."""
    return [
        Guard(m.monitor, m.name, m.usual.op, m.usual.limit, m.usual.over, "skill" if m.of_eval else "")
        for m in known.MEASURES
        if m.usual is not None and (not monitors or m.monitor in monitors)
    ]


def fired(rows: Rows, watching: list[Guard]) -> list[Firing]:
    seen = Monitors(watching)
    return [firing for step, row in enumerate(rows, start=1) for firing in seen.see(step, row)]


def steady(seed: int) -> list[dict[str, float]]:
    """A healthy stage in which nothing changes but by chance: 32 prompts, 8 attempts, an eval of 128 prompts."""
    chance = random.Random(seed)
    rows = []
    for step in range(1, STEPS + 1):
        row = {
            "loss": 0.5 * chance.lognormvariate(0, 0.5),
            "grad_norm": chance.lognormvariate(0, 0.5),
            "entropy": 0.3 * chance.lognormvariate(0, 0.3),
            "kl": 0.05 * chance.lognormvariate(0, 0.5),
            "reward": chance.gauss(0.5, 0.05),
            "reward_std": 0.5,
            "frac_reward_zero_std": chance.gauss(0.5, 0.09),
            "epoch": step / 10,
            "completions/mean_length": chance.gauss(100, 10),
            "completions/clipped_ratio": chance.uniform(0, 0.2),
            "completions/empty_ratio": 0.0,
            "completions/repetition_ratio": chance.uniform(0, 0.1),
            "importance_ratio/effective_sample_size": chance.uniform(0.8, 1.0),
            "importance_ratio/max": chance.lognormvariate(1, 0.5),
            "clip_ratio/region_mean": chance.uniform(0, 0.2),
            "logps/chosen": chance.gauss(-50, 4),
        }
        if step % WATCHED == 0:
            row["eval/skill/pass@1"] = chance.gauss(0.5, 0.5 / PROMPTS**0.5)
        rows.append(row)
    return rows


Course = Callable[[float], float]


def going(**courses: Course) -> list[dict[str, float]]:
    """The same, where some metrics take a course: from 0 at the first step to 1 at the last."""
    rows = steady(0)
    spelled = {name.replace("__", "/").replace("_at_", "@"): course for name, course in courses.items()}
    for step, row in enumerate(rows):
        row |= {name: course(step / STEPS) for name, course in spelled.items() if name in row}
    return rows


BAD: Mapping[str, Mapping[str, Course]] = {
    "zero-advantage-rate": {"frac_reward_zero_std": lambda at: min(1.0, 0.5 + at)},
    "entropy-collapse": {"entropy": lambda at: 0.3 * 2 ** (-12 * at)},
    "kl-budget": {"kl": lambda at: 4 * at},
    "proxy-gold-divergence": {"reward": lambda at: at, "eval__skill__pass_at_1": lambda at: 0.6 - 0.3 * at},
    "prompt-memorisation": {"reward": lambda at: 0.5 + 0.5 * at, "eval__skill__pass_at_1": lambda at: 0.5},
    "off-policy-health": {"importance_ratio__effective_sample_size": lambda at: 1 - at},
    "loss-spike": {"loss": lambda at: 20.0 if at > 0.9 else 0.5},
    "chosen-logp-drop": {"logps__chosen": lambda at: -50 - 40 * at},
    "length-drift": {"completions__mean_length": lambda at: 100 + 300 * at},
    "degenerate-training": {"completions__repetition_ratio": lambda at: at},
}
"""By monitor: what goes wrong in a stage."""


def test_the_tables_are_about_the_same_measures() -> None:
    assert {*known.BY_NAME, known.EVAL} == SERIES.keys() == REMEDIES.keys()
    assert {m.monitor for m in known.MEASURES if m.usual is not None} == BAD.keys()


@pytest.mark.parametrize("monitor", BAD)
def test_a_monitor_fires_once_for_what_it_is_about(monitor: str) -> None:
    found = fired(going(**BAD[monitor]), guards(monitor))
    assert [each.guard.monitor for each in found].count(monitor) == len(found) >= 1
    assert len({each.guard for each in found}) == len(found)
    assert found[0].row["level"] == "warning" and str(found[0].step) in str(found[0].row["words"])


@pytest.mark.parametrize("monitor", BAD)
def test_other_monitors_keep_still(monitor: str) -> None:
    """Where a reward is memorised, or is not what is wanted, both may be said."""
    alike = {"prompt-memorisation", "proxy-gold-divergence"}
    said = {each.guard.monitor for each in fired(going(**BAD[monitor]), guards())}
    assert said <= ({monitor} | alike if monitor in alike else {monitor})


def test_gradients_that_outgrow_the_first_ones_of_a_warm_up_are_no_spike() -> None:
    """As those of a student that begins as what its teacher has nearly made of it."""
    rows = going(grad_norm=lambda at: 0.1 if at * STEPS <= 10 else 2.5, loss=lambda at: 0.5)
    assert not fired(rows, guards("off-policy-health"))
    assert fired(going(grad_norm=lambda at: 60.0 if at > 0.9 else 2.5), guards("off-policy-health"))


def test_longer_responses_that_are_paid_for_are_no_drift() -> None:
    rows = going(completions__mean_length=lambda at: 100 + 300 * at, reward=lambda at: 0.3 + 0.6 * at)
    assert not fired(rows, guards("length-drift"))


def test_a_reward_that_rises_in_the_first_pass_memorises_nothing() -> None:
    rows = going(**BAD["prompt-memorisation"], epoch=lambda at: at)
    assert not fired(rows, guards("prompt-memorisation"))


def test_a_monitor_fires_again_only_when_it_had_recovered() -> None:
    limit = Guard("kl-budget", "kl", "le", 0.2)
    rows = [{"kl": value} for value in (0.1, 0.3, 0.4, 0.1, 0.3)]
    assert [each.step for each in fired(rows, [limit])] == [2, 5]


def test_the_median_of_some_steps_is_compared_and_only_once_there_are_so_many() -> None:
    limit = Guard("kl-budget", "kl", "le", 0.2, over=3)
    assert not fired([{"kl": 1.0}] * 2, [limit])
    assert not fired([{"kl": 0.1}, {"kl": 9.0}, {"kl": 0.1}], [limit])
    assert [each.step for each in fired([{"kl": 0.1}, {"kl": 0.3}, {"kl": 0.3}], [limit])] == [3]


def test_a_watched_eval_is_a_measure() -> None:
    limit = Guard("eval", "eval", "ge", 0.4, about="skill")
    rows = [{"loss": 1.0}, {"eval/skill/pass@1": 0.5}, {"loss": 1.0}, {"eval/skill/pass@1": 0.3}]
    (found,) = fired(rows, [limit])
    assert found.words == "skill 0.3 < 0.4 at step 4"


@pytest.mark.parametrize("killed", [1, 17, 30, 59])
def test_what_was_seen_survives(tmp_path: Path, killed: int) -> None:
    """A stage that goes on from a checkpoint is told what one that never stopped is told, and nothing twice."""
    rows = going(**BAD["entropy-collapse"], **BAD["proxy-gold-divergence"])
    whole = fired(rows, guards())
    before, after = Monitors(guards()), Monitors(guards())
    found = [firing for step, row in enumerate(rows[:killed], start=1) for firing in before.see(step, row)]
    before.save(tmp_path)
    after.load(tmp_path)
    found += [firing for step, row in enumerate(rows[killed:], start=killed + 1) for firing in after.see(step, row)]
    assert found == whole and len(whole) >= 2


def test_a_limit_that_has_moved_is_asked_anew(tmp_path: Path) -> None:
    before, after = Monitors([Guard("kl-budget", "kl", "le", 0.2)]), Monitors([Guard("kl-budget", "kl", "le", 0.3)])
    before.see(1, {"kl": 0.4})
    before.save(tmp_path)
    after.load(tmp_path)
    assert [firing.value for firing in after.see(2, {"kl": 0.5})] == [0.5]


def test_guards_that_nothing_answers_are_known() -> None:
    limit = Guard("kl-budget", "kl", "le", 0.2, stops=True)
    seen = Monitors([limit])
    seen.see(1, {"loss": 1.0})
    assert [*seen.never_asked()] == [limit]
    seen.see(2, {"kl": 0.1})
    assert not [*seen.never_asked()]


def test_a_trend_is_told_from_chance() -> None:
    assert rises([1, 2, 3, 4, 5], 0.01) and not rises([1, 2, 3, 5, 4], 0.01)
    assert falls([5, 4, 3, 2, 1], 0.01) and not falls([1, 1, 1, 1, 1], 0.01)
    assert not rises([1, 2, 3, 4], 0.01)  # 4 values are in order once in 24 times
    assert climb([0.0, 1.0, 2.0, 30.0]) == pytest.approx(3 * 1.5, abs=30)


@pytest.mark.slow
def test_noise_hardly_ever_fires() -> None:
    """1,000 steady stages, all monitors: a false alarm in at most 0.5 % of them."""
    alarms = [found for seed in range(1_000) if (found := fired(steady(seed), guards()))]
    assert len(alarms) <= 5, {each.guard.measure for found in alarms for each in found}


def test_the_record_has_the_curve_that_was_compared_and_where_it_fired() -> None:
    limits = (Guard("kl-budget", "kl", "le", 0.2, over=2), Guard("entropy-collapse", "entropy", "ge", 0.1))
    values = (0.1, 0.1, 0.5, 0.7)
    seen, logged = Monitors(limits), list[dict[str, object]]()
    for step, value in enumerate(values, start=1):
        logged.append({"node": "n", "step": step, "loss": 1.0, "kl": value})
        logged += [{"node": "n", **firing.row} for firing in seen.see(step, {"kl": value})]
    again = [*logged, logged[-2]]  # killed behind its last checkpoint, it told of this step twice
    kl, entropy = curves(Node("train", 1, {}, {}, guards=limits), again)
    assert kl.points == ((2, 0.1), (3, 0.3), (4, pytest.approx(0.6)))
    assert [row["step"] for row in kl.fired] == [3]
    assert not entropy.points and not entropy.fired
