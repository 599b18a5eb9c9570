"""Which engine a profile asks for, opened on a model folder or around the trainer's own module."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import torch

from ptc.runtime.artifacts import InputWrong, ResourceMissing
from ptc.runtime.engines.protocol import Engine

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase


class EngineProfile(Protocol):
    """What engines need to know of a profile."""

    @property
    def engine(self) -> str:
        """``transformers``, ``vllm`` or ``fake``."""

    @property
    def precision(self) -> str:
        """``float32`` or ``bfloat16``."""

    @property
    def threads(self) -> int:
        """CPU threads of this process."""


_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def open_engine(
    profile: EngineProfile, folder: Path, *, module: PreTrainedModel | None = None, version: int = 0
) -> Engine:
    """An engine with the weights of the checkpoint in `folder`.

    With the trainer's `module` a transformers engine samples from that very module; other engines ignore it, and are
    handed its weights by `load_weights`. `version` counts the optimizer steps behind the weights.
    Raises `ResourceMissing` if the engine is not installed, `InputWrong` if the folder is no checkpoint.
    """
    dtype = dtype_of(profile)
    if profile.engine == "transformers":
        return _open_transformers(folder, module, dtype, version)
    if profile.engine == "fake":
        from ptc.runtime.engines.fake import FakeEngine

        return FakeEngine(load_tokenizer(folder).vocab_size, end_tokens(folder), version=version)
    if profile.engine == "vllm":
        from ptc.runtime.engines.vllm import VllmEngine

        return VllmEngine(folder, end_tokens(folder), dtype, threads=profile.threads, version=version)
    raise ResourceMissing(f"there is no engine {profile.engine!r}: use transformers, vllm or fake")


def open_copy(folder: Path, dtype: torch.dtype, version: int = 0) -> Engine:
    """A transformers engine with a module of its own, in its own dtype."""
    from transformers import AutoModelForCausalLM

    from ptc.runtime.engines.transformers import TransformersEngine

    module = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    return TransformersEngine(module, end_tokens(folder), shared=False, version=version)


def _open_transformers(folder: Path, module: PreTrainedModel | None, dtype: torch.dtype, version: int) -> Engine:
    from ptc.runtime.engines.transformers import TransformersEngine

    if module is None:
        return open_copy(folder, dtype, version)
    return TransformersEngine(module, end_tokens(folder), shared=True, version=version)


def dtype_of(profile: EngineProfile) -> torch.dtype:
    """The dtype in which the profile's engine holds weights."""
    return _DTYPES[profile.precision]


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model or tokenizer folder, with its chat template."""
    from transformers import AutoTokenizer

    return cast("PreTrainedTokenizerBase", AutoTokenizer.from_pretrained(folder))


def end_tokens(folder: Path) -> frozenset[int]:
    """The ids at which a model stops: those of `generation_config.json`, which must hold the tokenizer's own.

    Raises `InputWrong` if they disagree: such a model is trained to end by one token and stopped at another.
    """
    from transformers import GenerationConfig

    config: GenerationConfig = GenerationConfig.from_pretrained(folder)
    named = config.eos_token_id
    ids = frozenset([named] if isinstance(named, int) else named or [])
    own = load_tokenizer(folder).eos_token_id
    if own not in ids:
        raise InputWrong(
            f"the model stops at the tokens {sorted(ids)} (generation_config.json), its tokenizer ends a turn with "
            f"{own}: the checkpoint needs one set of end-of-sequence tokens"
        )
    return ids
