"""Makes what hub names stand for while the recipes are checked: `python examples/recipes/stand_ins/make.py`.

Data sets are made-up rows in the published columns; models are a public shape, a tiny tokenizer and a chat format. The
same bytes come out every time.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from families import MODELS, Stand  # noqa: E402
from made_up import Pool  # noqa: E402
from rows import DATASETS  # noqa: E402
from tokens import document, merges  # noqa: E402


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def datasets(folder: Path) -> list[str]:
    """Writes every data set; returns the texts in them."""
    pool = Pool()
    texts = []
    for name, made in DATASETS.items():
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in made(pool)]
        write(folder / f"{name}.jsonl", "".join(lines))
        texts += lines
    return texts


def model(folder: Path, stand: Stand, merged: list[tuple[str, str]]) -> None:
    family = stand.family
    end = stand.end or family.end
    ends = [family.special[token] for token in (end, *stand.ends)]
    begin = {"bos_token_id": family.special[family.begin]} if family.begin else {}
    config = {**family.config, **stand.config, **begin, "eos_token_id": ends[0]}
    special = {"eos_token": end, "pad_token": family.pad} | ({"bos_token": family.begin} if family.begin else {})
    context = config.get("max_position_embeddings", config.get("n_positions"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **special, "model_max_length": context}
    write(folder / stand.name / "config.json", compact(config))
    write(
        folder / stand.name / "tokenizer.json", compact(document(merged[: family.merges], family.special, family.first))
    )
    write(folder / stand.name / "tokenizer_config.json", compact(settings))
    if stand.template is not None:
        write(folder / stand.name / "chat_template.jinja", stand.template)
    write(
        folder / stand.name / "generation_config.json",
        compact({**begin, "eos_token_id": ends if len(ends) > 1 else ends[0]}),
    )


def make(folder: Path) -> None:
    for part in ("datasets", "models"):
        if (folder / part).exists():
            shutil.rmtree(folder / part)
    texts = datasets(folder / "datasets")
    merged = merges(texts, max(stand.family.merges for stand in MODELS))
    for stand in MODELS:
        model(folder / "models", stand, merged)


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
