"""The program of `docs/an-objective-of-your-own.md` trains, and its objective is the paper's, as TRL has it."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import pytest
from parity import TOLERANCE, Distance, distance
from parity_batches import Models, rollouts
from parity_list import Case
from parity_ours import loss_and_gradient
from parity_theirs import theirs

from ptc.cli import main
from ptc.compiler.objective_names import LIBRARY

PAGE = (Path(__file__).parents[2] / "docs" / "an-objective-of-your-own.md").read_text(encoding="utf-8")
[PROGRAM] = re.findall(r"^```pt\n(edition .*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
[OBJECTIVE] = re.findall(r"^objective gmpo\(.*?^}$", PROGRAM, re.MULTILINE | re.DOTALL)


def test_the_library_has_not_got_it() -> None:
    assert "gmpo" not in LIBRARY


@pytest.mark.slow
def test_it_is_the_loss_of_its_paper(tmp_path: Path) -> None:
    models = Models()
    groups = rollouts(models.sampler)
    policy = copy.deepcopy(models.policy)
    loss, gradient = loss_and_gradient(
        "gmpo(rollouts, policy)", {"rollouts": groups}, {"policy": policy}, own=OBJECTIVE
    )
    other, expected = theirs(Case("experimental.gmpo.GMPOTrainer", "grpo", ""), models, groups, tmp_path)
    found = Distance(loss, other, distance(gradient, expected))
    assert found.loss <= TOLERANCE
    assert found.gradient <= TOLERANCE


@pytest.mark.slow
def test_it_trains_and_its_claims_are_supported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "program.pt").write_text(PROGRAM, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["run", "program.pt"]) == 0
    verdicts = [json.loads(path.read_text()) for path in tmp_path.glob(".ptc/objects/*/*/verdict.json")]
    claims = {verdict["role"]: verdict["verdict"] for verdict in verdicts if verdict["role"] != "require"}
    assert claims == {"expands": "supported", "reshapes": "supported"}
