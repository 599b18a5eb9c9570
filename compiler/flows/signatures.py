"""How sources and steps are called."""

from __future__ import annotations

from dataclasses import replace

from ptc.compiler.arguments import Parameter, Signature, listed

SAMPLING = (
    listed("sample", "temperature", "real", least=0),
    listed("sample", "top_p", "real", least=0, most=1),
    listed("sample", "top_k", "int", least=0),
    listed("sample", "max_tokens", "tokens", least=1),
)
FURTHER = (
    listed("sample", "min_p", "real", least=0, most=1),
    listed("sample", "repetition_penalty", "real", least=0),
    listed("sample", "stop", "texts"),
)
"""The distribution that completions are drawn from: what is often written, and the rest."""

BY = Parameter("by", "text", None)
"""Who is said to have written the responses of a purchased data set."""

ORIGINS = {
    "gym": Signature(
        "gym",
        (Parameter("task", "text"), Parameter("size", "int", least=1), Parameter("seed", "int", 42, least=0)),
        others="constant",
    ),
    "jsonl": Signature("jsonl", (Parameter("path", "text"), BY)),
    "parquet": Signature("parquet", (Parameter("path", "text"), BY)),
    "hf.dataset": Signature(
        "hf.dataset",
        (
            Parameter("name", "text"),
            Parameter("config", "text", None),
            Parameter("split", "text", "train"),
            Parameter("revision", "text", None),
            BY,
        ),
    ),
}

MIX = Signature("mix", (Parameter("sources", "sources"), Parameter("weights", "reals", None, least=0)))

STEPS = {
    # From rows to prompts.
    "prompts": Signature("prompts", (Parameter("prompt", "row"),), others="row"),
    "from_verl": Signature("from_verl", ()),
    "from_open_instruct": Signature("from_open_instruct", ()),
    "from_sharegpt": Signature("from_sharegpt", ()),
    "chat": Signature("chat", (Parameter("system", "row"),)),
    "hint": Signature("hint", (Parameter("text", "row"), Parameter("train", "text", "drop", choices=("drop", "keep")))),
    "prefix": Signature(
        "prefix",
        (
            Parameter("text", "row"),
            Parameter("share", "number", 1.0, least=0, most=1),
            Parameter("train", "text", "keep", choices=("drop", "keep")),
        ),
    ),
    # Which rows.
    "slice": Signature("slice", (Parameter("from", "share"), Parameter("to", "share"))),
    "take": Signature("take", (Parameter("count", "int", least=1),)),
    "keep": Signature("keep", (Parameter("where", "row"),)),
    "only": Signature("only", (Parameter("where", "row"),)),
    "shuffle": Signature("shuffle", (Parameter("column", "row"),)),
    "unique": Signature("unique", (Parameter("column", "row"),)),
    "without": Signature("without", (Parameter("other", "source"),)),
    "join": Signature("join", (Parameter("rollouts", "source"), Parameter("on", "row"))),
    "replay": Signature("replay", (Parameter("window", "steps", None, least=1), Parameter("share", "share", None))),
    "refill": Signature("refill", (Parameter("max", "int", 4, least=1),)),
    # Responses, and what they are worth.
    "respond": Signature("respond", (Parameter("response", "row"),)),
    "sample": Signature(
        "sample",
        (
            Parameter("model", "model"),
            listed("sample", "n", "int", least=1),
            *SAMPLING,
            listed("sample", "max_lag", "steps"),
            Parameter("seed", "int", 0, least=0),
            *FURTHER,
            listed("sample", "mask_truncated", "flag"),
        ),
    ),
    "score": Signature("score", (Parameter("verifier", "verifier"),)),
    "best": Signature("best", (Parameter("k", "int", 1, least=1),)),
    "best_and_worst": Signature("best_and_worst", ()),
    "against": Signature("against", (Parameter("other", "source"),)),
    "split_steps": Signature("split_steps", (Parameter("separator", "text", "\n\n"),)),
}

