"""The one table of names: what a program calls a setting, what TRL calls it, its default, and where it is from.

It is read by the compiler for defaults and for did-you-mean, by `ptc plan` for the origin of each value, and by
`docs/from-trl.md`, which is generated from it. Argument names are ours, defaults and metric names are TRL's unless a
row says why not. Tests compare every TRL name and default with the installed TRL.
"""

from __future__ import annotations

from dataclasses import dataclass

from ptc.compiler.metric_names import LEFT_OUT, METRICS, LeftOut, Metric
from ptc.compiler.name import MUST, PTC, PUBLISHED, TORCH, TRL, Name, Origin, Place, Value
from ptc.compiler.objective_names import OBJECTIVES

__all__ = [
    "LEFT_OUT", "METRICS", "MUST", "NAMES", "PTC", "PUBLISHED", "TORCH", "TRL", "LeftOut", "Metric", "Name", "Origin",
    "Place", "Value", "defaults", "hint", "known_elsewhere", "lookup", "rows", "spelled",
]  # fmt: skip

# fmt: off
NAMES: tuple[Name, ...] = (
    # stage -----------------------------------------------------------------------------------------------------------
    Name("stage", "batch", None, MUST, ("per_device_train_batch_size", "train_batch_size"), 8,
         "`64 samples` or `32 prompts` per optimizer step. TRL's is `per_device_train_batch_size` × devices × "
         "`gradient_accumulation_steps`, and counts completions in GRPO; the profile's `micro_batch` cuts it up."),
    Name("stage", "budget", None, MUST, ("num_train_epochs", "max_steps"), 3.0, "`2 epochs` or `100 steps`."),
    Name("stage", "seed", 42, TRL, ("seed", "data_seed"), 42,
         "The program's; every node derives its own from it. On a stage it makes a twin."),
    Name("stage", "max_length", 1024, TRL, ("max_length", "max_seq_length"), 1024,
         "Tokens of prompt and response. A longer row is an error that names it; TRL truncates."),
    Name("stage", "truncate", "error", PTC, ("truncation_mode",), "keep_start",
         "A row longer than `max_length` is an `error` that names it, dropped, cut `left` or `right`, or `split`."),
    Name("stage", "mask", "assistant", PTC, ("assistant_only_loss", "completion_only_loss"), False,
         "Which tokens bear the loss: those of the `assistant`, `all`, or of the `last` turn."),
    Name("stage", "rollout", None, PTC, ("generation_batch_size",), None,
         "Prompts that are sampled at once; `none` samples one batch."),
    Name("stage", "passes", 1, PTC, ("num_iterations",), 1, "How often each rollout is learned from."),
    Name("stage", "on_zero_std", "keep", PTC, (), None,
         "Groups whose rewards are all equal: kept as samples without advantage, or dropped."),
    Name("stage", "dropout", None, PTC, ("disable_dropout",), True, "`none` leaves what the model's config says."),
    Name("stage", "precompute", False, PTC, ("precompute_ref_log_probs",), False,
         "Whether frozen references are evaluated once, before the first step."),
    Name("stage", "optimizer", None, MUST, ("optim",), "adamw_torch_fused", "`adamw(lr = 1e-4)`."),
    # optimizer -------------------------------------------------------------------------------------------------------
    Name("adamw", "lr", None, MUST, ("learning_rate",), None, "TRL: 2e-5 for SFT, 1e-6 for DPO, GRPO, distillation."),
    Name("adamw", "warmup", 0.0, TRL, ("warmup_steps", "warmup_ratio"), 0,
         "A share of the budget (`3%`) or `20 steps`, in equal increments. TRL's first step has a rate of 0."),
    Name("adamw", "schedule", "constant", PTC, ("lr_scheduler_type",), "linear",
         "`constant`, `linear` or `cosine`, after the warm-up. Constant: a longer budget repeats a shorter one."),
    Name("adamw", "floor", 0.0, PTC, (), None, "Where a falling schedule ends, as a share of `lr`."),
    Name("adamw", "betas", (0.9, 0.999), TRL, ("adam_beta1", "adam_beta2"), 0.9),
    Name("adamw", "eps", 1e-8, TRL, ("adam_epsilon",), 1e-8),
    Name("adamw", "weight_decay", 0.0, TRL, ("weight_decay",), 0.0, "PyTorch's own default is 0.01."),
    Name("adamw", "clip_norm", 1.0, TRL, ("max_grad_norm",), 1.0, "Of the global gradient norm; `none` does not clip."),
    # sampling --------------------------------------------------------------------------------------------------------
    Name("sample", "n", 1, PTC, ("num_generations", "num_generations_eval"), 8,
         "Attempts per prompt. `grpo` needs a group, so at least 2."),
    Name("sample", "temperature", 1.0, TRL, ("temperature",), 1.0),
    Name("sample", "top_p", 1.0, TRL, ("top_p",), 1.0),
    Name("sample", "top_k", 0, TRL, ("top_k",), 0, "0 takes the whole vocabulary."),
    Name("sample", "min_p", 0.0, PTC, ("min_p",), None, "TRL's `none` is 0 here: nothing is cut."),
    Name("sample", "repetition_penalty", 1.0, TRL, ("repetition_penalty",), 1.0),
    Name("sample", "stop", (), PTC, (), None, "Texts that end a response, beside the end-of-sequence token."),
    Name("sample", "mask_truncated", False, TRL, ("mask_truncated_completions",), False,
         "Leaves responses that `max_tokens` cut off out of the loss."),
    Name("sample", "max_tokens", 512, TRL, ("max_completion_length", "max_new_tokens"), 512, "Tokens of a response."),
    Name("sample", "max_lag", 0, PTC, ("steps_per_generation",), None,
         "Optimizer steps between the weights that sampled and those that learn."),
    # adapters --------------------------------------------------------------------------------------------------------
    Name("lora", "rank", 16, TRL, ("lora_r",), 16),
    Name("lora", "alpha", 32.0, TRL, ("lora_alpha",), 32),
    Name("lora", "dropout", 0.0, PTC, ("lora_dropout",), 0.05),
    Name("lora", "targets", "all-linear", PTC, ("lora_target_modules",), None,
         "All linear layers but the head; or a list of names."),
    *OBJECTIVES,
    # roles and models ------------------------------------------------------------------------------------------------
    Name("model", "policy", None, MUST, ("model", "model_name_or_path"), None, '`train policy = hf.model("…")`.'),
    Name("model", "reference", None, PTC, ("ref_model",), None, "`freeze reference = …`"),
    Name("model", "teacher", None, PTC, ("teacher_model", "teacher_model_name_or_path"), None, "`freeze teacher = …`"),
    Name("model", "revision", None, PTC, ("model_revision",), "main", "Of `hf.model`; a commit once planned."),
    # measuring -------------------------------------------------------------------------------------------------------
    Name("watch", "every", None, MUST, ("eval_steps",), None, "`watch skill every 20 steps`."),
    # columns of rows -------------------------------------------------------------------------------------------------
    Name("column", "prompt", None, PTC, ("prompt", "prompts"), None, "Text or messages."),
    Name("column", "response", None, PTC, ("completion", "completions"), None),
    Name("column", "answer", None, PTC, ("solution", "ground_truth", "gold", "target"), None, "For verifiers."),
    Name("column", "chosen", None, PTC, ("chosen",), None),
    Name("column", "rejected", None, PTC, ("rejected",), None),
    Name("column", "reward", None, PTC, ("rewards",), None),
    Name("column", "logprobs", None, PTC, ("old_per_token_logps", "sampling_per_token_logps"), None,
         "The engine's, under the sampling distribution; the trainer's own are `logp(policy, .response)`."),
    # placement: never in the program ---------------------------------------------------------------------------------
    Name("profile", "micro_batch", None, PTC, ("gradient_accumulation_steps",), 1,
         "Rows per forward pass. The loss is that of the whole batch, however it is cut."),
    Name("profile", "micro_batch_tokens", None, PTC, (), None, "The same as a number of padded tokens."),
    Name("profile", "packing", False, PTC, ("packing",), False,
         "Several sequences in one row, each seeing itself alone. Never cuts a row, and never changes the loss."),
    Name("profile", "gradient_checkpointing", False, PTC, ("gradient_checkpointing",), True,
         "Activations are computed again on the way back instead of kept."),
    Name("profile", "precision", "float32", PTC, ("bf16", "dtype", "torch_dtype"), None, "`float32` or `bfloat16`."),
    Name("profile", "engine", "transformers", PTC, ("use_vllm", "vllm_mode"), False, "Or `vllm`, or `fake`."),
    Name("profile", "checkpoint_every", None, PTC, ("save_steps",), 500, "Optimizer steps between sealed checkpoints."),
    Name("profile", "report_to", (), PTC, ("report_to",), "none",
         "Trackers that see the metrics of stages: [which](trackers.md)."),
    Name("profile", "store", ".ptc", PTC, ("output_dir",), None, "All results; `export … to` copies one elsewhere."),
    Name("profile", "devices", None, PTC, ("num_processes",), None, "What the machine has."),
    Name("profile", "sharding", "none", PTC, ("fsdp", "fsdp_config"), None,
         "Or `full`: each device holds a part of every model of a stage (FSDP2)."),
)
# fmt: on


