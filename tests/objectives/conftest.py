from __future__ import annotations

import pytest
from loss_cases import tiny_model
from transformers import Qwen3ForCausalLM


@pytest.fixture
def policy() -> Qwen3ForCausalLM:
    return tiny_model(1)


@pytest.fixture
def reference() -> Qwen3ForCausalLM:
    return tiny_model(2).requires_grad_(False)