EXAMPLES = {
    "gym": 'gym("chain_sum", size = 1_000, seed = 1)',
    "jsonl": 'jsonl("demos.jsonl")',
    "parquet": 'parquet("demos.parquet")',
    "hf.dataset": 'hf.dataset("openai/gsm8k", config = "main", split = "train")',
    "mix": "mix([demos, chat], weights = [0.7, 0.3])",
    "prompts": "|> prompts(.question, answer = .answer)",
    "chat": '|> chat("Answer with a number.")',
    "hint": "|> hint(.answer)",
    "prefix": "|> prefix(.solution, share = 50%)",
    "slice": "|> slice(0%, 80%)",
    "take": "|> take(1_000)",
    "keep": "|> keep(.reward == 1)",
    "only": "|> only(max(.reward, over = group) == 0)",
    "shuffle": "|> shuffle(.reward)",
    "unique": "|> unique(.prompt)",
    "without": "|> without(held_out)",
    "join": "|> join(rollouts, on = .prompt)",
    "replay": "|> replay()",
    "refill": "|> refill(max = 4)",
    "respond": "|> respond(.answer)",
    "sample": "|> sample(policy, n = 8, max_tokens = 512)",
    "score": "|> score(exact)",
    "best": "|> best(1)",
    "best_and_worst": "|> best_and_worst()",
    "against": "|> against(rejected)",
    "split_steps": '|> split_steps("\\\\n\\\\n")',
    "from_verl": "|> from_verl()",
    "from_open_instruct": "|> from_open_instruct()",
    "from_sharegpt": "|> from_sharegpt()",
}
"""Sources and steps as a program writes them."""
ORIGINS = {name: replace(signature, example=EXAMPLES[name]) for name, signature in ORIGINS.items()}
STEPS = {name: replace(signature, example=EXAMPLES[name]) for name, signature in STEPS.items()}
MIX = replace(MIX, example=EXAMPLES["mix"])

LIVE_STEPS = (
    "score",
    "keep",
    "only",
    "shuffle",
    "best",
    "best_and_worst",
    "split_steps",
    "replay",
    "refill",
)
"""Steps through which rows can pass that are sampled while a stage runs."""

SYNONYMS = {
    "filter": "keep",
    "where": "keep",
    "reject": "keep",
    "filter_groups": "keep",
    "select": "prompts",
    "map": "prompts",
    "rename": "prompts",
    "rename_columns": "prompts",
    "remove_columns": "prompts",
    "select_columns": "prompts",
    "head": "take",
    "limit": "take",
    "first": "take",
    "split": "slice",
    "train_test_split": "slice",
    "shard": "slice",
    "generate": "sample",
    "rollout": "sample",
    "generate_completions": "sample",
    "verify": "score",
    "reward": "score",
    "grade": "score",
    "judge": "score",
    "compute_score": "score",
    "reward_fn": "score",
    "reward_funcs": "score",
    "complete": "respond",
    "answer": "respond",
    "drop_duplicates": "unique",
    "dedup": "unique",
    "deduplicate": "unique",
    "distinct": "unique",
    "decontaminate": "without",
    "exclude": "without",
    "best_of_n": "best",
    "top": "best",
    "topk": "best",
    "pairs": "best_and_worst",
    "to_pairs": "best_and_worst",
    "preferences": "best_and_worst",
    "preferred_to": "against",
    "versus": "against",
    "system": "chat",
    "system_prompt": "chat",
    "dynamic_sampling": "refill",
    "replay_buffer": "replay",
    "interleave_datasets": "mix",
    "concatenate_datasets": "mix",
    "concat": "mix",
    "interleave": "mix",
    "load_dataset": "hf.dataset",
    "dataset": "hf.dataset",
    "read_json": "jsonl",
    "json": "jsonl",
    "read_parquet": "parquet",
}
"""What TRL, datasets and verl call sources and steps."""
