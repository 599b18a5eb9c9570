"""TRL's side: its own trainers, asked for the loss of the batch. Each function says how one trainer is fed."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from loss_cases import VOCABULARY, Gradient
from parity_batches import TRANSLATED, Groups, Models, flat, padded, sequences, shifted
from parity_list import Case
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ptc.runtime.batches import Sample

Loss = Callable[[Case, Models, Groups, PreTrainedModel, Path], torch.Tensor]


def tokenizer() -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, models, pre_tokenizers

    inner = Tokenizer(models.WordLevel({f"w{index}": index for index in range(VOCABULARY)}, unk_token="w0"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    words = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="w0", eos_token="w1", unk_token="w0")
    words.chat_template = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
    return words


def trl_class(path: str) -> Any:
    """``DPOTrainer``, ``experimental.gkd.GKDTrainer``"""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(f"trl.{module}" if module else "trl"), name)


def config(case: Case, folder: Path, **settings: Any) -> Any:
    kind = trl_class(case.trainer.replace("Trainer", "Config"))
    return kind(
        output_dir=str(folder),
        use_cpu=True,
        report_to=[],
        bf16=False,
        gradient_checkpointing=False,
        **{**settings, **case.settings},
    )


def build(case: Case, args: Any, policy: PreTrainedModel, data: Mapping[str, list[Any]], **more: Any) -> Any:
    from datasets import Dataset

    return trl_class(case.trainer)(
        model=policy,
        args=args,
        train_dataset=Dataset.from_dict(dict(data)),
        processing_class=tokenizer(),
        **more,
    )


def theirs(case: Case, models: Models, groups: Groups, folder: Path) -> tuple[float, Gradient]:
    """TRL's loss and gradient, of a copy of the policy."""
    policy = copy.deepcopy(models.judge if case.trainer == "RewardTrainer" else models.policy)
    policy.save_pretrained(folder / "entry")
    policy.config._name_or_path = str(folder / "entry")  # TRL loads references from there
    loss = FEED[case.trainer](case, models, groups, policy, folder)
    if loss.requires_grad:
        policy.zero_grad()
        loss.backward()
    gradient = {name: weight.grad.clone() for name, weight in policy.named_parameters() if weight.grad is not None}
    return float(loss.detach()), gradient


# Rows of token ids ----------------------------------------------------------------------------------------------------


def labelled(samples: Sequence[Sample], column: str = "response") -> dict[str, torch.Tensor]:
    """Ids, mask, and labels of the response."""
    rows = sequences(samples, column)
    return {
        "input_ids": padded([prompt + response for prompt, response in rows]),
        "attention_mask": padded([[1] * len(prompt + response) for prompt, response in rows]),
        "labels": padded([[-100] * len(prompt) + response for prompt, response in rows], fill=-100),
    }


def completed(samples: Sequence[Sample], *columns: str) -> dict[str, torch.Tensor]:
    """Ids, mask, and which tokens are the response, of the columns one below the other."""
    rows = [row for column in columns for row in sequences(samples, column)]
    return {
        "input_ids": padded([prompt + response for prompt, response in rows]),
        "attention_mask": padded([[1] * len(prompt + response) for prompt, response in rows]),
        "completion_mask": padded([[0] * len(prompt) + [1] * len(response) for prompt, response in rows]),
    }


def split(samples: Sequence[Sample]) -> dict[str, torch.Tensor]:
    """Prompts padded on the left, responses on the right."""
    prompts, responses = zip(*sequences(samples), strict=True)
    return {
        "prompt_ids": padded(prompts, left=True),
        "prompt_mask": padded([[1] * len(row) for row in prompts], left=True),
        "completion_ids": padded(responses),
        "completion_mask": padded([[1] * len(row) for row in responses]),
    }


# Fixed rows -----------------------------------------------------------------------------------------------------------


def sft(case: Case, models: Models, groups: Groups, policy: PreTrainedModel, folder: Path) -> torch.Tensor:
    args = config(case, folder, loss_type=case.loss)
    trainer = build(case, args, policy, {"prompt": ["w2"], "completion": ["w3"]})
    loss: torch.Tensor = trainer.compute_loss(policy, labelled(flat(groups)))
    return loss


