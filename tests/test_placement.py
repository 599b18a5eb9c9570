"""A program against where it would run: memory counted from shapes, libraries, exit codes of `ptc check --profile`."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptc import api, placing
from ptc.cli import main
from ptc.compiler import memory
from ptc.compiler.catalogue import Library, Placement
from ptc.compiler.shapes import Shape, from_config
from ptc.runtime.engines.honoured import HONOURED
from ptc.runtime.profile import Profile, load_profile

QWEN3_8B = {
    "hidden_size": 4096,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 12288,
    "vocab_size": 151936,
    "tie_word_embeddings": False,
}
PROGRAM = """edition 2026
from std.objectives import sft, grpo
from std.verifiers import exact
source tasks = gym("chain_sum", size = 1_000, seed = 1) |> prompts(.question, answer = .answer)
source demos = tasks |> respond(.answer)
model base = new.model("qwen3", hidden = 1_024, layers = 8, tokenizer = characters(tasks))
stage whole {
  train policy = base
  minimize sft(demos, policy)
  optimizer = adamw(lr = 1e-5)
  batch     = 64 samples
  budget    = 1 epoch
}
stage adapted {
  train policy = lora(base, rank = 8)
  minimize sft(demos, policy)
  optimizer = adamw(lr = 1e-4)
  batch     = 64 samples
  budget    = 1 epoch
}
stage sampled {
  train  policy    = base
  freeze reference = base
  source rollouts = tasks |> sample(policy, n = 8) |> score(exact)
  minimize grpo(rollouts, policy, reference, kl = 0.01)
  optimizer = adamw(lr = 1e-6)
  batch     = 32 prompts
  budget    = 10 steps
}
"""


SMALL = """edition 2026
from std.objectives import {objectives}
from std.verifiers import exact
source tasks = gym("chain_sum", size = 1_000, seed = 1) |> prompts(.question, answer = .answer)
source demos = tasks |> respond(.answer)
source pairs = jsonl("pairs.jsonl")
model small = {small}
model large = {large}
stage before {{
  train policy = lora(small, rank = 8)
  minimize sft(demos, policy)
  optimizer = adamw(lr = 1e-4)
  batch = 64 samples
  budget = 1 epoch
}}
stage learner {{
  {roles}
  minimize {loss}
  optimizer = adamw(lr = 1e-5)
  batch = 64 {unit}
  budget = 10 steps
}}
"""
MADE = (
    'new.model("qwen3", hidden = 64, layers = {}, heads = 2, kv_heads = 1, intermediate = 128, '
    "tokenizer = characters(tasks))"
)
MODELS = {"small": MADE.format(2), "large": MADE.format(4)}
LAYER = (64 * 64 + 64 * 32 + 64 * 32 + 64 * 64) + 3 * 64 * 128 + 2 * 64
"""By hand: queries, keys, values, output; gate, up, down; two norms."""
S, L = 2 * LAYER + 64, 4 * LAYER + 64
"""Parameters of `small` and of `large`, whose vocabulary is not known yet: layers and a last norm."""
R = 2 * 8 * (2 * (64 + 64) + 2 * (64 + 32) + 3 * (64 + 128))
"""An adapter of rank 8 over `small`: two factors for each of seven matrices in two layers."""
D = ("dpo(pairs, policy, reference)", "samples")
SCORED = "source rollouts = tasks |> sample(policy, n = 4) |> score({scorer})"
G = ("grpo(rollouts, policy, reference, kl = 0.1)", "prompts")
REFERENCES = {
    "full weights": ("train policy = small freeze reference = small", *D, S, 0),
    "the base under an adapter": ("train policy = lora(small, rank = 8) freeze reference = small", *D, 0, 0),
    "made twice": ("train policy = lora(small, rank = 8) freeze reference = {small}", *D, 0, 0),
    "the base of what goes on": ("train policy = before freeze reference = small", *D, 0, 0),
    "the base of a step of it": ("train policy = before @ step(2) freeze reference = small", *D, 0, 0),
    "under another template": ('train policy = retemplate(before, "chatml") freeze reference = small', *D, 0, 0),
    "the adapter as it was": ("train policy = before freeze reference = before", *D, S, 0),
    "another model": ("train policy = lora(small, rank = 8) freeze reference = large", *D, L, 0),
    "an adapter merged": ("train policy = lora(merge_adapter(before), rank = 8) freeze reference = small", *D, S, 0),
    "a reference that grades": (
        'train policy = lora(small, rank = 8) freeze reference = small '
        + SCORED.format(scorer='judge(reference, rubric = "?")'),
        *G, 0, 0,
    ),
    "the same, beside the stage, twice": (
        'train policy = lora(small, rank = 8) freeze reference = small '
        + SCORED.format(scorer='judge(small, rubric = "?") + judge(small, rubric = "!")'),
        *G, 0, S,
    ),
    "a learner that grades": (
        'train policy = small freeze reference = small ' + SCORED.format(scorer='judge(policy, rubric = "?")'),
        *G, S, 0,
    ),
    "one that stands still in two roles": (
        "train policy = small freeze reference = large freeze other = large",
        "dpo(pairs, policy, reference) + dpo(pairs, policy, other)", "samples", L, 0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFERENCES)
def test_a_model_is_counted_once_by_hand(case: str) -> None:
    roles, loss, unit, others, judges = REFERENCES[case]
    roles = roles.replace("{small}", MODELS["small"])
    text = SMALL.format(objectives="sft, dpo, grpo", roles=roles, loss=loss, unit=unit, **MODELS)
    checked = api.check_text(text).checked
    assert checked is not None
    needed = memory.estimate(checked.program.stages[-1], Placement())
    assert needed is not None
    whole = "full" in case or "learner" in case or "two roles" in case
    assert part(needed, "weights") == 4 * S
    assert (part(needed, "gradients"), part(needed, "optimizer")) == ((4 * S, 8 * S) if whole else (4 * R, 8 * R))
    assert (part(needed, "other models"), part(needed, "judges")) == (4 * others, 4 * judges)


def estimates(place: Placement) -> dict[str, memory.Estimate]:
    checked = api.check_text(PROGRAM).checked
    assert checked is not None
    found = {stage.name: memory.estimate(stage, place) for stage in checked.program.stages}
    return {name: needed for name, needed in found.items() if needed is not None}


def part(needed: memory.Estimate, name: str) -> int:
    return next((part.bytes for part in needed.parts if part.name == name), 0)


def test_parameters_of_a_published_shape() -> None:
    shape = from_config(QWEN3_8B)
    assert shape is not None
    assert shape.parameters == pytest.approx(8.19e9, rel=0.005)  # the model card says 8.2 B
    assert shape.cached_per_token == 2 * 36 * 8 * 128


def test_a_mixture_of_experts_counts_every_expert() -> None:
    dense = from_config(QWEN3_8B)
    experts = from_config({**QWEN3_8B, "num_experts": 4, "moe_intermediate_size": 12288})
    assert dense is not None and experts is not None
    assert experts.blocks - dense.blocks == 36 * 3 * 4096 * 12288 * 3


@pytest.mark.parametrize("config", [{}, {"hidden_size": 8}, {"hidden_size": "wide"}, {**QWEN3_8B, "hidden_size": 0}])
def test_what_is_no_transformer_has_no_shape(config: dict[str, object]) -> None:
    assert from_config(config) is None


def test_an_adapter_needs_gradients_for_itself_only() -> None:
    found = estimates(Placement())
    assert part(found["whole"], "weights") == part(found["adapted"], "weights")
    assert part(found["whole"], "gradients") == part(found["whole"], "weights")
    assert part(found["adapted"], "gradients") < part(found["whole"], "gradients") / 20
    assert part(found["adapted"], "optimizer") == 2 * part(found["adapted"], "gradients")


def test_in_parts_each_device_holds_its_share_and_what_is_gathered() -> None:
    whole, parts = (estimates(Placement(devices=4, sharded=sharded))["sampled"] for sharded in (False, True))
    for name in ("weights", "gradients", "optimizer", "other models"):
        assert part(parts, name) == part(whole, name) // 4 > 0
    assert part(parts, "gathered weights and cache") == (
        part(whole, "cache of keys and values") + part(whole, "weights")
    )
    assert parts.peak < whole.peak


def test_sampling_needs_a_cache_and_an_engine_of_its_own_a_copy() -> None:
    shared, copied = estimates(Placement())["sampled"], estimates(Placement(copies=True))["sampled"]
    assert part(shared, "the engine's copy") == 0
    assert part(copied, "the engine's copy") == part(copied, "weights")
    assert part(shared, "other models") == part(shared, "weights")
    assert part(shared, "cache of keys and values") > 0
    assert part(estimates(Placement())["whole"], "cache of keys and values") == 0


def test_of_what_comes_and_goes_the_largest_counts() -> None:
    needed = estimates(Placement())["sampled"]
    passing = [each.bytes for each in needed.parts if each.passing]
    assert needed.peak == needed.resident + max(passing) == sum(each.bytes for each in needed.counted)


def test_fewer_rows_at_once_need_less() -> None:
    few, usual = (estimates(Placement(micro_batch=size))["whole"].peak for size in (1, 16))
    assert few < usual


def test_the_numbers_are_those_of_the_runtime() -> None:
    torch = pytest.importorskip("torch")
    assert torch is not None
    import inspect

    from ptc.runtime.engines.transformers import TransformersEngine
    from ptc.runtime.trainer import MICRO_BATCH_TOKENS

    assert memory.FORWARD_TOKENS == MICRO_BATCH_TOKENS
    assert inspect.signature(TransformersEngine).parameters["token_budget"].default == memory.SAMPLED_TOKENS


def test_amounts_in_words() -> None:
    assert [memory.spelled(n) for n in (999, 25_300, 1_600_000, 80 * 10**9)] == [
        "999 B",
        "25.3 kB",
        "1.6 MB",
        "80.0 GB",
    ]
    assert [memory.amount(n) for n in (7, 97_700, 7_240_000_000)] == ["7", "97.7 k", "7.2 B"]


# Libraries ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "found", "fits"),
    [
        (">=5.16", "5.16.0", True),
        (">=5.16", "5.9.1", False),
        ("<1.17,>=1.16", "1.16.3", True),
        ("<1.17,>=1.16", "1.17.0", False),
        (">=2.8", "2.9.0+cu128", True),
        ("==1.2", "1.2.7", True),
        ("!=1.2", "1.2.7", False),
        ("~=1.4.2", "1.4.9", True),
        ("~=1.4.2", "1.5.0", False),
        ("", "0.1", True),
        (">=1", None, True),
    ],
)
def test_versions(wanted: str, found: str | None, fits: bool) -> None:
    assert placing.fits(Library("lib", wanted, found)) is fits


def test_what_an_engine_needs_is_what_the_package_says() -> None:
    plain, with_vllm = ({each.name for each in placing.needed(engine)} for engine in ("transformers", "vllm"))
    assert {"torch", "transformers", "accelerate"} <= plain
    assert with_vllm - plain == {"vllm"}


# Profiles -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"), [("80GB", 80 * 10**9), ("80 GiB", 80 * 2**30), ("1.5MB", 1_500_000), ("512B", 512)]
)
def test_memory_is_written_with_its_unit(text: str, size: int) -> None:
    assert Profile.model_validate({"memory": text}).memory == size


def test_a_profile_as_the_compiler_sees_it() -> None:
    place = placing.placed(Profile(engine="vllm", precision="bfloat16", device="cpu", memory=10**9), "gpu.toml")
    assert (place.engine, place.engine_precision, place.copies, place.memory) == ("vllm", "bfloat16", True, 10**9)
    assert place.honoured == HONOURED["vllm"]


def test_checking_needs_no_device(tmp_path: Path) -> None:
    path = tmp_path / "gpu.toml"
    path.write_text('device = "cuda"\ndevices = 64\n')
    assert load_profile(path, here=False).devices == 64


def run_check(folder: Path, profile: str) -> int:
    (folder / "program.pt").write_text(PROGRAM)
    (folder / "place.toml").write_text(profile)
    return main(["check", str(folder / "program.pt"), "--profile", str(folder / "place.toml")])


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_check(tmp_path, 'device = "cpu"') == 0
    assert run_check(tmp_path, 'device = "cpu"\nmemory = "1MB"') == 6
    assert "error[L509]" in capsys.readouterr().out
    assert run_check(tmp_path, 'memry = "1MB"') == 2
    assert "did you mean `memory`?" in capsys.readouterr().err
    assert run_check(tmp_path, 'device = "cpu"\nengine_copy = true\nengine_precision = "bfloat16"') == 2
    assert "error[L511]" in capsys.readouterr().out


def test_a_shape_says_what_it_is() -> None:
    assert Shape(64, 2, 2, 2, 32, 168).words == "2 layers of width 64"
