"""The canary on engines that forget: hand-overs skipped, heads kept, versions lost, at large and at tiny steps."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
import torch
from small_chat import small_model
from transformers import Qwen3ForCausalLM

from ptc.runtime.artifacts import InvariantBroken
from ptc.runtime.canary import Canary
from ptc.runtime.engines.fake import FakeEngine
from ptc.runtime.engines.transformers import TransformersEngine

DTYPES = [torch.float32, torch.bfloat16]
RATES = [3e-4, 1e-6]

Weights = Iterable[tuple[str, torch.Tensor]]


class SkipsHandOver(TransformersEngine):
    """Claims the new version and keeps the weights it has, from version 1 on."""

    def load_weights(self, weights: Weights, version: int) -> None:
        super().load_weights(weights if version == 0 else self._module.state_dict().items(), version)


class KeepsOldHead(TransformersEngine):
    """Takes everything but the head, from version 1 on. Its head is a matrix of its own, as in vLLM's CPU build."""

    def load_weights(self, weights: Weights, version: int) -> None:
        given = dict(weights)
        if version > 0:
            given["lm_head.weight"] = self._module.state_dict()["lm_head.weight"]
        super().load_weights(given.items(), version)


class LosesVersion(TransformersEngine):
    """Takes the weights and reports the version that it was opened with."""

    @property
    def version(self) -> int:
        return 0


def engine_of(kind: type[TransformersEngine], trainer: Qwen3ForCausalLM, dtype: torch.dtype) -> TransformersEngine:
    own = copy.deepcopy(trainer).to(dtype)
    own.lm_head.weight = torch.nn.Parameter(own.lm_head.weight.detach().clone())
    return kind(own, [3], shared=False)


def step(trainer: Qwen3ForCausalLM, rate: float) -> None:
    optimizer = torch.optim.AdamW(trainer.parameters(), lr=rate)
    tokens = torch.randint(6, 100, (8, 16), generator=torch.Generator().manual_seed(0))
    trainer(tokens, labels=tokens).loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def calibrated(kind: type[TransformersEngine], dtype: torch.dtype, tied: bool = True) -> tuple[Canary, Any]:
    trainer = small_model(tied=tied)
    canary = Canary(engine_of(kind, trainer, dtype), trainer, dtype, log=lambda row: None)
    canary.calibrate(0)
    return canary, trainer


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("tied", [True, False])
def test_a_true_hand_over_passes(dtype: torch.dtype, rate: float, tied: bool) -> None:
    canary, trainer = calibrated(TransformersEngine, dtype, tied)
    for version in range(1, 6):
        step(trainer, rate)
        canary.hand_over(version)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rate", RATES)
def test_a_skipped_hand_over_is_caught_at_once(dtype: torch.dtype, rate: float) -> None:
    canary, trainer = calibrated(SkipsHandOver, dtype)
    step(trainer, rate)
    with pytest.raises(
        InvariantBroken, match=r"at policy version 1 the engine does not hold .* still those of version 0"
    ):
        canary.hand_over(1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("tied", [True, False])
def test_an_old_head_is_caught_at_once(dtype: torch.dtype, rate: float, tied: bool) -> None:
    canary, trainer = calibrated(KeepsOldHead, dtype, tied)
    step(trainer, rate)
    with pytest.raises(InvariantBroken, match=r"does not hold the trainer's lm_head\.weight \(1 of \d+ tensors differ"):
        canary.hand_over(1)


def test_a_step_that_changes_no_value_of_the_engines_dtype_is_no_difference() -> None:
    canary, trainer = calibrated(SkipsHandOver, torch.bfloat16)
    for tensor in trainer.parameters():  # values of bfloat16 that a step of 1e-6 cannot move to the next one
        tensor.data = tensor.sign().add(0.5).sign() * tensor.abs().clamp(min=0.01).bfloat16().float()
    trainer.tie_weights()
    canary.calibrate(0)
    before = {name: tensor.clone() for name, tensor in trainer.state_dict().items()}
    for version in range(1, 4):
        step(trainer, 1e-6)
        assert all(torch.equal(before[name].bfloat16(), now.bfloat16()) for name, now in trainer.state_dict().items())
        canary.hand_over(version)
    assert any(not torch.equal(before[name], now) for name, now in trainer.state_dict().items())


def test_a_lost_version_is_caught() -> None:
    canary, trainer = calibrated(LosesVersion, torch.float32)
    step(trainer, 1e-6)
    with pytest.raises(InvariantBroken, match="the trainer is at policy version 1, the engine at 0"):
        canary.hand_over(1)


class ComputesWrong(TransformersEngine):
    """Holds the right weights and multiplies by something else, as after a wrong unpacking."""

    broken = False

    def logprobs(self, sequences: Any) -> list[list[float]]:
        return [[value * (1.5 if self.broken else 1.0) for value in own] for own in super().logprobs(sequences)]


def test_right_weights_with_wrong_effect_are_caught_by_the_probe() -> None:
    trainer = small_model()
    engine = engine_of(ComputesWrong, trainer, torch.float32)
    assert isinstance(engine, ComputesWrong)
    canary = Canary(engine, trainer, torch.float32, log=lambda row: None)
    canary.calibrate(0)
    engine.broken = True
    with pytest.raises(InvariantBroken, match=r"log-probabilities differ from the trainer's by 0\.5 on a fixed probe"):
        canary.hand_over(1)


def test_an_engine_with_other_tensors_is_refused() -> None:
    trainer = small_model()
    canary = Canary(FakeEngine(104, [3], deaf=True), trainer, torch.float32, log=lambda row: None)
    with pytest.raises(InvariantBroken, match="do not have the same tensors"):
        canary.calibrate(0)


def test_each_hand_over_is_logged() -> None:
    rows: list[Mapping[str, Any]] = []
    trainer = small_model()
    canary = Canary(engine_of(TransformersEngine, trainer, torch.bfloat16), trainer, torch.bfloat16, log=rows.append)
    canary.calibrate(4)
    canary.hand_over(5)
    assert [row["canary/version"] for row in rows] == [4, 5]
    assert 0 < rows[0]["canary/difference"] < 0.1
    assert rows[1]["canary/tolerance"] >= 0.1
