"""What to do where a limit is not kept, by measure; `docs/monitors.md` says more."""

from __future__ import annotations

from collections.abc import Mapping

REMEDIES: Mapping[str, str] = {
    "zero_advantage": "take prompts of which some attempts succeed and some fail, or more attempts at each",
    "entropy": "lower the learning rate, or raise `clip_high`",
    "entropy_kept": "lower the learning rate, or raise `clip_high`",
    "kl": "lower the learning rate, or weigh `kl` more",
    "proxy_gold_split": "the reward is not what is wanted any more: mend the verifier, or stop earlier",
    "memorisation": "take fewer passes over the prompts, or more prompts",
    "effective_sample_size": "lower `max_lag`, `passes` or the learning rate",
    "importance_ratio": "lower `max_lag`, `passes` or the learning rate",
    "clip_fraction": "lower `passes` or the learning rate",
    "grad_norm_spike": "lower the learning rate or `clip_norm`, or look at the rows of these steps",
    "loss_spike": "lower the learning rate, or look at the rows of these steps",
    "chosen_logp_drop": "leave out pairs that are nearly alike, or add a term that imitates the chosen responses",
    "length_drift": "divide by a constant length, or score length",
    "completion_length": "score length, or lower `max_tokens`",
    "truncated": "raise `max_tokens`, or leave out what was cut off",
    "empty": "go back to an earlier checkpoint with a lower learning rate",
    "repetition": "go back to an earlier checkpoint with a lower learning rate",
    "gradient_cosine": "weigh the terms anew, or train one after the other",
    "eval": "go back to the checkpoint at which it was best",
}