def dpo(case: Case, models: Models, groups: Groups, policy: PreTrainedModel, folder: Path) -> torch.Tensor:
    args = config(case, folder, **({} if "loss_type" in case.settings else {"loss_type": case.loss}))
    data = {"prompt": ["w2"], "chosen": ["w3"], "rejected": ["w4"]}
    trainer = build(case, args, policy, data, ref_model=copy.deepcopy(models.reference))
    loss: torch.Tensor = trainer.compute_loss(policy, completed(flat(groups), "chosen", "rejected"))
    return loss


def kto(case: Case, models: Models, groups: Groups, policy: PreTrainedModel, folder: Path) -> torch.Tensor:
    args = config(case, folder, loss_type=case.loss, per_device_train_batch_size=2)
    data = {"prompt": ["w2", "w3"], "completion": ["w3", "w4"], "label": [True, False]}
    trainer = build(case, args, policy, data, ref_model=copy.deepcopy(models.reference))
    batch = completed(flat(groups), "response")
    others = completed(flat(shifted(groups)), "response") if "strangers" in case.ours else batch
    labels = torch.tensor([bool(sample.numbers["label"]) for sample in flat(groups)])
    loss: torch.Tensor = trainer.compute_loss(
        policy, {**batch, **{f"KL_{name}": ids for name, ids in others.items()}, "label": labels}
    )
    return loss


def reward(case: Case, models: Models, groups: Groups, policy: PreTrainedModel, folder: Path) -> torch.Tensor:
    trainer = build(case, config(case, folder), policy, {"chosen": ["w3"], "rejected": ["w4"]})
    batch = completed(flat(groups), "chosen", "rejected")
    del batch["completion_mask"]
    if case.margin:
        batch["margin"] = torch.full((len(flat(groups)),), case.margin)
    loss: torch.Tensor = trainer.compute_loss(policy, batch)
    return loss


def without_reference(
    case: Case, models: Models, groups: Groups, policy: PreTrainedModel, folder: Path
) -> torch.Tensor:
    """ORPO and CPO."""
    args = config(case, folder, **({} if case.loss == "orpo" else {"loss_type": case.loss}))
    trainer = build(case, args, policy, {"prompt": ["w2"], "chosen": ["w3"], "rejected": ["w4"]})
    batch = {
        f"{column}_{name}": ids
        for column in ("chosen", "rejected")
        for name, ids in labelled(flat(groups), column).items()
    }
    loss: torch.Tensor = trainer.compute_loss(policy, batch)
    return loss


def gkd(case: Case, models: Models, groups: Groups, policy: PreTrainedModel, folder: Path) -> torch.Tensor:
    messages = [[{"role": "user", "content": "w2"}, {"role": "assistant", "content": "w3"}]]
    args = config(case, folder)
    trainer = build(case, args, policy, {"messages": messages}, teacher_model=copy.deepcopy(models.teacher))
    loss: torch.Tensor = trainer.compute_loss(policy, labelled(flat(groups)))
    return loss


def distillation(case: Case, models: Models, groups: Groups, policy: PreTrainedModel, folder: Path) -> torch.Tensor:
    trainer = build(case, config(case, folder), policy, {"prompt": ["w2"]}, teacher_model=copy.deepcopy(models.teacher))
    policy.eval()
    loss: torch.Tensor = trainer.compute_loss(policy, split(flat(groups)))
    return loss


def gold(case: Case, models: Models, groups: Groups, policy: PreTrainedModel, folder: Path) -> torch.Tensor:
    """The loss that TRL's trainer calls on rows in both models' tokens, the n-th of either n bytes long."""
    samples = flat(groups)
    loss = trl_class("experimental.gold.gold_trainer.ULDLoss")(config(case, folder))
    sides, places = [], []
    for model, column in ((policy, "response"), (models.stranger, TRANSLATED)):
        rows = labelled(samples, column)
        logits = model(rows["input_ids"], attention_mask=rows["attention_mask"]).logits
        sides.append((logits, rows["labels"], rows["input_ids"]))
        borne = rows["labels"] != -100
        bytes_before = borne.cumsum(-1) - borne.long()
        places.append(torch.stack([bytes_before, bytes_before + 1], dim=-1))
    (own, labels, ids), (theirs_, other_labels, other_ids) = sides
    value: torch.Tensor = loss(own, theirs_, labels, other_labels, ids, other_ids, *places)
    return value


# Rows that TRL would draw ---------------------------------------------------------------------------------------------


