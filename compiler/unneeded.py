"""Words of TRL, transformers and datasets for which a program has another form, or none: what to do instead."""

from __future__ import annotations

from collections.abc import Mapping

from ptc.compiler.objective_names import LIBRARY

_LOGGED = "every step is in the run's metrics.jsonl"
_SAVED = "how often a stage is saved is the profile's to say, and what is no longer needed is cleared away"
_FORMED = "rows are read and rendered as they are drawn"
_MACHINE = "where and how a program runs is the profile's to say"
_VLLM = "which engine samples is the profile's to say"
_HUB = "an export is a folder in the layout of the hub: hf upload REPOSITORY FOLDER"

UNNEEDED: Mapping[str, tuple[str, str]] = {
    # Who and what a trainer is given.
    "train_dataset": ("what is learned from is an argument of the objective", "minimize sft(rows, policy)"),
    "eval_dataset": ("what is measured is an eval", "eval skill = pass_rate(held_out, exact)"),
    "peft_config": ("an adapter is put on a model", "train policy = lora(base, rank = 16, alpha = 32)"),
    "processing_class": ("a model brings its tokenizer", ""),
    "tokenizer": ("a model brings its tokenizer", ""),
    "reward_weights": ("weights stand before what they weigh", "|> score(math + 0.1 * format_tags)"),
    "formatting_func": ("columns are named by a step", "|> prompts(.question) |> respond(.answer)"),
    "dataset_text_field": ("whole texts are a column of rows", "|> prompts(.prompt) |> respond(.text)"),
    "chat_template_path": ("a template belongs to a model", 'train policy = retemplate(base, template = "chatml")'),
    "chat_template": ("a template belongs to a model", 'train policy = retemplate(base, template = "chatml")'),
    "eos_token": (
        "what ends a turn belongs to a model's template",
        'train policy = retemplate(base, template = "chatml", end = "<|im_end|>")',
    ),
    "max_prompt_length": ("which prompts are too long is said of their rows", "|> keep(length(.prompt) <= 2_000)"),
    "sync_ref_model": ("a reference that follows is a model of the stage", "track reference = ema(policy, 0.99)"),
    # Which loss.
    "loss_type": ("each loss is an objective with a name of its own", "from std.objectives import dapo"),
    "scale_rewards": ("how rewards are scaled is part of an objective", "from std.objectives import dr_grpo"),
    "importance_sampling_level": ("one ratio per response is an objective", "from std.objectives import gspo"),
    "f_divergence_type": ("each divergence is an objective", "from std.objectives import dpo_js"),
    "label_smoothing": ("labels that may be wrong are an objective", "from std.objectives import cdpo"),
    "lmbda": ("its two sides are terms of one loss", "minimize 0.5 * gkd(rows, …) + 0.5 * gkd(attempts, …)"),
    # Telling and keeping.
    **dict.fromkeys(("logging_steps", "logging_strategy", "logging_first_step", "logging_dir"), (_LOGGED, "")),
    "run_name": ("a run is named after its program and its time", "ptc runs"),
    "eval_strategy": ("an eval is watched", "watch skill every 20 steps"),
    "evaluation_strategy": ("an eval is watched", "watch skill every 20 steps"),
    "eval_on_start": ("an eval is watched", "watch skill every 20 steps"),
    "per_device_eval_batch_size": ("how rows are cut up is the profile's", "micro_batch = 8  in profile.toml"),
    "save_strategy": (_SAVED, "checkpoint_every = 100  in profile.toml"),
    "save_total_limit": (_SAVED, ""),
    "save_only_model": (_SAVED, ""),
    "resume_from_checkpoint": ("the same command goes on where it was", "ptc run FILE"),
    "overwrite_output_dir": ("what is the same is reused, and nothing is written over", ""),
    "load_best_model_at_end": ("the best checkpoint is named where it is used", 'export tuned @ best(skill) to "out"'),
    "metric_for_best_model": ("the best checkpoint is named where it is used", 'export tuned @ best(skill) to "out"'),
    "greater_is_better": ("the best checkpoint is named where it is used", 'export tuned @ best(skill) to "out"'),
    **dict.fromkeys(("push_to_hub", "hub_model_id", "hub_token", "hub_strategy", "hub_private_repo"), (_HUB, "")),
    # Where and how.
    **dict.fromkeys(("remove_unused_columns", "dataset_num_proc", "dataloader_num_workers"), (_FORMED, "")),
    **dict.fromkeys(
        ("dataloader_pin_memory", "group_by_length", "dataset_kwargs", "pad_to_multiple_of"), (_FORMED, "")
    ),
    "shuffle_dataset": ("rows are drawn in an order of the seed", "seed = 1"),
    "fp16": ("half precision is bfloat16, in the profile", 'precision = "bfloat16"  in profile.toml'),
    "load_in_4bit": ("weights are float32 or bfloat16, in the profile", 'precision = "bfloat16"  in profile.toml'),
    "load_in_8bit": ("weights are float32 or bfloat16, in the profile", 'precision = "bfloat16"  in profile.toml'),
    "padding_free": ("padding is the profile's", "packing = true  in profile.toml"),
    "packing_strategy": ("padding is the profile's", "packing = true  in profile.toml"),
    **dict.fromkeys(("deepspeed", "fsdp", "fsdp_config", "ddp_find_unused_parameters"), (_MACHINE, "")),
    **dict.fromkeys(("use_cpu", "no_cuda", "tf32", "local_rank", "device_map"), (_MACHINE, "")),
    **dict.fromkeys(("attn_implementation", "use_liger_kernel", "torch_compile"), (_MACHINE, "")),
    **dict.fromkeys(
        ("vllm_gpu_memory_utilization", "vllm_tensor_parallel_size", "vllm_server_host", "vllm_server_port"),
        (_VLLM, 'engine = "vllm"  in profile.toml'),
    ),
    **dict.fromkeys(
        ("vllm_max_model_length", "vllm_enable_sleep_mode", "vllm_model_impl", "vllm_server_base_url"),
        (_VLLM, 'engine = "vllm"  in profile.toml'),
    ),
}
"""Why there is no such word, as the end of a sentence, and what to write where there is something to write."""


LOSSES: Mapping[str, str] = {
    "sigmoid": "dpo",
    "sigmoid_norm": "dpo_norm",
    "exo_pair": "exo",
    "nca_pair": "nca",
    "bco_pair": "bco",
    "sppo_hard": "sppo",
    "bnpo": "dapo",
    "sequence": "gspo",
    "token": "grpo",
    "js_divergence": "dpo_js",
    "forward_kl": "dpo_forward_kl",
    "alpha_divergence": "dpo_alpha",
    "nll": "sft",
}
"""Objectives by TRL's names of losses, where the two differ."""


def answer(word: str, value: str = "") -> tuple[str, list[str]] | None:
    """``no `logging_steps` here: every step is in the run's metrics.jsonl``, and remedies for a text given."""
    found = UNNEEDED.get(word)
    if found is None:
        return None
    why, instead = found
    named = LOSSES.get(value, value)
    if instead.startswith("from std.objectives") and named in LIBRARY:
        instead = f"from std.objectives import {named}"
    return f"no `{word}` here: {why}", [instead] if instead else []
