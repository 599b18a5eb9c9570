"""Tiny models in the place of those from outside: of the same family, with the same tokens, random weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptc.compiler.graph import Json, Node
from ptc.runtime.artifacts import Artifact, Context, ResourceMissing
from ptc.runtime.model_folders import complete_generation_config, copy_files, read_json, refuse_code
from ptc.runtime.nodes import models
from ptc.runtime.nodes.tokenizers import TOKENIZER_FILES
from ptc.runtime.smoke import MARK, Outside

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

HIDDEN, LAYERS, HEADS, HEAD, INTERMEDIATE = 64, 2, 2, 32, 96

SMALL: Mapping[str, int] = {
    "hidden_size": HIDDEN,
    "n_embd": HIDDEN,
    "num_hidden_layers": LAYERS,
    "n_layer": LAYERS,
    "num_attention_heads": HEADS,
    "n_head": HEADS,
    "head_dim": HEAD,
    "intermediate_size": INTERMEDIATE,
    "n_inner": INTERMEDIATE,
    "rotary_dim": HEAD // 2,
    "q_lora_rank": HEAD,
    "kv_lora_rank": HEAD,
    "qk_rope_head_dim": HEAD,
    "qk_nope_head_dim": HEAD // 2,
    "v_head_dim": HEAD,
    "moe_intermediate_size": INTERMEDIATE // 2,
    "n_routed_experts": 4,
    "num_experts": 4,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
}
"""Sizes in a `config.json`, under the names that families give them; only those that a family has are written."""
SAYS_SO = "ptc_smoke"
"""In the `config.json` of every model of a smoke run: that it is none."""


def from_outside(outside: Outside, node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """A tiny model of the family of the folder that stands for the model."""
    folder = Path(node.settings["path"]) if node.kind == "local_model" else outside.place(node)
    if folder is None:
        raise ResourceMissing(
            f"nothing here says what the model `{node.settings['name']}` is like: put its config.json and tokenizer "
            f"into stand_ins/models/{node.settings['name']} beside the program, or fetch them with `ptc lock`"
        )
    write_small(folder, out, int(str(node.settings[MARK])[:12], 16), node.settings.get("context"))


def write_small(folder: Path, out: Path, seed: int, context: int | None = None) -> None:
    """A tiny model of the family that a folder describes, with its tokens and its chat template."""
    refuse_code(folder)
    settings = read_json(folder / "config.json")
    if context is not None:
        settings["max_position_embeddings"] = context
    numbers = _tokenizer(folder, out)
    generation = folder / "generation_config.json"
    if generation.is_file():
        _write(out / generation.name, _renumbered(read_json(generation), numbers))
    _make(_renumbered(settings, numbers), len(numbers) or settings["vocab_size"], seed, out)


def new_model(outside: Outside, node: Node, inputs: Mapping[str, Artifact], out: Path, context: Context) -> None:
    """The model that the program describes, in the small."""
    models.new_model(node, inputs, out, context)
    _write(out / "config.json", {**read_json(out / "config.json"), SAYS_SO: True})


def _make(settings: Mapping[str, Json], vocabulary: int, seed: int, out: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    config = _config(settings, vocabulary)
    judges = any(str(name).endswith("SequenceClassification") for name in settings.get("architectures") or ())
    family: Any = AutoModelForSequenceClassification if judges else AutoModelForCausalLM
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        family.from_config(config, dtype=torch.float32).save_pretrained(out)
    complete_generation_config(out)


def _config(settings: Mapping[str, Json], vocabulary: int) -> PreTrainedConfig:
    """The configuration of the family with small sizes in the place of its own."""
    from transformers import AutoConfig

    usual = AutoConfig.for_model(settings["model_type"])
    heads = settings.get("num_attention_heads", settings.get("n_head"))
    small: dict[str, Any] = {name: size for name, size in SMALL.items() if getattr(usual, name, None) is not None}
    if hasattr(usual, "num_key_value_heads"):
        small["num_key_value_heads"] = HEADS if settings.get("num_key_value_heads", heads) == heads else 1
    if isinstance(settings.get("layer_types"), list):
        small["layer_types"] = settings["layer_types"][:LAYERS]
    if "id2label" in settings:
        small["num_labels"] = len(settings["id2label"])
    kept = {
        name: value
        for name, value in settings.items()
        if name not in SMALL and name not in ("model_type", "architectures", "id2label", "torch_dtype", "dtype")
    }
    made = {**kept, **small, "vocab_size": vocabulary, "tie_word_embeddings": True, SAYS_SO: True}
    return AutoConfig.for_model(settings["model_type"], **made)


# Tokens ---------------------------------------------------------------------------------------------------------------


def _tokenizer(folder: Path, out: Path) -> dict[int, int]:
    """Writes the tokenizer with its tokens numbered without gaps, so that embeddings are few; old number to new.

    Empty for a tokenizer that is no `tokenizer.json`: it stays as it is.
    """
    copy_files([folder / name for name in TOKENIZER_FILES if (folder / name).is_file()], out)
    if not (folder / "tokenizer.json").is_file():
        return {}
    document = read_json(folder / "tokenizer.json")
    vocabulary = document["model"]["vocab"]
    if not isinstance(vocabulary, dict):
        return {}
    added = {token["content"]: token["id"] for token in document.get("added_tokens") or ()}
    known = sorted({*vocabulary.values(), *added.values()})
    numbers = {number: place for place, number in enumerate(known)}
    document["model"]["vocab"] = {token: numbers[number] for token, number in vocabulary.items()}
    document["added_tokens"] = [{**token, "id": numbers[token["id"]]} for token in document.get("added_tokens") or ()]
    for token in ((document.get("post_processor") or {}).get("special_tokens") or {}).values():
        token["ids"] = [numbers[number] for number in token["ids"]]
    (out / "tokenizer.json").write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    if (out / "tokenizer_config.json").is_file():
        words = read_json(out / "tokenizer_config.json")
        if "added_tokens_decoder" in words:
            decoder = words["added_tokens_decoder"].items()
            words["added_tokens_decoder"] = {str(numbers[int(number)]): token for number, token in decoder}
        _write(out / "tokenizer_config.json", words)
    return numbers


def _renumbered(settings: Mapping[str, Json], numbers: Mapping[int, int]) -> dict[str, Json]:
    """Settings in which the ids of tokens are the new ones."""
    return {name: _new(value, numbers) if name.endswith("_token_id") else value for name, value in settings.items()}


def _new(value: Json, numbers: Mapping[int, int]) -> Json:
    if isinstance(value, list):
        return [_new(each, numbers) for each in value]
    return numbers.get(value) if numbers and value is not None else value


def _write(path: Path, document: Mapping[str, Json]) -> None:
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
