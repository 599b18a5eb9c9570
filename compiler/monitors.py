"""Monitors: what a stage measures of itself step by step, and the limits that it is watched by unless it says more.

`runtime/monitors` computes each measure from the rows of `metrics.jsonl`; `docs/monitors.md` has the formulas. A limit
of this table warns. One that the program writes, ``guard kl <= 0.2``, stops the stage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["share", "positive", "signed", "cosine"]
"""What numbers it can be: a share of 1, at least 0, any, or between -1 and 1."""
Need = Literal["", "rollouts", "rewards", "kl", "ratio", "clip", "chosen", "joint"]
"""What a stage must have for it to be measured; `WITHOUT` has the words."""


@dataclass(frozen=True)
class Usual:
    """The limit at which a measure warns in every stage that has it (engineering defaults)."""

    op: str
    limit: float
    over: int = 1
    needs: Need = ""
    """What a stage must have for this limit, beside what the measure needs."""


@dataclass(frozen=True)
class Measure:
    """Something that can be guarded: its name, its monitor's, and what it is."""

    name: str
    monitor: str
    meaning: str
    kind: Kind
    example: str
    """A guard to paste."""
    needs: Need = ""
    of_eval: bool = False
    """Whether it is measured against a watched eval: ``memorisation(skill)``."""
    usual: Usual | None = None


MEASURES: tuple[Measure, ...] = (
    Measure(
        "zero_advantage",
        "zero-advantage-rate",
        "The share of groups whose attempts all have the same reward, and from which nothing is learned.",
        "share",
        "guard zero_advantage <= 90% over 20 steps",
        "rewards",
        usual=Usual("le", 0.95, 20),
    ),
    Measure(
        "entropy",
        "entropy-collapse",
        "The entropy of the distributions that the tokens were drawn from, in nats per token.",
        "positive",
        "guard entropy >= 0.05 over 10 steps",
    ),
    Measure(
        "entropy_kept",
        "entropy-collapse",
        "The entropy as a share of that of the first steps.",
        "positive",
        "guard entropy_kept >= 10% over 10 steps",
        usual=Usual("ge", 0.1, 10, "rewards"),
    ),
    Measure(
        "kl",
        "kl-budget",
        "How far the learner is from the reference, as the loss estimates it, in nats per token.",
        "positive",
        "guard kl <= 0.2 over 10 steps",
        "kl",
        usual=Usual("le", 1.0, 10),
    ),
    Measure(
        "proxy_gold_split",
        "proxy-gold-divergence",
        "How far a watched eval has fallen while the reward rose, where both are trends and no chance.",
        "positive",
        "guard proxy_gold_split(skill) <= 2%",
        "rewards",
        of_eval=True,
        usual=Usual("le", 0.02),
    ),
    Measure(
        "memorisation",
        "prompt-memorisation",
        "How much the reward in training has moved away from a watched eval since the second pass over the prompts.",
        "positive",
        "guard memorisation(skill) <= 10%",
        "rewards",
        of_eval=True,
        usual=Usual("le", 0.1),
    ),
    Measure(
        "effective_sample_size",
        "off-policy-health",
        "The effective sample size of the importance weights, as a share of their number.",
        "share",
        "guard effective_sample_size >= 30% over 5 steps",
        "ratio",
        usual=Usual("ge", 0.3, 5),
    ),
    Measure(
        "importance_ratio",
        "off-policy-health",
        "The greatest importance ratio of a step.",
        "positive",
        "guard importance_ratio <= 100 over 5 steps",
        "ratio",
        usual=Usual("le", 100.0, 5),
    ),
    Measure(
        "clip_fraction",
        "off-policy-health",
        "The share of tokens (or samples) at which a clip held the loss back.",
        "share",
        "guard clip_fraction <= 50% over 10 steps",
        "clip",
        usual=Usual("le", 0.5, 10),
    ),
    Measure(
        "grad_norm_spike",
        "off-policy-health",
        "The gradient's norm as a multiple of its median over 50 to 100 steps before, or the first if that is more.",
        "positive",
        "guard grad_norm_spike <= 20 over 3 steps",
        usual=Usual("le", 20.0, 3),
    ),
    Measure(
        "loss_spike",
        "loss-spike",
        "A positive loss as a multiple of its median over 50 to 100 steps before, or the first if that is more.",
        "positive",
        "guard loss_spike <= 10 over 3 steps",
        usual=Usual("le", 10.0, 3),
    ),
    Measure(
        "chosen_logp_drop",
        "chosen-logp-drop",
        "How much less likely the chosen responses have become: of log p at the first steps, the share that was lost.",
        "signed",
        "guard chosen_logp_drop <= 20% over 10 steps",
        "chosen",
        usual=Usual("le", 0.2, 10),
    ),
    Measure(
        "length_drift",
        "length-drift",
        "How many times as long as at first responses are, where the reward has not risen since; 1 where it has.",
        "positive",
        "guard length_drift <= 2 over 20 steps",
        "rewards",
        usual=Usual("le", 2.0, 20),
    ),
    Measure(
        "completion_length",
        "length-drift",
        "Tokens per response, mean over the attempts of a step.",
        "positive",
        "guard completion_length <= 2_000 over 10 steps",
        "rollouts",
    ),
    Measure(
        "truncated",
        "length-drift",
        "The share of responses that `max_tokens` ended.",
        "share",
        "guard truncated <= 50% over 20 steps",
        "rollouts",
        usual=Usual("le", 0.5, 20, "rewards"),
    ),
    Measure(
        "empty",
        "degenerate-training",
        "The share of responses without a token before their end.",
        "share",
        "guard empty <= 50% over 5 steps",
        "rollouts",
        usual=Usual("le", 0.5, 5),
    ),
    Measure(
        "repetition",
        "degenerate-training",
        "The share of responses of 8 tokens or more in which one token takes up nine in ten places.",
        "share",
        "guard repetition <= 50% over 5 steps",
        "rollouts",
        usual=Usual("le", 0.5, 5),
    ),
    Measure(
        "gradient_cosine",
        "gradient-interference",
        "The cosine of the gradients of the terms of a joint objective, measured every 5 steps where it is guarded.",
        "cosine",
        "guard gradient_cosine >= -0.3 over 50 steps",
        "joint",
    ),
)

