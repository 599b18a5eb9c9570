"""TRL's words in a program, and the remedies that can be pasted for them."""

from __future__ import annotations

import pytest

from ptc import api

HEAD = """edition 2026
from std.objectives import dpo, grpo, dr_grpo
from std.verifiers  import exact
source pairs = jsonl("pairs.jsonl")
source tasks = gym("chain_sum", size = 1_000, seed = 1) |> prompts(.question, answer = .answer)
model tuned  = local.model("tuned")
"""
RIGHT = {"optimizer": "adamw(lr = 1e-6)", "batch": "64 samples", "budget": "1 epoch"}


def preferring(loss: str = "", **settings: str) -> str:
    lines = "".join(f"  {name} = {value}\n" for name, value in settings.items())
    roles = "  train policy = tuned\n  freeze reference = tuned\n"
    return f"{HEAD}stage preferred {{\n{roles}  minimize dpo(pairs, policy, reference{loss})\n{lines}}}\n"


def answers(text: str) -> dict[str, tuple[str, ...]]:
    """Remedies by title, of errors."""
    found = api.check_text(text).diagnostics
    return {each.title: each.helps for each in found if each.severity == "error"}


TRAINING = {
    "learning_rate": "5e-5",
    "warmup_ratio": "0.1",
    "lr_scheduler_type": '"cosine"',
    "num_train_epochs": "1",
    "per_device_train_batch_size": "4",
    "gradient_accumulation_steps": "16",
}


def test_a_stage_in_trls_words_is_answered_with_a_whole_stage() -> None:
    remedies = {each for helps in answers(preferring(**TRAINING)).values() for each in helps}
    optimizer = 'optimizer = adamw(lr = 5e-5, warmup = 10%, schedule = "cosine")'
    assert {optimizer, "batch = 64 samples", "budget = 1 epoch", "micro_batch = 4  in profile.toml"} <= remedies
    pasted = dict(line.split(" = ", 1) for line in (optimizer, "batch = 64 samples", "budget = 1 epoch"))
    assert answers(preferring(**pasted)) == {}


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("max_steps", "100", "budget = 100 steps"),
        ("assistant_only_loss", "true", 'mask = "assistant"'),
        ("completion_only_loss", "false", 'mask = "all"'),
        ("truncation_mode", '"keep_end"', 'truncate = "left"'),
        ("max_seq_length", "512", "max_length = 512"),
        ("disable_dropout", "true", "dropout = 0"),
        ("precompute_ref_log_probs", "true", "precompute = true"),
        ("eval_steps", "5", "watch skill every 5 steps"),
        ("save_steps", "50", "checkpoint_every = 50  in profile.toml"),
        ("report_to", '"wandb"', 'report_to = ["wandb"]  in profile.toml'),
        ("packing", "true", "packing = true  in profile.toml"),
        ("temperature", "0.7", "|> sample(policy, temperature = 0.7)"),
        ("beta", "0.2", "dpo(…, beta = 0.2)"),
        ("loss_type", '"exo_pair"', "from std.objectives import exo"),
        ("load_best_model_at_end", "true", 'export tuned @ best(skill) to "out"'),
    ],
)
def test_a_setting_of_trl_is_answered_with_its_value(name: str, value: str, remedy: str) -> None:
    [helps] = answers(preferring(**RIGHT, **{name: value})).values()
    assert remedy in helps


@pytest.mark.parametrize("name", ["logging_steps", "remove_unused_columns", "push_to_hub", "deepspeed"])
def test_what_need_not_be_said_says_why(name: str) -> None:
    [message] = answers(preferring(**RIGHT, **{name: "1"}))
    assert message.startswith(f"no `{name}` here: ")


def test_arguments_are_answered_with_their_values() -> None:
    found = answers(preferring(', loss_type = "ipo", max_length = 512', **RIGHT))
    assert found["`max_length` stands in the stage"] == ("max_length = 512",)
    adapted = preferring(**RIGHT).replace(
        "policy = tuned", 'policy = lora(tuned, r = 8, lora_alpha = 16, target_modules = ["q_proj"])'
    )
    assert answers(adapted)["PEFT's `r` is `rank` here"] == ("rank = 8",)
    assert answers(adapted)["TRL's `lora_alpha` is `alpha` here"] == ("alpha = 16",)


def test_rows_of_a_file_and_a_model_of_a_folder() -> None:
    text = preferring(**RIGHT).replace('jsonl("pairs.jsonl")', 'load_dataset("json", data_files = "pairs.jsonl")')
    assert ('jsonl("pairs.jsonl")',) in answers(text).values()
    found = api.check_text(preferring(**RIGHT).replace("local.model", "hf.model")).diagnostics
    assert any('local.model("tuned")' in each.helps for each in found if each.code == "D402")


def test_what_was_said_is_named_where_there_is_no_response() -> None:
    text = preferring(**RIGHT) + "eval reading = bits_per_character(tasks |> prompts(.prompt, output = .answer))\n"
    assert ("|> respond(.output)",) in answers(text).values()
