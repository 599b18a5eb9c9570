"""Programs of pages that have data beside them: written into a folder, and checked as by `ptc check --data`."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pages import Fence

from ptc import api
from ptc.lang.source import Source


def looked_at(program: Fence) -> api.CheckResult:
    """What is said of a program and its data."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            _write(program.files)
            return api.check_source(Source("program.pt", program.text), data=True)
        finally:
            os.chdir(before)


def _write(files: Mapping[str, str]) -> None:
    for name, text in files.items():
        if name.endswith(".jsonl"):
            Path(name).write_text(text, encoding="utf-8")
    for name in sorted({name.split("/")[0] for name in files if "/" in name}):
        own = {path.split("/")[1]: text for path, text in files.items() if path.startswith(f"{name}/")}
        _write_model(Path(name), own)


def _write_model(folder: Path, files: Mapping[str, str]) -> None:
    """A small model's headers, with what the page says of them."""
    from small_tokenizers import chatml, model_folder

    tokenizer = chatml()
    if "chat_template.jinja" in files:
        tokenizer.chat_template = files["chat_template.jinja"].rstrip("\n")
    for token, value in json.loads(files.get("tokenizer_config.json", "{}")).items():
        setattr(tokenizer, token, value)
    model_folder(folder, tokenizer)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= json.loads(files.get("config.json", "{}"))
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