BY_NAME = {measure.name: measure for measure in MEASURES}
MONITORS = tuple(dict.fromkeys(measure.monitor for measure in MEASURES))
"""Names that `allow` takes: ``allow(entropy_collapse, "…")``."""
EVAL = "eval"
"""The measure of ``guard skill >= 40%``: a watched eval itself."""

SYNONYMS = {
    "frac_reward_zero_std": "zero_advantage",
    "ess": "effective_sample_size",
    "kl_divergence": "kl",
    "approx_kl": "kl",
    "clip_ratio": "clip_fraction",
    "clipfrac": "clip_fraction",
    "mean_length": "completion_length",
    "response_length": "completion_length",
    "clipped_ratio": "truncated",
    "grad_norm": "grad_norm_spike",
    "informative_rate": "zero_advantage",
    "memorization": "memorisation",
}
"""What other libraries call a measure, or the language elsewhere."""

WITHOUT: dict[str, tuple[str, str]] = {
    "rollouts": ("nothing is sampled while this stage runs", "|> sample(policy, n = 8)"),
    "rewards": ("nothing is scored while this stage runs", "|> sample(policy, n = 8) |> score(exact)"),
    "kl": ("no term of the loss estimates a divergence from a reference", "grpo(…, reference, kl = 0.001)"),
    "ratio": ("the loss has no importance ratio", "grpo(rollouts, policy)"),
    "clip": ("the loss clips nothing", "grpo(rollouts, policy)"),
    "chosen": ("no term of the loss reads the log-probability of `.chosen`", "dpo(pairs, policy, reference)"),
    "joint": ("all terms of the loss learn from the same rows", "grpo(rollouts, policy) + 0.1 * sft(demos, policy)"),
}  # fmt: skip
"""By what is needed: why it cannot be measured, and what would give it."""