def grpo(case: Case, models: Models, groups: Groups, policy: PreTrainedModel, folder: Path) -> torch.Tensor:
    """TRL scores the responses, takes advantages, the old policy's and the reference's log-probabilities itself."""
    samples = flat(groups)
    prompts, responses = (list(part) for part in zip(*sequences(samples), strict=True))
    args = config(case, folder, loss_type=case.loss, num_generations=4, per_device_train_batch_size=16)
    args.num_iterations = 2  # so that TRL asks the old policy for its log-probabilities

    def drawn(*_: Any) -> dict[str, Any]:
        logprobs = [list(sample.token_numbers["logprobs"]) for sample in samples]
        return {"prompt_ids": prompts, "completion_ids": responses, "logprobs": logprobs}

    trainer = build(case, args, policy, {"prompt": ["w2"] * 4}, reward_funcs=given_reward, rollout_func=drawn)
    if args.beta:
        trainer.ref_model.load_state_dict(models.reference.state_dict())
    if case.engine == "vllm":  # the engine is another than the trainer, whose own old policy is the policy
        trainer.use_vllm, trainer._last_loaded_step = True, trainer.state.global_step
    inputs = generated(trainer, samples, policy, models.policy if case.engine == "vllm" else models.sampler)
    loss: torch.Tensor = trainer._compute_loss(policy, inputs)
    return loss


def rloo(case: Case, models: Models, groups: Groups, policy: PreTrainedModel, folder: Path) -> torch.Tensor:
    samples = flat(groups)
    prompts, responses = (list(part) for part in zip(*sequences(samples), strict=True))
    args = config(case, folder, num_generations=4, per_device_train_batch_size=16)
    trainer = build(case, args, policy, {"prompt": ["w2"] * 4}, reward_funcs=given_reward)
    trainer.ref_model.load_state_dict(models.reference.state_dict())
    trainer._generate = lambda _: (prompts, responses, ["" for _ in responses])
    loss: torch.Tensor = trainer._compute_loss(policy, generated(trainer, samples, policy, models.sampler))
    return loss


def given_reward(completions: list[Any], reward: list[float], **_: Any) -> list[float]:
    return reward


def generated(
    trainer: Any, samples: Sequence[Sample], policy: PreTrainedModel, old: PreTrainedModel
) -> dict[str, torch.Tensor]:
    """What TRL makes of the responses while the policy still has its old weights."""
    policy.eval()
    now = copy.deepcopy(policy.state_dict())
    policy.load_state_dict(old.state_dict())
    rows = [{"prompt": "w2", "reward": sample.numbers["reward"]} for sample in samples]
    inputs: dict[str, torch.Tensor] = trainer._generate_and_score_completions(rows)
    policy.load_state_dict(now)
    return inputs


def online_dpo(case: Case, models: Models, groups: Groups, policy: PreTrainedModel, folder: Path) -> torch.Tensor:
    """Of each pair the chosen response is drawn first or second, and rewarded. TRL goes backward itself."""
    samples = flat(groups)
    order = [("chosen", "rejected") if number % 2 else ("rejected", "chosen") for number in range(len(samples))]
    drawn = [
        Sample({"response": sample.sequences[columns[draw]]})
        for draw in (0, 1)
        for sample, columns in zip(samples, order, strict=True)
    ]
    rewards = [float(columns[draw] == "chosen") for draw in (0, 1) for columns in order]
    args = config(case, folder, loss_type=case.loss, beta=0.1)
    trainer = build(
        case,
        args,
        policy,
        {"prompt": ["w2"]},
        ref_model=copy.deepcopy(models.reference),
        reward_funcs=lambda completions, **_: rewards,
    )
    ids = split(drawn)
    trainer._generate = lambda *_: (
        *(ids[name] for name in ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask")),
        None,
    )
    policy.zero_grad()
    loss: torch.Tensor = trainer.training_step(policy, {"prompt": ["w2"] * len(samples)})
    return loss.detach()


FEED: dict[str, Loss] = {
    "SFTTrainer": sft,
    "DPOTrainer": dpo,
    "KTOTrainer": kto,
    "RewardTrainer": reward,
    "GRPOTrainer": grpo,
    "experimental.gmpo.GMPOTrainer": grpo,
    "RLOOTrainer": rloo,
    "DistillationTrainer": distillation,
    "experimental.gkd.GKDTrainer": gkd,
    "experimental.gold.GOLDTrainer": gold,
    "experimental.orpo.ORPOTrainer": without_reference,
    "experimental.cpo.CPOTrainer": without_reference,
    "experimental.online_dpo.OnlineDPOTrainer": online_dpo,
}