def lookup(where: Place, ours: str) -> Name | None:
    """The row of one of our names in one place."""
    return next((row for row in NAMES if row.where == where and row.ours == ours), None)


def rows(where: Place) -> tuple[Name, ...]:
    return tuple(row for row in NAMES if row.where == where)


def defaults(where: Place) -> dict[str, Value]:
    """Defaults of everything in a place that need not be written."""
    return {row.ours: row.default for row in rows(where) if not row.required}


@dataclass(frozen=True)
class Elsewhere:
    """A name that another library than TRL has for one of ours."""

    word: str
    library: str
    where: Place
    ours: str


ELSEWHERE: tuple[Elsewhere, ...] = (
    Elsewhere("response_length", "verl", "sample", "max_tokens"),
    Elsewhere("max_response_length", "verl", "sample", "max_tokens"),
    Elsewhere("ppo_mini_batch_size", "verl", "stage", "batch"),
    Elsewhere("total_epochs", "verl", "stage", "budget"),
    Elsewhere("clip_ratio_low", "verl", "grpo", "clip_low"),
    Elsewhere("clip_ratio_high", "verl", "grpo", "clip_high"),
    Elsewhere("kl_loss_coef", "verl", "grpo", "kl"),
    Elsewhere("n_samples_per_prompt", "OpenRLHF", "sample", "n"),
    Elsewhere("generate_max_len", "OpenRLHF", "sample", "max_tokens"),
    Elsewhere("num_samples_per_prompt_rollout", "open-instruct", "sample", "n"),
    Elsewhere("r", "PEFT", "lora", "rank"),
    Elsewhere("target_modules", "PEFT", "lora", "targets"),
    Elsewhere("num_return_sequences", "transformers", "sample", "n"),
    Elsewhere("stop_strings", "transformers", "sample", "stop"),
)


