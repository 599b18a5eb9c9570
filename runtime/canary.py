"""The canary: after each hand-over of weights, proof that the engine samples from the trainer's policy.

Verified twice. *Exactly*: the engine's policy version, and additive fingerprints, read back from the engine, of the
trainer's values cast to the engine's dtype; this sees one forgotten step at a learning rate of 1e-6. *In effect*:
log-probabilities of fixed token sequences, by engine and trainer, whose tolerance is calibrated right after loading.
Where a step changes no value of the engine's dtype, nothing differs, and nothing is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from ptc.compiler.graph import Json
from ptc.runtime.adapters import handed_over
from ptc.runtime.arithmetic import arithmetic_of
from ptc.runtime.artifacts import InvariantBroken
from ptc.runtime.engines.counting import CountingEngine
from ptc.runtime.engines.protocol import Engine, Fingerprint
from ptc.runtime.engines.transformers import TransformersEngine
from ptc.runtime.fingerprints import combined, fingerprint, same
from ptc.runtime.remedies import HAND_OVER

FUSED: Mapping[str, tuple[str, ...]] = {
    "qkv_proj": ("q_proj", "k_proj", "v_proj"),
    "gate_up_proj": ("gate_proj", "up_proj"),
}
"""Matrices that vLLM keeps in one, and what checkpoints call their parts."""

_PROBES = 2
_PROBE_PROMPT = 8
_PROBE_RESPONSE = 16
_SLACK = 8.0
"""Times the difference right after loading: rounding grows as a policy sharpens."""
_LEAST = {torch.float32: 1e-3, torch.bfloat16: 0.1}
"""What a probe may differ by, whatever was calibrated."""
_MOST = {torch.float32: 0.02, torch.bfloat16: 1.0}
"""What a probe may differ by right after loading, when weights are known to be equal."""


@dataclass(frozen=True)
class Probe:
    """Token sequences (prompt, response) whose log-probabilities are compared, in nats."""

    sequences: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]

    @classmethod
    def of(cls, vocabulary: int, context: int) -> Probe:
        """Fixed pseudo-random tokens: any policy has an opinion about them, and no policy learns them."""
        length = min(_PROBE_PROMPT + _PROBE_RESPONSE, context - 1)
        tokens = np.random.Generator(np.random.PCG64(0)).integers(0, vocabulary, size=(_PROBES, length)).tolist()
        cut = min(_PROBE_PROMPT, length - 1)
        return cls(tuple((tuple(row[:cut]), tuple(row[cut:])) for row in tokens))


class Canary:
    """Hands a trainer's weights to an engine that holds its own, and verifies each hand-over."""

    def __init__(
        self, engine: Engine, module: PreTrainedModel, dtype: torch.dtype, log: Callable[[Mapping[str, Json]], None]
    ) -> None:
        """`dtype` is the engine's. Before the first request `calibrate` hands over the weights as they are."""
        self._engine = engine
        self._module = module
        self._dtype = dtype
        self._log = log
        self._trainer = CountingEngine(TransformersEngine(module, [], shared=True), arithmetic_of(module))
        self._probe = Probe.of(module.config.vocab_size, module.config.max_position_embeddings)
        self._last: tuple[int, Mapping[str, Fingerprint]] | None = None
        self._tolerance = _MOST[dtype]

    def calibrate(self, version: int) -> None:
        """The first hand-over: what engine and trainer differ by on the probe when their weights are equal."""
        difference = self.hand_over(version)
        self._tolerance = max(_SLACK * difference, _LEAST[self._dtype])

    def hand_over(self, version: int) -> float:
        """Gives the engine the policy of that version, verifies it twice, and returns the difference on the probe.

        Raises `InvariantBroken` with one line that says what differs.
        """
        state = handed_over(self._module)
        self._engine.load_weights(state.items(), version)
        self._verify_version(version)
        self._verify_fingerprints(state, version)
        difference = self._verify_probe(version)
        self._log({"canary/version": version, "canary/difference": difference, "canary/tolerance": self._tolerance})
        return difference

    def _verify_version(self, version: int) -> None:
        if self._engine.version != version:
            raise InvariantBroken(
                f"hand-over of weights: the trainer is at policy version {version}, "
                f"the engine at {self._engine.version}: {HAND_OVER}"
            )

    def _verify_fingerprints(self, state: Mapping[str, torch.Tensor], version: int) -> None:
        engine = self._engine.fingerprints()
        trainer = trainer_fingerprints(state, engine, self._dtype)
        different = [name for name in engine if not same(engine[name], trainer[name])]
        if different:
            raise InvariantBroken(self._difference(different, engine, trainer, version))
        self._last = version, trainer

    def _difference(
        self,
        names: Sequence[str],
        engine: Mapping[str, Fingerprint],
        trainer: Mapping[str, Fingerprint],
        version: int,
    ) -> str:
        name = names[0]
        stale = self._last is not None and all(same(engine[one], self._last[1][one]) for one in names)
        still = f", still those of version {self._last[0]}" if stale and self._last is not None else ""
        return (
            f"hand-over of weights: at policy version {version} the engine does not hold the trainer's {name} "
            f"({len(names)} of {len(engine)} tensors differ{still}): sum {engine[name].total:.9g} for "
            f"{trainer[name].total:.9g}, sum of squares {engine[name].squares:.9g} for {trainer[name].squares:.9g}, "
            f"{engine[name].count} values for {trainer[name].count} ({_name(self._dtype)}): {HAND_OVER}"
        )

    def _verify_probe(self, version: int) -> float:
        """The largest difference of a token's log-probability: in nats, or as a share of it where it is above 1 nat."""
        engine = self._engine.logprobs(self._probe.sequences)
        trainer = self._trainer.logprobs(self._probe.sequences)
        difference = max(
            abs(one - other) / max(1.0, abs(other))
            for theirs, ours in zip(engine, trainer, strict=True)
            for one, other in zip(theirs, ours, strict=True)
        )
        if not difference <= self._tolerance:
            raise InvariantBroken(
                f"hand-over of weights: at policy version {version} the engine's log-probabilities differ from the "
                f"trainer's by {difference:.3g} on a fixed probe, where rounding explains {self._tolerance:.3g}: "
                f"{HAND_OVER}"
            )
        return difference


def trainer_fingerprints(
    state: Mapping[str, torch.Tensor], names: Mapping[str, Fingerprint], dtype: torch.dtype
) -> dict[str, Fingerprint]:
    """The trainer's fingerprints under the engine's names. Raises `InvariantBroken` for a tensor only one side has."""
    parts = {name: _parts(name) for name in names}
    known = {part for own in parts.values() for part in own}
    if known != state.keys():
        different = ", ".join(sorted(known ^ state.keys())[:5])
        raise InvariantBroken(
            f"hand-over of weights: trainer and engine do not have the same tensors ({different}): {HAND_OVER}"
        )
    return {name: combined(fingerprint(state[part], dtype) for part in own) for name, own in parts.items()}


def _parts(name: str) -> tuple[str, ...]:
    """What a checkpoint calls the tensors that an engine's tensor consists of."""
    path = name.split(".")
    for fused, parts in FUSED.items():
        if fused in path:
            return tuple(".".join(part if step == fused else step for step in path) for part in parts)
    return (name,)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
