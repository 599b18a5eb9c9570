"""What a model folder says without its weights: `config.json`, the tokenizer's files, the chat template."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ptc.compiler.catalogue import Checkpoint
from ptc.compiler.shapes import from_config

SMALL_FILES = (
    *("config.json", "generation_config.json", "chat_template.jinja"),
    *("tokenizer_config.json", "tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt"),
)
"""What describes a model; the first must be there."""

CONTEXT = ("max_position_embeddings", "n_positions", "n_ctx")
"""What a config calls the length of the context."""
Document = Mapping[str, Any]


def checkpoint(name: str) -> Checkpoint | None:
    """What the small files of a model folder say; None where there is no such folder."""
    if not os.path.exists(name):  # unlike Path.exists, False for a name that no file can have
        return None
    path = Path(name)
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        adapter = (path / "adapter_config.json").is_file()
        what = _without_base(name, path) if adapter else "it holds no config.json"
        return Checkpoint(None, None, None, problem=what)
    except (OSError, ValueError):
        return Checkpoint(None, None, None, problem="its config.json cannot be read")
    if not isinstance(config, dict):
        return Checkpoint(None, None, None, problem="its config.json holds no settings")
    generation, words = _document(path / "generation_config.json"), _document(path / "tokenizer_config.json")
    tokenizer = _document(path / "tokenizer.json")
    shape = from_config(config)
    template = _template(path, words)
    return Checkpoint(
        next((length for name in CONTEXT if (length := _whole(config.get(name))) is not None), None),
        shape.parameters if shape is not None and shape.vocabulary is not None else None,
        _vocabulary(path, tokenizer),
        template=_digest(template.encode()) if template is not None else None,
        end_of_sequence=_ends(config, generation, words, tokenizer),
        architecture=_architecture(config),
        vocabulary=_whole(config.get("vocab_size")),
        shape=shape,
        dropout=_dropout(config),
    )


def _without_base(name: str, adapter: Path) -> str:
    """As PEFT and TRL save one; beside the files of its base the same folder is a model."""
    base = _document(adapter / "adapter_config.json").get("base_model_name_or_path")
    named = base if isinstance(base, str) else "BASE"
    return f"it is an adapter without the model it is over, whose files belong beside it: cp -n {named}/* {name}"


def _document(path: Path) -> Document:
    """A JSON object; nothing where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _architecture(config: Document) -> str | None:
    named = config.get("architectures")
    if isinstance(named, list) and named and isinstance(named[0], str):
        return named[0]
    kind = config.get("model_type")
    return kind if isinstance(kind, str) else None


def _dropout(config: Document) -> float | None:
    """The largest of the dropouts that a config names; None where it names none."""
    rates = [
        value
        for key, value in config.items()
        if ("dropout" in key or key.endswith("_pdrop")) and isinstance(value, int | float)
    ]
    return max(map(float, rates), default=None)


def _vocabulary(path: Path, tokenizer: Document) -> str | None:
    """Digest of what makes two models read one text as the same tokens: the vocabulary and how words are cut up.

    Special tokens and templates are left out: a base model and its chat model differ in them and share the tokens.
    """
    model = tokenizer.get("model")
    if isinstance(model, dict) and "vocab" in model:
        parts = {key: model.get(key) for key in ("type", "vocab", "merges")}
        return _digest(json.dumps(parts, sort_keys=True).encode())
    for files in (("tokenizer.model",), ("vocab.json", "merges.txt")):
        there = [path / name for name in files if (path / name).is_file()]
        if there:
            return _digest(b"".join(_digest(file.read_bytes()).encode() for file in there))
    return None


def _template(path: Path, words: Document) -> str | None:
    """The chat template, from a file of its own or the tokenizer's settings."""
    file = path / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    named = words.get("chat_template")
    if isinstance(named, list):  # several under names: the one that is used where nobody says which
        named = next((each.get("template") for each in named if each.get("name") == "default"), None)
    return named if isinstance(named, str) else None


def _ends(config: Document, generation: Document, words: Document, tokenizer: Document) -> tuple[str, ...] | None:
    """The tokens that end a response: those of the generation config, else of the config, and the tokenizer's own."""
    ids = generation.get("eos_token_id", config.get("eos_token_id"))
    numbers = ids if isinstance(ids, list) else [ids]
    names = dict(_special(words, tokenizer))
    found = [names[number] for number in numbers if number in names]
    own = words.get("eos_token")
    own = own.get("content") if isinstance(own, dict) else own
    found += [own] if isinstance(own, str) else []
    return tuple(sorted(set(found))) or None


def _special(words: Document, tokenizer: Document) -> Iterable[tuple[int, str]]:
    """Special tokens by their numbers."""
    for token in tokenizer.get("added_tokens") or ():
        yield token["id"], token["content"]
    for number, token in (words.get("added_tokens_decoder") or {}).items():
        yield int(number), token["content"]
