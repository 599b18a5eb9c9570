"""Loss and gradient on the same batch as TRL's own trainers compute them."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import loss_expressions as expressions
import pytest
import torch
from loss_cases import VOCABULARY, assert_same, evaluate, gradient_of, pairs, random_ids, rollouts
from loss_references import advantages, token_logps
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from ptc.runtime.batches import Sample, collate

pytestmark = pytest.mark.slow


def arguments(kind: Any, folder: Path, **settings: Any) -> Any:
    return kind(
        output_dir=str(folder), use_cpu=True, report_to=[], bf16=False, gradient_checkpointing=False, **settings
    )


def tokenizer() -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {f"w{index}": index for index in range(VOCABULARY)}
    inner = Tokenizer(models.WordLevel(words, unk_token="w0"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="w0", eos_token="w1", unk_token="w0")


def padded(rows: list[list[int]], left: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask (rows, longest)."""
    width = max(map(len, rows))
    ids = [[0] * (width - len(row)) + row if left else row + [0] * (width - len(row)) for row in rows]
    mask = [
        [0] * (width - len(row)) + [1] * len(row) if left else [1] * len(row) + [0] * (width - len(row)) for row in rows
    ]
    return torch.tensor(ids), torch.tensor(mask)


def sequences(samples: list[Sample], column: str = "response") -> list[tuple[list[int], list[int]]]:
    return [(list(sample.sequences[column][0]), list(sample.sequences[column][1])) for sample in samples]


def test_sft(policy: Qwen3ForCausalLM, tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    samples = [sample for group in rollouts(3, shortest=1) for sample in group]
    loss, gradient = evaluate(expressions.sft(), collate([[sample] for sample in samples]), policy)
    data = Dataset.from_dict({"prompt": ["w2"], "completion": ["w3"]})
    trainer = SFTTrainer(policy, arguments(SFTConfig, tmp_path), train_dataset=data, processing_class=tokenizer())
    rows = sequences(samples)
    ids, mask = padded([prompt + response for prompt, response in rows])
    labels, _ = padded([[-100] * len(prompt) + response for prompt, response in rows])
    labels = labels.masked_fill(mask == 0, -100)
    theirs = trainer.compute_loss(policy, {"input_ids": ids, "attention_mask": mask, "labels": labels})
    assert loss == pytest.approx(theirs.item(), rel=1e-5)
    assert_same(gradient, gradient_of(theirs, policy))


def test_dpo(policy: Qwen3ForCausalLM, reference: Qwen3ForCausalLM, tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    groups = pairs(5)
    loss, gradient = evaluate(expressions.dpo(beta=0.1), collate(groups), policy, reference)
    data = Dataset.from_dict({"prompt": ["w2"], "chosen": ["w3"], "rejected": ["w4"]})
    trainer = DPOTrainer(
        policy,
        ref_model=copy.deepcopy(reference),
        args=arguments(DPOConfig, tmp_path, beta=0.1),
        train_dataset=data,
        processing_class=tokenizer(),
    )
    samples = [sample for group in groups for sample in group]
    rows = sequences(samples, "chosen") + sequences(samples, "rejected")
    ids, mask = padded([prompt + response for prompt, response in rows])
    completion, _ = padded([[0] * len(prompt) + [1] * len(response) for prompt, response in rows])
    batch = {"input_ids": ids, "attention_mask": mask, "completion_mask": completion}
    theirs = trainer.compute_loss(policy, batch)
    assert loss == pytest.approx(theirs.item(), rel=1e-5)
    assert_same(gradient, gradient_of(theirs, policy))


@pytest.mark.parametrize("kl", [0.0, 0.05])
def test_grpo(policy: Qwen3ForCausalLM, reference: Qwen3ForCausalLM, kl: float, tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    groups = rollouts(4, sizes=(4, 4, 4), shortest=1)
    loss, gradient = evaluate(expressions.grpo(kl=kl), collate(groups), policy, reference)
    settings = {"num_generations": 4, "per_device_train_batch_size": 12, "epsilon_high": 0.28, "loss_type": "grpo"}
    policy.save_pretrained(tmp_path / "entry")
    policy.config._name_or_path = str(tmp_path / "entry")  # TRL loads its reference from there
    trainer = GRPOTrainer(
        policy,
        reward_funcs=lambda completions, **_: [0.0 for _ in completions],
        args=arguments(GRPOConfig, tmp_path, beta=kl, use_bias_correction_kl=False, **settings),
        train_dataset=Dataset.from_dict({"prompt": ["w2"] * 4}),
        processing_class=tokenizer(),
    )
    policy.eval()
    samples = [sample for group in groups for sample in group]
    prompts, prompt_mask = padded([prompt for prompt, _ in sequences(samples)], left=True)
    responses, response_mask = padded([response for _, response in sequences(samples)])
    width = responses.shape[1]
    behaviour = [[*sample.token_numbers["logprobs"]] for sample in samples]
    anchor = [token_logps(reference, sample).tolist() for sample in samples]
    theirs = trainer._compute_loss(
        policy,
        {
            "prompt_ids": prompts,
            "prompt_mask": prompt_mask,
            "completion_ids": responses,
            "completion_mask": response_mask,
            "advantages": torch.cat([advantages(group) for group in groups]),
            "old_per_token_logps": torch.tensor([row + [0.0] * (width - len(row)) for row in behaviour]),
            "ref_per_token_logps": torch.tensor([row + [0.0] * (width - len(row)) for row in anchor]),
        },
    )
    assert loss == pytest.approx(theirs.item(), rel=1e-4)
    assert_same(gradient, gradient_of(theirs, policy), tolerance=2e-5)


def test_reverse_kl(policy: Qwen3ForCausalLM, reference: Qwen3ForCausalLM) -> None:
    """TRL averages over tokens, the library's objective over samples first: alike where all responses are as long."""
    from trl.experimental.gkd import GKDTrainer

    generator = torch.Generator().manual_seed(8)
    rows = [(random_ids(generator, 3, 3), random_ids(generator, 5, 5)) for _ in range(6)]
    batch = collate([[Sample({"response": row})] for row in rows])
    loss, gradient = evaluate(expressions.reverse_kl(), batch, policy, reference)
    ids = torch.tensor([prompt + response for prompt, response in rows])
    own, theirs = (model(input_ids=ids).logits[:, 2:-1] for model in (policy, reference))
    divergence = GKDTrainer.generalized_jsd_loss(own, theirs.detach(), beta=1.0, reduction="sum") / math.prod((6, 5))
    assert loss == pytest.approx(divergence.item(), rel=1e-5)
    assert_same(gradient, gradient_of(divergence, policy))
