"""`trl.toml` is the whole of what the installed TRL can minimise: a loss type, trainer or setting more fails here."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
from importlib.metadata import version
from typing import Any

import pytest
from parity_list import CASES, DOCUMENT, OMISSIONS
from parity_ours import objectives
from suitable import NAMES

pytestmark = pytest.mark.slow

EXPERIMENTAL = {
    "gkd.GKDTrainer",
    "gold.GOLDTrainer",
    "orpo.ORPOTrainer",
    "cpo.CPOTrainer",
    "online_dpo.OnlineDPOTrainer",
}
"""Those of TRL's experiments that are compared; the others may change or leave with any of its releases."""


def trl_class(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(f"trl.{module}" if module else "trl"), name)


def compared(kind: Any, setting: str) -> set[str]:
    """The texts with which a trainer's source compares a setting: `x == "a"`, `x in ["a", "b"]`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(inspect.getsource(inspect.getmodule(kind)))):
        if isinstance(node, ast.Compare) and _named(node.left) == setting:
            for other in node.comparators:
                found |= {part.value for part in ast.walk(other) if _is_text(part)}
    return found


def _named(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def fields(config: str) -> dict[str, Any]:
    return {field.name: field for field in dataclasses.fields(trl_class(config))}


def losses(trainer: str) -> set[str]:
    """The loss types of a trainer in the list."""
    listed = {name.strip() for case in CASES if case.trainer == trainer for name in case.loss.split(",")}
    return listed | {name for omission in OMISSIONS if omission.trainer == trainer for name in omission.loss}


def test_it_is_of_the_release_that_is_installed() -> None:
    assert version("trl").startswith(DOCUMENT["version"] + ".")


def test_every_stable_trainer() -> None:
    import trl.trainer

    stable = {name for name in trl.trainer.__all__ if name.endswith("Trainer")}
    assert {case.trainer for case in CASES} == stable | {f"experimental.{path}" for path in EXPERIMENTAL}


@pytest.mark.parametrize("trainer", ["DPOTrainer", "GRPOTrainer", "experimental.online_dpo.OnlineDPOTrainer"])
def test_every_loss_type_that_a_trainer_compares_with(trainer: str) -> None:
    assert losses(trainer) == compared(trl_class(trainer), "loss_type")


@pytest.mark.parametrize("trainer", ["SFTTrainer", "KTOTrainer", "experimental.cpo.CPOTrainer"])
def test_every_loss_type_that_a_config_offers(trainer: str) -> None:
    assert losses(trainer) == set(fields(trainer.replace("Trainer", "Config"))["loss_type"].metadata["choices"])


@pytest.mark.parametrize("config", ["RewardConfig", "RLOOConfig", "DistillationConfig"])
def test_a_trainer_without_loss_types_has_none(config: str) -> None:
    assert "loss_type" not in fields(config)


@pytest.mark.parametrize(
    ("trainer", "setting"),
    [
        ("DPOTrainer", "f_divergence_type"),
        ("GRPOTrainer", "importance_sampling_level"),
        ("GRPOTrainer", "scale_rewards"),
        ("GRPOTrainer", "vllm_importance_sampling_mode"),
    ],
)
def test_every_value_of_a_setting_is_in_a_case(trainer: str, setting: str) -> None:
    config = fields(trainer.replace("Trainer", "Config"))
    used = {case.settings.get(setting, config[setting].default) for case in CASES if case.trainer == trainer}
    assert compared(trl_class(trainer), setting) <= used


@pytest.mark.parametrize("config", sorted(DOCUMENT["settings"]))
def test_every_setting_is_accounted_for(config: str) -> None:
    """It changes the loss and stands in a case or among the omissions, or it is another matter."""
    trainer = config.replace("Config", "Trainer")
    of_the_loss = set(DOCUMENT["settings"][config])
    shared = {field.name for field in dataclasses.fields(trl_class("trainer.base_config._BaseConfig"))}
    known = of_the_loss | set(DOCUMENT["elsewhere"]) | set(DOCUMENT["other"]["fields"].split())
    assert of_the_loss <= set(fields(config))
    assert set(fields(config)) - shared <= known
    in_cases = {setting for case in CASES if case.trainer == trainer for setting in (*case.settings, "loss_type")}
    omitted = [omission for omission in OMISSIONS if omission.trainer == trainer]
    left = {s for s in of_the_loss - in_cases if not any(s == o.setting or f"`{s}`" in o.why for o in omitted)}
    assert not left


def test_every_case_is_of_the_library_and_has_its_own_name() -> None:
    assert all(set(objectives(case.ours)) <= set(NAMES) and objectives(case.ours) for case in CASES)
    assert len({(case.name, case.ours) for case in CASES}) == len(CASES)


def test_an_omission_says_why() -> None:
    assert all(omission.why.endswith(".") and (omission.loss or omission.setting) for omission in OMISSIONS)
