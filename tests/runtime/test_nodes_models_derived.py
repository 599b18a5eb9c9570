"""Models made from a model: adapters, heads, another chat template, and parts of what a stage left behind."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from nodes_world import World
from peft import LoraConfig
from small_chat import save, small_llama, small_model

from ptc.runtime.adapters import adapt, handed_over, write_adapter
from ptc.runtime.artifacts import Artifact, InputWrong
from ptc.runtime.engines.open import end_tokens, load_tokenizer
from ptc.runtime.loading import REWARD, VALUE, head_of, load_base, load_model, load_whole
from ptc.runtime.model_folders import copy_model
from ptc.runtime.render import render_prompt

LORA: dict[str, Any] = {"rank": 4, "alpha": 8.0, "dropout": 0.0, "targets": "all-linear", "seed": 5}
TEXTS = torch.randint(4, 104, (3, 11), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def base(tmp_path: Path) -> Artifact:
    return Artifact("base", save(small_model(), tmp_path / "base"), {})


def logits(artifact: Artifact, whole: bool = False) -> torch.Tensor:
    model = (load_whole if whole else load_model)(artifact.path).eval()
    with torch.no_grad():
        answer: torch.Tensor = model(input_ids=TEXTS).logits
    return answer


def files(artifact: Artifact) -> dict[str, bytes]:
    found = sorted(path for path in artifact.path.rglob("*") if path.is_file())
    return {str(path.relative_to(artifact.path)): path.read_bytes() for path in found}


def moved(adapted: Artifact, world: World) -> Artifact:
    """The same with an adapter that has learned something."""
    model = load_model(adapted.path)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    out = world.root / "moved"
    out.mkdir()
    copy_model(adapted.path, out)
    write_adapter(model, out / "adapter")
    return Artifact("moved", out, {})


# Adapters


def test_a_fresh_adapter_changes_nothing_and_gives_equal_bytes(world: World, base: Artifact) -> None:
    adapted, again = (world.run("lora", LORA, init=base) for _ in range(2))
    other = world.run("lora", {**LORA, "seed": 6}, init=base)
    assert torch.equal(logits(adapted), logits(base))
    assert files(adapted) == files(again) != files(other)
    assert files(base).items() <= files(adapted).items()
    assert str(world.root) not in (adapted.path / "adapter" / "adapter_config.json").read_text()


def test_only_the_adapter_learns(world: World, base: Artifact) -> None:
    model = load_model(world.run("lora", {**LORA, "targets": ["q_proj", "v_proj"]}, init=base).path)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained and all(".lora_" in name and ("q_proj" in name or "v_proj" in name) for name in trained)


def test_all_linear_leaves_embeddings_and_head_alone(world: World, base: Artifact) -> None:
    config = json.loads((world.run("lora", LORA, init=base).path / "adapter" / "adapter_config.json").read_text())
    assert config["target_modules"] == [
        *("down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"),
    ]
    assert (config["r"], config["lora_alpha"], config["task_type"]) == (4, 8.0, "CAUSAL_LM")


@pytest.mark.parametrize("targets", [["q_porj"], "lm_head", ["embed_tokens", "q_proj"]])
def test_targets_that_the_model_does_not_have(world: World, base: Artifact, targets: Any) -> None:
    with pytest.raises(InputWrong, match=r"no linear layer .* to adapt; it has down_proj, gate_proj"):
        world.run("lora", {**LORA, "targets": targets}, init=base)


def test_a_second_adapter_is_refused(world: World, base: Artifact) -> None:
    with pytest.raises(InputWrong, match="has an adapter already"):
        world.run("lora", LORA, init=world.run("lora", LORA, init=base))


def test_a_merged_adapter_is_plain_weights_that_answer_alike(world: World, base: Artifact) -> None:
    from transformers import AutoModelForCausalLM

    adapted = moved(world.run("lora", LORA, init=base), world)
    whole = world.run("merge_adapter", init=adapted)
    assert (logits(adapted) - logits(base)).abs().max() > 0.1
    assert torch.allclose(logits(whole), logits(adapted), rtol=0, atol=1e-5)
    assert files(whole).keys() == files(base).keys()
    with torch.no_grad():
        plain = AutoModelForCausalLM.from_pretrained(whole.path)(input_ids=TEXTS).logits
    assert torch.equal(plain, logits(whole)) and torch.equal(logits(adapted, whole=True), plain)
    with pytest.raises(InputWrong, match="has no adapter"):
        world.run("merge_adapter", init=base)


# Heads


@pytest.mark.parametrize(("kind", "head"), [("reward_head", REWARD), ("value_head", VALUE)])
def test_a_head_says_0_of_everything_and_keeps_the_body(world: World, base: Artifact, kind: str, head: str) -> None:
    import transformers

    headed = world.run(kind, {"seed": 1}, init=base)
    assert head_of(headed.path) == head
    assert not logits(headed).any()
    plain = getattr(transformers, f"AutoModel{head}").from_pretrained(headed.path)
    assert plain.config.num_labels == 1 and plain.config.pad_token_id == 0
    entry = load_model(base.path).base_model.state_dict()
    assert all(torch.equal(tensor, entry[name]) for name, tensor in plain.base_model.state_dict().items())
    assert not any(isinstance(module, torch.nn.Dropout) and module.p for module in plain.modules())
    assert files(headed) == files(world.run(kind, {"seed": 1}, init=base))
    assert files(base)["tokenizer.json"] == files(headed)["tokenizer.json"]


def test_two_texts_are_equal_to_a_fresh_reward_model(world: World, base: Artifact) -> None:
    chosen, rejected, _ = logits(world.run("reward_head", {"seed": 1}, init=base)).flatten()
    assert -torch.nn.functional.logsigmoid(chosen - rejected).item() == pytest.approx(math.log(2), abs=1e-7)


def test_a_critic_begins_at_its_reward_model(world: World, base: Artifact) -> None:
    reward = world.run("reward_head", {"seed": 1}, init=base)
    model = load_model(reward.path)
    with torch.no_grad():
        model.score.weight.fill_(0.01)
    model.save_pretrained(reward.path)
    critic = world.run("value_head", {"seed": 1}, init=reward)
    assert logits(critic)[:, -1].flatten().tolist() == pytest.approx(logits(reward).flatten().tolist(), abs=1e-6)


def test_an_adapter_over_a_head_trains_the_head_too(world: World, base: Artifact) -> None:
    reward = world.run("reward_head", {"seed": 1}, init=base)
    adapted = world.run("lora", LORA, init=reward)
    trained = {name for name, parameter in load_model(adapted.path).named_parameters() if parameter.requires_grad}
    assert any("score" in name for name in trained) and any(".lora_" in name for name in trained)
    learned = moved(adapted, world)
    whole = world.run("merge_adapter", init=learned)
    assert logits(learned).abs().max() > 1e-3
    assert torch.allclose(logits(whole), logits(learned), rtol=0, atol=1e-5)


ELSEWHERE: dict[str, dict[str, Any]] = {
    "ours": {"target_modules": ["q_proj", "up_proj"]},
    "rank-stabilised": {"target_modules": ["q_proj", "up_proj"], "use_rslora": True},
    "by a pattern": {"target_modules": r".*layers\.1\..*(q|v)_proj"},
    "a rank for each": {
        "target_modules": ["q_proj", "k_proj"],
        "rank_pattern": {"k_proj": 2},
        "alpha_pattern": {"k_proj": 9},
    },
    "in some layers": {"target_modules": ["q_proj"], "layers_to_transform": [0]},
}
"""Adapters as PEFT makes them, and as they come from a hub or a folder."""


def from_elsewhere(world: World, base: Artifact, settings: dict[str, Any]) -> Artifact:
    torch.manual_seed(0)
    config = LoraConfig(r=4, lora_alpha=8, task_type="CAUSAL_LM", **settings)
    out = world.root / "elsewhere"
    out.mkdir()
    copy_model(base.path, out)
    write_adapter(adapt(load_base(base.path), config), out / "adapter")
    return moved(Artifact("elsewhere", out, {}), world)


@pytest.mark.parametrize("settings", ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_head_over_an_adapted_model_keeps_the_adapter(world: World, base: Artifact, settings: dict[str, Any]) -> None:
    learned = from_elsewhere(world, base, settings)
    critic = world.run("value_head", {"seed": 1}, init=learned)
    assert head_of(critic.path) == VALUE and not logits(critic).any()
    before, after = (load_model(artifact.path).get_base_model().base_model for artifact in (learned, critic))
    with torch.no_grad():
        hidden = [body.eval()(input_ids=TEXTS).last_hidden_state for body in (before, after)]
    assert torch.equal(*hidden)
    scores = [
        name for name, each in load_model(critic.path).named_parameters() if each.requires_grad and "score" in name
    ]
    assert scores


@pytest.mark.parametrize("settings", ELSEWHERE.values(), ids=ELSEWHERE)
def test_adapters_from_elsewhere_are_merged_and_handed_over_as_they_are_scaled(
    world: World, base: Artifact, settings: dict[str, Any]
) -> None:
    learned = from_elsewhere(world, base, settings)
    expected = logits(learned)
    assert (expected - logits(base)).abs().max() > 0.1
    whole = world.run("merge_adapter", init=learned)
    assert torch.allclose(logits(whole), expected, rtol=0, atol=1e-5)
    state, merged = handed_over(load_model(learned.path)), load_base(whole.path).state_dict()
    assert all(torch.allclose(state[name], tensor, rtol=0, atol=1e-6) for name, tensor in merged.items())


def test_other_families_have_heads_too(world: World, tmp_path: Path) -> None:
    llama = Artifact("llama", save(small_llama(), tmp_path / "llama"), {})  # type: ignore[arg-type]
    for kind in ("reward_head", "value_head"):
        assert not logits(world.run(kind, {"seed": 1}, init=llama)).any()


# Templates

ANOTHER = "{% for message in messages %}[{{ message['content'] }}]{% endfor %}"


def test_another_template_and_another_end(world: World, base: Artifact) -> None:
    changed = world.run("retemplate", {"template": ANOTHER, "end": "<s>"}, init=base)
    tokenizer = load_tokenizer(changed.path)
    assert tokenizer.decode(render_prompt(tokenizer, "hello")) == "[hello]"
    assert tokenizer.eos_token == "<s>" and end_tokens(changed.path) == {5}
    assert files(changed)["model.safetensors"] == files(base)["model.safetensors"]
    same_end = world.run("retemplate", {"template": ANOTHER}, init=base)
    assert end_tokens(same_end.path) == {3}
    adapted = world.run("retemplate", {"template": ANOTHER}, init=world.run("lora", LORA, init=base))
    assert (adapted.path / "adapter" / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"template": ANOTHER, "end": "<|im_end|>"}, 'has no token "<|im_end|>" that could end a turn'),
        ({"template": "{% for message in %}"}, "cannot be rendered"),
        ({"template": "{{ raise_exception('no system') }}"}, r"cannot be rendered \(no system\): mend it"),
    ],
)
def test_templates_that_are_refused(world: World, base: Artifact, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputWrong, match=message.replace("|", r"\|")):
        world.run("retemplate", settings, init=base)


# What a stage leaves behind


def test_a_result_is_the_model_of_its_name(world: World, base: Artifact) -> None:
    stage = world.root / "stage"
    (stage / "m1").mkdir(parents=True)
    copy_model(base.path, stage)
    save(small_model(seed=1), stage / "m1")
    critic = world.run("result", {"model": "m1"}, stage=Artifact("stage", stage, {}))
    assert files(critic) == {name: (stage / "m1" / name).read_bytes() for name in files(critic)}
    assert files(critic)["model.safetensors"] != files(base)["model.safetensors"]
