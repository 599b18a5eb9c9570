"""Where and how a stage runs: nothing that its meaning depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from accelerate import Accelerator  # type: ignore[import-untyped]
from accelerate.state import AcceleratorState  # type: ignore[import-untyped]
from accelerate.utils import AutocastKwargs, DistributedType  # type: ignore[import-untyped]

from ptc.runtime.artifacts import ResourceMissing

if TYPE_CHECKING:
    from ptc.runtime.profile import Profile


PLAIN = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
"""Accelerate's names for processes that hold whole models."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where and how a stage runs."""

    cpu: bool = True
    processes: int = 1
    precision: str = "float32"
    """``float32``, or ``bfloat16`` for automatic mixed precision around weights in float32."""
    micro_batch: int | None = None
    """Samples in one forward pass."""
    micro_batch_tokens: int | None = None
    """Padded tokens in one forward pass, where `micro_batch` does not say how many samples."""
    packing: bool = False
    """Several sequences lie in one row, apart, instead of one in each with padding behind it."""
    gradient_checkpointing: bool = False
    """Activations are computed again on the way back instead of kept."""
    checkpoint_every: int | None = None
    """Steps."""
    sharding: Literal["none", "full"] = "none"
    """Whether the processes hold whole models or a part each."""
    engine_is_exact: bool = False
    """Attempts are sampled by the trainer's own implementation, in float32 as it trains."""

    @staticmethod
    def of(profile: Profile) -> Placement:
        return Placement(
            cpu=profile.device == "cpu",
            processes=profile.devices,
            precision=profile.precision,
            micro_batch=profile.micro_batch,
            micro_batch_tokens=profile.micro_batch_tokens,
            packing=profile.packing,
            gradient_checkpointing=profile.gradient_checkpointing,
            checkpoint_every=profile.checkpoint_every,
            sharding=profile.sharding if profile.devices > 1 else "none",
            engine_is_exact=profile.engine == "transformers"
            and {profile.precision, profile.engine_precision or profile.precision} == {"float32"},
        )


def accelerator(placement: Placement) -> Accelerator:
    """Accelerate's view of this process. Raises `ResourceMissing` if what runs is not what was asked for."""
    mixed = {"float32": "no", "bfloat16": "bf16"}[placement.precision]
    AcceleratorState._reset_state(reset_partial_state=True)  # it is one per process, and another stage has set it
    # A weight that is kept in half precision until autocast ends would stay on every process, whole.
    casts = [AutocastKwargs(cache_enabled=placement.sharding == "none")]
    found = Accelerator(cpu=placement.cpu, mixed_precision=mixed, kwargs_handlers=casts)
    if found.num_processes != placement.processes:
        raise ResourceMissing(
            f"the profile asks for {placement.processes} training processes, but accelerate finds "
            f"{found.num_processes}: run `ptc` without a launcher, it starts them itself"
        )
    if found.distributed_type not in PLAIN:
        raise ResourceMissing(
            f"the profile asks for whole models in every process, accelerate for {found.distributed_type.value}: "
            "unset what a launcher has left in the environment (ACCELERATE_USE_…)"
        )
    return found
