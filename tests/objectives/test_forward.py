"""What models are asked: by their own heads, once per micro-batch, and never with all logits at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import loss_expressions as e
import pytest
import torch
from loss_cases import VOCABULARY, assert_same, evaluate, pairs, rollouts, tiny_model
from objective_batches import groups_of
from suitable import program
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import Qwen3ForCausalLM, Qwen3ForSequenceClassification, Qwen3ForTokenClassification

from ptc import api
from ptc.runtime.batches import Batch, collate
from ptc.runtime.forward import Answer, answers
from ptc.runtime.loss import Loss, losses_of
from ptc.runtime.losses import vocabulary

HEADS = {"value": Qwen3ForTokenClassification, "reward": Qwen3ForSequenceClassification, "language": Qwen3ForCausalLM}


def headed(head: str, seed: int, size: int = VOCABULARY) -> torch.nn.Module:
    """A model with one number per token or text, of the same body as the others."""
    config = tiny_model(seed).config
    config.num_labels, config.vocab_size = 1, size
    torch.manual_seed(seed)
    made: torch.nn.Module = HEADS[head](config).eval()
    return made


# Heads ----------------------------------------------------------------------------------------------------------------


def test_a_value_is_read_where_its_token_is_predicted() -> None:
    critic, samples = headed("value", 3), [sample for group in rollouts(41) for sample in group]
    [found] = answers(critic, [collate([[sample] for sample in samples]).sequences["response"]])
    expected = []
    for sample in sorted(samples, key=lambda one: one.length):
        prompt, ids = (list(part) for part in sample.sequences["response"])
        values = critic(input_ids=torch.tensor([prompt + ids])).logits[0, :, 0]
        expected.append(values[len(prompt) - 1 : len(prompt) + len(ids) - 1])
    torch.testing.assert_close(found, torch.cat(expected), rtol=1e-4, atol=1e-5)


def test_a_text_is_scored_at_its_last_token_as_transformers_does() -> None:
    [groups] = groups_of("bradley_terry")
    judge, batch = headed("reward", 3), collate(groups)
    found = answers(judge, [batch.sequences["chosen"], batch.sequences["rejected"]])
    in_order = sorted((sample for group in groups for sample in group), key=lambda one: one.length)
    for side, scores in zip(("chosen", "rejected"), found, strict=True):
        texts = [[*sample.sequences[side][0], *sample.sequences[side][1]] for sample in in_order]
        expected = torch.cat([judge(input_ids=torch.tensor([text])).logits[0] for text in texts])
        torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-5)


def test_each_step_is_scored_at_its_own_last_token() -> None:
    [groups] = groups_of("prm")
    judge, batch = headed("reward", 3), collate(groups)
    [scores] = answers(judge, [batch.sequences["steps"]])
    expected = []
    for sample in sorted((sample for group in groups for sample in group), key=lambda one: one.length):
        text = [*sample.sequences["steps"][0], *sample.sequences["steps"][1]]
        beginnings = [text[: end + 1] for end in sample.ends["steps"]]
        expected += [judge(input_ids=torch.tensor([beginning])).logits[0] for beginning in beginnings]
    torch.testing.assert_close(scores, torch.cat(expected), rtol=1e-4, atol=1e-5)


# Whole objectives through models --------------------------------------------------------------------------------------

THROUGH_MODELS = (
    *("bradley_terry", "prm", "ppo", "process_sum", "process_min", "luffy"),
    *("context_distillation", "self_distillation", "pretrain", "rloo"),
)


class Case:
    """An objective of the library with models of the heads that it asks, in float64."""

    def __init__(self, name: str) -> None:
        [stage] = [node for node in api.compiled(api.check_text(program(name))).nodes.values() if node.kind == "train"]
        roles = stage.settings["models"]
        self.trained = [model for model, bound in roles.items() if bound["as"] == "train"]
        [self.loss] = losses_of(stage.settings["terms"], set(roles) - set(self.trained))
        groups = groups_of(name)
        self.batches = {source: collate(own) for source, own in zip(self.loss.sources, groups, strict=True)}
        self.models = {
            model: headed(self._head(model, name), seed).double() for seed, model in enumerate(roles, start=1)
        }

    def _head(self, model: str, name: str) -> str:
        if name in ("bradley_terry", "prm"):
            return "reward"
        return "value" if name == "ppo" and model == "m1" else "language"

    def forward(self, model: str, columns: Sequence[str], batch: Batch) -> list[Answer]:
        with torch.set_grad_enabled(torch.is_grad_enabled() and model in self.trained):
            return answers(self.models[model], [batch.sequences[column] for column in columns])

    def gradients(self) -> dict[str, torch.Tensor]:
        return {
            f"{name}.{parameter}": torch.zeros_like(each) if each.grad is None else each.grad.clone()
            for name in self.trained
            for parameter, each in self.models[name].named_parameters()
        }

    def whole(self) -> float:
        return float(self.loss.whole(self.loss.prepare(self.batches), self.forward).loss.detach())

    def cut(self, widths: Sequence[int]) -> Iterator[tuple[int, int]]:
        return ((start, min(start + 3, len(widths))) for start in range(0, len(widths), 3))


@pytest.mark.parametrize("name", THROUGH_MODELS)
def test_the_gradient_is_the_slope_and_the_same_in_micro_batches(name: str) -> None:
    case = Case(name)
    case.loss.whole(case.loss.prepare(case.batches), case.forward).loss.backward()
    expected = case.gradients()
    for model in case.models.values():
        model.zero_grad()

    prepared = case.loss.prepare(case.batches, 0, case.forward, case.cut)
    assert prepared.splits
    for source, batch in prepared.batches.items():
        for start, stop in case.cut(batch.widths):
            part = case.loss.part(prepared, start, stop, case.forward, source).loss
            if part.requires_grad:
                part.backward()
    assert_same(case.gradients(), expected)

    generator, width = torch.Generator().manual_seed(0), 1e-4
    ways = {name: torch.randn(each.shape, generator=generator, dtype=torch.float64) for name, each in expected.items()}
    slope = sum(float((expected[name] * way).sum()) for name, way in ways.items())
    values = []
    for sign in (1, -2):
        with torch.no_grad():
            for model in case.trained:
                for parameter, each in case.models[model].named_parameters():
                    each.add_(ways[f"{model}.{parameter}"], alpha=sign * width)
        values.append(case.whole())
    if "stop" not in _operations(name):
        assert (values[0] - values[1]) / (2 * width) == pytest.approx(slope, rel=5e-3, abs=1e-4)


def _operations(name: str) -> set[str]:
    """The operations of an objective: where gradient is stopped, the slope of the loss is not its gradient."""
    [stage] = [node for node in api.compiled(api.check_text(program(name))).nodes.values() if node.kind == "train"]
    waiting, found = [term["loss"] for term in stage.settings["terms"]], set()
    while waiting:
        document = waiting.pop()
        found.add(document["op"])
        waiting += document.get("args", ())
    return found


def test_each_model_runs_once_per_micro_batch_for_all_that_it_is_asked() -> None:
    ran: list[int] = []

    def reads(body: torch.nn.Module, args: Any, arguments: dict[str, Any]) -> None:
        if arguments.get("input_ids") is not None:  # and not hidden states, of which only the head is wanted
            ran.append(1)

    for name, models in (("dpo", 2), ("ppo", 3), ("grpo", 2), ("mopd", 4)):
        case = Case(name)
        [batch] = case.batches.values()
        prepared = case.loss.prepare(case.batches, 0, case.forward, case.cut)
        spans = [span for span in case.cut(batch.widths) if batch.slice(*span).tokens]
        for model in case.models.values():
            model.base_model.register_forward_pre_hook(reads, with_kwargs=True)  # type: ignore[operator, union-attr]
        for start, stop in spans:
            case.loss.part(prepared, start, stop, case.forward)
        assert len(case.models) == models
        assert len(ran) == models * len(spans)
        ran.clear()


# The vocabulary -------------------------------------------------------------------------------------------------------


def entropy() -> dict[str, Any]:
    own = e.logp_all("m0")
    return e.apply("neg", e.per_sample(e.reduce("sum", e.apply("mul", e.apply("exp", own), own), "vocab")))


EXPRESSIONS = {
    "sft": e.sft(),
    "grpo": e.grpo(kl=0.1),
    "dpo": e.dpo(),
    "reverse_kl": e.reverse_kl(),
    "entropy": entropy(),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_pieces_of_the_vocabulary_are_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    policy, reference = tiny_model(1), tiny_model(2).requires_grad_(False)
    batch = collate(pairs(42) if name == "dpo" else rollouts(42))
    loss, gradient = evaluate(EXPRESSIONS[name], batch, policy, reference)
    monkeypatch.setattr(vocabulary, "PIECE", 3 * VOCABULARY)
    cut, same = evaluate(EXPRESSIONS[name], batch, policy, reference)
    assert cut == pytest.approx(loss, rel=1e-5)
    assert_same(same, gradient)


class Largest(TorchDispatchMode):
    """The most numbers in any tensor that is made."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for one in made if isinstance(made, tuple | list) else (made,):
            if isinstance(one, torch.Tensor):
                self.numbers = max(self.numbers, one.numel())
        return made


