"""Which engine a profile asks for, opened on a model folder or around the trainer's own module."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from ptc.runtime.arithmetic import arithmetic_of, arithmetic_of_folder
from ptc.runtime.artifacts import InputWrong
from ptc.runtime.costs import NO_ARITHMETIC
from ptc.runtime.engines.counting import CountingEngine
from ptc.runtime.engines.protocol import Engine
from ptc.runtime.engines.stopping import Decode
from ptc.runtime.loading import is_adapted, load_whole
from ptc.runtime.profile import Profile

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase


_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def open_engine(profile: Profile, folder: Path, *, module: PreTrainedModel | None = None, version: int = 0) -> Engine:
    """An engine with the weights of the checkpoint in `folder`, which counts what it is asked for.

    With the trainer's `module` a transformers engine samples from that very module, unless the profile wants a copy;
    other engines ignore it, and are handed its weights by `load_weights`. `version` counts the optimizer steps behind
    the weights. Raises `ResourceMissing` if the engine is not installed, `InputWrong` if the folder is no checkpoint.
    """
    if profile.engine == "fake":
        from ptc.runtime.engines.fake import FakeEngine

        ends = end_tokens(folder)
        fake = FakeEngine(len(load_tokenizer(folder)), ends, version=version, decode=decoder(folder))
        return CountingEngine(fake, NO_ARITHMETIC)
    if profile.engine == "vllm":
        from ptc.runtime.engines.vllm import VllmEngine

        vllm = VllmEngine(
            folder,
            dtype_of(profile),
            end_tokens(folder),
            device=profile.device,
            version=version,
            decode=decoder(folder),
        )
        if module is None and is_adapted(folder):  # it has loaded the base alone
            vllm.load_weights(load_whole(folder).state_dict().items(), version)
        return CountingEngine(vllm, arithmetic_of_folder(folder))
    from ptc.runtime.engines.transformers import TransformersEngine

    shared = module is not None and not profile.engine_copy
    own = module if module is not None and shared else _loaded(folder, profile)
    engine = TransformersEngine(own, end_tokens(folder), shared=shared, version=version, decode=decoder(folder))
    return CountingEngine(engine, arithmetic_of(own))


def _loaded(folder: Path, profile: Profile) -> PreTrainedModel:
    model: torch.nn.Module = load_whole(folder, dtype_of(profile))
    return cast("PreTrainedModel", model.to(profile.device))


def decoder(folder: Path) -> Decode:
    """Token ids as texts, special tokens written out; the tokenizer is loaded when it is first needed."""
    tokenizer = cache(load_tokenizer)
    return lambda tokens: tokenizer(folder).batch_decode([list(one) for one in tokens])


def dtype_of(profile: Profile) -> torch.dtype:
    """The dtype in which the profile's engine holds weights."""
    return _DTYPES[profile.engine_precision or profile.precision]


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
            f"{own}: write the same end-of-sequence tokens into both files"
        )
    return ids
