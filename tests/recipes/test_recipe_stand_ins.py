"""What hub names stand for while the recipes are checked: made by its script, no two prompts alike, real tokenizers."""

from __future__ import annotations

import json
import runpy
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

STAND_INS = Path(__file__).resolve().parents[2] / "examples" / "recipes" / "stand_ins"
MODELS = sorted(path.parent for path in (STAND_INS / "models").glob("*/*/config.json"))
PROMPTS = ("question", "prompt", "problem", "question_content", "problem_statement", "instruction", "init_prompt")
BASE = ("QwQ", "Base", "Olmo-3", "Llama-3.1", "Llama-2-70b-hf", "Mistral-7B-v0.1", "gpt-j", "gemma-7b", "Qwen2.5-")
CHATTING = [folder for folder in MODELS if "nstruct" in folder.name or not any(word in folder.name for word in BASE)]
"""All but base models: those have no chat format, or one that ends a turn otherwise than the model ends a text."""
MOST_ROWS = 50
MOST_BYTES = 1_500_000


def files(folder: Path) -> dict[str, bytes]:
    parts = (folder / "datasets", folder / "models")
    return {
        str(path.relative_to(folder)): path.read_bytes() for part in parts for path in part.rglob("*") if path.is_file()
    }


def test_the_script_makes_what_is_committed(tmp_path: Path) -> None:
    runpy.run_path(str(STAND_INS / "make.py"))["make"](tmp_path)
    assert files(tmp_path) == files(STAND_INS)
    assert sum(len(text) for text in files(tmp_path).values()) < MOST_BYTES


def prompts(row: dict[str, Any]) -> Iterator[str]:
    """The prompt of a row, whatever its column is called."""
    for name in PROMPTS:
        if isinstance(row.get(name), str):
            yield row[name]
            return
    for name in ("prompt", "messages", "conversations"):
        if name in row:
            yield row[name][0].get("content") or row[name][0]["value"]
            return


def test_no_two_rows_ask_the_same() -> None:
    asked: Counter[str] = Counter()
    for path in (STAND_INS / "datasets").rglob("*.jsonl"):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        assert 0 < len(rows) <= MOST_ROWS
        assert len({tuple(row) for row in rows}) == 1, f"{path.name}: rows of several shapes"
        asked.update(prompt for row in rows for prompt in prompts(row))
    assert max(asked.values()) == 1


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_tokenizers_lose_nothing(folder: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    text = "Dear Ada – 12 kettles,\n\n   naïve \\boxed{7} in the attic. 水"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert tokenizer.token_to_id(settings["eos_token"]) == config["eos_token_id"]
    assert max(tokenizer.get_vocab().values()) < config["vocab_size"]


@pytest.mark.slow
@pytest.mark.parametrize("folder", CHATTING, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_chat_formats_end_their_answers(folder: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from ptc.runtime.render import decode, render_prompt, render_response

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    response = render_response(tokenizer, "How many kettles?", "Twelve.")
    assert response[-1] == tokenizer.eos_token_id
    assert decode(tokenizer, response).strip() == "Twelve."
    assert "How many kettles?" in decode(tokenizer, render_prompt(tokenizer, "How many kettles?"))
