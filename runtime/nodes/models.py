"""Where models come from: `new_model`, `local_model`, `hub_model`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptc.compiler.graph import Json, Node
from ptc.runtime.artifacts import Artifact, Context, InputWrong
from ptc.runtime.hub import hub_refusal, refusals
from ptc.runtime.model_folders import TAKEN, complete_generation_config, copy_files, take
from ptc.runtime.nodes.tokenizers import TOKENIZER_FILES

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


def new_model(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """A model of a known shape with random weights, in float32. Equal settings and seed give equal bytes.

    Raises `InputWrong` for a shape that does not fit together.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    tokenizer = AutoTokenizer.from_pretrained(inputs["tokenizer"].path)
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    if end is None:
        raise InputWrong(
            "the tokenizer names no end-of-sequence token: a model made for it would never "
            "stop: name one in tokenizer_config.json"
        )
    config = _shape(node.settings, vocab_size=len(tokenizer), eos_token_id=end, pad_token_id=pad, bos_token_id=None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(node.settings["seed"])
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=pad)  # type: ignore[no-untyped-call]
    model.save_pretrained(out)
    copy_files([inputs["tokenizer"].path / name for name in TOKENIZER_FILES if _has(inputs["tokenizer"], name)], out)


def local_model(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """A copy of a checkpoint folder that can run no code."""
    take(Path(node.settings["path"]), out)
    complete_generation_config(out)


def hub_model(node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """A checkpoint from the hub by way of its cache: safetensors and configuration, scanned before they are loaded."""
    from huggingface_hub import snapshot_download

    name, revision, offline = node.settings["name"], node.settings.get("revision"), not context.profile.allow_hub
    try:
        folder = snapshot_download(name, revision=revision, allow_patterns=[*TAKEN, "*.py"], local_files_only=offline)
    except refusals() as problem:
        raise hub_refusal("model", name, problem, offline) from problem
    take(Path(folder), out)
    complete_generation_config(out)
    if "context" in node.settings:
        _lengthen(out / "config.json", node.settings["context"])


def _lengthen(config: Path, context: int) -> None:
    """Positions beyond those that the model was trained for; how they are turned stays as it is."""
    document = json.loads(config.read_text(encoding="utf-8"))
    document["max_position_embeddings"] = context
    config.write_text(json.dumps(document, indent=2), encoding="utf-8")


def _has(tokenizer: Artifact, name: str) -> bool:
    return (tokenizer.path / name).is_file()


def _shape(settings: Mapping[str, Json], **tokens: int | None) -> PreTrainedConfig:
    """The configuration of the family, all sizes given: none is left to the library's default."""
    from transformers import LlamaConfig, Qwen3Config

    heads, kv_heads = settings["heads"], settings["kv_heads"]
    if heads % kv_heads:
        raise InputWrong(f"heads = {heads} is not a multiple of kv_heads = {kv_heads}: choose one that divides it")
    if settings["head_dim"] % 2:
        raise InputWrong(
            f"head_dim = {settings['head_dim']} is odd, and rotary positions turn pairs: choose an even one"
        )
    sizes: dict[str, Any] = {
        "hidden_size": settings["hidden"],
        "intermediate_size": settings["intermediate"],
        "num_hidden_layers": settings["layers"],
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": settings["head_dim"],
        "max_position_embeddings": settings["context"],
        "tie_word_embeddings": settings["tied"],
        "rope_parameters": {"rope_type": "default", "rope_theta": settings["rope_theta"]},
        "attention_dropout": 0.0,
        **tokens,
    }
    match settings["family"]:
        case "qwen3":
            return Qwen3Config(**sizes)
        case "llama":
            return LlamaConfig(**sizes)
        case family:
            raise InputWrong(f"there is no model family `{family}`: qwen3 or llama")
