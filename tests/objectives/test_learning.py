"""Each objective learns what it says on a world that can be written out: `benchmarks/learning.py`, case by case."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from suitable import NAMES

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "benchmarks"))

import learning  # noqa: E402
from enumerable.optima import covering, least, tilted  # noqa: E402
from enumerable.policies import Policy, kl, states  # noqa: E402
from enumerable.table import CASES, between, nats, share  # noqa: E402


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_it_learns_what_it_says(name: str) -> None:
    missed = [row for row in learning.taught(name) if not row.holds]
    assert not missed


def test_every_objective_stands_on_the_page() -> None:
    page = learning.PAGE.read_text(encoding="utf-8")
    assert {name for name in NAMES if f"\n| `{name}` |" in page} == set(NAMES)


def test_a_row_holds_within_its_tolerance() -> None:
    assert nats("sft", "cost", 0.5, 0.519).holds and not nats("sft", "cost", 0.5, 0.521).holds
    assert share("sft", "P", 0.5, 0.491).holds and not share("sft", "P", 0.5, 0.489).holds
    assert between("kto", "gain", -np.inf, -2, -2.1).holds and not between("kto", "gain", -np.inf, -2, -1.9).holds


def chance_policy(length: int) -> Policy:
    generator = np.random.default_rng(3)
    logits = {state: generator.normal(size=4) for state in states(("x", "y"), 4, 0, length)}
    return Policy({state: row - np.log(np.exp(row).sum()) for state, row in logits.items()}, 0, length)


def reward(prompt: str, response: tuple[int, ...]) -> float:
    return float(response[0] == (1 if prompt == "x" else 2)) - 0.3 * len(response)


def test_the_tilted_policy_is_what_a_search_finds() -> None:
    reference = chance_policy(2)
    found = tilted(reference, reward, 0.7)
    for prompt in reference.prompts:
        earned = np.array([reward(prompt, one) for one in reference.responses])
        start = reference.whole(prompt)
        best = least(lambda own, earned=earned, start=start: 0.7 * kl(own, start) - own @ earned, len(earned))
        assert found.whole(prompt) == pytest.approx(best, abs=1e-4)


def test_the_covering_policy_balances_reward_and_divergence_in_every_state() -> None:
    """By finite differences of the logits of each state: of the reward, and of KL(reference || policy) there."""
    reference, strength, prompt = chance_policy(2), 0.9, "x"
    found = covering(reference, reward, strength)

    def moved(said: tuple[int, ...], token: int, by: float) -> Policy:
        row = found.log[prompt, said].copy()
        row[token] += by
        return Policy({**found.log, (prompt, said): row - np.log(np.exp(row).sum())}, 0, 2)

    for said in ((), (1,), (3,)):
        visits = 1.0 if not said else float(found.conditional(prompt)[said[0]])
        for token in range(4):
            up, down = moved(said, token, 1e-5), moved(said, token, -1e-5)
            earns = [one.expected(prompt, lambda response: reward(prompt, response)) for one in (up, down)]
            away = [kl(reference.conditional(prompt, said), one.conditional(prompt, said)) for one in (up, down)]
            slope = (earns[0] - earns[1] - strength * visits * (away[0] - away[1])) / 2e-5
            assert slope == pytest.approx(0.0, abs=1e-6)
