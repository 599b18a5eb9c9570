"""The programs of `docs/an-objective-of-your-own.md` train, and their objectives are what the page says."""

from __future__ import annotations

import copy
import json
import re
import sys
from collections.abc import Iterator
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
PROGRAM, IN_PYTHON = re.findall(r"^```pt\n(edition .*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
[MODULE] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
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


# In Python ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the program and the module of the page."""
    (tmp_path / "program.pt").write_text(IN_PYTHON, encoding="utf-8")
    (tmp_path / "fork.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("fork", None)


@pytest.mark.slow
def test_the_one_in_python_trains(written: Path) -> None:
    assert main(["run", "program.pt"]) == 2
    assert main(["run", "program.pt", "--allow-extern"]) == 0
    verdicts = [json.loads(path.read_text()) for path in written.glob(".ptc/objects/*/*/verdict.json")]
    claims = {verdict["role"]: verdict["verdict"] for verdict in verdicts if verdict["role"] != "require"}
    assert claims == {"expands": "supported", "reshapes": "supported"}
    assert (written / "forking" / "model.safetensors").exists()


def test_with_all_tokens_it_is_dapo(written: Path) -> None:
    models = Models()
    batch = {"rollouts": rollouts(models.sampler)}
    usual = loss_and_gradient(
        "dapo(rollouts, policy, clip_high = 0.2)", batch, {"policy": copy.deepcopy(models.policy)}
    )
    [head] = re.findall(r"^extern objective .*?^\) = \"fork:forking_tokens\"$", IN_PYTHON, re.MULTILINE | re.DOTALL)
    policy = {"policy": copy.deepcopy(models.policy)}
    loss, gradient = loss_and_gradient("forking_tokens(rollouts, policy, share = 1)", batch, policy, own=head)
    some, _ = loss_and_gradient("forking_tokens(rollouts, policy, share = 0.3)", batch, policy, own=head)
    assert loss == pytest.approx(usual[0], abs=1e-6)
    assert distance(gradient, usual[1]) <= 1e-6
    assert abs(some - loss) > 1e-3