@pytest.mark.parametrize("name", ["sft", "grpo", "reverse_kl", "entropy"])
def test_all_logits_are_never_there_at_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    size, piece = 1000, 4
    policy, reference = headed("language", 1, size), headed("language", 2, size).requires_grad_(False)
    batch = collate(rollouts(43, sizes=(8, 8, 8)))
    tokens = len(batch.sequences["response"].tokens)
    monkeypatch.setattr(vocabulary, "PIECE", piece * size)
    embedding = policy.get_input_embeddings().weight.numel()  # type: ignore[operator, union-attr]
    with Largest() as largest:
        evaluate(EXPRESSIONS[name], batch, policy, reference)
    assert largest.numbers <= max(piece * size, embedding) < tokens * size / 2


def test_statistics_are_those_of_the_tokens_that_were_learned() -> None:
    policy, batch = tiny_model(1), collate(rollouts(44))
    tokens = batch.sequences["response"].tokens
    [predictions] = answers(policy, [batch.sequences["response"]])
    assert not isinstance(predictions, torch.Tensor)
    logps = predictions.head(predictions.hidden).log_softmax(-1).detach()
    for document in (e.sft(), entropy()):
        loss = Loss([(1.0, document)])
        part = loss.whole(
            loss.prepare(batch), lambda model, columns, batch: answers(policy, [batch.sequences["response"]])
        )
        measured = part.statistics["m0", "response"]
        assert measured.tokens == len(tokens)
        assert measured.correct == int((logps.argmax(-1) == tokens).sum())
        assert measured.entropy == pytest.approx(-float((logps.exp() * logps).sum()), rel=1e-4)
