"""The table of names against the TRL that is installed."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ptc.compiler import names

CONFIGS = {
    "stage": "SFTConfig",
    "adamw": "SFTConfig",
    "sample": "GRPOConfig",
    "grpo": "GRPOConfig",
    "dpo": "DPOConfig",
    "reverse_kl": "DistillationConfig",
}
NOT_IN_CONFIGS = {
    "train_batch_size",
    "max_seq_length",
    "max_new_tokens",
    "warmup_ratio",
    "ref_model",
    "teacher_model",
    "num_iterations",
    "generation_batch_size",
    "disable_dropout",
    "precompute_ref_log_probs",
}
"""Arguments of trainers rather than of configs, names of GRPO or DPO alone, and older spellings in use."""


def test_a_name_stands_once_in_its_place() -> None:
    keys = [(row.where, row.ours) for row in names.NAMES]
    assert len(keys) == len(set(keys))


def test_hints() -> None:
    assert names.hint("epsilon_high", "grpo") == "TRL's `epsilon_high` is `clip_high` here"
    assert names.hint("beta", "grpo") == "TRL's `beta` is `kl` here"
    assert names.hint("num_generations", "sample") == "TRL's `num_generations` is `n` here"
    assert names.hint("max_grad_norm", "stage") == "TRL's `max_grad_norm` is `clip_norm` here, in `adamw(…)`"
    assert names.hint("completion", "column") == "TRL's `completion` is `response` here"
    assert names.hint("lr", "adamw") is None


def test_a_required_name_has_no_default() -> None:
    assert "lr" not in names.defaults("adamw")
    assert names.defaults("adamw")["betas"] == (0.9, 0.999)
    assert names.spelled((0.9, 0.999)) == "[0.9, 0.999]"


@cache
def trl_defaults(config: str) -> dict[str, Any]:
    trl = pytest.importorskip("trl")
    fields = dataclasses.fields(getattr(trl, config))
    return {f.name: f.default for f in fields if f.default is not dataclasses.MISSING}


@pytest.mark.slow
@pytest.mark.parametrize("row", [r for r in names.NAMES if r.where in CONFIGS], ids=lambda r: f"{r.where}.{r.ours}")
def test_against_trl(row: names.Name) -> None:
    defaults = trl_defaults(CONFIGS[row.where])
    for spelling in row.trl:
        assert spelling in defaults or spelling in NOT_IN_CONFIGS, spelling
    if row.trl and row.trl[0] in defaults and row.theirs is not None:
        assert defaults[row.trl[0]] == row.theirs
    if row.origin == names.TRL and row.theirs is not None and not isinstance(row.default, tuple):
        assert row.default == row.theirs


@pytest.mark.slow
def test_metrics_are_trls() -> None:
    trl = pytest.importorskip("trl")
    import transformers

    folder = Path(trl.__file__).parent / "trainer"
    text = "\n".join(path.read_text() for path in folder.glob("*_trainer.py"))
    text += (Path(transformers.__file__).parent / "trainer.py").read_text()
    for metric in names.METRICS:
        if metric.trl:
            assert all(part in text for part in metric.name.split("<verifier>")), metric.name
