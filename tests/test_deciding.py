"""What `ptc plan` says that evals can decide, against the intervals that will judge."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ptc import api, powers
from ptc.amounts import rows
from ptc.cli import main
from ptc.compiler.graph import Node
from ptc.deciding import _as_measured, _asked, planned_evals
from ptc.powers import Decidable
from ptc.runtime.forecast import forecast
from ptc.runtime.intervals import RATE_DIFFERENCE, interval
from ptc.runtime.profile import Profile
from ptc.runtime.store import Store

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "spelling.pt"


def test_the_demo_before_anything_is_known(tmp_path: Path) -> None:
    graph = api.compiled(api.check_file(str(EXAMPLE), {}))
    store, profile = Store(tmp_path, create=False), Profile()
    (skill,) = planned_evals(graph, store, forecast(graph, store, profile), rows)
    assert (skill.name, skill.prompts, skill.counted, skill.attempts) == ("skill", 1000, False, 16)
    net, rise, kept = skill.decides
    assert [each.statistic for each in skill.decides] == ["NSCR", "Δpass@1", "retention"]
    assert rise.asks == ("reasoner reshapes skill",) and kept.allowed == 0.1
    before, after = np.repeat([0.0, 1.0], 500), np.tile([0.0, 1.0], 500)
    assert rise.at_worst == pytest.approx(interval(RATE_DIFFERENCE, before, after).half_width)
    assert rise.at_worst == pytest.approx(1.96 * np.sqrt(0.5 / 1000), rel=0.01)
    assert rise.as_measured is net.as_measured is None


CHANGE = Node("gate", 1, {"measure": "change", "limit": -0.02}, {})


def test_what_was_measured_is_taken_in_pairs_and_one_model_alone_against_itself_shuffled() -> None:
    rng = np.random.default_rng(1)
    rates = rng.random(300).round(2)
    one = {str(place): rate for place, rate in enumerate(rates)}
    near = {prompt: rate * 0.98 for prompt, rate in one.items()}
    asked = _asked("pass_rate", CHANGE)
    paired, alone = _as_measured(asked, [one, near]), _as_measured(asked, [one])
    assert paired == pytest.approx(interval(RATE_DIFFERENCE, rates, rates * 0.98).half_width)
    assert alone is not None and paired is not None and alone > 3 * paired
    assert alone == pytest.approx(1.97 * np.sqrt(2 * rates.var() / 300), rel=0.1)
    assert _as_measured(asked, []) is None


def test_a_pair_of_models_that_solve_nothing_tells_nothing_of_what_is_newly_solved() -> None:
    asked = _asked("pass_rate", Node("claim", 1, {"role": "expands", "k": 8, "tolerance": 0.1}, {}))
    nothing = {str(place): 0.0 for place in range(50)}
    some = {str(place): float(place % 2) for place in range(50)}
    assert _as_measured(asked, [nothing, nothing]) is None
    assert _as_measured(asked, [nothing, nothing, some]) == _as_measured(asked, [nothing, some])


LOST = "2.0 points may be lost: that it is no more"


@pytest.mark.parametrize(
    ("worst", "measured", "words"),
    [
        (0.049, None, f" of 4.9 points at worst: protect x; {LOST} cannot be shown"),
        (0.049, 0.015, f" of 1.5 points as measured, 4.9 points at worst: protect x; {LOST} can be shown"),
        (None, None, ", once it is measured: protect x"),
    ],
)
def test_in_words(worst: float | None, measured: float | None, words: str) -> None:
    decidable = Decidable(statistic="Δpass@1", asks=("protect x",), at_worst=worst, as_measured=measured, allowed=0.02)
    assert powers.spelled(decidable) == f"a change of pass@1{words}"


def test_rows_that_the_store_has_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = EXAMPLE.read_text().replace("size = 20_000", "size = 500")
    Path("small.pt").write_text(text)
    assert main(["run", "small.pt", "--to", "held_out"]) == 0
    capsys.readouterr()
    assert main(["plan", "small.pt", "--json"]) == 0
    (skill,) = json.loads(capsys.readouterr().out)["evals"]
    assert skill["counted"] and 5 < skill["prompts"] < 40
    assert main(["plan", "small.pt"]) == 0
    out = capsys.readouterr().out
    assert f"eval skill: {skill['prompts']} prompts × 16, measured" in out
    assert "a change of pass@1 of " in out and " points at worst: reasoner reshapes skill" in out
    assert "measuring: " in out
