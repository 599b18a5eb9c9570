"""For each objective of the library a program in which it is at home."""

from __future__ import annotations

from pathlib import Path

LIBRARY = Path(__file__).parent.parent.parent / "stdlib" / "objectives"
NAMES = tuple(sorted(path.stem for path in LIBRARY.glob("*.pt")))

HEAD = """edition 2026
from std.objectives import {name}
from std.verifiers import exact
source tasks = gym("chain_sum", size = 100) |> prompts(.question, answer = .answer)
source routed = gym("chain_sum", size = 100) |> prompts(.question, answer = .answer, route = .num_terms)
source shown = gym("chain_sum", size = 100) |> prompts(.question, answer = .answer, context = .expression)
source demos = tasks |> respond(.answer)
source explained = shown |> respond(.answer)
source labelled = gym("chain_sum", size = 100) |> prompts(.question, response = .answer, label = .num_terms == 2)
source strangers = labelled |> shuffle(.response)
source pairs = jsonl("pairs.jsonl")
source documents = jsonl("documents.jsonl")
source marked = jsonl("marked.jsonl")
model base = new.model("qwen3", hidden = 32, layers = 1, tokenizer = characters(tasks))
model other = new.model("qwen3", hidden = 32, layers = 2, tokenizer = characters(tasks))
model third_model = new.model("qwen3", hidden = 32, layers = 3, tokenizer = characters(tasks))
model foreign = new.model("qwen3", hidden = 32, layers = 2, tokenizer = bpe(tasks, vocabulary = 300))
model steps_judge = reward_head(other)
"""
STAGE = """stage learner {{
{roles}
  source attempts = tasks |> sample({learner}, n = 4, max_tokens = 4)
  source sent     = routed |> sample({learner}, n = 4, max_tokens = 4)
  source informed = shown |> sample({learner}, n = 4, max_tokens = 4)
  source rollouts = attempts |> score(exact)
  source stepped  = attempts |> split_steps("\\n") |> score(steps_judge)
  source traces   = demos |> score(exact) |> join(rollouts, on = .prompt)
  minimize {call}
  optimizer = adamw(lr = 1e-3)
  batch = 4 prompts
  budget = 1 steps
}}
"""
POLICY = ("  train policy = base",)
HELD = (*POLICY, "  freeze reference = base")
TAUGHT = ("  train student = base", "  freeze teacher = other")
JUDGE = ("  train judge = reward_head(base)",)
CALLS: dict[str, tuple[str, tuple[str, ...]]] = {
    "sft": ("sft(demos, policy)", POLICY),
    "pretrain": ("pretrain(documents, policy)", POLICY),
    "dft": ("dft(demos, policy)", POLICY),
    "proximal_sft": ("proximal_sft(demos, policy)", POLICY),
    "anchored_sft": ("anchored_sft(demos, policy, reference, kl = 0.05)", HELD),
    "chord": ("chord(demos, policy)", POLICY),
    "dpo": ("dpo(pairs, policy, reference, beta = 0.3)", HELD),
    "dpo_norm": ("dpo_norm(pairs, policy, reference)", HELD),
    "cdpo": ("cdpo(pairs, policy, reference, label_smoothing = 0.1)", HELD),
    "robust": ("robust(pairs, policy, reference, label_smoothing = 0.1)", HELD),
    "ipo": ("ipo(pairs, policy, reference)", HELD),
    "hinge": ("hinge(pairs, policy, reference)", HELD),
    "rpo": ("rpo(pairs, policy, reference)", HELD),
    "kto": ("kto(labelled, policy, reference, undesirable_weight = 1.5)", HELD),
    "kto_mismatched": ("kto_mismatched(labelled, strangers, policy, reference, undesirable_weight = 1.5)", HELD),
    "apo_zero_unpaired": ("apo_zero_unpaired(labelled, policy, reference, undesirable_weight = 1.5)", HELD),
    "wpo": ("wpo(pairs, policy, reference)", HELD),
    "ld_dpo": ("ld_dpo(pairs, policy, reference)", HELD),
    "exo": ("exo(pairs, policy, reference, label_smoothing = 0.1)", HELD),
    "nca": ("nca(pairs, policy, reference)", HELD),
    "bco": ("bco(pairs, policy, reference)", HELD),
    "sppo": ("sppo(pairs, policy, reference)", HELD),
    "apo_zero": ("apo_zero(pairs, policy, reference)", HELD),
    "apo_down": ("apo_down(pairs, policy, reference)", HELD),
    "discopop": ("discopop(pairs, policy, reference)", HELD),
    "dpo_forward_kl": ("dpo_forward_kl(pairs, policy, reference)", HELD),
    "dpo_js": ("dpo_js(pairs, policy, reference)", HELD),
    "dpo_alpha": ("dpo_alpha(pairs, policy, reference, alpha = 0.3)", HELD),
    "orpo": ("orpo(pairs, policy)", POLICY),
    "alphapo": ("alphapo(pairs, policy)", POLICY),
    "slic": ("slic(pairs, policy)", POLICY),
    "free_ipo": ("free_ipo(pairs, policy)", POLICY),
    "simpo": ("simpo(pairs, policy)", POLICY),
    "cpo": ("cpo(pairs, policy)", POLICY),
    "bradley_terry": ("bradley_terry(pairs, judge, center = 0.01)", JUDGE),
    "prm": ("prm(marked, judge)", JUDGE),
    "entropy_bonus": ("entropy_bonus(attempts, policy)", POLICY),
    "reinforce": ("reinforce(rollouts, policy, reference, kl = 0.1)", HELD),
    "reinforce_pp": ("reinforce_pp(rollouts, policy, reference, kl = 0.1)", HELD),
    "rloo": ("rloo(rollouts, policy, reference, kl = 0.1)", HELD),
    "grpo": ("grpo(rollouts, policy, reference, clip_high = 0.28, kl = 0.05, tis = 2, unbiased_kl = true)", HELD),
    "dr_grpo": ("dr_grpo(rollouts, policy, reference, kl = 0.05, max_length = 4)", HELD),
    "dapo": ("dapo(rollouts, policy, reference, kl = 0.05)", HELD),
    "gspo": ("gspo(rollouts, policy, reference, kl = 0.05)", HELD),
    "cispo": ("cispo(rollouts, policy)", POLICY),
    "lite_ppo": ("lite_ppo(rollouts, policy)", POLICY),
    "sapo": ("sapo(rollouts, policy)", POLICY),
    "luspo": ("luspo(rollouts, policy)", POLICY),
    "vespo": ("vespo(rollouts, policy)", POLICY),
    "two_sided_grpo": ("two_sided_grpo(rollouts, policy, cap = 1.5)", POLICY),
    "deepseek_grpo": ("deepseek_grpo(rollouts, policy, reference, kl = 0.05)", HELD),
    "off_policy_grpo": ("off_policy_grpo(rollouts, policy)", POLICY),
    "ppo": ("ppo(rollouts, policy, critic, reference)", (*HELD, "  train critic = value_head(base)")),
    "process_sum": ("process_sum(stepped, policy, discount = 0.9)", POLICY),
    "process_min": ("process_min(stepped, policy)", POLICY),
    "luffy": ("luffy(rollouts, traces, policy)", POLICY),
    "forward_kl": ("forward_kl(demos, student, teacher, temperature = 2)", TAUGHT),
    "reverse_kl": ("reverse_kl(attempts, student, teacher)", TAUGHT),
    "gkd": ("gkd(demos, student, teacher, beta = 0.3)", TAUGHT),
    "on_policy_distillation": ("on_policy_distillation(attempts, student, teacher)", TAUGHT),
    "mopd": (
        "mopd(sent, student, teacher, second, third = third)",
        (*TAUGHT, "  freeze second = third_model", "  freeze third = other"),
    ),
    "g_opd": ("g_opd(attempts, student, teacher, reference)", (*TAUGHT, "  freeze reference = base")),
    "uld": (
        "uld(attempts, student, teacher, temperature = 2)",
        ("  train student = base", "  freeze teacher = foreign"),
    ),
    "minillm": ("minillm(attempts, student, teacher)", TAUGHT),
    "context_distillation": ("context_distillation(explained, student, teacher)", TAUGHT),
    "self_distillation": (
        "self_distillation(informed, student, teacher)",
        ("  train student = base", "  track teacher = ema(student, 0.99)"),
    ),
}


def program(name: str, call: str = "") -> str:
    """The program of an objective, or of another call of it."""
    usual, roles = CALLS[name]
    learner = "student" if roles[0].startswith("  train student") else "policy"
    if roles is JUDGE:  # nothing is sampled while a judge is trained
        learner = "base"
    return HEAD.format(name=name) + STAGE.format(roles="\n".join(roles), learner=learner, call=call or usual)
