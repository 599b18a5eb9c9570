"""A character tokenizer with a chat template, and a small random Qwen3 model, for engine tests."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

SPECIAL = ["<pad>", "<|user|>", "<|assistant|>", "<|end|>", "<unk>", "<s>"]
TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def small_tokenizer(template: str = TEMPLATE) -> PreTrainedTokenizerFast:
    characters = list(string.ascii_letters + string.digits + string.punctuation + " \n")
    vocabulary = {token: index for index, token in enumerate(SPECIAL + characters)}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split(pattern="", behavior="isolated")
    inner.decoder = decoders.Fuse()
    inner.add_special_tokens(SPECIAL)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<|end|>", pad_token="<pad>", unk_token="<unk>", bos_token="<s>"
    )
    tokenizer.chat_template = template
    return tokenizer


def small_model(
    *, tied: bool = True, seed: int = 0, hidden: int = 64, layers: int = 2, **changes: Any
) -> Qwen3ForCausalLM:
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=104,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=tied,
        bos_token_id=None,
        eos_token_id=3,
        pad_token_id=0,
        initializer_range=0.1,
        **{"head_dim": 32, **changes},
    )
    return Qwen3ForCausalLM(config).eval()


def small_llama() -> LlamaForCausalLM:
    """A head per key, where the Qwen3 model shares keys between two heads."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=104,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=256,
        eos_token_id=3,
        pad_token_id=0,
        initializer_range=0.1,
    )
    return LlamaForCausalLM(config).eval()


def save(model: Qwen3ForCausalLM, folder: Path) -> Path:
    model.generation_config = GenerationConfig(eos_token_id=3, pad_token_id=0)
    model.save_pretrained(folder)
    small_tokenizer().save_pretrained(folder)
    return folder
