"""The transformers engine: transformers' own completions, whatever the batch, with the right log-probabilities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import pytest
import torch
from small_chat import small_llama, small_model, small_tokenizer

from ptc.runtime.artifacts import InputWrong, InvariantBroken
from ptc.runtime.engines.honoured import HONOURED
from ptc.runtime.engines.protocol import Request, Sampling
from ptc.runtime.engines.transformers import TransformersEngine
from ptc.runtime.sampling import seed_of

PROMPTS = [[1, 10, 11, 2], [1, 20, 21, 22, 23, 24, 25, 2], [1, 30, 2], [1, 40, 41, 42, 43, 2], [1, 30, 2]]
END = 3


def DECODE(tokens: Sequence[Sequence[int]]) -> list[str]:
    return small_tokenizer().batch_decode([list(one) for one in tokens])


def engine(**settings: Any) -> TransformersEngine:
    return TransformersEngine(small_model(), [END], shared=True, **settings)


def requests(n: int = 4) -> list[Request]:
    return [Request(prompt, [seed_of(0, index, k) for k in range(n)]) for index, prompt in enumerate(PROMPTS)]


def test_greedy_completions_are_those_of_transformers() -> None:
    model = small_model()
    completions = engine().generate(requests(2), Sampling(temperature=0, max_tokens=12))
    for prompt, both in zip(PROMPTS, completions, strict=True):
        output = model.generate(torch.tensor([prompt]), max_new_tokens=12, do_sample=False, eos_token_id=END)
        assert [completion.tokens for completion in both] == [tuple(output[0, len(prompt) :].tolist())] * 2


@pytest.mark.parametrize("max_tokens", [1, 7, 40])
def test_logprobs_are_the_teacher_forced_ones(max_tokens: int) -> None:
    model = engine()
    completions = model.generate(requests(), Sampling(max_tokens=max_tokens))
    pairs = [
        (prompt, completion.tokens) for prompt, own in zip(PROMPTS, completions, strict=True) for completion in own
    ]
    sampled = [completion.logprobs for own in completions for completion in own]
    for ours, forced in zip(sampled, model.logprobs(pairs), strict=True):
        assert ours == pytest.approx(forced, abs=2e-5)


def test_teacher_forced_logprobs_are_those_of_the_bare_model() -> None:
    model, pairs = small_model(), [(PROMPTS[0], [7, 8, 9]), (PROMPTS[1], []), (PROMPTS[2], [9])]
    for (prompt, response), values in zip(pairs, engine().logprobs(pairs), strict=True):
        logits = model(torch.tensor([[*prompt, *response]])).logits[0].log_softmax(1)
        expected = [float(logits[len(prompt) - 1 + index, token].detach()) for index, token in enumerate(response)]
        assert values == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("sampling", [Sampling(max_tokens=24), Sampling(temperature=0.7, top_p=0.9, max_tokens=24)])
def test_a_completion_does_not_depend_on_its_batch(sampling: Sampling) -> None:
    together = engine().generate(requests(8), sampling)
    for request, expected in zip(requests(8), together, strict=True):
        alone = [engine().generate([Request(request.prompt_tokens, [seed])], sampling)[0][0] for seed in request.seeds]
        assert [one.tokens for one in alone] == [one.tokens for one in expected]
    in_small_batches = engine(token_budget=64).generate(requests(8), sampling)
    assert [[one.tokens for one in own] for own in in_small_batches] == [
        [one.tokens for one in own] for own in together
    ]


def test_prompts_may_ask_for_different_numbers_of_completions() -> None:
    sampling = Sampling(max_tokens=6)
    whole = engine().generate(requests(11), sampling)
    counts = [3, 0, 11, 8, 1]
    ragged = [Request(one.prompt_tokens, one.seeds[:count]) for one, count in zip(requests(11), counts, strict=True)]
    for some, all_of_them, count in zip(engine().generate(ragged, sampling), whole, counts, strict=True):
        assert [one.tokens for one in some] == [one.tokens for one in all_of_them[:count]]


def test_windowed_attention_goes_one_attempt_to_a_row() -> None:
    settings = {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1}
    model = TransformersEngine(small_model(**settings), [END], shared=True)
    completions = model.generate(requests(), Sampling(max_tokens=12))
    for prompt, own in zip(PROMPTS, completions, strict=True):
        forced = model.logprobs([(prompt, one.tokens) for one in own])
        for one, expected in zip(own, forced, strict=True):
            assert one.logprobs == pytest.approx(expected, abs=2e-5)


def test_heads_with_keys_of_their_own() -> None:
    model = TransformersEngine(small_llama(), [END], shared=True)
    completions = model.generate(requests(), Sampling(max_tokens=12))
    pairs = [
        (prompt, completion.tokens) for prompt, own in zip(PROMPTS, completions, strict=True) for completion in own
    ]
    sampled = [one.logprobs for own in completions for one in own]
    for ours, forced in zip(sampled, model.logprobs(pairs), strict=True):
        assert ours == pytest.approx(forced, abs=2e-5)


def test_completions_end_at_the_end_token() -> None:
    completions = [one for own in engine().generate(requests(64), Sampling(max_tokens=30)) for one in own]
    assert Counter(one.finished for one in completions).keys() == {True, False}
    for one in completions:
        assert END not in one.tokens[:-1]
        assert one.finished == (one.tokens[-1] == END)
        assert one.finished or len(one.tokens) == 30
        assert len(one.logprobs) == len(one.tokens)


def test_the_first_tokens_follow_the_model() -> None:
    model = small_model()
    expected = model(torch.tensor([PROMPTS[0]])).logits[0, -1].softmax(0).detach()
    seeds = [seed_of(1, k) for k in range(8000)]
    completions = engine().generate([Request(PROMPTS[0], seeds)], Sampling(max_tokens=1))[0]
    shares = torch.bincount(torch.tensor([one.tokens[0] for one in completions]), minlength=104) / len(seeds)
    assert ((shares - expected).abs() <= 5 * (expected * (1 - expected) / len(seeds)).sqrt() + 1e-3).all()


def test_the_trainers_module_stays_in_its_mode() -> None:
    module = small_model().train()
    model = TransformersEngine(module, [END], shared=True)
    model.generate(requests(), Sampling(max_tokens=2))
    assert module.training
    model.load_weights([], 7)
    assert model.version == 7


def test_what_does_not_fit_into_the_context_is_refused() -> None:
    with pytest.raises(InputWrong, match="8 tokens and max_tokens = 249 do not fit into the model's context of 256"):
        engine().generate(requests(), Sampling(max_tokens=249))


def test_a_copy_takes_the_full_state_and_its_dtype() -> None:
    copy = TransformersEngine(small_model(seed=1).bfloat16(), [END], shared=False)
    source = small_model(seed=2)
    copy.load_weights(source.state_dict().items(), 3)
    assert copy.version == 3
    same = TransformersEngine(small_model(seed=2).bfloat16(), [END], shared=True)
    sampling = Sampling(max_tokens=8)
    assert copy.generate(requests(), sampling) == same.generate(requests(), sampling)
    partial = [(name, tensor) for name, tensor in source.state_dict().items() if name != "lm_head.weight"]
    with pytest.raises(InvariantBroken, match=r"lm_head\.weight"):
        copy.load_weights(partial, 4)


def test_nothing_asked_nothing_done() -> None:
    assert engine().generate([], Sampling()) == []
    assert engine().generate([Request(PROMPTS[0], [])], Sampling(max_tokens=4)) == [[]]
    assert engine().logprobs([]) == []


EFFECTS: Mapping[str, tuple[Sampling, int, int]] = {
    "n": (Sampling(max_tokens=12), 3, 0),
    "seed": (Sampling(max_tokens=12), 4, 1),
    "temperature": (Sampling(temperature=0.3, max_tokens=12), 4, 0),
    "top_p": (Sampling(top_p=0.2, max_tokens=12), 4, 0),
    "top_k": (Sampling(top_k=1, max_tokens=12), 4, 0),
    "min_p": (Sampling(min_p=0.5, max_tokens=12), 4, 0),
    "repetition_penalty": (Sampling(repetition_penalty=5.0, max_tokens=12), 4, 0),
    "stop": (Sampling(stop=("a", "e"), max_tokens=12), 4, 0),
    "max_tokens": (Sampling(max_tokens=3), 4, 0),
}
"""For each argument of `sample`, another value than in `Sampling(max_tokens=12)` with 4 attempts and seed 0."""


def test_every_honoured_option_has_an_effect() -> None:
    """Pain 25: an option that is accepted and ignored. vLLM has the same table, and is handed each by its name."""
    assert set(EFFECTS) == HONOURED["transformers"] == HONOURED["vllm"]

    def drawn(sampling: Sampling, n: int, seed: int) -> list[list[tuple[int, ...]]]:
        asked = [Request(prompt, [seed_of(seed, i, k) for k in range(n)]) for i, prompt in enumerate(PROMPTS)]
        return [[one.tokens for one in own] for own in engine(decode=DECODE).generate(asked, sampling)]

    usual = drawn(Sampling(max_tokens=12), 4, 0)
    assert {name: drawn(*changed) == usual for name, changed in EFFECTS.items()} == dict.fromkeys(EFFECTS, False)


def test_what_has_been_said_is_penalised_as_transformers_does_it() -> None:
    model, sampling = small_model(), Sampling(temperature=0, repetition_penalty=1.7, max_tokens=12)
    for prompt, [one] in zip(PROMPTS, engine().generate(requests(1), sampling), strict=True):
        whole = model.generate(
            torch.tensor([prompt]), max_new_tokens=12, do_sample=False, eos_token_id=END, repetition_penalty=1.7
        )
        assert one.tokens == tuple(whole[0, len(prompt) :].tolist())


def test_a_completion_ends_behind_a_stop_text_and_not_before() -> None:
    usual = engine().generate(requests(), Sampling(max_tokens=40))
    stopped = engine(decode=DECODE).generate(requests(), Sampling(max_tokens=40, stop=("e", "Qx", "7")))
    cut = 0
    for whole, one in zip(chain.from_iterable(usual), chain.from_iterable(stopped), strict=True):
        assert one.tokens == whole.tokens[: len(one.tokens)]
        text = DECODE([one.tokens[:-1]])[0]
        assert not any(stop in text for stop in ("e", "Qx", "7"))
        ended = any(stop in DECODE([one.tokens])[0] for stop in ("e", "Qx", "7"))
        assert one.finished == (ended or one.tokens[-1] == END)
        cut += ended
    assert cut > 5