def known_elsewhere(word: str, where: str | None = None) -> Name | None:
    """The row that a user of another library means by `word`: of the place at hand if it has one, else of any."""
    candidates = [row for row in NAMES if word in row.trl and row.ours != word]
    candidates += [row for each in ELSEWHERE if each.word == word and (row := lookup(each.where, each.ours))]
    candidates += [row for row in NAMES if row.ours == word and row.where in _HOLDERS and row.where != where]
    here = [row for row in candidates if row.where == where]
    return next(iter(here or candidates), None)


_HOLDERS: dict[Place, str] = {
    "stage": "in the stage",
    "adamw": "in `adamw(…)`",
    "sample": "in `sample(…)`",
    "lora": "in `lora(…)`",
    "model": "among the stage's models",
    "watch": "in `watch … every`",
    "column": "a column",
    "profile": "in the profile, not in the program",
}


def hint(word: str, where: str | None = None) -> str | None:
    """``TRL's `epsilon_high` is `clip_high` here``, or nothing where `word` is no name of another library."""
    row = known_elsewhere(word, where)
    if row is None:
        return None
    if row.ours == word:
        return f"`{word}` stands {_HOLDERS[row.where]}"
    library = "TRL" if word in row.trl else next(each.library for each in ELSEWHERE if each.word == word)
    whose = "transformers'" if library == "transformers" else f"{library}'s"
    if row.where == where or where is None:
        return f"{whose} `{word}` is `{row.ours}` here"
    return f"{whose} `{word}` is `{row.ours}` here, {_HOLDERS.get(row.where, f'an argument of `{row.where}`')}"


def spelled(value: Value) -> str:
    """A default as a program spells it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(spelled(item) for item in value) + "]"
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    return str(value).replace("e-0", "e-")
