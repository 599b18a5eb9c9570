"""The library's chat templates: each is named with the token that ends its turns, and ends an answer with it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from ptc.stdlib.templates import ENDS, texts

MODELS = Path(__file__).resolve().parents[2] / "examples" / "recipes" / "stand_ins" / "models"
FAMILY = {
    "chatml": "Qwen/Qwen3-8B",
    "deepseek": "deepseek-ai/DeepSeek-V3",
    "gemma": "google/gemma-7b-it",
    "llama2": "meta-llama/Llama-2-70b-hf",
    "llama3": "meta-llama/Llama-3.1-8B",
    "plain": "EleutherAI/gpt-j-6b",
    "tulu": "meta-llama/Llama-3.1-8B",
    "zephyr": "mistralai/Mistral-7B-v0.1",
}
"""A model whose tokens each template is made of."""


def test_every_template_has_a_name() -> None:
    files = resources.files("ptc.stdlib.templates").iterdir()
    assert {entry.name for entry in files if entry.name.endswith(".jinja")} == {f"{name}.jinja" for name in ENDS}
    assert set(texts()) == set(ENDS) == set(FAMILY)


@pytest.mark.slow
@pytest.mark.parametrize("name", ENDS)
def test_a_template_ends_an_answer(name: str) -> None:
    transformers = pytest.importorskip("transformers")
    from ptc.runtime.render import decode, render_prompt, render_response

    tokenizer = transformers.AutoTokenizer.from_pretrained(MODELS / FAMILY[name])
    tokenizer.chat_template = texts()[name]
    end = ENDS[name]
    if end is not None:
        tokenizer.eos_token = end
    response = render_response(tokenizer, "How many kettles?", "Twelve.")
    assert response[-1] == tokenizer.eos_token_id
    assert decode(tokenizer, response).strip() == "Twelve."
    assert "How many kettles?" in decode(tokenizer, render_prompt(tokenizer, "How many kettles?"))
