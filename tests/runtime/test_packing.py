"""Several sequences in one row: each token sees its own sequence and its own positions, in every architecture."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaModel, MistralConfig, MistralModel, Qwen3Config, Qwen3Model

from ptc.runtime.artifacts import InputWrong
from ptc.runtime.packing import hidden_states, one_in_each, packed, refuse_unpackable

SHAPE: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
}


def qwen3(attention: str) -> nn.Module:
    return Qwen3Model(Qwen3Config(**SHAPE, head_dim=8, attn_implementation=attention))


def llama(attention: str) -> nn.Module:
    return LlamaModel(LlamaConfig(**SHAPE, attn_implementation=attention))


def mistral(attention: str) -> nn.Module:
    """A window of three tokens."""
    return MistralModel(MistralConfig(**SHAPE, sliding_window=3, attn_implementation=attention))


def qwen3_with_windows(attention: str) -> nn.Module:
    """Windows in the upper layers alone."""
    windows = {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}
    return Qwen3Model(Qwen3Config(**SHAPE, **windows, head_dim=8, attn_implementation=attention))


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("make", [qwen3, llama, mistral, qwen3_with_windows])
@pytest.mark.parametrize("width", [12, 20, 64])
def test_packed_is_apart(make: Any, attention: str, width: int) -> None:
    torch.manual_seed(0)
    body = make(attention).eval()
    lengths = torch.tensor([1, 3, 9, 4, 1, 6, 11, 2])
    ids = torch.randint(0, 50, (int(lengths.sum()),))
    alone = torch.cat([body(input_ids=own[None]).last_hidden_state[0] for own in ids.split(lengths.tolist())])
    layout = packed(lengths, width)
    assert layout.shape[0] == {12: 5, 20: 2, 64: 1}[width]
    together = hidden_states(body, ids, layout)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(hidden_states(body, ids, one_in_each(lengths)), alone, rtol=1e-4, atol=1e-4)
    weights = torch.randn(alone.shape)
    gradients = []
    for states in (alone, together):
        body.zero_grad()
        (states * weights).sum().backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in body.parameters()]))
    assert float((gradients[1] - gradients[0]).norm() / gradients[0].norm()) < 1e-5


def test_a_row_is_as_wide_as_the_longest_sequence() -> None:
    layout = packed(torch.tensor([2, 7, 3]), width=4)
    assert layout.shape == (3, 7)
    assert layout.rows(torch.arange(1, 13)).tolist() == [
        [1, 2, 0, 0, 0, 0, 0],
        [3, 4, 5, 6, 7, 8, 9],
        [10, 11, 12, 0, 0, 0, 0],
    ]


class Averaging(nn.Module):
    """A body that knows nothing of positions: each state is the mean of all so far in its row."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 8)

    def forward(self, input_ids: torch.Tensor, use_cache: bool, position_ids: Any = None) -> Any:
        states = self.table(input_ids).cumsum(1) / torch.arange(1, input_ids.shape[1] + 1)[:, None]
        return type("Output", (), {"last_hidden_state": states})


def test_a_model_that_does_not_tell_them_apart_is_refused() -> None:
    refuse_unpackable(qwen3("sdpa").eval(), torch.device("cpu"))
    with pytest.raises(InputWrong, match="the attention of Averaging does not keep sequences in one row apart"):
        refuse_unpackable(Averaging(), torch.device("cpu"))
