"""Every objective of the library trains an adapter: a step of the program in which it is at home, run whole."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from suitable import NAMES, program

from ptc import cli

PAIRS = [{"prompt": f"{number}+1", "chosen": f"{number + 1}", "rejected": f"{number}"} for number in range(8)]
DOCUMENTS = [{"text": f"State the {number}"} for number in range(8)]
MARKED = [
    {"prompt": f"{number}+1", "steps": [f"is {number}", f"so {number + 1}"], "step_labels": [True, number > 3]}
    for number in range(8)
]

REWARDED = "attempts |> score(overlong(limit = 4, buffer = 4))"
"""In the place of exact answers, which a fresh model never gives: rewards that differ."""
EQUAL = frozenset({"process_min", "process_sum"})
"""Their judge is fresh as well, and says 0 of everything: nothing is to be learned."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One store for all, so that rows, tokenizers and fresh models are made once."""
    folder = tmp_path_factory.mktemp("adapters")
    for name, rows in (("pairs", PAIRS), ("documents", DOCUMENTS), ("marked", MARKED)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "small.toml").write_text('threads = 1\ndevice = "cpu"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_adapter_learns_and_the_base_stands_still(name: str, folder: Path) -> None:
    text, count = re.subn(r"^(  train \w+ += )(.+)$", r"\1lora(\2, rank = 2)", program(name), flags=re.MULTILINE)
    text = text.replace("attempts |> score(exact)", REWARDED).replace("import exact", "import exact, overlong")
    assert count
    learner = re.findall(r"^  train (\w+)", text, flags=re.MULTILINE)[0]
    (folder / "program.pt").write_text(f'{text}export learner.{learner} to "out/{name}"\nexport base to "out/base"\n')
    assert cli.main(["run", "program.pt", "--profile", "small.toml"]) == 0
    metrics = max((folder / ".ptc" / "runs").glob("*/metrics.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    [norm] = [row["grad_norm"] for row in map(json.loads, metrics.read_text().splitlines()) if "grad_norm" in row]
    out, base = folder / "out" / name, load_file(folder / "out" / "base" / "model.safetensors")
    factors = load_file(out / "adapter_model.safetensors")
    assert any(tensor.any() for path, tensor in factors.items() if "lora_B" in path or "score" in path) == (norm > 0)
    assert (norm > 0) != (name in EQUAL)
    left = load_file(out / "model.safetensors")
    body = [path for path in left if path.startswith("model.")]
    assert body and all(torch.equal(left[path], base[path]) for path in body)
