"""What models do to logits behind their heads, and beside them, happens here as well."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from loss_cases import VOCABULARY, rollouts
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from ptc.runtime.batches import collate
from ptc.runtime.forward import Predictions, answers

SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "initializer_range": 0.5,
    "pad_token_id": 0,
}
FAMILIES = {
    "llama": (LlamaForCausalLM, LlamaConfig, {}),
    "gemma2": (Gemma2ForCausalLM, Gemma2Config, {"final_logit_softcapping": 2.0}),
    "granite": (GraniteForCausalLM, GraniteConfig, {"logits_scaling": 3.0}),
    "cohere": (CohereForCausalLM, CohereConfig, {"logit_scale": 0.25}),
    "qwen3_moe": (
        Qwen3MoeForCausalLM,
        Qwen3MoeConfig,
        {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8},
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_predictions_are_the_logits_of_the_model_itself(family: str) -> None:
    make, configure, special = FAMILIES[family]
    torch.manual_seed(0)
    model: Any = make(configure(**SIZES, **special)).eval()
    samples = sorted((sample for group in rollouts(51) for sample in group), key=lambda one: one.length)
    [said] = answers(model, [collate([[sample] for sample in samples]).sequences["response"]])
    assert isinstance(said, Predictions)
    expected = []
    for sample in samples:
        prompt, ids = (list(part) for part in sample.sequences["response"])
        logits = model(input_ids=torch.tensor([prompt + ids])).logits[0]
        expected.append(logits[len(prompt) - 1 : len(prompt) + len(ids) - 1])
    torch.testing.assert_close(said.head(said.hidden), torch.cat(expected), rtol=1e-4, atol=1e-4)
    assert said.vocabulary == VOCABULARY
