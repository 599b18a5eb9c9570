"""Merges: each method against its formula in NumPy, the identities of each, and models that cannot be averaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nodes_world import World
from safetensors.torch import load_file, save_file
from small_chat import SPECIAL, save, small_llama, small_model

from ptc.runtime.artifacts import Artifact, InputWrong
from ptc.runtime.merging import drop, largest, linear, merge_tensor, slerp, ties

AROUND: dict[str, Any] = {"weights": [1.0, 1.0], "scale": 1.0, "density": 1.0, "seed": 3}


def tensors(seed: int, count: int = 2, shape: tuple[int, ...] = (5, 7)) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, dtype=torch.float64, generator=generator) for _ in range(count)]


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(one, other, rtol=0, atol=1e-12)


# The formulas, written again


def test_slerp_is_its_formula_and_stays_on_the_sphere() -> None:
    a, b = tensors(1)
    x, y = a.numpy().ravel(), b.numpy().ravel()
    omega = np.arccos(x @ y / np.linalg.norm(x) / np.linalg.norm(y))
    expected = (np.sin(0.7 * omega) * x + np.sin(0.3 * omega) * y) / np.sin(omega)
    assert np.allclose(slerp(a, b, 0.3).numpy().ravel(), expected, rtol=0, atol=1e-12)
    unit = [tensor / tensor.norm() for tensor in (a, b)]
    assert float(slerp(*unit, 0.3).norm()) == pytest.approx(1.0, abs=1e-12)


def test_ties_is_trim_elect_and_mean() -> None:
    differences = [tensor.numpy() for tensor in tensors(2, count=3)]
    trimmed = []
    for tau in differences:
        threshold = np.sort(np.abs(tau).ravel())[-14]  # 0.4 of 35
        trimmed.append(np.where(np.abs(tau) >= threshold, tau, 0.0))
    elected = np.sign(sum(trimmed))
    expected = np.zeros((5, 7))
    for place in np.ndindex(5, 7):
        agreeing = [tau[place] for tau in trimmed if tau[place] != 0 and np.sign(tau[place]) == elected[place]]
        expected[place] = np.mean(agreeing) if agreeing else 0.0
    found = ties([torch.from_numpy(tau) for tau in differences], [1.0] * 3, 0.4)
    assert np.allclose(found.numpy(), expected, rtol=0, atol=1e-12)


def test_ties_weighs_what_it_averages() -> None:
    differences = [torch.tensor([1.0, 1.0, 4.0]).double(), torch.tensor([3.0, -1.0, -1.0]).double()]
    assert close(ties(differences, [1.0, 3.0], 1.0), torch.tensor([2.5, -1.0, 4.0]).double())


def test_dare_keeps_the_mean_and_drops_the_share() -> None:
    tau = torch.ones(200_000, dtype=torch.float64)
    dropped = drop(tau, 0.3, seed=1)
    assert set(dropped.unique().tolist()) == {0.0, 1 / 0.3}
    share = float((dropped > 0).double().mean())
    assert share == pytest.approx(0.3, abs=4 * (0.3 * 0.7 / 200_000) ** 0.5)
    assert torch.equal(dropped, drop(tau, 0.3, seed=1)) and not torch.equal(dropped, drop(tau, 0.3, seed=2))


def test_the_largest_are_kept() -> None:
    assert largest(torch.tensor([[1.0, -5.0], [3.0, 2.0]]), 0.5).tolist() == [[0.0, -5.0], [3.0, 0.0]]
    assert not largest(torch.ones(3), 0.0).any()


# Identities


@given(st.integers(0, 1000), st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_a_model_merged_with_itself_is_itself(seed: int, t: float) -> None:
    a, base = tensors(seed)
    assert close(linear([a, a], [t, 1 - t]), a)
    assert close(slerp(a, a, t), a)
    assert close(ties([a, a], [1.0, 1.0], 1.0), a)
    assert close(merge_tensor({**AROUND, "method": "ties"}, "w", [a, a], base), a)


@pytest.mark.parametrize("method", ["task_arithmetic", "ties", "dare"])
def test_nothing_added_is_the_base(method: str) -> None:
    a, b, base = tensors(4, count=3)
    assert torch.equal(merge_tensor({**AROUND, "method": method, "scale": 0.0}, "w", [a, b], base), base)
    assert torch.equal(merge_tensor({**AROUND, "method": method, "weights": [0.0, 0.0]}, "w", [a, b], base), base)
    assert close(merge_tensor({**AROUND, "method": method, "weights": [1.0]}, "w", [a], base), a)


@pytest.mark.parametrize("method", ["ties", "dare"])
def test_nothing_kept_is_the_base(method: str) -> None:
    a, b, base = tensors(4, count=3)
    assert torch.equal(merge_tensor({**AROUND, "method": method, "density": 0.0}, "w", [a, b], base), base)


def test_dare_that_drops_nothing_is_task_arithmetic() -> None:
    a, b, base = tensors(5, count=3)
    found = [merge_tensor({**AROUND, "method": method}, "w", [a, b], base) for method in ("dare", "task_arithmetic")]
    assert torch.equal(*found)


def test_ties_without_conflict_at_density_1_is_the_mean_task_vector() -> None:
    a, b = (tensor.abs() for tensor in tensors(6))
    assert close(ties([a, b], [1.0, 1.0], 1.0), (a + b) / 2)


def test_the_ends_of_an_arc() -> None:
    a, b, base = tensors(7, count=3)
    for around in (None, base):
        for t, end in ((0.0, a), (1.0, b)):
            assert close(merge_tensor({"method": "slerp", "t": t}, "w", [a, b], around), end)
    zero = torch.zeros_like(a)
    assert close(slerp(zero, b, 0.5), b / 2) and close(slerp(a, -a, 0.25), a / 2)


def test_an_arc_around_a_base_turns_differences() -> None:
    a, b, base = tensors(8, count=3)
    found = merge_tensor({"method": "slerp", "t": 0.4}, "w", [a, b], base)
    assert close(found, base + slerp(a - base, b - base, 0.4))


# The node


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def model(world: World, name: str, seed: int = 0, **changes: Any) -> Artifact:
    return Artifact(name, save(small_model(seed=seed, hidden=16, **changes), world.root / name), {})


def weights(artifact: Artifact) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for path in sorted(artifact.path.glob("*.safetensors")):
        found |= load_file(path)
    return found


def test_a_merge_of_one_is_byte_for_byte_the_same_weights(world: World) -> None:
    one = model(world, "one")
    merged = world.run("merge", {"method": "linear", "weights": [1.0]}, **{"0": one})
    assert weights(merged).keys() == weights(one).keys()
    assert all(torch.equal(tensor, weights(one)[name]) for name, tensor in weights(merged).items())
    for name in ("config.json", "generation_config.json", "tokenizer.json", "chat_template.jinja"):
        assert (merged.path / name).read_bytes() == (one.path / name).read_bytes()


def test_a_mean_is_computed_wide_and_loads_as_any_model(world: World) -> None:
    from transformers import AutoModelForCausalLM

    models = {str(number): model(world, f"m{number}", seed=number) for number in range(3)}
    shares = [0.5, 0.3, 0.2]
    merged = world.run("merge", {"method": "linear", "weights": shares}, **models)
    for name, tensor in AutoModelForCausalLM.from_pretrained(merged.path).state_dict().items():
        if name == "lm_head.weight":
            continue
        parts = [weights(each)[name].numpy().astype(np.float64) for each in models.values()]
        mean = np.sum([share * part for share, part in zip(shares, parts, strict=True)], axis=0)
        assert np.array_equal(tensor.numpy(), mean.astype(np.float32))
    assert [beat.unit for beat in world.heartbeats] == ["tensors"] * len(weights(merged))


@pytest.mark.parametrize("method", ["task_arithmetic", "ties", "dare", "slerp"])
def test_every_method_runs_and_gives_equal_bytes(world: World, method: str) -> None:
    chosen = {"method": method, "t": 0.3} if method == "slerp" else {**AROUND, "method": method, "density": 0.5}
    inputs = {"0": model(world, "a", 1), "1": model(world, "b", 2), "base": model(world, "c")}
    first, second = (world.run("merge", chosen, **inputs) for _ in range(2))
    assert (first.path / "model.safetensors").read_bytes() == (second.path / "model.safetensors").read_bytes()
    moved = [(weights(first)[name] - tensor).abs().max() for name, tensor in weights(inputs["base"]).items()]
    assert max(moved) > 0.01


def test_half_precision_and_shards_stay_what_they_are(world: World) -> None:
    whole, parts = model(world, "whole"), model(world, "parts", 1)
    small = {name: tensor.bfloat16() for name, tensor in weights(whole).items()}
    save_file(small, whole.path / "model.safetensors", metadata={"format": "pt"})
    small_model(seed=1, hidden=16).save_pretrained(parts.path, max_shard_size="20KB")
    (parts.path / "model.safetensors").unlink()
    assert len(list(parts.path.glob("*.safetensors"))) > 1
    merged = world.run("merge", {"method": "linear", "weights": [0.5, 0.5]}, **{"0": whole, "1": parts})
    other = world.run("merge", {"method": "linear", "weights": [0.5, 0.5]}, **{"0": parts, "1": whole})
    assert {tensor.dtype for tensor in weights(merged).values()} == {torch.bfloat16}
    assert not (other.path / "model.safetensors.index.json").exists()
    for name, tensor in weights(other).items():
        expected = (small[name].double() + weights(parts)[name].double()) / 2
        assert torch.equal(tensor, expected.float())
        assert torch.equal(weights(merged)[name], expected.bfloat16())


def test_a_reward_model_is_merged_as_any_other(world: World) -> None:
    heads = {str(number): world.run("reward_head", {"seed": 1}, init=model(world, f"m{number}")) for number in range(2)}
    merged = world.run("merge", {"method": "linear", "weights": [0.5, 0.5]}, **heads)
    assert "score.weight" in weights(merged)


def test_strangers_are_refused(world: World) -> None:
    mean = {"method": "linear", "weights": [0.5, 0.5]}
    one = model(world, "one")
    llama = Artifact("llama", save(small_llama(), world.root / "llama"), {})  # type: ignore[arg-type]
    with pytest.raises(InputWrong, match=r"a Qwen3ForCausalLM and a LlamaForCausalLM have no weights in common"):
        world.run("merge", mean, **{"0": one, "1": llama})
    with pytest.raises(InputWrong, match=r"differ in shape \(model\.layers\.0\.self_attn\.k_norm\.weight, "):
        world.run("merge", mean, **{"0": one, "1": model(world, "narrow", head_dim=16)})
    with pytest.raises(InputWrong, match=r"differ in shape \(model\.layers\.2\."):
        world.run("merge", mean, **{"0": one, "1": model(world, "deep", layers=3)})
    lora = {"rank": 2, "alpha": 4.0, "dropout": 0.0, "targets": "all-linear", "seed": 5}
    with pytest.raises(InputWrong, match="has its adapter apart: merge_adapter"):
        world.run("merge", mean, **{"0": one, "1": world.run("lora", lora, init=one)})
    other = model(world, "other")
    text = (other.path / "tokenizer.json").read_text()
    (other.path / "tokenizer.json").write_text(text.replace(SPECIAL[-1], "<begin>"))
    with pytest.raises(InputWrong, match="tokenizers differ"):
        world.run("merge", mean, **{"0": one, "1": other})
